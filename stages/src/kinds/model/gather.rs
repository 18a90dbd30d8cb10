//! What the folds' models came to, together: the predictions and the importance of the features.

use flow_engine::StageError;
use flow_engine::kind::Action;

use crate::rows;

/// Joins the predictions of the folds, and averages their importance.
pub fn gather(action: &mut Action<'_>) -> Result<(), StageError> {
    rows::gather(action, "part", "predictions")?;
    rows::gather_importance(action, "gain", "importance")
}
