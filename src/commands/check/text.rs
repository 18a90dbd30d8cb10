//! The findings of a check, as a table for people and as Markdown for a pull request.

use std::fmt::Write;

use flow_stages::comparison::gate::Judged;
use flow_stages::evaluation::Metric;

use super::recipes::Standing;
use super::results::{CheckResults, Compared};
use crate::render::table;
use crate::wording::count;

const HEADER: [&str; 7] = [
    "metric",
    "baseline",
    "now",
    "difference",
    "95 % interval",
    "limit",
    "verdict",
];

/// Says how these figures differ from those of a run, which have nearly the same names.
const AVERAGED: &str = "\
These are figures of scores averaged over repeats, on the objects in common: AP
(average precision) is `pr_auc` of those, where `evaluate` averages the `pr_auc`
of each repeat; F1 likewise.";

/// The findings for people. `explain` names the fields of recipes that differ.
pub fn text(results: &CheckResults, explain: bool) -> String {
    let mut text = String::from("\n");
    let rows = rows(results);
    if !rows.is_empty() {
        let _ = writeln!(text, "{}\n\n{AVERAGED}\n", table::plain(&HEADER, 1, rows));
    }
    for note in notes(results) {
        let _ = writeln!(text, "{note}");
    }
    let _ = writeln!(text, "{}", stages(results));
    if explain {
        for (name, standing) in &results.stages {
            for line in differences(standing) {
                let _ = writeln!(text, "  {name}: {line}");
            }
        }
    } else if changed(results) > 0 {
        text.push_str("`--explain` says in what recipes differ\n");
    }
    let _ = writeln!(
        text,
        "\ncheck against {}: {}",
        results.baseline,
        results.verdict()
    );
    text
}

/// The findings for a pull request.
pub fn markdown(results: &CheckResults) -> String {
    let mut text = format!(
        "### flow check: `{}` {}\n\n",
        results.pipeline,
        match results.verdict() {
            "ok" => "passed",
            _ => "**failed**",
        }
    );
    let rows = rows(results);
    if !rows.is_empty() {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        text.push_str(&line(&HEADER.map(str::to_owned)));
        text.push_str("|---|---:|---:|---:|---:|---:|---|\n");
        rows.iter().for_each(|row| text.push_str(&line(row)));
        let _ = writeln!(
            text,
            "\n{} Differences are now less baseline. A metric fails if it becomes worse by more than its limit; \
             where nothing has become worse, at most {} % of checks do.\n",
            AVERAGED.replace('\n', " "),
            100.0 * results.false_alarms
        );
    }
    for note in notes(results) {
        let _ = writeln!(text, "- {note}");
    }
    let _ = writeln!(text, "- {}", stages(results));
    let lines: Vec<String> = (results.stages.iter())
        .flat_map(|(name, standing)| {
            differences(standing)
                .into_iter()
                .map(move |line| format!("- `{name}`: {line}\n"))
        })
        .collect();
    if !lines.is_empty() {
        let _ = write!(
            text,
            "\n<details><summary>What differs from {}</summary>\n\n{}\n</details>\n",
            results.baseline,
            lines.concat()
        );
    }
    text
}

fn rows(results: &CheckResults) -> Vec<Vec<String>> {
    let rows = results.evaluations.iter().flat_map(|evaluation| {
        let metrics = evaluation.metrics.iter();
        metrics.map(move |metric| row(evaluation, metric))
    });
    rows.collect()
}

/// What a metric is called, given what it is an average of.
pub fn title(metric: Metric, average: Option<&str>) -> String {
    match average.filter(|_| metric != Metric::LogLoss) {
        Some(average) => format!("{average} {}", metric.title()),
        None => metric.title().to_owned(),
    }
}

fn row(evaluation: &Compared, judged: &Judged) -> Vec<String> {
    let difference = judged.difference;
    let title = title(judged.metric, evaluation.average);
    vec![
        format!("{} {title}", evaluation.name),
        format!("{:.4}", judged.baseline),
        format!("{:.4}", judged.now),
        signed(difference.value),
        format!("{} to {}", signed(difference.low), signed(difference.high)),
        format!("{:.4}", judged.limit),
        judged.verdict.word().to_owned(),
    ]
}

/// A number with its sign, unless it is zero.
fn signed(value: f64) -> String {
    let text = format!("{value:+.4}");
    match text.trim_start_matches(['+', '-']) {
        zero @ "0.0000" => zero.to_owned(),
        _ => text,
    }
}

fn notes(results: &CheckResults) -> Vec<String> {
    let mut notes = Vec::new();
    for evaluation in &results.evaluations {
        if let (Some((objects, positives)), Some((now, then))) =
            (evaluation.objects, evaluation.repeats)
        {
            let repeats = match now == then {
                true => count(now, "repeat"),
                false => format!("{} ({then} in the baseline)", count(now, "repeat")),
            };
            let positives = positives.map(|n| format!(", {n} of them positive"));
            let positives = positives.unwrap_or_default();
            notes.push(format!(
                "{}: {} in common{positives}; {repeats}",
                evaluation.name,
                count(objects, "object"),
            ));
        }
        let own = evaluation.notes.iter();
        notes.extend(own.map(|note| format!("{}: {note}", evaluation.name)));
    }
    notes
}

fn changed(results: &CheckResults) -> usize {
    let stages = results.stages.iter();
    stages
        .filter(|(_, standing)| matches!(standing, Standing::Changed(_)))
        .count()
}

/// Sums up how stages stand, in one line.
fn stages(results: &CheckResults) -> String {
    let with = |wanted: fn(&Standing) -> bool| -> Vec<&str> {
        let stages = results.stages.iter().filter(|(_, s)| wanted(s));
        stages.map(|(name, _)| name.as_str()).collect()
    };
    let same = with(|s| matches!(s, Standing::Same)).len();
    let mut text = format!(
        "{} with the recipe and the bytes of the baseline",
        count(same, "stage")
    );
    for (names, what) in [
        (
            with(|s| matches!(s, Standing::Nondeterministic(_))),
            "with its recipe and other bytes",
        ),
        (
            with(|s| matches!(s, Standing::Changed(_))),
            "with another recipe",
        ),
        (with(|s| matches!(s, Standing::New)), "new"),
        (with(|s| matches!(s, Standing::Gone)), "gone"),
    ] {
        if !names.is_empty() {
            let _ = write!(text, "; {} {what}: {}", names.len(), names.join(", "));
        }
    }
    text
}

/// The differences in one stage, one per line.
pub fn differences(standing: &Standing) -> Vec<String> {
    match standing {
        Standing::Same => Vec::new(),
        Standing::Nondeterministic(outputs) => outputs
            .iter()
            .map(|(name, was, is)| {
                let (was, is) = (was.short(), is.short());
                format!("the same recipe gave other bytes: {name} was {was}, is {is}")
            })
            .collect(),
        Standing::Changed(changes) => changes.clone(),
        Standing::New => vec!["not in the baseline".to_owned()],
        Standing::Gone => vec!["no longer in the pipeline".to_owned()],
    }
}
