//! The networks: those that others have described, with their layers as defaults, and one of our own.
//!
//! A network is described by its sizes, which [`ArchitectureSpec::build`] makes an [`Architecture`] of. What it reads of
//! a batch is in its file. All give one row of outputs for each object, before the last activation.

mod cnn;
mod dense;
mod gru_attention;
mod gru_stack;
mod lengths;
mod multi_gru;
mod shared;
mod time_attention;
mod transformer;

#[cfg(test)]
mod tests;

pub use cnn::Cnn;
pub use dense::Dense;
pub use gru_attention::GruAttention;
pub use gru_stack::GruStack;
pub use multi_gru::MultiGru;
pub use time_attention::TimeAttention;
pub use transformer::{Positions, Transformer};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Architecture, Batch, InputShape, Pass};

/// A network by its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "snake_case")]
pub enum ArchitectureSpec {
    /// Convolutions over the points of each track.
    Cnn(Cnn),
    /// Attention within each track, then between tracks.
    Transformer(Transformer),
    /// Gated recurrent units in both directions, and attention over their states.
    GruAttention(GruAttention),
    /// Gated recurrent units in both directions for each track.
    MultiGru(MultiGru),
    /// Layers on features alone.
    Dense(Dense),
    /// Several layers of gated recurrent units in both directions, then the maximum over points.
    GruStack(GruStack),
    /// Attention over observations with an encoding of their times.
    TimeAttention(TimeAttention),
}

impl ArchitectureSpec {
    /// Returns the network for batches of this shape. Ask [`Architecture::misfits`] before its first pass.
    pub fn build(&self, input: InputShape) -> Box<dyn Architecture> {
        match self.clone() {
            Self::Cnn(design) => Box::new(Built { design, input }),
            Self::Transformer(design) => Box::new(Built { design, input }),
            Self::GruAttention(design) => Box::new(Built { design, input }),
            Self::MultiGru(design) => Box::new(Built { design, input }),
            Self::Dense(design) => Box::new(Built { design, input }),
            Self::GruStack(design) => Box::new(Built { design, input }),
            Self::TimeAttention(design) => Box::new(Built { design, input }),
        }
    }
}

/// What the file of each network says about it.
trait Design: Send + Sync {
    /// As [`Architecture::misfits`].
    fn misfits(&self, input: &InputShape) -> Vec<String>;

    /// As [`Architecture::forward`].
    fn forward(&self, input: &InputShape, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2>;
}

struct Built<D> {
    design: D,
    input: InputShape,
}

impl<D: Design> Architecture for Built<D> {
    fn misfits(&self, input: &InputShape) -> Vec<String> {
        self.design.misfits(input)
    }

    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        self.design.forward(&self.input, batch, pass)
    }
}
