//! The end of a run, and of batches: what becomes of tasks, and when the folder of a batch is removed.

use std::collections::HashSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flow_cache::ActionKey;

use super::{Dispatcher, LiveBatch, MOMENT};
use crate::kind::error::StageError;
use crate::run::cluster::batch::scheduler_of;
use crate::run::cluster::options::{OnStop, SchedulerChoice};
use crate::run::job::{Done, Message};

/// How long tasks may take to say that they are over once all their actions are.
const FAREWELL: Duration = Duration::from_secs(2);

impl Dispatcher<'_> {
    /// Gives the actions back that were not submitted.
    pub(super) fn drop_queue(&mut self) {
        if self.is_cancelled() {
            let needed = self.waited_for();
            needed
                .into_iter()
                .for_each(|batch| self.batches[batch].kept = true);
        }
        for waiting in std::mem::take(&mut self.queue) {
            self.settle(waiting.item, Done::Failed(StageError::interrupted()));
        }
        self.waits = None;
    }

    /// The run is to stop: what was submitted goes on or is cancelled, as the user wants it.
    pub(super) fn give_up(&mut self) {
        self.drop_queue();
        let open = |batch: &LiveBatch| {
            batch
                .tasks
                .iter()
                .filter(|task| !task.left.is_empty())
                .count()
        };
        let tasks: usize = self.batches.iter().map(open).sum();
        let what = match tasks {
            0 => OnStop::Leave,
            tasks => self.ask_what_becomes(tasks),
        };
        let keys: Vec<ActionKey> = self.actions.keys().copied().collect();
        if what == OnStop::Cancel {
            self.cancel_batches();
            keys.iter()
                .for_each(|key| self.settle(*key, Done::Failed(StageError::interrupted())));
            self.batches.iter().for_each(|batch| batch.dir.remove());
            self.batches.clear();
            return;
        }
        for key in keys {
            // The manifest and the batch stay: tasks need them, and a later run goes on with them.
            if let Some(flying) = self.actions.remove(&key) {
                let done = Done::Failed(StageError::interrupted());
                self.tell(Message::Done {
                    action: flying.job.action,
                    key,
                    done,
                });
            }
        }
    }

    /// Lets the coordinator ask, since it alone speaks with the user. Without an answer, tasks go on.
    fn ask_what_becomes(&self, tasks: usize) -> OnStop {
        let (answer, answered) = mpsc::channel();
        self.tell(Message::Stop { tasks, answer });
        answered.recv().unwrap_or(OnStop::Leave)
    }

    fn cancel_batches(&mut self) {
        for batch in &self.batches {
            let Some(id) = &batch.id else { continue };
            self.figures.calls += 1;
            let ids = [id.clone()];
            if let Err(error) = scheduler_of(&self.scheduler_choice(batch)).cancel(&ids) {
                self.warn(format!("batch {} may go on: {error}", batch.dir.name()));
            }
        }
    }

    /// The scheduler of a batch. Its file does not say all that the profile does.
    pub(super) fn scheduler_choice(&self, batch: &LiveBatch) -> SchedulerChoice {
        let own = self.options.scheduler.name() == batch.batch.scheduler.name();
        match own {
            true => self.options.scheduler.clone(),
            false => batch.batch.scheduler.clone(),
        }
    }

    /// Removes the folders of batches that are over.
    pub(super) fn say_farewell(&mut self) {
        self.forget_unclaimed();
        let since = Instant::now();
        self.reap();
        while !self.batches.iter().all(LiveBatch::is_idle) && since.elapsed() < FAREWELL {
            std::thread::sleep(MOMENT);
            self.hear();
            self.reap();
        }
        self.cancel_relieved();
        self.figures.overhead_s = self.figures.overhead_s.max(0.0);
    }

    /// Removes the folders of batches whose tasks are all over, unless the next run would miss what they say of actions
    /// that were not submitted again yet.
    pub(super) fn reap(&mut self) {
        let (waited_for, unclaimed) = (self.waited_for(), self.unclaimed());
        for (number, batch) in self.batches.iter_mut().enumerate() {
            let over = batch
                .tasks
                .iter()
                .all(|task| !task.is_open() && task.left.is_empty());
            let needed = batch.kept || waited_for.contains(&number) || unclaimed.contains(&number);
            if over && !needed && !batch.tasks.is_empty() {
                batch.dir.remove();
                // The numbers of other batches stay.
                batch.tasks.clear();
            }
        }
    }

    /// The batches that actions were in that wait to be submitted again.
    fn waited_for(&self) -> HashSet<usize> {
        let waiting = self.queue.iter();
        waiting
            .filter_map(|waiting| self.actions.get(&waiting.item)?.was_in)
            .collect()
    }

    /// The batches of earlier runs with actions that have no record and that this run has not asked for.
    fn unclaimed(&self) -> HashSet<usize> {
        let offers = self.offers.iter().flatten();
        offers
            .filter(|(key, _)| self.setting.store.place(key).is_none())
            .map(|(_, (batch, _))| *batch)
            .collect()
    }

    /// At the end of a run that was not stopped, what its pipeline has not asked for is not wanted any more. Other
    /// pipelines may want theirs.
    fn forget_unclaimed(&mut self) {
        if self.is_cancelled() {
            return;
        }
        let (batches, own) = (&self.batches, &self.setting.plan.pipeline.name);
        if let Some(offers) = &mut self.offers {
            offers.retain(|_, (batch, _)| batches[*batch].batch.pipeline != *own);
        }
    }
}

impl LiveBatch {
    /// Returns true if nothing more is to be expected of it, or something is left that only a later run can settle.
    fn is_idle(&self) -> bool {
        self.tasks
            .iter()
            .all(|task| !task.is_open() || !task.left.is_empty())
    }
}
