//! The results of a run, for people: a table of its stages, one of metrics, the headline and notes.

use crate::event::RemoteFigures;
use crate::outcome::RunOutcome;
use crate::render::table::{self, figure};
use crate::wording::{bytes, count, seconds};

/// What people see at the end of a run: stages, metrics and notes.
pub fn text(outcome: &RunOutcome) -> String {
    let mut text = format!("{}\n", stages(outcome));
    if let Some(metrics) = metrics(outcome) {
        text.push_str(&format!("\n{metrics}\n"));
    }
    if let Some(headline) = headline(outcome) {
        text.push_str(&format!("\n{headline}\n"));
    }
    let mut gap = "\n";
    for stage in &outcome.stages {
        for note in &stage.notes {
            text.push_str(&format!("{gap}{}: {note}\n", stage.name));
            gap = "";
        }
    }
    if let Some(remote) = &outcome.remote {
        text.push_str(&format!("\n{}\n", remote_line(remote)));
    }
    let took = seconds(outcome.wall_s);
    text.push_str(&format!(
        "\nrun {} {} in {took}\n",
        outcome.run,
        outcome.status.name()
    ));
    text
}

/// What has gone on with the remote, in one line. What went wrong is only there if something did.
fn remote_line(remote: &RemoteFigures) -> String {
    let mut parts = vec![
        count(remote.hits as usize, "hit"),
        format!("{} fetched", bytes(remote.fetched_bytes)),
    ];
    if remote.written > 0 {
        let records = count(remote.written as usize, "record");
        parts.push(format!(
            "{records} written ({})",
            bytes(remote.written_bytes)
        ));
    }
    for (number, what) in [
        (remote.failed_writes, "NOT WRITTEN"),
        (remote.failed_reads, "not read"),
        (remote.damaged, "damaged"),
        (remote.refused, "not trusted"),
        (remote.different, "not deterministic"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    format!("remote: {}", parts.join(", "))
}

fn stages(outcome: &RunOutcome) -> String {
    let trouble = outcome
        .stages
        .iter()
        .any(|stage| stage.figures.failed + stage.figures.skipped > 0);
    let mut header = vec!["stage", "actions", "hit", "ran"];
    if trouble {
        header.extend(["failed", "skipped"]);
    }
    header.extend(["time", "rows", "size"]);
    let rows = outcome.stages.iter().map(|stage| {
        let figures = &stage.figures;
        let mut row = vec![
            stage.name.clone(),
            figures.actions.to_string(),
            figures.hit.to_string(),
            figures.ran.to_string(),
        ];
        if trouble {
            row.push(figures.failed.to_string());
            row.push(figures.skipped.to_string());
        }
        row.push(match figures.ran {
            0 => String::new(),
            _ => seconds(figures.wall_s),
        });
        row.push(stage.rows.map_or(String::new(), |rows| rows.to_string()));
        row.push(bytes(stage.size));
        row
    });
    table::fitted(&header, 1, rows.collect(), &["size", "rows"])
}

fn metrics(outcome: &RunOutcome) -> Option<String> {
    let mut rows = Vec::new();
    for (stage, name, metric) in outcome.metrics.iter() {
        let Some(folds) = &metric.folds else {
            continue;
        };
        let undefined = folds.iter().filter(|fold| fold.is_none()).count();
        rows.push(vec![
            format!("{stage}.{name}{}", metric.of_what()),
            figure(metric.pooled),
            metric.interval().unwrap_or_default(),
            figure(metric.mean),
            figure(metric.std),
            match undefined {
                0 => folds.len().to_string(),
                n => format!("{} of {}", folds.len() - n, folds.len()),
            },
        ]);
    }
    let header = ["metric", "pooled", "95 %", "mean", "std", "folds"];
    (!rows.is_empty()).then(|| table::plain(&header, 1, rows))
}

fn headline(outcome: &RunOutcome) -> Option<String> {
    let metric = outcome.headline_metric()?;
    let interval = metric
        .interval()
        .map_or(String::new(), |ends| format!(" {ends}"));
    Some(format!(
        "{}{} = {}{interval} (folds: {} +- {})",
        outcome.headline.as_ref()?.metric,
        metric.of_what(),
        figure(metric.pooled),
        figure(metric.mean),
        figure(metric.std),
    ))
}
