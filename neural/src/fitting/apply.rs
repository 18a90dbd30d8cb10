//! What a fitted network gives for rows.

use burn::tensor::{Device, Tensor};

use super::arrays::{Arrays, to_host};
use super::error::FitError;
use super::samples::Samples;
use crate::network::{Batch, Pass};

/// The application of a network to rows.
pub struct Application<'a> {
    /// Computes one row for each object of a batch.
    pub forward: &'a dyn Fn(&Batch, &mut Pass<'_>) -> Tensor<2>,
    /// The rows.
    pub samples: &'a Samples<'a>,
    /// The number of rows that are computed at a time.
    pub batch_size: usize,
    /// Where it is computed; gradients are not needed.
    pub device: &'a Device,
    /// Returns true if the work is to end. It is asked before each batch.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Application<'_> {
    /// Returns what a network with these weights gives for the first `rows` rows, one row after the other.
    ///
    /// # Errors
    /// [`FitError::Stopped`].
    pub fn outputs(&self, weights: &Arrays, rows: usize) -> Result<Vec<f32>, FitError> {
        let mut weights = weights.to_weights(self.device);
        let all: Vec<usize> = (0..rows).collect();
        let mut outputs = Vec::new();
        for rows in all.chunks(self.batch_size.max(1)) {
            if (self.stop)() {
                return Err(FitError::Stopped);
            }
            let batch = self.samples.batch(rows, self.device);
            let mut pass = Pass::of_prediction(&mut weights, self.device);
            outputs.extend(to_host(&(self.forward)(&batch, &mut pass)));
        }
        Ok(outputs)
    }
}
