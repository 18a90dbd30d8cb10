//! `flow stage-exec --batch`: a task of a batch, on a machine of the cluster. It runs its actions one after another,
//! and says in the folder of the batch what it does. What counts is the records that it leaves.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flow_cache::{ActionKey, ActionLock, JobDir, Store, WorkDir};
use serde_json::{Value as Json, json};

use super::batch::{Batch, said_by, scratch_of};
use crate::kind::error::{Fault, StageError};
use crate::kind::progress::Progress;
use crate::kind::stage::Registry;
use crate::run::process::{OUT_OF_MEMORY, StageExec, oom_kills};
use crate::run::report::{Report, progress_json};

/// How often a task gives a sign of life.
const ALIVE: Duration = Duration::from_secs(15);

/// How often a task looks for what it does not see yet.
const LOOK: Duration = Duration::from_millis(200);

/// How long the file of a batch is waited for. How long other files are is in that one.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// How often the progress of an action is passed on.
const PROGRESS: Duration = Duration::from_secs(2);

/// How long a task waits for its own end after a program of it was killed.
const LAST: Duration = Duration::from_secs(3);

/// A task of a batch.
pub struct BatchTask<'a> {
    /// All kinds.
    pub registry: &'a Registry,
    /// The folder of the batch, which lies in its store.
    pub dir: &'a Path,
    /// Number of the task.
    pub task: usize,
    /// Threads; none for what the batch asked for.
    pub jobs: Option<usize>,
    /// Where actions have their unfinished work; none for the place that the run names.
    pub scratch: Option<PathBuf>,
    /// Set from outside to stop.
    pub cancel: &'a AtomicBool,
}

impl BatchTask<'_> {
    /// Runs the actions of the task. Their failures are told in the folder of the batch. Returns false if it was
    /// stopped before its end.
    ///
    /// # Errors
    /// There is no such task, or the store cannot be opened.
    pub fn run(&self) -> Result<bool, StageError> {
        let since = Instant::now();
        let dir = JobDir::at(self.dir);
        let batch = self.batch(&dir)?;
        let keys = batch
            .tasks
            .get(self.task)
            .ok_or_else(|| bad(format!("batch {} has no task {}", dir.name(), self.task)))?;
        let voice = Voice::new(dir.clone(), self.task);
        voice.say(&json!({"event": "task-started", "node": node()}));
        let store = store_of(&dir)?;
        let scratch = match &self.scratch {
            Some(place) => place.clone(),
            None => scratch_of(&dir)?,
        };
        let scratch = WorkDir::create(&scratch)?;
        let runner = Runner {
            task: self,
            batch: &batch,
            store: &store,
            voice: &voice,
            scratch: scratch.path(),
        };
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| voice.live(&over));
            keys.iter().take_while(|key| runner.run(key)).count();
            over.store(true, Ordering::Relaxed);
        });
        let stopped = self.cancelled();
        let wall_s = since.elapsed().as_secs_f64();
        voice.say(&json!({"event": "task-finished", "stopped": stopped, "wall_s": wall_s}));
        Ok(!stopped)
    }

    /// Reads the file of the batch. It may take a while until this machine sees it.
    fn batch(&self, dir: &JobDir) -> Result<Batch, StageError> {
        let since = Instant::now();
        loop {
            if let Some(batch) = Batch::read(dir)? {
                return Ok(batch);
            }
            if since.elapsed() > FIRST_WAIT || self.cancelled() {
                let dir = dir.path().display();
                return Err(bad(format!(
                    "{dir} is no folder of a batch that this program can read"
                )));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

fn bad(message: String) -> StageError {
    StageError::new(Fault::Environment, "flow::executor::batch", message)
        .help("`flow run` makes it, and is of the same version as this program; `flow jobs` lists what there is")
}

/// Opens the store that has the folder of a batch.
fn store_of(dir: &JobDir) -> Result<Store, StageError> {
    let store = dir.path().parent().and_then(Path::parent);
    Ok(Store::open(store.unwrap_or(dir.path()))?)
}

/// The name of this machine. Slurm may know it by another one than the kernel.
fn node() -> String {
    let name = std::env::var("SLURMD_NODENAME").ok();
    let name = name.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    name.unwrap_or_default().trim().to_owned()
}

/// Runs the actions of a task.
struct Runner<'a> {
    task: &'a BatchTask<'a>,
    batch: &'a Batch,
    store: &'a Store,
    voice: &'a Voice,
    scratch: &'a Path,
}

impl Runner<'_> {
    /// Runs an action. Returns false if the task is to stop.
    fn run(&self, key: &ActionKey) -> bool {
        let report = match self.lock(key) {
            Ok(Some(_lock)) => {
                self.voice
                    .say(&json!({"event": "action-started", "key": key.to_string()}));
                self.until_visible(key)
            }
            Ok(None) => Report::Hit,
            Err(error) => Report::Failed(error),
        };
        let stopped = self.task.cancelled();
        if !stopped {
            self.voice.say(&report.to_json(key));
        }
        !stopped
    }

    /// Takes the right to run an action, as far as locks reach. Returns none if somebody else has made its record
    /// in the meantime.
    fn lock(&self, key: &ActionKey) -> Result<Option<ActionLock>, StageError> {
        loop {
            if let Some(lock) = self.store.lock(key)? {
                return Ok(Some(lock));
            }
            self.store.refresh()?;
            if self.store.find(key)?.is_some() {
                return Ok(None);
            }
            if self.task.cancelled() {
                return Err(StageError::interrupted());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Runs an action as soon as this machine sees its manifest and all that it reads. What it does not see after a
    /// while is reported as lost.
    fn until_visible(&self, key: &ActionKey) -> Report {
        let since = Instant::now();
        loop {
            let report = match self.store.refresh() {
                Ok(()) => self.attempt(key),
                Err(error) => Report::Failed(error.into()),
            };
            let unseen = match &report {
                Report::Lost(lost) => lost.iter().all(|(_, corrupt)| !corrupt),
                Report::Failed(_) => matches!(self.store.manifest(key), Ok(None)),
                _ => false,
            };
            if unseen && self.store.find(key).is_ok_and(|record| record.is_some()) {
                // The run that had left the manifest has the result already.
                return Report::Hit;
            }
            if !unseen || since.elapsed() > self.batch.visible_within || self.task.cancelled() {
                return report;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Runs an action. If a program of it was killed, the error says whether memory ran out.
    fn attempt(&self, key: &ActionKey) -> Report {
        let kills = oom_kills();
        match self.exec(key) {
            Report::Failed(error) if error.is_of_a_killed_program() => {
                // A scheduler that ends the whole task may begin with its programs, and then its word counts.
                std::thread::sleep(LAST);
                Report::Failed(match oom_kills() > kills {
                    true => out_of_memory(error),
                    false => error,
                })
            }
            report => report,
        }
    }

    fn exec(&self, key: &ActionKey) -> Report {
        let last = Mutex::new(None::<Instant>);
        let tell = |progress: &Progress| {
            // A thread that finds another one reporting need not wait for its turn.
            if let Ok(mut last) = last.try_lock()
                && last.is_none_or(|last| last.elapsed() > PROGRESS)
            {
                *last = Some(Instant::now());
                self.voice.say(&progress_json(progress));
            }
        };
        let exec = StageExec {
            store: self.store,
            registry: self.task.registry,
            jobs: self.task.jobs.unwrap_or(self.batch.needs.cpus),
            cancel: self.task.cancel,
            progress: &tell,
            scratch: Some(&self.scratch.join("0")),
            gpus: &visible_gpus(std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref()),
        };
        exec.run(key)
    }
}

/// The error of an action whose program the kernel killed since memory ran out. Another try may have more memory.
fn out_of_memory(error: StageError) -> StageError {
    StageError {
        fault: Fault::Environment,
        code: OUT_OF_MEMORY.into(),
        message: format!("memory ran out: {}", error.message),
        ..error
    }
}

/// The numbers of the GPUs that the scheduler has given to this task. Names of GPUs are not numbers, and the
/// numbering then begins at 0.
fn visible_gpus(devices: Option<&str>) -> Vec<usize> {
    let numbers = devices
        .unwrap_or_default()
        .split(',')
        .map(|n| n.trim().parse().ok());
    numbers.collect::<Option<_>>().unwrap_or_default()
}

/// What a task says, in a file of its own.
struct Voice {
    dir: JobDir,
    file: String,
    last: Mutex<Instant>,
}

impl Voice {
    fn new(dir: JobDir, task: usize) -> Self {
        Self {
            dir,
            file: said_by(task),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Writes a line. If that fails, the records still say what counts.
    fn say(&self, line: &Json) {
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        *last = Instant::now();
        // It begins with a line break, since an earlier try may have ended within a line.
        let _ = self
            .dir
            .append(&self.file, format!("\n{line}\n").as_bytes());
    }

    /// Gives signs of life until the task is over.
    fn live(&self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
            if self.last.lock().is_ok_and(|last| last.elapsed() > ALIVE) {
                self.say(&json!({"event": "task-alive"}));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::error::KILLED;

    #[test]
    fn a_program_that_was_killed_for_want_of_memory_may_have_more() {
        let killed =
            StageError::failed(KILLED, "`hog` was killed (SIGKILL)").help("its last words");
        assert!(killed.is_of_a_killed_program());
        assert!(!StageError::failed("flow::command::failed", "no").is_of_a_killed_program());
        let error = out_of_memory(killed);
        assert_eq!(
            (error.fault, error.code.as_str()),
            (Fault::Environment, OUT_OF_MEMORY)
        );
        assert_eq!(error.message, "memory ran out: `hog` was killed (SIGKILL)");
        assert_eq!(error.help, ["its last words"]);
    }

    #[test]
    fn gpus_are_those_of_the_scheduler() {
        assert_eq!(visible_gpus(Some("2, 3")), [2, 3]);
        for other in [None, Some(""), Some("GPU-8932f937"), Some("0,GPU-1")] {
            assert!(visible_gpus(other).is_empty(), "{other:?}");
        }
    }
}
