//! `flow runs show`: all that is recorded of a run, except for its single actions.

use std::path::Path;

use flow_cache::Runs;

use crate::error::CliError;
use crate::event::RunShown;
use crate::history::when;
use crate::project::shown;
use crate::record::{GitState, RunRecord, Status, as_written};
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
    let again = format!("flow run {} {}", quoted(&file), record.asked(true));
    let pinned = if record.pinned { "yes" } else { "" };
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
        ("again", again.trim_end().to_owned()),
        (
            "commit",
            record.git.as_ref().map_or(String::new(), GitState::long),
        ),
        ("flow", text(&record.flow)),
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
