//! Combinations of the scores of the positive class: ranks, and logistic regression.

use std::collections::BTreeMap;

use flow_engine::StageError;

use crate::numeric::calibration::log_odds;
use crate::numeric::linear::{Logistic, LogisticOptions};
use crate::numeric::rank::midranks;
use crate::rows::CrossedPredictions;
use crate::table::Predictions;

/// The mean over models of each row's rank within its own repeat and fold, divided by n + 1.
///
/// Returns them in the order of the files, of models that are reduced to P(positive). They need all scores of the
/// final fit at once: some 50 bytes a row.
pub(super) fn fold_ranks(
    crossed: &CrossedPredictions,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<Vec<f64>, StageError> {
    let mut groups = BTreeMap::<_, Vec<usize>>::new();
    let mut scores = vec![Vec::new(); crossed.models.len()];
    crossed.each_row(go_on, |models, i| {
        let place = (models[0].repeat[i], models[0].fold[i]);
        groups.entry(place).or_default().push(scores[0].len());
        for (scores, model) in scores.iter_mut().zip(models) {
            scores.push(model.probability[0][i]);
        }
        Ok(())
    })?;
    let n_models = scores.len();
    let mut mean = vec![0.0; scores[0].len()];
    for scores in scores {
        for rows in groups.values() {
            let here: Vec<f64> = rows.iter().map(|&i| scores[i]).collect();
            for (&i, rank) in rows.iter().zip(midranks(&here)) {
                mean[i] += rank / (rows.len() + 1) as f64 / n_models as f64;
            }
        }
    }
    Ok(mean)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::{crossed, doubtful};

    #[test]
    fn rows_are_ranked_among_those_of_their_own_fold() {
        let first = doubtful(5_000, 1);
        let mut second = first.clone();
        second.probability[0].iter_mut().for_each(|p| *p = 1.0 - *p);
        let (_folder, both) = crossed(&[first.clone(), first.clone()]).unwrap();
        let ranks = fold_ranks(&both, &|| Ok(())).unwrap();
        assert_eq!(ranks.len(), first.len());
        for fold in [None, Some(0), Some(3)] {
            let rows = (0..first.len()).filter(|&i| first.fold[i] == fold);
            let mut rows: Vec<usize> = rows.collect();
            rows.sort_by(|&a, &b| first.probability[0][a].total_cmp(&first.probability[0][b]));
            let of = rows.len() + 1;
            for (place, &i) in rows.iter().enumerate() {
                let expected = (place + 1) as f64 / of as f64;
                assert!((ranks[i] - expected).abs() < 1e-12, "{fold:?} {i}");
            }
        }
        // What one model has first, the other has last.
        let (_folder, opposite) = crossed(&[first, second]).unwrap();
        let ranks = fold_ranks(&opposite, &|| Ok(())).unwrap();
        assert!(ranks.iter().all(|rank| (rank - 0.5).abs() < 1e-12));
    }
}
