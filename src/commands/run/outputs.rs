//! The files under `[outputs]`.

use flow_engine::Diag;
use flow_engine::base::files::{elsewhere, real};
use flow_engine::outputs::delivery::{Delivery, Was};

use super::Run;
use crate::error::{self, CliError, Exit};
use crate::project::{ProjectState, shown};

/// Refuses output files that are only recognised as wrong with the store and the memory of earlier runs
/// at hand: a file that is a source under the name of a link, or that lies in the store.
pub fn check(delivery: &Delivery<'_>, state: &ProjectState) -> Result<(), CliError> {
    let pipeline = delivery.plan.pipeline;
    if let Some(diag) = delivery.linked_source() {
        return Err(CliError::usage(diag));
    }
    let store = state.store.dir();
    let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let mut outputs = pipeline.outputs.iter();
    let Some(output) = outputs.find(|output| real(&output.path).starts_with(&store)) else {
        return Ok(());
    };
    let message = format!("the output `{}` lies in the store", shown(&output.path));
    let diag = Diag::new("flow::outputs::place", message).label(output.from.span(), "written here");
    let diag = diag.help(elsewhere(&output.path));
    Err(CliError::usage(diag.resolve(&pipeline.sources)))
}

/// Updates the files whose stages are done. Runs again whatever the store has lost of them.
pub fn deliver(run: &mut Run<'_>) {
    let delivery = run.state.delivery(run.plan, run.stat);
    let slots = std::mem::take(&mut run.slots);
    let remote = run.state.remote.as_ref();
    let mut bar = remote.map(|remote| remote.fetch_bar(run.ui));
    let delivered = delivery.deliver(&slots, |lost| {
        // A pass over the plan has lines of its own.
        if let Some(bar) = bar.take() {
            bar.end();
        }
        if run.exit != Exit::Ok {
            return None;
        }
        let finished = run.execute(lost, false, &mut |_| {});
        (!run.settle(finished)).then(|| run.slots.clone())
    });
    if let Some(bar) = bar {
        bar.end();
    }
    // Unless actions ran again, what was known before still holds.
    if run.slots.is_empty() {
        run.slots = slots;
    }
    for message in &delivered.warnings {
        run.ui.warn(message);
    }
    let pipeline = run.plan.pipeline;
    for file in delivered.written {
        run.wrote(&pipeline.outputs[file]);
    }
    for (file, was) in delivered.replaced {
        let path = shown(&pipeline.outputs[file].path);
        run.warn(match was {
            Was::Foreign => format!("{path} was there and is replaced; no run had written it"),
            Was::Changed => {
                format!("{path} had been changed since a run wrote it, and is replaced")
            }
            Was::Of(other) => format!("{path} is replaced; `{other}` had written it"),
        });
    }
    for (file, error) in delivered.failed {
        let output = &pipeline.outputs[file];
        let message = format!("failed to write {}: {error}", shown(&output.path));
        let diag = error::diag_of(&error, message).label(output.from.span(), "this output");
        run.fail_with(error.fault.into(), diag.resolve(&pipeline.sources));
    }
    run.noted(delivered.unnoted.map_or(Ok(()), Err));
}
