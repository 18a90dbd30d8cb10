//! The classes of objects, as what is learned.

use flow_stages::numeric::metrics::average_precision;

use super::loss::ClassLosses;
use super::task::{Outcome, Task};
use crate::network::{Architecture, Batch, Pass};

/// Learns the classes of rows.
pub struct ClassTask<'a> {
    /// The network.
    pub network: &'a dyn Architecture,
    /// What is made small.
    pub losses: ClassLosses,
    /// The class of each row. With one output, class 1 is the positive one of two.
    pub classes: &'a [usize],
}

impl Task for ClassTask<'_> {
    fn outcome(&self, rows: &[usize], batch: &Batch, pass: &mut Pass<'_>) -> Outcome {
        let outputs = self.network.forward(batch, pass);
        let classes: Vec<usize> = rows.iter().map(|&row| self.classes[row]).collect();
        Outcome {
            loss: self.losses.mean(outputs.clone(), &classes),
            outputs: Some(outputs.inner()),
        }
    }

    /// The average precision of the positive class with one output, else the share of rows whose largest output is that
    /// of their class.
    fn score(&self, rows: &[usize], outputs: &[f32]) -> Option<f64> {
        let width = outputs.len().checked_div(rows.len())?;
        if width == 1 {
            let scores: Vec<f64> = outputs.iter().map(|&output| output.into()).collect();
            let labels: Vec<bool> = rows.iter().map(|&row| self.classes[row] == 1).collect();
            return average_precision(&scores, &labels, None);
        }
        let each = rows.iter().zip(outputs.chunks(width));
        let right = each.filter(|(row, outputs)| {
            let largest = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let found = outputs.iter().position(|&output| output == largest);
            found == Some(self.classes[**row])
        });
        Some(right.count() as f64 / rows.len() as f64)
    }
}
