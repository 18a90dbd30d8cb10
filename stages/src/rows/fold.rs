//! Folds by name, and the role of each row of a table of folds in a fold.

use flow_engine::StageError;
use flow_engine::kind::{Fault, Rows};

use crate::table::Folds;

/// The name of the final fit, which sees all labelled rows and serves the unlabelled ones.
pub const FINAL: &str = "final";

/// The name of fold `fold` of repeat `repeat`.
pub fn name(repeat: usize, fold: usize) -> String {
    format!("{repeat}.{fold}")
}

/// Returns the repeat and fold of a name; `None` for the final fit.
///
/// # Errors
/// If the name has another form, which is a bug.
pub fn parse(name: &str) -> Result<Option<(i32, i32)>, StageError> {
    if name == FINAL {
        return Ok(None);
    }
    name.split_once('.')
        .and_then(|(r, f)| Some(Some((r.parse().ok()?, f.parse().ok()?))))
        .ok_or_else(|| StageError::new(Fault::Bug, "flow::bug::fold", format!("fold `{name}`")))
}

/// Returns the class of row `i` of a table of folds, which is labelled.
///
/// # Errors
/// If it has none, or one that is not in the list of classes.
pub fn label(folds: &Folds, i: usize) -> Result<&str, StageError> {
    let class = folds.label[i].as_ref();
    class
        .filter(|class| folds.classes.binary_search(class).is_ok())
        .map(String::as_str)
        .ok_or_else(|| {
            StageError::data(
                "flow::data::schema",
                format!(
                    "object `{}` has a label that is not in the list of classes",
                    folds.object_id[i]
                ),
            )
        })
}

/// Returns the indices of the rows with a role in a fold (`None` is the final fit).
pub fn rows_of(folds: &Folds, fold: Option<(i32, i32)>, role: Rows) -> Vec<usize> {
    let all = 0..folds.object_id.len();
    all.filter(|&i| has_role(folds, fold, i, role)).collect()
}

/// Returns true if row `i` of a table of folds has this role in a fold (`None` is the final fit). It has the role of
/// [`Rows::Copies`] if its copies have it.
pub fn has_role(folds: &Folds, fold: Option<(i32, i32)>, i: usize, role: Rows) -> bool {
    let role = match role {
        Rows::Unlabelled => return folds.label[i].is_none(),
        Rows::Copies => Rows::Train,
        Rows::Train | Rows::Apply => role,
    };
    match fold {
        None => (role == Rows::Train) == folds.label[i].is_some(),
        Some((repeat, fold)) => folds.repeats[repeat as usize][i]
            .is_some_and(|held_out| (held_out == fold) == (role == Rows::Apply)),
    }
}
