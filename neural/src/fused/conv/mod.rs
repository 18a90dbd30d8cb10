//! Convolution along the points of sequences.

mod composed;
mod shape;
#[cfg(test)]
mod tests;

pub use shape::ConvShape;

use burn::tensor::Tensor;

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
    composed::conv1d(x, weight, bias, shape)
}
