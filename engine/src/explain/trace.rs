//! Follows a difference of inputs upstream to what caused it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use flow_cache::{ActionKey, Change, Digest, Nearness, Record, Store, Value};

use super::difference::{Difference, Input, Now, Subject, differences};
use super::{Earlier, Reason};
use crate::kind::error::StageError;
use crate::plan::Plan;
use crate::plan::keys::{Slot, attr};

/// The most causes of one action that are listed. If there are more, only that is said.
pub(super) const MOST: usize = 16;

/// What an action's reason goes back to.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The action at which it comes in.
    pub action: usize,
    /// What it is.
    pub what: What,
}

/// A first cause.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A field that no other action decides: a parameter, the seed, the kind's version, a fact about
    /// the machine, the order of a list.
    Field(Change),
    /// A source file.
    Source {
        /// What the action reads it as.
        role: String,
        /// Where it lies now, if the action still reads it.
        path: Option<PathBuf>,
        /// Its old digest; none for a file that is new.
        old: Option<Digest>,
        /// Its new digest; none for one that is gone.
        new: Option<Digest>,
    },
    /// It reads one part more than before.
    More {
        /// The action that makes the part.
        producer: usize,
        /// The source files that the part goes back to, if it is a shard of some.
        files: Vec<PathBuf>,
    },
    /// It reads one part less than before.
    Less {
        /// The part's bytes.
        digest: Option<Digest>,
        /// The record of those bytes, if it is still there.
        then: Option<Earlier>,
    },
    /// It reads from another action than before: one of another kind, or one that was already done when the
    /// old bytes were made. So nothing changed there.
    Rewired {
        /// The action that makes its input now.
        producer: usize,
        /// The record of the action that made it.
        then: Earlier,
    },
    /// Its input was made again by the same recipe, and came out with other bytes.
    Remade {
        /// The action that made it.
        producer: usize,
        /// The bytes before.
        old: Digest,
        /// The bytes now.
        new: Digest,
    },
    /// Its input has other bytes than before, and there is no record of the old ones any more.
    Cold {
        /// The action that makes it now.
        producer: usize,
        /// The bytes before.
        old: Digest,
        /// The bytes now.
        new: Option<Digest>,
    },
    /// The action itself has nothing that it could be compared with.
    Action(Reason),
}

impl What {
    /// Returns the shape of the cause. Causes of one shape are reported as one, wherever they come in, such
    /// as other files of the same role or other items.
    pub(super) fn shape(&self) -> String {
        match self {
            Self::Field(change) if change.path.starts_with("item") => "item".to_owned(),
            Self::Field(Change { path, old, new }) => {
                let side = |value: &Option<Value>| value.as_ref().map(Value::to_string);
                format!("field {path} {:?} {:?}", side(old), side(new))
            }
            Self::Source { role, old, new, .. } => {
                format!("source {role} {} {}", old.is_some(), new.is_some())
            }
            Self::More { .. } => "more".to_owned(),
            Self::Less { .. } => "less".to_owned(),
            Self::Rewired { then, .. } => format!("rewired {}", then.stage),
            Self::Remade { .. } => "remade".to_owned(),
            Self::Cold { .. } => "cold".to_owned(),
            Self::Action(Reason::Pruned(_)) => "pruned".to_owned(),
            Self::Action(reason) => format!("{reason:?}"),
        }
    }

    /// Returns the source files that it names.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Source { path, .. } => path.as_slice(),
            Self::More { files, .. } => files,
            _ => &[],
        }
    }
}

/// Causes found so far, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) causes: Vec<Cause>,
    /// There are more.
    pub(super) more: bool,
}

impl Found {
    fn add(&mut self, cause: Cause) {
        if self.causes.contains(&cause) {
            return;
        }
        if self.causes.len() < MOST {
            self.causes.push(cause);
        } else {
            self.more = true;
        }
    }

    fn extend(&mut self, other: &Found) {
        other
            .causes
            .iter()
            .for_each(|cause| self.add(cause.clone()));
        self.more |= other.more;
    }
}

/// An action now, and the key of the record that it is compared with.
pub(super) type TraceNode = (usize, ActionKey);

/// Follows differences, and remembers what it has followed.
pub(super) struct Tracer<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) store: &'a Store,
    known: HashMap<TraceNode, Arc<Found>>,
}

/// An action whose inputs are being followed.
struct Frame {
    node: TraceNode,
    found: Found,
    upstream: Vec<(usize, Arc<Record>)>,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, store: &'a Store) -> Self {
        Self {
            plan,
            store,
            known: HashMap::new(),
        }
    }

    /// Finds what the differences between an action and an earlier record go back to. It does not recurse,
    /// since a chain may be long.
    pub(super) fn trace(
        &mut self,
        slots: &[Slot],
        node: TraceNode,
        differences: Vec<Difference>,
    ) -> Result<Arc<Found>, StageError> {
        let start = self.frame(slots, node, differences)?;
        let mut stack = vec![start];
        let mut last = Arc::default();
        while let Some(mut frame) = stack.pop() {
            let Some((action, record)) = frame.upstream.pop() else {
                frame.found.causes.sort_by_key(|cause| cause.action);
                last = Arc::new(frame.found);
                self.known.insert(frame.node, Arc::clone(&last));
                continue;
            };
            if let Some(found) = self.known.get(&(action, record.key)) {
                frame.found.extend(found);
                stack.push(frame);
                continue;
            }
            let above = self.upstream(slots, action, &record)?;
            // It is asked again once that is known.
            frame.upstream.push((action, record));
            stack.push(frame);
            stack.push(above);
        }
        Ok(last)
    }

    /// Makes the frame of an action that is settled.
    fn upstream(&self, slots: &[Slot], action: usize, old: &Record) -> Result<Frame, StageError> {
        let now = match &slots[action] {
            Slot::Done(record) => self.store.lookup(&record.key)?,
            _ => None,
        };
        match now {
            Some(now) => {
                let now = Now {
                    plan: self.plan,
                    slots,
                    store: self.store,
                    action,
                    recipe: now.recipe(),
                };
                let differences = differences(now, old.recipe())?;
                self.frame(slots, (action, old.key), differences)
            }
            // The record was removed in the meantime.
            None => Ok(Frame {
                node: (action, old.key),
                found: Found {
                    causes: vec![Cause {
                        action,
                        what: What::Action(Reason::Damaged),
                    }],
                    more: false,
                },
                upstream: Vec::new(),
            }),
        }
    }

    fn frame(
        &self,
        slots: &[Slot],
        node: TraceNode,
        differences: Vec<Difference>,
    ) -> Result<Frame, StageError> {
        let action = node.0;
        let mut frame = Frame {
            node,
            found: Found::default(),
            upstream: Vec::new(),
        };
        for Difference { changes, of } in differences {
            match of {
                Subject::Field => {
                    for change in changes {
                        let what = What::Field(change);
                        frame.found.add(Cause { action, what });
                    }
                }
                Subject::Source {
                    role,
                    path,
                    old,
                    new,
                } => {
                    let what = What::Source {
                        role,
                        path,
                        old,
                        new,
                    };
                    frame.found.add(Cause { action, what });
                }
                Subject::Input(input) => {
                    let (found, upstream) = (frame.found.causes.len(), frame.upstream.len());
                    self.input(slots, action, input, &mut frame)?;
                    if (found, upstream) == (frame.found.causes.len(), frame.upstream.len())
                        && !frame.found.more
                    {
                        // Neither its bytes nor rows of a known table differ, but for instance the name of
                        // a fold.
                        for change in changes {
                            let what = What::Field(change);
                            frame.found.add(Cause { action, what });
                        }
                    }
                }
            }
        }
        Ok(frame)
    }

    /// Adds the cause of the difference of one input, or the action to ask for it.
    fn input(
        &self,
        slots: &[Slot],
        action: usize,
        input: Input,
        frame: &mut Frame,
    ) -> Result<(), StageError> {
        let what = match (input.producer, input.old, input.new) {
            (Some(producer), None, _) => Some(What::More {
                producer,
                files: self.shard_files(producer),
            }),
            (None, old, _) => {
                let record = match &old {
                    Some(digest) => self.store.origin(digest)?,
                    None => None,
                };
                Some(What::Less {
                    digest: old,
                    then: record.map(|r| Earlier::new(Nearness::SameAction, &r)),
                })
            }
            (Some(producer), Some(old), new) if new != Some(old) => {
                self.made(slots, producer, old, new, frame)?
            }
            _ => None,
        };
        if let Some(what) = what {
            frame.found.add(Cause { action, what });
        }
        for (view, old) in input.views {
            let new = None;
            if let Some(what) = self.made(slots, view, old, new, frame)? {
                frame.found.add(Cause { action, what });
            }
        }
        if let Some(rows) = input.rows
            && let Some((table, record)) = self.folds(action, &rows)?
            && !matches!(&slots[table], Slot::Done(now) if now.key == record.key)
        {
            frame.upstream.push((table, record));
        }
        Ok(())
    }

    /// Finds what made the old bytes in place of which `producer` now makes others: an action to follow, or
    /// a cause.
    fn made(
        &self,
        slots: &[Slot],
        producer: usize,
        old: Digest,
        new: Option<Digest>,
        frame: &mut Frame,
    ) -> Result<Option<What>, StageError> {
        let at = self.plan.coords(producer);
        let stage = &self.plan.pipeline.stages[at.stage];
        let labels = [&stage.name, stage.spec.name, &self.plan.label(producer)];
        let then = match self.store.maker(labels, |digest| *digest == old)? {
            Some((_, record)) => Some(record),
            None => self.store.origin(&old)?,
        };
        let key = match &slots[producer] {
            Slot::Done(record) => Some(record.key),
            _ => None,
        };
        let Some(then) = then else {
            let place = key.and_then(|key| self.store.place(&key));
            let remade = place.is_some_and(|place| place.generation > 0);
            return Ok(Some(match new {
                Some(new) if remade => What::Remade { producer, old, new },
                _ => What::Cold { producer, old, new },
            }));
        };
        let field = |name: &str| then.recipe().get(name);
        let kind = field("kind") == Some(Value::from(stage.spec.name));
        let step = field("step") == Some(Value::from(stage.steps[at.step].name));
        let stamp = |key: &ActionKey| self.store.place(key).map(|place| place.stamp);
        let known_then = key.is_some_and(|key| stamp(&key) < stamp(&then.key));
        if !kind || !step || key == Some(then.key) || known_then {
            let then = Earlier::new(Nearness::SameAction, &then);
            return Ok(Some(What::Rewired { producer, then }));
        }
        frame.upstream.push((producer, then));
        Ok(None)
    }

    /// Finds the table of folds that selects the rows of an action, and an earlier table that has these
    /// rows.
    fn folds(
        &self,
        action: usize,
        rows: &Digest,
    ) -> Result<Option<(usize, Arc<Record>)>, StageError> {
        let at = self.plan.coords(action);
        let Some((table, output)) = self.plan.folds_table(at) else {
            return Ok(None);
        };
        let stage = &self.plan.pipeline.stages[self.plan.coords(table).stage];
        let labels = [&stage.name, stage.spec.name, &self.plan.label(table)];
        let has_rows = |record: &Record| {
            let slices = record.output(output).and_then(|o| attr(&o.attrs, "slices"));
            let Some(Value::Map(slices)) = slices else {
                return false;
            };
            let mut digests = slices.iter().flat_map(|(_, by_shard)| match by_shard {
                Value::Map(entries) => entries.as_slice(),
                _ => &[],
            });
            digests.any(|(_, digest)| *digest == Value::Digest(*rows))
        };
        Ok(self
            .store
            .latest(labels, has_rows)?
            .map(|record| (table, record)))
    }

    /// Returns the source files of the shard that an action belongs to.
    fn shard_files(&self, action: usize) -> Vec<PathBuf> {
        let at = self.plan.coords(action);
        let stages = &self.plan.pipeline.stages;
        let shard = stages[at.stage]
            .shard_root
            .zip(at.shard)
            .and_then(|(root, shard)| stages[root].layout.shards.get(shard));
        let files = shard.into_iter().flat_map(|shard| shard.files());
        files.map(|file| file.path.to_owned()).collect()
    }
}
