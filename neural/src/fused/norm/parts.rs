//! What the operation takes and returns.

use burn::tensor::Tensor;

/// What a normalized channel is multiplied by, and what is then added; each `[channels]`.
#[derive(Clone, Debug)]
pub struct NormWeights {
    /// The factors.
    pub scale: Tensor<1>,
    /// What is added.
    pub shift: Tensor<1>,
}

/// Means and variances of channels over the batches of a fit so far, each `[channels]`. They begin as zeros and ones.
#[derive(Clone, Debug)]
pub struct RunningStatistics {
    /// The means.
    pub mean: Tensor<1>,
    /// The variances, with the divisor `n - 1`.
    pub variance: Tensor<1>,
}

/// What [`norm_relu_pool`](super::norm_relu_pool) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormShape {
    /// Points that become one, by their maximum; 1 leaves all points.
    pub pool: usize,
    /// Normalizes by the statistics of the batch and brings the running ones up to date. Otherwise the running ones are used.
    pub fit: bool,
}

/// What [`norm_relu_pool`](super::norm_relu_pool) returns.
#[derive(Clone, Debug)]
pub struct Normed {
    /// The values, `[objects, points / pool, channels]`, zero where the mask is.
    pub values: Tensor<3>,
    /// 1 where one of the pooled points is observed, else 0, `[objects, points / pool]`.
    pub mask: Tensor<2>,
    /// The running statistics behind this batch, which have no gradient.
    pub running: RunningStatistics,
}

/// What is added to a variance before its root is taken.
pub(super) const EPSILON: f32 = 1e-5;
/// The share of the batch in the running statistics behind it.
pub(super) const MOMENTUM: f32 = 0.1;
