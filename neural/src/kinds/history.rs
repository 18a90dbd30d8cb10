//! What was reached after each epoch, for all folds.

use flow_engine::StageError;
use flow_engine::kind::Action;
use flow_stages::rows::FINAL;

/// The columns of the history of all folds.
const COLUMNS: &str = "fold,bag,epoch,split,loss,score";

/// Writes the histories of the folds (input `from`) as the output `to`, one behind the other.
///
/// # Errors
/// If a history is unreadable.
pub fn gather_history(action: &mut Action<'_>, from: &str, to: &str) -> Result<(), StageError> {
    let mut history = format!("{COLUMNS}\n");
    for part in action.input(from) {
        let fold = part.fold.as_deref().unwrap_or(FINAL);
        for line in std::fs::read_to_string(&part.path)?.lines() {
            history.push_str(&format!("{fold},{line}\n"));
        }
    }
    action.write(to, history.as_bytes(), Vec::new())
}
