//! `flow jobs`: the batches that runs have given to schedulers.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use flow_cache::utc;
use flow_engine::run::cluster::jobs::{self, BatchState};

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::event::{BatchCancelled, BatchListed};
use crate::project::ProjectState;
use crate::render::table;
use crate::ui::Ui;
use crate::wording::{names, seconds};

/// `flow jobs`
#[derive(Debug, Args)]
#[command(after_help = "\
A batch is what a run has given to a scheduler at once. It goes on if the run ends, and the next run
attaches to it. What its tasks have made is kept, also if it is cancelled.

Examples:
  flow jobs
  flow jobs --cancel 3fa94c10b2
  flow jobs --cancel --all")]
pub struct JobsArgs {
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Cancel these batches; with --all, all of them
    #[arg(long, value_name = "BATCH", num_args = 0..)]
    pub cancel: Option<Vec<String>>,
    /// With --cancel: all batches
    #[arg(long, requires = "cancel")]
    pub all: bool,
}

/// Runs the command.
pub fn run(args: &JobsArgs, ui: &Ui) -> Result<(), CliError> {
    let state = ProjectState::of_working_dir(&args.store)?;
    match &args.cancel {
        None => list(&state, ui),
        Some(named) if named.is_empty() != args.all => Err(CliError::usage(
            flow_engine::Diag::new("flow::cli::batch", "which batches are to be cancelled?").help(
                "either name them, `flow jobs --cancel BATCH`, or say `flow jobs --cancel --all`",
            ),
        )),
        Some(named) => cancel(&state, Some(named).filter(|_| !args.all), ui),
    }
}

fn list(state: &ProjectState, ui: &Ui) -> Result<(), CliError> {
    let all = jobs::list(&state.store)?;
    for batch in &all {
        ui.event(|| event(batch));
    }
    let mut troubles: Vec<&str> = all
        .iter()
        .filter_map(|batch| batch.trouble.as_deref())
        .collect();
    troubles.dedup();
    troubles.iter().for_each(|trouble| ui.warn(trouble));
    if all.is_empty() {
        ui.result("no batch is under way\n");
        return Ok(());
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let rows = all.iter().map(|batch| row(batch, now)).collect();
    let header = [
        "batch", "where", "state", "pipeline", "stages", "actions", "age",
    ];
    ui.result(&format!(
        "{}\n",
        table::fitted(&header, 5, rows, &["pipeline", "stages"])
    ));
    Ok(())
}

fn row(batch: &BatchState, now: u64) -> Vec<String> {
    let place = match &batch.id {
        Some(id) => format!("{} {id}", batch.scheduler),
        None => batch.scheduler.to_owned(),
    };
    vec![
        batch.batch.clone(),
        place,
        state_of(batch),
        batch.pipeline.clone(),
        names(batch.stages.iter().map(String::as_str)),
        format!("{} of {}", batch.done, batch.actions),
        seconds(now.saturating_sub(batch.made_unix) as f64),
    ]
}

/// `2 waiting, 1 running, 3 over`.
fn state_of(batch: &BatchState) -> String {
    if batch.trouble.is_some() {
        return "not known".to_owned();
    }
    if batch.id.is_none() {
        return "not submitted".to_owned();
    }
    let words = ["waiting", "running", "over"];
    let parts = batch.tasks.iter().zip(words).filter(|(n, _)| **n > 0);
    let parts: Vec<String> = parts.map(|(n, word)| format!("{n} {word}")).collect();
    parts.join(", ")
}

fn event(batch: &BatchState) -> BatchListed {
    let [waiting, running, over] = batch.tasks;
    BatchListed {
        batch: batch.batch.clone(),
        scheduler: batch.scheduler.to_owned(),
        id: batch.id.clone(),
        pipeline: batch.pipeline.clone(),
        stages: batch.stages.clone(),
        made: utc(batch.made_unix),
        waiting,
        running,
        over,
        done: batch.done,
        actions: batch.actions,
    }
}

fn cancel(state: &ProjectState, named: Option<&Vec<String>>, ui: &Ui) -> Result<(), CliError> {
    let cancelled = jobs::cancel(&state.store, named.map(Vec::as_slice))?;
    for batch in &cancelled {
        ui.event(|| BatchCancelled {
            batch: batch.clone(),
        });
    }
    let text = match cancelled.is_empty() {
        true => "no batch is under way".to_owned(),
        false => format!("cancelled {}", cancelled.join(", ")),
    };
    ui.result(&format!("{text}\n"));
    Ok(())
}
