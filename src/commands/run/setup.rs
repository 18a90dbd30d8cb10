//! What a command that runs actions needs besides its plan.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flow_cache::StatCache;
use flow_engine::Diag;
use flow_engine::base::trace::Trace;
use flow_engine::run::options::{Executor, Options};

use super::cluster;
use super::signals::stop_on_signals;
use crate::args::{ExecArgs, StoreArgs};
use crate::error::CliError;
use crate::project::{ProjectState, working_dir};
use crate::ui::Ui;

/// Store, local state, and how to run.
pub struct Setup {
    /// The local state with the store.
    pub state: ProjectState,
    /// Digests of source files.
    pub stat: StatCache,
    /// Where the time goes, and the file to write it to.
    pub trace: Option<(PathBuf, Trace)>,
    cancel: Arc<AtomicBool>,
    scratch: PathBuf,
    jobs: usize,
    gpus: Option<usize>,
    memory: Option<u64>,
    executor: Executor,
}

impl Setup {
    /// Opens the project in `root`. From here on, a signal stops runs cleanly.
    pub fn new(root: &Path, store: &StoreArgs, args: &ExecArgs) -> Result<Self, CliError> {
        let trace = args.trace.as_deref().map(trace_file).transpose()?;
        let cancel = stop_on_signals()?;
        let state = ProjectState::open(root, store)?;
        Ok(Self {
            scratch: state.scratch(args.scratch.as_deref())?,
            stat: state.stat(),
            state,
            trace,
            cancel,
            jobs: jobs(args.jobs),
            gpus: args.gpus,
            memory: args.memory,
            executor: cluster::executor(root, args)?,
        })
    }

    /// Waits until everything that ran is written to the remote, if that is wanted.
    ///
    /// # Errors
    /// Something was not written, and the project wants that to fail.
    pub fn finish_remote(&self, ui: &Ui) -> Result<(), CliError> {
        match &self.state.remote {
            Some(remote) => remote.finish(ui, &self.cancel),
            None => Ok(()),
        }
    }

    /// How to run.
    pub fn options(&self, keep_going: bool) -> Options<'_> {
        Options {
            jobs: self.jobs,
            gpus: self.gpus,
            memory: self.memory,
            keep_going,
            audit: false,
            cancel: &self.cancel,
            scratch: self.scratch.clone(),
            logs: self.state.logs(),
            executor: self.executor.clone(),
            trace: self.trace.as_ref().map(|(_, trace)| trace),
        }
    }
}

/// A trace and its file. The folder must exist, because nobody wants to hear after the run that the
/// file cannot be written.
fn trace_file(path: &Path) -> Result<(PathBuf, Trace), CliError> {
    let path = working_dir()?.join(path);
    if path.is_dir() || !path.parent().is_some_and(Path::is_dir) {
        let message = format!("no file can be written at {}", path.display());
        let diag = Diag::new("flow::cli::trace", message);
        return Err(CliError::usage(
            diag.help("name a file in a folder that exists: --trace trace.json"),
        ));
    }
    Ok((path, Trace::new()))
}

/// The number of actions that run at a time.
pub fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}
