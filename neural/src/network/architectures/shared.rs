//! What several networks have in common.

use burn::tensor::Tensor;

use super::super::layers::{Activation, Hidden, linear};
use super::super::{Batch, InputShape, Pass};

/// The layers behind the last pooling.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The number of units of each layer.
    pub hidden: &'a [usize],
    /// The share of units that a step of a fit leaves out after each layer.
    pub dropout: f64,
    /// The number of outputs.
    pub outputs: usize,
}

impl Head<'_> {
    /// Returns the outputs of layers that read what was pooled and, if there are some, the features beside it.
    pub fn forward(&self, pooled: Tensor<2>, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        self.beside(pooled, batch.features.clone(), pass)
    }

    /// As [`Self::forward`], with the features in place of those of the batch.
    pub fn beside(
        &self,
        pooled: Tensor<2>,
        features: Option<Tensor<2>>,
        pass: &mut Pass<'_>,
    ) -> Tensor<2> {
        let hidden = Hidden {
            units: self.hidden,
            activation: Activation::Relu,
            batch_norm: false,
            dropout: self.dropout,
        };
        let x = joined(pooled, features);
        let x = pass.within("head", |pass| hidden.forward(x, pass));
        linear(x, "output", self.outputs, pass)
    }
}

/// Returns the columns of both side by side.
pub fn joined(x: Tensor<2>, features: Option<Tensor<2>>) -> Tensor<2> {
    match features {
        Some(features) => Tensor::cat(vec![x, features], 1),
        None => x,
    }
}

/// Returns the place of the channel of this name.
pub fn channel(input: &InputShape, name: &str) -> Option<usize> {
    input.channels.iter().position(|channel| channel == name)
}
