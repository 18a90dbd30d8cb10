//! `flow stage-exec`: runs actions for which a run has left manifests in the store.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use clap::Args;
use flow_cache::{ActionKey, Store};
use flow_engine::Diag;
use flow_engine::kind::Progress;
use flow_engine::run::cluster::task::BatchTask;
use flow_engine::run::process::StageExec;
use flow_engine::run::report::{Report, progress_json};
use serde_json::Value as Json;

use super::run::{Pace, jobs, stop_on_signals};
use crate::args::values;
use crate::error::{CliError, Exit};
use crate::project::working_dir;
use crate::ui::escape;

/// `flow stage-exec`
#[derive(Debug, Args)]
#[command(after_help = "\
A run with `--executor process` leaves in the store what is needed to run an action, under the
action's key, calls this command, and looks in the store for the record it must have made. Each key
gives one JSON line: how the action ended, and why it failed. A task of a cluster is named by
--batch; it leaves such lines in the folder of its batch.")]
pub struct StageExecArgs {
    /// The store
    #[arg(long, env = "FLOW_STORE", hide_env = true, required_unless_present = "batch", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub store: Option<PathBuf>,
    /// Threads [default: the processors there are]
    #[arg(short, long, value_name = "N", value_parser = values::jobs)]
    pub jobs: Option<NonZeroUsize>,
    /// Run a task of a batch: its folder in the store, and the number of the task
    #[arg(long, num_args = 2, value_names = ["DIR", "TASK"], conflicts_with = "keys")]
    pub batch: Vec<String>,
    /// With --batch, where actions have their unfinished work [default: where the run has it]
    #[arg(long, env = "FLOW_SCRATCH", hide_env = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub scratch: Option<PathBuf>,
    /// Keys of actions
    #[arg(required_unless_present = "batch", value_name = "KEY")]
    pub keys: Vec<String>,
}

/// Runs the command.
pub fn run(args: &StageExecArgs) -> Result<Exit, CliError> {
    if let [dir, task] = &args.batch[..] {
        return run_task(args, dir, task);
    }
    let keys = args.keys.iter().map(|key| parse(key));
    let keys = keys.collect::<Result<Vec<ActionKey>, CliError>>()?;
    let cancel = stop_on_signals()?;
    let place = args.store.clone().unwrap_or_default();
    let store = Store::open(&working_dir()?.join(place))?;
    let registry = flow_neural::kinds::registry();
    let mut exit = Exit::Ok;
    for key in &keys {
        let pace = Mutex::<Pace>::default();
        let tell = |progress: &Progress| tell(&pace, progress);
        let exec = StageExec {
            store: &store,
            registry: &registry,
            jobs: jobs(args.jobs),
            cancel: &cancel,
            progress: &tell,
            scratch: None,
            gpus: &[],
        };
        let report = exec.run(key);
        say(&report.to_json(key));
        exit = exit.worse(exit_of(&report));
        if cancel.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted);
        }
    }
    Ok(exit)
}

/// Runs a task of a batch. What becomes of its actions is told in the folder of the batch.
fn run_task(args: &StageExecArgs, dir: &str, task: &str) -> Result<Exit, CliError> {
    let task = task.parse().map_err(|_| {
        let diag = Diag::new(
            "flow::cli::batch",
            format!("`{task}` is no number of a task"),
        );
        CliError::usage(diag.help("tasks are numbered from 0: --batch DIR 0"))
    })?;
    let cancel = stop_on_signals()?;
    let whole = BatchTask {
        registry: &flow_neural::kinds::registry(),
        dir: &working_dir()?.join(dir),
        task,
        jobs: args.jobs.map(NonZeroUsize::get),
        scratch: args.scratch.clone(),
        cancel: &cancel,
    }
    .run()?;
    Ok(if whole { Exit::Ok } else { Exit::Interrupted })
}

fn parse(key: &str) -> Result<ActionKey, CliError> {
    key.parse().map_err(|_| {
        let diag = Diag::new("flow::cli::key", format!("`{key}` is no key of an action"));
        CliError::usage(
            diag.help(
                "a key is 64 hexadecimal digits; the events of a run have those of its actions",
            ),
        )
    })
}

fn exit_of(report: &Report) -> Exit {
    match report {
        Report::Hit | Report::Ran | Report::Different(_) => Exit::Ok,
        Report::Lost(_) | Report::Tainted(_) => Exit::Stage,
        Report::Failed(error) => error.fault.into(),
    }
}

/// Writes a line to the process that started this one. If nobody listens, the store still has the
/// result.
fn say(line: &Json) {
    let mut stdout = io::stdout().lock();
    let line = escape::json(line.to_string());
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Reports the progress of an action.
fn tell(pace: &Mutex<Pace>, progress: &Progress) {
    // A thread that finds another one reporting need not wait for its turn.
    if let Ok(mut pace) = pace.try_lock()
        && pace.lets(progress)
    {
        say(&progress_json(progress));
    }
}
