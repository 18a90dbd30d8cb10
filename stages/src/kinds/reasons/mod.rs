//! Kind `reasons`: says why a model predicts what it does.
//!
//! - `explain`: the features that moved each prediction most, by their Shapley values;
//! - `permute`: what each group of features is worth, by shuffling its values among the held-out rows.

mod explain;
mod permute;

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{Diag, ParamType, Params, params};

use super::model::unreadable;
use crate::learner::saved::SavedModel;

/// The kind.
pub struct ReasonsKind;

const EXPLAIN: usize = 0;
const GATHER: usize = 1;
const PERMUTE: usize = 2;
const MEAN: usize = 3;

params! {
    struct ReasonsParams<'a> {
        top: usize = int(3, 1, 100, "Features of a prediction to name, those that moved it most first.");
        groups: Vec<(&'a str, Vec<&'a str>)> = new(ParamType::Ordered(Box::new(ParamType::List(Box::new(ParamType::Str)))), "Groups of features by name, each with patterns of its columns, such as `{ shape = [\"rise_*\", \"fade_*\"] }`. Each group is shuffled together; without groups there is no output `permutation`.").optional();
        shuffles: usize = int(5, 1, 1_000, "Shuffles of each group, over which the drops are averaged.");
    }
}

impl Stage for ReasonsKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "reasons",
            version: 1,
            about: "Says which features moved each prediction of a model, and what groups of features are worth",
            ports: Ports {
                inputs: vec![
                    InputPort::one("model", "model"),
                    InputPort::many("features", "features"),
                    InputPort::one("folds", "folds"),
                ],
                outputs: vec![
                    OutputPort::of(
                        "reasons",
                        "reasons",
                        GATHER,
                        "object_id, repeat, fold (null for the final fit), class, and by rank feature_1, shap_1, value_1, ...",
                    ),
                    OutputPort::of(
                        "permutation",
                        "permutation",
                        MEAN,
                        "with `groups`: group, columns, drop of average precision and of F1 (mean and standard deviation over folds), the largest first",
                    ),
                ],
            },
            params: ReasonsParams::specs(),
            steps: steps(true),
        }
    }

    fn shape(&self, params: &Params, _inputs: &[String]) -> (Ports, Vec<Step>) {
        let mut ports = self.spec().ports;
        let grouped = params.get("groups").is_some();
        if !grouped {
            ports.outputs.truncate(1);
        }
        (ports, steps(grouped))
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let groups = ReasonsParams::read(params).groups;
        let patterns = groups.iter().flat_map(|(_, patterns)| patterns);
        let wrong = patterns.filter_map(|pattern| {
            let error = glob::Pattern::new(pattern).err()?;
            let diag = Diag::new("flow::params::pattern", format!("`{pattern}`: {error}"));
            Some(match params.span("groups") {
                Some(span) => diag.label(span, "not a pattern"),
                None => diag,
            })
        });
        wrong.collect()
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            EXPLAIN => explain::explain(action),
            GATHER => explain::gather(action),
            PERMUTE => permute::permute(action),
            _ => permute::mean(action),
        }
    }
}

/// The steps; `grouped` if there are groups to shuffle.
fn steps(grouped: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::new("explain", Scope::FoldShard)
            .rows("features", Rows::Apply)
            .port("model")
            .writes("part"),
        Step::new("gather", Scope::Whole)
            .after(EXPLAIN, "part")
            .writes("reasons"),
    ];
    if grouped {
        steps.extend([
            Step::new("permute", Scope::Fold)
                .rows("features", Rows::Apply)
                .port("model")
                .writes("drops")
                .seeded(),
            Step::new("mean", Scope::Whole)
                .after(PERMUTE, "drops")
                .writes("permutation"),
        ]);
    }
    steps
}

/// The model of the action's fold.
fn model(action: &Action<'_>) -> Result<SavedModel, StageError> {
    let bytes = std::fs::read(&action.one("model")?.path)?;
    SavedModel::read(&bytes).map_err(unreadable)
}
