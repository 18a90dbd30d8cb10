//! An evaluation for people, as Markdown.

use flow_engine::kind::Lineage;

use crate::evaluation::{Metric, MetricReport, ScoreSettings};
use crate::table::{Folds, Predictions};

/// The metrics, the finds at a budget, the reliability curve and the confusion matrix.
pub(super) fn report(
    predictions: &Predictions,
    evaluation: &MetricReport,
    threshold: Option<f64>,
    settings: &ScoreSettings,
) -> String {
    let mut text = String::from("# Cross-validated metrics\n\n");
    match &predictions.positive {
        Some(positive) => text.push_str(&format!("Positive class: {positive}. ")),
        None => text.push_str("Macro averages over classes at the most probable class. "),
    }
    text.push_str(
        "`pooled` is over all out-of-fold rows of a repeat, averaged over repeats, with its 95 % interval (bootstrap); \
         `mean` and `std` are over folds.\n\n",
    );
    if let Some(threshold) = threshold {
        text.push_str(
            "`f1`, `precision` and `recall` use, in each fold, the threshold that is best on the other folds \
             (cross-fitted); `_fixed` the fixed one; `_oracle` the best on the scored fold itself, which is optimistic.\n\n",
        );
        text.push_str(&format!("Threshold for new objects: {threshold:.4}.\n\n"));
    }
    text.push_str(&body(evaluation, settings));
    text
}

/// The metrics and what follows them, without a heading.
pub fn body(evaluation: &MetricReport, settings: &ScoreSettings) -> String {
    let mut text = metrics(evaluation);
    text.push_str(&finds(evaluation, settings));
    for note in &evaluation.notes {
        text.push_str(&format!("\n{}.\n", sentence(note)));
    }
    text.push_str(&reliability(evaluation));
    text.push_str(&confusion(evaluation));
    text
}

fn metrics(evaluation: &MetricReport) -> String {
    let mut text = String::from(
        "| metric | pooled | 95 % interval | mean | std | folds without a value |\n|---|---|---|---|---|---|\n",
    );
    let average = evaluation.average.map(|average| format!(" ({average})"));
    let average = average.unwrap_or_default();
    for values in &evaluation.metrics {
        let undefined = values.folds.iter().filter(|f| f.is_none()).count();
        text.push_str(&format!(
            "| {}{average} | {} | {} | {} | {} | {undefined} of {} |\n",
            values.metric.key(),
            show(values.pooled),
            interval(values.interval),
            show(values.mean()),
            show(values.std()),
            values.folds.len()
        ));
    }
    text
}

/// How many true finds the highest scores hold.
fn finds(evaluation: &MetricReport, settings: &ScoreSettings) -> String {
    let precision = evaluation.metric(Metric::PrecisionTop);
    let Some((values, share)) = precision.and_then(|values| Some((values, values.pooled?))) else {
        return String::new();
    };
    let top = settings.top.min(evaluation.rows);
    let count = |share: f64| format!("{:.0}", share * top as f64);
    let ends = values.interval.map_or(String::new(), |(low, high)| {
        format!(" (95 %: {} to {})", count(low), count(high))
    });
    format!(
        "\nThe {top} highest scores of a repeat hold {}{ends} true finds.\n",
        count(share)
    )
}

fn reliability(evaluation: &MetricReport) -> String {
    let what = match evaluation.average {
        None => "P(positive) against the share that is positive",
        Some(_) => "The highest probability against the share that is of that class",
    };
    let mut text = format!(
        "\n## Reliability\n\n{what}, over the rows of all repeats.\n\n\
         | probability | rows | mean probability | share | 95 % interval |\n|---|---|---|---|---|\n"
    );
    for bin in &evaluation.reliability {
        text.push_str(&format!(
            "| {:.1} to {:.1} | {} | {:.3} | {:.3} | {} |\n",
            bin.range.0,
            bin.range.1,
            bin.rows,
            bin.predicted,
            bin.observed,
            interval(bin.interval)
        ));
    }
    text
}

fn confusion(evaluation: &MetricReport) -> String {
    let Some(confusion) = &evaluation.confusion else {
        return String::new();
    };
    let mut text = String::from(
        "\n## Confusion\n\nRows: true class, columns: predicted class, over all repeats.\n\n| |",
    );
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

fn show(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |v| format!("{v:.4}"))
}

fn interval(ends: Option<(f64, f64)>) -> String {
    ends.map_or("-".to_owned(), |(low, high)| {
        format!("{low:.3} to {high:.3}")
    })
}

/// The rows that the models behind the predictions were fitted on.
pub(super) fn provenance(lineage: &Lineage, folds: Option<&Folds>, trust: &[String]) -> String {
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
