//! Packs the actions that wait, and submits them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flow_cache::{ActionKey, JobDir};

use super::{Dispatcher, GATHER, LiveBatch};
use crate::kind::error::{Fault, StageError};
use crate::run::cluster::batch::{Batch, SCRIPT, name_of, note_id};
use crate::run::cluster::packing::{Array, Estimates, Limits, Step, filling, hold, pack};
use crate::run::cluster::scheduler::{Failure, SchedulerError, Submission, TaskNeeds};
use crate::run::cluster::watch::LiveTask;
use crate::run::event::SubmittedBatch;
use crate::run::job::{Done, Message};

/// How long after a failed submission the next one is tried.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

impl Dispatcher<'_> {
    /// Returns whether what waits is to be submitted now. While tasks run, few actions wait for others, so that there
    /// are few jobs.
    pub(super) fn is_time_to_submit(&self) -> bool {
        let Some(waits) = self.waits.filter(|_| !self.queue.is_empty()) else {
            return false;
        };
        let gathered = self.came.elapsed() >= GATHER || waits.elapsed() >= GATHER * 10;
        let idle = self.open_tasks() == 0;
        gathered && (idle || waits.elapsed() >= hold(self.options.task_time, self.tasks_before()))
    }

    /// The number of tasks that wait for a machine and ask for what the actions ask for that wait here. Of several
    /// sorts of actions, that counts whose way is the freest.
    fn tasks_before(&self) -> usize {
        let asks = |needs: &TaskNeeds| (needs.cpus, needs.memory, needs.gpus);
        let before = |asked| {
            let alike = self
                .batches
                .iter()
                .filter(|live| asks(&live.batch.needs) == asked);
            let tasks = alike.flat_map(|live| &live.tasks);
            tasks
                .filter(|task| task.is_open() && task.started.is_none())
                .count()
        };
        let asked = BTreeSet::from_iter(self.queue.iter().map(|waiting| asks(&waiting.needs)));
        asked.into_iter().map(before).min().unwrap_or_default()
    }

    pub(super) fn open_tasks(&self) -> usize {
        let tasks = self.batches.iter().flat_map(|batch| &batch.tasks);
        tasks.filter(|task| task.is_open()).count()
    }

    pub(super) fn submit_waiting(&mut self) {
        if self.estimates.is_none() {
            let mut estimates = Estimates::default();
            // What cannot be read is not known.
            let _ = self
                .setting
                .store
                .for_each_record(|record| estimates.learn(record));
            self.estimates = Some(estimates);
        }
        let estimates = self.estimates.take().unwrap_or_default();
        let probing = self.probing(&estimates);
        let room = self.options.most_tasks.saturating_sub(self.open_tasks());
        let task_time = filling(self.options.task_time, self.tasks_before());
        let arrays = pack(
            &mut self.queue,
            &Limits {
                task_time,
                room,
                time: self.options.time,
                probing: &probing,
                estimates: &estimates,
            },
        );
        self.estimates = Some(estimates);
        self.waits = (!self.queue.is_empty()).then(Instant::now);
        for array in arrays {
            let keys = array.tasks.concat();
            if let Err(error) = self.submit(array) {
                keys.into_iter()
                    .for_each(|key| self.settle(key, Done::Failed(error.clone())));
            }
        }
    }

    /// The actions in flight of steps of which nothing is known, and for how long the oldest one has been.
    fn probing(&self, estimates: &Estimates) -> HashMap<Step, (usize, Duration)> {
        let mut probing = HashMap::<Step, (usize, Duration)>::new();
        for (key, flying) in self
            .actions
            .iter()
            .filter(|(_, flying)| flying.place.is_some())
        {
            if let Some(sort) = self.sort(*key).filter(|sort| estimates.of(sort).is_none()) {
                let (count, since) = probing.entry(sort.step).or_default();
                *count += 1;
                // One that waits for a machine tells nothing of how long it takes.
                let begun = flying.since.filter(|_| flying.started);
                *since = (*since).max(begun.map_or(Duration::ZERO, |since| since.elapsed()));
            }
        }
        probing
    }

    /// Submits an array of tasks. What is to be known of it is in the store before.
    fn submit(&mut self, array: Array<ActionKey>) -> Result<(), StageError> {
        let (dir, batch) = self.write(&array)?;
        let avoid = self.machines_to_avoid();
        let submission = Submission {
            name: &name_of(&dir),
            script: &dir.path().join(SCRIPT),
            dir: dir.path(),
            tasks: array.tasks.len(),
            needs: array.needs,
            avoid: &avoid,
        };
        let id = self.submit_or_find(&submission).map_err(|error| {
            dir.remove();
            self.not_submitted(&error, &array.needs)
        })?;
        note_id(&dir, &id)?;
        let (number, now) = (self.batches.len(), Instant::now());
        for (task, keys) in array.tasks.iter().enumerate() {
            for key in keys {
                if let Some(flying) = self.actions.get_mut(key) {
                    flying.place = Some((number, task));
                    flying.past.submitted += 1;
                    flying.past.limit = array.needs.time;
                    flying.since = Some(now);
                }
            }
        }
        self.figures.batches += 1;
        self.figures.tasks += array.tasks.len();
        self.tell(Message::Submitted(SubmittedBatch {
            batch: dir.name(),
            scheduler: self.options.scheduler.name(),
            id: Some(id.clone()),
            tasks: array.tasks.len(),
            actions: array.tasks.iter().map(Vec::len).sum(),
            attached: false,
        }));
        let tasks = array.tasks.into_iter().enumerate();
        self.batches.push(LiveBatch {
            dir,
            batch,
            id: Some(id),
            tasks: tasks
                .map(|(task, keys)| LiveTask::new(task, keys, self.options.ask_after))
                .collect(),
            since: now,
            picky: !avoid.is_empty(),
            kept: false,
        });
        Ok(())
    }

    /// The machines that a new batch is kept away from. A user is told once of each.
    fn machines_to_avoid(&mut self) -> Vec<String> {
        let Some(failing) = self.machines.failing() else {
            return Vec::new();
        };
        if let Some(remedy) = self.scheduler.remedy() {
            for machine in self.machines.not_told(&failing) {
                self.warn(format!("tasks fail again and again on {machine}: {remedy}"));
            }
            return Vec::new();
        }
        let mut others = self.machines.has_others();
        if !others {
            self.figures.calls += 1;
            let all = self.scheduler.machines();
            others = all.is_some_and(|all| all.iter().any(|name| !failing.contains(name)));
        }
        if !others {
            return Vec::new();
        }
        for machine in self.machines.not_told(&failing) {
            self.warn(format!(
                "tasks fail again and again on {machine}: this run submits no more tasks to it"
            ));
        }
        failing
    }

    /// Writes the files of a batch.
    fn write(&self, array: &Array<ActionKey>) -> Result<(JobDir, Batch), StageError> {
        let plan = self.setting.plan;
        let flying = array
            .tasks
            .iter()
            .flatten()
            .filter_map(|key| self.actions.get(key));
        let stages = flying.map(|flying| {
            plan.pipeline.stages[plan.coords(flying.job.action).stage]
                .name
                .clone()
        });
        let past = array.tasks.iter().flatten().filter_map(|key| {
            let past = self.actions.get(key)?.past;
            (past.submitted > 0).then_some((*key, past))
        });
        let batch = Batch {
            scheduler: self.options.scheduler.clone(),
            pipeline: plan.pipeline.name.clone(),
            stages: Vec::from_iter(BTreeSet::from_iter(stages)),
            needs: array.needs,
            each: array.each,
            visible_within: self.options.visible_within,
            made_unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            tasks: array.tasks.clone(),
            past: BTreeMap::from_iter(past),
        };
        let dir = self.setting.store.new_job()?;
        batch.write(&dir, self.options, &self.setting.options.scratch)?;
        Ok((dir, batch))
    }

    /// Submits an array. A command that failed may have submitted it nevertheless, so its name is looked for.
    fn submit_or_find(&mut self, submission: &Submission<'_>) -> Result<String, SchedulerError> {
        let mut pauses = PAUSES.into_iter();
        let mut submission = *submission;
        loop {
            self.figures.calls += 1;
            let error = match self.scheduler.submit(&submission) {
                Ok(id) => return Ok(id),
                Err(error) if error.failure == Failure::Other => error,
                // Without the machines that it is kept away from, there may be none that has what it asks for.
                Err(_) if !submission.avoid.is_empty() => {
                    submission.avoid = &[];
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(pause) = pauses.next().filter(|_| !self.is_cancelled()) else {
                return Err(error);
            };
            if pause == PAUSES[0] {
                let longest: Duration = PAUSES.iter().sum();
                self.warn(format!(
                    "a batch could not be submitted: {error}; this is tried again for {} s",
                    longest.as_secs()
                ));
            }
            self.pause(pause);
            // Not every scheduler says clearly that it refuses.
            submission.avoid = &[];
            self.figures.calls += 1;
            if let Ok(Some(id)) = self.scheduler.find(submission.name) {
                return Ok(id);
            }
        }
    }

    fn pause(&self, pause: Duration) {
        let since = Instant::now();
        while since.elapsed() < pause && !self.is_cancelled() {
            std::thread::sleep(super::MOMENT);
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        let cancel = self.setting.options.cancel;
        cancel.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn not_submitted(&self, error: &SchedulerError, needs: &TaskNeeds) -> StageError {
        if self.is_cancelled() {
            return StageError::interrupted();
        }
        let help = match error.failure {
            Failure::Absent => {
                "start the run where the commands of the scheduler are, usually on a login node, or run on this machine: --executor local"
            }
            Failure::Refused | Failure::Other => {
                "what a site needs to hear is in a profile, --profile NAME: `partition`, `account`, `memory` and `time` of [executor], and [stages.NAME.resources]"
            }
        };
        let asked = match error.failure {
            Failure::Refused => format!("\neach task asks for {needs}"),
            Failure::Absent | Failure::Other => String::new(),
        };
        StageError::new(
            Fault::Environment,
            "flow::executor::submit",
            format!("a batch could not be submitted: {error}{asked}"),
        )
        .help(help)
    }
}
