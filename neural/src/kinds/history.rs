//! What was reached after each epoch, for all folds.

use flow_cache::Value;
use flow_engine::StageError;
use flow_engine::kind::{Action, Part};
use flow_stages::rows::FINAL;

use super::fit_params::FitParams;

/// The columns of the history of all folds.
const COLUMNS: &str = "fold,bag,epoch,split,loss,score";

/// What is noted of the history of a fit: the rows of an epoch, without those that are held out.
pub const SEEN: &str = "seen";

/// Writes the histories of the folds (input `from`) as the output `to`, one behind the other. If batches are larger than
/// what there is to fit on, the run says so.
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
    let note = large_batch(
        action.input(from),
        FitParams::read(action.params).batch_size,
    );
    let notes = note.map(|note| ("notes".to_owned(), Value::List(vec![note.into()])));
    action.write(to, history.as_bytes(), notes.into_iter().collect())
}

/// Says in how many fits a batch would hold more rows than there are.
fn large_batch(histories: &[Part], batch_size: usize) -> Option<String> {
    let seen = histories.iter().filter_map(|part| part.attrs.get(SEEN));
    let seen = seen.filter_map(|rows| usize::try_from(rows.as_int()?).ok());
    let fewer: Vec<usize> = seen.filter(|&rows| rows < batch_size).collect();
    let least = fewer.iter().min()?;
    Some(format!(
        "`batch_size` is {batch_size}, and {} of {} fits have fewer rows, the smallest {least}: their epochs are one step each",
        fewer.len(),
        histories.len()
    ))
}
