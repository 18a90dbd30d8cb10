//! What the networks of the folds came to, together.

use flow_engine::StageError;
use flow_engine::kind::Action;
use flow_stages::rows;

use crate::kinds::history::gather_history;

/// Joins the predictions of the folds, and the histories of their fits.
pub fn gather(action: &mut Action<'_>) -> Result<(), StageError> {
    rows::gather(action, "part", "predictions")?;
    gather_history(action, "epochs", "history")
}
