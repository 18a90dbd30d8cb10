//! `flow run --audit`: runs actions again that the store answers, and compares the bytes.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use flow_cache::Digest;
use flow_engine::Diag;
use flow_engine::keys::Slot;
use serde_json::json;

use super::Run;
use crate::error::Exit;
use crate::render::count;

/// Runs up to `number` of the actions again, spread evenly over the plan.
pub fn audit(run: &mut Run<'_>, number: NonZeroUsize) {
    let done: Vec<usize> = (0..run.plan.len())
        .filter(|&action| matches!(run.slots[action], Slot::Done(_)))
        .collect();
    let number = number.get().min(done.len());
    let chosen: Vec<usize> = (0..number).map(|i| done[i * done.len() / number]).collect();
    let before: Vec<Vec<Digest>> = chosen.iter().map(|&a| digests(&run.slots[a])).collect();
    let forced: HashSet<usize> = chosen.iter().copied().collect();
    let finished = run.execute(forced, false);
    if run.settle(finished) || run.exit != Exit::Ok {
        return;
    }
    let mut differing = Vec::new();
    for (&action, before) in chosen.iter().zip(&before) {
        if digests(&run.slots[action]) != *before {
            let stage = run.plan.coords(action).stage;
            let name = &run.plan.pipeline.stages[stage].name;
            differing.push(format!("{name}: {}", run.plan.label(action)));
        }
    }
    run.ui
        .event(|| json!({"event": "audit-finished", "actions": number, "differing": differing}));
    if differing.is_empty() {
        let actions = count(number, "action");
        run.ui.result(&format!(
            "audit: {actions} ran again and gave the same bytes\n"
        ));
        return;
    }
    let message = format!(
        "{} gave other bytes when run again",
        count(differing.len(), "action")
    );
    let diag = differing.into_iter().fold(
        Diag::new("flow::run::not_deterministic", message),
        Diag::help,
    );
    run.fail_with(Exit::Stage, diag);
}

fn digests(slot: &Slot) -> Vec<Digest> {
    match slot {
        Slot::Done(record) => record.outputs.iter().map(|output| output.digest).collect(),
        _ => Vec::new(),
    }
}
