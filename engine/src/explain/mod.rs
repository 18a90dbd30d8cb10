//! Why an action runs: the typed reason, and what it goes back to.
//!
//! A [`Reason`] compares an action with the nearest earlier record and names every field that differs. If
//! that is an input, its bytes came from somewhere: [`Causes`] follows them upstream, from the action that
//! makes them now and the record that made the old ones, to the source file, parameter or version that
//! changed.
//!
//! [`preview`] gives the verdicts of `flow plan`, `difference` compares two recipes, `trace` goes upstream
//! from one difference, and `causes` counts equal causes together. Nothing here runs an action, changes the
//! store or words a message. Begin with [`Reason`] and [`preview`].

mod causes;
mod difference;
pub mod preview;
mod trace;

use flow_cache::{ActionKey, Change, Recipe, Record, Store};

use crate::kind::error::StageError;
use crate::plan::Plan;
use crate::plan::keys::Slot;

use difference::{Difference, Now, differences};

pub use causes::{Causes, Explanation, Group};
pub use flow_cache::Nearness;
pub use trace::{Cause, What};

/// Why an action cannot be answered from the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The store has nothing to compare it with.
    New(Novelty),
    /// Its recipe differs from the nearest earlier one.
    Changed(Box<Changed>),
    /// It has a record, and that is damaged.
    Damaged,
    /// It had a record, which gc removed at this time, in seconds since 1970 (UTC).
    Pruned(u64),
    /// Its outputs are known but their bytes are gone or corrupt, and something needs them.
    Lost,
    /// An audit compares its bytes with those that its record names.
    Audit,
    /// A source file changed while it ran.
    Tainted,
}

/// What is new about an action that has no earlier record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// The store has no records at all.
    Store,
    /// It has some, but none of this kind.
    Kind,
    /// It has some of this kind, and every one that could be compared is damaged.
    Unreadable,
}

/// How an action differs from an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The record that it is compared with.
    pub earlier: Earlier,
    /// All that differs; at least one thing does.
    pub changes: Vec<Change>,
}

/// An earlier record.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// In what way it is near.
    pub nearness: Nearness,
    /// Its key.
    pub key: ActionKey,
    /// Its labels.
    pub stage: String,
    /// The action within the stage.
    pub action: String,
    /// The pipeline that made it.
    pub pipeline: String,
    /// When it was made, in seconds since 1970 (UTC).
    pub finished_unix: u64,
    /// How many seconds that took.
    pub wall_s: f64,
}

impl Earlier {
    fn new(nearness: Nearness, record: &Record) -> Self {
        Self {
            nearness,
            key: record.key,
            stage: record.stage().to_owned(),
            action: record.action().to_owned(),
            pipeline: record.pipeline().to_owned(),
            finished_unix: record.finished_unix,
            wall_s: record.wall_s,
        }
    }
}

/// Returns why the store has no record for this recipe.
///
/// # Errors
/// The store's records cannot be read.
pub fn reason(
    plan: &Plan<'_>,
    slots: &[Slot],
    store: &Store,
    action: usize,
    recipe: &Recipe,
) -> Result<Reason, StageError> {
    Ok(examine(plan, slots, store, action, recipe)?.0)
}

/// Returns the reason together with all that differs and what stands behind it.
fn examine(
    plan: &Plan<'_>,
    slots: &[Slot],
    store: &Store,
    action: usize,
    recipe: &Recipe,
) -> Result<(Reason, Vec<Difference>), StageError> {
    let key = recipe.key();
    let bare = |reason: Reason| Ok((reason, Vec::new()));
    if store.is_damaged(&key) {
        return bare(Reason::Damaged);
    }
    if let Some(when) = store.pruned(&key)? {
        return bare(Reason::Pruned(when));
    }
    let stage = &plan.pipeline.stages[plan.coords(action).stage];
    let nearest = store.nearest(&stage.name, &plan.label(action), recipe)?;
    if let Some((nearness, record)) = nearest {
        let now = Now {
            plan,
            slots,
            store,
            action,
            recipe,
        };
        let differences = differences(now, record.recipe())?;
        let changes = differences.iter().flat_map(|d| d.changes.iter().cloned());
        let changed = Changed {
            earlier: Earlier::new(nearness, &record),
            changes: changes.collect(),
        };
        return Ok((Reason::Changed(Box::new(changed)), differences));
    }
    bare(Reason::New(match store.earlier_records(None)? {
        0 => Novelty::Store,
        _ if store.earlier_records(Some(stage.spec.name))? == 0 => Novelty::Kind,
        _ => Novelty::Unreadable,
    }))
}
