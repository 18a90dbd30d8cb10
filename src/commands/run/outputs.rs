//! The files under `[outputs]`.

use flow_engine::Diag;
use serde_json::json;

use super::Run;
use crate::error::Exit;
use crate::project::shown;

/// Brings the files up to date whose stages are done; runs again what the store has lost of them.
pub fn deliver(run: &mut Run<'_>) {
    let delivery = run.state.delivery(run.plan, run.stat);
    let slots = std::mem::take(&mut run.slots);
    let delivered = delivery.deliver(&slots, |lost| {
        if run.exit != Exit::Ok {
            return None;
        }
        let finished = run.execute(lost, false, &mut |_| {});
        (!run.settle(finished)).then(|| run.slots.clone())
    });
    // Unless it ran again, what is known is what was.
    if run.slots.is_empty() {
        run.slots = slots;
    }
    for message in &delivered.warnings {
        run.ui.warning(message);
        run.ui
            .event(|| json!({"event": "warning", "message": message}));
    }
    let pipeline = run.plan.pipeline;
    for file in delivered.written {
        run.wrote(&pipeline.outputs[file].path);
    }
    for (file, error) in delivered.failed {
        let output = &pipeline.outputs[file];
        let message = format!("failed to write {}: {error}", shown(&output.path));
        let diag = Diag::new(error.code, message).label(output.from.span, "this output");
        let diag = error.help.iter().fold(diag, Diag::help);
        run.fail_with(error.fault.into(), diag.resolve(&pipeline.sources));
    }
    run.noted(delivered.unnoted.map_or(Ok(()), Err));
}
