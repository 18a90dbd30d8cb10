//! The report as a file under `[outputs]`. It shows the results alone, and nothing of how a run went, so
//! that equal results give equal bytes.

use std::io::Write;

use flow_cache::{Digest, Digester, Store};
use flow_engine::kind::PortType;
use flow_engine::outputs::delivery::Report;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run::summary::Summary;
use flow_engine::{Pipeline, StageError};

use super::{Recorded, of_run};
use crate::evaluation::Artifacts;
use crate::outcome::{RunAccount, RunOutcome};
use crate::record::{Long, RunRecord, StageFigures, Status};

/// Types of ports whose bytes no section reads: they are large, and the page shows what is made of them.
const UNREAD: [&str; 4] = ["features", "grid", "model", "sequences"];

/// Writes the report of a pipeline under `[outputs]`.
pub struct ResultsReport;

impl Report for ResultsReport {
    fn besides(&self, pipeline: &Pipeline) -> Digest {
        let mut digester = Digester::default();
        let mut put = |text: &str| {
            digester.put(&text.len().to_le_bytes());
            digester.put(text.as_bytes());
        };
        put(env!("CARGO_PKG_VERSION"));
        put(&pipeline.name);
        for stage in &pipeline.stages {
            put(&stage.name);
            put(stage.spec.name);
            for binding in &stage.inputs {
                put(&binding.port);
                for from in &binding.from {
                    put(&pipeline.stages[from.stage].name);
                }
            }
        }
        let headline = pipeline.headline.as_ref();
        put(headline.map_or("", |(_, metric)| metric));
        digester.finish()
    }

    fn reads(&self, ty: PortType) -> bool {
        !UNREAD.contains(&ty)
    }

    fn write(
        &self,
        plan: &Plan<'_>,
        slots: &[Slot],
        store: &Store,
        to: &mut dyn Write,
    ) -> Result<(), StageError> {
        let artifacts = Artifacts { plan, slots, store };
        let outcome = RunOutcome::new(&RunAccount {
            artifacts,
            summary: &Summary::default(),
            run: "",
            status: Status::Ok,
            wall_s: 0.0,
            remote: None,
        });
        let begun = RunRecord {
            pipeline: Some(plan.pipeline.name.clone()),
            ..RunRecord::default()
        };
        let mut record = outcome.record(plan.pipeline, begun);
        for (_, stage) in record.stages.iter_mut() {
            let outputs = std::mem::take(&mut stage.figures.outputs);
            stage.figures = StageFigures {
                outputs,
                ..StageFigures::default()
            };
        }
        let long = Long(artifacts);
        let stages = plan.pipeline.stages.iter().enumerate();
        let ports = stages.map(|(at, stage)| (stage.name.clone(), long.ports(at)));
        let mut recorded = Recorded::new(String::new(), record, ports.collect(), store);
        recorded.only_results = true;
        to.write_all(of_run(&recorded, &[])?.html().as_bytes())?;
        Ok(())
    }
}
