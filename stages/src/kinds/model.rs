//! Kind `model`: fits a learner on each fold's training rows and predicts the others.

use std::error::Error;
use std::io::Write;

use flow_cache::Value;
use flow_engine::kind::FromParam;
use flow_engine::kind::{
    Action, Fault, InputPort, KindSpec, Of, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, Params, params, words};

use crate::learner::bag::Bag;
use crate::learner::{
    ClassWeight, EarlyStopping, FitJob, LEARNERS, LearnError, LearnerParams, learner,
};
use crate::rows::{self, ApplyRows, TrainRows, binary_labels};
use crate::table::{Folds, Predictions, row_attrs, write_importance};

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
            FIT => fit(action),
            APPLY => apply(action),
            _ => gather(action),
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

/// The classes that a model has to tell apart.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum ModelTarget {
    /// The positive class from the rest.
    Binary,
    /// All classes from each other.
    Classes,
}

words!(ModelTarget { Binary = "binary", Classes = "classes" });

impl ModelTarget {
    /// The class of each row as a number, and how many classes there are.
    pub(super) fn labels(self, rows: &TrainRows) -> Result<(Vec<usize>, usize), StageError> {
        match self {
            Self::Binary => Ok((binary_labels(rows)?, 2)),
            Self::Classes => Ok((rows.label.clone(), rows.classes.len())),
        }
    }
}

const HESS: &[&str] = &["hessboost"];

params! {
    struct ModelParams<'a> {
        learner: &'a str = choice(LEARNERS[0], &LEARNERS, "Gradient-boosted trees: `hessboost` (histograms, missing values learned) or `gbdt` (exact splits, one thread, at most 2,000 columns, missing values imputed by the median).");
        target: ModelTarget = word(ModelTarget::Binary, "Learn the positive class against the rest, or all classes at once (P(positive) is then what binary metrics see).");
        rounds: usize = int(150, 1, 100_000, "Boosting rounds; with early stopping, the most there may be.");
        learning_rate: f64 = float(0.05, 1e-6, 1.0, "Shrinkage of each tree.");
        max_depth: usize = int(4, 1, 16, "Levels of splits in a tree.");
        subsample: f64 = float(1.0, 0.01, 1.0, "Share of the rows that each round draws.");
        scale_pos_weight: ClassWeight = new(class_weight(), "Weight of the positive class, or \"auto\" for n_negative / n_positive (with classes, n / (k n_class)).").or("none".into());
        bags: Option<usize> = new(ParamType::Int { min: 1, max: 100 }, "Models that are fitted with other seeds, whose probabilities are averaged; 1 unless given.").optional();
        early_stopping: usize = int(0, 0, 100_000, "Rounds without improvement after which fitting stops, judged on a part of the training rows; 0 for never. The model is then fitted anew on all of them.");
        early_stopping_fraction: f64 = float(0.2, 0.01, 0.9, "Share of the training rows that early stopping is judged on.");
        colsample: Option<f64> = float(1.0, 0.0001, 1.0, "Share of the columns that each tree may split on, drawn anew for each tree (with classes, each class has its own trees); rounded down, at least one column.").only("learner", HESS);
        max_bin: Option<usize> = int(64, 2, 65_535, "Most histogram bins a column.").only("learner", HESS);
        lambda: Option<f64> = float(1.0, 0.0, 1e9, "L2 penalty on leaf values.").only("learner", HESS);
        max_leaves: Option<usize> = new(ParamType::Int { min: 0, max: 65_536 }, "Most leaves of a tree, which then grows leaf by leaf where the loss falls most; 0, as if not given, for trees that grow level by level. `max_depth` limits both.").optional().only("learner", HESS);
        min_rows: Option<usize> = new(ParamType::Int { min: 1, max: 1_000_000 }, "Fewest rows in a leaf; 1 unless given.").optional().only("learner", HESS);
        extra_trees: Option<bool> = new(ParamType::Bool, "Try each column at one random threshold per node, and not at all of them. Single trees get worse, the sum of many less dependent on the training rows; false unless given.").optional().only("learner", HESS);
        min_child_weight: Option<f64> = float(1.0, 0.0, 1e9, "Least sum of second derivatives in a leaf.").only("learner", HESS);
        min_samples: Option<usize> = int(5, 1, 1_000_000, "A node of this many rows or fewer is not split.").only("learner", &["gbdt"]);
    }
}

fn class_weight() -> ParamType {
    let (min, max) = (1e-9, 1e9);
    ParamType::OneOf(vec![
        ParamType::Choice(&["none", "auto"]),
        ParamType::Float { min, max },
    ])
}

impl<'a> FromParam<'a> for ClassWeight {
    fn absent() -> Self {
        Self::None
    }

    fn fits(ty: &ParamType) -> bool {
        *ty == class_weight()
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        match value.as_str() {
            Some("none") => Some(Self::None),
            Some("auto") => Some(Self::Auto),
            _ => value.as_float().map(Self::Value),
        }
    }
}

impl ModelParams<'_> {
    fn for_learner(&self, seed: u64) -> LearnerParams {
        LearnerParams {
            rounds: self.rounds,
            learning_rate: self.learning_rate,
            max_depth: self.max_depth,
            subsample: self.subsample,
            class_weight: self.scale_pos_weight,
            early_stopping: (self.early_stopping > 0).then_some(EarlyStopping {
                fraction: self.early_stopping_fraction,
                patience: self.early_stopping,
            }),
            seed,
            min_child_weight: self.min_child_weight,
            min_samples: self.min_samples,
            lambda: self.lambda,
            colsample: self.colsample,
            max_bin: self.max_bin,
            max_leaves: self.max_leaves,
            min_rows: self.min_rows,
            extra_trees: self.extra_trees,
        }
    }
}

/// The header before the learner's own bytes in a model, as one line of JSON.
#[derive(serde::Serialize, serde::Deserialize)]
struct ModelHeader {
    learner: String,
    /// The classes, by column of probabilities; with a binary target only the positive class.
    classes: Vec<String>,
    positive: Option<String>,
    columns: Vec<String>,
    rounds: usize,
    /// The numbers of bytes of the models of a bag, in their order; empty for a model by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bag: Vec<usize>,
}

fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let rows = TrainRows::read(action)?;
    let params = ModelParams::read(action.params);
    let (labels, n_classes) = params.target.labels(&rows)?;
    let classes = match params.target {
        ModelTarget::Binary => rows.positive.iter().cloned().collect(),
        ModelTarget::Classes => rows.classes.clone(),
    };
    let columns: Vec<usize> = (0..rows.features.names().len()).collect();
    let matrix = rows.features.matrix(&columns)?;
    let learner = learner(params.learner).ok_or_else(|| {
        let message = format!("no learner `{}`", params.learner);
        StageError::failed("flow::model::learner", message)
    })?;
    let job = FitJob {
        x: &matrix,
        y: &labels,
        n_classes,
        params: &params.for_learner(action.seed),
        threads: action.threads,
        stop: &action.stop(),
    };
    let model = Bag::fit(learner, &job, params.bags.unwrap_or(1))
        .map_err(|e| fit_error(e, action.fold.unwrap_or_default()))?;
    let bodies = model
        .to_bytes()
        .map_err(|e| StageError::failed("flow::model::write", e.to_string()).with_source(e))?;
    let sizes = bodies.iter().map(Vec::len);
    let header = ModelHeader {
        learner: learner.name().into(),
        classes,
        positive: rows.positive.clone(),
        columns: rows.features.names().to_vec(),
        rounds: model.rounds(),
        bag: sizes.filter(|_| bodies.len() > 1).collect(),
    };
    let mut bytes = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
    bytes.push(b'\n');
    bytes.extend(bodies.iter().flatten());
    let facts = vec![
        (
            "columns".to_owned(),
            Value::Int(header.columns.len() as i64),
        ),
        ("rounds".to_owned(), Value::Int(header.rounds as i64)),
        ("rows".to_owned(), Value::Int(rows.object_id.len() as i64)),
    ];
    action.write("model", &bytes, facts)?;
    let gain: Vec<(&String, f64)> = header
        .columns
        .iter()
        .zip(model.importance())
        .filter(|(_, gain)| *gain > 0.0)
        .collect();
    let gain = serde_json::to_vec(&gain).map_err(std::io::Error::from)?;
    action.write("gain", &gain, Vec::new())
}

/// Says in which fold a learner could not fit, and whose fault it is.
pub(super) fn fit_error(error: LearnError, fold: &str) -> StageError {
    let fault = match error {
        LearnError::Stopped => return StageError::interrupted(),
        LearnError::Unsupported { .. } | LearnError::Parameter { .. } | LearnError::Data(_) => {
            Fault::Data
        }
        _ => Fault::Stage,
    };
    StageError::new(fault, "flow::model::fit", format!("fold {fold}")).because(error)
}

/// Reads what [`fit`] wrote as `model`.
fn read_model(bytes: &[u8]) -> Result<(ModelHeader, Bag), StageError> {
    let unreadable = |e: Box<dyn Error + Send + Sync>| {
        StageError::data("flow::data::schema", "a model is unreadable").because(e)
    };
    let split = bytes
        .iter()
        .position(|&b| b == b'\n')
        .ok_or_else(|| unreadable("it has no header".into()))?;
    let header: ModelHeader =
        serde_json::from_slice(&bytes[..split]).map_err(|e| unreadable(e.into()))?;
    let mut rest = &bytes[split + 1..];
    let mut bodies = Vec::with_capacity(header.bag.len().max(1));
    for &size in &header.bag {
        let (body, after) = rest
            .split_at_checked(size)
            .ok_or_else(|| unreadable("it ends too early".into()))?;
        bodies.push(body);
        rest = after;
    }
    if bodies.is_empty() {
        bodies.push(rest);
    }
    let learner = learner(&header.learner)
        .ok_or_else(|| unreadable(format!("learner `{}` is not known", header.learner).into()))?;
    let model = Bag::load(learner, &bodies).map_err(|e| unreadable(e.into()))?;
    Ok((header, model))
}

fn apply(action: &mut Action<'_>) -> Result<(), StageError> {
    let bytes = std::fs::read(&action.one("model")?.path)?;
    let (header, model) = read_model(&bytes)?;
    let rows = ApplyRows::read(action)?;
    let columns = rows.features.indices(&header.columns)?;
    let n = rows.object_id.len();
    let probability = if n == 0 {
        vec![Vec::new(); header.classes.len()]
    } else {
        let flat = model
            .predict(&rows.features.matrix(&columns)?)
            .map_err(|e| {
                StageError::failed("flow::model::predict", e.to_string()).with_source(e)
            })?;
        let n_classes = model.n_classes();
        // With a binary target the second column is the positive class, and only that one is kept.
        let first = n_classes - header.classes.len();
        (first..n_classes)
            .map(|c| (0..n).map(|i| flat[i * n_classes + c]).collect())
            .collect()
    };
    let part = Predictions {
        classes: header.classes,
        positive: header.positive,
        repeat: vec![0; n],
        fold: vec![None; n],
        label: vec![None; n],
        object_id: rows.object_id,
        probability,
    };
    let attrs = row_attrs(&part.object_id);
    let mut writer = action.create()?;
    part.write(&mut writer)?;
    action.finish("part", writer, attrs)
}

fn gather(action: &mut Action<'_>) -> Result<(), StageError> {
    let folds = Folds::read(&action.one("folds")?.path)?;
    rows::gather(action, "part", "predictions", &folds, |_| {})?;
    let importance = mean_gain(action)?;
    let attrs = vec![("rows".to_owned(), Value::Int(importance.len() as i64))];
    let mut writer = action.create()?;
    write_importance(&mut writer, &importance)?;
    writer.flush()?;
    action.finish("importance", writer, attrs)
}

/// Each column's share of the gain, averaged over the fits of the cross-validation (or of the final fit
/// if there is no other), the largest first.
fn mean_gain(action: &Action<'_>) -> Result<Vec<(String, f64)>, StageError> {
    let parts = action.input("gain");
    let crossed = |part: &&flow_engine::kind::Part| part.fold.as_deref() != Some(rows::FINAL);
    let mut used: Vec<_> = parts.iter().filter(crossed).collect();
    if used.is_empty() {
        used = parts.iter().collect();
    }
    let mut sums = std::collections::BTreeMap::new();
    for part in &used {
        let bytes = std::fs::read(&part.path)?;
        let gain: Vec<(String, f64)> = serde_json::from_slice(&bytes).map_err(|e| {
            StageError::data("flow::data::schema", "a list of gains is unreadable").because(e)
        })?;
        for (name, gain) in gain {
            *sums.entry(name).or_insert(0.0) += gain / used.len() as f64;
        }
    }
    let mut list: Vec<(String, f64)> = sums.into_iter().collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(list)
}
