//! What happens to one action in a thread of the run: lock, check of what it reads, the stage's own code,
//! check of the sources afterwards, and on to the committer.
//!
//! This file has the thread, which takes jobs until there are none. `attempt` has one attempt at one action:
//! it takes the lock, looks at the store once more, and hands the action to `run::perform` or, with the other
//! executor, to a process. Nothing here decides which action runs next; that is up to the coordinator. Begin
//! with `attempt`.

mod attempt;

use std::sync::Mutex;
use std::sync::mpsc;

use crate::base::trace::Track;
use crate::kind::error::{Fault, StageError};
use crate::run::commit::Uncommitted;
use crate::run::job::{Done, Job, Message};
use crate::run::options::Setting;
use crate::run::pool::Pool;
use crate::run::scratch::Scratch;

use attempt::{Attempt, attempt};

/// A thread that runs actions, with what it needs for that.
pub(crate) struct Worker<'a> {
    pub(crate) setting: Setting<'a>,
    /// Threads for the loops inside stages.
    pub(crate) pool: &'a Pool,
    pub(crate) track: Track<'a>,
    pub(crate) scratch: Scratch,
    pub(crate) to_committer: mpsc::Sender<Uncommitted<'a>>,
    pub(crate) to_coordinator: mpsc::Sender<Message>,
}

impl Worker<'_> {
    /// Takes jobs until there are no more.
    pub(crate) fn work(&self, jobs: &Mutex<mpsc::Receiver<Job>>) {
        loop {
            let job = match jobs.lock() {
                Ok(jobs) => jobs.recv(),
                Err(_) => return,
            };
            let Ok(job) = job else { return };
            let (action, key) = (job.action, job.prepared.key);
            let done = match attempt(self, &job) {
                Attempt::Finished(finished) => {
                    let ran = Message::Ran { action };
                    let sent = self.to_committer.send(*finished).is_ok();
                    if sent && self.to_coordinator.send(ran).is_ok() {
                        continue;
                    }
                    Done::Failed(StageError::new(
                        Fault::Bug,
                        "flow::bug::committer",
                        "the committer is gone",
                    ))
                }
                Attempt::Over(done) => done,
            };
            let over = Message::Done { action, key, done };
            if self.to_coordinator.send(over).is_err() {
                return;
            }
        }
    }
}
