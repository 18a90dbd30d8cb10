//! The metrics over all classes when each row counts a whole number of times: macro averages, over the
//! classes that occur in the sample, at the most probable class.
//!
//! Definitions are those of [`multiclass`](crate::numeric::metrics::multiclass), with two exceptions. A
//! class that does not occur has no influence even if it is predicted, so that both sides of a
//! comparison average over the same classes in every draw. A probability counts as at least a millionth
//! in the log-loss, because probabilities are kept in millionths.

use super::weighted::{Ranking, SampleFigures};
use crate::numeric::metrics::multiclass::argmax;

/// The smallest probability in a log-loss.
const FLOOR: f64 = 1e-6;

/// Rows with the probabilities of all classes.
#[derive(Clone, Debug)]
pub struct ClassRanking {
    truth: Vec<usize>,
    predicted: Vec<usize>,
    loss: Vec<f64>,
    /// For each class, the rows in the order of its probability.
    one_vs_rest: Vec<Ranking>,
}

impl ClassRanking {
    /// Takes a row-major matrix with one column for each class, and the class of each row.
    ///
    /// # Panics
    /// If lengths differ or there is no class.
    pub fn new(probabilities: &[f64], truth: &[usize], n_classes: usize) -> Self {
        assert_eq!(probabilities.len(), truth.len() * n_classes);
        let rows = || probabilities.chunks_exact(n_classes);
        let against_the_rest = |class: usize| {
            let scores: Vec<f64> = rows().map(|row| row[class]).collect();
            let positive: Vec<bool> = truth.iter().map(|&c| c == class).collect();
            Ranking::new(&scores, &positive, &[])
        };
        let loss = |(row, &class): (&[f64], &usize)| -libm::log(row[class].clamp(FLOOR, 1.0));
        Self {
            predicted: argmax(probabilities, n_classes),
            loss: rows().zip(truth).map(loss).collect(),
            one_vs_rest: (0..n_classes).map(against_the_rest).collect(),
            truth: truth.to_vec(),
        }
    }

    /// The metrics of the sample in which row i counts `counts[i]` times.
    ///
    /// # Panics
    /// If `counts` does not have one number for each row.
    pub fn figures(&self, counts: &[u32]) -> SampleFigures {
        let n_classes = self.one_vs_rest.len();
        // For each class: the rows of it, the rows predicted as it, and the rows that are both.
        let mut seen = vec![[0_u64; 3]; n_classes];
        let (mut loss, mut rows) = (0.0, 0_u64);
        for (i, &count) in counts.iter().enumerate() {
            let (truth, predicted) = (self.truth[i], self.predicted[i]);
            let count = u64::from(count);
            seen[truth][0] += count;
            seen[predicted][1] += count;
            if truth == predicted {
                seen[truth][2] += count;
            }
            loss += count as f64 * self.loss[i];
            rows += count;
        }
        let occurring = || (0..n_classes).filter(|&class| seen[class][0] > 0);
        let share = |n: u64, of: u64| if of == 0 { 0.0 } else { n as f64 / of as f64 };
        let average = |figure: &dyn Fn([u64; 3]) -> f64| {
            let n = occurring().count();
            (n > 0).then(|| occurring().map(|class| figure(seen[class])).sum::<f64>() / n as f64)
        };
        // A class that all rows belong to has no area, because any order of the rows would do.
        let areas: Vec<(f64, f64)> = occurring()
            .filter_map(|class| {
                let figures = self.one_vs_rest[class].figures(counts);
                Some((figures.average_precision?, figures.roc_auc?))
            })
            .collect();
        let area = |of: fn(&(f64, f64)) -> f64| {
            let sum: f64 = areas.iter().map(of).sum();
            (!areas.is_empty()).then(|| sum / areas.len() as f64)
        };
        SampleFigures {
            average_precision: area(|areas| areas.0),
            roc_auc: area(|areas| areas.1),
            f1: average(&|[truth, predicted, both]| share(2 * both, truth + predicted)),
            precision: average(&|[_, predicted, both]| share(both, predicted)),
            recall: average(&|[truth, _, both]| share(both, truth)),
            mcc: None,
            log_loss: (rows > 0).then(|| loss / rows as f64),
        }
    }
}
