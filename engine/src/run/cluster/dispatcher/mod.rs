//! Gives actions to a scheduler and waits for their records.
//!
//! This file has the state, the loop, and the beginning and the end of an action. `submit` packs what waits and
//! submits it. `look` hears what tasks say, sees what the store has, and asks the scheduler. `attach` finds what an
//! earlier run has submitted, `relief` takes actions back from tasks that are late, and `ending` clears up. Begin with
//! [`Dispatcher::work`].

mod attach;
mod ending;
mod look;
mod relief;
mod submit;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use flow_cache::{ActionKey, JobDir, Record};

use super::batch::{Batch, Past, scheduler_of};
use super::machines::Machines;
use super::options::ClusterOptions;
use super::packing::{Estimates, Sort, Waiting};
use super::scheduler::{Scheduler, TaskNeeds};
use super::watch::LiveTask;
use crate::base::trace::Track;
use crate::kind::error::StageError;
use crate::run::job::{Done, Job, Message};
use crate::run::made::Before;
use crate::run::manifest;
use crate::run::options::Setting;
use crate::run::perform::verify;
use crate::run::report::Report;
use crate::run::work::Work;

/// How often the thread looks for new actions, and whether the run is to stop.
const MOMENT: Duration = Duration::from_millis(50);

/// How long new actions are waited for before what is there is packed.
const GATHER: Duration = Duration::from_millis(200);

/// What a run has used of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClusterFigures {
    /// Arrays that were submitted.
    pub batches: usize,
    /// Their tasks.
    pub tasks: usize,
    /// Calls of the scheduler's commands.
    pub calls: usize,
    /// Seconds that tasks waited until they started, added up.
    pub waiting_s: f64,
    /// Seconds that tasks took besides the actions that they ran, added up.
    pub overhead_s: f64,
}

/// The thread of a run that gives actions to a scheduler.
pub(crate) struct Dispatcher<'a> {
    setting: Setting<'a>,
    options: &'a ClusterOptions,
    to_coordinator: mpsc::Sender<Message>,
    /// Nothing more is to start.
    stop: &'a AtomicBool,
    scheduler: Box<dyn Scheduler>,
    /// The actions that are not settled.
    actions: HashMap<ActionKey, Flying>,
    queue: Vec<Waiting<ActionKey>>,
    batches: Vec<LiveBatch>,
    /// What the tasks of earlier runs are about to make: batch and task by key. It is none before it is asked for.
    offers: Option<HashMap<ActionKey, (usize, usize)>>,
    /// It is none before the records are gone through.
    estimates: Option<Estimates>,
    machines: Machines,
    figures: ClusterFigures,
    /// When an action came in last, and since when one has been waiting.
    came: Instant,
    waits: Option<Instant>,
    looked: Instant,
    /// The scheduler failed when it was last asked.
    silent: bool,
}

/// An action that is not settled.
struct Flying {
    job: Job,
    before: Option<Before>,
    past: Past,
    /// The batch and the task that it is in.
    place: Option<(usize, usize)>,
    /// The batch that it was in before it had to wait again.
    was_in: Option<usize>,
    /// When it was submitted, or else when it began. It is none if an earlier run has seen that.
    since: Option<Instant>,
    /// The coordinator knows that it runs.
    started: bool,
    /// What its task said, with the time at which it was heard.
    report: Option<(Report, Instant)>,
}

/// A batch that was submitted.
struct LiveBatch {
    dir: JobDir,
    batch: Batch,
    id: Option<String>,
    tasks: Vec<LiveTask>,
    since: Instant,
    /// Its tasks were kept away from some machines.
    picky: bool,
    /// Its folder stays for the next run.
    kept: bool,
}

impl<'a> Dispatcher<'a> {
    pub(crate) fn new(
        setting: Setting<'a>,
        options: &'a ClusterOptions,
        to_coordinator: mpsc::Sender<Message>,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            setting,
            options,
            to_coordinator,
            stop,
            scheduler: scheduler_of(&options.scheduler),
            actions: HashMap::new(),
            queue: Vec::new(),
            batches: Vec::new(),
            offers: None,
            estimates: None,
            machines: Machines::default(),
            figures: ClusterFigures::default(),
            came: Instant::now(),
            waits: None,
            looked: Instant::now(),
            silent: false,
        }
    }

    /// Handles actions until there are no more. Returns what it took.
    pub(crate) fn work(mut self, jobs: &mpsc::Receiver<Job>) -> ClusterFigures {
        loop {
            match jobs.recv_timeout(MOMENT) {
                Ok(job) => {
                    // What cannot be read now is read at the next look.
                    let _ = self.setting.store.refresh();
                    self.take(job);
                    jobs.try_iter().for_each(|job| self.take(job));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.setting.options.cancel.load(Ordering::Relaxed) {
                self.give_up();
                continue;
            }
            if self.stop.load(Ordering::Relaxed) {
                self.drop_queue();
            }
            if self.looked.elapsed() >= self.options.look {
                self.look();
                self.looked = Instant::now();
            }
            if self.is_time_to_submit() {
                self.submit_waiting();
            }
        }
        self.say_farewell();
        self.figures
    }

    fn take(&mut self, job: Job) {
        self.came = Instant::now();
        let (action, key) = (job.action, job.prepared.key);
        if let Err(done) = self
            .begin(job)
            .unwrap_or_else(|error| Err(Done::Failed(error)))
        {
            self.tell(Message::Done { action, key, done });
        }
    }

    /// Takes an action on. Returns how it ended if there is nothing to do.
    fn begin(&mut self, job: Job) -> Result<Result<(), Done>, StageError> {
        let store = self.setting.store;
        let key = job.prepared.key;
        if !job.forced
            && let Some(record) = store.find(&key)?
        {
            return Ok(Err(Done::Hit(record)));
        }
        // Tasks verify what they read, but they know no remote to fetch it from.
        if !job.gone(store).is_empty() {
            let lost = verify(store, &job.prepared.needs, Track::default())?;
            if !lost.is_empty() {
                return Ok(Err(job.lost(&lost)));
            }
        }
        let work = Work::of(self.setting, &job, &self.setting.options.scratch);
        let before = Before::of(&work, store)?;
        manifest::put(&work, store)?;
        drop(work);
        let flying = Flying {
            before,
            past: Past::default(),
            place: None,
            was_in: None,
            since: None,
            started: false,
            report: None,
            job,
        };
        let forced = flying.job.forced;
        self.actions.insert(key, flying);
        if forced || !self.attach(&key) {
            self.enqueue(key);
        }
        Ok(Ok(()))
    }

    /// Lets an action wait to be submitted.
    fn enqueue(&mut self, key: ActionKey) {
        let Some(flying) = self.actions.get_mut(&key) else {
            return;
        };
        if let Some((batch, _)) = flying.place.take() {
            flying.was_in = Some(batch);
        }
        flying.report = None;
        let (sort, needs) = (self.sort(key), self.needs(key));
        if let (Some(sort), Some(needs)) = (sort, needs) {
            self.queue.push(Waiting {
                item: key,
                sort,
                needs,
            });
            self.waits.get_or_insert_with(Instant::now);
        }
    }

    fn sort(&self, key: ActionKey) -> Option<Sort> {
        Some(self.sort_of(self.actions.get(&key)?.job.action))
    }

    fn sort_of(&self, action: usize) -> Sort {
        let at = self.setting.plan.coords(action);
        let stage = &self.setting.plan.pipeline.stages[at.stage];
        Sort {
            step: (
                stage.spec.name.to_owned(),
                stage.steps[at.step].name.to_owned(),
            ),
            stage: stage.name.clone(),
        }
    }

    /// What the task of an action asks for, the more the oftener the action failed for want of it.
    fn needs(&self, key: ActionKey) -> Option<TaskNeeds> {
        /// The memory that is multiplied where nobody has claimed any.
        const SOME: u64 = 1 << 30;
        let flying = self.actions.get(&key)?;
        let at = self.setting.plan.coords(flying.job.action);
        let stage = &self.setting.plan.pipeline.stages[at.stage];
        let asked = self
            .options
            .asked(&stage.name, stage.kind.resources(&stage.params));
        let (memory, time) = (
            flying.past.tries.memory_factor(self.options),
            flying.past.tries.time_factor(self.options),
        );
        Some(TaskNeeds {
            cpus: asked.cpus,
            memory: match memory > 1.0 {
                true if asked.memory == 0 => (SOME as f64 * memory) as u64,
                true => (asked.memory as f64 * memory) as u64,
                false => asked.memory,
            },
            gpus: asked.gpus,
            time: match time > 1.0 {
                true => asked
                    .timeout
                    .or(flying.past.limit)
                    .map(|limit| limit.mul_f64(time)),
                false => asked.timeout,
            },
        })
    }

    /// Ends an action.
    fn settle(&mut self, key: ActionKey, done: Done) {
        let Some(flying) = self.actions.remove(&key) else {
            return;
        };
        match flying.place {
            Some((batch, task)) => {
                let left = &mut self.batches[batch].tasks[task].left;
                left.retain(|left| *left != key);
            }
            None => self.queue.retain(|waiting| waiting.item != key),
        }
        // If it cannot be removed, gc will do it.
        let _ = self.setting.store.remove_manifest(&key);
        let action = flying.job.action;
        if let Done::Ran(record) = &done {
            if !flying.started {
                self.tell_start(&flying.job);
            }
            let task = flying
                .place
                .map(|(batch, task)| &self.batches[batch].tasks[task]);
            if let Some(machine) = task.and_then(|task| task.node.as_deref()) {
                self.machines.did_well(machine);
            }
            self.learn(action, record);
        }
        self.tell(Message::Done { action, key, done });
    }

    fn learn(&mut self, action: usize, record: &Record) {
        self.figures.overhead_s -= record.wall_s;
        let sort = self.sort_of(action);
        if let Some(estimates) = &mut self.estimates {
            estimates.add(sort, record.wall_s.max(record.cpu_s));
        }
    }

    fn tell_start(&self, job: &Job) {
        self.tell(Message::Started {
            action: job.action,
            reason: job.reason.clone(),
        });
    }

    fn warn(&self, message: String) {
        self.tell(Message::Warning(message));
    }

    fn tell(&self, message: Message) {
        // If nothing listens any more, that is no reason to stop.
        let _ = self.to_coordinator.send(message);
    }
}
