//! Unites several pipelines in one. Equal stages are in it once, so that everything is planned and run
//! together.
//!
//! Stages are equal if they have the same kind, parameters, seeds, files and inputs; their names do not
//! count. Actions of different stages may still have the same key, since a key follows from the bytes that
//! an action reads. Such actions are merged when they run.

use std::collections::HashMap;

use crate::pipeline::{Pipeline, StageDecl};

/// Several pipelines in one.
pub struct Union {
    /// All stages, without `[outputs]` and headline. Those of the first pipeline keep their names. Those
    /// that others add are called `PIPELINE/STAGE`.
    pub pipeline: Pipeline,
    /// By pipeline and stage, its index in the union.
    pub places: Vec<Vec<usize>>,
}

impl Union {
    /// Returns the number of stages that pipelines have in common with earlier ones.
    pub fn shared(&self) -> usize {
        let all: usize = self.places.iter().map(Vec::len).sum();
        all - self.pipeline.stages.len()
    }

    /// Returns, by stage of the union, the pipelines that have it.
    pub fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.pipeline.stages.len()];
        for (pipeline, places) in self.places.iter().enumerate() {
            for &place in places {
                if users[place].last() != Some(&pipeline) {
                    users[place].push(pipeline);
                }
            }
        }
        users
    }
}

/// The inputs of a stage with its ports in order. Stages with the same ones may be equal.
type Inputs = Vec<(String, Vec<(usize, usize)>)>;

/// Unites pipelines of one file and project, each under a name. Returns none if there are no pipelines.
pub fn unite(pipelines: Vec<(String, Pipeline)>) -> Option<Union> {
    let mut all = pipelines.into_iter();
    let (_, mut first) = all.next()?;
    first.outputs.clear();
    first.headline = None;
    let mut union = Union {
        places: vec![(0..first.stages.len()).collect()],
        pipeline: first,
    };
    let mut known: HashMap<(&'static str, Inputs), Vec<usize>> = HashMap::new();
    for (index, stage) in union.pipeline.stages.iter().enumerate() {
        let key = (stage.spec.name, inputs(stage));
        known.entry(key).or_default().push(index);
    }
    for (name, pipeline) in all {
        let mut places = Vec::with_capacity(pipeline.stages.len());
        for mut stage in pipeline.stages {
            renumber(&mut stage, &places);
            let stages = &mut union.pipeline.stages;
            let alike = known.entry((stage.spec.name, inputs(&stage))).or_default();
            let same = alike.iter().find(|&&known| equal(&stages[known], &stage));
            let place = same.copied().unwrap_or_else(|| {
                let place = stages.len();
                alike.push(place);
                // A stage may be the root of its own folds and shards.
                for root in [&mut stage.fold_root, &mut stage.shard_root] {
                    *root = root.map(|root| if root == OWN { place } else { root });
                }
                stage.name = format!("{name}/{}", stage.name);
                stages.push(stage);
                place
            });
            places.push(place);
        }
        union.places.push(places);
    }
    Some(union)
}

/// Stands for a stage's own index until it has one.
const OWN: usize = usize::MAX;

/// Translates the indices of the stages that `stage` refers to. It comes right after the stages in
/// `places`.
fn renumber(stage: &mut StageDecl, places: &[usize]) {
    let inputs = stage.inputs.iter_mut();
    for reference in inputs.flat_map(|binding| &mut binding.from) {
        reference.stage = places[reference.stage];
    }
    let place = |index: usize| places.get(index).copied().unwrap_or(OWN);
    stage.paired = stage.paired.map(place);
    stage.fold_root = stage.fold_root.map(place);
    stage.shard_root = stage.shard_root.map(place);
}

fn inputs(stage: &StageDecl) -> Inputs {
    let bindings = stage.inputs.iter().map(|binding| {
        let from = binding.from.iter().map(|from| (from.stage, from.port));
        (binding.port.clone(), from.collect())
    });
    let mut inputs: Inputs = bindings.collect();
    inputs.sort();
    inputs
}

/// Returns whether two stages of one kind with the same inputs are equal. Ports and steps follow from the
/// parameters.
fn equal(known: &StageDecl, stage: &StageDecl) -> bool {
    let seeds = |stage: &StageDecl| (stage.pipeline_seed, stage.seed);
    known.params.same(&stage.params)
        && known.paired == stage.paired
        && known.layout == stage.layout
        && (!stage.is_seeded() || seeds(known) == seeds(stage))
}
