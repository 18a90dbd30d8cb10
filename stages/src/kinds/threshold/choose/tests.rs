use super::super::figures::{self, notes, precision};
use super::*;
use crate::numeric::metrics::{Confusion, cross_fitted_threshold};
use crate::rows::testing::{crossed, doubtful, flipped, rewritten};

const PLAIN: ThresholdParams<'static> = ThresholdParams {
    rule: Rule::F1,
    floor: 0.0,
    budget: 0,
    prior: Vec::new(),
};

/// What was chosen and decided.
struct Run {
    chosen: Chosen,
    /// The rows with a fold, which figures are of.
    held_out: Predictions,
    /// All rows, with other probabilities if there is a prior.
    predictions: Predictions,
    positive: Vec<bool>,
}

impl Run {
    fn scores(&self) -> &[f64] {
        &self.predictions.probability[self.chosen.column]
    }

    fn notes(&self, params: &ThresholdParams<'_>) -> Vec<String> {
        let decided = self.predictions.fold.iter().zip(&self.positive);
        let unlabelled: Vec<bool> = decided
            .filter(|(fold, _)| fold.is_none())
            .map(|(_, &positive)| positive)
            .collect();
        let counts = Unlabelled {
            rows: unlabelled.len(),
            positive: unlabelled.iter().filter(|&&positive| positive).count(),
        };
        notes(params, &self.chosen, counts)
    }
}

fn tried(predictions: &Predictions, params: &ThresholdParams<'_>) -> Result<Run, StageError> {
    let (_folder, crossed) = crossed(std::slice::from_ref(predictions))?;
    let chosen = choose(&crossed, params, &|| Ok(()))?;
    let mut positive = Vec::new();
    let predictions = rewritten(&crossed, |models, row| {
        let decision = chosen.decide(&models[0], row)?;
        positive.push(decision.positive);
        Ok(decision.probabilities)
    })?;
    Ok(Run {
        chosen,
        held_out: crossed.models[0].clone(),
        predictions,
        positive,
    })
}

fn run(predictions: &Predictions, params: &ThresholdParams<'_>) -> Run {
    tried(predictions, params).unwrap()
}

/// A metric over all folds, and by fold.
fn figure(run: &Run, name: &str) -> (Option<f64>, Vec<Option<f64>>) {
    let all = figures::metrics(&run.held_out, &run.chosen, 0, None).unwrap();
    let all = figures::to_value(&all);
    let metric = all.get(name).unwrap();
    let flow_cache::Value::List(folds) = metric.get("folds").unwrap() else {
        panic!("{metric:?}")
    };
    let folds = folds.iter().map(flow_cache::Value::as_float).collect();
    (metric.get("pooled").unwrap().as_float(), folds)
}

#[test]
fn best_f1_is_that_of_the_evaluation() {
    let predictions = doubtful(400, 2);
    let chosen = run(&predictions, &PLAIN);
    let scores = &predictions.probability[0][..400];
    let labels: Vec<bool> = (0..400)
        .map(|i| predictions.label[i].as_deref() == Some("A"))
        .collect();
    let folds: Vec<u32> = (0..400).map(|i| i % 4).collect();
    let evaluated = cross_fitted_threshold(scores, &labels, &folds);
    let ours: Vec<Option<f64>> = chosen
        .chosen
        .fits
        .0
        .iter()
        .skip(1)
        .map(|fit| fit.fitted.threshold)
        .collect();
    assert_eq!(ours, evaluated.thresholds);
    assert_eq!(chosen.positive[..400], evaluated.predicted);
    let counts = Confusion::of(&evaluated.predicted, &labels);
    let (f1, by_fold) = figure(&chosen, "f1_decided");
    assert_eq!((f1, by_fold.len()), (Some(counts.f1()), 4));
    let (recall, _) = figure(&chosen, "recall_decided");
    assert_eq!(recall, Some(counts.recall()));
    assert_eq!(chosen.predictions, predictions);
}

#[test]
fn labels_of_a_fold_have_no_say_in_its_threshold() {
    let predictions = doubtful(300, 2);
    for (rule, floor) in [(Rule::F1, 0.0), (Rule::Precision, 0.8), (Rule::Recall, 0.8)] {
        let params = ThresholdParams {
            rule,
            floor,
            prior: vec![("A", 0.2)],
            ..PLAIN
        };
        let before = run(&predictions, &params);
        let after = run(&flipped(&predictions), &params);
        let thresholds = |run: &Run| -> Vec<Option<f64>> {
            run.chosen
                .fits
                .0
                .iter()
                .map(|fit| fit.fitted.threshold)
                .collect()
        };
        // The final fit comes first, then the folds.
        let (before, after) = (thresholds(&before), thresholds(&after));
        assert_eq!(before[1], after[1], "{rule:?}");
        assert!(
            before[2..] != after[2..] && before[0] != after[0],
            "{rule:?}"
        );
    }
}

#[test]
fn floors_hold_where_they_are_chosen() {
    let predictions = doubtful(600, 2);
    for floor in [0.6, 0.8] {
        let precise = run(
            &predictions,
            &ThresholdParams {
                rule: Rule::Precision,
                floor,
                ..PLAIN
            },
        );
        let all: Vec<usize> = (0..600).collect();
        let is = |i: &usize| predictions.label[*i].as_deref() == Some("A");
        let labels: Vec<bool> = all.iter().map(is).collect();
        let at = Confusion::at(
            &predictions.probability[0][..600],
            &labels,
            precise.chosen.threshold,
        );
        assert!(at.precision() >= floor, "{floor}: {at:?}");
        // Out of fold, about that much is kept.
        let (precision, _) = figure(&precise, "precision_decided");
        assert!(precision.unwrap() > floor - 0.1, "{floor}: {precision:?}");
        let complete = run(
            &predictions,
            &ThresholdParams {
                rule: Rule::Recall,
                floor,
                ..PLAIN
            },
        );
        let at = Confusion::at(
            &predictions.probability[0][..600],
            &labels,
            complete.chosen.threshold,
        );
        assert!(at.recall() >= floor, "{floor}: {at:?}");
    }
}

#[test]
fn a_budget_is_kept() {
    let predictions = doubtful(400, 1);
    for budget in [1, 10, 40, 1000] {
        let params = ThresholdParams {
            rule: Rule::TopN,
            budget,
            ..PLAIN
        };
        let chosen = run(&predictions, &params);
        let positive = chosen.positive[400..]
            .iter()
            .filter(|&&positive| positive)
            .count();
        assert_eq!(positive, budget.min(40));
        let (share, _) = figure(&chosen, "share_decided");
        let wanted = (budget as f64 / 40.0).min(1.0);
        assert!(
            (share.unwrap() - wanted).abs() < 0.06,
            "{budget}: {share:?}"
        );
        assert!(chosen.notes(&params)[0].contains(&format!("{positive} of 40")));
    }
    // Ties at the end of the budget are left out, and the highest scores are found wherever they are.
    let mut many = doubtful(100_000, 1);
    for (i, p) in many.probability[0].iter_mut().enumerate() {
        *p = ((i * 7919) % 1000) as f64 / 1000.0;
    }
    for (budget, positive) in [(10, 10), (29, 20), (20_000, 10_000)] {
        let chosen = run(
            &many,
            &ThresholdParams {
                rule: Rule::TopN,
                budget,
                ..PLAIN
            },
        );
        let found = chosen.positive[100_000..].iter().filter(|&&yes| yes);
        assert_eq!(found.count(), positive, "{budget}");
    }
    // Without unlabelled objects, the budget is for the labelled ones.
    let mut labelled = predictions;
    labelled
        .fold
        .iter_mut()
        .skip(400)
        .for_each(|fold| *fold = Some(0));
    labelled
        .label
        .iter_mut()
        .skip(400)
        .for_each(|label| *label = Some("A".into()));
    let chosen = run(
        &labelled,
        &ThresholdParams {
            rule: Rule::TopN,
            budget: 44,
            ..PLAIN
        },
    );
    let above = labelled.probability[0]
        .iter()
        .filter(|&&p| p >= chosen.chosen.threshold);
    assert_eq!(above.count(), 44);
}

#[test]
fn a_rare_class_is_judged_as_rare() {
    let predictions = doubtful(1000, 2);
    let rule = |prior| ThresholdParams {
        rule: Rule::Precision,
        floor: 0.5,
        prior,
        ..PLAIN
    };
    let common = run(&predictions, &rule(Vec::new()));
    let rare = run(&predictions, &rule(vec![("A", 0.02)]));
    let (recall, _) = figure(&common, "recall_decided");
    let (rare_recall, _) = figure(&rare, "recall_decided");
    assert!(rare_recall < recall, "{rare_recall:?} {recall:?}");
    // Probabilities are lower.
    let mean = |run: &Run| run.scores()[..1000].iter().sum::<f64>() / 1000.0;
    assert!(mean(&rare) < 0.5 * mean(&common));
    let (share, _) = figure(&rare, "share_decided");
    assert!(share.unwrap() < 0.04, "{share:?}");
}

#[test]
fn what_no_threshold_fulfills_is_said() {
    let code = |predictions: &Predictions, params: &ThresholdParams<'_>| {
        let error = tried(predictions, params).err().unwrap();
        assert!(!error.help.is_empty(), "{error:?}");
        error.code.as_str().to_owned()
    };
    let mut level = doubtful(80, 1);
    level.probability[0].fill(0.5);
    let precise = ThresholdParams {
        rule: Rule::Precision,
        floor: 0.99,
        ..PLAIN
    };
    assert_eq!(code(&level, &precise), "flow::threshold::none");
    let few = ThresholdParams {
        rule: Rule::TopN,
        budget: 3,
        ..PLAIN
    };
    assert_eq!(code(&level, &few), "flow::threshold::none");
    let mut none = doubtful(80, 1);
    none.label
        .iter_mut()
        .flatten()
        .for_each(|label| *label = "B".into());
    assert_eq!(code(&none, &PLAIN), "flow::threshold::none");
    let mut one_fold = doubtful(80, 1);
    one_fold.fold.fill(Some(0));
    one_fold.label.fill(Some("A".into()));
    assert_eq!(code(&one_fold, &PLAIN), "flow::data::one_fold");
    let mut nameless = doubtful(80, 2);
    nameless.positive = None;
    assert_eq!(code(&nameless, &PLAIN), "flow::data::no_positive");
}

#[test]
fn a_fold_without_a_threshold_is_undefined() {
    // All positives are in fold 0, which therefore has nothing to choose by.
    let mut predictions = doubtful(80, 1);
    for (label, fold) in predictions.label.iter_mut().zip(&predictions.fold) {
        if fold.is_some_and(|fold| fold > 0) {
            *label = Some("B".into());
        }
    }
    let chosen = run(&predictions, &PLAIN);
    let (f1, folds) = figure(&chosen, "f1_decided");
    assert_eq!((f1, folds), (None, vec![None; 4]));
    let (_, shares) = figure(&chosen, "share_decided");
    assert!(shares[0].is_none() && shares[1..].iter().all(Option::is_some));
    assert!(
        !chosen
            .positive
            .iter()
            .step_by(4)
            .take(20)
            .any(|&positive| positive)
    );
    assert!(chosen.notes(&PLAIN)[1].starts_with("in 1 folds"));
}

#[test]
fn intervals_hold_the_figures_and_groups_widen_them() {
    let predictions = doubtful(400, 2);
    let chosen = run(&predictions, &PLAIN);
    let alone = figures::metrics(&chosen.held_out, &chosen.chosen, 300, None).unwrap();
    for values in &alone[..4] {
        let (low, high) = values.interval.unwrap();
        let value = values.pooled.unwrap();
        assert!(
            low < value && value < high && high - low < 0.3,
            "{low} {value} {high}"
        );
    }
    assert_eq!(alone[4].interval, None);
    let estimate = precision(&alone).unwrap();
    assert_eq!(Some(estimate.value), alone[1].pooled);
    // Objects of a group are drawn together.
    let groups: Vec<String> = (0..400).map(|i| format!("g{}", i / 40)).collect();
    let grouped = figures::metrics(&chosen.held_out, &chosen.chosen, 300, Some(&groups)).unwrap();
    assert_ne!(grouped[0].interval, alone[0].interval);
    let one: Vec<String> = vec!["g".into(); 400];
    let one = figures::metrics(&chosen.held_out, &chosen.chosen, 300, Some(&one)).unwrap();
    assert_eq!(one[0].interval, None);
}
