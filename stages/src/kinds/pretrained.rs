//! Kind `pretrained`: applies a model that was fitted elsewhere with LightGBM or XGBoost.
//!
//! Nothing here can know which rows the model was fitted on. The lineage of its predictions says so, and an
//! evaluation of them notes that they are taken on trust.

use std::collections::BTreeSet;
use std::path::Path;

use flow_cache::Value;
use flow_engine::kind::{
    InputPort, Layout, OutputPort, Ports, Project, Rows, Scope, Shards, SourceFile, Sources, Step,
};
use flow_engine::{Action, Diag, KindSpec, ParamType, Params, Stage, StageError, params, words};

use crate::learner::{LearnError, Matrix, TreeEnsemble, lightgbm, xgboost};
use crate::rows::{self, FeatureView};
use crate::table::{FeatureTable, Folds, Predictions};

/// The kind.
pub struct Pretrained;

/// How the columns of a model are found among the features.
#[derive(Clone, Copy, PartialEq)]
enum ColumnMatch {
    Names,
    Order,
}

words!(ColumnMatch { Names = "names", Order = "order" });

params! {
    struct PretrainedParams<'a> {
        path: &'a Path = new(ParamType::Path, "The model: LightGBM's text (`booster.save_model(\"model.txt\")`) or XGBoost's JSON (`save_model(\"model.json\")`), told apart by their first bytes.").unkeyed();
        classes: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Str)), "The classes in the order of the model's; for a binary model the one class whose probability it gives.");
        columns: ColumnMatch = word(ColumnMatch::Names, "Find the model's columns by their names, or take the columns of the features in their order.");
    }
}

impl Stage for Pretrained {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "pretrained",
            version: 1,
            about: "Predicts with a LightGBM or XGBoost model that was fitted elsewhere",
            ports: Ports {
                inputs: vec![
                    InputPort::many("features", "features"),
                    InputPort {
                        optional: true,
                        ..InputPort::one("folds", "folds")
                    },
                ],
                outputs: vec![OutputPort::of(
                    "predictions",
                    "predictions",
                    0,
                    "object_id, repeat, fold (null without folds, and for unlabelled objects), label, p_<class>...",
                )],
            },
            params: PretrainedParams::specs(),
            steps: vec![
                Step::new("apply", Scope::Whole)
                    .foreign()
                    .sources(Sources::Common)
                    .port("features")
                    .port("folds")
                    .writes("predictions"),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let mut classes = PretrainedParams::read(params).classes;
        classes.sort_unstable();
        let Some(pair) = classes.windows(2).find(|pair| pair[0] == pair[1]) else {
            return Vec::new();
        };
        let diag = Diag::new(
            "flow::pretrained::classes",
            format!("`classes` names `{}` twice", pair[0]),
        );
        vec![match params.span("classes") {
            Some(span) => diag.label(span, "one name a class"),
            None => diag,
        }]
    }

    fn layout(
        &self,
        params: &Params,
        project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        let path = PretrainedParams::read(params).path;
        if path.is_file() {
            let common = vec![SourceFile {
                role: "model".into(),
                path: path.to_owned(),
            }];
            return Ok(Layout {
                common,
                ..Layout::default()
            });
        }
        let shown = path.strip_prefix(project.root).unwrap_or(path).display();
        let diag = Diag::new("flow::data::missing", format!("no file `{shown}`"));
        let diag = match params.span("path") {
            Some(span) => diag.label(span, "no such file"),
            None => diag,
        };
        Err(vec![diag.help("paths are relative to the project root")])
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let Some((file, _)) = action.all_sources().first() else {
            return Err(StageError::environment("a model without its file"));
        };
        let bytes = std::fs::read(&file.path)?;
        let params = PretrainedParams::read(action.params);
        let (model, names) = read(&bytes).map_err(unreadable)?;
        let wanted = if model.n_classes() == 2 {
            1
        } else {
            model.n_classes()
        };
        if params.classes.len() != wanted {
            let message = format!(
                "the model gives probabilities of {wanted} classes, and `classes` names {}",
                params.classes.len()
            );
            return Err(StageError::data("flow::pretrained::classes", message).help(
                "name the classes in the order of the model; of a binary model only the class that it calls 1",
            ));
        }
        let folds = match action.input("folds") {
            [] => None,
            parts => Some(Folds::read(&parts[0].path)?),
        };
        let object_id = match &folds {
            Some(folds) => folds.object_id.clone(),
            None => objects(action)?,
        };
        let view = FeatureView::open(action.input("features"), &object_id)?;
        let probability = match object_id.len() {
            0 => vec![Vec::new(); wanted],
            _ => predict(&model, &matrix(&view, &names, &model, params.columns)?)?,
        };
        let all = table(&params, object_id, folds.as_ref(), &probability);
        let attrs = vec![("rows".to_owned(), Value::Int(all.len() as i64))];
        let mut writer = action.create()?;
        all.write(&mut writer)?;
        action.finish("predictions", writer, attrs)
    }
}

/// Reads a model of either package, and the names of its columns, if it has any.
fn read(bytes: &[u8]) -> Result<(TreeEnsemble, Vec<String>), LearnError> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => xgboost::read(bytes),
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|e| LearnError::Model(e.into()))?;
            lightgbm::read(text)
        }
    }
}

fn unreadable(error: LearnError) -> StageError {
    StageError::data("flow::pretrained::model", "the model cannot be used")
        .because(error)
        .help("save it with LightGBM's `booster.save_model(\"model.txt\")` or XGBoost's `save_model(\"model.json\")`")
}

/// All objects of the features, in the order of their bytes.
fn objects(action: &Action<'_>) -> Result<Vec<String>, StageError> {
    let parts = action.input("features").iter();
    let mut all = BTreeSet::new();
    for part in parts.filter(|part| part.reference == 0) {
        all.extend(FeatureTable::open(&part.path)?.object_ids().iter().cloned());
    }
    Ok(all.into_iter().collect())
}

/// The model's columns of the features.
fn matrix(
    view: &FeatureView,
    names: &[String],
    model: &TreeEnsemble,
    by: ColumnMatch,
) -> Result<Matrix, StageError> {
    let wrong = |message: String| StageError::data("flow::pretrained::columns", message);
    let known = view.names().len();
    let columns = match by {
        ColumnMatch::Order if known == model.columns => (0..known).collect(),
        ColumnMatch::Order => {
            let message = format!("the model has {} columns, the features {known}", model.columns);
            return Err(wrong(message).help("give it the features that it was fitted on, or find them by name: columns = \"names\""));
        }
        ColumnMatch::Names if names.is_empty() => {
            return Err(wrong("the model does not know the names of its columns".into())
                .help("fit it on a table with names, or take the features in their order: columns = \"order\""));
        }
        ColumnMatch::Names => view.indices(names).map_err(|e| {
            e.help("columns = \"order\" takes the features in their order, whatever the model calls them")
        })?,
    };
    view.matrix(&columns)
}

/// The probabilities by class and row; of a binary model, those of class 1.
fn predict(model: &TreeEnsemble, x: &Matrix) -> Result<Vec<Vec<f64>>, StageError> {
    let flat = model
        .predict(x)
        .map_err(|e| StageError::failed("flow::model::predict", e.to_string()).with_source(e))?;
    let n = model.n_classes();
    let classes = if n == 2 { 1..2 } else { 0..n };
    let column = |class: usize| flat.iter().skip(class).step_by(n).copied().collect();
    Ok(classes.map(column).collect())
}

/// A row for each object; with folds, one for each repeat that holds a labelled object out.
fn table(
    params: &PretrainedParams<'_>,
    object_id: Vec<String>,
    folds: Option<&Folds>,
    probability: &[Vec<f64>],
) -> Predictions {
    // Tables of predictions have their classes in the order of their bytes.
    let mut order: Vec<usize> = (0..params.classes.len()).collect();
    order.sort_by_key(|&class| params.classes[class]);
    let classes: Vec<String> = order.iter().map(|&c| params.classes[c].into()).collect();
    let mut all = Predictions {
        positive: match folds {
            Some(folds) => folds.positive.clone().filter(|p| classes.contains(p)),
            None => classes.first().filter(|_| classes.len() == 1).cloned(),
        },
        probability: vec![Vec::new(); classes.len()],
        classes,
        ..Predictions::default()
    };
    let mut push = |row: usize, repeat: usize, fold: Option<i32>, label: Option<String>| {
        all.object_id.push(object_id[row].clone());
        all.repeat.push(repeat as i32);
        all.fold.push(fold);
        all.label.push(label);
        for (column, &class) in all.probability.iter_mut().zip(&order) {
            column.push(probability[class][row]);
        }
    };
    let Some(folds) = folds else {
        (0..object_id.len()).for_each(|row| push(row, 0, None, None));
        return all;
    };
    for (repeat, held_out) in folds.repeats.iter().enumerate() {
        for (row, fold) in held_out.iter().enumerate() {
            if fold.is_some() {
                push(row, repeat, *fold, folds.label[row].clone());
            }
        }
    }
    for row in rows::rows_of(folds, None, Rows::Apply) {
        push(row, 0, None, folds.label[row].clone());
    }
    all.sort();
    all
}
