//! Attention within each track, then between tracks.

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::super::layers::{Activation, Encoder, linear, masked, pooled_mean, sinusoids};
use super::super::misfits::Misfits;
use super::super::{Batch, Init, InputShape, Pass, Track};
use super::Design;
use super::lengths::by_length;
use super::shared::{Head, channel};

/// What the encoding of positions is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// The channel `time`.
    Time,
    /// The numbers of the observations of a track.
    Order,
}

/// The LightCurveTransformer of the report "MALLORN Challenge: Progress Review" (2026, section 3.1.2): for each track the
/// encoder of a transformer with an encoding of positions, its mean over the observed points, and an encoder in which
/// the tracks see each other.
///
/// The report gives the layers and some 175,000 weights, not the sizes. With the defaults there are 172,961 on six tracks
/// of six channels with two features and one output. A track without observations is not seen by the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transformer {
    /// The width of the encoders, which is even and a multiple of the heads.
    pub width: usize,
    /// The number of heads of each attention.
    pub heads: usize,
    /// The number of layers of the encoder of each track.
    pub layers: usize,
    /// The number of layers in which the tracks see each other.
    pub cross_layers: usize,
    /// The number of units between the two linear layers of each layer.
    pub feed_forward: usize,
    /// What the encoding of positions is made from.
    pub positions: Positions,
    /// The shortest period of the encoding, in the unit of the channel `time` or in observations.
    pub shortest: f64,
    /// The longest period of the encoding, in the same unit.
    pub longest: f64,
    /// The number of units of each layer behind the encoders.
    pub hidden: Vec<usize>,
    /// The share of units that a step of a fit leaves out.
    pub dropout: f64,
}

impl Default for Transformer {
    fn default() -> Self {
        Self {
            width: 32,
            heads: 4,
            layers: 2,
            cross_layers: 1,
            feed_forward: 128,
            positions: Positions::Time,
            shortest: std::f64::consts::TAU,
            longest: 1e4 * std::f64::consts::TAU,
            hidden: vec![32],
            dropout: 0.1,
        }
    }
}

impl Transformer {
    fn encoder(&self) -> Encoder {
        Encoder {
            heads: self.heads,
            feed_forward: self.feed_forward,
            activation: Activation::Relu,
            norm_first: false,
            dropout: self.dropout,
        }
    }

    /// Returns one row for each object, `[objects, width]`.
    fn encoded(&self, input: &InputShape, track: &Track, pass: &mut Pass<'_>) -> Tensor<2> {
        let values = masked(track.values.clone(), &track.mask);
        let waves = sinusoids(
            self.times(input, &values),
            self.width,
            self.shortest,
            self.longest,
        );
        let mut x = linear(values, "input", self.width, pass) + waves;
        x = pass.dropout(x, self.dropout, false);
        for layer in 0..self.layers {
            x = self
                .encoder()
                .forward(x, &track.mask, &layer.to_string(), pass);
        }
        pooled_mean(x, &track.mask)
    }

    fn times(&self, input: &InputShape, values: &Tensor<3>) -> Tensor<2> {
        let [objects, points, _] = values.dims();
        match self.positions {
            Positions::Time => {
                let at = channel(input, "time").expect("no misfits");
                values.clone().narrow(2, at, 1).squeeze_dim(2)
            }
            Positions::Order => {
                let order = Tensor::<1, Int>::arange(0..points as i64, &values.device());
                let order: Tensor<2> = order.float().unsqueeze();
                order.expand([objects, points])
            }
        }
    }
}

impl Design for Transformer {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        let timed = self.positions == Positions::Order || channel(input, "time").is_some();
        Misfits::default()
            .some_track(input)
            .sizes("the units of each layer", &self.hidden)
            .sizes(
                "the width and feed_forward",
                &[self.width, self.feed_forward],
            )
            .heads(self.heads, self.width)
            .periods(self.shortest, self.longest, self.width)
            .share("dropout", self.dropout)
            .unless(timed || input.tracks.is_empty(), || {
                "it reads the channel `time`, and the sequences have none".into()
            })
            .found()
    }

    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let tracks = batch.tracks.iter().enumerate();
        let rows = tracks.map(|(at, track)| {
            let name = format!("track{at}");
            pass.within(&name, |pass| {
                by_length(track, |track| self.encoded(input, track, pass))
            })
        });
        let rows: Tensor<3> = Tensor::stack(rows.collect(), 1);
        let seen = batch.tracks.iter().map(|t| t.mask.clone().max_dim(1));
        let seen: Tensor<2> = Tensor::cat(seen.collect(), 1);
        let [objects, tracks, width] = rows.dims();
        let bound = Init::Uniform(1.0 / (width as f32).sqrt());
        let mut x = rows + pass.weight("tracks", [1, tracks, width], bound);
        for layer in 0..self.cross_layers {
            x = self
                .encoder()
                .forward(x, &seen, &format!("cross{layer}"), pass);
        }
        let rows = masked(x, &seen).reshape([objects, tracks * width]);
        let head = Head {
            hidden: &self.hidden,
            dropout: self.dropout,
            outputs: input.outputs,
        };
        head.forward(rows, batch, pass)
    }
}
