//! Comparing classifiers that were scored on the same objects: what an ablation, a tuning study and
//! a regression gate share.
//!
//! An [`Arm`] is one evaluation: the out-of-fold scores of every object in every repeat.
//! [`summarise`] gives its metrics with intervals, [`compare`] paired differences to a base, each
//! with a [`Verdict`]. Both are pure functions of the arms and [`Options`]: the same figures for any
//! number of threads. Their results serialise to plain JSON objects.
//!
//! With a positive class, an object's score is P(positive) and metrics are those of that class against the
//! rest. Without one they are macro averages over all classes, and their log-loss.
//!
//! Metrics are those of the **repeat-averaged scores**: the mean over repeats of an object's
//! out-of-fold probabilities. They are a little better than `evaluate`'s pooled figures, which are
//! means over repeats of the metrics, as an average of models is better than its parts.
//!
//! `docs/statistics.md` states every formula, its source, and measured coverage.

mod arm;
mod compare;
mod earlier;
pub mod gate;
#[cfg(test)]
mod tests;

pub use arm::{Arm, Classes, Deal, Parts};
pub use compare::{Comparison, Difference, Estimate, Summary, Verdict, compare, summarise};
pub use earlier::{Pair, Scores};

use serde::{Deserialize, Serialize};

/// What is compared. Serialised under the names that `evaluate` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// Average precision: the primary metric.
    #[serde(rename = "pr_auc")]
    Ap,
    /// F1, nested: the threshold of each fold is chosen on the other folds.
    #[serde(rename = "f1")]
    F1,
    /// Precision at the same thresholds.
    #[serde(rename = "precision")]
    Precision,
    /// Recall at the same thresholds.
    #[serde(rename = "recall")]
    Recall,
    /// Area under the ROC curve.
    #[serde(rename = "roc_auc")]
    RocAuc,
    /// Mean of -ln P(true class): the lower, the better. Only where all classes are scored.
    #[serde(rename = "log_loss")]
    LogLoss,
}

impl Metric {
    /// All of them, the primary one first.
    pub const ALL: [Metric; 6] = [
        Metric::Ap,
        Metric::F1,
        Metric::Precision,
        Metric::Recall,
        Metric::RocAuc,
        Metric::LogLoss,
    ];

    /// Its name in JSON and in `evaluate`'s metrics.
    pub fn key(self) -> &'static str {
        match self {
            Metric::Ap => "pr_auc",
            Metric::F1 => "f1",
            Metric::Precision => "precision",
            Metric::Recall => "recall",
            Metric::RocAuc => "roc_auc",
            Metric::LogLoss => "log_loss",
        }
    }

    /// Its name in a table.
    pub fn title(self) -> &'static str {
        match self {
            Metric::Ap => "AP",
            Metric::F1 => "F1",
            Metric::Precision => "precision",
            Metric::Recall => "recall",
            Metric::RocAuc => "ROC-AUC",
            Metric::LogLoss => "log-loss",
        }
    }

    /// How much better a difference makes it: less is better of a loss.
    pub fn gain(self, difference: f64) -> f64 {
        match self {
            Metric::LogLoss => -difference,
            _ => difference,
        }
    }

    /// The metric with a [`Metric::key`].
    pub fn from_key(key: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.key() == key)
    }
}

/// What a bootstrap draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Single objects.
    Object,
    /// Groups of the `folds` stage, whole.
    Group,
}

/// How to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Bootstrap draws.
    pub draws: usize,
    /// Confidence of intervals; 1 less the chance of a false "better" or "worse".
    pub level: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// Smallest difference of interest, the same for every metric: a difference that lies within
    /// `-margin` to `margin` with confidence `level` is called equivalent.
    pub margin: f64,
    /// What is drawn. `None`: groups where the arms have them, else objects.
    pub unit: Option<Unit>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            draws: 2000,
            level: 0.95,
            seed: 0,
            margin: 0.01,
            unit: None,
        }
    }
}
