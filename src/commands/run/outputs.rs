//! The files under `[outputs]`.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use flow_cache::Store;
use flow_engine::deliver::{self, Export, Manifest, Port};
use flow_engine::stage::{Part, PortType};
use flow_engine::{Diag, StageError};
use flow_stages::export::Exporter;

use super::Run;

/// Brings the files up to date whose stages are done. Returns the actions that must run again since
/// the store has lost bytes that a file needs.
pub fn deliver(run: &mut Run<'_>) -> HashSet<usize> {
    let mut lost = HashSet::new();
    let pipeline = run.plan.pipeline;
    if pipeline.outputs.is_empty() {
        return lost;
    }
    let store = &run.state.store;
    let mut manifest = Manifest::open(&run.state.manifest());
    for output in &pipeline.outputs {
        let Some(port) = deliver::port(run.plan, &run.slots, store, output.from) else {
            continue;
        };
        let exporter = Checked {
            store,
            port: &port,
            lost: Mutex::default(),
        };
        match manifest.deliver(&port, &output.path, run.stat, &exporter) {
            Ok(true) => run.wrote(&output.path),
            Ok(false) => {}
            Err(error) => {
                let gone = exporter.lost.into_inner();
                let gone = gone.unwrap_or_else(PoisonError::into_inner);
                if gone.is_empty() {
                    let message = format!("failed to write {}: {error}", output.path.display());
                    let diag =
                        Diag::new(error.code, message).label(output.from.span, "this output");
                    let diag = error.help.iter().fold(diag, Diag::help);
                    run.fail_with(error.fault.into(), diag.resolve(&pipeline.sources));
                }
                lost.extend(gone);
            }
        }
    }
    run.check(manifest.save().map_err(Into::into));
    lost
}

/// Checks the bytes at the moment that they are read, so that files which are up to date cost
/// nothing.
struct Checked<'a> {
    store: &'a Store,
    port: &'a Port,
    lost: Mutex<Vec<usize>>,
}

impl Export for Checked<'_> {
    fn export(
        &self,
        ty: PortType,
        parts: &[Part],
        extension: &str,
        to: &mut dyn Write,
    ) -> Result<(), StageError> {
        let lost = self.port.lost(self.store)?;
        if lost.is_empty() {
            return Exporter.export(ty, parts, extension, to);
        }
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = lost;
        Err(StageError::environment("the store has lost the bytes"))
    }
}
