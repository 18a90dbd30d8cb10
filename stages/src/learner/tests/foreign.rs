//! Models of LightGBM and XGBoost, against what these packages say of them (`tests/fixtures/boosters.json`).

use super::*;
use crate::learner::ensemble::TreeEnsemble;
use crate::learner::{lightgbm, xgboost};
use serde_json::Value;

const LIGHTGBM: &str = include_str!("../../../tests/fixtures/lightgbm_binary.txt");
const LIGHTGBM_CLASSES: &str = include_str!("../../../tests/fixtures/lightgbm_classes.txt");
const XGBOOST: &str = include_str!("../../../tests/fixtures/xgboost_binary.json");

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/boosters.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}

fn rows(value: &Value) -> Matrix {
    let values: Vec<f32> = numbers(value).iter().map(|&v| v as f32).collect();
    let count = value.as_array().unwrap().len();
    matrix(count, values.len() / count, values)
}

fn far(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let pairs = ours.iter().zip(theirs);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The Shapley values of the first rows, each followed by the mean.
fn contributions(ensemble: &TreeEnsemble, x: &Matrix, rows: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for row in 0..rows {
        let mut phi = vec![0.0; x.cols()];
        ensemble.add_shap(x.row(row), 0, &mut phi);
        all.extend(phi);
        all.push(ensemble.mean_margin(0));
    }
    all
}

#[test]
fn a_model_of_lightgbm_predicts_as_lightgbm_does() {
    let oracle = oracle();
    let (model, names) = lightgbm::read(LIGHTGBM).unwrap();
    assert_eq!((names.len(), model.columns, model.trees.len()), (8, 8, 8));
    let x = rows(&oracle["X"]);
    assert_eq!(model.margins(&x).unwrap(), numbers(&oracle["lgb_raw"]));
    let p: Vec<f64> = model.predict(&x).unwrap().chunks(2).map(|p| p[1]).collect();
    assert!(far(&p, &numbers(&oracle["lgb_prob"])) < 1e-15);

    let (model, _) = lightgbm::read(LIGHTGBM_CLASSES).unwrap();
    let p = model.predict(&rows(&oracle["multi_X"])).unwrap();
    assert!(far(&p, &numbers(&oracle["multi_proba"])) < 1e-15);
}

#[test]
fn a_model_of_xgboost_predicts_as_xgboost_does() {
    let oracle = oracle();
    let (model, names) = xgboost::read(XGBOOST.as_bytes()).unwrap();
    assert_eq!((names.len(), model.columns, model.trees.len()), (0, 8, 8));
    let x = rows(&oracle["X"]);
    assert_eq!(model.margins(&x).unwrap(), numbers(&oracle["xgb_margin"]));
    let p: Vec<f64> = model.predict(&x).unwrap().chunks(2).map(|p| p[1]).collect();
    assert!(far(&p, &numbers(&oracle["xgb_prob"])) < 1e-7);
}

#[test]
fn shapley_values_are_those_of_both_packages() {
    let oracle = oracle();
    let x = rows(&oracle["X"]);
    let (model, _) = lightgbm::read(LIGHTGBM).unwrap();
    let theirs = numbers(&oracle["lgb_contrib"]);
    let ours = contributions(&model, &x, theirs.len() / 9);
    assert!(far(&ours, &theirs) < 1e-12, "{}", far(&ours, &theirs));
    // XGBoost computes in 32 bits.
    let (model, _) = xgboost::read(XGBOOST.as_bytes()).unwrap();
    let theirs = numbers(&oracle["xgb_contrib"]);
    let ours = contributions(&model, &x, theirs.len() / 9);
    assert!(far(&ours, &theirs) < 1e-6, "{}", far(&ours, &theirs));
}

#[test]
fn shapley_values_add_up_to_the_margin() {
    let oracle = oracle();
    let x = rows(&oracle["X"]);
    let (model, _) = lightgbm::read(LIGHTGBM).unwrap();
    let margins = model.margins(&x).unwrap();
    for (parts, margin) in contributions(&model, &x, x.rows()).chunks(9).zip(margins) {
        assert!((parts.iter().sum::<f64>() - margin).abs() < 1e-12);
    }
}

#[test]
fn what_cannot_be_predicted_exactly_is_refused() {
    let refused = |text: &str| match lightgbm::read(text) {
        Err(LearnError::Model(reason)) => reason.to_string(),
        other => panic!("{other:?}"),
    };
    for (from, to, why) in [
        (
            "objective=binary sigmoid:1",
            "objective=lambdarank",
            "lambdarank",
        ),
        ("decision_type=10 8", "decision_type=1 8", "categories"),
        ("is_linear=0", "is_linear=1", "linear"),
        ("version=v4", "version=v4\naverage_output", "rf"),
        ("end of trees", "", "ends before"),
        ("left_child=2 5", "left_child=2 500", "no tree"),
        ("left_child=2 5", "left_child=0 5", "no tree"),
        ("split_feature=2", "split_feature=8", "no tree"),
        ("num_leaves=7", "num_leaves=70000", "values"),
        ("threshold=0.7", "threshold=nan0.7", "threshold"),
        (
            "max_feature_idx=7",
            "max_feature_idx=18446744073709551615",
            "names",
        ),
        ("tree\n", "woods\n", "begin"),
    ] {
        let broken = LIGHTGBM.replacen(from, to, 1);
        assert_ne!(broken, LIGHTGBM, "{from}");
        let reason = refused(&broken);
        assert!(reason.contains(why), "{from} -> {to}: {reason}");
    }
    for (from, to) in [
        ("binary:logistic", "reg:squarederror"),
        ("\"feature_names\":[]", "\"feature_names\":[\"one\"]"),
        ("\"left_children\":[1,", "\"left_children\":[0,"),
    ] {
        let broken = XGBOOST.replacen(from, to, 1);
        assert_ne!(broken, XGBOOST, "{from}");
        let refused = xgboost::read(broken.as_bytes());
        assert!(matches!(refused, Err(LearnError::Model(_))), "{from}");
    }
}

#[test]
fn what_is_written_for_xgboost_reads_as_the_same_trees() {
    let (model, _) = xgboost::read(XGBOOST.as_bytes()).unwrap();
    let names: Vec<String> = (0..8).map(|i| format!("column {i}")).collect();
    let (again, read) = xgboost::read(&xgboost::write(&model, &names).unwrap()).unwrap();
    assert_eq!(read, names);
    let x = rows(&oracle()["X"]);
    assert_eq!(again.margins(&x).unwrap(), model.margins(&x).unwrap());
    assert_eq!(again.trees[1..], model.trees, "after the tree of the start");
    let (lightgbm, _) = lightgbm::read(LIGHTGBM).unwrap();
    assert!(
        xgboost::write(&lightgbm, &names).is_err(),
        "sums of 64 bits"
    );
}
