//! The files that a study leaves: a table for programs, a file with everything, the result in words, and
//! a report to look at.

use std::fs;
use std::path::Path;

use flow_cache::write_file;
use flow_stages::artifacts::export::{ResultColumn, write_columns};
use flow_stages::evaluation::Metric;

use super::results::{AblationResults, AblationRow};
use super::text;
use crate::error::CliError;
use crate::event::pretty;
use crate::report::Page;

/// The names of the files.
pub const NAMES: [&str; 4] = [
    "ablation.parquet",
    "ablation.json",
    "summary.md",
    "report.html",
];

/// Writes the files into `dir`. Each is first written beside its place, so that a reader never sees
/// half a file.
pub fn write(results: &AblationResults, report: &Page, dir: &Path) -> Result<(), CliError> {
    let mut parquet = Vec::new();
    write_columns(columns(results), "parquet", &mut parquet)?;
    let contents = [
        parquet,
        pretty(&results.figures())?.into_bytes(),
        text::summary(results).into_bytes(),
        report.html().into_bytes(),
    ];
    fs::create_dir_all(dir).map_err(|e| CliError::unwritten(dir, e))?;
    for (name, bytes) in NAMES.iter().zip(contents) {
        let path = dir.join(name);
        write_file(&path, &bytes).map_err(|error| CliError::unwritten(&path, error))?;
    }
    Ok(())
}

/// One row for each variant and evaluation.
fn columns(results: &AblationResults) -> Vec<(String, ResultColumn)> {
    let variant = |row: &AblationRow| &results.variants[row.variant];
    let mut sheet = Sheet::new(results);
    sheet.text("variant", |_, row| Some(variant(row).name.clone()));
    sheet.text("evaluation", |scheme, _| Some(scheme.to_owned()));
    sheet.text("status", |_, row| Some(row.status.to_owned()));
    sheet.text("note", |_, row| row.note.clone());
    sheet.count("objects", |row| Some(row.summary.as_ref()?.objects));
    sheet.count("positives", |row| row.summary.as_ref()?.positives);
    sheet.count("repeats", |row| Some(row.summary.as_ref()?.repeats));
    for metric in Metric::COMPARED {
        sheet.metric(metric);
    }
    sheet.number("cpu_cold_s", |row| Some(variant(row).cost.cold_s));
    sheet.number("cpu_now_s", |row| Some(variant(row).cost.now_s));
    sheet.number("saved", |row| Some(variant(row).cost.saved()));
    sheet.count("actions", |row| Some(variant(row).cost.actions));
    sheet.count("shared_actions", |row| Some(variant(row).cost.shared));
    sheet.columns
}

/// Columns that are made from the same rows and named after their evaluations.
struct Sheet<'r> {
    rows: Vec<(&'r str, &'r AblationRow)>,
    columns: Vec<(String, ResultColumn)>,
}

impl<'r> Sheet<'r> {
    fn new(results: &'r AblationResults) -> Self {
        let schemes = results.schemes.iter();
        let rows = schemes.flat_map(|scheme| {
            let rows = scheme.rows.iter();
            rows.map(|row| (scheme.name.as_str(), row))
        });
        Self {
            rows: rows.collect(),
            columns: Vec::new(),
        }
    }

    fn text(&mut self, name: &str, of: impl Fn(&str, &AblationRow) -> Option<String>) {
        let cells = self.rows.iter().map(|(scheme, row)| of(scheme, row));
        let cells = ResultColumn::Text(cells.collect());
        self.columns.push((name.to_owned(), cells));
    }

    fn number(&mut self, name: &str, of: impl Fn(&AblationRow) -> Option<f64>) {
        let cells = ResultColumn::Number(self.rows.iter().map(|(_, row)| of(row)).collect());
        self.columns.push((name.to_owned(), cells));
    }

    fn count(&mut self, name: &str, of: impl Fn(&AblationRow) -> Option<usize>) {
        let count = |row: &AblationRow| i64::try_from(of(row)?).ok();
        let cells = ResultColumn::Count(self.rows.iter().map(|(_, row)| count(row)).collect());
        self.columns.push((name.to_owned(), cells));
    }

    /// A metric with its interval, and how it compares with that of the base.
    fn metric(&mut self, metric: Metric) {
        let key = metric.key();
        let name = |what: &str| format!("{key}_{what}");
        let estimate = |row: &AblationRow| row.summary.as_ref()?.metrics.get(&metric).copied();
        self.number(key, |row| Some(estimate(row)?.value));
        self.number(&name("low"), |row| Some(estimate(row)?.low));
        self.number(&name("high"), |row| Some(estimate(row)?.high));
        let change = |row: &AblationRow| row.comparison.as_ref()?.metrics.get(&metric).cloned();
        let difference = |row: &AblationRow| Some(change(row)?.difference);
        self.number(&name("difference"), |row| Some(difference(row)?.value));
        self.number(&name("difference_low"), |row| Some(difference(row)?.low));
        self.number(&name("difference_high"), |row| Some(difference(row)?.high));
        self.number(&name("p"), |row| Some(change(row)?.p));
        self.number(&name("p_holm"), |row| Some(change(row)?.p_holm));
        self.number(&name("detectable"), |row| Some(change(row)?.detectable));
        self.text(&name("verdict"), |_, row| {
            Some(change(row)?.verdict.word().to_owned())
        });
    }
}
