//! Relieves tasks that take much longer than was expected.

use std::time::Duration;

use flow_cache::ActionKey;

use super::Dispatcher;
use crate::run::cluster::batch::scheduler_of;

/// A task is late after so many times the time that its actions were to take.
const LATE: u32 = 2;

impl Dispatcher<'_> {
    /// Takes actions back that late tasks have not begun, so that other machines run them too. A late task goes on, and
    /// the first record of an action counts. What it would run last is submitted first, so that few actions run twice.
    pub(super) fn relieve(&mut self) {
        let late = self.options.task_time * LATE;
        let mut back = Vec::new();
        for batch in 0..self.batches.len() {
            for task in 0..self.batches[batch].tasks.len() {
                back.extend(self.taken_back((batch, task), late).into_iter().rev());
            }
        }
        back.into_iter().for_each(|key| self.enqueue(key));
    }

    fn taken_back(&mut self, (batch, task): (usize, usize), late: Duration) -> Vec<ActionKey> {
        let live = &mut self.batches[batch].tasks[task];
        let is_late = live.is_open() && live.started.is_some_and(|since| since.elapsed() > late);
        let (true, Some(current)) = (is_late, live.current) else {
            return Vec::new();
        };
        // A task runs what is forced even if there is a record, and so would run it twice.
        let actions = &self.actions;
        let stays = |key: &ActionKey| {
            *key == current || actions.get(key).is_none_or(|flying| flying.job.forced)
        };
        let (stay, back): (Vec<_>, Vec<_>) = live.left.drain(..).partition(stays);
        live.left = stay;
        live.relieved |= !back.is_empty();
        back
    }

    /// Cancels batches whose tasks run only what others have made already.
    pub(super) fn cancel_relieved(&mut self) {
        for number in 0..self.batches.len() {
            let live = &self.batches[number];
            let relieved = live
                .tasks
                .iter()
                .any(|task| task.relieved && task.is_open());
            let wanted = live.tasks.iter().any(|task| !task.left.is_empty());
            let Some(id) = live.id.clone().filter(|_| relieved && !wanted) else {
                continue;
            };
            self.figures.calls += 1;
            let scheduler = scheduler_of(&self.scheduler_choice(&self.batches[number]));
            // If it fails, the task finds the records and comes to its end.
            if scheduler.cancel(&[id]).is_ok() {
                self.batches[number].dir.remove();
            }
        }
    }
}
