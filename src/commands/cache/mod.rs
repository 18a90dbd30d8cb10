//! `flow cache`: figures of the store, verification and gc. What is about the remote is in `remote`.

#[cfg(feature = "remote")]
mod remote;

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use clap::{Args, Subcommand};
use flow_cache::{GcPolicy, GcReport, Runs, StoreError};
use flow_engine::Diag;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{LocalStoreArgs, values};
use crate::error::{CliError, Exit};
use crate::event::{
    CacheCollected, CacheCollecting, CacheStat, CacheVerified, CachedStage, CollectedStage,
    GcFigures,
};
use crate::project::{ProjectState, shown};
use crate::record::RunRecord;
use crate::render::table;
use crate::ui::Ui;
use crate::wording::{bytes, count, seconds};

/// `flow cache`
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Count what is in the store
    Stat(StatArgs),
    /// Hash every artifact and read every record
    Verify(LocalStoreArgs),
    /// Remove what nothing needs, and what is cheapest to make again
    Gc(GcArgs),
    /// Write what the remote does not have
    #[cfg(feature = "remote")]
    Push(remote::PushArgs),
    /// Fetch what the store does not have
    #[cfg(feature = "remote")]
    Pull(remote::PullArgs),
    /// Make a key pair that signs records
    #[cfg(feature = "remote")]
    Keygen(remote::KeygenArgs),
}

/// `flow cache stat`
#[derive(Debug, Args)]
pub struct StatArgs {
    /// The store.
    #[command(flatten)]
    pub store: LocalStoreArgs,
    /// Count what is in the remote instead, that of the project or another; this reads every record
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "URL")]
    pub remote: Option<Option<String>>,
}

/// `flow cache gc`
#[derive(Debug, Args)]
#[command(after_help = "\
Without a goal only what no record names is removed; with one, what goes is said first, and more
than half of the bytes need `--yes` or an answer at the terminal (`--max-size 0` does not).
Records of the last 10 runs and of pinned ones always stay, and the artifacts of pinned ones.

Examples:
  flow cache gc --max-size 10GiB
  flow cache gc --max-age 30 --dry-run
  flow cache gc --remote --max-age 90")]
pub struct GcArgs {
    /// The store.
    #[command(flatten)]
    pub store: LocalStoreArgs,
    /// Remove what is older from the remote instead, that of the project or another, and artifacts without a record
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "URL", requires = "max_age", conflicts_with_all = ["max_size", "yes"])]
    pub remote: Option<Option<String>>,
    /// Remove artifacts, cheapest to make again first, until the rest is no larger
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub max_size: Option<u64>,
    /// Remove records that are older
    #[arg(long, value_name = "DAYS", value_parser = values::days)]
    pub max_age: Option<f64>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before more than half of the bytes go
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
}

/// The records of this many most recent runs stay, however old they are.
const RECENT_RUNS: usize = 10;

/// Runs the command.
pub fn run(command: &CacheCommand, ui: &Ui) -> Result<Exit, CliError> {
    match command {
        #[cfg(feature = "remote")]
        CacheCommand::Stat(StatArgs {
            remote: Some(url), ..
        }) => remote::stat(url.as_deref(), ui),
        CacheCommand::Stat(args) => stat(&args.store, ui),
        CacheCommand::Verify(args) => verify(args, ui),
        #[cfg(feature = "remote")]
        CacheCommand::Gc(
            args @ GcArgs {
                remote: Some(url), ..
            },
        ) => remote::gc(url.as_deref(), args, ui),
        CacheCommand::Gc(args) => gc(args, ui),
        #[cfg(feature = "remote")]
        CacheCommand::Push(args) => remote::push(args, ui),
        #[cfg(feature = "remote")]
        CacheCommand::Pull(args) => remote::pull(args, ui),
        #[cfg(feature = "remote")]
        CacheCommand::Keygen(args) => remote::keygen(args, ui),
    }
}

fn stat(args: &LocalStoreArgs, ui: &Ui) -> Result<Exit, CliError> {
    let state = ProjectState::local_of_working_dir(args.store.as_deref())?;
    let stat = state.store.stat()?;
    ui.event(|| {
        let stages = stat.stages.iter().map(|(name, s)| {
            let figures = CachedStage {
                records: s.records,
                bytes: s.output_bytes,
                present_bytes: s.present_bytes,
                cpu_s: s.cpu_s,
                wall_s: s.wall_s,
            };
            (name.clone(), figures)
        });
        CacheStat {
            store: state.store.dir().display().to_string(),
            artifacts: stat.artifacts,
            bytes: stat.bytes,
            records: stat.records,
            stages: stages.collect(),
        }
    });
    let rows = stat.stages.iter().map(|(name, s)| {
        vec![
            name.clone(),
            s.records.to_string(),
            seconds(s.cpu_s),
            seconds(s.wall_s),
            bytes(s.output_bytes),
            bytes(s.present_bytes),
        ]
    });
    let header = ["stage", "records", "CPU", "time", "outputs", "present"];
    ui.answer(&format!(
        "{}\n\n{}, {}, {} in {}\n",
        table::plain(&header, 1, rows.collect()),
        count(stat.artifacts as usize, "artifact"),
        bytes(stat.bytes),
        count(stat.records as usize, "record"),
        shown(state.store.dir())
    ));
    Ok(Exit::Ok)
}

fn verify(args: &LocalStoreArgs, ui: &Ui) -> Result<Exit, CliError> {
    let state = ProjectState::local_of_working_dir(args.store.as_deref())?;
    let started = Instant::now();
    let bar = hashing_bar(ui);
    let verified = state.store.verify(|progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.bytes);
    });
    bar.finish_and_clear();
    let report = verified?;
    let rate = report.bytes as f64 / started.elapsed().as_secs_f64().max(1e-9);
    let damaged: Vec<String> = report.damaged.iter().map(ToString::to_string).collect();
    let corrupt: Vec<String> = report.corrupt.iter().map(ToString::to_string).collect();
    ui.event(|| CacheVerified {
        clean: report.is_clean(),
        artifacts: report.artifacts,
        bytes: report.bytes,
        bytes_per_s: rate.round(),
        records: report.records,
        evicted: report.evicted,
        corrupt: corrupt.clone(),
        damaged: damaged.clone(),
    });
    ui.answer(&format!(
        "{} ({}, {}/s) and {} verified, {} evicted\n",
        count(report.artifacts as usize, "artifact"),
        bytes(report.bytes),
        bytes(rate as u64),
        count(report.records as usize, "record"),
        count(report.evicted as usize, "output"),
    ));
    for stray in &report.strays {
        ui.warning(&format!("{} is no artifact", shown(stray)));
    }
    if report.is_clean() {
        return Ok(Exit::Ok);
    }
    let found = corrupt.iter().map(|d| format!("corrupt artifact {d}"));
    let found: Vec<String> = found.chain(damaged).collect();
    let message = format!("{} found in the store", count(found.len(), "fault"));
    let diag = found
        .into_iter()
        .fold(Diag::new("flow::cache::damaged", message), Diag::help);
    Err(CliError::new(
        Exit::Environment,
        diag.help("nothing of it is used: the next run sets it aside and makes it again"),
    ))
}

fn gc(args: &GcArgs, ui: &Ui) -> Result<Exit, CliError> {
    let state = ProjectState::local_of_working_dir(args.store.store.as_deref())?;
    let mut policy = GcPolicy {
        max_bytes: args.max_size,
        max_age_days: args.max_age,
        dry_run: args.dry_run,
        ..GcPolicy::default()
    };
    keep(&state.runs(), &mut policy, ui)?;
    let report = state
        .store
        .gc_announced(&policy, |plan| announce(plan, args, ui))?;
    if report.refused {
        let message = format!(
            "the goal takes {} of {}; nothing was removed",
            bytes(report.bytes_before - report.bytes_after),
            bytes(report.bytes_before)
        );
        return Err(CliError::usage(
            Diag::new("flow::cache::much", message)
                .help("`--yes` says that this is meant; `--dry-run` only shows it"),
        ));
    }
    if report.in_use {
        let diag = Diag::new("flow::cache::in_use", "another process has the store open")
            .help("try again when it is done; nothing was removed");
        return Err(CliError::new(Exit::Environment, diag));
    }
    ui.event(|| CacheCollected {
        gone: figures(&report, args),
    });
    let would = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    ui.answer(&format!(
        "{would} {}: {} without a record, {} evicted, {} ({} to make again), {}, {} of unfinished work\n",
        bytes(report.bytes_before - report.bytes_after),
        count(report.orphans.0 as usize, "artifact"),
        count(report.evicted.len(), "artifact"),
        count(report.records_removed as usize, "record"),
        seconds(report.recompute_s),
        count(report.quarantined as usize, "quarantined file"),
        bytes(report.unfinished.1),
    ));
    ui.answer(&format!(
        "{} of artifacts stay\n",
        bytes(report.bytes_after)
    ));
    Ok(Exit::Ok)
}

/// Says what will be removed, and what that costs, before anything is removed. Returns true if gc may
/// go on.
fn announce(plan: &GcReport, args: &GcArgs, ui: &Ui) -> bool {
    ui.event(|| CacheCollecting {
        going: figures(plan, args),
    });
    if plan.stages.is_empty() {
        return true;
    }
    let rows = plan.stages.iter().map(|(name, going)| {
        vec![
            name.clone(),
            going.records.to_string(),
            going.artifacts.to_string(),
            bytes(going.bytes),
            seconds(going.cost_s),
        ]
    });
    let header = ["stage", "records", "artifacts", "bytes", "to make again"];
    ui.answer(&format!("{}\n\n", table::plain(&header, 1, rows.collect())));
    // What no record names is removed even without a goal.
    let orphans = plan.orphans.1;
    let goes = plan.bytes_before - plan.bytes_after - orphans;
    // With a goal of 0 the user has already asked for everything to go.
    let meant = args.yes || args.dry_run || args.max_size == Some(0);
    meant || goes * 2 <= plan.bytes_before - orphans || ask(goes, ui)
}

/// Asks the person at the terminal. If nobody is there, the answer is no.
fn ask(goes: u64, ui: &Ui) -> bool {
    if !(ui.live && io::stdin().is_terminal()) {
        return false;
    }
    // The question is written in one go, so that the answer stands right behind it.
    let question = format!("{} go, more than half: remove them? [y/N] ", bytes(goes));
    let _ = io::stderr().write_all(question.as_bytes());
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn figures(report: &GcReport, args: &GcArgs) -> GcFigures {
    let stages = report.stages.iter().map(|(name, going)| {
        let figures = CollectedStage {
            records: going.records,
            artifacts: going.artifacts,
            bytes: going.bytes,
            recompute_s: going.cost_s,
        };
        (name.clone(), figures)
    });
    GcFigures {
        dry_run: args.dry_run,
        bytes_before: report.bytes_before,
        bytes_after: report.bytes_after,
        records_removed: report.records_removed,
        orphans: report.orphans.0,
        evicted: report.evicted.len(),
        stages: stages.collect(),
        recompute_s: report.recompute_s,
        quarantined: report.quarantined,
        unfinished: report.unfinished.0,
        unfinished_bytes: report.unfinished.1,
    }
}

/// A bar for the bytes that are hashed, if someone watches.
fn hashing_bar(ui: &Ui) -> ProgressBar {
    if !ui.live || ui.quiet {
        return ProgressBar::hidden();
    }
    let template =
        "verifying [{bar:24}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}";
    // The template is a constant, so it parses; the fallback is indicatif's own style.
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::new(0).with_style(style)
}

/// Keeps the records that recent and pinned runs reach, and the bytes of pinned runs.
fn keep(runs: &Runs, policy: &mut GcPolicy, ui: &Ui) -> Result<(), CliError> {
    for (age, id) in runs.list()?.into_iter().enumerate() {
        let record: RunRecord = match runs.load(&id) {
            Ok(Some((_, record))) => record,
            Ok(None) => continue,
            Err(error @ StoreError::Corrupt { .. }) => {
                ui.warning(&format!("{error}; it keeps nothing"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if age >= RECENT_RUNS && !record.pinned {
            continue;
        }
        policy.keep_records.extend(record.keys(runs)?);
        if record.pinned {
            let long = record.long(runs)?.unwrap_or_default();
            let actions = long.stages.into_iter().flat_map(|stage| stage.actions);
            let outputs = actions.flat_map(|action| action.outputs.into_values());
            policy.keep_bytes.extend(outputs);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use clap::Parser;
    use serde_json::json;

    #[test]
    fn recent_and_pinned_runs_keep_their_records() {
        let dir = flow_testkit::files::folder();
        let runs = Runs::new(dir.path());
        let key = |n: usize| format!("{n:064x}");
        for n in 0..RECENT_RUNS + 3 {
            let mut record = json!({"stages": {"s": {"keys": [key(n)]}}});
            if n == 1 {
                record["pinned"] = true.into();
            }
            runs.save(&format!("2026010{n:02}"), &record).unwrap();
        }
        std::fs::write(runs.path("202600000"), "{").unwrap();
        let cli = Cli::parse_from(["flow", "cache", "stat"]);
        let mut policy = GcPolicy::default();
        keep(&runs, &mut policy, &Ui::new(&cli.common)).unwrap();
        let kept = policy.keep_records;
        let kept: Vec<usize> = (0..RECENT_RUNS + 3)
            .filter(|&n| kept.contains(&key(n).parse().unwrap()))
            .collect();
        let recent = 3..RECENT_RUNS + 3;
        assert_eq!(kept, std::iter::once(1).chain(recent).collect::<Vec<_>>());
    }
}
