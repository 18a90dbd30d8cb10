//! Handles what comes back from the workers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use flow_cache::{Digest, Record};

use super::Coordinator;
use crate::kind::error::{Fault, StageError};
use crate::plan::keys::Slot;
use crate::run::cluster::options::OnStop;
use crate::run::event::{Event, Outcome};
use crate::run::job::{Done, Message};
use crate::run::options::Executor;
use crate::run::perform::is_whole;

impl Coordinator<'_> {
    pub(super) fn receive(&mut self, message: Message) -> Result<(), StageError> {
        match message {
            Message::Started { action, reason } => (self.on_event)(Event::ActionStarted {
                action,
                stage: self.plan.coords(action).stage,
                reason,
            }),
            Message::Warning(message) => (self.on_event)(Event::Warning { message }),
            Message::Submitted(batch) => (self.on_event)(Event::BatchSubmitted(batch)),
            Message::Stop { tasks, answer } => self.decide(tasks, &answer),
            Message::Progress { action, progress } => (self.on_event)(Event::Progress {
                action,
                stage: self.plan.coords(action).stage,
                progress,
            }),
            Message::Ran { action } => self.give_back(action),
            Message::Done { action, key, done } => {
                self.give_back(action);
                let same = self.in_flight.remove(&key).unwrap_or_default();
                self.done(action, same, done)?;
            }
        }
        Ok(())
    }

    /// Asks what becomes of the tasks of a cluster. That the run stops is said before that, so that nobody reads it
    /// as the answer.
    fn decide(&mut self, tasks: usize, answer: &mpsc::Sender<OnStop>) {
        self.say_stopping();
        if let Executor::Cluster(cluster) = &self.options.executor {
            // A dispatcher that has gone needs no answer.
            let _ = answer.send((cluster.on_stop)(tasks));
        }
    }

    /// Handles the end of an attempt. Its result counts for the actions of the same key, too.
    fn done(&mut self, action: usize, same: Vec<usize>, done: Done) -> Result<(), StageError> {
        match done {
            Done::Hit(record) => {
                self.settle(action, Slot::Done(record.clone()), Outcome::Hit);
                self.settle_same(same, &record);
            }
            Done::Ran(record) => {
                self.settle(action, Slot::Done(record.clone()), Outcome::Ran);
                self.settle_same(same, &record);
            }
            Done::Different { record, outputs } => {
                self.different(action, same, &record, &outputs)?;
            }
            Done::Lost(lost) => {
                self.lost(action, lost)?;
                self.requeue_all(same);
            }
            Done::Tainted(paths) => {
                self.tainted(action, &paths);
                self.requeue_all(same);
            }
            Done::Failed(error) if self.try_again(action, &error) => {
                self.requeue(action);
                self.requeue_all(same);
            }
            Done::Failed(error) => {
                for action in std::iter::once(action).chain(same) {
                    self.fail(action, error.clone());
                }
            }
        }
        Ok(())
    }

    /// Handles an action that gave other bytes than its record says.
    fn different(
        &mut self,
        action: usize,
        same: Vec<usize>,
        record: &Arc<Record>,
        outputs: &[String],
    ) -> Result<(), StageError> {
        let message = format!(
            "stage `{}` is not deterministic: a second run of `{}` gave other bytes for {}; what depends on them is decided anew",
            self.stage_name(action),
            self.plan.label(action),
            outputs.join(", "),
        );
        (self.on_event)(Event::Warning { message });
        let before = self.slots[action].clone();
        self.settle(action, Slot::Done(record.clone()), Outcome::Ran);
        self.settle_same(same, record);
        match before {
            // In an audit, other actions go on with what their records were made from.
            Slot::Done(old) if is_whole(self.store, &old, self.plan.writes(action))? => {
                self.slots[action] = Slot::Done(old);
                self.restart_later = true;
            }
            _ => self.restart = true,
        }
        Ok(())
    }

    /// Handles lost bytes that an action reads: the actions that make them run first.
    fn lost(&mut self, action: usize, lost: Vec<(Digest, usize, bool)>) -> Result<(), StageError> {
        for (digest, producer, corrupt) in lost {
            if corrupt {
                let message = format!(
                    "artifact {} of stage `{}` is corrupt: set aside, made again",
                    digest.short(),
                    self.stage_name(producer)
                );
                (self.on_event)(Event::Warning { message });
            }
            // They may have come back since the worker looked.
            if !self.store.ensure([digest])?.is_empty() {
                self.demand(producer, action);
            }
        }
        if self.remaining[action] == 0 {
            self.requeue(action);
        }
        Ok(())
    }

    /// Tries an action once more if its source files changed while it ran.
    fn tainted(&mut self, action: usize, paths: &[PathBuf]) {
        paths.iter().for_each(|path| self.keys.forget(path));
        // What was prepared may hold what the keys have just forgotten, such as the version of a program.
        self.kept.clear();
        let attempts = self.attempts.entry(action).or_insert(0);
        *attempts += 1;
        if *attempts < 2 {
            self.requeue(action);
            return;
        }
        let names: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        let message = format!(
            "{} changed twice while stage `{}` read it",
            names.join(", "),
            self.stage_name(action)
        );
        let error = StageError::failed("flow::run::source_changing", message)
            .help("wait until whatever writes the file is done, then run again");
        self.fail(action, error);
    }

    fn requeue_all(&mut self, actions: Vec<usize>) {
        actions.into_iter().for_each(|action| self.requeue(action));
    }

    fn give_back(&mut self, action: usize) {
        if let Some(claim) = self.claims.remove(&action) {
            self.resources.give_back(claim);
        }
    }

    /// Returns true if a failed action has a try left.
    fn try_again(&mut self, action: usize, error: &StageError) -> bool {
        let stage = self.plan.coords(action).stage;
        let allowed = self.resources.wanted(stage).retries;
        let tried = self.retries.entry(action).or_insert(0);
        let stop = self.options.cancel.load(Ordering::Relaxed);
        if error.fault != Fault::Stage || *tried >= allowed || stop {
            return false;
        }
        *tried += 1;
        let message = format!(
            "`{}` of stage `{}` failed and is tried again ({tried} of {allowed}): {}",
            self.plan.label(action),
            self.plan.pipeline.stages[stage].name,
            error.message,
        );
        (self.on_event)(Event::Warning { message });
        true
    }

    fn stage_name(&self, action: usize) -> &str {
        &self.plan.pipeline.stages[self.plan.coords(action).stage].name
    }

    fn settle_same(&mut self, actions: Vec<usize>, record: &Arc<Record>) {
        for action in actions {
            self.settle(action, Slot::Done(record.clone()), Outcome::Hit);
        }
    }

    /// Notes that `consumer` needs bytes of `producer` that are gone.
    fn demand(&mut self, producer: usize, consumer: usize) {
        if self.forced.insert(producer) {
            self.requeue(producer);
        }
        let waiting = self.dependents.entry(producer).or_default();
        // A waiting action is not asked again, so all demands of one consumer come in a row.
        if waiting.last() != Some(&consumer) {
            waiting.push(consumer);
            self.remaining[consumer] += 1;
        }
    }

    pub(super) fn fail(&mut self, action: usize, mut error: StageError) {
        // A kind does not know what its stage is called.
        let table = format!("[stages.{}", self.stage_name(action));
        for help in &mut error.help {
            *help = help.replace("[stages.NAME", &table);
        }
        if error.fault == Fault::Interrupted {
            self.settle(action, Slot::Blocked, Outcome::Skipped);
            return;
        }
        self.failures.insert(action, error.clone());
        self.settle(action, Slot::Blocked, Outcome::Failed(error));
    }
}
