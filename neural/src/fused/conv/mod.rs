//! Convolution along the points of sequences.

mod composed;
mod layer;
mod shape;
mod tape;
#[cfg(test)]
mod tests;

pub use shape::ConvShape;

use burn::tensor::Tensor;

use self::layer::Layer;
use self::tape::ConvTape;
use super::flex::{Input, Values, output};

/// Returns the convolution of sequences, `[objects, windows, outputs]`:
///
/// ```text
/// y[p, o] = bias[o] + sum over j, c of x[stride p + dilation j - padding, c] weight[j channels + c, o]
/// ```
///
/// `x` is `[objects, points, channels]`, the weight is `[kernel * channels, outputs]` and the bias, if there is one,
/// `[outputs]`. This is `nn.Conv1d` of PyTorch with channels last and its weights in the order kernel, channels, outputs.
///
/// Panics if the sizes do not fit, or a size of `shape` besides the padding is 0.
pub fn conv1d(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    shape: ConvShape,
) -> Tensor<3> {
    let [_, _, channels] = x.dims();
    let [rows, outputs] = weight.dims();
    assert!(
        shape.kernel > 0 && shape.stride > 0 && shape.dilation > 0,
        "sizes of a convolution are at least 1"
    );
    assert_eq!(rows, shape.kernel * channels, "rows of the weights");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "the number of biases");
    }
    match on_cpu(&x, &weight, bias.as_ref(), shape) {
        Some(results) => results,
        None => composed::conv1d(x, weight, bias, shape),
    }
}

/// Returns the results if all numbers are on the CPU, and there are some.
fn on_cpu(
    x: &Tensor<3>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    shape: ConvShape,
) -> Option<Tensor<3>> {
    let [objects, points, channels] = x.dims();
    let [_, outputs] = weight.dims();
    let windows = shape.windows(points);
    if objects * windows * points * channels * outputs == 0 {
        return None;
    }
    let (x, weight) = (Input::of(x)?, Input::of(weight)?);
    let layer = Layer {
        shape,
        points,
        windows,
        channels,
        outputs,
        x: x.values(),
        weight: weight.values(),
    };
    let sizes = [objects, windows, outputs];
    let Some(bias) = bias else {
        let results = Values::new(layer.run(None), sizes);
        return Some(output([x, weight], results, ConvTape { layer }));
    };
    let bias = Input::of(bias)?;
    let results = Values::new(layer.run(Some(&bias.values())), sizes);
    Some(output([x, weight, bias], results, ConvTape { layer }))
}
