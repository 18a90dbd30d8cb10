//! The files that a study leaves: one with everything for programs, a table with a row for each trial, and
//! a report to look at.

use std::path::Path;

use super::bench::Bench;
use super::figures::study_figures;
use super::findings::{Findings, Searched};
use crate::error::CliError;
use crate::event::{OutputWritten, pretty};
use crate::project::shown;
use crate::report::Page;

/// Writes `study.json`, `trials.csv` and `report.html`.
pub fn write(
    bench: &Bench<'_>,
    findings: &Findings,
    report: &Page,
    folder: &Path,
) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::environment(format!("failed to write to {}", folder.display()), error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, text) in [
        ("study.json", pretty(&study_figures(bench, findings))?),
        ("trials.csv", csv(bench, &findings.searched)),
        ("report.html", report.html()),
    ] {
        let path = folder.join(name);
        flow_cache::write_file(&path, text.as_bytes()).map_err(failed)?;
        bench.ui.progress(&format!("wrote {}", shown(&path)));
        bench.ui.event(|| OutputWritten {
            path: path.display().to_string(),
            base: None,
        });
    }
    Ok(())
}

/// One row for each trial: number, generation, state, value (empty unless complete), then a column for
/// each searched value.
fn csv(bench: &Bench<'_>, searched: &Searched) -> String {
    let axes = &bench.problem.axes;
    let head = ["trial", "generation", "state", "value"].map(str::to_owned);
    let head = head
        .into_iter()
        .chain(axes.iter().map(|axis| axis.path.clone()));
    let mut lines = vec![head.collect::<Vec<String>>()];
    for (number, trial) in searched.study.trials().iter().enumerate() {
        let mut line = vec![
            number.to_string(),
            trial.generation.to_string(),
            trial.outcome.name().to_owned(),
            trial
                .outcome
                .value()
                .map_or(String::new(), |v| v.to_string()),
        ];
        line.extend(
            axes.iter()
                .map(|axis| searched.candidates[number].cell(&axis.path)),
        );
        lines.push(line);
    }
    let lines = lines.iter().map(|line| {
        let cells: Vec<String> = line.iter().map(|cell| quoted(cell)).collect();
        cells.join(",") + "\n"
    });
    lines.collect()
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
