//! Kind `model`: fits a learner on each fold's training rows and predicts the others.

mod apply;
mod fit;
mod gather;
mod params;
mod saved;

use flow_engine::Params;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Of, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};

use crate::rows::ApplyRows;

pub(super) use fit::fit_error;
use params::ModelParams;
pub(super) use params::ModelTarget;

/// The kind.
pub struct ModelKind;

const FIT: usize = 0;
const APPLY: usize = 1;
const GATHER: usize = 2;

impl Stage for ModelKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "model",
            version: 1,
            about: "Fits a classifier fold by fold and predicts what it was not fitted on",
            ports: Ports {
                inputs: vec![
                    InputPort::many("features", "features"),
                    InputPort {
                        optional: true,
                        ..InputPort::many(ApplyRows::PORT, "features")
                    },
                    InputPort::one("folds", "folds"),
                ],
                outputs: vec![
                    OutputPort::of(
                        "predictions",
                        "predictions",
                        GATHER,
                        "object_id, repeat, fold (null for the final fit), label, p_<class>...",
                    ),
                    OutputPort::of("model", "model", FIT, "one model a fold"),
                    OutputPort {
                        name: "importance".into(),
                        ty: "importance",
                        about: "feature and its share of the gain, averaged over folds, the largest first",
                        of: Of::Step {
                            step: GATHER,
                            output: "importance".into(),
                        },
                    },
                ],
            },
            params: ModelParams::specs(),
            steps: steps(false),
        }
    }

    /// With a port `apply`, its rows take the place of those of `features` where the model is applied. The
    /// fit reads it as well, to refuse labels in it.
    fn shape(&self, _params: &Params, inputs: &[String]) -> (Ports, Vec<Step>) {
        let apart = inputs.iter().any(|input| input == ApplyRows::PORT);
        (self.spec().ports, steps(apart))
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "model"
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            FIT => fit::fit(action),
            APPLY => apply::apply(action),
            _ => gather::gather(action),
        }
    }
}

/// The steps; `apart` if the model is applied to other features than those that it is fitted on.
fn steps(apart: bool) -> Vec<Step> {
    let fit = Step::new("fit", Scope::Fold).rows("features", Rows::Train);
    let apply = Step::new("apply", Scope::FoldShard);
    let (fit, apply) = match apart {
        true => (
            fit.rows(ApplyRows::PORT, Rows::Train),
            apply.rows(ApplyRows::PORT, Rows::Apply),
        ),
        false => (fit, apply.rows("features", Rows::Apply)),
    };
    vec![
        fit.writes("model").writes("gain").seeded(),
        apply.after(FIT, "model").writes("part"),
        Step::new("gather", Scope::Whole)
            .after(APPLY, "part")
            .after(FIT, "gain")
            .port("folds")
            .writes("predictions")
            .writes("importance"),
    ]
}
