//! Networks as functions of a batch.
//!
//! An [`Architecture`] computes the outputs of a [`Batch`] in a [`Pass`]. The pass hands out the [`Weights`] by name and
//! makes them on first use, so an architecture says once what its layers are.

pub mod architectures;
mod autoencoder;
mod batch;
pub mod layers;
mod misfits;
mod pass;
#[cfg(test)]
mod testing;
mod weights;

pub use architectures::ArchitectureSpec;
pub use autoencoder::{Autoencoder, AutoencoderSpec};
pub use batch::{Batch, InputShape, Track};
pub use pass::{Init, Mode, Pass};
pub use weights::{Weight, Weights, flat};

use burn::tensor::Tensor;

/// A network.
pub trait Architecture: Send + Sync {
    /// Returns what does not fit between the sizes of the network and its input, one sentence each.
    fn misfits(&self, input: &InputShape) -> Vec<String>;

    /// Returns the outputs of the batch before the last activation: `[objects, outputs]`.
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2>;
}
