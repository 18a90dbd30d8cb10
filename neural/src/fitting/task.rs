//! What is learned.

use burn::tensor::Tensor;

use crate::network::{Batch, Pass};

/// What a pass of a batch came to.
pub struct Outcome {
    /// The mean loss of the batch's rows.
    pub loss: Tensor<1>,
    /// The outputs that the score is computed from, `[rows, outputs]`, if there is one.
    pub outputs: Option<Tensor<2>>,
}

/// What is learned: a network with a loss.
pub trait Task: Sync {
    /// Computes the loss of the batch of the rows `rows`.
    fn outcome(&self, rows: &[usize], batch: &Batch, pass: &mut Pass<'_>) -> Outcome;

    /// Returns how good outputs are, larger being better: `outputs` are those of the rows `rows`, one row after the other.
    /// None if that cannot be said.
    fn score(&self, rows: &[usize], outputs: &[f32]) -> Option<f64>;
}
