//! The metrics of a repeat when each row counts a whole number of times: of one fold, or of a draw of the
//! bootstrap.

use std::collections::BTreeMap;

use flow_engine::StageError;

use super::{Metric, Repeat};
use crate::numeric::metrics::reliability::Reliability;
use crate::numeric::metrics::{self, Confusion, multiclass};
use crate::numeric::stats::classes::ClassRanking;
use crate::numeric::stats::weighted::Ranking;
use crate::table::Predictions;

/// What the metrics of an evaluation depend on besides its predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreSettings {
    /// The fixed threshold.
    pub threshold: f64,
    /// How many of the rows of a repeat somebody can look at, at least 1. Of a part of the rows, it is the
    /// same share.
    pub top: usize,
    /// The weights of classes in the weighted log-loss, 1 for those that are not named.
    pub class_weights: BTreeMap<String, f64>,
}

impl Default for ScoreSettings {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            top: 100,
            class_weights: BTreeMap::new(),
        }
    }
}

/// The rows of a repeat, ready to be scored many times.
pub struct Sample {
    order: Order,
    /// The probability of an event, and whether it came true: that the row is positive, or that it is of its
    /// most probable class.
    events: Vec<(f64, bool)>,
    /// For each row, the loss and the class; only if all classes have probabilities.
    losses: Option<(Vec<f64>, Vec<usize>)>,
    /// The weights of the classes in that loss.
    weights: Vec<f64>,
    threshold: f64,
    /// The share of the rows that a budget allows for.
    share: f64,
}

enum Order {
    Positive(Ranking),
    /// With `-ln P(true class)` of each row.
    Classes(ClassRanking, Vec<f64>),
}

impl Sample {
    /// Takes the rows of a repeat, to be scored for the class with this column or for all classes.
    ///
    /// # Errors
    /// If all classes are scored and a label has no column.
    pub fn new(
        predictions: &Predictions,
        positive: Option<(usize, &str)>,
        repeat: &Repeat,
        settings: &ScoreSettings,
    ) -> Result<Self, StageError> {
        let n_classes = predictions.classes.len();
        let all = repeat.probabilities(predictions);
        let (order, events) = match positive {
            Some((column, class)) => {
                let (scores, labels) = repeat.scores(predictions, column, class);
                let ranking = Ranking::new(&scores, &labels, &[repeat.places()]);
                let events = scores.into_iter().zip(labels).collect();
                (Order::Positive(ranking), events)
            }
            None => {
                let (probabilities, labels) = match &all {
                    Ok(all) => all,
                    Err(_) => return Err(all.err().unwrap_or_else(StageError::interrupted)),
                };
                let predicted = multiclass::argmax(probabilities, n_classes);
                let rows = probabilities.chunks_exact(n_classes).zip(predicted);
                let events = rows.zip(labels);
                let events = events.map(|((row, class), label)| (row[class], class == *label));
                let ranking = ClassRanking::new(probabilities, labels, n_classes);
                let rows = probabilities.chunks_exact(n_classes).zip(labels);
                let losses = rows.filter_map(|(row, &label)| {
                    multiclass::log_loss(row, std::slice::from_ref(&label), n_classes)
                });
                (Order::Classes(ranking, losses.collect()), events.collect())
            }
        };
        let weight = |class| settings.class_weights.get(class).copied().unwrap_or(1.0);
        Ok(Self {
            order,
            events,
            losses: all.ok().map(|(probabilities, labels)| {
                let losses = multiclass::losses(&probabilities, &labels, n_classes);
                (losses, labels)
            }),
            weights: predictions.classes.iter().map(weight).collect(),
            threshold: settings.threshold,
            share: settings.top as f64 / repeat.rows.len() as f64,
        })
    }

    /// The metrics that are defined if row i counts `counts[i]` times.
    pub fn metrics(&self, counts: &[u32]) -> BTreeMap<Metric, f64> {
        let mut found = match &self.order {
            Order::Positive(ranking) => self.of_positive(ranking, counts),
            Order::Classes(ranking, losses) => {
                let mut found = self.of_classes(ranking, counts);
                found.push((Metric::LogLoss, mean(losses, counts)));
                found
            }
        };
        let weighted = self.losses.as_ref().and_then(|(losses, labels)| {
            multiclass::weighted_log_loss(losses, labels, &self.weights, counts)
        });
        found.push((Metric::WeightedLogLoss, weighted));
        let error = self.reliability(counts).expected_calibration_error();
        found.push((Metric::Ece, error));
        let defined = found.into_iter();
        defined.filter_map(|(m, value)| Some((m, value?))).collect()
    }

    /// The reliability curve if row i counts `counts[i]` times.
    pub fn reliability(&self, counts: &[u32]) -> Reliability {
        let mut curve = Reliability::default();
        for (&(probability, came_true), &count) in self.events.iter().zip(counts) {
            curve.add(probability, came_true, u64::from(count));
        }
        curve
    }

    fn of_positive(&self, ranking: &Ranking, counts: &[u32]) -> Vec<(Metric, Option<f64>)> {
        let figures = ranking.figures(counts);
        let head = ranking.head(counts, self.share);
        let fixed = self.at_threshold(counts);
        let fixed = (fixed.tp + fixed.fn_ > 0).then_some(fixed);
        let [at_50, at_80, at_90] = head.recall_at;
        let mean = |loss: fn(&[f64], &[bool]) -> Option<f64>| {
            self.mean(counts, |p, truth| loss(&[p], &[truth]))
        };
        vec![
            (Metric::Ap, figures.average_precision),
            (Metric::RocAuc, figures.roc_auc),
            (Metric::F1, figures.f1),
            (Metric::Precision, figures.precision),
            (Metric::Recall, figures.recall),
            (Metric::Mcc, figures.mcc),
            (Metric::F1Fixed, fixed.map(|c| c.f1())),
            (Metric::PrecisionFixed, fixed.map(|c| c.precision())),
            (Metric::RecallFixed, fixed.map(|c| c.recall())),
            (Metric::F1Oracle, head.best_f1),
            (Metric::PrecisionTop, head.precision),
            (Metric::RecallAt50, at_50),
            (Metric::RecallAt80, at_80),
            (Metric::RecallAt90, at_90),
            (Metric::LogLoss, mean(metrics::log_loss)),
            (Metric::Brier, mean(metrics::brier)),
        ]
    }

    fn of_classes(&self, ranking: &ClassRanking, counts: &[u32]) -> Vec<(Metric, Option<f64>)> {
        let figures = ranking.figures(counts);
        let accuracy = self.mean(counts, |_, came_true| Some(f64::from(u8::from(came_true))));
        vec![
            (Metric::Ap, figures.average_precision),
            (Metric::RocAuc, figures.roc_auc),
            (Metric::F1, figures.f1),
            (Metric::Precision, figures.precision),
            (Metric::Recall, figures.recall),
            (Metric::Accuracy, accuracy),
        ]
    }

    fn mean(&self, counts: &[u32], value: impl Fn(f64, bool) -> Option<f64>) -> Option<f64> {
        let (mut sum, mut rows) = (0.0, 0_u64);
        for (&(probability, came_true), &count) in self.events.iter().zip(counts) {
            if count > 0 {
                sum += f64::from(count) * value(probability, came_true)?;
                rows += u64::from(count);
            }
        }
        (rows > 0).then(|| sum / rows as f64)
    }

    fn at_threshold(&self, counts: &[u32]) -> Confusion {
        let mut sum = Confusion::default();
        for (&(score, positive), &count) in self.events.iter().zip(counts) {
            *match (score >= self.threshold, positive) {
                (true, true) => &mut sum.tp,
                (true, false) => &mut sum.fp,
                (false, true) => &mut sum.fn_,
                (false, false) => &mut sum.tn,
            } += u64::from(count);
        }
        sum
    }
}

/// The mean of values of which value i counts `counts[i]` times.
fn mean(values: &[f64], counts: &[u32]) -> Option<f64> {
    let rows: u64 = counts.iter().copied().map(u64::from).sum();
    let each = values.iter().zip(counts);
    let sum: f64 = each.map(|(value, &count)| f64::from(count) * value).sum();
    (rows > 0).then(|| sum / rows as f64)
}
