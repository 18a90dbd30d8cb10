//! `flow stage-exec`: an action in a process of its own.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flow_cache::{ActionKey, ArtifactWriter, NotAdopted, Staged, StatCache, Store};

use crate::base::trace::Track;
use crate::kind::action::Host;
use crate::kind::error::StageError;
use crate::kind::progress::Progress;
use crate::kind::stage::Registry;
use crate::run::commit::commit_one;
use crate::run::job::Done;
use crate::run::manifest;
use crate::run::perform::{Performed, Workplace, perform, verify};
use crate::run::pool::Pool;
use crate::run::report::Report;
use crate::run::scratch::Scratch;

/// Runs actions in a process of their own.
pub struct StageExec<'a> {
    /// The store, with the manifests of the actions.
    pub store: &'a Store,
    /// All kinds.
    pub registry: &'a Registry,
    /// Threads for the loops inside stages.
    pub jobs: usize,
    /// Set from outside to stop.
    pub cancel: &'a AtomicBool,
    /// Is told the progress of an action, from several threads.
    pub progress: &'a (dyn Fn(&Progress) + Sync),
    /// A folder for unfinished work in place of the one that the run names.
    pub scratch: Option<&'a Path>,
    /// The GPUs that this process was given, in place of those that the run names; empty if nobody said.
    pub gpus: &'a [usize],
}

impl StageExec<'_> {
    /// Runs the action `key` from its manifest in the store, and commits what it makes by the same protocol
    /// as a run.
    pub fn run(&self, key: &ActionKey) -> Report {
        self.execute(key).unwrap_or_else(Report::Failed)
    }

    fn execute(&self, key: &ActionKey) -> Result<Report, StageError> {
        let mut work = manifest::get(self.store, key, self.registry)?;
        if let Some(scratch) = self.scratch {
            work.scratch = scratch.into();
        }
        if self.gpus.len() >= work.gpus.len() {
            work.gpus = self.gpus[..work.gpus.len()].into();
        }
        // A process without a lock may have been faster.
        if !work.forced && self.store.find(key)?.is_some() {
            return Ok(Report::Hit);
        }
        let lost = verify(self.store, &work.prepared.needs, Track::default())?;
        if !lost.is_empty() {
            return Ok(Report::Lost(lost));
        }
        let place = Workplace {
            store: self.store,
            // It is empty: sources are hashed here, whatever other processes found.
            stat: &StatCache::open(&work.scratch.join("stat")),
            pool: &Pool::new(self.jobs),
            host: self,
            track: Track::default(),
            scratch: &Scratch::new(&work.scratch),
        };
        Ok(match perform(&work, &place)? {
            Performed::Tainted(paths) => Report::Tainted(paths),
            Performed::Lost(lost) => Report::Lost(lost),
            Performed::Made(record, staged) => {
                match commit_one(self.store, *record, staged, work.forced)? {
                    Done::Hit(_) => Report::Hit,
                    Done::Different { outputs, .. } => Report::Different(outputs),
                    _ => Report::Ran,
                }
            }
        })
    }
}

impl Host for StageExec<'_> {
    fn create(&self) -> Result<ArtifactWriter, StageError> {
        Ok(self.store.create()?)
    }

    fn adopt(
        &self,
        folder: &Path,
        path: &Path,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Staged, NotAdopted> {
        self.store.adopt(folder, path, go_on)
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn progress(&self, progress: Progress) {
        (self.progress)(&progress);
    }
}
