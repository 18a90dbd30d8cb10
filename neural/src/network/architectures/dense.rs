//! Dense layers on features.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::super::layers::{Activation, Hidden, dense};
use super::super::misfits::Misfits;
use super::super::{Batch, InputShape, Pass};
use super::Design;

/// Layers on features alone, with batch normalization and dropout after each.
///
/// The defaults are the network of Bundas ("Classifying Astronomical Objects Using Time Series Neural Network", 2020):
/// 512, 512, 256, 256 and 128 units with sigmoids, each followed by batch normalization and a dropout of 0.4.
/// [`Self::two_dimensional`] is another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dense {
    /// The number of units of each layer.
    pub hidden: Vec<usize>,
    /// The activation of each layer.
    pub activation: Activation,
    /// Each activation is followed by batch normalization.
    pub batch_norm: bool,
    /// The share of units that a step of a fit leaves out after each layer.
    pub dropout: f64,
}

impl Default for Dense {
    fn default() -> Self {
        Self {
            hidden: vec![512, 512, 256, 256, 128],
            activation: Activation::Sigmoid,
            batch_norm: true,
            dropout: 0.4,
        }
    }
}

impl Dense {
    /// The network 2DSubM of Chaini and Kumar ("Astronomical Classification of Light Curves with an Ensemble of Gated
    /// Recurrent Units", 2020, section 3.5.1).
    pub fn two_dimensional() -> Self {
        Self {
            hidden: vec![512, 128, 128, 64],
            activation: Activation::Tanh,
            batch_norm: true,
            dropout: 0.1,
        }
    }
}

impl Design for Dense {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        Misfits::default()
            .unless(input.features > 0, || {
                "it reads features, and there are none".into()
            })
            .unless(input.tracks.is_empty(), || {
                "it reads features only, and there are sequences".into()
            })
            .sizes("the units of each layer", &self.hidden)
            .share("dropout", self.dropout)
            .found()
    }

    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let hidden = Hidden {
            units: &self.hidden,
            activation: self.activation,
            batch_norm: self.batch_norm,
            dropout: self.dropout,
        };
        let features = batch.features.clone().expect("no misfits");
        let x = hidden.forward(features, pass);
        dense(x, "output", input.outputs, pass)
    }
}
