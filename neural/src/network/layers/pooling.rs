//! From the observations of an object to one row.

use burn::tensor::Tensor;

use super::hiding;

/// Returns the values with zeros where the mask hides them.
pub fn masked(x: Tensor<3>, mask: &Tensor<2>) -> Tensor<3> {
    x * mask.clone().unsqueeze_dim(2)
}

/// Returns the mean of what the mask shows of each object, `[objects, channels]`, and zeros for an object of which it
/// shows nothing.
pub fn pooled_mean(x: Tensor<3>, mask: &Tensor<2>) -> Tensor<2> {
    let shown = mask.clone().sum_dim(1).clamp_min(1.0);
    masked(x, mask).sum_dim(1).squeeze_dim(1) / shown
}

/// Returns the maximum of what the mask shows of each object, `[objects, channels]`, and zeros for an object of which
/// it shows nothing.
pub fn pooled_max(x: Tensor<3>, mask: &Tensor<2>) -> Tensor<2> {
    let any = mask.clone().max_dim(1);
    let shown = x + hiding(mask.clone()).unsqueeze_dim(2);
    shown.max_dim(1).squeeze_dim(1) * any
}
