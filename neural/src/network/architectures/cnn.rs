//! Convolutions over the points of each track.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::layers::{Activation, Convolution, linear, masked, pooled_mean};
use super::super::misfits::Misfits;
use super::super::{Batch, InputShape, Pass, Track};
use super::Design;
use super::shared::Head;

/// The LightCurveCNN of the report "MALLORN Challenge: Progress Review" (2026, section 3.1.1): for each track four
/// convolutions, each with batch normalization over the observed points, `max(x, 0)` and, but for the last, the maximum of
/// neighboring points. Their mean over the observed points of each track is joined with the features.
///
/// The report gives the layers and some 545,000 weights, not the sizes. With the defaults there are 538,337 on six tracks
/// of six channels with two features and one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cnn {
    /// The number of channels that come out of each convolution.
    pub channels: Vec<usize>,
    /// The number of neighboring points that each convolution sees. It is odd.
    pub kernel: usize,
    /// Points that become one after each convolution but the last; 1 leaves all.
    pub pool: usize,
    /// The units of a layer that the features pass before they are joined; 0 joins them as they are.
    pub metadata: usize,
    /// The number of units of each layer behind the pooling.
    pub hidden: Vec<usize>,
    /// The share of units that a step of a fit leaves out after each of these layers.
    pub dropout: f64,
}

impl Default for Cnn {
    fn default() -> Self {
        Self {
            channels: vec![32, 64, 128, 128],
            kernel: 3,
            pool: 2,
            metadata: 32,
            hidden: vec![64],
            dropout: 0.3,
        }
    }
}

impl Cnn {
    /// How many points become one before the mean is taken, or none if that is no number.
    fn pooled(&self) -> Option<usize> {
        let times = self.channels.len().saturating_sub(1);
        self.pool.checked_pow(u32::try_from(times).ok()?)
    }

    /// Returns one row for each object, `[objects, channels]`.
    fn encoded(&self, track: &Track, pass: &mut Pass<'_>) -> Tensor<2> {
        let (mut x, mut mask) = self.padded(track);
        for (layer, &outputs) in self.channels.iter().enumerate() {
            let last = layer + 1 == self.channels.len();
            let convolution = Convolution {
                kernel: self.kernel,
                outputs,
                pool: if last { 1 } else { self.pool },
            };
            (x, mask) = convolution.forward(x, mask, &layer.to_string(), pass);
        }
        pooled_mean(x, &mask)
    }

    /// Returns the values and the mask with as many points more as make whole groups of those that become one.
    fn padded(&self, track: &Track) -> (Tensor<3>, Tensor<2>) {
        let x = masked(track.values.clone(), &track.mask);
        let mask = track.mask.clone();
        let [objects, points, channels] = x.dims();
        let group = self.pooled().expect("no misfits");
        let more = points.next_multiple_of(group) - points;
        if more == 0 {
            return (x, mask);
        }
        let device = x.device();
        let values = Tensor::zeros([objects, more, channels], &device);
        let hidden = Tensor::zeros([objects, more], &device);
        (
            Tensor::cat(vec![x, values], 1),
            Tensor::cat(vec![mask, hidden], 1),
        )
    }
}

impl Design for Cnn {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        let enough = self.pooled().is_some_and(|pooled| pooled <= input.points);
        Misfits::default()
            .some_track(input)
            .sizes("the channels of each convolution", &self.channels)
            .sizes("the points that become one", &[self.pool])
            .sizes("the units of each layer", &self.hidden)
            .share("dropout", self.dropout)
            .unless(!self.channels.is_empty(), || "it has no convolution".into())
            .unless(self.kernel % 2 == 1, || {
                format!(
                    "a kernel of {} points has no middle: it must be odd",
                    self.kernel
                )
            })
            .unless(enough || input.tracks.is_empty(), || {
                let times = self.channels.len().saturating_sub(1);
                format!(
                    "{} points become less than one when each {} of them become one {times} times",
                    input.points, self.pool
                )
            })
            .found()
    }

    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let tracks = batch.tracks.iter().enumerate();
        let rows = tracks.map(|(at, track)| {
            let name = format!("track{at}");
            pass.within(&name, |pass| self.encoded(track, pass))
        });
        let rows = Tensor::cat(rows.collect(), 1);
        let features = batch.features.clone().map(|features| match self.metadata {
            0 => features,
            units => Activation::Relu.of(linear(features, "metadata", units, pass)),
        });
        let head = Head {
            hidden: &self.hidden,
            dropout: self.dropout,
            outputs: input.outputs,
        };
        head.beside(rows, features, pass)
    }
}
