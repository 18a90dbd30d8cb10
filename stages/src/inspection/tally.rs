//! Counts of rows by score, true class and predicted class, over all repeats.

use std::collections::BTreeMap;

use serde::Serialize;

use super::judged::REST;
use crate::evaluation::Repeat;
use crate::numeric::metrics::cross_fitted_threshold;
use crate::numeric::metrics::multiclass::argmax;
use crate::table::Predictions;

/// The number of bins of a [`Histogram`].
const BINS: usize = 40;
/// The most classes that a [`Histogram`] names. Further ones are counted together.
const MOST: usize = 7;

/// How many rows score how high, by class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Where the last bin ends; the first begins at 0, and all have the same width.
    pub end: f64,
    /// By class, the counts of the bins; the class that is scored comes first, then the others by their number
    /// of rows.
    pub counts: Vec<(String, Vec<u64>)>,
}

/// How many rows of each true class are predicted positive, at thresholds that each fold gets from the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ByLabel {
    /// By true class: its name, the rows that are predicted positive, and the others. The positive class comes
    /// first, then those with the most false positives.
    pub classes: Vec<(String, u64, u64)>,
}

/// How many rows of each true class have which class as the most probable one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MostProbable {
    /// The classes.
    pub classes: Vec<String>,
    /// By true class and most probable class, the counts over all repeats.
    pub counts: Vec<Vec<u64>>,
}

impl MostProbable {
    /// Counts the rows; `None` if there are but two classes, or a label has no probability.
    pub fn new(predictions: &Predictions, repeats: &[Repeat]) -> Option<Self> {
        let n = predictions.classes.len();
        let mut counts = vec![vec![0; n]; n];
        for repeat in repeats.iter().filter(|_| n > 2) {
            let (probabilities, labels) = repeat.probabilities(predictions).ok()?;
            for (label, predicted) in labels.into_iter().zip(argmax(&probabilities, n)) {
                counts[label][predicted] += 1;
            }
        }
        let classes = predictions.classes.clone();
        (n > 2).then_some(Self { classes, counts })
    }
}

impl Histogram {
    /// Counts the rows by the probability of the class with this column. The classes are those of the labels, or
    /// this one and the rest.
    pub fn new(
        predictions: &Predictions,
        repeats: &[Repeat],
        column: usize,
        by_label: bool,
    ) -> Self {
        let scores = &predictions.probability[column];
        let own = &predictions.classes[column];
        let rows = || repeats.iter().flat_map(|repeat| &repeat.rows);
        let highest = rows().map(|&(row, _)| scores[row]).fold(0.0, f64::max);
        let end = round_end(highest);
        let mut counts: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for &(row, _) in rows() {
            let label = predictions.label[row].as_deref().unwrap_or_default();
            let name = if by_label || label == own {
                label
            } else {
                REST
            };
            let bin = ((scores[row] / end * BINS as f64) as usize).min(BINS - 1);
            counts.entry(name).or_insert_with(|| vec![0; BINS])[bin] += 1;
        }
        let mut counts: Vec<(String, Vec<u64>)> = (counts
            .into_iter()
            .map(|(name, bins)| (name.to_owned(), bins)))
        .collect();
        let total = |bins: &[u64]| bins.iter().sum::<u64>();
        counts.sort_by_key(|(name, bins)| (name != own, std::cmp::Reverse(total(bins))));
        if counts.len() > MOST + 1 {
            let further = counts.split_off(MOST);
            let mut sum = vec![0; BINS];
            for (_, bins) in further {
                sum.iter_mut().zip(bins).for_each(|(sum, n)| *sum += n);
            }
            counts.push((REST.to_owned(), sum));
        }
        Self { end, counts }
    }
}

/// The least of some round numbers that is no less than a probability.
pub(super) fn round_end(highest: f64) -> f64 {
    let ends = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
    ends.into_iter().find(|end| highest <= *end).unwrap_or(1.0)
}

impl ByLabel {
    /// Counts rows for the class with this column; empty if a fold has no threshold.
    pub fn new(predictions: &Predictions, repeats: &[Repeat], column: usize, class: &str) -> Self {
        let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for repeat in repeats {
            let (scores, labels) = repeat.scores(predictions, column, class);
            let nested = cross_fitted_threshold(&scores, &labels, &repeat.places());
            if nested.thresholds.contains(&None) {
                return Self::default();
            }
            for (&(row, _), predicted) in repeat.rows.iter().zip(nested.predicted) {
                let label = predictions.label[row].as_deref().unwrap_or_default();
                let (positive, rest) = counts.entry(label).or_default();
                *if predicted { positive } else { rest } += 1;
            }
        }
        let counts = counts.into_iter();
        let mut classes: Vec<(String, u64, u64)> = counts
            .map(|(name, (positive, rest))| (name.to_owned(), positive, rest))
            .collect();
        classes.sort_by_key(|(name, positive, _)| (name != class, std::cmp::Reverse(*positive)));
        Self { classes }
    }
}
