//! The features that moved each prediction most.

use flow_cache::Value;
use flow_engine::kind::{Action, StageError};
use rayon::prelude::*;

use super::{ReasonsParams, model};
use crate::learner::Explainer;
use crate::learner::saved::SavedModel;
use crate::rows::{self, ApplyRows};
use crate::table::{Reason, ReasonRow, write_reasons};

/// The rows that are explained between two questions whether the run was stopped.
const ROWS: usize = 256;

/// Explains the predictions of the fold's model for the rows of the shard.
pub fn explain(action: &mut Action<'_>) -> Result<(), StageError> {
    let saved = model(action)?;
    let top = ReasonsParams::read(action.params).top;
    let rows = ApplyRows::read(action)?;
    let columns = rows.features.indices(&saved.header.columns)?;
    let fold = rows::parse(action.fold.unwrap_or(rows::FINAL))?;
    let explainer = saved.model.explainer().ok_or_else(|| unexplained(&saved))?;
    let mut all: Vec<ReasonRow> = Vec::with_capacity(rows.object_id.len());
    if !rows.object_id.is_empty() {
        let matrix = rows.features.matrix(&columns)?;
        let predicted = saved.model.predict(&matrix).map_err(|e| {
            StageError::failed("flow::model::predict", e.to_string()).with_source(e)
        })?;
        let classes = classes(&saved, &predicted);
        for from in (0..matrix.rows()).step_by(ROWS) {
            action.checkpoint()?;
            let here = from..matrix.rows().min(from + ROWS);
            let explained = here.into_par_iter().map(|i| {
                let (name, class) = &classes[i];
                ReasonRow {
                    object_id: rows.object_id[i].clone(),
                    repeat: fold.map_or(0, |(repeat, _)| repeat),
                    fold: fold.map(|(_, fold)| fold),
                    class: name.clone(),
                    features: reasons(
                        &*explainer,
                        matrix.row(i),
                        *class,
                        top,
                        &saved.header.columns,
                    ),
                }
            });
            all.par_extend(explained);
        }
    }
    let bytes = serde_json::to_vec(&all).map_err(std::io::Error::from)?;
    action.write("part", &bytes, Vec::new())
}

/// The class of each row that is explained, by name and index: the positive one, or else the one that is
/// predicted.
fn classes(saved: &SavedModel, predicted: &[f64]) -> Vec<(String, usize)> {
    let n = saved.model.n_classes();
    let names = &saved.header.classes;
    let positive = saved.header.positive.as_ref();
    let positive = positive.and_then(|name| Some((name.clone(), saved.class(name)?)));
    let most = |p: &[f64]| {
        let first = saved.first();
        let best = (first..n).reduce(|best, c| if p[c] > p[best] { c } else { best });
        let best = best.unwrap_or(first);
        (names[best - first].clone(), best)
    };
    let each = predicted
        .chunks(n)
        .map(|p| positive.clone().unwrap_or_else(|| most(p)));
    each.collect()
}

/// The features with the largest Shapley values; those that moved nothing are left out.
fn reasons(
    explainer: &dyn Explainer,
    row: &[f32],
    class: usize,
    top: usize,
    names: &[String],
) -> Vec<Reason> {
    let mut phi = vec![0.0; row.len()];
    explainer.add(row, class, &mut phi);
    let mut order: Vec<usize> = (0..phi.len())
        .filter(|&column| phi[column] != 0.0)
        .collect();
    order.sort_by(|&a, &b| phi[b].abs().total_cmp(&phi[a].abs()).then(a.cmp(&b)));
    let reason = |&column: &usize| Reason {
        feature: names[column].clone(),
        shap: phi[column],
        value: Some(f64::from(row[column])).filter(|value| !value.is_nan()),
    };
    order.iter().take(top).map(reason).collect()
}

/// Says that a learner does not tell why.
fn unexplained(saved: &SavedModel) -> StageError {
    let learner = &saved.header.learner;
    let message =
        format!("learner `{learner}` does not keep what its predictions could be explained by");
    StageError::data("flow::reasons::learner", message)
        .help("fit the model with learner = \"hessboost\", \"logistic\" or \"ridge\"")
}

/// Joins the parts.
pub fn gather(action: &mut Action<'_>) -> Result<(), StageError> {
    let mut all: Vec<ReasonRow> = Vec::new();
    for part in action.input("part") {
        let bytes = std::fs::read(&part.path)?;
        let rows: Vec<ReasonRow> = serde_json::from_slice(&bytes).map_err(|e| {
            StageError::data("flow::data::schema", "a list of reasons is unreadable").because(e)
        })?;
        all.extend(rows);
    }
    let key = |row: &ReasonRow| (row.repeat, row.object_id.clone(), row.fold);
    all.sort_by_cached_key(key);
    let attrs = vec![("rows".to_owned(), Value::Int(all.len() as i64))];
    let mut writer = action.create()?;
    write_reasons(&mut writer, &all, ReasonsParams::read(action.params).top)?;
    action.finish("reasons", writer, attrs)
}
