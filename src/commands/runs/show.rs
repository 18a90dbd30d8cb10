//! `flow runs show`: all that is recorded of a run, except for its single actions.

use std::path::Path;

use flow_cache::Runs;
use flow_engine::Diag;

use crate::error::CliError;
use crate::event::RunShown;
use crate::history::when;
use crate::project::{shown, working_dir};
use crate::record::{GitState, Host, RunRecord, Status, as_written};
use crate::render::table;
use crate::ui::Ui;
use crate::wording::{quoted, seconds};

/// Shows a run.
pub fn show(id: &str, record: &RunRecord, runs: &Runs, ui: &Ui) -> Result<(), CliError> {
    let written = as_written(runs, id)?;
    ui.event(|| {
        let mut record = written;
        record.shift_remove("run");
        RunShown {
            run: id.to_owned(),
            started: when(id),
            record,
        }
    });
    let mut text = format!("run {id}\n");
    for (name, value) in facts(id, record) {
        if !value.is_empty() {
            text.push_str(&format!("  {name:<9} {value}\n"));
        }
    }
    for table in [stages(record), metrics(record)].into_iter().flatten() {
        text.push_str(&format!("\n{table}\n"));
    }
    text.push_str(&told(record));
    if record.resolved.is_some() {
        text.push_str(&format!("\nall values: flow runs show {id} --resolved\n"));
    }
    ui.answer(&text);
    Ok(())
}

/// What is known, as lines. A fact that is unknown is empty.
fn facts(id: &str, record: &RunRecord) -> Vec<(&'static str, String)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let path = |path: &str| match path {
        "" => String::new(),
        path => shown(Path::new(path)),
    };
    let outputs: Vec<String> = record.outputs.iter().map(|output| path(output)).collect();
    let metric = record.headline.as_ref();
    let metric = metric.and_then(|metric| Some((&metric.metric, metric.value?)));
    let file = path(&text(&record.file));
    let pinned = if record.pinned { "yes" } else { "" };
    let versions = record.versions().into_iter();
    let versions = versions.map(|(name, version)| format!("{name} {version}"));
    vec![
        ("started", format!("{} UTC", when(id))),
        ("status", record.status.map_or("", Status::name).to_owned()),
        ("took", seconds(record.wall_s)),
        ("pipeline", text(&record.pipeline)),
        ("file", file),
        ("variant", text(&record.variant)),
        ("to", text(&record.to)),
        ("set", record.set.join("\n            ")),
        ("in", path(&text(&record.cwd))),
        ("again", again(record)),
        (
            "commit",
            record.git.as_ref().map_or(String::new(), GitState::long),
        ),
        ("versions", versions.collect::<Vec<_>>().join(", ")),
        (
            "host",
            record.host.as_ref().map_or(String::new(), Host::line),
        ),
        ("store", path(&text(&record.store))),
        ("tags", record.tags.join(", ")),
        ("pinned", pinned.to_owned()),
        ("outputs", outputs.join(", ")),
        (
            "headline",
            metric.map_or(String::new(), |(name, value)| {
                format!("{name} = {value:.4}")
            }),
        ),
    ]
}

/// The command line that repeats the run from here.
fn again(record: &RunRecord) -> String {
    let here = working_dir().ok();
    let elsewhere = record.cwd.as_ref().map(Path::new);
    let elsewhere = elsewhere.filter(|dir| Some(*dir) != here.as_deref());
    match elsewhere.filter(|_| !record.command.is_empty()) {
        Some(dir) => format!("cd {} && {}", quoted(&shown(dir)), record.again()),
        None => record.again(),
    }
}

/// What stages, warnings and failures had to say, a line each.
fn told(record: &RunRecord) -> String {
    let mut text = String::new();
    let notes = record.stages.iter();
    let notes =
        notes.flat_map(|(name, stage)| stage.notes.iter().map(move |note| (name.as_str(), note)));
    let warnings = record.warnings.iter().map(|warning| ("warning", warning));
    let failures = record.failures.iter().map(|failure| ("failed", failure));
    for (who, what) in notes.chain(warnings).chain(failures) {
        let gap = if text.is_empty() { "\n" } else { "" };
        text.push_str(&format!("{gap}{who}: {what}\n"));
    }
    text
}

/// Prints the resolved pipeline of a run, as TOML.
pub fn resolved(id: &str, record: &RunRecord, ui: &Ui) -> Result<(), CliError> {
    let Some(text) = &record.resolved else {
        let message = format!("run {id} was recorded without its resolved pipeline");
        return Err(CliError::usage(Diag::new("flow::cli::run", message).help(
            "records have it since format 2; run the pipeline again, and it is kept",
        )));
    };
    ui.raw(text);
    Ok(())
}

fn stages(record: &RunRecord) -> Option<String> {
    let rows = record.stages.iter().map(|(name, stage)| {
        let stage = &stage.figures;
        let counts = [
            stage.actions,
            stage.hit,
            stage.ran,
            stage.failed,
            stage.skipped,
        ];
        let mut row = vec![name.clone()];
        row.extend(counts.iter().map(usize::to_string));
        row.push(match stage.ran {
            0 => String::new(),
            _ => seconds(stage.wall_s),
        });
        row
    });
    let header = [
        "stage", "actions", "hit", "ran", "failed", "skipped", "time",
    ];
    let known = !record.stages.is_empty();
    known.then(|| table::plain(&header, 1, rows.collect()))
}

fn metrics(record: &RunRecord) -> Option<String> {
    let mut rows = Vec::new();
    for (stage, name, metric) in record.metrics.iter() {
        if metric.value().is_some() {
            let figures = [metric.pooled, metric.mean, metric.std].map(table::figure);
            rows.push([vec![format!("{stage}.{name}")], figures.to_vec()].concat());
        }
    }
    let header = ["metric", "pooled", "mean", "std"];
    (!rows.is_empty()).then(|| table::plain(&header, 1, rows))
}
