//! Kind `threshold`: chooses the score from which on an object is predicted as positive.
//!
//! It is cross-fitted: the threshold for fold k is chosen on the out-of-fold rows of the other folds of the same
//! repeat, so the metrics say what the rule is worth on new objects. The threshold for unlabelled objects is the
//! mean over repeats of those chosen on all out-of-fold rows.
//!
//! - `f1`: highest F1.
//! - `precision`: highest recall with a precision of at least `floor`.
//! - `recall`: highest precision with a recall of at least `floor`.
//! - `top_n`: at most `budget` of the unlabelled objects are positive. In a fold, the threshold is the one
//!   that leaves the same share of the rows of the other folds. Without unlabelled objects, the budget is for the
//!   labelled objects.
//!
//! With `prior`, the classes are expected to be as frequent as it says and not as among the labelled objects.
//! Probabilities are changed accordingly, and rows count so that thresholds and metrics are those of
//! a survey with these frequencies. [`prior`] has the formulas.

mod choose;
mod figures;
mod prior;

use flow_cache::Value;
use flow_engine::base::diag::Diag;
use flow_engine::kind::ParamWord;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, Params, params, words};

use self::choose::{Chosen, Unlabelled, choose};
use crate::evaluation::{DRAWS, Estimate, Metric, out_of_fold};
use crate::rows::{CrossedPredictions, crossed_predictions};
use crate::table::{ColumnNames, Folds, Predictions};

/// The kind.
pub struct Threshold;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    F1,
    Precision,
    Recall,
    TopN,
}

words!(Rule { F1 = "f1", Precision = "precision", Recall = "recall", TopN = "top_n" });

params! {
    struct ThresholdParams<'a> {
        rule: Rule = word(Rule::F1, "Highest F1, highest recall at a floor of the precision, highest precision at a floor of the recall, or a budget of objects.");
        floor: f64 = new(ParamType::Float { min: 0.0, max: 1.0 }, "The least precision or recall.").only("rule", &["precision", "recall"]);
        budget: usize = new(ParamType::Int { min: 1, max: 1_000_000_000 }, "The most unlabelled objects that may be positive.").only("rule", &["top_n"]);
        prior: Vec<(&'a str, f64)> = new(ParamType::Map(Box::new(ParamType::Float { min: 1e-9, max: 1.0 - 1e-9 })), "How frequent classes are where predictions are used, as in `prior = { TDE = 0.001 }`. The other classes share the rest as they do among the labelled objects.").optional();
    }
}

/// The metrics, at the threshold that a fold gets from the others, and whose intervals theirs are like.
const METRICS: [(&str, Metric); 5] = [
    ("f1_decided", Metric::F1),
    ("precision_decided", Metric::Precision),
    ("recall_decided", Metric::Recall),
    ("share_decided", Metric::RecallFixed),
    ("threshold_decided", Metric::Threshold),
];

impl Stage for Threshold {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "threshold",
            version: 1,
            about: "Chooses a threshold by a rule, also for other class frequencies, cross-fitted",
            ports: Ports {
                inputs: vec![InputPort::one("predictions", "predictions")],
                outputs: vec![
                    OutputPort::of(
                        "threshold",
                        "threshold",
                        0,
                        "JSON: the threshold for new objects, its precision with the 95 % interval, and the thresholds by repeat and fold",
                    ),
                    OutputPort::of(
                        "metrics",
                        "metrics",
                        0,
                        "JSON: by metric, pooled with its 95 % interval (low, high), mean, std and folds, at the threshold that each fold gets from the others",
                    ),
                    OutputPort::of(
                        "predictions",
                        "predictions",
                        0,
                        "the predictions, changed if there is a `prior`",
                    ),
                    OutputPort::of(
                        "decisions",
                        "decisions",
                        0,
                        "object_id, repeat, fold (null for unlabelled objects), label, score, threshold (NaN if none could be chosen), positive (1 or 0)",
                    ),
                ],
            },
            params: ThresholdParams::specs(),
            steps: vec![
                Step::new("choose", Scope::Whole)
                    .crossed()
                    .port("predictions")
                    .writes("threshold")
                    .writes("metrics")
                    .writes("predictions")
                    .writes("decisions"),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let prior = ThresholdParams::read(params).prior;
        let sum: f64 = prior.iter().map(|(_, share)| share).sum();
        let wrong = if params.get("prior").is_some() && prior.is_empty() {
            "`prior` names no class".to_owned()
        } else if sum > 1.0 + prior::ROUNDING {
            format!("the frequencies in `prior` sum to {sum}, which is more than 1")
        } else {
            return Vec::new();
        };
        let diag = Diag::new("flow::params::prior", wrong)
            .help("give the share of a class among all objects: prior = { TDE = 0.001 }");
        let diag = match params.span("prior") {
            Some(span) => diag.label(span, "here"),
            None => diag,
        };
        vec![diag]
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        matches!(output, "threshold" | "metrics")
    }

    fn metrics(&self) -> Vec<&'static str> {
        METRICS.iter().map(|(name, _)| *name).collect()
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let crossed = crossed_predictions(action)?;
        let params = ThresholdParams::read(action.params);
        let chosen = choose(&crossed, &params, &|| action.checkpoint())?;
        let predictions = &crossed.models[0];
        let groups = match &action.folds {
            Some(folds) => {
                let folds = Folds::labelled(&folds.path)?;
                out_of_fold(predictions)?[0].groups(predictions, &folds)
            }
            None => None,
        };
        let metrics = figures::metrics(predictions, &chosen, DRAWS, groups.as_deref())?;
        let unlabelled = write_decisions(action, &crossed, &chosen)?;
        let notes = figures::notes(&params, &chosen, unlabelled);
        let precision = figures::precision(&metrics);
        write_threshold(action, (&params, &chosen, precision), notes)?;
        let metrics = figures::to_value(&metrics);
        let text = format!("{:#}\n", metrics.to_json());
        let attrs = vec![("metrics".to_owned(), metrics)];
        action.write("metrics", text.as_bytes(), attrs)?;
        crossed.rewrite(action, |models, row| {
            Ok(chosen.decide(&models[0], row)?.probabilities)
        })
    }
}

fn write_threshold(
    action: &mut Action<'_>,
    (params, chosen, precision): (&ThresholdParams<'_>, &Chosen, Option<Estimate>),
    notes: Vec<String>,
) -> Result<(), StageError> {
    let folds = chosen.fits.0.iter().filter(|fit| fit.fold.is_some());
    let folds: Vec<serde_json::Value> = folds
        .map(|fit| {
            let threshold = fit.fitted.threshold;
            serde_json::json!({ "repeat": fit.repeat, "fold": fit.fold, "threshold": threshold })
        })
        .collect();
    let json = serde_json::json!({
        "threshold": chosen.threshold,
        "precision": precision,
        "rule": params.rule.word(),
        "folds": folds,
    });
    let notes = notes.into_iter().map(Value::Str);
    let attrs = vec![
        ("notes".to_owned(), Value::List(notes.collect())),
        ("threshold".to_owned(), Value::Float(chosen.threshold)),
    ];
    action.write("threshold", format!("{json:#}\n").as_bytes(), attrs)
}

/// Writes a decision for each row, and counts those of unlabelled objects.
fn write_decisions(
    action: &mut Action<'_>,
    crossed: &CrossedPredictions,
    chosen: &Chosen,
) -> Result<Unlabelled, StageError> {
    let columns = Predictions {
        classes: ["score", "threshold", "positive"].map(String::from).into(),
        probability: vec![Vec::new(); 3],
        ..Predictions::default()
    };
    let mut unlabelled = Unlabelled::default();
    let mut writer = action.create()?;
    let to = (&columns, ColumnNames::Plain, &mut writer);
    let rows = crossed.write(to, &|| action.checkpoint(), |models, row| {
        let decision = chosen.decide(&models[0], row)?;
        if models[0].fold[row].is_none() {
            unlabelled.rows += 1;
            unlabelled.positive += usize::from(decision.positive);
        }
        Ok(vec![
            decision.probabilities[chosen.column],
            decision.at.unwrap_or(f64::NAN),
            f64::from(u8::from(decision.positive)),
        ])
    })?;
    let attrs = vec![("rows".to_owned(), Value::Int(rows as i64))];
    action.finish("decisions", writer, attrs)?;
    Ok(unlabelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a prior of these frequencies.
    fn wrong(prior: &[(&str, f64)]) -> Vec<String> {
        let mut params = Params::default();
        let specs = ThresholdParams::specs();
        let spec = specs.iter().find(|spec| spec.name == "prior").unwrap();
        let entries = prior
            .iter()
            .map(|&(class, share)| (class.to_owned(), Value::Float(share)));
        params.insert(spec, Value::Map(entries.collect()), None);
        let diags = Threshold.check(&params, &[]);
        assert!(
            diags
                .iter()
                .all(|diag| diag.code.as_str() == "flow::params::prior" && !diag.help.is_empty())
        );
        diags.into_iter().map(|diag| diag.message).collect()
    }

    #[test]
    fn frequencies_are_shares_of_one() {
        assert!(wrong(&[("A", 0.001)]).is_empty());
        assert!(wrong(&[("A", 0.4), ("B", 0.6)]).is_empty());
        assert!(wrong(&[("A", 0.5), ("B", 0.6)])[0].contains("more than 1"));
        assert!(wrong(&[])[0].contains("no class"));
        assert!(Threshold.check(&Params::default(), &[]).is_empty());
    }
}
