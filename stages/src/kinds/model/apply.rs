//! The predictions of one fold's model for the rows of one shard.

use flow_engine::kind::{Action, StageError};

use crate::learner::LearnError;
use crate::learner::saved::SavedModel;
use crate::rows::ApplyRows;
use crate::table::{Predictions, row_attrs};

/// Applies the model of the fold to the rows of the shard.
pub fn apply(action: &mut Action<'_>) -> Result<(), StageError> {
    let bytes = std::fs::read(&action.one("model")?.path)?;
    let saved = SavedModel::read(&bytes).map_err(unreadable)?;
    let first = saved.first();
    let SavedModel { header, model } = saved;
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

/// Says that a model is damaged.
pub fn unreadable(error: LearnError) -> StageError {
    StageError::data("flow::data::schema", "a model is unreadable").because(error)
}
