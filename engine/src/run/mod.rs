//! Runs a plan: one coordinator, and if anything has to run, a few worker threads and a committer.
//!
//! The index order of actions is an order of dependence, so one pass over it settles everything that the
//! store already answers. A run in which nothing changed ends there. The coordinator handles the rest: an
//! action becomes ready when all that it reads is settled. It is prepared (only now can its recipe be built),
//! looked up once more, and run by a worker. Finished actions go to the committer, which makes outputs and
//! records durable in batches.
//!
//! Two things can make an action run again: lost or corrupt bytes (their producer runs first), and a source
//! file that changed while the action ran.
//!
//! `coordinator` decides, `worker` makes attempts, `perform` runs the code of a stage for a thread and for
//! [`process`] alike, and `commit` makes results durable. On a [`cluster`], one dispatcher stands for all
//! workers and the committer. Nothing here renders anything: what happens leaves
//! as an [`event`]. Begin with [`run`], then read `coordinator`.

mod capacity;
pub mod cluster;
mod commit;
mod coordinator;
pub mod event;
pub mod job;
mod made;
mod manifest;
pub mod options;
mod perform;
mod pool;
pub mod process;
pub mod report;
mod scratch;
pub mod summary;
mod unfinished;
mod work;
mod worker;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::Builder;

use flow_cache::WorkDir;

use crate::base::trace::Track;
use crate::kind::error::{Fault, StageError};
use crate::plan::keys::Slot;
use cluster::dispatcher::{ClusterFigures, Dispatcher};
use cluster::options::ClusterOptions;
use commit::Uncommitted;
use coordinator::{Coordinator, ToWorkers};
use event::Event;
use job::{Job, Message};
use options::{Executor, Setting};
use pool::Pool;
use scratch::Scratch;
use worker::Worker;

/// What a run left behind.
pub struct Finished {
    /// What is known of every action.
    pub slots: Vec<Slot>,
    /// Failed actions with their errors, in the order of the plan.
    pub failures: Vec<(usize, StageError)>,
    /// The run was stopped before its end.
    pub interrupted: bool,
    /// What it has used of a cluster, if it used one.
    pub cluster: Option<ClusterFigures>,
}

/// Brings everything up to date. `forced` actions run even if they have a record, since their bytes are
/// wanted and gone.
///
/// # Errors
/// The store or the machine failed. Failures of actions are in the result.
pub fn run(
    setting: Setting<'_>,
    forced: HashSet<usize>,
    on_event: &mut dyn FnMut(Event),
) -> Result<Finished, StageError> {
    let (more, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let (to_workers, jobs) = mpsc::channel();
    let to_workers = ToWorkers {
        jobs: to_workers,
        more: &more,
        stop: &stop,
    };
    let mut coordinator = Coordinator::new(setting, forced, to_workers, on_event);
    coordinator.begin()?;
    if !coordinator.has_work() {
        // Starting threads for nothing would cost more than the rest of a small run.
        return Ok(coordinator.finish());
    }
    match &setting.options.executor {
        Executor::Cluster(cluster) => with_cluster((setting, cluster), coordinator, jobs, &stop),
        _ => with_workers(setting, coordinator, jobs, &more),
    }
}

/// Starts the thread that gives actions to a scheduler, and runs what is ready and what becomes so.
fn with_cluster(
    (setting, options): (Setting<'_>, &ClusterOptions),
    mut coordinator: Coordinator<'_>,
    jobs: mpsc::Receiver<Job>,
    stop: &AtomicBool,
) -> Result<Finished, StageError> {
    std::thread::scope(|scope| {
        let (to_coordinator, messages) = mpsc::channel::<Message>();
        let dispatcher = Dispatcher::new(setting, options, to_coordinator, stop);
        let thread = Builder::new().spawn_scoped(scope, move || dispatcher.work(&jobs));
        let thread = thread.map_err(|error| no_thread(error, 1))?;
        coordinator.run(&messages)?;
        let finished = coordinator.finish();
        let used = thread.join().map_err(|_| {
            StageError::new(
                Fault::Bug,
                "flow::bug::dispatcher",
                "the dispatcher panicked",
            )
        })?;
        Ok(Finished {
            cluster: Some(used),
            ..finished
        })
    })
}

/// Starts the threads, and runs what is ready and what becomes so.
fn with_workers(
    setting: Setting<'_>,
    mut coordinator: Coordinator<'_>,
    jobs: mpsc::Receiver<Job>,
    more: &AtomicBool,
) -> Result<Finished, StageError> {
    let Setting { store, options, .. } = setting;
    let pool = Pool::new(options.jobs);
    let jobs = Mutex::new(jobs);
    // No other run has the same folder, and it lasts as long as the threads.
    let scratch = WorkDir::create(&options.scratch)?;
    std::thread::scope(|scope| {
        let (to_coordinator, messages) = mpsc::channel::<Message>();
        let (to_committer, finished) = mpsc::channel::<Uncommitted<'_>>();
        for number in 0..options.jobs {
            let worker = Worker {
                setting,
                pool: &pool,
                track: Track::of(options.trace, || format!("worker {}", number + 1)),
                scratch: Scratch::new(&scratch.path().join(number.to_string())),
                to_committer: to_committer.clone(),
                to_coordinator: to_coordinator.clone(),
            };
            let jobs = &jobs;
            let thread = Builder::new().spawn_scoped(scope, move || worker.work(jobs));
            thread.map_err(|error| no_thread(error, number))?;
        }
        drop(to_committer);
        let track = Track::of(options.trace, || "committer".to_owned());
        Builder::new()
            .spawn_scoped(scope, move || {
                commit::commit(store, track, more, &finished, &to_coordinator);
            })
            .map_err(|error| no_thread(error, options.jobs))?;
        coordinator.run(&messages)?;
        // This also drops the channel on which the workers wait.
        Ok(coordinator.finish())
    })
}

/// The error if the system gave `given` threads and no more. Programs and loops need some as well.
fn no_thread(error: std::io::Error, given: usize) -> StageError {
    let fewer = (given / 2).max(1);
    StageError::environment("failed to start a thread").because(error).help(format!(
        "fewer actions at a time need fewer: `--jobs {fewer}`; the limit is that of `ulimit -u`, or the container's"
    ))
}
