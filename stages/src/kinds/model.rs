//! Kind `model`: fits a learner on each fold's training rows and predicts the others.

use std::error::Error;
use std::io::Write;

use flow_cache::Value;
use flow_engine::kind::{
    Action, Fault, InputPort, KindSpec, Of, OutputPort, Ports, Rows, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamSpec, ParamType, Params};

use crate::learner::{
    ClassWeight, EarlyStopping, LEARNERS, LearnError, Learner, LearnerParams, learner,
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
            params: params(),
            steps: vec![
                Step::new("fit", Scope::Fold)
                    .rows("features", Rows::Train)
                    .writes("model")
                    .writes("gain")
                    .seeded(),
                Step::new("apply", Scope::FoldShard)
                    .rows("features", Rows::Apply)
                    .after(FIT, "model")
                    .writes("part"),
                Step::new("gather", Scope::Whole)
                    .after(APPLY, "part")
                    .after(FIT, "gain")
                    .port("folds")
                    .writes("predictions")
                    .writes("importance"),
            ],
        }
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

fn params() -> Vec<ParamSpec> {
    let hess: &[&str] = &["hessboost"];
    let weight = ParamType::OneOf(vec![
        ParamType::Choice(&["none", "auto"]),
        ParamType::Float {
            min: 1e-9,
            max: 1e9,
        },
    ]);
    vec![
        ParamSpec::choice("learner", LEARNERS[0], &LEARNERS, "Gradient-boosted trees: `hessboost` (histograms, missing values learned) or `gbdt` (exact splits, one thread, at most 2,000 columns, missing values imputed by the median)."),
        ParamSpec::choice("target", "binary", &["binary", "classes"], "Learn the positive class against the rest, or all classes at once (P(positive) is then what binary metrics see)."),
        ParamSpec::int("rounds", 150, 1, 100_000, "Boosting rounds; with early stopping, the most there may be."),
        ParamSpec::float("learning_rate", 0.05, 1e-6, 1.0, "Shrinkage of each tree."),
        ParamSpec::int("max_depth", 4, 1, 16, "Levels of splits in a tree."),
        ParamSpec::float("subsample", 1.0, 0.01, 1.0, "Share of the rows that each round draws."),
        ParamSpec::new("scale_pos_weight", weight, "Weight of the positive class, or \"auto\" for n_negative / n_positive (with classes, n / (k n_class)).").or(Value::Str("none".into())),
        ParamSpec::int("early_stopping", 0, 0, 100_000, "Rounds without improvement after which fitting stops, judged on a part of the training rows; 0 for never. The model is then fitted anew on all of them."),
        ParamSpec::float("early_stopping_fraction", 0.2, 0.01, 0.9, "Share of the training rows that early stopping is judged on."),
        ParamSpec::float("colsample", 1.0, 0.0001, 1.0, "Share of the columns that each tree may split on.").only("learner", hess),
        ParamSpec::int("max_bin", 64, 2, 65_535, "Most histogram bins a column.").only("learner", hess),
        ParamSpec::float("lambda", 1.0, 0.0, 1e9, "L2 penalty on leaf values.").only("learner", hess),
        ParamSpec::float("min_child_weight", 1.0, 0.0, 1e9, "Least sum of second derivatives in a leaf.").only("learner", hess),
        ParamSpec::int("min_samples", 5, 1, 1_000_000, "A node of this many rows or fewer is not split.").only("learner", &["gbdt"]),
    ]
}

fn learner_params(action: &Action<'_>) -> LearnerParams {
    let p = action.params;
    let class_weight = match p.opt_str("scale_pos_weight") {
        Some("auto") => ClassWeight::Auto,
        Some(_) => ClassWeight::None,
        None => ClassWeight::Value(p.float("scale_pos_weight")),
    };
    let patience = p.usize("early_stopping");
    LearnerParams {
        rounds: p.usize("rounds"),
        learning_rate: p.float("learning_rate"),
        max_depth: p.usize("max_depth"),
        subsample: p.float("subsample"),
        class_weight,
        early_stopping: (patience > 0).then(|| EarlyStopping {
            fraction: p.float("early_stopping_fraction"),
            patience,
        }),
        seed: action.seed,
        min_child_weight: p.opt_float("min_child_weight"),
        min_samples: p.get("min_samples").map(|_| p.usize("min_samples")),
        lambda: p.opt_float("lambda"),
        colsample: p.opt_float("colsample"),
        max_bin: p.get("max_bin").map(|_| p.usize("max_bin")),
    }
}

fn chosen_learner(action: &Action<'_>) -> Result<&'static dyn Learner, StageError> {
    let name = action.params.str("learner");
    learner(name)
        .ok_or_else(|| StageError::failed("flow::model::learner", format!("no learner `{name}`")))
}

/// What stands before the learner's own bytes in a model, as one line of JSON.
#[derive(serde::Serialize, serde::Deserialize)]
struct ModelHeader {
    learner: String,
    /// Classes by column of probabilities; with a binary target the positive class alone.
    classes: Vec<String>,
    positive: Option<String>,
    columns: Vec<String>,
    rounds: usize,
}

fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let rows = TrainRows::read(action)?;
    let binary = action.params.str("target") == "binary";
    let (labels, classes) = if binary {
        (
            binary_labels(&rows)?,
            rows.positive.iter().cloned().collect(),
        )
    } else {
        (rows.label.clone(), rows.classes.clone())
    };
    let n_classes = if binary { 2 } else { classes.len() };
    let columns: Vec<usize> = (0..rows.features.names().len()).collect();
    let matrix = rows.features.matrix(&columns)?;
    let learner = chosen_learner(action)?;
    let model = learner
        .fit(
            &matrix,
            &labels,
            n_classes,
            &learner_params(action),
            action.threads,
            &action.stop(),
        )
        .map_err(|e| fit_error(e, action.fold.unwrap_or_default()))?;
    let header = ModelHeader {
        learner: learner.name().into(),
        classes,
        positive: rows.positive.clone(),
        columns: rows.features.names().to_vec(),
        rounds: model.rounds(),
    };
    let mut bytes = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
    bytes.push(b'\n');
    let body = model
        .to_bytes()
        .map_err(|e| StageError::failed("flow::model::write", e.to_string()).with_source(e))?;
    bytes.extend_from_slice(&body);
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

fn fit_error(error: LearnError, fold: &str) -> StageError {
    let fault = match error {
        LearnError::Stopped => return StageError::interrupted(),
        LearnError::Unsupported { .. } | LearnError::Parameter { .. } | LearnError::Data(_) => {
            Fault::Data
        }
        _ => Fault::Stage,
    };
    StageError::new(fault, "flow::model::fit", format!("fold {fold}")).because(error)
}

fn apply(action: &mut Action<'_>) -> Result<(), StageError> {
    let unreadable = |e: Box<dyn Error + Send + Sync>| {
        StageError::data("flow::data::schema", "a model is unreadable").because(e)
    };
    let bytes = std::fs::read(&action.one("model")?.path)?;
    let split = bytes
        .iter()
        .position(|&b| b == b'\n')
        .ok_or_else(|| unreadable("it has no header".into()))?;
    let header: ModelHeader =
        serde_json::from_slice(&bytes[..split]).map_err(|e| unreadable(e.into()))?;
    let model = learner(&header.learner)
        .ok_or_else(|| unreadable(format!("learner `{}` is not known", header.learner).into()))?
        .load(&bytes[split + 1..])
        .map_err(|e| unreadable(e.into()))?;
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
        // With a binary target the second column is the positive class, and the only one kept.
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

/// Each column's share of the gain, averaged over the cross-validation's fits (over the final fit
/// where there is no other), the largest first.
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
