//! Operations with gradients of their own, where burn would compose many.
//!
//! Each is one function of tensors. On the CPU backend its values and gradients are computed here, some times faster than
//! by a composition of burn's operations. On any other backend the same function is that composition. Tensors may have a
//! memory of how they were computed (autodiff) or none.
//!
//! Sequences are `[objects, points, channels]`, and a mask is `[objects, points]` with 0 where no observation is.

mod activation;
mod arithmetic;
mod attention;
mod conv;
mod flex;
mod gru;
mod lanes;
mod layer_norm;
mod matrix;
mod memory;
mod norm;
#[cfg(test)]
pub(crate) mod testing;

pub use arithmetic::arithmetic;
pub use attention::attention;
pub use conv::{ConvShape, conv1d};
pub use gru::{GruWeights, gru};
pub use layer_norm::layer_norm;
pub use memory::keep_freed_memory;
pub use norm::{NormShape, NormWeights, Normed, RunningStatistics, norm_relu_pool};
