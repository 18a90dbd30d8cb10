//! The thresholds of the folds and of new objects, and what they decide.

use flow_engine::StageError;

use super::prior::PriorShift;
use super::{Rule, ThresholdParams};
use crate::evaluation::{Repeat, out_of_fold};
use crate::numeric::metrics::rules::ThresholdRule;
use crate::rows::{CrossFits, CrossedPredictions, cross_fit, one_fold};
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
    pub(super) fits: CrossFits<Fit>,
    /// The threshold for new objects.
    pub(super) threshold: f64,
    /// The column of the positive class.
    pub(super) column: usize,
}

/// What is decided of a row.
pub(super) struct Decision {
    /// The probabilities, which are others than the model's if there is a prior.
    pub(super) probabilities: Vec<f64>,
    /// The threshold that decides.
    pub(super) at: Option<f64>,
    /// The decision.
    pub(super) positive: bool,
}

/// The unlabelled objects, and how many of them are predicted positive.
#[derive(Clone, Copy, Default)]
pub(super) struct Unlabelled {
    pub(super) rows: usize,
    pub(super) positive: usize,
}

impl Chosen {
    /// Decides a row by the threshold of its fold.
    pub(super) fn decide(&self, rows: &Predictions, row: usize) -> Result<Decision, StageError> {
        let fit = self.fits.of(rows, row)?;
        let probabilities = fit.shift.probabilities(rows, row);
        let at = match rows.fold[row] {
            Some(_) => fit.threshold,
            None => Some(self.threshold),
        };
        let score = probabilities[self.column];
        Ok(Decision {
            positive: at.is_some_and(|at| score >= at),
            probabilities,
            at,
        })
    }
}

/// Chooses thresholds.
pub(super) fn choose(
    crossed: &CrossedPredictions,
    params: &ThresholdParams<'_>,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<Chosen, StageError> {
    let predictions = &crossed.models[0];
    let positive = predictions.positive_column()?;
    let (column, positive) = positive.ok_or_else(|| no_positive(None, &predictions.classes))?;
    let repeats = out_of_fold(predictions)?;
    let of = match crossed.unlabelled() {
        0 => repeats[0].rows.len(),
        unlabelled => unlabelled,
    };
    let rule = RuleAt {
        rule: params.rule,
        floor: params.floor,
        share: (params.budget as f64 / of as f64).min(1.0),
    };
    let chooser = Chooser {
        crossed,
        params,
        rule,
        column,
        positive,
    };
    let fits = cross_fit(crossed, |rows| {
        go_on()?;
        match rows {
            [] => Err(one_fold("a threshold")),
            rows => chooser.fit(rows),
        }
    })?;
    let threshold = match params.rule == Rule::TopN && crossed.unlabelled() > 0 {
        true => chooser.within_budget(&fits, go_on)?,
        false => chooser.for_new_objects(&repeats)?,
    };
    Ok(Chosen {
        rule,
        fits,
        threshold,
        column,
    })
}

/// What thresholds are chosen by.
struct Chooser<'a> {
    crossed: &'a CrossedPredictions,
    params: &'a ThresholdParams<'a>,
    rule: RuleAt,
    column: usize,
    positive: &'a str,
}

impl Chooser<'_> {
    /// Chooses on some rows.
    fn fit(&self, rows: &[usize]) -> Result<Fit, StageError> {
        let predictions = &self.crossed.models[0];
        let shift = PriorShift::new(predictions, rows, &self.params.prior)?;
        let score = |&i: &usize| shift.probabilities(predictions, i)[self.column];
        let scores: Vec<f64> = rows.iter().map(score).collect();
        let is = |&i: &usize| predictions.label[i].as_deref() == Some(self.positive);
        let labels: Vec<bool> = rows.iter().map(is).collect();
        let weigh = |&i: &usize| shift.weight(predictions, i);
        let weights: Vec<f64> = rows.iter().map(weigh).collect();
        let threshold = self.rule.threshold(&scores, &labels, &weights);
        Ok(Fit { shift, threshold })
    }

    /// The threshold of the budget: the lowest from which on there are no more unlabelled objects than that.
    fn within_budget(
        &self,
        fits: &CrossFits<Fit>,
        go_on: &dyn Fn() -> Result<(), StageError>,
    ) -> Result<f64, StageError> {
        // One more shows whether the last of them share their score with others.
        let mut highest = Highest::new(self.params.budget + 1);
        self.crossed.each_row(go_on, |models, i| {
            if models[0].fold[i].is_none() {
                let shift = &fits.of(&models[0], i)?.shift;
                highest.push(shift.probabilities(&models[0], i)[self.column]);
            }
            Ok(())
        })?;
        let scores = highest.scores;
        let most = ThresholdRule::Most(self.params.budget as f64);
        let threshold = most.threshold(&scores, &vec![false; scores.len()], None);
        threshold.ok_or_else(|| self.no_threshold())
    }

    /// The threshold for new objects by any other rule, which is chosen on all labelled ones.
    fn for_new_objects(&self, repeats: &[Repeat]) -> Result<f64, StageError> {
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
        let labels = self.crossed.models[0].label.iter().flatten();
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

/// The highest of many scores, in the order in which they come, and at times some others.
pub(super) struct Highest {
    most: usize,
    pub(super) scores: Vec<f64>,
}

impl Highest {
    /// Keeps at least this many, which are not none.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            scores: Vec::new(),
        }
    }

    /// Takes the next score.
    pub(super) fn push(&mut self, score: f64) {
        self.scores.push(score);
        if self.scores.len() >= self.most.saturating_mul(2) {
            let mut order = self.scores.clone();
            let (_, least, _) = order.select_nth_unstable_by(self.most - 1, |a, b| b.total_cmp(a));
            let least = *least;
            let above = self.scores.iter().filter(|&&score| score > least).count();
            let mut level = self.most - above;
            self.scores.retain(|&score| {
                let is_kept = score > least || (score == least && level > 0);
                level -= usize::from(is_kept && score == least);
                is_kept
            });
        }
    }
}

#[cfg(test)]
mod tests;
