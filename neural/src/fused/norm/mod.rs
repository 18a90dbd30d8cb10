//! Batch normalization of observations, the rectifier and pooling, as one operation.

mod composed;
mod parts;
#[cfg(test)]
mod tests;

pub use parts::{NormShape, NormWeights, Normed, RunningStatistics};

use burn::tensor::Tensor;

/// Normalizes each channel of the observations, sets what is negative to zero, and takes the maximum of `pool` points.
///
/// ```text
/// y = max(0, (x - mean) / sqrt(variance + 1e-5) scale + shift)
/// ```
///
/// `x` is `[objects, points, channels]`. Mean and variance (divisor `n`) of a fit are those of the points whose mask,
/// `[objects, points]`, is not 0 (Ioffe and Szegedy 2015, algorithm 1, on these points alone). Other points have no part in
/// maxima and a gradient of zero, whatever their values. Points behind the last whole group of `pool` are dropped.
/// With a mask of ones this is `BatchNorm1d`, `ReLU` and `MaxPool1d(pool)` of PyTorch, with its momentum of 0.1.
/// A batch with fewer than two observed points, or without a whole group, leaves the running statistics as they are.
///
/// Panics if the sizes do not fit or `pool` is 0.
pub fn norm_relu_pool(
    x: Tensor<3>,
    weights: NormWeights,
    running: RunningStatistics,
    mask: Tensor<2>,
    shape: NormShape,
) -> Normed {
    let [objects, points, channels] = x.dims();
    let of_channels = [
        &weights.scale,
        &weights.shift,
        &running.mean,
        &running.variance,
    ];
    for values in of_channels {
        assert_eq!(values.dims(), [channels], "values of channels");
    }
    assert_eq!(mask.dims(), [objects, points], "the shape of the mask");
    assert!(shape.pool > 0, "at least one point is pooled");
    composed::norm_relu_pool(x, weights, running, mask, shape)
}
