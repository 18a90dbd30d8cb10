//! The metrics of slices of an evaluation's rows.

use flow_engine::StageError;
use serde::Serialize;

use super::slicing::Slicing;
use crate::evaluation::{Metric, Repeat, interval};
use crate::numeric::stats::classes::ClassRanking;
use crate::numeric::stats::weighted::{Ranking, SampleFigures};
use crate::table::Predictions;

/// The metrics of a slice.
const METRICS: [Metric; 5] = [
    Metric::F1,
    Metric::Precision,
    Metric::Recall,
    Metric::Ap,
    Metric::RocAuc,
];

/// A slice needs as many positives, and as many others, for its metrics to say something.
const LEAST_POSITIVES: u64 = 5;
/// If all classes are scored, a slice needs as many rows.
const LEAST_ROWS: u64 = 20;

/// The slices of an evaluation by one quantity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SliceSet {
    /// What the rows are sliced by: `redshift`, `magnitude`, `points`, `fold` or `repeat`.
    pub by: &'static str,
    /// The slices, in order.
    pub slices: Vec<ObjectSlice>,
}

/// A slice of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectSlice {
    /// Its name.
    pub name: String,
    /// Its rows in a repeat, the mean if repeats differ.
    pub rows: u64,
    /// The positive ones among them; `None` if all classes are scored.
    pub positives: Option<u64>,
    /// Its metrics; none if it has fewer than five positives or others, or fewer than 20 rows where all classes
    /// are scored: the metrics would be noise.
    pub figures: Vec<SliceFigure>,
}

/// A metric of a slice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SliceFigure {
    /// The metric.
    pub metric: Metric,
    /// Its value, averaged over repeats; `None` if undefined.
    pub value: Option<f64>,
    /// The ends of its 95 % interval; `None` if nothing can be said of noise.
    pub interval: Option<(f64, f64)>,
}

/// The rows of all repeats by slice, ready to be scored many times.
pub(super) struct Sliced {
    slicings: Vec<Slicing>,
    /// By repeat, all rows: thresholds are chosen among them. Empty if all classes are scored.
    rankings: Vec<Ranking>,
    /// By slice, those of all slicings one after the other.
    slices: Vec<Vec<SlicePart>>,
    /// By slice, whether it is large enough to be scored.
    enough: Vec<bool>,
}

/// The rows of a slice in one repeat.
struct SlicePart {
    repeat: usize,
    /// Their places in the repeat.
    rows: Vec<usize>,
    order: PartOrder,
}

enum PartOrder {
    /// Which of the rows are positive, and the rows in the order of their scores.
    Positive(Vec<bool>, Ranking),
    Classes(ClassRanking),
}

/// The rows of a repeat with their labels, as a slice takes from them.
enum RepeatSample {
    Positive(Vec<f64>, Vec<bool>),
    Classes(Vec<f64>, Vec<usize>, usize),
}

impl Sliced {
    /// Takes the rows of `repeats`, scored for the class with this column or for all classes.
    ///
    /// # Errors
    /// If all classes are scored and a label has no column.
    pub fn new(
        predictions: &Predictions,
        positive: Option<(usize, &str)>,
        repeats: &[Repeat],
        slicings: Vec<Slicing>,
    ) -> Result<Self, StageError> {
        let rows = |repeat: &Repeat| match positive {
            Some((column, class)) => {
                let (scores, labels) = repeat.scores(predictions, column, class);
                Ok(RepeatSample::Positive(scores, labels))
            }
            None => {
                let (probabilities, labels) = repeat.probabilities(predictions)?;
                let n_classes = predictions.classes.len();
                Ok(RepeatSample::Classes(probabilities, labels, n_classes))
            }
        };
        let all: Vec<RepeatSample> = repeats
            .iter()
            .map(rows)
            .collect::<Result<_, StageError>>()?;
        let ranking = |(rows, repeat): (&RepeatSample, &Repeat)| match rows {
            RepeatSample::Positive(scores, labels) => {
                Some(Ranking::new(scores, labels, &[repeat.places()]))
            }
            RepeatSample::Classes(..) => None,
        };
        let of_slicing = |slicing: &Slicing| -> Vec<Vec<SlicePart>> {
            let of_slice = |slice| {
                let parts = all.iter().zip(&slicing.slices).enumerate();
                let parts = parts.filter_map(|(repeat, (all, slices))| {
                    let rows = (0..slices.len()).filter(|&row| slices[row] == slice);
                    let rows: Vec<usize> = rows.collect();
                    let order = (!rows.is_empty()).then(|| all.order(&rows))?;
                    Some(SlicePart {
                        repeat,
                        rows,
                        order,
                    })
                });
                parts.collect()
            };
            (0..slicing.names.len()).map(of_slice).collect()
        };
        let slices: Vec<Vec<SlicePart>> = slicings.iter().flat_map(of_slicing).collect();
        Ok(Self {
            rankings: all.iter().zip(repeats).filter_map(ranking).collect(),
            enough: slices.iter().map(|parts| enough(parts)).collect(),
            slices,
            slicings,
        })
    }

    /// The metrics of all slices, one slice after the other, if row i of each repeat counts `counts[i]` times.
    /// Thresholds are chosen as for all rows, in each fold by the others. NaN where a metric is undefined.
    pub fn values(&self, counts: &[u32]) -> Vec<f64> {
        let predicted = |ranking: &Ranking| {
            let counts = &counts[..ranking.len()];
            ranking.predicted(counts).pop().flatten()
        };
        let predicted: Vec<Option<Vec<bool>>> = self.rankings.iter().map(predicted).collect();
        let of_slice = |(parts, enough): (&Vec<SlicePart>, &bool)| {
            if !enough {
                return [f64::NAN; METRICS.len()];
            }
            let mut sums = [0.0; METRICS.len()];
            for part in parts {
                let predicted = predicted.get(part.repeat).and_then(Option::as_ref);
                let values = part.values(counts, predicted);
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value.unwrap_or(f64::NAN);
                }
            }
            sums.map(|sum| sum / parts.len() as f64)
        };
        let slices = self.slices.iter().zip(&self.enough);
        slices.flat_map(of_slice).collect()
    }

    /// The slices whose [`Sliced::values`] are these, with intervals from the values on draws. `groups` has the
    /// group of each row of a repeat, if objects that are copies of one source are known.
    pub fn finish(
        self,
        values: &[f64],
        draws: &[Vec<f64>],
        groups: Option<&[String]>,
    ) -> Vec<SliceSet> {
        let mut slices = self.slices.iter().enumerate();
        let slicings = self.slicings.into_iter();
        slicings
            .map(|Slicing { by, names, .. }| {
                let parts = slices.by_ref().take(names.len());
                let slices = names.into_iter().zip(parts).map(|(name, (at, parts))| {
                    let first = at * METRICS.len();
                    let units = units(parts, groups);
                    let figures = METRICS.iter().enumerate().map(|(i, &metric)| {
                        let defined = |values: &[f64]| {
                            Some(values[first + i]).filter(|value| !value.is_nan())
                        };
                        let value = defined(values);
                        let on_draws = || draws.iter().map(|draw| defined(draw)).collect();
                        SliceFigure {
                            metric,
                            value,
                            interval: value.and_then(|v| interval(metric, v, on_draws(), units)),
                        }
                    });
                    let figures = figures.filter(|_| self.enough[at]).collect();
                    ObjectSlice {
                        name,
                        rows: mean(parts.iter().map(|part| part.rows.len() as u64)),
                        positives: positives(parts),
                        figures,
                    }
                });
                SliceSet {
                    by,
                    slices: slices.collect(),
                }
            })
            .collect()
    }
}

/// Returns whether a slice is large enough to be scored.
fn enough(parts: &[SlicePart]) -> bool {
    let rows = mean(parts.iter().map(|part| part.rows.len() as u64));
    match positives(parts) {
        Some(positives) => positives.min(rows - positives) >= LEAST_POSITIVES,
        None => rows >= LEAST_ROWS,
    }
}

/// The positive rows of a slice in a repeat; `None` if all classes are scored.
fn positives(parts: &[SlicePart]) -> Option<u64> {
    let of_part = |part: &SlicePart| match &part.order {
        PartOrder::Positive(labels, _) => Some(labels.iter().filter(|l| **l).count() as u64),
        PartOrder::Classes(_) => None,
    };
    let counts: Option<Vec<u64>> = parts.iter().map(of_part).collect();
    counts.map(|counts| mean(counts.into_iter()))
}

/// The independent units of a slice: its objects, or their groups.
fn units(parts: &[SlicePart], groups: Option<&[String]>) -> usize {
    let Some(part) = parts.first() else {
        return 0;
    };
    let Some(groups) = groups else {
        return part.rows.len();
    };
    let mut names: Vec<&String> = part.rows.iter().map(|&row| &groups[row]).collect();
    names.sort();
    names.dedup();
    names.len()
}

fn mean(counts: impl ExactSizeIterator<Item = u64>) -> u64 {
    let n = counts.len().max(1) as u64;
    counts.sum::<u64>() / n
}

impl RepeatSample {
    fn order(&self, rows: &[usize]) -> PartOrder {
        match self {
            Self::Positive(scores, labels) => {
                let scores: Vec<f64> = rows.iter().map(|&row| scores[row]).collect();
                let labels: Vec<bool> = rows.iter().map(|&row| labels[row]).collect();
                let ranking = Ranking::new(&scores, &labels, &[]);
                PartOrder::Positive(labels, ranking)
            }
            Self::Classes(probabilities, labels, n) => {
                let of_row = |&row: &usize| &probabilities[row * n..][..*n];
                let probabilities: Vec<f64> = rows.iter().flat_map(of_row).copied().collect();
                let labels: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
                PartOrder::Classes(ClassRanking::new(&probabilities, &labels, *n))
            }
        }
    }
}

impl SlicePart {
    /// The values of [`METRICS`]; `predicted` says which rows of the repeat are predicted positive.
    fn values(&self, counts: &[u32], predicted: Option<&Vec<bool>>) -> [Option<f64>; 5] {
        let here: Vec<u32> = self.rows.iter().map(|&row| counts[row]).collect();
        match &self.order {
            PartOrder::Classes(ranking) => {
                let SampleFigures {
                    f1,
                    precision,
                    recall,
                    average_precision,
                    roc_auc,
                    ..
                } = ranking.figures(&here);
                [f1, precision, recall, average_precision, roc_auc]
            }
            PartOrder::Positive(labels, ranking) => {
                let figures = ranking.figures(&here);
                let (mut found, mut all, mut positives) = (0.0, 0.0, 0.0);
                for ((&row, &label), &count) in self.rows.iter().zip(labels).zip(&here) {
                    let count = f64::from(count);
                    positives += if label { count } else { 0.0 };
                    if predicted.is_some_and(|predicted| predicted[row]) {
                        all += count;
                        found += if label { count } else { 0.0 };
                    }
                }
                let known = predicted.is_some() && positives > 0.0;
                let share = |n: f64, of: f64| known.then_some(if of > 0.0 { n / of } else { 0.0 });
                [
                    share(2.0 * found, all + positives),
                    share(found, all),
                    share(found, positives),
                    figures.average_precision,
                    figures.roc_auc,
                ]
            }
        }
    }
}
