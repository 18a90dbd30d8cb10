//! Kind `evaluate_new`: scores the predictions of unlabelled objects whose classes somebody knows.
//!
//! Challenges hide the labels of a test set, which may have classes that no labelled object is of. The truth comes in by
//! a port whose type no fit takes, so it can be used here alone. Only rows of the final fit without a label are scored.
//! A threshold, if there is one, was chosen on other rows.

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Diag, ParamType, Params, params};

use super::evaluate::{class_weights, markdown};
use crate::evaluation::{HiddenRows, MetricReport, ScoreSettings};
use crate::numeric::metrics::Confusion;
use crate::table::Truth;

/// The kind.
pub struct EvaluateNew;

params! {
    struct EvaluateNewParams<'a> {
        threshold: Option<f64> = new(ParamType::Float { min: 0.0, max: 1.0 }, "The threshold of the positive class, in place of the input `threshold`; 0.5 without either.").optional();
        top: usize = int(100, 1, 1_000_000_000, "How many of the objects that are scored somebody can follow up, for `precision_top`.");
        class_weights: Vec<(&'a str, f64)> = new(ParamType::Map(Box::new(ParamType::Float { min: 0.0, max: 1e9 })), "Weights of classes in `weighted_log_loss`, such as `{ 99 = 2 }`; 1 for a class that is not named, and 0 leaves a class out.").optional();
    }
}

impl Stage for EvaluateNew {
    fn spec(&self) -> KindSpec {
        let threshold = InputPort {
            optional: true,
            ..InputPort::one("threshold", "threshold")
        };
        KindSpec {
            name: "evaluate_new",
            version: 1,
            about: "Scores predictions of unlabelled objects whose classes are known elsewhere",
            ports: Ports {
                inputs: vec![
                    InputPort::one("predictions", "predictions"),
                    InputPort::one("truth", "truth"),
                    threshold,
                ],
                outputs: vec![
                    OutputPort::of(
                        "metrics",
                        "metrics",
                        0,
                        "JSON: by metric, pooled with its 95 % interval (low, high)",
                    ),
                    OutputPort::of("report", "report", 0, "the same for people, as Markdown"),
                ],
            },
            params: EvaluateNewParams::specs(),
            steps: vec![
                Step::new("score", Scope::Whole)
                    .port("predictions")
                    .port("truth")
                    .port("threshold")
                    .writes("metrics")
                    .writes("report"),
            ],
        }
    }

    fn opaque(&self, _params: &Params, _output: &str) -> bool {
        true
    }

    fn check(&self, params: &Params, inputs: &[String]) -> Vec<Diag> {
        let given = EvaluateNewParams::read(params).threshold.is_some();
        if !given || !inputs.iter().any(|port| port == "threshold") {
            return Vec::new();
        }
        let diag = Diag::new(
            "flow::params::combination",
            "there is an input `threshold`, and a parameter of that name",
        )
        .help("remove one of the two");
        vec![match params.span("threshold") {
            Some(span) => diag.label(span, "the same again"),
            None => diag,
        }]
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let truth = Truth::read(&action.one("truth")?.path)?;
        let hidden = HiddenRows::read(&action.one("predictions")?.path, &truth)?;
        let params = EvaluateNewParams::read(action.params);
        let chosen = match action.input("threshold").first() {
            Some(part) => threshold(&std::fs::read(&part.path)?)?,
            None => params.threshold,
        };
        let settings = ScoreSettings {
            threshold: chosen.unwrap_or(0.5),
            top: params.top,
            class_weights: class_weights(&hidden.predictions.classes, &params.class_weights)?,
        };
        let evaluation = scored(&hidden, &settings)?;
        let metrics = evaluation.to_value();
        let text = format!("{:#}\n", metrics.to_json());
        let attrs = vec![("metrics".to_owned(), metrics)];
        action.write("metrics", text.as_bytes(), attrs)?;
        let notes = evaluation.notes.iter().cloned().map(Value::Str).collect();
        let attrs = vec![("notes".to_owned(), Value::List(notes))];
        let report = heading(&hidden, &settings) + &markdown::body(&evaluation, &settings);
        action.write("report", report.as_bytes(), attrs)
    }
}

/// Reads a threshold as `evaluate` and `threshold` write it; none if there was no positive class to choose one for.
fn threshold(json: &[u8]) -> Result<Option<f64>, StageError> {
    #[derive(serde::Deserialize)]
    struct Threshold {
        threshold: Option<f64>,
    }
    let read = serde_json::from_slice::<Threshold>(json);
    let read = read.map_err(|error| {
        StageError::data("flow::data::schema", "the threshold is unreadable").because(error)
    })?;
    Ok(read.threshold)
}

/// Computes the metrics. Those whose threshold would have to be chosen on the scored rows are left out, and so are the
/// statistics over folds, of which there is one.
fn scored(hidden: &HiddenRows, settings: &ScoreSettings) -> Result<MetricReport, StageError> {
    let (rows, repeats) = (&hidden.predictions, &hidden.repeats);
    let mut evaluation = MetricReport::of(rows, repeats, settings, None)?;
    evaluation.metrics.retain(|values| values.pooled.is_some());
    evaluation.notes = notes(hidden);
    if let Some((column, class)) = rows.positive_column()? {
        let (scores, labels) = repeats[0].scores(rows, column, class);
        let counts = Confusion::at(&scores, &labels, settings.threshold);
        evaluation.confusion = Some(vec![
            vec![counts.tn, counts.fp],
            vec![counts.fn_, counts.tp],
        ]);
    }
    Ok(evaluation)
}

fn notes(hidden: &HiddenRows) -> Vec<String> {
    let mut notes = Vec::new();
    for (class, count) in &hidden.unknown {
        notes.push(format!(
            "there are no probabilities of class `{class}`, which {count} of {} objects are of: they count as 0",
            hidden.predictions.len()
        ));
    }
    if hidden.without_truth > 0 {
        notes.push(format!(
            "{} unlabelled objects are not scored, because their classes are not known",
            hidden.without_truth
        ));
    }
    notes
}

fn heading(hidden: &HiddenRows, settings: &ScoreSettings) -> String {
    let objects = hidden.predictions.len();
    let mut text = format!(
        "# Metrics of unlabelled objects\n\n{objects} objects without a label, predicted by the final fit, whose classes are known elsewhere. "
    );
    match &hidden.predictions.positive {
        Some(positive) => text.push_str(&format!(
            "Positive class: {positive}; `_fixed` and the confusion are at the threshold {}. ",
            settings.threshold
        )),
        None => text.push_str("Macro averages over classes at the most probable class. "),
    }
    text.push_str("`pooled` has its 95 % interval (bootstrap of objects).\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Metric;
    use crate::table::Predictions;

    #[test]
    fn thresholds_of_other_stages_are_read() {
        assert_eq!(
            threshold(b"{\"threshold\": 0.25, \"precision\": null}").ok(),
            Some(Some(0.25))
        );
        assert_eq!(threshold(b"{\"threshold\": null}").ok(), Some(None));
        assert!(threshold(b"0.5").is_err());
    }

    #[test]
    fn one_class_is_scored_at_the_threshold_that_is_given() {
        let rows = [
            ("a", 0.9, true),
            ("b", 0.4, true),
            ("c", 0.35, false),
            ("d", 0.1, false),
        ];
        let predictions = Predictions {
            classes: vec!["TDE".into()],
            positive: Some("TDE".into()),
            object_id: rows.iter().map(|row| row.0.into()).collect(),
            repeat: vec![0; 4],
            fold: vec![None; 4],
            label: vec![None; 4],
            probability: vec![rows.iter().map(|row| row.1).collect()],
        };
        let class = |tde: bool| if tde { "TDE" } else { "AGN" }.to_owned();
        let truth = Truth {
            class: rows
                .iter()
                .map(|row| (row.0.to_owned(), class(row.2)))
                .collect(),
        };
        let hidden = HiddenRows::of(&predictions, &truth).unwrap();
        let at = |threshold| ScoreSettings {
            threshold,
            ..ScoreSettings::default()
        };
        let found = scored(&hidden, &at(0.38)).unwrap();
        assert_eq!(found.confusion, Some(vec![vec![2, 0], vec![0, 2]]));
        let value = |found: &MetricReport, metric| found.metric(metric).and_then(|v| v.pooled);
        assert_eq!(value(&found, Metric::F1Fixed), Some(1.0));
        assert_eq!(value(&found, Metric::F1), None);
        let found = scored(&hidden, &at(0.3)).unwrap();
        assert_eq!(found.confusion, Some(vec![vec![1, 1], vec![0, 2]]));
        assert!(found.notes.is_empty());
        let text = heading(&hidden, &at(0.3));
        assert!(text.contains("threshold 0.3. "), "{text}");
    }
}
