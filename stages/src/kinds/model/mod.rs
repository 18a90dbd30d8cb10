//! Kind `model`: fits a learner on each fold's training rows and predicts the others.

mod apply;
mod fit;
mod gather;
mod more;
mod params;
#[cfg(test)]
mod tests;

use flow_engine::Params;
use flow_engine::base::diag::Diag;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Of, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};

use crate::rows::{ApplyRows, CopyRows, UnlabelledRows};

pub(super) use apply::unreadable;
pub(super) use fit::fit_error;
use params::ModelParams;
pub use params::ModelTarget;

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
                    InputPort {
                        optional: true,
                        ..InputPort::many(CopyRows::PORT, "features")
                    },
                    InputPort {
                        optional: true,
                        ..InputPort::many(UnlabelledRows::PORT, "features")
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
                    OutputPort::of(
                        "model",
                        "model",
                        FIT,
                        "one model a fold; as a `.json` file, the final fit of `hessboost` for XGBoost",
                    ),
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
            steps: steps(&[]),
        }
    }

    fn shape(&self, _params: &Params, inputs: &[String]) -> (Ports, Vec<Step>) {
        (self.spec().ports, steps(inputs))
    }

    fn check(&self, params: &Params, inputs: &[String]) -> Vec<Diag> {
        more::check(params, inputs)
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "model"
    }

    /// The final fit can be written for XGBoost, or as what predictions are computed from.
    fn converts(&self, _params: &Params, output: &str, extension: &str) -> bool {
        output == "model" && extension == "json"
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            FIT => fit::fit(action),
            APPLY => apply::apply(action),
            _ => gather::gather(action),
        }
    }
}

/// The steps with these inputs. The rows of a port `apply` take the place of those of `features` where the model is
/// applied. The fit reads them as well, to refuse labels in them.
fn steps(inputs: &[String]) -> Vec<Step> {
    let has = |port: &str| inputs.iter().any(|input| input == port);
    let mut fit = Step::new("fit", Scope::Fold).rows("features", Rows::Train);
    let mut apply = Step::new("apply", Scope::FoldShard);
    if has(ApplyRows::PORT) {
        fit = fit.rows(ApplyRows::PORT, Rows::Train);
        apply = apply.rows(ApplyRows::PORT, Rows::Apply);
    } else {
        apply = apply.rows("features", Rows::Apply);
    }
    if has(CopyRows::PORT) {
        fit = fit.rows(CopyRows::PORT, Rows::Copies);
    }
    if has(UnlabelledRows::PORT) {
        fit = fit.rows(UnlabelledRows::PORT, Rows::Unlabelled);
    }
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
