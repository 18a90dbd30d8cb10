//! Kind `autoencoder`: learns in each fold what light curves look like, and describes each by a few numbers.
//!
//! Labels are not used. The network is fitted on the training rows of each fold, so that no row that the fold holds out
//! decides what is measured of the others. So each fold has features of its own, for all rows, and a model reads those of
//! its fold.

#[cfg(feature = "burn")]
mod encode;
#[cfg(feature = "burn")]
mod fit;
mod params;

use flow_engine::Params;
use flow_engine::base::diag::Diag;
use flow_engine::command::claimed;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Loops, Of, OutputPort, Ports, Question, Resources, Rows, Scope,
    Stage, StageError, Step, Surroundings,
};

use super::{built, fit_params, history};
use params::{AutoencoderParams, FitScope};

/// The kind.
pub struct AutoencoderKind;

const FIT: usize = 0;
const ENCODE: usize = 1;

impl Stage for AutoencoderKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "autoencoder",
            version: 1,
            about: "Learns what light curves look like, without labels, and describes each by a few numbers",
            ports: Ports {
                inputs: vec![
                    InputPort::one("sequences", "sequences"),
                    InputPort::one("folds", "folds"),
                ],
                outputs: vec![
                    OutputPort::of(
                        "features",
                        "features",
                        ENCODE,
                        "object_id, latent_1... and reconstruction_error, a table for each fold",
                    ),
                    OutputPort::of("model", "network", FIT, "one network a fold"),
                    OutputPort {
                        name: "history".into(),
                        ty: "history",
                        about: "CSV: fold, bag, epoch, split (`train` or `validation`), loss, score (empty)",
                        of: Of::Step {
                            step: 2,
                            output: "history".into(),
                        },
                    },
                ],
            },
            params: params::specs(),
            steps: steps(FitScope::Fold),
        }
    }

    fn shape(&self, params: &Params, _inputs: &[String]) -> (Ports, Vec<Step>) {
        let scope = AutoencoderParams::read(params).scope;
        (self.spec().ports, steps(scope))
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let mut diags = built::check("autoencoder", &self.resources(params));
        diags.extend(fit_params::check(params));
        diags
    }

    fn resources(&self, params: &Params) -> Resources {
        claimed(params).0
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output != "features"
    }

    fn loops(&self, _params: &Params) -> Loops {
        Loops::Own
    }

    fn surroundings(&self, question: &Question<'_>) -> Result<Surroundings, StageError> {
        Ok(built::surroundings(&self.resources(question.params)))
    }

    #[cfg(feature = "burn")]
    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            FIT => fit::fit(action),
            ENCODE => encode::encode(action),
            _ => history::gather_history(action, "epochs", "history"),
        }
    }

    /// Pipelines with this kind are refused when they are checked.
    #[cfg(not(feature = "burn"))]
    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        match action.step {
            FIT | ENCODE => Err(built::not_built("autoencoder")),
            _ => history::gather_history(action, "epochs", "history"),
        }
    }
}

fn steps(scope: FitScope) -> Vec<Step> {
    let fit = Step::new("fit", Scope::Fold).rows("sequences", Rows::Train);
    let fit = match scope {
        FitScope::Fold => fit,
        FitScope::All => fit.rows("sequences", Rows::Unlabelled),
    };
    vec![
        fit.writes("model").writes("epochs").seeded(),
        Step::new("encode", Scope::Shard)
            .port("sequences")
            .after(FIT, "model")
            .writes("features"),
        Step::new("gather", Scope::Whole)
            .after(FIT, "epochs")
            .writes("history"),
    ]
}
