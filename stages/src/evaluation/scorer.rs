//! Scores a repeat: every metric of all its rows, and of the rows of each fold.
//!
//! [`MetricReport`](super::MetricReport) reports these metrics, and comparisons of classifiers pair
//! them fold by fold.

use std::cell::OnceCell;

use super::Metric;
use crate::numeric::metrics::multiclass::{self, ConfusionMatrix};
use crate::numeric::metrics::{self, Confusion, best_f1_threshold, cross_fitted_threshold};

/// One repeat of a cross-validation, scored.
pub struct ScoredRepeat {
    /// All rows together.
    pub pooled: ScoredRows,
    /// The rows of each fold.
    pub folds: Vec<ScoredRows>,
}

/// Rows that are scored together.
pub enum ScoredRows {
    /// Rows that are scored for one class against the rest.
    Binary(BinaryRows),
    /// Rows that are scored for all classes.
    Classes(ClassRows),
}

/// Rows scored for one class against the rest.
pub struct BinaryRows {
    scores: Vec<f64>,
    labels: Vec<bool>,
    /// The counts at the thresholds of other folds, if there are any.
    nested: Option<Confusion>,
    /// The threshold, or the mean of several.
    threshold: Option<f64>,
    /// The threshold that is best on these rows, computed when it is first asked for.
    oracle: OnceCell<Option<f64>>,
}

/// Rows scored for all classes, at the most probable one.
pub struct ClassRows {
    /// The probabilities, row after row.
    probabilities: Vec<f64>,
    labels: Vec<usize>,
    counts: ConfusionMatrix,
    n_classes: usize,
}

impl ScoredRepeat {
    /// Scores one class: takes its scores, and which rows belong to it. `folds` numbers the fold of
    /// each row from 0, without gaps.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn binary(scores: &[f64], labels: &[bool], folds: &[u32]) -> Self {
        let nested = cross_fitted_threshold(scores, labels, folds);
        let rows = |rows: &[usize], threshold: Option<f64>| {
            let labels = pick(labels, rows);
            let predicted = pick(&nested.predicted, rows);
            ScoredRows::Binary(BinaryRows {
                scores: pick(scores, rows),
                nested: threshold.map(|_| Confusion::of(&predicted, &labels)),
                labels,
                threshold,
                oracle: OnceCell::new(),
            })
        };
        let chosen: Option<Vec<f64>> = nested.thresholds.iter().copied().collect();
        let mean = chosen.map(|chosen| chosen.iter().sum::<f64>() / chosen.len() as f64);
        let by_fold = rows_by_fold(folds);
        Self {
            pooled: rows(&(0..labels.len()).collect::<Vec<_>>(), mean),
            folds: (by_fold.iter().zip(&nested.thresholds))
                .map(|(here, threshold)| rows(here, *threshold))
                .collect(),
        }
    }

    /// Scores all classes: takes their probabilities, row after row, and the class of each row.
    ///
    /// # Panics
    /// If lengths differ or there is no class.
    pub fn classes(
        probabilities: &[f64],
        labels: &[usize],
        n_classes: usize,
        folds: &[u32],
    ) -> Self {
        let rows = |rows: &[usize]| {
            let labels = pick(labels, rows);
            let probabilities: Vec<f64> = rows
                .iter()
                .flat_map(|&row| &probabilities[row * n_classes..][..n_classes])
                .copied()
                .collect();
            let predicted = multiclass::argmax(&probabilities, n_classes);
            ScoredRows::Classes(ClassRows {
                counts: ConfusionMatrix::of(&predicted, &labels, n_classes),
                probabilities,
                labels,
                n_classes,
            })
        };
        Self {
            pooled: rows(&(0..labels.len()).collect::<Vec<_>>()),
            folds: rows_by_fold(folds).iter().map(|here| rows(here)).collect(),
        }
    }

    /// The first fold for which no threshold could be chosen, because no other fold has positives.
    pub fn without_threshold(&self) -> Option<usize> {
        let lacks = |rows: &ScoredRows| matches!(rows, ScoredRows::Binary(rows) if rows.threshold.is_none());
        self.folds.iter().position(lacks)
    }
}

impl ScoredRows {
    /// Returns a metric; `None` if it is undefined, does not apply to these rows, or is one that
    /// [`Sample`](super::Sample) computes. `fixed` is the fixed threshold.
    pub fn value(&self, metric: Metric, fixed: f64) -> Option<f64> {
        match self {
            Self::Binary(rows) => rows.value(metric, fixed),
            Self::Classes(rows) => rows.value(metric),
        }
    }

    /// Returns whether any row belongs to the class that is scored.
    pub fn has_positives(&self) -> bool {
        match self {
            Self::Binary(rows) => rows.labels.contains(&true),
            Self::Classes(rows) => !rows.labels.is_empty(),
        }
    }

    /// Counts rows by true and predicted class, the rest first; `None` if some have no prediction.
    pub fn confusion(&self) -> Option<Vec<Vec<u64>>> {
        match self {
            Self::Binary(rows) => {
                let counts = rows.nested?;
                Some(vec![
                    vec![counts.tn, counts.fp],
                    vec![counts.fn_, counts.tp],
                ])
            }
            Self::Classes(rows) => {
                let counts = rows.counts.counts().chunks_exact(rows.n_classes);
                Some(counts.map(<[u64]>::to_vec).collect())
            }
        }
    }
}

impl BinaryRows {
    /// Returns `None` for rows without positives. A metric that depends on thresholds is also undefined
    /// if there is no other fold to choose one on.
    fn value(&self, metric: Metric, fixed: f64) -> Option<f64> {
        let (scores, labels) = (&self.scores, &self.labels);
        let defined = labels.contains(&true);
        let nested = self.nested.filter(|_| defined);
        let fixed = || defined.then(|| Confusion::at(scores, labels, fixed));
        let oracle = || (self.oracle).get_or_init(|| best_f1_threshold(scores, labels));
        match metric {
            Metric::F1 => nested.map(|counts| counts.f1()),
            Metric::Precision => nested.map(|counts| counts.precision()),
            Metric::Recall => nested.map(|counts| counts.recall()),
            Metric::Mcc => nested.map(|counts| counts.mcc()),
            Metric::F1Fixed => fixed().map(|counts| counts.f1()),
            Metric::PrecisionFixed => fixed().map(|counts| counts.precision()),
            Metric::RecallFixed => fixed().map(|counts| counts.recall()),
            Metric::F1Oracle => oracle().map(|t| Confusion::at(scores, labels, t).f1()),
            Metric::RocAuc => metrics::roc_auc(scores, labels, None),
            Metric::Ap => metrics::average_precision(scores, labels, None),
            Metric::LogLoss => metrics::log_loss(scores, labels),
            Metric::Brier => metrics::brier(scores, labels),
            Metric::Threshold => self.threshold,
            Metric::ThresholdOracle => *oracle(),
            _ => None,
        }
    }
}

impl ClassRows {
    fn value(&self, metric: Metric) -> Option<f64> {
        let (p, labels, n) = (&self.probabilities, &self.labels, self.n_classes);
        match metric {
            Metric::F1 => Some(self.counts.macro_f1()),
            Metric::Precision => Some(self.counts.macro_precision()),
            Metric::Recall => Some(self.counts.macro_recall()),
            Metric::Accuracy => Some(self.counts.accuracy()),
            Metric::RocAuc => multiclass::roc_auc_macro(p, labels, n),
            Metric::Ap => multiclass::average_precision_macro(p, labels, n),
            Metric::LogLoss => multiclass::log_loss(p, labels, n),
            _ => None,
        }
    }
}

fn pick<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&row| values[row]).collect()
}

fn rows_by_fold(folds: &[u32]) -> Vec<Vec<usize>> {
    let n = folds.iter().max().map_or(0, |&last| last as usize + 1);
    let mut rows = vec![Vec::new(); n];
    for (row, &fold) in folds.iter().enumerate() {
        rows[fold as usize].push(row);
    }
    rows
}
