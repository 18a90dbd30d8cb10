//! Several layers of gated recurrent units.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::layers::{Activation, Hidden, Recurrent, dense, pooled_max};
use super::super::misfits::Misfits;
use super::super::{Batch, InputShape, Pass};
use super::Design;
use super::shared::joined;

/// The network 3DSubM of Chaini and Kumar ("Astronomical Classification of Light Curves with an Ensemble of Gated
/// Recurrent Units", 2020, section 3.5.2): noise on the inputs, four layers of gated recurrent units in both directions
/// with a dropout of whole channels after each, the maximum over points, and four dense layers. Features, which it has
/// not, are joined with the maxima.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GruStack {
    /// The standard deviation of the noise that a step of a fit adds to all channels.
    pub noise: f64,
    /// The number of units of each recurrent layer, in each direction.
    pub units: Vec<usize>,
    /// The share of channels that a step of a fit leaves out after each recurrent layer.
    pub spatial_dropout: f64,
    /// The number of units of each dense layer.
    pub hidden: Vec<usize>,
    /// The activation of each dense layer.
    pub activation: Activation,
    /// The share of units that a step of a fit leaves out after each dense layer.
    pub dropout: f64,
}

impl Default for GruStack {
    fn default() -> Self {
        Self {
            noise: 0.5,
            units: vec![256, 64, 32, 32],
            spatial_dropout: 0.1,
            hidden: vec![1024, 256, 64, 32],
            activation: Activation::Tanh,
            dropout: 0.1,
        }
    }
}

impl Design for GruStack {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        Misfits::default()
            .one_track(input)
            .recurrent(&self.units)
            .sizes("the units of each layer", &self.hidden)
            .share("dropout", self.dropout)
            .share("the dropout of channels", self.spatial_dropout)
            .unless(self.noise >= 0.0 && self.noise.is_finite(), || {
                format!("noise must be at least 0, not {}", self.noise)
            })
            .found()
    }

    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let track = &batch.tracks[0];
        let layers = Recurrent {
            units: &self.units,
            both: true,
            dropout: self.spatial_dropout,
        };
        let hidden = Hidden {
            units: &self.hidden,
            activation: self.activation,
            batch_norm: false,
            dropout: self.dropout,
        };
        let x = pass.noise(track.values.clone(), self.noise);
        let states = pass.within("encoder", |pass| layers.forward(x, &track.mask, pass));
        let x = joined(pooled_max(states, &track.mask), batch.features.clone());
        let x = pass.within("head", |pass| hidden.forward(x, pass));
        dense(x, "output", input.outputs, pass)
    }
}
