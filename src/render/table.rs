//! The tables at the end of a run.

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::Value as Json;

use super::{bytes, seconds};
use crate::report::Report;

/// What comes after a run for people: stages, metrics, notes.
pub fn run(report: &Report) -> String {
    let mut text = format!("{}\n", stages(report));
    if let Some(metrics) = metrics(report) {
        text.push_str(&format!("\n{metrics}\n"));
    }
    if let Some(headline) = headline(report) {
        text.push_str(&format!("\n{headline}\n"));
    }
    let mut gap = "\n";
    for stage in &report.stages {
        for note in &stage.notes {
            text.push_str(&format!("{gap}{}: {note}\n", stage.name));
            gap = "";
        }
    }
    let took = seconds(report.wall_s);
    text.push_str(&format!(
        "\nrun {} {} in {took}\n",
        report.run,
        report.status.name()
    ));
    text
}

/// A table without lines: names to the left, figures to the right.
pub fn plain(header: &[&str], texts: usize, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let cells = |row: Vec<String>| -> Vec<Cell> {
        row.into_iter()
            .enumerate()
            .map(|(column, text)| {
                Cell::new(text).set_alignment(if column < texts {
                    CellAlignment::Left
                } else {
                    CellAlignment::Right
                })
            })
            .collect()
    };
    table.set_header(cells(header.iter().map(|h| (*h).to_owned()).collect()));
    for row in rows {
        table.add_row(cells(row));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

fn stages(report: &Report) -> String {
    let trouble = report
        .stages
        .iter()
        .any(|stage| stage.figures.failed + stage.figures.skipped > 0);
    let mut header = vec!["stage", "actions", "hit", "ran"];
    if trouble {
        header.extend(["failed", "skipped"]);
    }
    header.extend(["time", "rows", "size"]);
    let rows = report.stages.iter().map(|stage| {
        let figures = &stage.figures;
        let mut row = vec![
            stage.name.clone(),
            figures.actions().to_string(),
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
        row.push(bytes(figures.size));
        row
    });
    plain(&header, 1, rows.collect())
}

fn metrics(report: &Report) -> Option<String> {
    let mut rows = Vec::new();
    for (stage, metrics) in &report.metrics {
        for (name, metric) in metrics.as_object().into_iter().flatten() {
            let Some(folds) = metric.get("folds").and_then(Json::as_array) else {
                continue;
            };
            let figure = |key: &str| figure(metric.get(key));
            let undefined = folds.iter().filter(|fold| fold.is_null()).count();
            rows.push(vec![
                format!("{stage}.{name}"),
                figure("pooled"),
                figure("mean"),
                figure("std"),
                match undefined {
                    0 => folds.len().to_string(),
                    n => format!("{} of {}", folds.len() - n, folds.len()),
                },
            ]);
        }
    }
    let header = ["metric", "pooled", "mean", "std", "folds"];
    (!rows.is_empty()).then(|| plain(&header, 1, rows))
}

fn figure(value: Option<&Json>) -> String {
    value
        .and_then(Json::as_f64)
        .map_or("-".into(), |v| format!("{v:.4}"))
}

fn headline(report: &Report) -> Option<String> {
    let metric = report.headline_metric()?;
    Some(format!(
        "{} = {} (folds: {} +- {})",
        report.headline.as_ref()?,
        figure(metric.get("pooled")),
        figure(metric.get("mean")),
        figure(metric.get("std")),
    ))
}
