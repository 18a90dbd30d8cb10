//! Finds what an earlier run has submitted, so that nothing is submitted twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use flow_cache::{ActionKey, JobDir};

use super::{Dispatcher, LiveBatch};
use crate::kind::error::StageError;
use crate::run::cluster::batch::{Batch, id_of, name_of, note_id, scheduler_of};
use crate::run::cluster::watch::{LiveTask, Said};
use crate::run::event::SubmittedBatch;
use crate::run::job::Message;

impl Dispatcher<'_> {
    /// Returns true if a task of an earlier run is about to run an action.
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
        let (Some((batch, task)), Some(flying)) = (offer, self.actions.get_mut(key)) else {
            return false;
        };
        // A batch that is over has no tasks any more.
        let live = self.batches[batch].tasks.get_mut(task);
        let Some(live) = live.filter(|live| live.is_open()) else {
            return false;
        };
        flying.place = Some((batch, task));
        live.left.push(*key);
        if live.current == Some(*key) {
            flying.started = true;
            let job = &self.actions[key].job;
            self.tell_start(job);
        }
        true
    }

    /// Reads the batches of the store that are not over.
    fn find_batches(&mut self) -> Result<HashMap<ActionKey, (usize, usize)>, StageError> {
        let mut offers = HashMap::new();
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
            };
            if live.id.is_none() {
                live.id = self.id_by_name(&live);
            }
            // A run that died before it had submitted a batch leaves one that nobody knows.
            if live.id.is_some() || begun {
                offers.extend(keys);
                self.batches.push(live);
            }
        }
        self.ask_about_found();
        self.tell_found(&offers);
        Ok(offers)
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
