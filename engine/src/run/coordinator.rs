//! Decides what runs when; all that is known of a run's actions is here.

use crate::run::perform::is_whole;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use flow_cache::{ActionKey, Health, Record, Store};

use super::Finished;
use super::options::Options;
use crate::base::trace::Track;
use crate::explain::{Reason, reason};
use crate::kind::error::{Fault, StageError};
use crate::plan::Plan;
use crate::plan::keys::{self, Keys, Known, Slot, prepare};
use crate::run::capacity::{Capacity, Claim, Fit};
use crate::run::event::{Event, Outcome};
use crate::run::job::{Done, Job, Message};

/// So many actions at most run or wait to be committed.
const MOST_IN_FLIGHT: usize = 1_000;

/// So many actions that wait for a GPU are passed over in the search for one that need not.
const MOST_PASSED: usize = 100;

/// How often it is looked whether somebody wants the run to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Knows what is settled, what waits for what, and what may start.
pub struct Coordinator<'a, 'p> {
    pub plan: &'a Plan<'p>,
    pub store: &'a Store,
    pub options: &'a Options<'a>,
    keys: Keys<'a>,
    track: Track<'a>,
    slots: Vec<Slot>,
    /// Of which actions it was told that their outputs are known; a restart does not tell it again.
    told: Vec<bool>,
    /// How many unsettled things an action waits for.
    remaining: Vec<u32>,
    /// Who waits for an unsettled action.
    dependents: HashMap<usize, Vec<usize>>,
    /// Ready actions; those with the longest way to go come first, then those earlier in the plan.
    ready: BinaryHeap<(usize, std::cmp::Reverse<usize>)>,
    /// By key, the actions that the one in flight answers as well.
    in_flight: HashMap<ActionKey, Vec<usize>>,
    resources: Capacity,
    /// What running actions occupy.
    claims: HashMap<usize, Claim>,
    attempts: HashMap<usize, u32>,
    /// How often a failed action was tried again.
    retries: HashMap<usize, u32>,
    forced: HashSet<usize>,
    /// Those that were forced from the start, in an audit.
    audited: HashSet<usize>,
    failures: BTreeMap<usize, StageError>,
    /// What a record says has changed: the plan is gone through anew, at once.
    restart: bool,
    /// The same, as soon as nothing runs.
    restart_later: bool,
    /// It was said that the run stops.
    said: bool,
    /// Tells the committer whether there is work besides what it has to commit.
    more: &'a AtomicBool,
    to_workers: mpsc::Sender<Job>,
    on_event: &'a mut dyn FnMut(Event),
}

impl<'a, 'p> Coordinator<'a, 'p> {
    /// Nothing is settled yet.
    #[allow(
        clippy::too_many_arguments,
        reason = "they are its surroundings, named once"
    )]
    pub fn new(
        plan: &'a Plan<'p>,
        store: &'a Store,
        options: &'a Options<'a>,
        keys: Keys<'a>,
        forced: HashSet<usize>,
        more: &'a AtomicBool,
        to_workers: mpsc::Sender<Job>,
        on_event: &'a mut dyn FnMut(Event),
    ) -> Self {
        let track = Track::of(options.trace, || "coordinator".to_owned());
        Self {
            plan,
            store,
            options,
            keys: keys.traced(track),
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
            failures: BTreeMap::new(),
            restart: false,
            restart_later: false,
            said: false,
            more,
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

    /// Something is ready to run.
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

    /// What is known at the end.
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
        }
    }

    fn stopping(&self) -> bool {
        self.options.cancel.load(Ordering::Relaxed)
            || (!self.options.keep_going && !self.failures.is_empty())
    }

    /// Settles what the store answers, in one pass, and notes who waits for whom.
    fn settle_known(&mut self) -> Result<(), StageError> {
        let _span = self.track.span("plan", || "ask the store".to_owned());
        let total = self.plan.len();
        self.slots = vec![Slot::Waiting; total];
        self.remaining = vec![0; total];
        self.dependents.clear();
        self.ready.clear();
        // After a restart, what failed is tried again.
        self.failures.clear();
        self.keys.in_a_row(true);
        for action in 0..total {
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

    /// Waits for a message, and says in the meantime that the run was asked to stop. None once nobody
    /// is left who could send any.
    fn next(&mut self, messages: &mpsc::Receiver<Message>) -> Option<Message> {
        loop {
            if !self.said && self.options.cancel.load(Ordering::Relaxed) {
                self.said = true;
                let running = self.claims.len();
                (self.on_event)(Event::Stopping { running });
            }
            match messages.recv_timeout(LOOK) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Starts what is ready, as far as resources go. Who waits for processors or memory keeps
    /// those behind from taking them first; who waits for a GPU lets others pass.
    fn start_ready(&mut self) -> Result<(), StageError> {
        let mut passed = Vec::new();
        while self.resources.jobs_free()
            && self.in_flight.len() < MOST_IN_FLIGHT
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
        let full = self.in_flight.len() >= MOST_IN_FLIGHT;
        let more = !self.ready.is_empty() && !full && !self.stopping() && !self.restart;
        self.more.store(more, Ordering::Relaxed);
        Ok(())
    }

    /// Settles an action if the store answers it, or readies it to run. False: something that it
    /// reads is not settled, or blocked.
    fn arrive(&mut self, action: usize) -> Result<bool, StageError> {
        match keys::recipe(self.plan, &self.slots, &mut self.keys, action) {
            // In a run, what can be asked has been.
            Ok(Known::Unsettled | Known::Unasked) => return Ok(false),
            Ok(Known::Vacant) => self.settle(action, Slot::Vacant, Outcome::Vacant),
            Ok(Known::Recipe(_, key)) => match self.store.find(&key)? {
                Some(record) if !self.forced.contains(&action) => {
                    self.settle(action, Slot::Done(record), Outcome::Hit);
                }
                // What lies below need not wait: the record counts until the audit is over.
                Some(record) if self.options.audit => {
                    self.slots[action] = Slot::Done(record);
                    self.requeue(action);
                }
                _ => self.requeue(action),
            },
            Err(error) => self.fail(action, error),
        }
        Ok(true)
    }

    /// How many stages still follow: the longest way goes first.
    fn height(&self, action: usize) -> usize {
        self.plan.height(self.plan.coords(action).stage)
    }

    /// Something that `action` reads failed, or was not attempted.
    fn is_blocked(&self, action: usize) -> bool {
        let mut blocked = false;
        self.plan.dependencies(action, |on| {
            blocked |= matches!(self.slots[on], Slot::Blocked);
        });
        blocked
    }

    fn start(&mut self, action: usize) -> Result<(), StageError> {
        // What was known when it became ready may have been forced to run again since, and failed.
        if self.is_blocked(action) {
            self.settle(action, Slot::Blocked, Outcome::Skipped);
            return Ok(());
        }
        // Prepared anew rather than kept: a million waiting recipes would be a lot of memory.
        let prepared = match prepare(self.plan, &self.slots, self.store, &mut self.keys, action) {
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
        let forced = self.forced.contains(&action);
        if !forced && let Some(record) = self.store.find(&key)? {
            self.settle(action, Slot::Done(record), Outcome::Hit);
            return Ok(());
        }
        let reason = match (forced, self.attempts.get(&action)) {
            (true, _) if self.audited.contains(&action) => Reason::Audit,
            (true, _) => Reason::Lost,
            (_, Some(_)) => Reason::Tainted,
            _ => reason(self.plan, &self.slots, self.store, action, &prepared.recipe)?,
        };
        self.in_flight.insert(key, Vec::new());
        let claim = self.resources.take(self.plan.coords(action).stage);
        // What starts now shares the threads with what runs and what is about to.
        let busy = self.claims.len() + 1 + self.ready.len();
        let busy = busy.clamp(1, self.options.jobs.max(1));
        let job = Job {
            action,
            prepared,
            key,
            forced,
            reason,
            threads: (self.options.jobs / busy).max(claim.cpus),
            gpus: claim.gpus.clone(),
        };
        self.claims.insert(action, claim);
        self.to_workers
            .send(job)
            .map_err(|_| StageError::new(Fault::Bug, "flow::bug::workers", "all workers are gone"))
    }

    fn receive(&mut self, message: Message) -> Result<(), StageError> {
        let (action, key, done) = match message {
            Message::Started { action, reason } => {
                (self.on_event)(Event::ActionStarted {
                    action,
                    stage: self.plan.coords(action).stage,
                    reason,
                });
                return Ok(());
            }
            Message::Warning(message) => {
                (self.on_event)(Event::Warning { message });
                return Ok(());
            }
            Message::Progress {
                action,
                done,
                total,
            } => {
                let stage = self.plan.coords(action).stage;
                (self.on_event)(Event::Progress {
                    action,
                    stage,
                    done,
                    total,
                });
                return Ok(());
            }
            Message::Ran { action } => {
                self.give_back(action);
                return Ok(());
            }
            Message::Done { action, key, done } => (action, key, done),
        };
        self.give_back(action);
        let same = self.in_flight.remove(&key).unwrap_or_default();
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
                let message = format!(
                    "stage `{}` is not deterministic: a second run of `{}` gave other bytes for {}; what depends on them is decided anew",
                    self.stage_name(action),
                    self.plan.label(action),
                    outputs.join(", "),
                );
                (self.on_event)(Event::Warning { message });
                let before = self.slots[action].clone();
                self.settle(action, Slot::Done(record.clone()), Outcome::Ran);
                self.settle_same(same, &record);
                match before {
                    // An audit: others go on with what their records were made from.
                    Slot::Done(old) if is_whole(self.store, &old)? => {
                        self.slots[action] = Slot::Done(old);
                        self.restart_later = true;
                    }
                    _ => self.restart = true,
                }
            }
            Done::Lost(lost) => {
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
                    if self.store.check(&digest)? != Health::Ok {
                        self.demand(producer, action);
                    }
                }
                if self.remaining[action] == 0 {
                    self.requeue(action);
                }
                for action in same {
                    self.requeue(action);
                }
            }
            Done::Tainted(paths) => {
                paths.iter().for_each(|path| self.keys.forget(path));
                let attempts = self.attempts.entry(action).or_insert(0);
                *attempts += 1;
                if *attempts < 2 {
                    self.requeue(action);
                } else {
                    let names: Vec<String> =
                        paths.iter().map(|p| p.display().to_string()).collect();
                    let message = format!(
                        "{} changed twice while stage `{}` read it",
                        names.join(", "),
                        self.stage_name(action)
                    );
                    let error = StageError::failed("flow::run::source_changing", message)
                        .help("wait until whatever writes the file is done, then run again");
                    self.fail(action, error);
                }
                for action in same {
                    self.requeue(action);
                }
            }
            Done::Failed(error) if self.try_again(action, &error) => {
                for action in std::iter::once(action).chain(same) {
                    self.requeue(action);
                }
            }
            Done::Failed(error) => {
                for action in std::iter::once(action).chain(same) {
                    self.fail(action, error.clone());
                }
            }
        }
        Ok(())
    }

    fn give_back(&mut self, action: usize) {
        if let Some(claim) = self.claims.remove(&action) {
            self.resources.give_back(claim);
        }
    }

    /// True where a failed action has a try left.
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

    fn requeue(&mut self, action: usize) {
        self.ready
            .push((self.height(action), std::cmp::Reverse(action)));
    }

    /// `consumer` needs bytes of `producer` that are gone.
    fn demand(&mut self, producer: usize, consumer: usize) {
        if self.forced.insert(producer) {
            self.requeue(producer);
        }
        let waiting = self.dependents.entry(producer).or_default();
        // Who waits is not asked again, so all demands of one consumer come in a row.
        if waiting.last() != Some(&consumer) {
            waiting.push(consumer);
            self.remaining[consumer] += 1;
        }
    }

    fn fail(&mut self, action: usize, mut error: StageError) {
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

    fn settle(&mut self, action: usize, slot: Slot, outcome: Outcome) {
        // Most settle nothing else.
        let (mut next, mut settled) = (Some((action, slot, outcome)), Vec::new());
        while let Some((action, slot, outcome)) = next.take().or_else(|| settled.pop()) {
            let record = match &slot {
                Slot::Done(record) => Some(record.clone()),
                _ => None,
            };
            self.forced.remove(&action);
            self.slots[action] = slot;
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
