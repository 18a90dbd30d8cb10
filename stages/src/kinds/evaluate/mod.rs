//! Kind `evaluate`: measures how good predictions are, and at which threshold.
//!
//! Only out-of-fold rows count. The threshold is reported in three ways: **nested** (fold k is scored
//! at the threshold that is best on the other folds: the headline), **fixed**, and **oracle** (best on
//! the scored fold itself: optimistic, for comparison with published tables). Without a positive class,
//! metrics are macro averages at the most probable class.

use std::collections::BTreeMap;

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Lineage, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, Params, params};

use crate::evaluation::{
    Estimate, Metric, MetricReport, ScoreSettings, final_threshold, out_of_fold,
};
use crate::rows;
use crate::table::Predictions;

pub(super) mod markdown;

/// The kind.
pub struct Evaluate;

params! {
    struct EvaluateParams<'a> {
        threshold: f64 = float(0.5, 0.0, 1.0, "The fixed threshold, for the metrics named `_fixed`.");
        top: usize = int(100, 1, 1_000_000_000, "How many of the objects that are scored somebody can follow up, for `precision_top`. In a fold it is the same share.");
        class_weights: Vec<(&'a str, f64)> = new(ParamType::Map(Box::new(ParamType::Float { min: 0.0, max: 1e9 })), "Weights of classes in `weighted_log_loss`, such as `{ TDE = 2 }`; 1 for a class that is not named.").optional();
    }
}

impl Stage for Evaluate {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "evaluate",
            version: 5,
            about: "Scores out-of-fold predictions: F1, AUC, log-loss and more, per fold and pooled",
            ports: Ports {
                inputs: vec![InputPort::one("predictions", "predictions")],
                outputs: vec![
                    OutputPort::of(
                        "metrics",
                        "metrics",
                        0,
                        "JSON: by metric, pooled with its 95 % interval (low, high), mean, std and folds",
                    ),
                    OutputPort::of(
                        "threshold",
                        "threshold",
                        0,
                        "JSON: the threshold of best F1 on all out-of-fold rows, and the precision to expect there",
                    ),
                    OutputPort::of("report", "report", 0, "the same for people, as Markdown"),
                ],
            },
            params: EvaluateParams::specs(),
            steps: vec![
                Step::new("score", Scope::Whole)
                    .scored()
                    .port("predictions")
                    .writes("metrics")
                    .writes("threshold")
                    .writes("report"),
            ],
        }
    }

    fn opaque(&self, _params: &Params, _output: &str) -> bool {
        true
    }

    fn metrics(&self) -> Vec<&'static str> {
        let more = Metric::MACRO.into_iter();
        let more = more.filter(|metric| !Metric::BINARY.contains(metric));
        Metric::BINARY
            .into_iter()
            .chain(more)
            .map(Metric::key)
            .collect()
    }

    fn unquotable(&self, metric: &str) -> Option<(String, String)> {
        let honest = metric.strip_suffix("_oracle")?;
        let cause = "its threshold is the best on the very rows that it scores";
        Some((cause.into(), honest.into()))
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let predictions = Predictions::read_out_of_fold(&action.one("predictions")?.path)?;
        let repeats = out_of_fold(&predictions)?;
        let folds = match &action.folds {
            Some(folds) => Some(rows::folds_of(&predictions, &folds.path)?),
            None => None,
        };
        if let Some(folds) = &folds {
            rows::held_out(&predictions, folds)?;
        }
        let params = EvaluateParams::read(action.params);
        let by_class = class_weights(&predictions.classes, &params.class_weights)?;
        let settings = ScoreSettings {
            threshold: params.threshold,
            top: params.top,
            class_weights: by_class,
        };
        let groups = folds
            .as_ref()
            .and_then(|f| repeats[0].groups(&predictions, f));
        let evaluation = MetricReport::of(&predictions, &repeats, &settings, groups.as_deref())?;
        let threshold = final_threshold(&predictions, &repeats);
        let metrics = evaluation.to_value();
        let text = format!("{:#}\n", metrics.to_json());
        let attrs = vec![("metrics".to_owned(), metrics)];
        action.write("metrics", text.as_bytes(), attrs)?;
        let precision = evaluation.metric(Metric::Precision).and_then(|precision| {
            let (low, high) = precision.interval?;
            Some(Estimate {
                value: precision.pooled?,
                low,
                high,
            })
        });
        let json = serde_json::json!({ "threshold": threshold, "precision": precision });
        let text = format!("{json}\n");
        let attr = threshold.map_or(Value::Null, Value::Float);
        action.write(
            "threshold",
            text.as_bytes(),
            vec![("threshold".to_owned(), attr)],
        )?;
        let trust = on_trust(action.lineage, folds.is_some());
        let mut report = markdown::report(&predictions, &evaluation, threshold, &settings);
        report.push_str(&markdown::provenance(
            action.lineage,
            folds.as_ref(),
            &trust,
        ));
        let notes = evaluation.notes.into_iter().chain(trust);
        let notes = notes.map(Value::Str).collect();
        let attrs = vec![("notes".to_owned(), Value::List(notes))];
        action.write("report", report.as_bytes(), attrs)
    }
}

/// The weights of classes in the weighted log-loss, by class.
///
/// # Errors
/// If a class has no column of probabilities.
pub(super) fn class_weights(
    classes: &[String],
    given: &[(&str, f64)],
) -> Result<BTreeMap<String, f64>, StageError> {
    for (class, _) in given {
        if !classes.iter().any(|known| known == class) {
            let classes = classes.join(", ");
            return Err(StageError::data(
                "flow::data::unknown_class",
                format!("`class_weights` names `{class}`, for which there are no probabilities"),
            )
            .help(format!("the predictions have those of: {classes}")));
        }
    }
    let weights = given.iter();
    Ok(weights.map(|&(class, w)| (class.to_owned(), w)).collect())
}

/// A note on what cannot be checked: that nothing was learned from the rows that are scored.
fn on_trust(lineage: &Lineage, by_folds: bool) -> Vec<String> {
    let mut trust = Vec::new();
    if !by_folds {
        trust.push(
            "no `folds` stage stands behind the predictions: that each row was held out is taken on trust"
                .to_owned(),
        );
    }
    if !lineage.foreign.is_empty() {
        let kinds: Vec<String> = lineage.foreign.iter().map(|k| format!("`{k}`")).collect();
        trust.push(format!(
            "taken on trust: that {} used no label of the rows that are scored",
            kinds.join(" and ")
        ));
    }
    trust
}
