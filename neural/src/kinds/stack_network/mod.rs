//! Kind `stack_network`: combines the predictions of several models by a small network.
//!
//! It is cross-fitted like `stack`: the network for fold k is fitted on the out-of-fold rows of the other folds of the
//! same repeat, and the one for unlabelled rows on all out-of-fold rows of repeat 0. The defaults are the stacking ensemble
//! of Chaini and Kumar (2020, arXiv:2006.12333, section 3.7): one layer of 10 units, 50 epochs of Adam, cross-entropy.

#[cfg(feature = "burn")]
mod combine;

use flow_engine::base::diag::Diag;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Loops, OutputPort, Ports, Question, Resources, Scope, Stage,
    StageError, Step, Surroundings,
};
use flow_engine::{Params, params};

use super::built;

/// The kind.
pub struct StackNetworkKind;

const NAME: &str = "stack_network";

params! {
    struct StackNetworkParams {
        units: usize = int(10, 1, 8192, "Units of the layer between the predictions and the outputs, with hyperbolic tangents.");
        epochs: usize = int(50, 1, 100_000, "Epochs.");
        batch_size: usize = int(64, 1, 65_536, "Rows of a batch.");
        learning_rate: f64 = float(1e-3, 1e-9, 10.0, "The learning rate of Adam.");
    }
}

impl Stage for StackNetworkKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: NAME,
            version: 1,
            about: "Combines several models' predictions by a small neural network, cross-fitted",
            ports: Ports {
                inputs: vec![InputPort::many("predictions", "predictions")],
                outputs: vec![OutputPort::of(
                    "predictions",
                    "predictions",
                    0,
                    "a prediction like any model's",
                )],
            },
            params: StackNetworkParams::specs(),
            steps: vec![
                Step::new("combine", Scope::Whole)
                    .crossed()
                    .port("predictions")
                    .writes("predictions")
                    .seeded(),
            ],
        }
    }

    fn check(&self, _params: &Params, _inputs: &[String]) -> Vec<Diag> {
        built::check(NAME, &Resources::default())
    }

    fn loops(&self, _params: &Params) -> Loops {
        Loops::Own
    }

    fn surroundings(&self, _question: &Question<'_>) -> Result<Surroundings, StageError> {
        Ok(built::surroundings(&Resources::default()))
    }

    #[cfg(feature = "burn")]
    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        combine::combine(action, &StackNetworkParams::read(action.params))
    }

    /// Pipelines with this kind are refused when they are checked.
    #[cfg(not(feature = "burn"))]
    fn run(&self, _action: &mut Action<'_>) -> Result<(), StageError> {
        Err(built::not_built(NAME))
    }
}
