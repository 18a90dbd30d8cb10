//! Joins the predictions of the folds into one table.

use flow_cache::Value;
use flow_engine::StageError;
use flow_engine::kind::Action;

use super::fold::{FINAL, parse};
use super::held_out::applied;
use crate::table::{Folds, Predictions};

/// Joins the predictions of the folds (input `from`) into one table, the output `to`, like [`gathered`].
///
/// # Errors
/// Those of [`gathered`], or if the writer fails.
pub fn gather(
    action: &mut Action<'_>,
    from: &str,
    to: &str,
    folds: &Folds,
    arrange: impl Fn(&mut Predictions),
) -> Result<(), StageError> {
    let all = gathered(action, from, folds, arrange)?;
    write_predictions(action, to, &all)
}

/// Writes predictions as the output `to`.
///
/// # Errors
/// If the writer fails.
pub fn write_predictions(
    action: &mut Action<'_>,
    to: &str,
    predictions: &Predictions,
) -> Result<(), StageError> {
    let attrs = vec![("rows".to_owned(), Value::Int(predictions.len() as i64))];
    let mut writer = action.create()?;
    predictions.write(&mut writer)?;
    action.finish(to, writer, attrs)
}

/// Joins the predictions of the folds (input `from`) into one table. Repeat and fold
/// are those of the part (`None` for the final fit), and the label is that of the table of folds.
/// `arrange` gets each part first.
///
/// # Errors
/// If a part is unreadable or holds rows that its fold was fitted on, the parts differ in their
/// classes, or there are no parts.
pub fn gathered(
    action: &Action<'_>,
    from: &str,
    folds: &Folds,
    arrange: impl Fn(&mut Predictions),
) -> Result<Predictions, StageError> {
    let mut all: Option<Predictions> = None;
    for part in action.input(from) {
        action.checkpoint()?;
        let mut rows = Predictions::read(&part.path)?;
        arrange(&mut rows);
        let fold = parse(part.fold.as_deref().unwrap_or(FINAL))?;
        for i in 0..rows.len() {
            rows.repeat[i] = fold.map_or(0, |(repeat, _)| repeat);
            rows.fold[i] = fold.map(|(_, fold)| fold);
            let at = applied(folds, fold, &rows.object_id[i])?;
            rows.label[i].clone_from(&folds.label[at]);
        }
        match &mut all {
            Some(all) => all.append(&rows)?,
            None => all = Some(rows),
        }
    }
    let mut all =
        all.ok_or_else(|| StageError::data("flow::data::no_rows", "there is nothing to predict"))?;
    all.sort();
    Ok(all)
}
