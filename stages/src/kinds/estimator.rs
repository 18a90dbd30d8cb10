//! Kind `estimator`: a Python class with scikit-learn's interface as a model, fitted fold by fold.

use std::sync::Arc;

use flow_cache::Value;
use flow_engine::command::FoldRows;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, OutputPort, Ports, Project, Question, Resources, Rows,
    Scope, Shards, Sources, Stage, StageError, Step, Surroundings,
};
use flow_engine::{Diag, ParamType, Params, params};

use super::command::FoldTables;
use super::model::ModelTarget;
use super::python::{PythonClass, Work};
use crate::rows;

/// The kind.
pub struct Estimator(PythonClass);

/// What an estimator that is saved is called in the steps.
const PICKLED: &str = "pickled";

const RUN: usize = 0;
const GATHER: usize = 1;

impl Estimator {
    /// The kind, with the kind `command`, which starts Python.
    pub fn new(command: Arc<dyn Stage>) -> Self {
        let kind = "estimator";
        Self(PythonClass { command, kind })
    }
}

params! {
    struct EstimatorParams<'a> {
        target: ModelTarget = word(ModelTarget::Binary, "Learn the positive class against the rest, or all classes at once. The class is fitted on the numbers 0 to k - 1.");
        class_weight: &'a Value = new(class_weight(), "Weights of the training rows, given to `fit` as `sample_weight`: \"balanced\" gives each of k classes the weight n / (k n_class), a table such as `{ TDE = 10 }` gives the classes that it names theirs, and the others 1.").or("none".into());
        save: bool = bool(false, "Gives the estimator of the final fit, on all labelled rows, pickled as the output `model`.");
    }
}

fn class_weight() -> ParamType {
    let (min, max) = (0.0, 1e9);
    ParamType::OneOf(vec![
        ParamType::Choice(&["none", "balanced"]),
        ParamType::Map(Box::new(ParamType::Float { min, max })),
    ])
}

/// What the class is to do.
fn work(params: &Params) -> Work {
    let given = EstimatorParams::read(params);
    let mut outputs = vec![
        ("predictions", "predictions.parquet"),
        ("gain", "gain.json"),
    ];
    if given.save {
        outputs.push((PICKLED, "model.pickle"));
    }
    let target = flow_engine::kind::ParamWord::word(given.target);
    Work {
        outputs,
        more: vec![
            ("target", target.into()),
            ("class_weight", given.class_weight.to_json()),
        ],
    }
}

/// The ports and steps, those of a stage that saves its estimators or not.
fn shape(save: bool) -> (Ports, Vec<Step>) {
    let mut run = Step::new("run", Scope::Fold)
        .sources(Sources::Common)
        .rows("features", Rows::Train)
        .rows("features", Rows::Apply)
        .writes("predictions")
        .writes("gain")
        .seeded();
    let mut outputs = vec![
        OutputPort::of(
            "predictions",
            "predictions",
            GATHER,
            "object_id, repeat, fold (null for the final fit), label, p_<class>...",
        ),
        OutputPort::of(
            "importance",
            "importance",
            GATHER,
            "feature and its share of `feature_importances_` or of the absolute `coef_`, averaged over folds, the largest first; no rows if the class has neither",
        ),
    ];
    if save {
        run = run.writes(PICKLED);
    }
    let mut gather = Step::new("gather", Scope::Whole)
        .after(RUN, "predictions")
        .after(RUN, "gain")
        .port("folds")
        .writes("predictions")
        .writes("importance");
    if save {
        gather = gather.after(RUN, PICKLED).writes("model");
        outputs.push(OutputPort::of(
            "model",
            "file",
            GATHER,
            "the estimator of the final fit, pickled",
        ));
    }
    let inputs = vec![
        InputPort::many("features", "features"),
        InputPort::one("folds", "folds"),
    ];
    (Ports { inputs, outputs }, vec![run, gather])
}

impl Stage for Estimator {
    fn spec(&self) -> KindSpec {
        let (ports, steps) = shape(false);
        KindSpec {
            name: self.0.kind,
            version: 1,
            about: "Fits a Python classifier with scikit-learn's interface fold by fold",
            ports,
            params: self.0.specs(EstimatorParams::specs()),
            steps,
        }
    }

    fn shape(&self, params: &Params, _inputs: &[String]) -> (Ports, Vec<Step>) {
        shape(EstimatorParams::read(params).save)
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

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "model"
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        if action.step == RUN {
            return self.0.run(action, &work(action.params));
        }
        FoldTables.gather(action, "predictions")?;
        rows::gather_importance(action, "gain", "importance")?;
        match EstimatorParams::read(action.params).save {
            true => save_final(action),
            false => Ok(()),
        }
    }
}

/// Gives the estimator of the final fit.
fn save_final(action: &mut Action<'_>) -> Result<(), StageError> {
    let mut parts = action.input(PICKLED).iter();
    let last = parts.find(|part| part.fold.as_deref() == Some(rows::FINAL));
    let last = last.ok_or_else(|| {
        let message = "there is no final fit, because every object has a label";
        StageError::data("flow::python::no_final", message).help("leave out `save`")
    })?;
    let bytes = std::fs::read(&last.path)?;
    action.write("model", &bytes, Vec::new())
}
