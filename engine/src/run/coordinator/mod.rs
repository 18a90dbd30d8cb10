//! Decides what runs when. All that is known of the actions of a run is here.
//!
//! This file has the state, the first pass over the plan, and the loop over messages. `start` has what leads
//! to a job: readiness, preparation, claims. `receive` has what follows from a message of a worker: outcomes,
//! retries, lost bytes, changed sources.
//!
//! The coordinator is one thread. It neither runs actions nor takes their locks; the workers do both. Begin
//! with [`Coordinator`], then read `settle_known` and `start_ready`.

mod receive;
mod start;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use flow_cache::{ActionKey, Record, Store, Traffic};

use super::Finished;
use super::options::{Options, Setting};
use crate::base::trace::Track;
use crate::kind::error::StageError;
use crate::kind::surroundings::Start;
use crate::plan::Plan;
use crate::plan::keys::{Keys, Prepared, Slot};
use crate::run::capacity::{Capacity, Claim};
use crate::run::event::{Event, Outcome};
use crate::run::job::{Job, Message};

/// How often the coordinator looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The way to the workers.
pub struct ToWorkers<'a> {
    pub jobs: mpsc::Sender<Job>,
    /// Tells the committer whether there is work besides what it has to commit.
    pub more: &'a AtomicBool,
    /// Tells a cluster that nothing more is to start.
    pub stop: &'a AtomicBool,
}

/// Knows what is settled, what waits for what, and what may start.
pub struct Coordinator<'a> {
    plan: &'a Plan<'a>,
    store: &'a Store,
    options: &'a Options<'a>,
    keys: Keys<'a>,
    track: Track<'a>,
    /// Ready actions that were prepared when they were looked up. The others are prepared when they start.
    kept: HashMap<usize, Prepared>,
    slots: Vec<Slot>,
    /// The actions whose outputs were reported as known. A restart does not report them again.
    told: Vec<bool>,
    /// By action, the number of unsettled things that it waits for.
    remaining: Vec<u32>,
    /// The actions that wait for an unsettled action.
    dependents: HashMap<usize, Vec<usize>>,
    /// Ready actions. Those with the longest chain below them come first, then those earlier in the plan.
    ready: BinaryHeap<(usize, Reverse<usize>)>,
    /// By key, the actions that the one in flight answers as well.
    in_flight: HashMap<ActionKey, Vec<usize>>,
    resources: Capacity,
    /// What running actions occupy.
    claims: HashMap<usize, Claim>,
    attempts: HashMap<usize, u32>,
    /// By failed action, how often it was tried again.
    retries: HashMap<usize, u32>,
    forced: HashSet<usize>,
    /// The actions about which a remote was asked.
    asked: HashSet<usize>,
    /// What had gone on with the remote when it was last reported.
    traffic: Traffic,
    /// The actions that were forced from the start, in an audit.
    audited: HashSet<usize>,
    failures: BTreeMap<usize, StageError>,
    /// A record has changed, so the plan must be gone through again at once.
    restart: bool,
    /// The plan must be gone through again as soon as nothing runs.
    restart_later: bool,
    /// It was reported that the run stops.
    said: bool,
    to_workers: ToWorkers<'a>,
    on_event: &'a mut dyn FnMut(Event),
}

impl<'a> Coordinator<'a> {
    /// Starts with nothing settled.
    pub fn new(
        setting: Setting<'a>,
        forced: HashSet<usize>,
        to_workers: ToWorkers<'a>,
        on_event: &'a mut dyn FnMut(Event),
    ) -> Self {
        let Setting {
            plan,
            store,
            stat,
            options,
        } = setting;
        let track = Track::of(options.trace, || "coordinator".to_owned());
        Self {
            plan,
            store,
            options,
            keys: Keys::new(stat).traced(track).asking(Start {
                artifacts: store.artifacts_dir(),
                scratch: options.scratch.join("version"),
                cancel: options.cancel,
            }),
            kept: HashMap::new(),
            track,
            slots: Vec::new(),
            told: vec![false; plan.len()],
            remaining: Vec::new(),
            dependents: HashMap::new(),
            ready: BinaryHeap::new(),
            in_flight: HashMap::new(),
            resources: Capacity::new(plan, options),
            claims: HashMap::new(),
            attempts: HashMap::new(),
            retries: HashMap::new(),
            audited: match options.audit {
                true => forced.clone(),
                false => HashSet::new(),
            },
            forced,
            asked: HashSet::new(),
            traffic: Traffic::default(),
            failures: BTreeMap::new(),
            restart: false,
            restart_later: false,
            said: false,
            to_workers,
            on_event,
        }
    }

    /// Settles what needs nothing to run.
    pub fn begin(&mut self) -> Result<(), StageError> {
        let actions = (0..self.plan.pipeline.stages.len())
            .map(|stage| self.plan.of_stage(stage).len())
            .collect();
        (self.on_event)(Event::Started { actions });
        self.settle_known()
    }

    /// Returns true if something is ready to run.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Runs the rest.
    pub fn run(&mut self, messages: &mpsc::Receiver<Message>) -> Result<(), StageError> {
        loop {
            self.schedule(messages)?;
            let again = self.restart || self.restart_later;
            if !again || self.stopping() {
                return Ok(());
            }
            (self.restart, self.restart_later) = (false, false);
            self.settle_known()?;
        }
    }

    /// Returns what is known at the end.
    pub fn finish(mut self) -> Finished {
        let interrupted = self.options.cancel.load(Ordering::Relaxed);
        for action in 0..self.plan.len() {
            if matches!(self.slots[action], Slot::Waiting) {
                self.slots[action] = Slot::Blocked;
                self.finished(action, Outcome::Skipped, None);
            }
        }
        Finished {
            slots: self.slots,
            failures: self.failures.into_iter().collect(),
            interrupted,
            cluster: None,
        }
    }

    fn stopping(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
            || (!self.options.keep_going && !self.failures.is_empty())
    }

    /// Settles what the store answers, in one pass, and notes which actions wait for which.
    fn settle_known(&mut self) -> Result<(), StageError> {
        let _span = self.track.span("plan", || "ask the store".to_owned());
        let total = self.plan.len();
        self.slots = vec![Slot::Waiting; total];
        self.remaining = vec![0; total];
        self.dependents.clear();
        self.ready.clear();
        self.kept.clear();
        // After a restart, what failed is tried again.
        self.failures.clear();
        self.keys.in_a_row(true);
        let mut known = 0;
        for action in 0..total {
            if action == known && self.store.has_tier() {
                let block = self.plan.block_of(action);
                known = block.end;
                self.ask_tier(block)?;
            }
            if self.arrive(action)? {
                continue;
            }
            let mut waits = HashSet::new();
            self.plan.dependencies(action, |on| {
                if matches!(self.slots[on], Slot::Waiting) {
                    waits.insert(on);
                }
            });
            if waits.is_empty() {
                self.settle(action, Slot::Blocked, Outcome::Skipped);
            }
            self.remaining[action] = waits.len() as u32;
            for on in waits {
                self.dependents.entry(on).or_default().push(action);
            }
        }
        self.keys.in_a_row(false);
        Ok(())
    }

    fn schedule(&mut self, messages: &mpsc::Receiver<Message>) -> Result<(), StageError> {
        loop {
            self.start_ready()?;
            let figures = [
                ("ready", self.ready.len()),
                ("running", self.in_flight.len()),
            ];
            self.track.count("actions", &figures);
            if self.in_flight.is_empty() {
                return Ok(());
            }
            match self.next(messages) {
                Some(message) => self.receive(message)?,
                None => return Ok(()),
            }
        }
    }

    /// Waits for a message, and reports in the meantime if the run was asked to stop. Returns none once
    /// nothing is left that could send a message.
    fn next(&mut self, messages: &mpsc::Receiver<Message>) -> Option<Message> {
        loop {
            if self.options.cancel.load(Ordering::Relaxed) {
                self.say_stopping();
            }
            self.report_traffic();
            match messages.recv_timeout(LOOK) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Reports once that the run stops.
    fn say_stopping(&mut self) {
        if !std::mem::replace(&mut self.said, true) {
            let running = self.resources.running_here();
            (self.on_event)(Event::Stopping { running });
        }
    }

    /// Reports what has gone on with the remote, if anything has since the last report.
    fn report_traffic(&mut self) {
        let Some(now) = self.store.traffic().filter(|now| *now != self.traffic) else {
            return;
        };
        self.traffic = now;
        (self.on_event)(Event::Traffic(now));
    }

    fn requeue(&mut self, action: usize) {
        self.ready.push((self.height(action), Reverse(action)));
    }

    fn settle(&mut self, action: usize, slot: Slot, outcome: Outcome) {
        // Most actions settle no others.
        let (mut next, mut settled) = (Some((action, slot, outcome)), Vec::new());
        while let Some((action, slot, outcome)) = next.take().or_else(|| settled.pop()) {
            let record = match &slot {
                Slot::Done(record) => Some(record.clone()),
                _ => None,
            };
            self.forced.remove(&action);
            self.slots[action] = slot;
            if let (Outcome::Ran, Some(record)) = (&outcome, &record) {
                self.store.offer(record.key);
            }
            self.finished(action, outcome, record);
            for waiting in self.dependents.remove(&action).unwrap_or_default() {
                self.remaining[waiting] -= 1;
                if self.remaining[waiting] > 0 {
                    continue;
                }
                if self.is_blocked(waiting) {
                    settled.push((waiting, Slot::Blocked, Outcome::Skipped));
                } else {
                    self.requeue(waiting);
                }
            }
        }
    }

    fn finished(&mut self, action: usize, outcome: Outcome, record: Option<Arc<Record>>) {
        let known = matches!(outcome, Outcome::Hit | Outcome::Vacant);
        if known && self.told[action] {
            return;
        }
        self.told[action] = known || matches!(outcome, Outcome::Ran);
        (self.on_event)(Event::ActionFinished {
            action,
            stage: self.plan.coords(action).stage,
            outcome,
            record,
        });
    }
}
