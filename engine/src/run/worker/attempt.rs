//! One attempt at an action: lock, another look at the store, the executor.

use super::Shared;
use crate::run::commit::{Uncommitted, written};
use crate::run::job::{Done, Job, Message};
use crate::run::perform::{Performed, Place, is_whole, perform, verify};
use crate::run::scratch::Scratch;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use flow_cache::{ActionLock, ArtifactWriter, Digest, NotAdopted, Record, Staged, Wait};

use crate::base::trace::Track;
use crate::explain::Reason;
use crate::kind::action::Host;
use crate::kind::error::StageError;
use crate::run::manifest::Manifest;
use crate::run::options::Executor;
use crate::run::process::Parent;

/// How an attempt ended.
pub(super) enum Attempt<'t> {
    /// Its outputs are to be committed.
    Finished(Box<Uncommitted<'t>>),
    /// There is nothing left to do.
    Over(Done),
}

/// Makes an attempt.
pub(super) fn attempt<'t>(
    shared: &Shared<'t>,
    track: Track<'t>,
    scratch: &Scratch,
    job: &Job,
    to_coordinator: &mpsc::Sender<Message>,
) -> Attempt<'t> {
    let mut span = track.span("action", || {
        let stage = shared.plan.coords(job.action).stage;
        let stage = &shared.plan.pipeline.stages[stage].name;
        format!("{stage}: {}", shared.plan.label(job.action))
    });
    span.arg("key", || job.key.to_string());
    span.arg("reason", || reason_text(&job.reason));
    let worker = Worker {
        shared,
        job,
        track,
        scratch,
        to_coordinator: to_coordinator.clone(),
    };
    let tried = worker.attempt();
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
struct Worker<'a, 't> {
    shared: &'a Shared<'t>,
    job: &'a Job,
    track: Track<'t>,
    scratch: &'a Scratch,
    to_coordinator: mpsc::Sender<Message>,
}

impl Worker<'_, '_> {
    fn attempt(&self) -> Result<Tried, StageError> {
        let (shared, job) = (self.shared, self.job);
        let lock = self.lock()?;
        shared.store.refresh()?;
        if let Some(record) = shared.store.find(&job.key)? {
            // Bytes that were gone may have been made again meanwhile, by an equal action or
            // another run.
            let again = job.forced && (shared.options.audit || !is_whole(shared.store, &record)?);
            if !again {
                return Ok(Tried::Over(Done::Hit(record)));
            }
        }
        let work = Manifest::new(shared.plan, shared.options, job, self.scratch.path());
        let kind = &*shared.plan.pipeline.stages[shared.plan.coords(job.action).stage].kind;
        // Nothing but this differs between executors.
        match &shared.options.executor {
            Executor::Local => {
                let lost = verify(shared.store, &work.needs, self.track)?;
                if !lost.is_empty() {
                    return Ok(Tried::Over(self.lost(&lost)));
                }
                self.started();
                let place = Place {
                    store: shared.store,
                    stat: shared.stat,
                    pool: shared.pool,
                    host: self,
                    track: self.track,
                    scratch: self.scratch,
                };
                Ok(match perform(kind, &work, &place)? {
                    Performed::Made(record, staged) => Tried::Made(record, staged, lock),
                    Performed::Tainted(paths) => Tried::Over(Done::Tainted(paths)),
                    Performed::Lost(lost) => Tried::Over(self.lost(&lost)),
                })
            }
            Executor::Process(options) => {
                // The child verifies. What is plainly not there need not wait for it.
                let gone = work.needs.iter().filter(|digest| !shared.store.has(digest));
                let lost: Vec<_> = gone.map(|digest| (*digest, false)).collect();
                if !lost.is_empty() {
                    return Ok(Tried::Over(self.lost(&lost)));
                }
                self.started();
                let parent = Parent {
                    options,
                    store: shared.store,
                    cancel: shared.options.cancel,
                    track: self.track,
                    progress: &|done, total| self.progress(done, total),
                    warn: &|message| self.send(Message::Warning(message)),
                    lost: &|lost| self.lost(lost),
                };
                parent.run(kind, &work).map(Tried::Over)
            }
        }
    }

    fn lock(&self) -> Result<ActionLock, StageError> {
        if let Some(lock) = self.shared.store.lock(&self.job.key)? {
            return Ok(lock);
        }
        // Another run has it: wait for its record, or for its end.
        let _span = self.track.span("wait", || "another run has it".to_owned());
        let mut wait = Wait::default();
        let what = || {
            let coords = self.shared.plan.coords(self.job.action);
            let stage = &self.shared.plan.pipeline.stages[coords.stage].name;
            format!(
                "runs `{}` of stage `{stage}`",
                self.shared.plan.label(self.job.action)
            )
        };
        loop {
            if !wait.a_moment(what) || self.cancelled() {
                return Err(StageError::interrupted());
            }
            if let Some(lock) = self.shared.store.lock(&self.job.key)? {
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

    /// Lost bytes with the actions that make them.
    fn lost(&self, lost: &[(Digest, bool)]) -> Done {
        let needs = self.job.prepared.needs.iter();
        let lost = needs.filter_map(|&(digest, producer)| {
            let (_, corrupt) = lost.iter().find(|(gone, _)| *gone == digest)?;
            Some((digest, producer, *corrupt))
        });
        Done::Lost(lost.collect())
    }

    fn send(&self, message: Message) {
        // Nobody left to tell is no reason to stop.
        let _ = self.to_coordinator.send(message);
    }
}

impl Host for Worker<'_, '_> {
    fn create(&self) -> Result<ArtifactWriter, StageError> {
        Ok(self.shared.store.create()?)
    }

    fn adopt(
        &self,
        folder: &Path,
        path: &Path,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Staged, NotAdopted> {
        self.shared.store.adopt(folder, path, go_on)
    }

    fn cancelled(&self) -> bool {
        self.shared.options.cancel.load(Ordering::Relaxed)
    }

    fn progress(&self, done: u64, total: u64) {
        self.send(Message::Progress {
            action: self.job.action,
            done,
            total,
        });
    }
}
