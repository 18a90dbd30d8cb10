//! What happens to one action: lock, check of what it reads, the stage's own code, check of the
//! sources afterwards, commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flow_cache::{
    ActionKey, ActionLock, ArtifactWriter, Committed, Digest, Health, Output, Record, Staged,
    StatCache, Store, Value,
};

use crate::exec::Options;
use crate::keys::{Prepared, digest_source};
use crate::plan::Plan;
use crate::stage::{Action, Fault, Host, StageError};

/// What every worker shares.
#[derive(Clone)]
pub struct Shared<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// The store.
    pub store: &'a Store,
    /// Digests of source files.
    pub stat: &'a StatCache,
    /// How to run.
    pub options: &'a Options<'a>,
    /// Where artifacts lie.
    pub artifacts: &'a Path,
    /// Threads for the loops inside stages.
    pub pool: &'a rayon::ThreadPool,
}

/// An action to run.
pub struct Job {
    /// Its index.
    pub action: usize,
    /// What it reads.
    pub prepared: Prepared,
    /// Its key.
    pub key: ActionKey,
    /// It runs even if a record is there: its bytes are wanted.
    pub forced: bool,
    /// Threads it may start besides the shared ones.
    pub threads: usize,
    /// GPUs that are its own while it runs.
    pub gpus: Vec<usize>,
}

/// What comes back.
pub enum Message {
    /// It got on.
    Progress {
        /// Index of the action.
        action: usize,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
    },
    /// It has run and only waits to be committed: what it occupied is free.
    Ran {
        /// Index of the action.
        action: usize,
    },
    /// It is over.
    Done {
        /// Index of the action.
        action: usize,
        /// Its key.
        key: ActionKey,
        /// How.
        done: Done,
    },
}

/// How an attempt ended.
pub enum Done {
    /// Another run made it meanwhile.
    Hit(Arc<Record>),
    /// It ran, with these outputs.
    Ran(Arc<Record>),
    /// It ran, and gave other bytes than its record says: the record now holds the new ones.
    Different {
        /// The record from now on.
        record: Arc<Record>,
        /// Names of the outputs that differ.
        outputs: Vec<String>,
    },
    /// Bytes that it reads are gone (or corrupt: true), with the action that makes them.
    Lost(Vec<(Digest, usize, bool)>),
    /// These source files changed while it ran.
    Tainted(Vec<PathBuf>),
    /// It failed.
    Failed(StageError),
}

/// An action that ran and is to be committed.
pub struct Finished {
    action: usize,
    forced: bool,
    record: Record,
    staged: Vec<Staged>,
    lock: ActionLock,
}

/// Takes jobs until there are no more.
pub fn work(
    shared: &Shared<'_>,
    worker: usize,
    jobs: &Mutex<mpsc::Receiver<Job>>,
    to_committer: &mpsc::Sender<Finished>,
    to_coordinator: &mpsc::Sender<Message>,
) {
    let scratch = shared.options.scratch.join(worker.to_string());
    loop {
        let job = match jobs.lock() {
            Ok(jobs) => jobs.recv(),
            Err(_) => return,
        };
        let Ok(job) = job else { return };
        let (action, key) = (job.action, job.key);
        let done = match attempt(shared, job, &scratch, to_coordinator) {
            Ok(Attempt::Finished(finished)) => {
                let ran = Message::Ran { action };
                if to_committer.send(*finished).is_ok() && to_coordinator.send(ran).is_ok() {
                    continue;
                }
                Done::Failed(StageError::new(
                    Fault::Bug,
                    "flow::bug::committer",
                    "the committer is gone",
                ))
            }
            Ok(Attempt::Over(done)) => done,
            Err(error) => Done::Failed(error),
        };
        if to_coordinator
            .send(Message::Done { action, key, done })
            .is_err()
        {
            return;
        }
    }
}

enum Attempt {
    Finished(Box<Finished>),
    Over(Done),
}

fn attempt(
    shared: &Shared<'_>,
    job: Job,
    scratch: &Path,
    to_coordinator: &mpsc::Sender<Message>,
) -> Result<Attempt, StageError> {
    let store = shared.store;
    let lock = loop {
        if let Some(lock) = store.lock(&job.key)? {
            break lock;
        }
        // Another run has it: wait for its record, or for its end.
        std::thread::sleep(Duration::from_millis(20));
        if shared.options.cancel.load(Ordering::Relaxed) {
            return Err(StageError::interrupted());
        }
    };
    store.refresh()?;
    if let Some(record) = store.find(&job.key)? {
        // Bytes that were gone may have been made again meanwhile, by an equal action or another run.
        let again = job.forced && (shared.options.audit || !is_whole(store, &record)?);
        if !again {
            return Ok(Attempt::Over(Done::Hit(record)));
        }
    }
    let mut lost = Vec::new();
    for &(digest, producer) in &job.prepared.needs {
        match store.check(&digest)? {
            Health::Ok => {}
            Health::Missing => lost.push((digest, producer, false)),
            // Only who sets it aside says that it was corrupt.
            Health::Corrupt => {
                let moved = store.quarantine(&digest)?;
                lost.push((digest, producer, moved.is_some()));
            }
        }
    }
    if !lost.is_empty() {
        return Ok(Attempt::Over(Done::Lost(lost)));
    }
    let started = Instant::now();
    let ran = run_stage(shared, &job, scratch, to_coordinator);
    let wall_s = started.elapsed().as_secs_f64();
    if let Err(error) = &ran
        && matches!(error.fault, Fault::Interrupted | Fault::Bug)
    {
        return Err(error.clone());
    }
    let mut tainted = Vec::new();
    for (file, before) in &job.prepared.sources {
        if digest_source(shared.stat, &file.path)? != *before {
            tainted.push(file.path.clone());
        }
    }
    if !tainted.is_empty() {
        // Also where it failed, perhaps over a file that was half written.
        return Ok(Attempt::Over(Done::Tainted(tainted)));
    }
    let (outputs, cpu_s) = ran?;
    let at = shared.plan.coords(job.action);
    let stage = &shared.plan.pipeline.stages[at.stage];
    let mut staged = Vec::with_capacity(outputs.len());
    let mut described = Vec::with_capacity(outputs.len());
    for name in &stage.steps[at.step].writes {
        let Some((_, file, attrs)) = outputs.iter().find(|(n, ..)| n == name) else {
            return Err(StageError::new(
                Fault::Bug,
                "flow::bug::output",
                format!("stage `{}` did not write `{name}`", stage.name),
            ));
        };
        described.push(Output {
            name: name.clone(),
            digest: file.digest,
            size: file.size,
            attrs: attrs.clone(),
        });
    }
    staged.extend(outputs.into_iter().map(|(_, file, _)| file));
    let record = Record {
        key: job.key,
        recipe: job.prepared.recipe,
        stage: stage.name.clone(),
        action: shared.plan.label(job.action),
        pipeline: shared.plan.pipeline.name.clone(),
        outputs: described,
        wall_s,
        cpu_s,
        peak_rss: 0,
        read_bytes: 0,
        log: None,
        finished_unix: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs()),
    };
    Ok(Attempt::Finished(Box::new(Finished {
        action: job.action,
        forced: job.forced,
        record,
        staged,
        lock,
    })))
}

/// Whether the bytes of all outputs are there.
fn is_whole(store: &Store, record: &Record) -> Result<bool, StageError> {
    for output in &record.outputs {
        if store.check(&output.digest)? != Health::Ok {
            return Ok(false);
        }
    }
    Ok(true)
}

type Outputs = Vec<(String, Staged, Value)>;

fn run_stage(
    shared: &Shared<'_>,
    job: &Job,
    scratch: &Path,
    to_coordinator: &mpsc::Sender<Message>,
) -> Result<(Outputs, f64), StageError> {
    let plan = shared.plan;
    let at = plan.coords(job.action);
    let stage = &plan.pipeline.stages[at.stage];
    std::fs::create_dir_all(scratch)?;
    let host = WorkerHost {
        shared,
        action: job.action,
        to_coordinator: to_coordinator.clone(),
    };
    let mut action = Action {
        step: at.step,
        params: &stage.params,
        fold: plan.fold_name(at),
        shard: at.shard.and_then(|i| stage.layout.shards.get(i)),
        folds: job.prepared.folds.clone(),
        seed: job.prepared.seed,
        threads: job.threads,
        gpus: &job.gpus,
        scratch,
        root: &plan.pipeline.root,
        artifacts: shared.artifacts,
        inputs: job.prepared.inputs.clone(),
        sources: job.prepared.sources.clone(),
        host: &host,
        outputs: Vec::new(),
        used: Default::default(),
        log: None,
    };
    let ran = shared.pool.install(|| {
        let before = thread_cpu();
        let ran = catch_unwind(AssertUnwindSafe(|| stage.kind.run(&mut action)));
        ran.map(|result| (result, thread_cpu() - before))
    });
    let outputs = std::mem::take(&mut action.outputs);
    drop(action);
    clear(scratch)?;
    match ran {
        Ok((Ok(()), cpu_s)) => Ok((outputs, cpu_s)),
        Ok((Err(error), _)) => Err(error),
        Err(panic) => Err(StageError::new(
            Fault::Bug,
            "flow::bug::panic",
            format!("stage `{}` panicked: {}", stage.name, panic_text(&*panic)),
        )
        .help("this is a bug in flow: please report it with the pipeline that shows it")),
    }
}

/// Empties a worker's scratch folder, but for the folders directly in it: to make and remove some
/// for every action is slow, on ext4 without a journal very much so.
fn clear(scratch: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(scratch)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            std::fs::remove_file(entry.path())?;
            continue;
        }
        for inner in std::fs::read_dir(entry.path())? {
            let inner = inner?;
            if inner.file_type()?.is_dir() {
                std::fs::remove_dir_all(inner.path())?;
            } else {
                std::fs::remove_file(inner.path())?;
            }
        }
    }
    Ok(())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// CPU seconds of this thread so far.
fn thread_cpu() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec to write to; on failure it stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

struct WorkerHost<'a> {
    shared: &'a Shared<'a>,
    action: usize,
    to_coordinator: mpsc::Sender<Message>,
}

impl Host for WorkerHost<'_> {
    fn create(&self) -> Result<ArtifactWriter, StageError> {
        Ok(self.shared.store.create()?)
    }

    fn adopt(&self, path: &Path) -> Result<Staged, StageError> {
        Ok(self.shared.store.adopt(path)?)
    }

    fn cancelled(&self) -> bool {
        self.shared.options.cancel.load(Ordering::Relaxed)
    }

    fn progress(&self, done: u64, total: u64) {
        // Nobody left to tell is no reason to stop.
        let _ = self.to_coordinator.send(Message::Progress {
            action: self.action,
            done,
            total,
        });
    }
}

/// So long a finished action waits for others to be committed with it, while there is other work:
/// a batch costs a few syncs whatever its size.
const GATHER: Duration = Duration::from_millis(40);

/// Commits what workers finish, as many at a time as have gathered. `ready` says that workers have
/// more to do, so that nobody waits for what is being gathered.
pub fn commit(
    store: &Store,
    ready: &AtomicBool,
    finished: &mpsc::Receiver<Finished>,
    to_coordinator: &mpsc::Sender<Message>,
) {
    while let Ok(first) = finished.recv() {
        let started = Instant::now();
        let mut batch = vec![first];
        while ready.load(Ordering::Relaxed) && started.elapsed() < GATHER {
            batch.extend(finished.recv_timeout(GATHER / 8));
        }
        batch.extend(finished.try_iter());
        let mut rows = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for done in batch {
            // A forced action's record is kept: if its bytes are new ones, they have to count.
            let forced = done.forced.then(|| done.record.clone());
            waiting.push((done.action, done.record.key, forced, done.lock));
            rows.push((done.record, done.staged));
        }
        let results = match store.commit(rows) {
            Ok(committed) => committed.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => {
                let error = StageError::from(error);
                waiting.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for ((action, key, forced, lock), result) in waiting.into_iter().zip(results) {
            let done = result
                .and_then(|committed| outcome(store, committed, forced))
                .unwrap_or_else(Done::Failed);
            drop(lock);
            if to_coordinator
                .send(Message::Done { action, key, done })
                .is_err()
            {
                return;
            }
        }
    }
}

fn outcome(
    store: &Store,
    committed: Committed,
    forced: Option<Record>,
) -> Result<Done, StageError> {
    Ok(match (committed, forced) {
        (Committed::New(record), _) | (Committed::Existing(record), Some(_)) => Done::Ran(record),
        (Committed::Existing(record), None) => Done::Hit(record),
        // The old bytes are gone, the new ones are in the store by now.
        (Committed::Nondeterministic { differing, .. }, Some(new)) => Done::Different {
            record: store.supersede(new, Vec::new())?,
            outputs: differing,
        },
        (Committed::Nondeterministic { kept, differing }, None) => Done::Different {
            record: kept,
            outputs: differing,
        },
    })
}
