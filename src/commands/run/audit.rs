//! `flow run --audit`: runs actions again that the store answers, and compares the bytes.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use flow_engine::Diag;
use flow_engine::keys::Slot;
use serde_json::json;

use super::Run;
use crate::error::Exit;
use crate::render::count;

/// Runs up to `number` of the actions again, spread evenly over the plan. The engine warns of each
/// that gives other bytes, and of each artifact that proves corrupt on the way; both fail the run.
pub fn audit(run: &mut Run<'_>, number: NonZeroUsize) {
    let done: Vec<usize> = (0..run.plan.len())
        .filter(|&action| matches!(run.slots[action], Slot::Done(_)))
        .collect();
    let number = number.get().min(done.len());
    let chosen: HashSet<usize> = (0..number).map(|i| done[i * done.len() / number]).collect();
    let warned = run.warnings.len();
    run.options.audit = true;
    let finished = run.execute(chosen, false);
    if run.settle(finished) || run.exit != Exit::Ok {
        return;
    }
    let found = run.warnings.split_off(warned);
    run.ui
        .event(|| json!({"event": "audit-finished", "actions": number, "problems": found}));
    if found.is_empty() {
        let actions = count(number, "action");
        run.ui.result(&format!(
            "audit: {actions} ran again and gave the same bytes\n"
        ));
        return;
    }
    let message = format!("the audit found {}", count(found.len(), "problem"));
    let diag = Diag::new("flow::run::audit", message);
    run.fail_with(Exit::Stage, found.into_iter().fold(diag, Diag::help));
}
