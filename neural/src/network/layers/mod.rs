//! Layers: functions of tensors that take their weights from a [`Pass`](super::Pass).
//!
//! Sequences have the shape `[objects, points, channels]`, and masks `[objects, points]`, as in a
//! [`Track`](super::Track). No layer lets what the mask hides reach an observation or a pooled value.

mod attention;
mod convolution;
mod dense;
mod encoding;
mod normalization;
mod pooling;
mod recurrent;
#[cfg(test)]
mod tests;

pub use attention::{Encoder, additive_attention, attention};
pub use convolution::Convolution;
pub use dense::{Activation, Hidden, dense, linear};
pub use encoding::sinusoids;
pub use normalization::{batch_norm, layer_norm};
pub use pooling::{masked, pooled_max, pooled_mean};
pub use recurrent::{Recurrent, final_states};

use burn::tensor::{Tensor, activation};

/// What is added to the score of something that must not be seen. After a softmax nothing of it is left.
const HIDDEN: f32 = 1e9;

/// Returns zero where the mask is 1, and a large negative number where it is 0.
fn hiding<const D: usize>(mask: Tensor<D>) -> Tensor<D> {
    mask.sub_scalar(1.0).mul_scalar(HIDDEN)
}

/// Returns the softmax over the last dimension of the scores that the mask, of the same shape or broadcast, does not
/// hide. Where it hides all of them, the result is the softmax of the scores without a mask.
fn masked_softmax<const D: usize>(scores: Tensor<D>, mask: Tensor<D>) -> Tensor<D> {
    activation::softmax(scores + hiding(mask), D - 1)
}
