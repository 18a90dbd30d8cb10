//! What happens to one action: lock, check of what it reads, the stage's own code, check of the
//! sources afterwards, commit.

mod attempt;

use crate::run::commit::Uncommitted;
use crate::run::job::{Done, Job, Message};
use crate::run::pool::Pool;
use crate::run::scratch::Scratch;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;

use flow_cache::{StatCache, Store};

use crate::base::trace::Track;
use crate::kind::error::{Fault, StageError};
use crate::plan::Plan;
use crate::run::options::Options;

use attempt::{Attempt, attempt};

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
    /// Threads for the loops inside stages.
    pub pool: &'a Pool,
}

/// Takes jobs until there are no more, each with the worker's own scratch folder.
pub fn work<'t>(
    shared: &Shared<'t>,
    track: Track<'t>,
    scratch: &Path,
    jobs: &Mutex<mpsc::Receiver<Job>>,
    to_committer: &mpsc::Sender<Uncommitted<'t>>,
    to_coordinator: &mpsc::Sender<Message>,
) {
    let scratch = Scratch::new(scratch);
    loop {
        let job = match jobs.lock() {
            Ok(jobs) => jobs.recv(),
            Err(_) => return,
        };
        let Ok(job) = job else { return };
        let (action, key) = (job.action, job.key);
        let done = match attempt(shared, track, &scratch, &job, to_coordinator) {
            Attempt::Finished(finished) => {
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
            Attempt::Over(done) => done,
        };
        if to_coordinator
            .send(Message::Done { action, key, done })
            .is_err()
        {
            return;
        }
    }
}
