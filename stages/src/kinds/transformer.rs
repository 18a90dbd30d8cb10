//! Kind `transformer`: a Python class with `fit` and `transform`, from features to features, fitted fold by fold.

use std::sync::Arc;

use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, Of, OutputPort, ParamWord, Ports, Project, Question,
    Resources, Rows, Scope, Shards, Sources, Stage, StageError, Step, Surroundings,
};
use flow_engine::{Diag, ParamType, Params, params, words};

use super::python::{PythonClass, Work};

/// The kind.
pub struct Transformer(PythonClass);

/// The output of the step, which cannot have the name of an input.
const MADE: &str = "made";

impl Transformer {
    /// The kind, with the kind `command`, which starts Python.
    pub fn new(command: Arc<dyn Stage>) -> Self {
        let kind = "transformer";
        Self(PythonClass { command, kind })
    }
}

/// What `fit` is told of the training rows besides their features.
#[derive(Clone, Copy, PartialEq)]
enum FitTarget {
    None,
    Binary,
    Classes,
}

words!(FitTarget { None = "none", Binary = "binary", Classes = "classes" });

params! {
    struct TransformerParams<'a> {
        target: FitTarget = word(FitTarget::None, "What `fit` gets besides the features: nothing, 1 for the positive class and 0 for the rest, or the numbers 0 to k - 1 of the classes.");
        prefix: &'a str = new(ParamType::Str, "Put before the name of every column. The names are those that the class gives, or numbers.").or("".into());
    }
}

/// What the class is to do.
fn work(params: &Params) -> Work {
    let given = TransformerParams::read(params);
    Work {
        outputs: vec![(MADE, "features.parquet")],
        more: vec![
            ("target", given.target.word().into()),
            ("prefix", given.prefix.into()),
        ],
    }
}

impl Stage for Transformer {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: self.0.kind,
            version: 1,
            about: "Fits a Python transformer fold by fold and gives new features",
            ports: Ports {
                inputs: vec![
                    InputPort::many("features", "features"),
                    InputPort::one("folds", "folds"),
                ],
                outputs: vec![OutputPort {
                    name: "features".into(),
                    ty: "features",
                    about: "object_id and what `transform` gives, one table a fold",
                    of: Of::Step {
                        step: 0,
                        output: MADE.into(),
                    },
                }],
            },
            params: self.0.specs(TransformerParams::specs()),
            steps: vec![
                Step::new("run", Scope::Fold)
                    .sources(Sources::Common)
                    .rows("features", Rows::Train)
                    .rows("features", Rows::Apply)
                    .writes(MADE)
                    .seeded(),
            ],
        }
    }

    fn check(&self, params: &Params, inputs: &[String]) -> Vec<Diag> {
        self.0.check(params, &work(params), inputs)
    }

    fn layout(
        &self,
        params: &Params,
        project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        self.0.layout(params, &work(params), project)
    }

    fn resources(&self, params: &Params) -> Resources {
        self.0.resources(params, &work(params))
    }

    fn surroundings(&self, question: &Question<'_>) -> Result<Surroundings, StageError> {
        self.0.surroundings(question, &work(question.params))
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        self.0.run(action, &work(action.params))
    }
}
