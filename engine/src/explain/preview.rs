//! What a run would do: a verdict for every action.
//!
//! One pass in the order of dependence asks the store, as a run does. A second one in the opposite order
//! finds the hits whose bytes are gone and will be read. A run then does what the verdicts say. Only for
//! pending actions, which wait for results that do not exist yet, can nobody know it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use flow_cache::{ActionKey, Digest, Recipe};

use crate::kind::error::StageError;
use crate::outputs::delivery::Delivery;
use crate::plan::Plan;
use crate::plan::keys::{self, KEPT, Keys, Known, Slot};

/// What a run would do with an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store has its outputs.
    Hit,
    /// It has to run.
    Run,
    /// The store knows its outputs but has lost their bytes, which are needed. It has to run again.
    Restore(Need),
    /// Not known before something has run.
    Pending(Wait),
    /// It has no rows.
    Vacant,
}

/// What needs bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An action that reads them.
    Action(usize),
    /// A file of `[outputs]`, by its index, that is missing or not up to date.
    File(usize),
}

/// What an action waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// An action whose outputs it reads.
    Inputs(usize),
    /// An equal action that runs, whose outputs are taken.
    Equal(usize),
    /// It is a hit whose bytes are gone, and it is not known yet whether an action that reads them runs.
    Bytes(Need),
    /// Something about its surroundings that only a run asks for, such as the version that a program
    /// prints.
    Surroundings,
}

/// What a run would do.
pub struct Preview<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    delivery: &'a Delivery<'a>,
    keys: Keys<'a>,
    /// Recipes of actions that have to run, which are needed again to say why.
    kept: HashMap<usize, Recipe>,
    slots: Vec<Slot>,
    verdicts: Vec<Verdict>,
    /// The bytes that a remote has of artifacts that are not here, or none if it lacks them.
    elsewhere: HashMap<Digest, Option<u64>>,
    /// By action, the bytes of its outputs that a run would fetch from the remote.
    fetched: HashMap<usize, u64>,
}

/// How sure it is that an action runs.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Chance {
    Maybe,
    Surely,
}

impl<'a> Preview<'a> {
    /// Looks up every action and checks every output file. Runs nothing.
    ///
    /// # Errors
    /// A source file or the store cannot be read.
    pub fn new(delivery: &'a Delivery<'a>) -> Result<Self, StageError> {
        let plan = delivery.plan;
        let mut preview = Self {
            plan,
            delivery,
            keys: Keys::new(delivery.stat),
            kept: HashMap::new(),
            slots: vec![Slot::Waiting; plan.len()],
            verdicts: Vec::with_capacity(plan.len()),
            elsewhere: HashMap::new(),
            fetched: HashMap::new(),
        };
        let mut running: HashMap<ActionKey, usize> = HashMap::new();
        preview.keys.in_a_row(true);
        let mut known = 0;
        for action in 0..plan.len() {
            if action == known && delivery.store.has_tier() {
                let block = plan.block_of(action);
                known = block.end;
                preview.ask_tier(block)?;
            }
            let verdict = match keys::look(plan, &preview.slots, &mut preview.keys, action)? {
                Known::Unsettled => Verdict::Pending(Wait::Inputs(preview.waits_for(action))),
                Known::Unasked => Verdict::Pending(Wait::Surroundings),
                Known::Vacant => {
                    preview.slots[action] = Slot::Vacant;
                    Verdict::Vacant
                }
                Known::Recipe(look) => match delivery.store.find(&look.key)? {
                    Some(record) if record.has(plan.writes(action)) => {
                        preview.slots[action] = Slot::Done(record);
                        Verdict::Hit
                    }
                    _ => match running.entry(look.key) {
                        Entry::Occupied(first) => Verdict::Pending(Wait::Equal(*first.get())),
                        Entry::Vacant(entry) => {
                            entry.insert(action);
                            if preview.kept.len() < KEPT {
                                preview.kept.insert(action, look.recipe);
                            }
                            Verdict::Run
                        }
                    },
                },
            };
            preview.verdicts.push(verdict);
        }
        preview.keys.in_a_row(false);
        preview.find_needed_bytes()?;
        Ok(preview)
    }

    /// Asks the remote about the actions of a block, which do not depend on each other, in one go.
    fn ask_tier(&mut self, block: Range<usize>) -> Result<(), StageError> {
        let mut keys = Vec::new();
        for action in block {
            let known = keys::look(self.plan, &self.slots, &mut self.keys, action)?;
            if let Known::Recipe(look) = known {
                keys.push(look.key);
            }
        }
        Ok(self.delivery.store.learn(&keys)?)
    }

    /// Returns the bytes that a run would fetch of the outputs of an action, or none if it would fetch
    /// nothing. They are counted as they are in the remote, where they may be compressed.
    pub fn fetched(&self, action: usize) -> Option<u64> {
        self.fetched.get(&action).copied()
    }

    /// Returns true if the record of an action is in the remote only.
    pub fn is_from_remote(&self, action: usize) -> bool {
        match &self.slots[action] {
            Slot::Done(record) => self.delivery.store.place(&record.key).is_none(),
            _ => false,
        }
    }

    /// What a run would do with an action.
    pub fn verdict(&self, action: usize) -> Verdict {
        self.verdicts[action]
    }

    /// Returns the stages whose surroundings are known only from an earlier run.
    pub fn remembered(&self) -> &BTreeSet<usize> {
        self.keys.remembered()
    }

    /// Returns what is known of every action.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Returns the recipe of an action, if all that decides it is known.
    pub fn recipe(&mut self, action: usize) -> Result<Option<Recipe>, StageError> {
        if let Some(recipe) = self.kept.get(&action) {
            return Ok(Some(recipe.clone()));
        }
        let known = keys::look(self.plan, &self.slots, &mut self.keys, action)?;
        Ok(match known {
            Known::Recipe(look) => Some(look.recipe),
            Known::Vacant | Known::Unsettled | Known::Unasked => None,
        })
    }

    /// Returns the first action that an action waits for.
    fn waits_for(&self, action: usize) -> usize {
        let mut first = action;
        self.plan.dependencies(action, |on| {
            if first == action && matches!(self.slots[on], Slot::Waiting) {
                first = on;
            }
        });
        first
    }

    /// Decides which bytes are made again. What the remote has need not be, so it is asked about bytes that
    /// are gone and needed until there are no further ones.
    fn find_needed_bytes(&mut self) -> Result<(), StageError> {
        let verdicts = self.verdicts.clone();
        loop {
            let unknown = self.restore()?;
            if unknown.is_empty() {
                return Ok(());
            }
            let sizes = self.delivery.store.elsewhere(&unknown);
            let asked = unknown
                .iter()
                .map(|digest| (*digest, sizes.get(digest).copied()));
            self.elsewhere.extend(asked);
            self.verdicts.clone_from(&verdicts);
        }
    }

    /// Finds the hits whose bytes are gone and needed. Returns the artifacts about which the remote is to be
    /// asked. It goes against the order of dependence, since an
    /// action that is made again needs bytes too.
    fn restore(&mut self) -> Result<Vec<Digest>, StageError> {
        let mut wanted = WantedBytes::new(self.delivery, self.plan.len(), &self.elsewhere);
        for stale in self.delivery.stale(&self.slots)? {
            let chance = match stale.complete {
                true => Chance::Surely,
                false => Chance::Maybe,
            };
            for (digest, producer) in stale.needs {
                wanted.add(
                    digest,
                    producer,
                    chance,
                    Need::File(stale.file),
                    self.plan.len(),
                );
            }
        }
        for action in (0..self.plan.len()).rev() {
            let chance = match self.verdicts[action] {
                Verdict::Run => Chance::Surely,
                Verdict::Pending(_) => Chance::Maybe,
                Verdict::Hit => match wanted.by_action[action] {
                    Some((chance, need)) => {
                        self.verdicts[action] = match chance {
                            Chance::Surely => Verdict::Restore(need),
                            Chance::Maybe => Verdict::Pending(Wait::Bytes(need)),
                        };
                        chance
                    }
                    None => continue,
                },
                _ => continue,
            };
            self.needs(action, |digest, producer| {
                wanted.add(digest, producer, chance, Need::Action(action), action);
            })?;
        }
        let WantedBytes {
            unknown, fetched, ..
        } = wanted;
        self.fetched = fetched;
        Ok(unknown)
    }

    /// Calls `need` with the artifacts that an action reads, as far as they are known, and the actions that
    /// make them.
    fn needs(&self, action: usize, mut need: impl FnMut(Digest, usize)) -> Result<(), StageError> {
        if let Some(reads) = keys::reads(self.plan, &self.slots, action, &mut true)? {
            reads.needs(need);
            return Ok(());
        }
        let mut known = |producer: usize, name: &str| {
            if let Slot::Done(record) = &self.slots[producer]
                && let Some(output) = record.output(name)
            {
                need(output.digest, producer);
            }
        };
        for feed in self.plan.feeds(action) {
            feed.producers.iter().for_each(|&p| known(p, feed.output));
            feed.views
                .iter()
                .for_each(|&(view, name)| known(view, name));
        }
        if let Some((table, name)) = self.plan.folds_table(self.plan.coords(action)) {
            known(table, name);
        }
        Ok(())
    }
}

/// Which hits are to be made again.
struct WantedBytes<'a> {
    delivery: &'a Delivery<'a>,
    by_action: Vec<Option<(Chance, Need)>>,
    /// Bytes that were asked for: none if they are there, or else the action that is to make them. Equal
    /// bytes of two actions are made once.
    bytes: HashMap<Digest, Option<usize>>,
    /// What the remote has, as far as it was asked.
    elsewhere: &'a HashMap<Digest, Option<u64>>,
    /// What it is to be asked about.
    unknown: Vec<Digest>,
    /// By action, the bytes that it has of needed outputs.
    fetched: HashMap<usize, u64>,
}

impl<'a> WantedBytes<'a> {
    fn new(
        delivery: &'a Delivery<'a>,
        actions: usize,
        elsewhere: &'a HashMap<Digest, Option<u64>>,
    ) -> Self {
        Self {
            delivery,
            by_action: vec![None; actions],
            bytes: HashMap::new(),
            elsewhere,
            unknown: Vec::new(),
            fetched: HashMap::new(),
        }
    }

    /// Returns true if bytes need not be made again: they are here, or the remote has them. What it may have
    /// counts as there until it was asked.
    fn is_there(&mut self, digest: Digest, producer: usize) -> bool {
        let store = self.delivery.store;
        if store.has(&digest) {
            return true;
        }
        match self.elsewhere.get(&digest) {
            None if store.has_tier() => {
                self.unknown.push(digest);
                true
            }
            Some(Some(bytes)) => {
                *self.fetched.entry(producer).or_default() += bytes;
                true
            }
            _ => false,
        }
    }

    /// Asks for bytes. The pass is done with the actions from `settled` on.
    fn add(&mut self, digest: Digest, producer: usize, chance: Chance, need: Need, settled: usize) {
        if !self.bytes.contains_key(&digest) {
            let there = self.is_there(digest, producer);
            self.bytes.insert(digest, (!there).then_some(producer));
        }
        let Some(Some(maker)) = self.bytes.get_mut(&digest) else {
            return;
        };
        let wanted = |by: usize| self.by_action[by].map(|(chance, _)| chance);
        if wanted(*maker).is_some_and(|known| known >= chance) {
            return;
        }
        // The pass may be done with an action that was only a possible maker.
        if *maker >= settled {
            *maker = producer;
        }
        if wanted(*maker).is_none_or(|known| known < chance) {
            self.by_action[*maker] = Some((chance, need));
        }
    }
}
