//! The thresholds of the folds and of new objects, and what they decide.

use flow_engine::StageError;

use super::prior::PriorShift;
use super::{Rule, ThresholdParams};
use crate::evaluation::{Repeat, out_of_fold};
use crate::numeric::metrics::rules::ThresholdRule;
use crate::rows::{CrossFit, cross_fit, one_fold};
use crate::table::{Predictions, no_positive};

/// What is fitted on some rows.
pub(super) struct Fit {
    pub(super) shift: PriorShift,
    /// `None` if no score fulfills the rule.
    pub(super) threshold: Option<f64>,
}

/// The rule, and the share of all rows that a budget is.
#[derive(Clone, Copy)]
pub(super) struct RuleAt {
    rule: Rule,
    floor: f64,
    share: f64,
}

impl RuleAt {
    /// Chooses a threshold on rows, which count by `weights`.
    pub(super) fn threshold(self, scores: &[f64], labels: &[bool], weights: &[f64]) -> Option<f64> {
        let rule = match self.rule {
            Rule::F1 => ThresholdRule::F1,
            Rule::Precision => ThresholdRule::Precision(self.floor),
            Rule::Recall => ThresholdRule::Recall(self.floor),
            Rule::TopN => ThresholdRule::Most(self.share * weights.iter().sum::<f64>()),
        };
        rule.threshold(scores, labels, Some(weights))
    }
}

/// What was chosen.
pub(super) struct Chosen {
    /// What thresholds are chosen by.
    pub(super) rule: RuleAt,
    /// By fold.
    pub(super) fits: Vec<CrossFit<Fit>>,
    /// The threshold for new objects.
    pub(super) threshold: f64,
    /// The predictions, with other probabilities if there is a prior.
    pub(super) predictions: Predictions,
    /// The column of the positive class.
    pub(super) column: usize,
    /// By row, the threshold that decides.
    pub(super) at: Vec<Option<f64>>,
    /// By row, the decision.
    pub(super) positive: Vec<bool>,
}

impl Chosen {
    /// The scores of the rows.
    pub(super) fn scores(&self) -> &[f64] {
        &self.predictions.probability[self.column]
    }
}

/// The predictions with the probabilities that each fold's fit makes of its rows.
fn shifted(predictions: &Predictions, fits: &[CrossFit<Fit>]) -> Predictions {
    let mut shifted = predictions.clone();
    for fit in fits {
        for &i in &fit.rows {
            let row = fit.fitted.shift.probabilities(predictions, i);
            for (column, p) in shifted.probability.iter_mut().zip(row) {
                column[i] = p;
            }
        }
    }
    shifted
}

/// Chooses thresholds, and decides every row by the one of its fold.
pub(super) fn choose(
    predictions: &Predictions,
    params: &ThresholdParams<'_>,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<Chosen, StageError> {
    let positive = predictions.positive_column()?;
    let (column, positive) = positive.ok_or_else(|| no_positive(None, &predictions.classes))?;
    let repeats = out_of_fold(predictions)?;
    let unlabelled = predictions.fold.iter().filter(|fold| fold.is_none());
    let unlabelled = unlabelled.count();
    let of = match unlabelled {
        0 => repeats[0].rows.len(),
        unlabelled => unlabelled,
    };
    let rule = RuleAt {
        rule: params.rule,
        floor: params.floor,
        share: (params.budget as f64 / of as f64).min(1.0),
    };
    let chooser = Chooser {
        predictions,
        params,
        rule,
        column,
        positive,
        unlabelled,
    };
    let fits = cross_fit(predictions, |rows| {
        go_on()?;
        match rows {
            [] => Err(one_fold("a threshold")),
            rows => chooser.fit(rows),
        }
    })?;
    let shifted = shifted(predictions, &fits);
    let threshold = chooser.for_new_objects(&repeats, &shifted)?;
    let mut at = vec![Some(threshold); predictions.len()];
    for fit in fits.iter().filter(|fit| fit.fold.is_some()) {
        for &i in &fit.rows {
            at[i] = fit.fitted.threshold;
        }
    }
    let scores = &shifted.probability[column];
    let decide = |(&score, at): (&f64, &Option<f64>)| at.is_some_and(|at| score >= at);
    let positive = scores.iter().zip(&at).map(decide).collect();
    Ok(Chosen {
        rule,
        fits,
        threshold,
        column,
        at,
        positive,
        predictions: shifted,
    })
}

/// What thresholds are chosen by.
struct Chooser<'a> {
    predictions: &'a Predictions,
    params: &'a ThresholdParams<'a>,
    rule: RuleAt,
    column: usize,
    positive: &'a str,
    /// The number of unlabelled objects.
    unlabelled: usize,
}

impl Chooser<'_> {
    /// Chooses on some rows.
    fn fit(&self, rows: &[usize]) -> Result<Fit, StageError> {
        let shift = PriorShift::new(self.predictions, rows, &self.params.prior)?;
        let score = |&i: &usize| shift.probabilities(self.predictions, i)[self.column];
        let scores: Vec<f64> = rows.iter().map(score).collect();
        let is = |&i: &usize| self.predictions.label[i].as_deref() == Some(self.positive);
        let labels: Vec<bool> = rows.iter().map(is).collect();
        let weigh = |&i: &usize| shift.weight(self.predictions, i);
        let weights: Vec<f64> = rows.iter().map(weigh).collect();
        let threshold = self.rule.threshold(&scores, &labels, &weights);
        Ok(Fit { shift, threshold })
    }

    /// The threshold for new objects; `shifted` has the probabilities under the prior.
    fn for_new_objects(
        &self,
        repeats: &[Repeat],
        shifted: &Predictions,
    ) -> Result<f64, StageError> {
        if self.params.rule == Rule::TopN && self.unlabelled > 0 {
            let scores = &shifted.probability[self.column];
            let unlabelled = (0..shifted.len()).filter(|&i| shifted.fold[i].is_none());
            let scores: Vec<f64> = unlabelled.map(|i| scores[i]).collect();
            let most = ThresholdRule::Most(self.params.budget as f64);
            let threshold = most.threshold(&scores, &vec![false; scores.len()], None);
            return threshold.ok_or_else(|| self.no_threshold());
        }
        let mut sum = 0.0;
        for repeat in repeats {
            let rows: Vec<usize> = repeat.rows.iter().map(|&(row, _)| row).collect();
            let threshold = self.fit(&rows)?.threshold;
            sum += threshold.ok_or_else(|| self.no_threshold())?;
        }
        Ok(sum / repeats.len() as f64)
    }

    /// The error for a rule that no threshold fulfills on all rows.
    fn no_threshold(&self) -> StageError {
        let labels = self.predictions.label.iter().flatten();
        let none = labels.filter(|label| *label == self.positive).count() == 0;
        let (message, help) = match self.params.rule {
            _ if none => (
                format!("there is no threshold: no labelled object is a `{}`", self.positive),
                "check `positive` and `classes` of the `ingest` stage".to_owned(),
            ),
            Rule::TopN => (
                format!("there is no threshold with at most {} positives: more objects share the highest score", self.params.budget),
                "raise `budget`, or take scores with fewer ties: method = \"platt\" instead of \"isotonic\" in a `calibrate` stage".to_owned(),
            ),
            _ => (
                format!("there is no threshold with a precision of {}, not even on the rows that it would be chosen on", self.params.floor),
                "lower `floor`, or take rule = \"f1\"".to_owned(),
            ),
        };
        StageError::data("flow::threshold::none", message).help(help)
    }
}

#[cfg(test)]
mod tests;
