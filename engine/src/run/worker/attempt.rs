//! One attempt at an action: lock, another look at the store, the executor.

use super::Worker;
use crate::run::commit::{Uncommitted, written};
use crate::run::job::{Done, Job, Message};
use crate::run::perform::{Performed, Workplace, is_whole, perform, verify};
use std::path::Path;
use std::sync::atomic::Ordering;

use flow_cache::{ActionLock, ArtifactWriter, NotAdopted, Record, Staged, WatchedWait};

use crate::explain::Reason;
use crate::kind::action::Host;
use crate::kind::error::{Fault, StageError};
use crate::kind::progress::Progress;
use crate::run::options::{Executor, ProcessOptions};
use crate::run::process::Parent;
use crate::run::work::Work;

/// How an attempt ended.
pub(super) enum Attempt<'t> {
    /// Its outputs are to be committed.
    Finished(Box<Uncommitted<'t>>),
    /// There is nothing left to do.
    Over(Done),
}

/// Makes one attempt at an action.
pub(super) fn attempt<'t>(worker: &Worker<'t>, job: &Job) -> Attempt<'t> {
    let (plan, track) = (worker.setting.plan, worker.track);
    let mut span = track.span("action", || {
        let stage = &plan.pipeline.stages[plan.coords(job.action).stage].name;
        format!("{stage}: {}", plan.label(job.action))
    });
    span.arg("key", || job.prepared.key.to_string());
    span.arg("reason", || reason_text(&job.reason));
    let at = At { worker, job };
    let tried = at.attempt();
    let record = match &tried {
        Ok(Tried::Made(record, ..)) => Some(&**record),
        Ok(Tried::Over(Done::Ran(record) | Done::Different { record, .. })) => Some(&**record),
        _ => None,
    };
    if let Some(record) = record {
        span.arg("bytes", || written(record));
        span.arg("read_bytes", || record.read_bytes);
    }
    let done = match tried {
        Ok(Tried::Made(record, staged, lock)) => {
            return Attempt::Finished(Box::new(Uncommitted {
                action: job.action,
                forced: job.forced,
                record: *record,
                staged,
                lock,
                span: span.end(),
            }));
        }
        Ok(Tried::Over(done)) => done,
        Err(error) => Done::Failed(error),
    };
    span.arg("outcome", || done.word());
    Attempt::Over(done)
}

fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::New(_) => "new".to_owned(),
        Reason::Changed(changed) => {
            let changes = changed.changes.iter();
            let paths: Vec<&str> = changes.map(|change| change.path.as_str()).collect();
            format!("changed: {}", paths.join(", "))
        }
        Reason::Damaged => "its record is damaged".to_owned(),
        Reason::Pruned(_) => "its record was pruned".to_owned(),
        Reason::Lost => "its bytes are wanted".to_owned(),
        Reason::Audit => "an audit".to_owned(),
        Reason::Tainted => "a source changed while it ran".to_owned(),
    }
}

enum Tried {
    Made(Box<Record>, Vec<Staged>, ActionLock),
    Over(Done),
}

/// A worker at an action.
struct At<'a, 't> {
    worker: &'a Worker<'t>,
    job: &'a Job,
}

impl At<'_, '_> {
    fn attempt(&self) -> Result<Tried, StageError> {
        let (setting, job) = (self.worker.setting, self.job);
        let lock = self.lock()?;
        setting.store.refresh()?;
        if let Some(record) = setting.store.find(&job.prepared.key)? {
            // Bytes that were gone may have been made again in the meantime, by an equal action or another
            // run.
            let whole = || is_whole(setting.store, &record, setting.plan.writes(job.action));
            let again = job.forced && (setting.options.audit || !whole()?);
            if !again {
                return Ok(Tried::Over(Done::Hit(record)));
            }
        }
        let work = Work::of(setting, job, self.worker.scratch.path());
        // Nothing but this differs between executors.
        match &setting.options.executor {
            Executor::Local => self.in_here(&work, lock),
            Executor::Process(options) => self.in_a_process(&work, options).map(Tried::Over),
            Executor::Cluster(_) => Err(StageError::new(
                Fault::Bug,
                "flow::bug::workers",
                "a thread of the run was given an action of a cluster",
            )),
        }
    }

    fn in_here(&self, work: &Work<'_>, lock: ActionLock) -> Result<Tried, StageError> {
        let Worker { setting, track, .. } = self.worker;
        let lost = verify(setting.store, &work.prepared.needs, *track)?;
        if !lost.is_empty() {
            return Ok(Tried::Over(self.job.lost(&lost)));
        }
        self.started();
        let place = Workplace {
            store: setting.store,
            stat: setting.stat,
            pool: self.worker.pool,
            host: self,
            track: *track,
            scratch: &self.worker.scratch,
        };
        Ok(match perform(work, &place)? {
            Performed::Made(record, staged) => Tried::Made(record, staged, lock),
            Performed::Tainted(paths) => Tried::Over(Done::Tainted(paths)),
            Performed::Lost(lost) => Tried::Over(self.job.lost(&lost)),
        })
    }

    fn in_a_process(&self, work: &Work<'_>, options: &ProcessOptions) -> Result<Done, StageError> {
        let setting = self.worker.setting;
        // The child verifies the bytes once more, but it knows no remote to fetch them from.
        let lost = verify(setting.store, &work.prepared.needs, self.worker.track)?;
        if !lost.is_empty() {
            return Ok(self.job.lost(&lost));
        }
        self.started();
        let parent = Parent {
            options,
            store: setting.store,
            cancel: setting.options.cancel,
            track: self.worker.track,
            progress: &|progress| self.progress(progress),
            warn: &|message| self.send(Message::Warning(message)),
            lost: &|lost| self.job.lost(lost),
        };
        parent.run(work)
    }

    fn lock(&self) -> Result<ActionLock, StageError> {
        if let Some(lock) = self.worker.setting.store.lock(&self.job.prepared.key)? {
            return Ok(lock);
        }
        // Another run has the lock: wait for its record, or for its end.
        let _span = self
            .worker
            .track
            .span("wait", || "another run has it".to_owned());
        let mut wait = WatchedWait::default();
        let what = || {
            let coords = self.worker.setting.plan.coords(self.job.action);
            let stage = &self.worker.setting.plan.pipeline.stages[coords.stage].name;
            format!(
                "runs `{}` of stage `{stage}`",
                self.worker.setting.plan.label(self.job.action)
            )
        };
        loop {
            if !wait.a_moment(what) || self.cancelled() {
                return Err(StageError::interrupted());
            }
            if let Some(lock) = self.worker.setting.store.lock(&self.job.prepared.key)? {
                return Ok(lock);
            }
        }
    }

    fn started(&self) {
        self.send(Message::Started {
            action: self.job.action,
            reason: self.job.reason.clone(),
        });
    }

    fn send(&self, message: Message) {
        // If nothing listens any more, that is no reason to stop.
        let _ = self.worker.to_coordinator.send(message);
    }
}

impl Host for At<'_, '_> {
    fn create(&self) -> Result<ArtifactWriter, StageError> {
        Ok(self.worker.setting.store.create()?)
    }

    fn adopt(
        &self,
        folder: &Path,
        path: &Path,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Staged, NotAdopted> {
        self.worker.setting.store.adopt(folder, path, go_on)
    }

    fn cancelled(&self) -> bool {
        self.worker.setting.options.cancel.load(Ordering::Relaxed)
    }

    fn progress(&self, progress: Progress) {
        self.send(Message::Progress {
            action: self.job.action,
            progress,
        });
    }
}
