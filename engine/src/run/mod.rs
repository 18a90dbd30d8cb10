//! The local executor: one coordinator, and if anything has to run, a few worker threads and a committer.
//!
//! The index order of actions is an order of dependence, so one pass over it settles everything
//! that the store already answers; a run in which nothing changed ends there. What is left is
//! scheduled: an action becomes ready when all it reads is settled, is prepared (its recipe can
//! only now be built), looked up once more, and run by a worker. Finished actions go to the
//! committer, which makes outputs and records durable in batches.
//!
//! Two things can send an action round again: bytes that turn out to be lost or corrupt (the
//! producer runs first), and a source file that changed while the action ran.

mod capacity;
mod commit;
mod coordinator;
pub mod event;
pub mod job;
pub mod manifest;
pub mod options;
mod perform;
mod pool;
pub mod process;
mod scratch;
pub mod summary;
mod verify;
mod worker;

use commit::Uncommitted;
use options::Options;
use pool::Pool;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::Builder;

use flow_cache::{StatCache, Store, WorkDir};

use crate::base::trace::Track;
use crate::kind::error::StageError;
use crate::kind::surroundings::Start;
use crate::plan::Plan;
use crate::plan::keys::{Keys, Slot};
use crate::run::event::Event;
use crate::run::job::{Job, Message};

use coordinator::Coordinator;

/// What a run left behind.
pub struct Finished {
    /// What is known of every action.
    pub slots: Vec<Slot>,
    /// Failed actions with their errors, in the order of the plan.
    pub failures: Vec<(usize, StageError)>,
    /// The run was stopped before its end.
    pub interrupted: bool,
}

/// Brings everything up to date. `forced` actions run even where their record is known, since
/// their bytes are wanted and gone.
pub fn run(
    plan: &Plan<'_>,
    store: &Store,
    stat: &StatCache,
    options: &Options<'_>,
    forced: HashSet<usize>,
    on_event: &mut dyn FnMut(Event),
) -> Result<Finished, StageError> {
    let more = AtomicBool::new(false);
    let (to_workers, jobs) = mpsc::channel();
    let keys = Keys::new(stat).asking(Start {
        artifacts: store.artifacts_dir(),
        scratch: options.scratch.join("version"),
        cancel: options.cancel,
    });
    let mut coordinator = Coordinator::new(
        plan, store, options, keys, forced, &more, to_workers, on_event,
    );
    coordinator.begin()?;
    if !coordinator.has_work() {
        // To start threads for nothing would cost more than all else of a small run.
        return Ok(coordinator.finish());
    }
    with_workers(coordinator, stat, jobs, &more)
}

/// Starts the threads, and runs what is ready and what becomes so.
fn with_workers(
    mut coordinator: Coordinator<'_, '_>,
    stat: &StatCache,
    jobs: mpsc::Receiver<Job>,
    more: &AtomicBool,
) -> Result<Finished, StageError> {
    let (plan, store, options) = (coordinator.plan, coordinator.store, coordinator.options);
    let shared = worker::Shared {
        plan,
        store,
        stat,
        options,
        pool: &Pool::new(options.jobs),
    };
    let jobs = Arc::new(std::sync::Mutex::new(jobs));
    // No other run has the same one, and it lasts as long as the threads.
    let scratch = WorkDir::create(&options.scratch)?;
    std::thread::scope(|scope| {
        let (to_coordinator, messages) = mpsc::channel::<Message>();
        let (to_committer, finished) = mpsc::channel::<Uncommitted<'_>>();
        for worker in 0..options.jobs {
            let jobs = Arc::clone(&jobs);
            let to_committer = to_committer.clone();
            let to_coordinator = to_coordinator.clone();
            let shared = shared.clone();
            let track = Track::of(options.trace, || format!("worker {}", worker + 1));
            let scratch = scratch.path();
            let thread = Builder::new().spawn_scoped(scope, move || {
                let scratch = scratch.join(worker.to_string());
                worker::work(
                    &shared,
                    track,
                    &scratch,
                    &jobs,
                    &to_committer,
                    &to_coordinator,
                );
            });
            thread.map_err(|error| no_thread(&error, worker))?;
        }
        drop(to_committer);
        let track = Track::of(options.trace, || "committer".to_owned());
        Builder::new()
            .spawn_scoped(scope, move || {
                commit::commit(store, track, more, &finished, &to_coordinator);
            })
            .map_err(|error| no_thread(&error, options.jobs))?;
        coordinator.run(&messages)?;
        // With it goes the channel on which the workers wait.
        Ok(coordinator.finish())
    })
}

/// The system gave so many threads and not one more. Programs and loops need some as well.
fn no_thread(error: &std::io::Error, given: usize) -> StageError {
    let fewer = (given / 2).max(1);
    StageError::environment(format!("failed to start a thread: {error}")).help(format!(
        "fewer actions at a time need fewer: `--jobs {fewer}`; the limit is that of `ulimit -u`, or the container's"
    ))
}
