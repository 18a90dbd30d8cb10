//! The step `gather` of the kind `model`.

use flow_engine::StageError;
use flow_engine::kind::Action;

use crate::rows;
use crate::table::Folds;

/// Joins the predictions of the folds, and averages their importance.
pub fn gather(action: &mut Action<'_>) -> Result<(), StageError> {
    let folds = Folds::read(&action.one("folds")?.path)?;
    rows::gather(action, "part", "predictions", &folds, |_| {})?;
    rows::gather_importance(action, "gain", "importance")
}
