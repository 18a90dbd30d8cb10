//! Attention over observations with an encoding of their times.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::layers::{
    Activation, Encoder, attention, layer_norm, linear, masked, pooled_mean, sinusoids,
};
use super::super::misfits::Misfits;
use super::super::{Batch, Init, InputShape, Pass, Track};
use super::Design;
use super::shared::{Head, channel};

/// Attention over single observations, for light curves that are sparse and irregular and of which few have labels.
///
/// - An observation is its channels, compressed by `asinh`, plus waves of its time with periods from days to years. So
///   nothing is interpolated, and two observations can tell how far apart they are.
/// - Times are counted from where the object is bright: from the mean time weighted by the square of the positive ratios
///   of flux to error. When a survey began to look at an object then does not matter.
/// - In a fit, each step sees a random part of the observations, so that none of them can be learned by heart.
/// - Some learned queries look for what they need among the observations, and what they find is joined with the features.
///   Before that, the observations may see each other in layers of a transformer. The defaults have none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeAttention {
    /// The width of the encoder, which is even and a multiple of the heads.
    pub width: usize,
    /// The number of heads of each attention.
    pub heads: usize,
    /// The number of layers in which the observations see each other; 0 for none.
    pub layers: usize,
    /// The number of units between the two linear layers of each layer.
    pub feed_forward: usize,
    /// The number of learned queries; 0 takes the mean of the observations.
    pub queries: usize,
    /// The shortest period of the encoding, in the unit of the channel `time`.
    pub shortest: f64,
    /// The longest period of the encoding, in the unit of the channel `time`.
    pub longest: f64,
    /// Times are counted from where the object is bright, which needs the channel `snr`.
    pub centered: bool,
    /// The share of observations that a step of a fit leaves out.
    pub lost: f64,
    /// The number of units of each layer behind the pooling.
    pub hidden: Vec<usize>,
    /// The share of units that a step of a fit leaves out.
    pub dropout: f64,
}

impl Default for TimeAttention {
    fn default() -> Self {
        Self {
            width: 64,
            heads: 4,
            layers: 0,
            feed_forward: 128,
            queries: 8,
            shortest: 5.0,
            longest: 3000.0,
            centered: true,
            lost: 0.4,
            hidden: vec![32],
            dropout: 0.1,
        }
    }
}

impl TimeAttention {
    /// Returns the observations, `[objects, points, width]`.
    fn observations(&self, input: &InputShape, track: &Track, pass: &mut Pass<'_>) -> Tensor<3> {
        let values = masked(track.values.clone(), &track.mask);
        let at = channel(input, "time").expect("no misfits");
        let mut times: Tensor<2> = values.clone().narrow(2, at, 1).squeeze_dim(2);
        if self.centered {
            let at = channel(input, "snr").expect("no misfits");
            let ratios = values.clone().narrow(2, at, 1).squeeze_dim(2);
            times = times.clone() - bright(times, ratios, &track.mask);
        }
        let waves = sinusoids(times, self.width, self.shortest, self.longest);
        let x = linear(values.asinh(), "input", self.width, pass)
            + linear(waves, "time", self.width, pass);
        pass.dropout(x, self.dropout, false)
    }

    /// Returns one row for each object.
    fn pooled(&self, x: Tensor<3>, mask: &Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        let [objects, _, width] = x.dims();
        let x = layer_norm(x, "norm", pass);
        if self.queries == 0 {
            return pooled_mean(x, mask);
        }
        let size = [1, self.queries, width];
        let queries = pass.weight("queries", size, Init::Uniform(1.0));
        let queries = queries.expand([objects, self.queries, width]);
        let all = Tensor::ones([objects, self.queries], &x.device());
        let found = pass.within("pooling", |pass| {
            attention(queries, x, [&all, mask], self.heads, pass)
        });
        let found = found.reshape([objects, self.queries * width]);
        pass.dropout(found, self.dropout, false)
    }
}

/// Returns the mean time, weighted by the square of the positive ratios of flux to error, `[objects, 1]`. Without any,
/// it is the mean of all times.
fn bright(times: Tensor<2>, ratios: Tensor<2>, mask: &Tensor<2>) -> Tensor<2> {
    let weights = ratios.clamp(0.0, 1e6).square().add_scalar(1e-6) * mask.clone();
    let total = weights.clone().sum_dim(1).clamp_min(1e-6);
    (times * weights).sum_dim(1) / total
}

impl Design for TimeAttention {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        let lacks = |name: &str| !input.tracks.is_empty() && channel(input, name).is_none();
        Misfits::default()
            .one_track(input)
            .sizes("the units of each layer", &self.hidden)
            .sizes(
                "the width and feed_forward",
                &[self.width, self.feed_forward],
            )
            .heads(self.heads, self.width)
            .periods(self.shortest, self.longest, self.width)
            .share("dropout", self.dropout)
            .share("the share of lost observations", self.lost)
            .unless(!lacks("time"), || {
                "it reads the channel `time`, and the sequences have none".into()
            })
            .unless(!self.centered || !lacks("snr"), || {
                "it centers times by the channel `snr`, and the sequences have none".into()
            })
            .found()
    }

    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let track = &batch.tracks[0];
        let encoder = Encoder {
            heads: self.heads,
            feed_forward: self.feed_forward,
            activation: Activation::Relu,
            norm_first: true,
            dropout: self.dropout,
        };
        let mask = pass
            .dropout(track.mask.clone(), self.lost, false)
            .clamp_max(1.0);
        let seen = Track {
            values: track.values.clone(),
            mask,
        };
        let mut x = self.observations(input, &seen, pass);
        for layer in 0..self.layers {
            x = encoder.forward(x, &seen.mask, &layer.to_string(), pass);
        }
        let pooled = self.pooled(x, &seen.mask, pass);
        let head = Head {
            hidden: &self.hidden,
            dropout: self.dropout,
            outputs: input.outputs,
        };
        head.forward(pooled, batch, pass)
    }
}
