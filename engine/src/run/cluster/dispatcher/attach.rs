//! Finds what an earlier run has submitted, so that nothing is submitted twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use flow_cache::{ActionKey, JobDir};

use super::{Dispatcher, LiveBatch};
use crate::kind::error::StageError;
use crate::run::cluster::batch::{Batch, Past, id_of, is_told, name_of, note_id, scheduler_of};
use crate::run::cluster::retries::Tries;
use crate::run::cluster::scheduler::{Cause, TaskNeeds};
use crate::run::cluster::watch::{LiveTask, Said};
use crate::run::event::SubmittedBatch;
use crate::run::job::Message;

impl Dispatcher<'_> {
    /// Returns true if a task of an earlier run is about to run an action, or has ended in a way that this run is to
    /// deal with. What the action has been through by then counts as if this run had seen it.
    pub(super) fn attach(&mut self, key: &ActionKey) -> bool {
        if self.offers.is_none() {
            let found = self.find_batches();
            let offers = found.unwrap_or_else(|error| {
                self.warn(format!(
                    "earlier batches could not be read: {}",
                    error.message
                ));
                HashMap::new()
            });
            self.offers = Some(offers);
        }
        let offer = self.offers.as_mut().and_then(|offers| offers.remove(key));
        let Some((batch, task)) = offer else {
            return false;
        };
        let goes_on = self.take_over(key, batch);
        // A batch that is over has no tasks any more.
        let LiveBatch { dir, tasks, .. } = &mut self.batches[batch];
        let (Some(live), Some(flying)) = (tasks.get_mut(task), self.actions.get_mut(key)) else {
            return false;
        };
        let is_ours = live.is_open() || (goes_on && counts(live) && !is_told(dir, key));
        if !is_ours {
            flying.past.tries = Tries::default();
            return false;
        }
        flying.place = Some((batch, task));
        live.left.push(*key);
        if live.is_open() && live.current == Some(*key) {
            flying.started = true;
            let job = &self.actions[key].job;
            self.tell_start(job);
        }
        true
    }

    /// Takes over what an action had been through when it was submitted with a batch. Its tries begin anew, and this
    /// returns false, if the profile lets it ask for something else by now.
    fn take_over(&mut self, key: &ActionKey, batch: usize) -> bool {
        let found = &self.batches[batch].batch;
        let (past, limit) = (found.past.get(key).copied(), found.needs.time);
        let past = past.unwrap_or_default();
        if let Some(flying) = self.actions.get_mut(key) {
            flying.past = past;
        }
        let goes_on = self.asks_the_same(key, batch);
        if let Some(flying) = self.actions.get_mut(key) {
            flying.past = Past {
                submitted: past.submitted + 1,
                tries: if goes_on {
                    past.tries
                } else {
                    Tries::default()
                },
                limit,
            };
        }
        goes_on
    }

    /// Returns true if an action would ask for what it asks for in a batch.
    fn asks_the_same(&self, key: &ActionKey, batch: usize) -> bool {
        let batch = &self.batches[batch].batch;
        let Some(now) = self.needs(*key) else {
            return false;
        };
        let size = |needs: &TaskNeeds| (needs.cpus, needs.memory, needs.gpus);
        // The file of a batch has the limits of tasks in whole seconds.
        let whole = |time: Option<Duration>| time.map(|time| time.as_secs());
        let of_profile = whole(batch.needs.time) == whole(self.options.time);
        size(&now) == size(&batch.needs)
            && now.time == batch.each
            && (batch.each.is_some() || of_profile)
    }

    /// Reads the batches of the store that are not over.
    fn find_batches(&mut self) -> Result<HashMap<ActionKey, (usize, usize)>, StageError> {
        let mut found = Vec::new();
        for dir in self.setting.store.jobs()? {
            let Some(batch) = Batch::read(&dir)? else {
                continue;
            };
            let id = id_of(&dir)?;
            let number = self.batches.len();
            let mut keys = BTreeMap::new();
            let mut tasks = Vec::new();
            for (task, all) in batch.tasks.iter().enumerate() {
                let (live, left) = self.found(&dir, task, all)?;
                if live.is_open() {
                    left.into_iter().for_each(|key| {
                        keys.insert(key, (number, task));
                    });
                }
                tasks.push(live);
            }
            let begun = tasks.iter().any(|task| task.started.is_some());
            if keys.is_empty() && tasks.iter().all(|task| !task.is_open()) {
                dir.remove();
                continue;
            }
            let mut live = LiveBatch {
                dir,
                batch,
                id,
                tasks,
                since: Instant::now(),
                picky: false,
                kept: false,
            };
            if live.id.is_none() {
                live.id = self.id_by_name(&live);
            }
            // A run that died before it had submitted a batch leaves one that nobody knows.
            if live.id.is_some() || begun {
                found.extend(keys);
                self.batches.push(live);
            }
        }
        self.ask_about_found();
        let offers = self.latest(found);
        self.tell_found(&offers);
        Ok(offers)
    }

    /// Of several tasks with the same action, one that goes on counts before one that has ended, and then the one that
    /// was submitted last.
    fn latest(
        &self,
        found: Vec<(ActionKey, (usize, usize))>,
    ) -> HashMap<ActionKey, (usize, usize)> {
        let rank = |key: &ActionKey, (batch, task): (usize, usize)| {
            let live = &self.batches[batch];
            let submitted = live.batch.past.get(key).map(|past| past.submitted);
            (live.tasks[task].is_open(), submitted)
        };
        let mut offers = HashMap::new();
        for (key, at) in found {
            let best = offers.entry(key).or_insert(at);
            if rank(&key, at) > rank(&key, *best) {
                *best = at;
            }
        }
        offers
    }

    /// Reads what a task has said so far. Returns the actions of which it has not said that they are over.
    fn found(
        &self,
        dir: &JobDir,
        task: usize,
        all: &[ActionKey],
    ) -> Result<(LiveTask, Vec<ActionKey>), StageError> {
        let mut live = LiveTask::new(task, Vec::new(), self.options.ask_after);
        let said = live.listen(dir, self.options.ask_after)?;
        let over = said.iter().filter_map(|said| match said {
            Said::Ended(key, _) => Some(*key),
            _ => None,
        });
        let over = HashSet::<ActionKey>::from_iter(over);
        let left = all.iter().filter(|key| !over.contains(key));
        Ok((live, left.copied().collect()))
    }

    /// Asks for the id of a batch whose run died before it could note the id.
    fn id_by_name(&mut self, live: &LiveBatch) -> Option<String> {
        self.figures.calls += 1;
        let scheduler = scheduler_of(&self.scheduler_choice(live));
        let id = scheduler.find(&name_of(&live.dir)).unwrap_or_default()?;
        let _ = note_id(&live.dir, &id);
        Some(id)
    }

    /// Asks the scheduler once about all that was found.
    fn ask_about_found(&mut self) {
        let tasks = self.batches.iter_mut().flat_map(|batch| &mut batch.tasks);
        tasks
            .filter(|task| task.is_open())
            .for_each(LiveTask::make_overdue);
        self.ask();
    }

    fn tell_found(&self, offers: &HashMap<ActionKey, (usize, usize)>) {
        for (number, live) in self.batches.iter().enumerate() {
            let open = live.tasks.iter().filter(|task| task.is_open()).count();
            let actions = offers
                .values()
                .filter(|(batch, task)| *batch == number && live.tasks[*task].is_open());
            if open > 0 {
                self.tell(Message::Submitted(SubmittedBatch {
                    batch: live.dir.name(),
                    scheduler: live.batch.scheduler.name(),
                    id: live.id.clone(),
                    tasks: open,
                    actions: actions.count(),
                    attached: true,
                }));
            }
        }
    }
}

/// Returns true if the end of a task that no run has seen costs its actions a try. Somebody who cancels tasks between
/// two runs, or asks for what no machine has, wants the next run to begin anew.
fn counts(live: &LiveTask) -> bool {
    let cause = live.ended.as_ref().map(|(end, _)| end.cause);
    !matches!(cause, Some(Cause::Cancelled | Cause::Refused))
}
