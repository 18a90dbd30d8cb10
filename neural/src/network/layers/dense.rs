//! Layers that see one row at a time.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::super::{Init, Pass};
use super::normalization::batch_norm;
use crate::fused::{self, ConvShape};

/// What a layer does to each of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x` times the normal distribution function of `x` (Hendrycks and Gimpel 2016, section 2).
    Gelu,
}

impl Activation {
    /// Returns the activation of each value.
    pub fn of<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Tanh => activation::tanh(x),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Gelu => activation::gelu(x),
        }
    }
}

/// Returns `x W + b` over the last dimension. The weights of the layer begin uniformly between minus and plus
/// `1 / sqrt(inputs)`, as those of PyTorch do.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    name: &str,
    outputs: usize,
    pass: &mut Pass<'_>,
) -> Tensor<D> {
    let bound = Init::Uniform(1.0 / (x.dims()[D - 1] as f32).sqrt());
    affine(x, name, (outputs, bound, bound), pass)
}

/// Returns `x W + b` over the last dimension. The weights of the layer begin as those of Keras do: `W` as
/// [`Init::Glorot`], and `b` with zeros.
pub fn dense<const D: usize>(
    x: Tensor<D>,
    name: &str,
    outputs: usize,
    pass: &mut Pass<'_>,
) -> Tensor<D> {
    let inputs = x.dims()[D - 1];
    let glorot = Init::Glorot { inputs, outputs };
    affine(x, name, (outputs, glorot, Init::Constant(0.0)), pass)
}

fn affine<const D: usize>(
    x: Tensor<D>,
    name: &str,
    (outputs, weight, bias): (usize, Init, Init),
    pass: &mut Pass<'_>,
) -> Tensor<D> {
    let mut shape = x.dims();
    let inputs = shape[D - 1];
    let rows = shape[..D - 1].iter().product();
    shape[D - 1] = outputs;
    let (weight, bias) = pass.within(name, |pass| {
        (
            pass.weight("weight", [inputs, outputs], weight),
            pass.weight("bias", [outputs], bias),
        )
    });
    // A row is a sequence of one point.
    let rows = x.reshape([rows, 1, inputs]);
    fused::conv1d(rows, weight, Some(bias), ConvShape::same(1)).reshape(shape)
}

/// Some layers one after another, each with an activation.
#[derive(Clone, Copy, Debug)]
pub struct Hidden<'a> {
    /// The number of units of each layer.
    pub units: &'a [usize],
    /// The activation of all layers.
    pub activation: Activation,
    /// Each activation is followed by batch normalization.
    pub batch_norm: bool,
    /// The share of units that a step of a fit leaves out after each layer.
    pub dropout: f64,
}

impl Hidden<'_> {
    /// Returns the outputs of the last layer, `[objects, units]`, or `x` if there is none. The layers are named by
    /// their numbers.
    pub fn forward(&self, mut x: Tensor<2>, pass: &mut Pass<'_>) -> Tensor<2> {
        for (layer, &units) in self.units.iter().enumerate() {
            let name = layer.to_string();
            x = self.activation.of(dense(x, &name, units, pass));
            if self.batch_norm {
                x = batch_norm(x, &format!("{name}.norm"), pass);
            }
            x = pass.dropout(x, self.dropout, false);
        }
        x
    }
}
