//! Kind `network`: fits a neural network on each fold's training rows and predicts the others.
//!
//! It reads sequences, features, or both. Its predictions are like those of kind `model`, so whatever scores, joins or
//! compares those does the same with these.

#[cfg(feature = "burn")]
mod apply;
mod check;
#[cfg(feature = "burn")]
mod classes;
#[cfg(feature = "burn")]
mod fit;
mod gather;
#[cfg(feature = "burn")]
mod known;
mod params;
#[cfg(feature = "burn")]
mod sizes;

use flow_engine::Params;
use flow_engine::base::diag::Diag;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Loops, Of, OutputPort, Ports, Question, Resources, Rows, Scope,
    Stage, StageError, Step, Surroundings,
};
use flow_stages::rows::{ApplyRows, CopyRows};

/// The kind.
pub struct NetworkKind;

const FIT: usize = 0;
const APPLY: usize = 1;
const GATHER: usize = 2;

/// The port with the sequences of the rows that a network is applied to, if they differ from those that fits see.
const APPLY_SEQUENCES: &str = "apply_sequences";

impl Stage for NetworkKind {
    fn spec(&self) -> KindSpec {
        let optional = |port: InputPort| InputPort {
            optional: true,
            ..port
        };
        KindSpec {
            name: "network",
            version: 1,
            about: "Fits a neural network fold by fold and predicts what it was not fitted on",
            ports: Ports {
                inputs: vec![
                    optional(InputPort::one("sequences", "sequences")),
                    optional(InputPort::many("features", "features")),
                    optional(InputPort::one(APPLY_SEQUENCES, "sequences")),
                    optional(InputPort::many(ApplyRows::PORT, "features")),
                    optional(InputPort::one(CopyRows::SEQUENCES, "sequences")),
                    optional(InputPort::many(CopyRows::PORT, "features")),
                    InputPort::one("folds", "folds"),
                ],
                outputs: vec![
                    OutputPort::of(
                        "predictions",
                        "predictions",
                        GATHER,
                        "object_id, repeat, fold (null for the final fit), label, p_<class>...",
                    ),
                    OutputPort::of("model", "network", FIT, "one network a fold"),
                    OutputPort {
                        name: "history".into(),
                        ty: "history",
                        about: "CSV: fold, bag, epoch, split (`train` or `validation`), loss, score (average precision for a binary target, else accuracy)",
                        of: Of::Step {
                            step: GATHER,
                            output: "history".into(),
                        },
                    },
                ],
            },
            params: params::specs(),
            steps: steps(&["features".to_owned()]),
        }
    }

    fn shape(&self, _params: &Params, inputs: &[String]) -> (Ports, Vec<Step>) {
        (self.spec().ports, steps(inputs))
    }

    fn check(&self, params: &Params, inputs: &[String]) -> Vec<Diag> {
        check::check(params, inputs)
    }

    fn resources(&self, params: &Params) -> Resources {
        flow_engine::command::claimed(params).0
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output != "predictions"
    }

    fn loops(&self, _params: &Params) -> Loops {
        Loops::Own
    }

    fn surroundings(&self, question: &Question<'_>) -> Result<Surroundings, StageError> {
        Ok(super::built::surroundings(&self.resources(question.params)))
    }

    #[cfg(feature = "burn")]
    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            FIT => fit::fit(action),
            APPLY => apply::apply(action),
            _ => gather::gather(action),
        }
    }

    /// Pipelines with this kind are refused when they are checked.
    #[cfg(not(feature = "burn"))]
    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            GATHER => gather::gather(action),
            _ => Err(super::built::not_built("network")),
        }
    }
}

/// The steps with these inputs. The rows of `apply` and `apply_sequences` take the place of those of `features` and
/// `sequences` where the network is applied. The fit reads the former as well, to refuse labels in them.
fn steps(inputs: &[String]) -> Vec<Step> {
    let has = |port: &str| inputs.iter().any(|input| input == port);
    let mut fit = Step::new("fit", Scope::Fold);
    let mut apply = Step::new("apply", Scope::FoldShard);
    for (port, applied) in [
        ("sequences", APPLY_SEQUENCES),
        ("features", ApplyRows::PORT),
    ] {
        if has(port) {
            fit = fit.rows(port, Rows::Train);
            apply = apply.rows(if has(applied) { applied } else { port }, Rows::Apply);
        }
    }
    if has("features") && has(ApplyRows::PORT) {
        fit = fit.rows(ApplyRows::PORT, Rows::Train);
    }
    for port in [CopyRows::SEQUENCES, CopyRows::PORT] {
        if has(port) {
            fit = fit.rows(port, Rows::Copies);
        }
    }
    vec![
        fit.writes("model").writes("epochs").seeded(),
        apply.after(FIT, "model").writes("part"),
        Step::new("gather", Scope::Whole)
            .after(APPLY, "part")
            .after(FIT, "epochs")
            .port("folds")
            .writes("predictions")
            .writes("history"),
    ]
}
