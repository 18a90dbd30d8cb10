//! Hears what tasks say, sees which records are there, and asks the scheduler about silent tasks.

use std::time::Instant;

use flow_cache::ActionKey;

use super::{Dispatcher, LiveBatch};
use crate::kind::error::{Fault, StageError};
use crate::run::cluster::batch::{last_words, name_of, note_failure, note_id, scheduler_of};
use crate::run::cluster::options::SchedulerChoice;
use crate::run::cluster::retries::{Part, described, verdict};
use crate::run::cluster::scheduler::{Cause, TaskEnd, TaskStates};
use crate::run::cluster::watch::Said;
use crate::run::job::{Done, Message};
use crate::run::made::made;
use crate::run::process::OUT_OF_MEMORY;
use crate::run::report::{Report, progress_of};
use crate::run::work::Work;

impl Dispatcher<'_> {
    /// Looks at everything once.
    pub(super) fn look(&mut self) {
        self.hear();
        if let Err(error) = self.see() {
            // The store may be there again at the next look, and tasks go on in any case.
            self.warn(format!("the store could not be read: {}", error.message));
            return;
        }
        self.ask();
        self.conclude();
        self.relieve();
        self.reap();
    }

    /// Hears what tasks have said since the last look.
    pub(super) fn hear(&mut self) {
        for batch in 0..self.batches.len() {
            for task in 0..self.batches[batch].tasks.len() {
                let live = &mut self.batches[batch];
                if live.tasks[task].over {
                    continue;
                }
                let heard = live.tasks[task].listen(&live.dir, self.options.ask_after);
                for said in heard.unwrap_or_default() {
                    self.heard((batch, task), said);
                }
            }
        }
    }

    fn heard(&mut self, at: (usize, usize), said: Said) {
        match said {
            Said::Started(_) => {
                self.figures.waiting_s += self.batches[at.0].since.elapsed().as_secs_f64()
            }
            Said::Over(wall_s) => self.figures.overhead_s += wall_s,
            Said::Action(key) => {
                if let Some(flying) = self.actions.get_mut(&key)
                    && flying.place == Some(at)
                    && !std::mem::replace(&mut flying.started, true)
                {
                    flying.since = Some(Instant::now());
                    let message = Message::Started {
                        action: flying.job.action,
                        reason: flying.job.reason.clone(),
                    };
                    self.tell(message);
                }
            }
            Said::Progress(json) => {
                let current = self.batches[at.0].tasks[at.1].current;
                let flying = current.and_then(|key| self.actions.get(&key));
                if let (Some(flying), Some(progress)) = (flying, progress_of(&json)) {
                    let action = flying.job.action;
                    self.tell(Message::Progress { action, progress });
                }
            }
            Said::Ended(key, json) => self.reported(at, key, &json),
            Said::Stopped => {}
        }
    }

    /// Takes in the report of an action.
    fn reported(&mut self, at: (usize, usize), key: ActionKey, json: &serde_json::Value) {
        let Some(flying) = self
            .actions
            .get_mut(&key)
            .filter(|flying| flying.place == Some(at))
        else {
            return;
        };
        let work = Work::of(self.setting, &flying.job, &self.setting.options.scratch);
        let report = Report::from_json(json, &work);
        drop(work);
        let done = match report {
            Some(Report::Lost(lost)) => flying.job.lost(&lost),
            Some(Report::Tainted(paths)) => Done::Tainted(paths),
            Some(Report::Failed(error)) => match error.fault {
                // The end of its task says more.
                Fault::Interrupted => return,
                Fault::Environment => {
                    let cause = match error.code.as_str() {
                        OUT_OF_MEMORY => Cause::OutOfMemory,
                        _ => Cause::Failed,
                    };
                    return self.struck(at, key, cause, Some(error));
                }
                _ => Done::Failed(error),
            },
            Some(report) => {
                flying.report = Some((report, Instant::now()));
                return;
            }
            None => return,
        };
        self.settle(key, done);
    }

    /// Sees which actions have a record.
    pub(super) fn see(&mut self) -> Result<(), StageError> {
        let store = self.setting.store;
        store.refresh()?;
        let mut ended = Vec::new();
        for (key, flying) in self
            .actions
            .iter()
            .filter(|(_, flying)| flying.place.is_some())
        {
            let report = flying.report.as_ref().map(|(report, _)| report);
            if store.place(key).is_some()
                && let Some(done) = made(store, key, flying.before.as_ref(), report)?
            {
                ended.push((flying.job.action, *key, done));
            }
        }
        // In the order of the plan, so that what is told depends on nothing else.
        ended.sort_by_key(|(action, ..)| *action);
        ended
            .into_iter()
            .for_each(|(_, key, done)| self.settle(key, done));
        Ok(())
    }

    /// Asks about tasks that have been silent for too long. There is one call for all tasks of a scheduler.
    pub(super) fn ask(&mut self) {
        let overdue = |batch: &LiveBatch| batch.tasks.iter().any(|task| task.is_overdue());
        if !self.batches.iter().any(overdue) {
            return;
        }
        let mut asked: Vec<(SchedulerChoice, Vec<usize>)> = Vec::new();
        for number in 0..self.batches.len() {
            let batch = &self.batches[number];
            if batch.tasks.iter().any(|task| task.is_open()) {
                let choice = self.scheduler_choice(batch);
                match asked.iter_mut().find(|(known, _)| *known == choice) {
                    Some((_, numbers)) => numbers.push(number),
                    None => asked.push((choice, vec![number])),
                }
            }
        }
        for (choice, numbers) in asked {
            self.ask_about(&choice, &numbers);
        }
    }

    fn ask_about(&mut self, choice: &SchedulerChoice, numbers: &[usize]) {
        let scheduler = scheduler_of(choice);
        for &number in numbers {
            let batch = &mut self.batches[number];
            if batch.id.is_none() {
                self.figures.calls += 1;
                batch.id = scheduler.find(&name_of(&batch.dir)).unwrap_or_default();
                if let Some(id) = &batch.id {
                    // The next run would find it by its name as well.
                    let _ = note_id(&batch.dir, id);
                }
            }
        }
        let ids: Vec<String> = numbers
            .iter()
            .filter_map(|&number| self.batches[number].id.clone())
            .collect();
        let states = match ids.is_empty() {
            true => Ok(TaskStates::new()),
            false => {
                self.figures.calls += 1;
                scheduler.states(&ids)
            }
        };
        let failed = states.is_err();
        if let Err(error) = &states
            && !self.silent
        {
            self.warn(format!(
                "{error}; tasks are waited for, and their scheduler is asked again later"
            ));
        }
        self.silent = failed;
        let states = states.unwrap_or_default();
        for &number in numbers {
            let batch = &mut self.batches[number];
            for (task, live) in batch
                .tasks
                .iter_mut()
                .enumerate()
                .filter(|(_, live)| live.is_open())
            {
                let state = batch.id.clone().and_then(|id| states.get(&(id, task)));
                match state {
                    _ if failed => live.put_off(),
                    Some(state) => live.told(Some(state), self.options.ask_after),
                    None if live.is_overdue() => live.told(None, self.options.ask_after),
                    // It has just given a sign of life.
                    None => {}
                }
            }
        }
    }

    /// Decides what becomes of the actions of tasks that are over and have left no record of them.
    fn conclude(&mut self) {
        for batch in 0..self.batches.len() {
            for task in 0..self.batches[batch].tasks.len() {
                let live = &self.batches[batch].tasks[task];
                if live.is_open() || live.left.is_empty() {
                    continue;
                }
                let (end, since) = match &live.ended {
                    Some((end, since)) => (end.clone(), *since),
                    None => {
                        let end = TaskEnd {
                            cause: Cause::Ok,
                            node: live.node.clone(),
                        };
                        (end, live.heard_at())
                    }
                };
                // A task that got to its end has left records, which may not be seen here yet.
                let patience = match end.cause {
                    Cause::Ok | Cause::Unknown => self.options.visible_within,
                    _ => self.options.look,
                };
                if since.elapsed() >= patience {
                    self.after_end((batch, task), &end);
                }
            }
        }
    }

    fn after_end(&mut self, at: (usize, usize), end: &TaskEnd) {
        let live = &mut self.batches[at.0].tasks[at.1];
        let left = std::mem::take(&mut live.left);
        let (begun, current) = (live.begun, live.current);
        let words = last_words(&self.batches[at.0].dir, at.1);
        let scheduler = scheduler_of(&self.batches[at.0].batch.scheduler);
        let end = &TaskEnd {
            cause: scheduler.refined(end.cause, &words),
            node: end.node.clone(),
        };
        if end.cause == Cause::NodeFailure {
            self.warn(format!("{} while it ran a task of flow", described(end)));
        }
        if end.cause == Cause::Refused && self.batches[at.0].picky {
            // What other machines lack, the ones that it was kept away from may have.
            self.machines.trust_all();
            return left.into_iter().for_each(|key| self.enqueue(key));
        }
        self.blame(at, end);
        for key in left {
            let part = match begun && current != Some(key) {
                true => Part::NotBegun,
                false => Part::Struck,
            };
            let said = match self.actions.get(&key) {
                Some(flying) => flying.report.is_some(),
                None => continue,
            };
            // An action that was said to have run and has no record is struck as well.
            let part = if said { Part::Struck } else { part };
            self.try_again(key, end, part, words.clone());
        }
    }

    /// Counts an end against the machine of the task, unless the end says nothing of the machine.
    fn blame(&mut self, at: (usize, usize), end: &TaskEnd) {
        let live = &mut self.batches[at.0].tasks[at.1];
        let telling = matches!(
            end.cause,
            Cause::NodeFailure | Cause::Failed | Cause::Unknown | Cause::Ok
        );
        if !telling || std::mem::replace(&mut live.blamed, true) {
            return;
        }
        if let Some(machine) = live.node.as_ref().or(end.node.as_ref()) {
            self.machines.failed(machine);
        }
    }

    /// Handles a failure of the machine that an action ran on.
    fn struck(
        &mut self,
        at: (usize, usize),
        key: ActionKey,
        cause: Cause,
        error: Option<StageError>,
    ) {
        let live = &mut self.batches[at.0].tasks[at.1];
        live.left.retain(|left| *left != key);
        let end = TaskEnd {
            cause,
            node: live.node.clone(),
        };
        self.blame(at, &end);
        let Some(flying) = self.actions.get_mut(&key) else {
            return;
        };
        let tries = &mut flying.past.tries;
        match (verdict(&end, Part::Struck, tries, self.options), error) {
            (None, error) => {
                let why = error.map_or_else(|| described(&end), |error| error.message);
                self.submit_again(key, &why);
            }
            (Some(_), Some(error)) | (Some(error), None) => self.settle(key, Done::Failed(error)),
        }
    }

    fn try_again(&mut self, key: ActionKey, end: &TaskEnd, part: Part, words: String) {
        let Some(flying) = self.actions.get_mut(&key) else {
            return;
        };
        // A task that reached a limit which flow did not set took as long as it took.
        if end.cause == Cause::TimeLimit && flying.past.limit.is_none() && flying.started {
            flying.past.limit = flying.since.map(|since| since.elapsed());
        }
        let place = flying.place;
        match verdict(end, part, &mut flying.past.tries, self.options) {
            None if part == Part::NotBegun => self.enqueue(key),
            None => self.submit_again(key, &described(end)),
            Some(error) => {
                let mut error = match words.as_str() {
                    "" => error,
                    words => error.help(format!("its last words:\n{words}")),
                };
                if let Some((batch, _)) = place {
                    let LiveBatch { dir, batch, .. } = &self.batches[batch];
                    if end.cause == Cause::Refused {
                        error.message += &format!(": {}", batch.needs);
                    }
                    note_failure(dir, &key);
                }
                self.settle(key, Done::Failed(error));
            }
        }
    }

    fn submit_again(&mut self, key: ActionKey, why: &str) {
        if let Some(flying) = self.actions.get(&key) {
            let plan = self.setting.plan;
            let action = flying.job.action;
            let stage = &plan.pipeline.stages[plan.coords(action).stage].name;
            let label = plan.label(action);
            self.warn(format!(
                "`{label}` of stage `{stage}`: {why}; it is submitted again"
            ));
        }
        self.enqueue(key);
    }
}
