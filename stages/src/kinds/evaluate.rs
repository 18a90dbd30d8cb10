//! Kind `evaluate`: measures how good predictions are, and at which threshold.
//!
//! Only out-of-fold rows count. The threshold is reported in three ways: **nested** (fold k is scored
//! at the threshold that is best on the other folds: the headline), **fixed**, and **oracle** (best on
//! the scored fold itself: optimistic, for comparison with published tables). Without a positive class,
//! metrics are macro averages at the most probable class.

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Lineage, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Params, params};

use crate::evaluation::{Metric, MetricReport, Repeat, out_of_fold};
use crate::numeric::metrics::best_f1_threshold;
use crate::rows;
use crate::table::{Folds, Predictions};

/// The kind.
pub struct Evaluate;

params! {
    struct EvaluateParams {
        threshold: f64 = float(0.5, 0.0, 1.0, "The fixed threshold, for the metrics named `_fixed`.");
    }
}

impl Stage for Evaluate {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "evaluate",
            version: 3,
            about: "Scores out-of-fold predictions: F1, AUC, log-loss and more, per fold and pooled",
            ports: Ports {
                inputs: vec![InputPort::one("predictions", "predictions")],
                outputs: vec![
                    OutputPort::of(
                        "metrics",
                        "metrics",
                        0,
                        "JSON: by metric, pooled, mean, std and folds",
                    ),
                    OutputPort::of(
                        "threshold",
                        "threshold",
                        0,
                        "JSON: the threshold of best F1 on all out-of-fold rows",
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
        let predictions = Predictions::read(&action.one("predictions")?.path)?;
        let repeats = out_of_fold(&predictions)?;
        let folds = match &action.folds {
            Some(folds) => Some(Folds::read(&folds.path)?),
            None => None,
        };
        if let Some(folds) = &folds {
            rows::held_out(&predictions, folds)?;
        }
        let fixed = EvaluateParams::read(action.params).threshold;
        let evaluation = MetricReport::of(&predictions, &repeats, fixed)?;
        let threshold = final_threshold(&predictions, &repeats);
        let metrics = evaluation.to_value();
        let text = format!("{:#}\n", metrics.to_json());
        let attrs = vec![("metrics".to_owned(), metrics)];
        action.write("metrics", text.as_bytes(), attrs)?;
        let text = format!("{}\n", serde_json::json!({ "threshold": threshold }));
        let attr = threshold.map_or(Value::Null, Value::Float);
        action.write(
            "threshold",
            text.as_bytes(),
            vec![("threshold".to_owned(), attr)],
        )?;
        let trust = on_trust(action.lineage, folds.is_some());
        let mut report = report(&predictions, &evaluation, threshold);
        report.push_str(&provenance(action.lineage, folds.as_ref(), &trust));
        let notes = evaluation.notes.into_iter().chain(trust);
        let notes = notes.map(Value::Str).collect();
        let attrs = vec![("notes".to_owned(), Value::List(notes))];
        action.write("report", report.as_bytes(), attrs)
    }
}

/// The threshold for new objects: the best one on all out-of-fold rows, averaged over repeats.
fn final_threshold(predictions: &Predictions, repeats: &[Repeat]) -> Option<f64> {
    let positive = predictions.positive.as_ref()?;
    let column = predictions.classes.iter().position(|c| c == positive)?;
    let mut sum = 0.0;
    for repeat in repeats {
        let (scores, labels) = repeat.scores(predictions, column, positive);
        sum += best_f1_threshold(&scores, &labels)?;
    }
    Some(sum / repeats.len() as f64)
}

fn report(predictions: &Predictions, evaluation: &MetricReport, threshold: Option<f64>) -> String {
    let mut text = String::from("# Cross-validated metrics\n\n");
    match &predictions.positive {
        Some(positive) => text.push_str(&format!("Positive class: {positive}. ")),
        None => text.push_str("Macro averages over classes at the most probable class. "),
    }
    text.push_str(
        "`pooled` is over all out-of-fold rows of a repeat, averaged over repeats; `mean` and `std` are over folds.\n\n",
    );
    if let Some(threshold) = threshold {
        text.push_str(
            "`f1`, `precision` and `recall` use, in each fold, the threshold that is best on the other folds \
             (cross-fitted); `_fixed` the fixed one; `_oracle` the best on the scored fold itself, which is optimistic.\n\n",
        );
        text.push_str(&format!("Threshold for new objects: {threshold:.4}.\n\n"));
    }
    text.push_str(
        "| metric | pooled | mean | std | folds without a value |\n|---|---|---|---|---|\n",
    );
    let average = evaluation.average.map(|average| format!(" ({average})"));
    let average = average.unwrap_or_default();
    for values in &evaluation.metrics {
        let show = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let undefined = values.folds.iter().filter(|f| f.is_none()).count();
        text.push_str(&format!(
            "| {}{average} | {} | {} | {} | {undefined} of {} |\n",
            values.metric.key(),
            show(values.pooled),
            show(values.mean()),
            show(values.std()),
            values.folds.len()
        ));
    }
    for note in &evaluation.notes {
        text.push_str(&format!("\n{}.\n", sentence(note)));
    }
    let Some(confusion) = &evaluation.confusion else {
        return text;
    };
    text.push_str("\nConfusion (rows: true, columns: predicted):\n\n| |");
    for class in &evaluation.confusion_classes {
        text.push_str(&format!(" {class} |"));
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(evaluation.confusion_classes.len()));
    for (class, row) in evaluation.confusion_classes.iter().zip(confusion) {
        text.push_str(&format!("\n| {class} |"));
        for count in row {
            text.push_str(&format!(" {count} |"));
        }
    }
    text.push('\n');
    text
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

/// The rows that the models behind the predictions were fitted on.
fn provenance(lineage: &Lineage, folds: Option<&Folds>, trust: &[String]) -> String {
    let mut text = String::from("\n## Where the predictions come from\n\n");
    if let Some(folds) = folds {
        text.push_str(
            "- Every row that is scored was held out by its fold; checked row by row against the table of folds.\n",
        );
        if folds.group.iter().any(Option::is_some) {
            text.push_str("- Objects of one group are in one fold: no model was fitted on a sibling of a row that it is scored on.\n");
        }
    }
    if lineage.crossed {
        text.push_str(
            "- Cross-fitted: a stage on the way learned, for each fold, from the out-of-fold predictions of the other folds.\n",
        );
    }
    for line in trust {
        text.push_str(&format!("- {}.\n", sentence(line)));
    }
    text
}

/// Makes the first letter a capital.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    format!("{}{}", first.unwrap_or(' '), letters.as_str())
}
