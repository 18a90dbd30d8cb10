//! `flow cache`: figures of the store, verification, garbage collection.

use std::collections::HashSet;

use flow_cache::{ActionKey, GcPolicy, Runs};
use flow_engine::Diag;
use serde_json::{Map, Value as Json, json};

use crate::cli::{CacheCommand, GcArgs, StoreArgs};
use crate::error::{CliError, Exit};
use crate::project::State;
use crate::render::{bytes, count, seconds, table};
use crate::ui::Ui;

/// The records of this many last runs stay whatever their age.
const RECENT_RUNS: usize = 10;

/// Runs the command.
pub fn run(command: &CacheCommand, ui: &Ui) -> Result<Exit, CliError> {
    match command {
        CacheCommand::Stat(args) => stat(args, ui),
        CacheCommand::Verify(args) => verify(args, ui),
        CacheCommand::Gc(args) => gc(args, ui),
    }
}

fn stat(args: &StoreArgs, ui: &Ui) -> Result<Exit, CliError> {
    let state = State::of_working_dir(args)?;
    let stat = state.store.stat()?;
    ui.event(|| {
        let stages: Map<String, Json> = stat
            .stages
            .iter()
            .map(|(name, s)| {
                let figures =
                    json!({"records": s.records, "bytes": s.output_bytes, "cpu_s": s.cpu_s});
                (name.clone(), figures)
            })
            .collect();
        json!({
            "event": "cache-stat",
            "store": state.store.dir().display().to_string(),
            "artifacts": stat.artifacts,
            "bytes": stat.bytes,
            "records": stat.records,
            "stages": stages,
        })
    });
    let rows = stat.stages.iter().map(|(name, s)| {
        vec![
            name.clone(),
            s.records.to_string(),
            seconds(s.cpu_s),
            bytes(s.output_bytes),
        ]
    });
    let header = ["stage", "records", "CPU", "outputs"];
    ui.answer(&format!(
        "{}\n\n{} artifacts, {}, {} records in {}\n",
        table::plain(&header, 1, rows.collect()),
        stat.artifacts,
        bytes(stat.bytes),
        stat.records,
        state.store.dir().display()
    ));
    Ok(Exit::Ok)
}

fn verify(args: &StoreArgs, ui: &Ui) -> Result<Exit, CliError> {
    let state = State::of_working_dir(args)?;
    let report = state.store.verify(|_| ())?;
    let damaged: Vec<String> = report.damaged.iter().map(ToString::to_string).collect();
    let corrupt: Vec<String> = report.corrupt.iter().map(ToString::to_string).collect();
    let wrong: Vec<String> = report.wrong_keys.iter().map(ToString::to_string).collect();
    ui.event(|| {
        json!({
            "event": "cache-verified",
            "clean": report.is_clean(),
            "artifacts": report.artifacts,
            "bytes": report.bytes,
            "records": report.records,
            "evicted": report.evicted,
            "corrupt": corrupt,
            "wrong_keys": wrong,
            "damaged": damaged,
        })
    });
    ui.answer(&format!(
        "{} artifacts ({}) and {} records verified, {} outputs evicted\n",
        report.artifacts,
        bytes(report.bytes),
        report.records,
        report.evicted
    ));
    for stray in &report.strays {
        ui.warning(&format!("{} is no artifact", stray.display()));
    }
    if report.is_clean() {
        return Ok(Exit::Ok);
    }
    let found = corrupt.iter().map(|d| format!("corrupt artifact {d}"));
    let found = found.chain(
        wrong
            .iter()
            .map(|k| format!("record {k} has the recipe of another")),
    );
    let found: Vec<String> = found.chain(damaged).collect();
    let message = format!("{} found in the store", count(found.len(), "fault"));
    let diag = found
        .into_iter()
        .fold(Diag::new("flow::cache::damaged", message), Diag::help);
    Err(CliError {
        exit: Exit::Environment,
        diags: vec![
            diag.help("nothing of it is used: the next run sets it aside and makes it again"),
        ],
    })
}

fn gc(args: &GcArgs, ui: &Ui) -> Result<Exit, CliError> {
    let state = State::of_working_dir(&args.store)?;
    let policy = GcPolicy {
        max_bytes: args.max_size,
        max_age_days: args.max_age,
        dry_run: args.dry_run,
        keep_records: recent_records(&state.runs())?,
        keep_bytes: HashSet::new(),
    };
    let report = state.store.gc(&policy)?;
    if report.in_use {
        return Err(CliError {
            exit: Exit::Environment,
            diags: vec![
                Diag::new("flow::cache::in_use", "another process has the store open")
                    .help("try again when it is done; nothing was removed"),
            ],
        });
    }
    ui.event(|| {
        json!({
            "event": "cache-collected",
            "dry_run": args.dry_run,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
            "records_removed": report.records_removed,
            "orphans": report.orphans.0,
            "evicted": report.evicted.len(),
            "recompute_s": report.recompute_s,
            "quarantined": report.quarantined,
        })
    });
    let would = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    ui.answer(&format!(
        "{would} {}: {} without a record, {} evicted ({} to make again), {}, {}\n",
        bytes(report.bytes_before - report.bytes_after),
        count(report.orphans.0 as usize, "artifact"),
        count(report.evicted.len(), "artifact"),
        seconds(report.recompute_s),
        count(report.records_removed as usize, "record"),
        count(report.quarantined as usize, "quarantined file"),
    ));
    ui.answer(&format!(
        "{} of artifacts stay\n",
        bytes(report.bytes_after)
    ));
    Ok(Exit::Ok)
}

/// The keys of all actions in the last runs. A record of a run that cannot be read protects
/// nothing.
fn recent_records(runs: &Runs) -> Result<HashSet<ActionKey>, CliError> {
    let mut keys = HashSet::new();
    for id in runs.list()?.into_iter().take(RECENT_RUNS) {
        let Some((_, record)) = runs.load(&id)? else {
            continue;
        };
        let stages = record.get("stages").and_then(Json::as_object);
        for stage in stages.into_iter().flat_map(Map::values) {
            let found = stage.get("keys").and_then(Json::as_array);
            let found = found.into_iter().flatten().filter_map(Json::as_str);
            keys.extend(found.filter_map(|key| key.parse::<ActionKey>().ok()));
        }
    }
    Ok(keys)
}
