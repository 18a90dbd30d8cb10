//! Two runs side by side, for programs.

use flow_cache::Digest;

use super::differences::{RunDifferences, Side, Why};
use crate::event::{
    self, ComparedCircumstance, ComparedField, ComparedMetric, ComparedOutput, ComparedRun,
    ComparedStage, DivergenceReason, FirstDivergence, RunsCompared,
};

/// The differences for programs.
pub fn event(differences: &RunDifferences) -> RunsCompared {
    let side = |run: &Side| ComparedRun {
        run: run.id.clone(),
        pipeline: run.record.pipeline.clone(),
        status: run.record.status,
    };
    let metrics = differences.metrics.iter().map(|(name, [old, new])| {
        let told = ComparedMetric {
            old: *old,
            new: *new,
            difference: old.zip(*new).map(|(old, new)| new - old),
        };
        (name.clone(), told)
    });
    let stages = differences.stages.iter().map(|stage| {
        let fields = stage.fields.iter().map(|(change, count)| ComparedField {
            changes: vec![change.into()],
            actions: *count,
        });
        let told = ComparedStage {
            equal: stage.is_equal(),
            actions: stage.actions,
            same_recipe: stage.same_recipe,
            same_outputs: stage.same_outputs,
            fields: fields.collect(),
            without_record: stage.unknown,
        };
        (stage.name.clone(), told)
    });
    let first = differences.first.as_ref().map(|first| {
        let outputs = first.outputs.iter().map(|(name, old, new)| {
            let text = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
            let (old, new) = (text(old), text(new));
            (name.clone(), ComparedOutput { old, new })
        });
        FirstDivergence {
            why: first.why.event(),
            stage: first.stage.clone(),
            action: first.label.clone(),
            outputs: outputs.collect(),
        }
    });
    let circumstances = differences.circumstances.iter().map(|found| {
        let [old, new] = found.values.clone();
        ComparedCircumstance {
            about: found.about.name(),
            name: found.name.clone(),
            old,
            new,
        }
    });
    RunsCompared {
        circumstances: circumstances.collect(),
        old: side(&differences.old),
        new: side(&differences.new),
        metrics: metrics.collect(),
        stages: stages.collect(),
        first_divergence: first,
    }
}

impl Why {
    fn event(&self) -> DivergenceReason {
        match self {
            Self::Recipe(changes) => DivergenceReason::Recipe {
                changes: event::changes(changes),
            },
            Self::Nondeterminism => DivergenceReason::Nondeterminism,
            Self::Unknown(runs) => DivergenceReason::NoRecord { runs: runs.clone() },
            Self::Only(run) => DivergenceReason::Only { run: run.clone() },
        }
    }
}
