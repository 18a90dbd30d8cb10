//! The metrics by name, and which direction of each is better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A metric of predictions. Those that comparisons make come first, in their order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Average precision: the primary metric.
    #[serde(rename = "pr_auc")]
    Ap,
    /// F1, at the threshold that each fold gets from the others; over all classes, at the most probable one.
    F1,
    /// Precision, as F1.
    Precision,
    /// Recall, as F1.
    Recall,
    /// Area under the ROC curve.
    RocAuc,
    /// Mean of -ln P(true class): the lower, the better.
    LogLoss,
    /// Matthews' correlation coefficient, at the threshold of F1.
    Mcc,
    /// F1 at the fixed threshold.
    F1Fixed,
    /// Precision at the fixed threshold.
    PrecisionFixed,
    /// Recall at the fixed threshold.
    RecallFixed,
    /// F1 at the threshold that is best on the scored rows themselves, which is optimistic.
    F1Oracle,
    /// Mean squared error of the probability: the lower, the better.
    Brier,
    /// Share of rows whose most probable class is the true one.
    Accuracy,
    /// The threshold that a fold gets from the others.
    Threshold,
    /// The threshold that is best on the scored rows.
    ThresholdOracle,
    /// The share of positives among the rows that rank highest, as many as a budget allows for.
    PrecisionTop,
    /// The highest recall at a threshold where precision is at least .5.
    #[serde(rename = "recall_at_precision_50")]
    RecallAt50,
    /// The highest recall at a threshold where precision is at least .8.
    #[serde(rename = "recall_at_precision_80")]
    RecallAt80,
    /// The highest recall at a threshold where precision is at least .9.
    #[serde(rename = "recall_at_precision_90")]
    RecallAt90,
    /// Expected calibration error of P(positive), or of the highest probability: the lower, the better.
    Ece,
    /// The mean log-loss of each class, averaged over classes with weights: the lower, the better.
    WeightedLogLoss,
}

/// Which direction of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Higher is better.
    Maximise,
    /// Lower is better.
    Minimise,
}

impl Metric {
    /// The metrics of one class against the rest, in the order in which they are shown.
    pub const BINARY: [Self; 20] = [
        Self::F1,
        Self::Precision,
        Self::Recall,
        Self::Mcc,
        Self::F1Fixed,
        Self::PrecisionFixed,
        Self::RecallFixed,
        Self::F1Oracle,
        Self::RocAuc,
        Self::Ap,
        Self::PrecisionTop,
        Self::RecallAt50,
        Self::RecallAt80,
        Self::RecallAt90,
        Self::LogLoss,
        Self::WeightedLogLoss,
        Self::Brier,
        Self::Ece,
        Self::Threshold,
        Self::ThresholdOracle,
    ];

    /// The metrics over all classes.
    pub const MACRO: [Self; 9] = [
        Self::F1,
        Self::Precision,
        Self::Recall,
        Self::Accuracy,
        Self::RocAuc,
        Self::Ap,
        Self::LogLoss,
        Self::WeightedLogLoss,
        Self::Ece,
    ];

    /// The metrics that a comparison of classifiers uses, the primary one first. [`Metric::LogLoss`] is
    /// compared only if all classes are scored.
    pub const COMPARED: [Self; 6] = [
        Self::Ap,
        Self::F1,
        Self::Precision,
        Self::Recall,
        Self::RocAuc,
        Self::LogLoss,
    ];

    /// The name in JSON and in pipelines.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ap => "pr_auc",
            Self::F1 => "f1",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::RocAuc => "roc_auc",
            Self::LogLoss => "log_loss",
            Self::Mcc => "mcc",
            Self::F1Fixed => "f1_fixed",
            Self::PrecisionFixed => "precision_fixed",
            Self::RecallFixed => "recall_fixed",
            Self::F1Oracle => "f1_oracle",
            Self::Brier => "brier",
            Self::Accuracy => "accuracy",
            Self::Threshold => "threshold",
            Self::ThresholdOracle => "threshold_oracle",
            Self::PrecisionTop => "precision_top",
            Self::RecallAt50 => "recall_at_precision_50",
            Self::RecallAt80 => "recall_at_precision_80",
            Self::RecallAt90 => "recall_at_precision_90",
            Self::Ece => "ece",
            Self::WeightedLogLoss => "weighted_log_loss",
        }
    }

    /// The metric with a given [`Metric::key`]; `None` if there is none.
    pub fn from_key(key: &str) -> Option<Self> {
        let mut all = Self::BINARY.into_iter().chain(Self::MACRO);
        all.find(|metric| metric.key() == key)
    }

    /// The name in a table for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ap => "AP",
            Self::F1 => "F1",
            Self::RocAuc => "ROC-AUC",
            Self::LogLoss => "log-loss",
            other => other.key(),
        }
    }

    /// Which direction is better; `None` for a threshold, which is not a measure of quality.
    pub fn direction(self) -> Option<Direction> {
        match self {
            Self::LogLoss | Self::Brier | Self::Ece | Self::WeightedLogLoss => {
                Some(Direction::Minimise)
            }
            Self::Threshold | Self::ThresholdOracle => None,
            _ => Some(Direction::Maximise),
        }
    }

    /// Whether something is chosen anew in every draw of a bootstrap: a threshold, or the sign of a bin's
    /// error. That is right for the spread (with fixed thresholds, intervals of F1 differences cover 82 to
    /// 90 %), but it moves all draws to one side, so that percentiles would be off centre.
    pub fn is_chosen(self) -> bool {
        use Metric::*;
        matches!(
            self,
            F1 | Precision | Recall | Mcc | F1Oracle | RecallAt50 | RecallAt80 | RecallAt90 | Ece
        )
    }

    /// Turns a difference so that more is better: a loss is negated.
    pub fn gain(self, difference: f64) -> f64 {
        match self.direction() {
            Some(Direction::Minimise) => -difference,
            _ => difference,
        }
    }
}

impl Direction {
    /// The word for the direction.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maximise => "maximise",
            Self::Minimise => "minimise",
        }
    }

    /// Turns a value so that less is better.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Maximise => -value,
            Self::Minimise => value,
        }
    }

    /// Returns true if `a` is strictly better.
    pub fn better(self, a: f64, b: f64) -> bool {
        self.loss(a) < self.loss(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_one_name_wherever_it_is_written() {
        for metric in Metric::BINARY.into_iter().chain(Metric::MACRO) {
            assert_eq!(Metric::from_key(metric.key()), Some(metric));
            assert_eq!(serde_json::json!(metric), metric.key());
        }
        assert_eq!(Metric::from_key("f2"), None);
        assert_eq!(Metric::from_key("confusion"), None);
        assert!(Metric::COMPARED.is_sorted());
    }
}
