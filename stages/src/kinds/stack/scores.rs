//! Combinations of the scores of the positive class: ranks, and logistic regression.

use flow_engine::StageError;

use crate::numeric::calibration::log_odds;
use crate::numeric::linear::{Logistic, LogisticOptions};
use crate::numeric::rank::midranks;
use crate::table::Predictions;

/// The mean over models of each row's rank within its own repeat and fold, divided by n + 1.
pub(super) fn fold_ranks(models: &[Predictions]) -> Vec<f64> {
    let first = &models[0];
    let mut groups = std::collections::BTreeMap::<_, Vec<usize>>::new();
    for i in 0..first.len() {
        groups
            .entry((first.repeat[i], first.fold[i]))
            .or_default()
            .push(i);
    }
    let mut mean = vec![0.0; first.len()];
    for rows in groups.values() {
        for model in models {
            let scores: Vec<f64> = rows.iter().map(|&i| model.probability[0][i]).collect();
            for (&i, rank) in rows.iter().zip(midranks(&scores)) {
                mean[i] += rank / (rows.len() + 1) as f64 / models.len() as f64;
            }
        }
    }
    mean
}

/// The coefficients of logistic regression on the log-odds, with the intercept last.
pub(super) fn logistic(
    models: &[Predictions],
    rows: &[usize],
    c: f64,
) -> Result<Vec<f64>, StageError> {
    let features: Vec<f64> = rows
        .iter()
        .flat_map(|&i| models.iter().map(move |m| log_odds(m.probability[0][i])))
        .collect();
    let labels: Vec<bool> = rows
        .iter()
        .map(|&i| models[0].label[i].as_ref() == models[0].classes.first())
        .collect();
    let options = LogisticOptions {
        c,
        ..LogisticOptions::default()
    };
    let fitted = Logistic::fit(&features, models.len(), &labels, options)
        .map_err(|e| StageError::data("flow::model::fit", e.to_string()).with_source(e))?;
    let mut values = fitted.coefficients;
    values.push(fitted.intercept);
    Ok(values)
}

/// The probability that the fitted coefficients give a row.
pub(super) fn meta(models: &[Predictions], fitted: &[f64], row: usize) -> f64 {
    let features: Vec<f64> = models
        .iter()
        .map(|m| log_odds(m.probability[0][row]))
        .collect();
    let (coefficients, intercept) = fitted.split_at(models.len());
    Logistic {
        coefficients: coefficients.to_vec(),
        intercept: intercept[0],
    }
    .probability(&features)
}
