//! Metrics of a classifier that scores the positive class: the binary metrics, thresholds and their
//! choice. [`multiclass`] has the metrics over all classes, [`rules`] other thresholds than that of best F1.
//!
//! Labels are `true` for the positive class. A row counts as predicted positive if
//! `score >= threshold`. Rows with equal scores are never told apart: every figure changes only at
//! distinct scores. Scores must not be NaN, which would rank above all others.
//!
//! Definitions follow scikit-learn's, so that figures are comparable with published ones: a ratio
//! whose denominator is zero is 0 (precision, recall, F1, MCC), and what has no meaning with one
//! class only (areas under curves) is `None`.
//!
//! # Panics
//! Every function here panics if its slices differ in length.

pub mod multiclass;
pub mod reliability;
pub mod rules;

use super::rank;

/// A ratio that is 0 if its denominator is 0.
fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 {
        0.0
    } else {
        numerator / denominator
    }
}

/// Counts of rows by true and predicted class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// True positives.
    pub tp: u64,
    /// False positives.
    pub fp: u64,
    /// False negatives.
    pub fn_: u64,
    /// True negatives.
    pub tn: u64,
}

impl Confusion {
    /// Counts rows from predictions.
    pub fn of(predicted: &[bool], labels: &[bool]) -> Confusion {
        assert_eq!(predicted.len(), labels.len());
        let mut counts = Confusion::default();
        for (&predicted, &label) in predicted.iter().zip(labels) {
            *match (predicted, label) {
                (true, true) => &mut counts.tp,
                (true, false) => &mut counts.fp,
                (false, true) => &mut counts.fn_,
                (false, false) => &mut counts.tn,
            } += 1;
        }
        counts
    }

    /// Counts rows at a threshold.
    pub fn at(scores: &[f64], labels: &[bool], threshold: f64) -> Confusion {
        Confusion::of(&predict(scores, threshold), labels)
    }

    /// tp / (tp + fp); 0 if nothing was predicted positive.
    pub fn precision(&self) -> f64 {
        ratio(self.tp as f64, (self.tp + self.fp) as f64)
    }

    /// tp / (tp + fn); 0 if there are no positives.
    pub fn recall(&self) -> f64 {
        ratio(self.tp as f64, (self.tp + self.fn_) as f64)
    }

    /// 2 tp / (2 tp + fp + fn), the harmonic mean of precision and recall; 0 without positives.
    pub fn f1(&self) -> f64 {
        ratio(
            2.0 * self.tp as f64,
            (2 * self.tp + self.fp + self.fn_) as f64,
        )
    }

    /// The share of rows that are predicted correctly.
    pub fn accuracy(&self) -> f64 {
        let right = self.tp + self.tn;
        ratio(right as f64, (right + self.fp + self.fn_) as f64)
    }

    /// Matthews' correlation coefficient (Matthews 1975), from -1 to 1; 0 if a margin is empty.
    pub fn mcc(&self) -> f64 {
        let [tp, fp, fn_, tn] = [self.tp, self.fp, self.fn_, self.tn].map(|n| n as f64);
        let margins = (tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_);
        ratio(tp * tn - fp * fn_, margins.sqrt())
    }
}

/// Returns `score >= threshold`, row by row.
pub fn predict(scores: &[f64], threshold: f64) -> Vec<bool> {
    scores.iter().map(|&score| score >= threshold).collect()
}

/// Counts (or weights) of positives and negatives scored at or above one distinct score.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    threshold: f64,
    positives: f64,
    negatives: f64,
}

/// One cut per distinct score, from the highest score to the lowest; the last cut holds the totals.
fn cuts(scores: &[f64], labels: &[bool], weights: Option<&[f64]>) -> Vec<Cut> {
    assert_eq!(scores.len(), labels.len());
    assert!(weights.is_none_or(|weights| weights.len() == scores.len()));
    let mut cuts = Vec::new();
    let (mut positives, mut negatives) = (0.0, 0.0);
    let order = rank::ascending(scores);
    for run in order.chunk_by(|&a, &b| scores[a] == scores[b]).rev() {
        for &row in run {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            if labels[row] {
                positives += weight;
            } else {
                negatives += weight;
            }
        }
        cuts.push(Cut {
            threshold: scores[run[0]],
            positives,
            negatives,
        });
    }
    cuts
}

/// Area under the ROC curve: the chance that a positive row scores above a negative one, where ties
/// count half. Rows count by `weights` if given. `None` unless both classes are present.
pub fn roc_auc(scores: &[f64], labels: &[bool], weights: Option<&[f64]>) -> Option<f64> {
    let cuts = cuts(scores, labels, weights);
    let total = cuts.last()?;
    let pairs = total.positives * total.negatives;
    if pairs <= 0.0 {
        return None;
    }
    let (mut won, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for cut in &cuts {
        // Positives above this score win against the negatives at it, and those at it win half.
        won += (cut.negatives - negatives) * (positives + cut.positives) / 2.0;
        (positives, negatives) = (cut.positives, cut.negatives);
    }
    Some(won / pairs)
}

/// A point of the precision-recall curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrPoint {
    /// Rows with at least this score are predicted positive.
    pub threshold: f64,
    /// Precision at the threshold.
    pub precision: f64,
    /// Recall at the threshold.
    pub recall: f64,
}

/// The precision-recall curve, one point per distinct score, thresholds ascending. The customary end
/// point (recall 0, precision 1) has no threshold and is left out. `None` without positives.
pub fn pr_curve(scores: &[f64], labels: &[bool], weights: Option<&[f64]>) -> Option<Vec<PrPoint>> {
    let cuts = cuts(scores, labels, weights);
    let total = cuts.last()?.positives;
    if total <= 0.0 {
        return None;
    }
    let point = |cut: &Cut| PrPoint {
        threshold: cut.threshold,
        precision: ratio(cut.positives, cut.positives + cut.negatives),
        recall: cut.positives / total,
    };
    Some(cuts.iter().rev().map(point).collect())
}

/// Average precision, `sum (R_n - R_(n-1)) P_n` over the precision-recall curve: the area under it
/// without interpolation (which would be optimistic: Davis and Goadrich 2006). `None` without
/// positives.
pub fn average_precision(scores: &[f64], labels: &[bool], weights: Option<&[f64]>) -> Option<f64> {
    let curve = pr_curve(scores, labels, weights)?;
    let (mut area, mut recall) = (0.0, 0.0);
    for point in curve.iter().rev() {
        area += (point.recall - recall) * point.precision;
        recall = point.recall;
    }
    Some(area)
}

/// The smallest and largest probability that enter log-losses, as in scikit-learn.
const CLIP: f64 = f64::EPSILON;

/// Mean of `-ln P(true class)`, probabilities clipped to [2.2e-16, 1 - 2.2e-16]; `None` without rows.
pub fn log_loss(scores: &[f64], labels: &[bool]) -> Option<f64> {
    mean(scores, labels, |score, label| {
        let p = if label { score } else { 1.0 - score };
        -libm::log(p.clamp(CLIP, 1.0 - CLIP))
    })
}

/// Mean squared difference of probability and outcome (Brier 1950); `None` without rows.
pub fn brier(scores: &[f64], labels: &[bool]) -> Option<f64> {
    mean(scores, labels, |score, label| {
        let error = score - f64::from(u8::from(label));
        error * error
    })
}

fn mean(scores: &[f64], labels: &[bool], loss: impl Fn(f64, bool) -> f64) -> Option<f64> {
    assert_eq!(scores.len(), labels.len());
    let sum: f64 = scores.iter().zip(labels).map(|(&s, &l)| loss(s, l)).sum();
    (!scores.is_empty()).then(|| sum / scores.len() as f64)
}

/// The threshold of highest F1 among the distinct scores, the lowest one if several tie; `None` without
/// positives. It is optimistic on the rows that are then evaluated.
pub fn best_f1_threshold(scores: &[f64], labels: &[bool]) -> Option<f64> {
    rules::ThresholdRule::F1.threshold(scores, labels, None)
}

/// The result of [`cross_fitted_threshold`].
#[derive(Clone, Debug, PartialEq)]
pub struct CrossFitted {
    /// By fold number, the threshold that was used for the fold's rows. `None` if the other folds have
    /// no positives to choose it by, so that the fold's rows are predicted negative.
    pub thresholds: Vec<Option<f64>>,
    /// The prediction of every row, each by the threshold of its own fold.
    pub predicted: Vec<bool>,
}

/// Predicts each fold's rows by the threshold of highest F1 on the rows of all other folds, so that no
/// row influences its own threshold. `folds` numbers the fold of each row from 0, without gaps.
pub fn cross_fitted_threshold(scores: &[f64], labels: &[bool], folds: &[u32]) -> CrossFitted {
    assert!(scores.len() == labels.len() && scores.len() == folds.len());
    let n_folds = folds.iter().max().map_or(0, |&last| last + 1);
    let choose = |fold: u32| {
        let others = || folds.iter().map(|&f| f != fold);
        let scores: Vec<f64> = scores
            .iter()
            .zip(others())
            .filter(|p| p.1)
            .map(|p| *p.0)
            .collect();
        let labels: Vec<bool> = labels
            .iter()
            .zip(others())
            .filter(|p| p.1)
            .map(|p| *p.0)
            .collect();
        best_f1_threshold(&scores, &labels)
    };
    let thresholds: Vec<Option<f64>> = (0..n_folds).map(choose).collect();
    let predict = |(&score, &fold): (&f64, &u32)| {
        thresholds[fold as usize].is_some_and(|threshold| score >= threshold)
    };
    let predicted = scores.iter().zip(folds).map(predict).collect();
    CrossFitted {
        thresholds,
        predicted,
    }
}

#[cfg(test)]
mod tests;
