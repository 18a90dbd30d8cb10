use super::multiclass::{self, ConfusionMatrix};
use super::*;
use serde_json::Value;

const FIXTURE: &str = include_str!("../../../tests/fixtures/metrics.json");

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn classes(value: &Value) -> Vec<usize> {
    numbers(value).iter().map(|&v| v as usize).collect()
}

fn close(ours: f64, theirs: &Value) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() <= 1e-12, "{ours} is not {theirs}");
}

struct Case {
    oracle: Value,
    scores: Vec<f64>,
    labels: Vec<bool>,
    weights: Vec<f64>,
}

fn case() -> Case {
    let oracle: Value = serde_json::from_str(FIXTURE).unwrap();
    Case {
        scores: numbers(&oracle["score"]),
        labels: numbers(&oracle["y"]).iter().map(|&y| y == 1.0).collect(),
        weights: numbers(&oracle["weight"]),
        oracle,
    }
}

#[test]
fn areas_and_losses_equal_scikit_learn() {
    let Case {
        oracle,
        scores,
        labels,
        weights,
    } = case();
    close(roc_auc(&scores, &labels, None).unwrap(), &oracle["roc_auc"]);
    close(
        roc_auc(&scores, &labels, Some(&weights)).unwrap(),
        &oracle["roc_auc_w"],
    );
    close(
        average_precision(&scores, &labels, None).unwrap(),
        &oracle["average_precision"],
    );
    let weighted = average_precision(&scores, &labels, Some(&weights)).unwrap();
    close(weighted, &oracle["average_precision_w"]);
    close(brier(&scores, &labels).unwrap(), &oracle["brier"]);
    close(log_loss(&scores, &labels).unwrap(), &oracle["log_loss"]);
    // The same with scores kept 1e-6 away from certainty, which a positive scored 0 dominates.
    let clipped: Vec<f64> = scores.iter().map(|s| s.clamp(1e-6, 1.0 - 1e-6)).collect();
    close(
        log_loss(&clipped, &labels).unwrap(),
        &oracle["log_loss_at_1e-6"],
    );
}

#[test]
fn precision_recall_curve_equals_scikit_learn() {
    let Case {
        oracle,
        scores,
        labels,
        ..
    } = case();
    let curve = pr_curve(&scores, &labels, None).unwrap();
    assert_eq!(curve.len(), oracle["thresholds"].as_array().unwrap().len());
    for (i, point) in curve.iter().enumerate() {
        assert_eq!(point.threshold, oracle["thresholds"][i]);
        close(point.precision, &oracle["precision"][i]);
        close(point.recall, &oracle["recall"][i]);
    }
}

#[test]
fn figures_at_a_threshold_equal_scikit_learn() {
    let Case {
        oracle,
        scores,
        labels,
        ..
    } = case();
    let best = best_f1_threshold(&scores, &labels).unwrap();
    assert_eq!(best, oracle["best_f1_threshold"]);
    close(
        Confusion::at(&scores, &labels, best).f1(),
        &oracle["best_f1"],
    );

    let counts = Confusion::at(&scores, &labels, 0.35);
    let expected = &oracle["at_035"];
    let matrix = [[counts.tn, counts.fp], [counts.fn_, counts.tp]];
    assert_eq!(serde_json::json!(matrix), expected["confusion"]);
    close(counts.precision(), &expected["precision"]);
    close(counts.recall(), &expected["recall"]);
    close(counts.f1(), &expected["f1"]);
    close(counts.mcc(), &expected["mcc"]);
    assert_eq!(counts.accuracy(), 202.0 / 240.0);
}

#[test]
fn area_under_roc_is_the_mann_whitney_statistic() {
    let Case { scores, labels, .. } = case();
    let ranks = rank::midranks(&scores);
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    let sum: f64 = ranks
        .iter()
        .zip(&labels)
        .filter(|pair| *pair.1)
        .map(|pair| pair.0)
        .sum();
    let u = sum - positives * (positives + 1.0) / 2.0;
    let area = roc_auc(&scores, &labels, None).unwrap();
    assert!((area - u / (positives * negatives)).abs() < 1e-14);
}

#[test]
fn one_class_or_no_rows_leave_areas_undefined() {
    let (scores, negative, positive) = ([0.2, 0.7], [false; 2], [true; 2]);
    assert_eq!(roc_auc(&scores, &negative, None), None);
    assert_eq!(roc_auc(&scores, &positive, None), None);
    assert_eq!(pr_curve(&scores, &negative, None), None);
    assert_eq!(average_precision(&scores, &negative, None), None);
    assert_eq!(average_precision(&scores, &positive, None), Some(1.0));
    assert_eq!(best_f1_threshold(&scores, &negative), None);
    assert_eq!(best_f1_threshold(&scores, &positive), Some(0.2));
    assert_eq!((log_loss(&[], &[]), brier(&[], &[])), (None, None));
    assert_eq!(roc_auc(&[], &[], None), None);

    let degenerate = &case().oracle["degenerate"];
    let nothing_predicted = Confusion::at(&scores, &positive, 0.9);
    close(
        nothing_predicted.f1(),
        &degenerate["f1_no_positive_predictions"],
    );
    assert_eq!(
        (nothing_predicted.precision(), nothing_predicted.mcc()),
        (0.0, 0.0)
    );
    let no_positives = Confusion::at(&scores, &negative, 0.5);
    close(no_positives.f1(), &degenerate["f1_no_positives"]);
    assert_eq!(no_positives.recall(), 0.0);
}

#[test]
fn certain_and_wrong_costs_a_finite_loss() {
    let loss = log_loss(&[0.0, 1.0], &[true, true]).unwrap();
    assert!((loss - 36.04365338911715 / 2.0).abs() < 1e-9);
}

#[test]
fn equal_f1_takes_the_lowest_threshold() {
    // F1 is 2/3 at 0.1 (two of four) and at 0.9 (one of one, one missed).
    let scores = [0.1, 0.3, 0.3, 0.9];
    let labels = [true, false, false, true];
    assert_eq!(best_f1_threshold(&scores, &labels), Some(0.1));
}

#[test]
fn a_fold_has_no_say_in_its_threshold() {
    let scores = [0.9, 0.8, 0.2, 0.6, 0.5, 0.1, 0.4, 0.3, 0.2];
    let labels = [true, true, false, true, false, false, true, false, false];
    let folds = [0, 0, 0, 1, 1, 1, 2, 2, 2];
    let fitted = cross_fitted_threshold(&scores, &labels, &folds);
    // Fold 0 by the others: 0.4 (F1 0.8); fold 1 without 0.5: 0.4; fold 2: 0.6.
    assert_eq!(fitted.thresholds, [Some(0.4), Some(0.4), Some(0.6)]);
    let expected = [true, true, false, true, true, false, false, false, false];
    assert_eq!(fitted.predicted, expected);

    // The threshold of fold 2 does not depend on its own rows.
    let mut changed = labels;
    changed[7] = true;
    changed[6] = false;
    let again = cross_fitted_threshold(&scores, &changed, &folds);
    assert_eq!(again.thresholds[2], fitted.thresholds[2]);
}

#[test]
fn a_fold_without_positives_elsewhere_is_predicted_negative() {
    let fitted = cross_fitted_threshold(&[0.9, 0.1, 0.9], &[true, false, false], &[0, 0, 1]);
    assert_eq!(fitted.thresholds, [None, Some(0.9)]);
    assert_eq!(fitted.predicted, [false, false, true]);
    assert!(cross_fitted_threshold(&[], &[], &[]).thresholds.is_empty());
}

#[test]
fn multiclass_equals_scikit_learn() {
    let oracle = &case().oracle["multiclass"];
    let labels = classes(&oracle["labels"]);
    let probabilities = numbers(&oracle["probabilities"]);
    let n = oracle["n_classes"].as_u64().unwrap() as usize;
    let matrix = ConfusionMatrix::of(&multiclass::argmax(&probabilities, n), &labels, n);
    assert_eq!(serde_json::json!(matrix.counts()), oracle["confusion"]);
    close(matrix.accuracy(), &oracle["accuracy"]);
    close(matrix.macro_precision(), &oracle["macro_precision"]);
    close(matrix.macro_recall(), &oracle["macro_recall"]);
    close(matrix.macro_f1(), &oracle["macro_f1"]);
    close(
        multiclass::log_loss(&probabilities, &labels, n).unwrap(),
        &oracle["log_loss"],
    );
    let area = multiclass::roc_auc_macro(&probabilities, &labels, n).unwrap();
    close(area, &oracle["roc_auc_macro"]);
    let precision = multiclass::average_precision_macro(&probabilities, &labels, n).unwrap();
    close(precision, &oracle["average_precision_macro"]);
}

#[test]
fn multiclass_without_a_second_class_has_no_areas() {
    let probabilities = [0.5, 0.5, 0.9, 0.1];
    assert_eq!(multiclass::argmax(&probabilities, 2), [0, 0]);
    assert_eq!(multiclass::roc_auc_macro(&probabilities, &[0, 0], 2), None);
    assert_eq!(
        multiclass::average_precision_macro(&probabilities, &[0, 0], 2),
        None
    );
    assert_eq!(multiclass::log_loss(&[], &[], 3), None);
}

#[test]
fn the_weighted_log_loss_is_that_of_plasticc() {
    const ORACLE: &str = include_str!("../../../tests/fixtures/plasticc_logloss.json");
    let oracle: Value = serde_json::from_str(ORACLE).unwrap();
    let classes = classes(&oracle["classes"]);
    let n = classes.len();
    let labels: Vec<usize> = (numbers(&oracle["y"]).iter())
        .map(|&y| classes.iter().position(|&c| c == y as usize).unwrap())
        .collect();
    let probabilities: Vec<f64> = (oracle["p"].as_array().unwrap().iter())
        .flat_map(numbers)
        .collect();
    let losses = multiclass::losses(&probabilities, &labels, n);
    let of = |weights: &[f64]| {
        multiclass::weighted_log_loss(&losses, &labels, weights, &vec![1; labels.len()]).unwrap()
    };
    close(of(&numbers(&oracle["weights"])), &oracle["logloss_15"]);
    close(of(&vec![1.0; n]), &oracle["flat_weights_15"]);
    let uniform = multiclass::losses(&vec![1.0; probabilities.len()], &labels, n);
    let ones = vec![1; labels.len()];
    let uniform = multiclass::weighted_log_loss(&uniform, &labels, &vec![1.0; n], &ones);
    close(uniform.unwrap(), &oracle["uniform_15"]);
}
