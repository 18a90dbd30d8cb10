//! Decides what starts, and when.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use super::Coordinator;
use crate::explain::{Reason, reason};
use crate::kind::error::{Fault, StageError};
use crate::plan::keys::{self, KEPT, Known, Prepared, Slot};
use crate::run::capacity::Fit;
use crate::run::event::Outcome;
use crate::run::job::Job;

/// The most actions waiting for a GPU that are passed over in the search for one that need not wait.
const MOST_PASSED: usize = 100;

impl Coordinator<'_> {
    /// Starts what is ready, as far as there are resources. While an action waits for processors or memory,
    /// none behind it may take them. An action that waits for a GPU lets others pass.
    pub(super) fn start_ready(&mut self) -> Result<(), StageError> {
        let mut passed = Vec::new();
        while self.resources.jobs_free()
            && self.in_flight.len() < self.resources.most_in_flight()
            && !self.stopping()
            && !self.restart
        {
            let Some(next) = self.ready.pop() else { break };
            let action = next.1.0;
            match self.resources.fit(self.plan.coords(action).stage) {
                Fit::Now => self.start(action)?,
                Fit::Later => {
                    passed.push(next);
                    break;
                }
                Fit::NoGpu => passed.push(next),
                Fit::Never(error) => self.fail(action, error),
            }
            if passed.len() > MOST_PASSED {
                break;
            }
        }
        self.ready.extend(passed);
        let full = self.in_flight.len() >= self.resources.most_in_flight();
        let more = !self.ready.is_empty() && !full && !self.stopping() && !self.restart;
        self.to_workers.more.store(more, Ordering::Relaxed);
        let stop = self.stopping();
        self.to_workers.stop.store(stop, Ordering::Relaxed);
        Ok(())
    }

    /// Asks the remote about the actions of a block, which do not depend on each other, in one go.
    pub(super) fn ask_tier(
        &mut self,
        block: impl IntoIterator<Item = usize>,
    ) -> Result<(), StageError> {
        let mut keys = Vec::new();
        for action in block {
            // What is wrong with an action is told when its turn comes.
            if let Ok(Known::Recipe(look)) =
                keys::look(self.plan, &self.slots, &mut self.keys, action)
            {
                self.asked.insert(action);
                keys.push(look.key);
            }
        }
        Ok(self.store.learn(&keys)?)
    }

    /// Asks the remote about an action that has become ready since the plan was gone through, and about all
    /// others like it in the same go.
    fn ask_tier_once(&mut self, action: usize) -> Result<(), StageError> {
        if !self.store.has_tier() || self.asked.contains(&action) {
            return Ok(());
        }
        let ready = self.ready.iter().map(|(_, Reverse(action))| *action);
        let fresh = ready.filter(|action| !self.asked.contains(action));
        let fresh: Vec<usize> = fresh.chain([action]).collect();
        self.ask_tier(fresh)
    }

    /// Settles an action if the store answers it, or makes it ready to run. Returns false if something that
    /// it reads is blocked or not settled.
    pub(super) fn arrive(&mut self, action: usize) -> Result<bool, StageError> {
        let look = match keys::look(self.plan, &self.slots, &mut self.keys, action) {
            Ok(Known::Recipe(look)) => look,
            Ok(Known::Vacant) => {
                self.settle(action, Slot::Vacant, Outcome::Vacant);
                return Ok(true);
            }
            // A run has already asked all that can be asked.
            Ok(Known::Unsettled | Known::Unasked) => return Ok(false),
            Err(error) => {
                self.fail(action, error);
                return Ok(true);
            }
        };
        let key = look.key;
        match self.store.find(&key)? {
            // Somebody has made it up and put it into a remote.
            Some(record) if !record.has(self.plan.writes(action)) => {
                self.forced.insert(action);
                self.requeue(action);
            }
            Some(record) if !self.forced.contains(&action) => {
                self.settle(action, Slot::Done(record), Outcome::Hit);
            }
            // The actions below need not wait, since the record counts until the audit is over.
            Some(record) if self.options.audit => {
                self.slots[action] = Slot::Done(record);
                self.requeue(action);
            }
            _ => {
                if self.kept.len() < KEPT {
                    let prepared = look.prepare(self.plan, self.store, action);
                    self.kept.insert(action, prepared);
                }
                self.requeue(action);
            }
        }
        Ok(true)
    }

    /// Returns the number of stages that still follow. Actions with the longest chain go first.
    pub(super) fn height(&self, action: usize) -> usize {
        self.plan.height(self.plan.coords(action).stage)
    }

    /// Returns true if something that `action` reads failed or was not attempted.
    pub(super) fn is_blocked(&self, action: usize) -> bool {
        let mut blocked = false;
        self.plan.dependencies(action, |on| {
            blocked |= matches!(self.slots[on], Slot::Blocked);
        });
        blocked
    }

    fn start(&mut self, action: usize) -> Result<(), StageError> {
        // An input may have been forced to run again since this became ready, and have failed.
        if self.is_blocked(action) {
            self.settle(action, Slot::Blocked, Outcome::Skipped);
            return Ok(());
        }
        let prepared = match self.prepare(action) {
            Ok(Some(prepared)) => prepared,
            Ok(None) => {
                self.settle(action, Slot::Vacant, Outcome::Vacant);
                return Ok(());
            }
            Err(error) => {
                self.fail(action, error);
                return Ok(());
            }
        };
        let key = prepared.key;
        if let Some(same) = self.in_flight.get_mut(&key) {
            same.push(action);
            return Ok(());
        }
        self.ask_tier_once(action)?;
        let mut forced = self.forced.contains(&action);
        if !forced && let Some(record) = self.store.find(&key)? {
            if record.has(self.plan.writes(action)) {
                self.settle(action, Slot::Done(record), Outcome::Hit);
                return Ok(());
            }
            forced = self.forced.insert(action);
        }
        let reason = match (forced, self.attempts.get(&action)) {
            (true, _) if self.audited.contains(&action) => Reason::Audit,
            (true, _) => Reason::Lost,
            (_, Some(_)) => Reason::Tainted,
            _ => reason(self.plan, &self.slots, self.store, action, &prepared.recipe)?,
        };
        self.in_flight.insert(key, Vec::new());
        let claim = self.resources.take(self.plan.coords(action).stage);
        // The action shares the threads with those that run and those that are about to start.
        let busy = self.claims.len() + 1 + self.ready.len();
        let job = Job {
            action,
            prepared,
            forced,
            reason,
            threads: self.resources.threads(busy, &claim),
            gpus: claim.gpus.clone(),
        };
        self.claims.insert(action, claim);
        self.to_workers
            .jobs
            .send(job)
            .map_err(|_| StageError::new(Fault::Bug, "flow::bug::workers", "all workers are gone"))
    }

    /// Prepares an action that is ready to run, as it was found when it was looked up unless a source file
    /// has changed since. Returns none if it has no rows.
    fn prepare(&mut self, action: usize) -> Result<Option<Prepared>, StageError> {
        if let Some(kept) = self.kept.remove(&action)
            && (kept.sources.is_empty() || {
                let now = self.keys.sources(self.plan, action)?;
                kept.sources.iter().map(|(_, digest)| digest).eq(&now)
            })
        {
            return Ok(Some(kept));
        }
        match keys::look(self.plan, &self.slots, &mut self.keys, action)? {
            Known::Recipe(look) => Ok(Some(look.prepare(self.plan, self.store, action))),
            Known::Vacant => Ok(None),
            Known::Unsettled | Known::Unasked => Err(StageError::new(
                Fault::Bug,
                "flow::bug::output",
                "an action was to start before what decides it is known",
            )),
        }
    }
}
