//! The files that a study leaves: a table for programs, one for people, a plot and everything.

use std::fs;
use std::path::Path;

use flow_cache::Beside;
use flow_stages::artifacts::export::{ResultColumn, write_columns};
use flow_stages::evaluation::Metric;

use super::results::{Results, Row};
use super::{forest, text};
use crate::error::CliError;
use crate::event::pretty;

/// Their names.
pub const NAMES: [&str; 4] = [
    "ablation.parquet",
    "ablation.json",
    "forest.svg",
    "summary.md",
];

/// Writes them into `dir`, each beside its place first, so that a reader sees no half file.
pub fn write(results: &Results, dir: &Path) -> Result<(), CliError> {
    let mut parquet = Vec::new();
    write_columns(columns(results), "parquet", &mut parquet)?;
    let contents = [
        parquet,
        pretty(&results.figures())?.into_bytes(),
        forest::svg(&text::panels(results)).into_bytes(),
        text::summary(results).into_bytes(),
    ];
    fs::create_dir_all(dir).map_err(|e| failed(dir, &e))?;
    for (name, bytes) in NAMES.iter().zip(contents) {
        let path = dir.join(name);
        Beside::write(&path, &bytes).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::environment(format!("failed to write {}: {error}", path.display()))
}

/// One row for each variant and evaluation.
fn columns(results: &Results) -> Vec<(String, ResultColumn)> {
    let rows: Vec<(&str, &Row)> = results
        .schemes
        .iter()
        .flat_map(|scheme| scheme.rows.iter().map(|row| (scheme.name.as_str(), row)))
        .collect();
    let text = |f: &dyn Fn(&str, &Row) -> Option<String>| {
        ResultColumn::Text(rows.iter().map(|(scheme, row)| f(scheme, row)).collect())
    };
    let number = |f: &dyn Fn(&Row) -> Option<f64>| {
        ResultColumn::Number(rows.iter().map(|(_, row)| f(row)).collect())
    };
    let count = |f: &dyn Fn(&Row) -> Option<usize>| {
        let values = rows.iter().map(|(_, row)| f(row));
        ResultColumn::Count(
            values
                .map(|n| n.and_then(|n| i64::try_from(n).ok()))
                .collect(),
        )
    };
    let variant = |row: &Row| &results.variants[row.variant];
    let mut columns = vec![
        ("variant", text(&|_, row| Some(variant(row).name.clone()))),
        ("evaluation", text(&|scheme, _| Some(scheme.to_owned()))),
        ("status", text(&|_, row| Some(row.status.to_owned()))),
        ("note", text(&|_, row| row.note.clone())),
        ("objects", count(&|row| Some(row.summary.as_ref()?.objects))),
        ("positives", count(&|row| row.summary.as_ref()?.positives)),
        ("repeats", count(&|row| Some(row.summary.as_ref()?.repeats))),
    ]
    .into_iter()
    .map(|(name, column)| (name.to_owned(), column))
    .collect::<Vec<_>>();
    for metric in Metric::COMPARED {
        let estimate = |row: &Row| Some(*row.summary.as_ref()?.metrics.get(&metric)?);
        let change = |row: &Row| Some(row.comparison.as_ref()?.metrics.get(&metric)?.clone());
        let key = metric.key();
        columns.extend([
            (key.to_owned(), number(&|row| Some(estimate(row)?.value))),
            (
                format!("{key}_low"),
                number(&|row| Some(estimate(row)?.low)),
            ),
            (
                format!("{key}_high"),
                number(&|row| Some(estimate(row)?.high)),
            ),
            (
                format!("{key}_difference"),
                number(&|row| Some(change(row)?.difference.value)),
            ),
            (
                format!("{key}_difference_low"),
                number(&|row| Some(change(row)?.difference.low)),
            ),
            (
                format!("{key}_difference_high"),
                number(&|row| Some(change(row)?.difference.high)),
            ),
            (format!("{key}_p"), number(&|row| Some(change(row)?.p))),
            (
                format!("{key}_p_holm"),
                number(&|row| Some(change(row)?.p_holm)),
            ),
            (
                format!("{key}_detectable"),
                number(&|row| Some(change(row)?.detectable)),
            ),
            (
                format!("{key}_verdict"),
                text(&|_, row| Some(text::word(change(row)?.verdict).to_owned())),
            ),
        ]);
    }
    columns.extend([
        (
            "cpu_cold_s".to_owned(),
            number(&|row| Some(variant(row).cost.cold_s)),
        ),
        (
            "cpu_now_s".to_owned(),
            number(&|row| Some(variant(row).cost.now_s)),
        ),
        (
            "saved".to_owned(),
            number(&|row| Some(variant(row).cost.saved())),
        ),
        (
            "actions".to_owned(),
            count(&|row| Some(variant(row).cost.actions)),
        ),
        (
            "shared_actions".to_owned(),
            count(&|row| Some(variant(row).cost.shared)),
        ),
    ]);
    columns
}
