//! A layer of gated recurrent units.

mod composed;
#[cfg(test)]
mod tests;
mod weights;

pub use weights::GruWeights;

use burn::tensor::Tensor;

/// Returns the state after each point, `[objects, points, H]`, of a layer whose first state is zero:
///
/// ```text
/// r = sigmoid(x W_r + b_r + h U_r + c_r)
/// z = sigmoid(x W_z + b_z + h U_z + c_z)
/// n = tanh(x W_n + b_n + r (h U_n + c_n))
/// h' = (1 - z) n + z h
/// ```
///
/// This is `nn.GRU` of PyTorch, which differs from Cho et al. (2014, arXiv:1406.1078, section 2.3) in that `r` multiplies
/// the product, not the state. `x` is `[objects, points, inputs]`. Where the mask, `[objects, points]`, is 0, the state stays
/// as it was and the inputs are not looked at. With `reverse` the layer goes from the last point to the first, so the state
/// after all points is at point 0.
///
/// Panics if the sizes do not fit.
pub fn gru(x: Tensor<3>, weights: GruWeights, mask: Tensor<2>, reverse: bool) -> Tensor<3> {
    check(&x, &weights, &mask);
    composed::gru(x, weights, mask, reverse)
}

fn check(x: &Tensor<3>, weights: &GruWeights, mask: &Tensor<2>) {
    let [objects, points, inputs] = x.dims();
    let [units, gates] = weights.state.dims();
    assert_eq!(gates, 3 * units, "columns of the weights of the state");
    assert_eq!(
        weights.input.dims(),
        [inputs, gates],
        "the shape of the weights of the inputs"
    );
    assert_eq!(weights.input_bias.dims(), [gates], "biases of the inputs");
    assert_eq!(weights.state_bias.dims(), [gates], "biases of the state");
    assert_eq!(mask.dims(), [objects, points], "the shape of the mask");
}
