//! What decisions are worth on rows that had no say in their thresholds.

use std::collections::BTreeMap;

use flow_cache::Value;

use super::choose::{Chosen, Fit};
use super::{METRICS, Rule, ThresholdParams};
use crate::evaluation::{Metric, MetricValues};
use crate::numeric::metrics::rules::Decided;
use crate::rows::CrossFit;
use crate::table::Predictions;

/// The values of [`METRICS`].
type Figures = [Option<f64>; METRICS.len()];

/// The metrics as a map by name.
pub(super) fn metrics(predictions: &Predictions, chosen: &Chosen) -> Value {
    let mut folds: Vec<Figures> = Vec::new();
    let mut repeats: BTreeMap<i32, Vec<(Decided, Option<f64>)>> = BTreeMap::new();
    for fit in chosen.fits.iter().filter(|fit| fit.fold.is_some()) {
        let decided = decided(predictions, chosen, fit);
        folds.push(figures(decided, fit.fitted.threshold));
        let repeat = repeats.entry(fit.repeat).or_default();
        repeat.push((decided, fit.fitted.threshold));
    }
    let pooled: Vec<Figures> = repeats.values().map(|folds| pool(folds)).collect();
    let entries = METRICS.iter().enumerate().map(|(at, name)| {
        let sum = pooled.iter().map(|figures| figures[at]);
        let sum = sum.reduce(|sum, figure| Some(sum? + figure?)).flatten();
        let values = MetricValues {
            metric: Metric::Threshold,
            pooled: sum.map(|sum| sum / pooled.len() as f64),
            interval: None,
            folds: folds.iter().map(|figures| figures[at]).collect(),
        };
        (*name, values.to_value(None))
    });
    Value::map(entries)
}

/// Counts the rows of a fold.
fn decided(predictions: &Predictions, chosen: &Chosen, fit: &CrossFit<Fit>) -> Decided {
    let class = &predictions.classes[chosen.column];
    let mut decided = Decided::default();
    for &i in &fit.rows {
        let truth = predictions.label[i].as_ref() == Some(class);
        let weight = fit.fitted.shift.weight(predictions, i);
        decided.add(chosen.positive[i], truth, weight);
    }
    decided
}

/// Without a threshold, nothing is defined; without positives, their share and the threshold alone.
fn figures(decided: Decided, threshold: Option<f64>) -> Figures {
    let known = threshold.map(|_| decided);
    let known_positives = known.filter(|decided| decided.positives > 0.0);
    [
        known_positives.map(|decided| decided.f1()),
        known_positives.map(|decided| decided.precision()),
        known_positives.map(|decided| decided.recall()),
        known.map(|decided| decided.share()),
        threshold,
    ]
}

/// The figures over all folds of a repeat, which are undefined if a fold has no threshold.
fn pool(folds: &[(Decided, Option<f64>)]) -> Figures {
    let thresholds: Option<Vec<f64>> = folds.iter().map(|fold| fold.1).collect();
    let mean = thresholds.map(|all| all.iter().sum::<f64>() / all.len() as f64);
    let mut sum = Decided::default();
    for (decided, _) in folds {
        sum.rows += decided.rows;
        sum.predicted += decided.predicted;
        sum.positives += decided.positives;
        sum.found += decided.found;
    }
    figures(sum, mean)
}

/// What is said at the end of a run.
pub(super) fn notes(params: &ThresholdParams<'_>, chosen: &Chosen) -> Vec<String> {
    let rule = match params.rule {
        Rule::F1 => "highest F1".to_owned(),
        Rule::Precision => format!("precision of at least {}", params.floor),
        Rule::Recall => format!("recall of at least {}", params.floor),
        Rule::TopN => format!("at most {} positives", params.budget),
    };
    let unlabelled = chosen.predictions.fold.iter().zip(&chosen.positive);
    let unlabelled = unlabelled.filter(|(fold, _)| fold.is_none());
    let positive = unlabelled
        .clone()
        .filter(|(_, positive)| **positive)
        .count();
    let of = match unlabelled.count() {
        0 => String::new(),
        n => format!(": {positive} of {n} unlabelled objects are predicted positive"),
    };
    let mut notes = vec![format!("threshold {:.4} ({rule}){of}", chosen.threshold)];
    let folds = chosen.fits.iter().filter(|fit| fit.fold.is_some());
    let none = folds.filter(|fit| fit.fitted.threshold.is_none()).count();
    if none > 0 {
        notes.push(format!(
            "in {none} folds, no threshold fulfills the rule on the other folds: their objects are predicted negative, and pooled metrics are undefined"
        ));
    }
    notes
}
