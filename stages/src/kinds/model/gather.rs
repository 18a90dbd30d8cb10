//! What the folds' models came to, together: the predictions and the importance of the features.

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
