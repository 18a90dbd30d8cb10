//! What a run would do, and why.

use flow_cache::{StatCache, Store};

use crate::keys::{Keys, Prepared, Slot, prepare};
use crate::plan::{Plan, Reason, Verdict};
use crate::stage::StageError;

/// What a run would do, action by action; runs nothing.
pub fn preview(
    plan: &Plan<'_>,
    store: &Store,
    stat: &StatCache,
) -> Result<Vec<(Verdict, Option<Prepared>)>, StageError> {
    let mut keys = Keys::new(stat);
    let mut slots = vec![Slot::Waiting; plan.len()];
    let mut verdicts = Vec::with_capacity(plan.len());
    for action in 0..plan.len() {
        let verdict = match first_unsettled(plan, &slots, action) {
            Some(on) => (Verdict::Pending(on), None),
            None => match prepare(plan, &slots, store, &mut keys, action)? {
                None => {
                    slots[action] = Slot::Vacant;
                    (Verdict::Vacant, None)
                }
                Some(prepared) => match store.find(&prepared.recipe.key())? {
                    Some(record) => {
                        slots[action] = Slot::Done(record.clone());
                        (Verdict::Hit(record), Some(prepared))
                    }
                    None => {
                        let reason = reason(plan, store, action, &prepared);
                        (Verdict::Run(reason), Some(prepared))
                    }
                },
            },
        };
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn first_unsettled(plan: &Plan<'_>, slots: &[Slot], action: usize) -> Option<usize> {
    let mut first = None;
    plan.dependencies(action, |on| {
        if matches!(slots[on], Slot::Waiting) {
            first = first.or(Some(on));
        }
    });
    first
}

/// Why an action misses: what differs from the nearest earlier run.
pub fn reason(plan: &Plan<'_>, store: &Store, action: usize, prepared: &Prepared) -> Reason {
    let stage = &plan.pipeline.stages[plan.coords(action).stage].name;
    match store.nearest(stage, &plan.label(action), &prepared.recipe) {
        Some(earlier) => Reason::Changed(prepared.recipe.diff(&earlier.recipe)),
        None => Reason::New,
    }
}
