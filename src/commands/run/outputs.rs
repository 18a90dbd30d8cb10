//! The files under `[outputs]`.

use flow_engine::Diag;
use flow_engine::deliver::Delivery;
use flow_stages::export::Exporter;
use serde_json::json;

use super::Run;
use crate::error::Exit;

/// Brings the files up to date whose stages are done; runs again what the store has lost of them.
pub fn deliver(run: &mut Run<'_>) {
    let delivery = Delivery {
        plan: run.plan,
        store: &run.state.store,
        stat: run.stat,
        manifest: run.state.manifest(),
        exporter: &Exporter,
    };
    let slots = run.slots.clone();
    let delivered = delivery.deliver(&slots, |lost| {
        if run.exit != Exit::Ok {
            return None;
        }
        let finished = run.execute(lost, false, &mut |_| {});
        (!run.settle(finished)).then(|| run.slots.clone())
    });
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
        let message = format!("failed to write {}: {error}", output.path.display());
        let diag = Diag::new(error.code, message).label(output.from.span, "this output");
        let diag = error.help.iter().fold(diag, Diag::help);
        run.fail_with(error.fault.into(), diag.resolve(&pipeline.sources));
    }
    run.check(delivered.unnoted.map_or(Ok(()), |error| Err(error.into())));
}
