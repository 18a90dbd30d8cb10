//! The causes of all actions, with equal ones counted together. A change is one cause, however many actions
//! it reaches.

use std::collections::HashMap;
use std::path::PathBuf;

use super::trace::{Cause, MOST, Tracer, What};
use super::{Earlier, Nearness, Reason, examine};
use crate::explain::preview::{Preview, Verdict, Wait};
use crate::kind::error::StageError;
use crate::outputs::delivery::Delivery;

/// Equal causes.
#[derive(Clone, Debug)]
pub struct Group {
    /// The first of them. If it is about a source file, the others have other paths and digests.
    pub cause: Cause,
    /// The source files that they name, up to a limit.
    pub files: Vec<PathBuf>,
    /// The stages at which they come in, up to a limit.
    pub at: Vec<usize>,
    /// The earlier record that the first action that runs is compared with, unless it is the record of the
    /// same action of this pipeline.
    pub earlier: Option<Earlier>,
    /// Actions that run because of it.
    pub run: usize,
    /// Actions that wait for those.
    pub pending: usize,
    /// The stages of the actions that run, in order.
    pub stages: Vec<usize>,
}

/// Why one action is not simply a hit.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Why it runs, if it does.
    pub reason: Option<Reason>,
    /// What the reason goes back to, if it runs.
    pub causes: Vec<Cause>,
    /// The groups that these causes belong to. For a pending action, the groups that it waits for.
    pub groups: Vec<u32>,
    /// There are more causes than are listed.
    pub more: bool,
}

/// A set of groups, in order, and whether it was cut off.
type Set = (Vec<u32>, bool);

/// Explains actions in the order of the plan, and counts.
pub struct Causes<'a, 'p> {
    preview: &'a mut Preview<'p>,
    delivery: &'p Delivery<'p>,
    tracer: Tracer<'p>,
    groups: Vec<Group>,
    by_shape: HashMap<String, u32>,
    /// By action, the groups that it goes back to, as an index into `sets`.
    of: Vec<u32>,
    sets: Vec<Set>,
    by_set: HashMap<Set, u32>,
}

impl<'a, 'p> Causes<'a, 'p> {
    /// Starts with nothing explained.
    pub fn new(preview: &'a mut Preview<'p>, delivery: &'p Delivery<'p>) -> Self {
        Self {
            tracer: Tracer::new(delivery.plan, delivery.store),
            preview,
            delivery,
            groups: Vec::new(),
            by_shape: HashMap::new(),
            of: Vec::new(),
            sets: vec![Set::default()],
            by_set: HashMap::new(),
        }
    }

    /// Returns what a run would do, action by action.
    pub fn preview(&mut self) -> &mut Preview<'p> {
        self.preview
    }

    /// Returns all causes so far.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Explains the next action of the plan.
    pub fn explain_next(&mut self) -> Result<Explanation, StageError> {
        let action = self.of.len();
        let mut told = Explanation::default();
        match self.preview.verdict(action) {
            Verdict::Run => self.run(action, &mut told)?,
            Verdict::Pending(Wait::Inputs(_)) => self.pending(action, &mut told),
            Verdict::Pending(Wait::Equal(first)) => {
                (told.groups, told.more) = self.sets[self.of[first] as usize].clone();
                self.wait(&told);
            }
            Verdict::Hit | Verdict::Restore(_) | Verdict::Vacant => {}
            Verdict::Pending(Wait::Bytes(_) | Wait::Surroundings) => {}
        }
        let set = self.set((told.groups.clone(), told.more));
        self.of.push(set);
        Ok(told)
    }

    fn run(&mut self, action: usize, told: &mut Explanation) -> Result<(), StageError> {
        let Some(recipe) = self.preview.recipe(action)? else {
            return Ok(());
        };
        let (plan, store) = (self.delivery.plan, self.delivery.store);
        let slots = self.preview.slots();
        let (why, differences) = examine(plan, slots, store, action, &recipe)?;
        match &why {
            Reason::Changed(changed) => {
                let node = (action, changed.earlier.key);
                let found = self.tracer.trace(slots, node, differences)?;
                told.causes.clone_from(&found.causes);
                told.more = found.more;
            }
            other => told.causes.push(Cause {
                action,
                what: What::Action(other.clone()),
            }),
        }
        for cause in &told.causes {
            let group = self.group(cause);
            if !told.groups.contains(&group) {
                told.groups.push(group);
            }
        }
        told.groups.sort_unstable();
        let stage = plan.coords(action).stage;
        for &group in &told.groups {
            let group = &mut self.groups[group as usize];
            if let Reason::Changed(changed) = &why
                && group.run == 0
                && (changed.earlier.nearness != Nearness::SameAction
                    || changed.earlier.pipeline != plan.pipeline.name)
            {
                group.earlier = Some(changed.earlier.clone());
            }
            group.run += 1;
            if group.stages.last() != Some(&stage) {
                group.stages.push(stage);
            }
        }
        told.reason = Some(why);
        Ok(())
    }

    fn pending(&mut self, action: usize, told: &mut Explanation) {
        let mut sets: Vec<u32> = Vec::new();
        let of = &self.of;
        self.delivery.plan.dependencies(action, |on| {
            // Neighbours are mostly equal. Other duplicates are removed below.
            if sets.last() != Some(&of[on]) {
                sets.push(of[on]);
            }
        });
        sets.sort_unstable();
        sets.dedup();
        for set in sets {
            let (groups, more) = &self.sets[set as usize];
            told.groups.extend(groups);
            told.more |= more;
        }
        told.groups.sort_unstable();
        told.groups.dedup();
        told.more |= told.groups.len() > MOST;
        told.groups.truncate(MOST);
        self.wait(told);
    }

    fn wait(&mut self, told: &Explanation) {
        for &group in &told.groups {
            self.groups[group as usize].pending += 1;
        }
    }

    fn set(&mut self, set: Set) -> u32 {
        if set == Set::default() {
            return 0;
        }
        let sets = &mut self.sets;
        *self.by_set.entry(set).or_insert_with_key(|set| {
            sets.push(set.clone());
            (sets.len() - 1) as u32
        })
    }

    /// Returns the group of a cause, and adds it if it is new.
    fn group(&mut self, cause: &Cause) -> u32 {
        let groups = &mut self.groups;
        let number = *self.by_shape.entry(cause.what.shape()).or_insert_with(|| {
            groups.push(Group {
                cause: cause.clone(),
                files: Vec::new(),
                at: Vec::new(),
                earlier: None,
                run: 0,
                pending: 0,
                stages: Vec::new(),
            });
            (groups.len() - 1) as u32
        });
        let group = &mut groups[number as usize];
        for file in cause.what.files() {
            note(&mut group.files, file);
        }
        let stage = self.delivery.plan.coords(cause.action).stage;
        note(&mut group.at, &stage);
        number
    }
}

/// Adds an item that is not there yet, up to a limit.
fn note<T: Clone + PartialEq>(list: &mut Vec<T>, item: &T) {
    if list.len() < MOST && !list.contains(item) {
        list.push(item.clone());
    }
}
