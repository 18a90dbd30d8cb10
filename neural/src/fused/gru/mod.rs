//! A layer of gated recurrent units.

mod composed;
mod layer;
mod plan;
mod tape;
#[cfg(test)]
mod tests;
mod weights;

pub use weights::GruWeights;

use burn::tensor::Tensor;

use self::layer::{Layer, new_first, row_bias};
use self::tape::GruTape;
use super::flex::{Input, Values, output};

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
    match on_cpu(&x, &weights, &mask, reverse) {
        Some(states) => states,
        None => composed::gru(x, weights, mask, reverse),
    }
}

/// Returns the states if all numbers are on the CPU, and there are some.
fn on_cpu(
    x: &Tensor<3>,
    weights: &GruWeights,
    mask: &Tensor<2>,
    reverse: bool,
) -> Option<Tensor<3>> {
    let [objects, points, inputs] = x.dims();
    let [units, _] = weights.state.dims();
    if objects * points * inputs * units == 0 {
        return None;
    }
    let parts = [
        Input::of(x)?,
        Input::of(&weights.input)?,
        Input::of(&weights.state)?,
        Input::of(&weights.input_bias)?,
        Input::of(&weights.state_bias)?,
    ];
    let [x, input, state, input_bias, state_bias] = parts.each_ref().map(Input::values);
    let layer = Layer {
        points,
        inputs,
        units,
        x,
        mask: Input::of(mask)?.values(),
        input: new_first(&input, units),
        state,
        bias: row_bias(&input_bias, &state_bias),
        reverse,
    };
    let mut states = vec![0.0; objects * points * units];
    let blocks = layer.run(&mut states);
    let states = Values::new(states, [objects, points, units]);
    let tape = GruTape {
        layer,
        states: states.clone(),
        blocks,
    };
    Some(output(parts, states, tape))
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
