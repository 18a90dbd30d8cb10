//! What evaluations read and leave: their ports, their predictions and metrics after a run, and which
//! of these bytes the store has lost.
//!
//! Commands that compare configurations (`check`, `ablate`, `tune`) find all of this here, and so does
//! the report of a run. How anything is compared belongs to `flow_stages::comparison`.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::PathBuf;

use flow_cache::{ActionKey, Digest, Store, StoreError, Value};
use flow_engine::kind::spec::{FOLDS, OutputPort};
use flow_engine::outputs::ports::{self, Port, Shown};
use flow_engine::pipeline::PortRef;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::{Pipeline, Span, StageError};
use flow_stages::comparison::Arm;
use flow_stages::evaluation::Metric;

/// The type of the port whose outputs hold metrics in the attribute `metrics`.
pub const METRICS: &str = "metrics";

/// The port of an evaluation through which predictions come in.
const PREDICTIONS: &str = "predictions";

/// The stages that score predictions by the metrics that comparisons make.
pub fn evaluations(pipeline: &Pipeline) -> Vec<usize> {
    let scores = |stage: &usize| {
        let stage = &pipeline.stages[*stage];
        let metrics = stage.kind.metrics().contains(&Metric::Ap.key());
        metrics && stage.inputs.iter().any(|input| input.port == PREDICTIONS)
    };
    (0..pipeline.stages.len()).filter(scores).collect()
}

/// Returns the artifacts of which the store has no sound bytes, after it has fetched what a remote has
/// of them. Corrupt ones are set aside, so that they can be made again.
pub fn lost<T: Eq + Hash>(
    store: &Store,
    artifacts: impl IntoIterator<Item = (Digest, T)>,
) -> Result<HashSet<T>, StoreError> {
    let artifacts = Vec::from_iter(artifacts);
    let lost = store.ensure(artifacts.iter().map(|(digest, _)| *digest))?;
    let lost: HashSet<Digest> = lost.into_iter().map(|(digest, _)| digest).collect();
    let whats = artifacts
        .into_iter()
        .filter(|(digest, _)| lost.contains(digest));
    Ok(whats.map(|(_, what)| what).collect())
}

/// The artifacts of a plan as far as they are known, after a run or part of one.
#[derive(Clone, Copy)]
pub struct Artifacts<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// What is known of every action.
    pub slots: &'a [Slot],
    /// Where the bytes are.
    pub store: &'a Store,
}

/// What an evaluation reads.
pub struct EvaluationInputs {
    /// The predictions.
    pub predictions: Option<Port>,
    /// The table of folds that the predictions come from.
    pub folds: Option<Port>,
}

impl<'a> Artifacts<'a> {
    /// The artifacts behind a port, or `None` while any of them is unknown.
    pub fn port(&self, from: PortRef) -> Option<Port> {
        ports::port(self.plan, self.slots, self.store, from)
    }

    /// The output ports of a stage with what the records say of them, or `None` where something is
    /// unknown.
    pub fn outputs(
        &self,
        stage: usize,
    ) -> impl Iterator<Item = (&'a OutputPort, Option<Shown<'a>>)> {
        let Self { plan, slots, .. } = *self;
        let outputs = plan.pipeline.stages[stage].ports.outputs.iter();
        outputs.enumerate().map(move |(port, output)| {
            let shown = ports::shown(plan, slots, reference(stage, port));
            (output, shown)
        })
    }

    /// The metrics that a stage reports.
    pub fn metrics(&self, stage: usize) -> Option<&'a Value> {
        let outputs = &self.plan.pipeline.stages[stage].ports.outputs;
        let port = outputs.iter().position(|output| output.ty == METRICS)?;
        let shown = ports::shown(self.plan, self.slots, reference(stage, port))?;
        let (_, part) = shown.parts().next()?;
        part.output.attrs.get("metrics")
    }

    /// The keys of a stage's actions, as far as they are known.
    pub fn keys(&self, stage: usize) -> Vec<ActionKey> {
        let actions = self.plan.of_stage(stage);
        let known = actions.filter_map(|action| match &self.slots[action] {
            Slot::Done(record) => Some(record.key),
            _ => None,
        });
        known.collect()
    }

    /// The table of folds that a stage comes from.
    pub fn folds(&self, stage: usize) -> Option<Port> {
        let root = self.plan.pipeline.folds_above(stage)?;
        let outputs = &self.plan.pipeline.stages[root].ports.outputs;
        let port = outputs.iter().position(|output| output.ty == FOLDS)?;
        self.port(reference(root, port))
    }

    /// The digest of what makes the scores of a stage comparable with others: objects, folds and which
    /// objects are positive. `None` if the store has a record from before it was kept.
    pub fn deal(&self, stage: usize) -> Option<&'a str> {
        let root = self.plan.pipeline.folds_above(stage)?;
        let outputs = &self.plan.pipeline.stages[root].ports.outputs;
        let port = outputs.iter().position(|output| output.ty == FOLDS)?;
        let shown = ports::shown(self.plan, self.slots, reference(root, port))?;
        let (_, part) = shown.parts().next()?;
        part.output.attrs.get("deal")?.as_str()
    }

    /// What an evaluation reads.
    pub fn inputs(&self, stage: usize) -> EvaluationInputs {
        let inputs = &self.plan.pipeline.stages[stage].inputs;
        let input = inputs.iter().find(|input| input.port == PREDICTIONS);
        let from = input.and_then(|input| input.from.first());
        EvaluationInputs {
            predictions: from.and_then(|from| self.port(*from)),
            folds: self.folds(stage),
        }
    }

    /// The actions that made what these evaluations read but the store has lost.
    pub fn lost(
        &self,
        evaluations: impl IntoIterator<Item = usize>,
    ) -> Result<HashSet<usize>, StoreError> {
        let inputs = evaluations.into_iter().map(|stage| self.inputs(stage));
        let ports = inputs.flat_map(|inputs| [inputs.predictions, inputs.folds]);
        lost(self.store, ports.flatten().flat_map(|port| port.needs))
    }
}

impl EvaluationInputs {
    /// The file of the predictions.
    pub fn predictions(&self) -> Option<PathBuf> {
        file(self.predictions.as_ref()?)
    }

    /// The digest and the file of the table of folds.
    pub fn folds(&self) -> Option<(Digest, PathBuf)> {
        let port = self.folds.as_ref()?;
        Some((port.digest()?, file(port)?))
    }

    /// The scores, under a name, or `None` where there are no predictions.
    pub fn arm(&self, name: &str) -> Result<Option<Arm>, StageError> {
        let folds = self.folds.as_ref().and_then(file);
        let read = |predictions: PathBuf| Arm::read(name, &predictions, folds.as_deref());
        self.predictions().map(read).transpose()
    }
}

fn file(port: &Port) -> Option<PathBuf> {
    Some(port.parts.first()?.path.clone())
}

fn reference(stage: usize, port: usize) -> PortRef {
    PortRef {
        stage,
        port,
        span: Span::default(),
    }
}
