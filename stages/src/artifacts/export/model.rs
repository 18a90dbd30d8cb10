//! Fitted models for other programs.
//!
//! One model of `hessboost` becomes a model that XGBoost loads. All others become one JSON object that says
//! what a prediction is computed from; docs/learners.md describes it.

use std::io::Write;

use flow_engine::StageError;
use flow_engine::kind::Part;
use serde::Serialize;
use serde_json::Value as Json;

use crate::learner::saved::{ModelHeader, SavedModel};
use crate::learner::{LearnError, Model, xgboost};
use crate::rows::FINAL;

/// The format of the JSON object.
const FORMAT: &str = "flow model 1";

/// Returns true for the model of a learner, and false for what another kind calls a model.
pub fn is_learned(part: &Part) -> Result<bool, StageError> {
    Ok(ModelHeader::read(&std::fs::read(&part.path)?).is_ok())
}

/// Writes the final fit, or the only one.
pub fn write(parts: &[Part], to: &mut dyn Write) -> Result<(), StageError> {
    let last = |part: &&Part| parts.len() == 1 || part.fold.as_deref() == Some(FINAL);
    let part = parts.iter().find(last).ok_or_else(|| {
        let message = format!(
            "there are models of {} folds, and no final fit",
            parts.len()
        );
        StageError::data("flow::export::parts", message)
            .help("the `folds` stage leaves it out with `only`: name \"final\" there as well")
    })?;
    let saved = SavedModel::read(&std::fs::read(&part.path)?)
        .map_err(|e| StageError::data("flow::data::schema", "a model is unreadable").because(e))?;
    let bytes = bytes(&saved)
        .map_err(|e| StageError::failed("flow::model::write", e.to_string()).with_source(e))?;
    to.write_all(&bytes)?;
    Ok(())
}

fn bytes(saved: &SavedModel) -> Result<Vec<u8>, LearnError> {
    let header = &saved.header;
    if let Some(ensemble) = saved.model.ensemble() {
        return xgboost::write(&ensemble, &header.columns);
    }
    let models = saved.model.models();
    let models: Result<Vec<Json>, LearnError> =
        models.map(|model| json(model, &header.columns)).collect();
    let file = ModelFile {
        format: FORMAT,
        learner: &header.learner,
        classes: &header.classes,
        positive: header.positive.as_deref(),
        columns: &header.columns,
        models: models?,
    };
    serde_json::to_vec(&file).map_err(|e| LearnError::Library(e.into()))
}

/// A model of a bag: trees as XGBoost has them, or what the learner itself writes.
fn json(model: &dyn Model, columns: &[String]) -> Result<Json, LearnError> {
    let bytes = match model.ensemble() {
        Some(ensemble) => xgboost::write(&ensemble, columns)?,
        None => model.to_bytes()?,
    };
    serde_json::from_slice(&bytes).map_err(|e| LearnError::Library(e.into()))
}

/// A model, or several of which the probabilities are averaged.
#[derive(Serialize)]
struct ModelFile<'a> {
    format: &'static str,
    learner: &'a str,
    /// The classes; with a binary target only the positive one.
    classes: &'a [String],
    positive: Option<&'a str>,
    columns: &'a [String],
    models: Vec<Json>,
}
