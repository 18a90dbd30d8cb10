//! Layer normalization.

mod composed;
mod rows;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;

use super::flex::{Input, Values, output};
use rows::{NormedRows, forward};

/// What is added to variances.
const EPSILON: f32 = 1e-5;

/// Returns rows with mean 0 and variance 1, `[rows, columns]`, times a weight and plus a bias of each column:
///
/// ```text
/// y = (x - mean) / sqrt(variance + 1e-5) weight + bias
/// ```
///
/// (Ba, Kiros and Hinton 2016, equation 4; the variance has the divisor `n`.)
///
/// Panics if the sizes do not fit.
pub fn layer_norm(x: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<2> {
    let [_, columns] = x.dims();
    assert_eq!(weight.dims(), [columns], "the number of weights");
    assert_eq!(bias.dims(), [columns], "the number of biases");
    match on_cpu(&x, &weight, &bias) {
        Some(normed) => normed,
        None => composed::layer_norm(x, weight, bias),
    }
}

/// Returns the rows if all numbers are on the CPU, and there are some.
fn on_cpu(x: &Tensor<2>, weight: &Tensor<1>, bias: &Tensor<1>) -> Option<Tensor<2>> {
    let shape = x.dims();
    if shape.contains(&0) {
        return None;
    }
    let inputs = [Input::of(x)?, Input::of(weight)?, Input::of(bias)?];
    let [x, weight, bias] = inputs.each_ref().map(Input::values);
    let (normed, scales) = forward(&x, &weight, &bias);
    let tape = NormedRows { x, weight, scales };
    Some(output(inputs, Values::new(normed, shape), tape))
}
