//! The operation as a composition of operations of burn, for any backend.

use burn::tensor::Tensor;

use super::EPSILON;

/// As [`super::layer_norm`].
pub fn layer_norm(x: Tensor<2>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<2> {
    let centered = x.clone() - x.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    centered / variance.add_scalar(EPSILON).sqrt() * weight.unsqueeze() + bias.unsqueeze()
}
