//! Joins the predictions of the folds into one table.

use std::io::Write;

use flow_cache::Value;
use flow_engine::StageError;
use flow_engine::kind::{Action, Part};

use super::fold::{FINAL, parse};
use super::held_out::{applied, fitted_on, not_held_out};
use crate::table::{ColumnNames, FoldObjects, Folds, Merged, PIECE, PredictionWriter, Predictions};

/// Joins the predictions of the folds (input `from`) into one table, the output `to`. Repeat and fold are those of the
/// part (`None` for the final fit), and the label is that of the table of folds, the input `folds`.
///
/// The out-of-fold rows, of which there are as many as labels, are in memory at once. Those of the final fit, of which
/// there may be millions, are merged from one part after the other, each of which is in the order of `object_id`.
///
/// # Errors
/// If a part is unreadable or holds rows that its fold was fitted on, the parts differ in their classes, there are no
/// parts, or the writer fails.
pub fn gather(action: &mut Action<'_>, from: &str, to: &str) -> Result<(), StageError> {
    gather_as(action, from, to, ColumnNames::Classes)
}

/// Joins numbers that are no probabilities of classes in the same way. Their columns have the names of the classes of
/// the parts.
///
/// # Errors
/// Those of [`gather`].
pub fn gather_scores(action: &mut Action<'_>, from: &str, to: &str) -> Result<(), StageError> {
    gather_as(action, from, to, ColumnNames::Plain)
}

fn gather_as(
    action: &mut Action<'_>,
    from: &str,
    to: &str,
    names: ColumnNames,
) -> Result<(), StageError> {
    let path = &action.one("folds")?.path;
    let (last, crossed): (Vec<&Part>, Vec<&Part>) =
        action.input(from).iter().partition(|part| of_final(part));
    let held_out = joined(action, &crossed, &Folds::labelled(path)?, |_| {})?;
    let last = last.iter().map(|part| part.path.clone()).collect();
    let last = Merged::open(last, action.scratch, &|| action.checkpoint())?;
    let mut classes: Option<Predictions> = None;
    let some = [held_out.as_ref(), last.as_ref().map(Merged::classes)];
    for table in some.into_iter().flatten() {
        let none = table.none_of();
        classes.get_or_insert_with(|| none.clone()).append(&none)?;
    }
    let mut writer = action.create()?;
    let mut joining = Joining {
        held_out: held_out.unwrap_or_default(),
        at: 0,
        last,
        objects: FoldObjects::open(path, None)?,
        to: PredictionWriter::new(&classes.ok_or_else(nothing)?, names, &mut writer)?,
    };
    let mut since = 0;
    while joining.next()? {
        since += 1;
        if since % PIECE == 0 {
            action.checkpoint()?;
        }
    }
    let rows = joining.finish()?;
    let attrs = vec![("rows".to_owned(), Value::Int(rows as i64))];
    action.finish(to, writer, attrs)
}

/// Joins the rows of the folds' models with those of the final fit, in the order of repeat and object. The final fit
/// counts as repeat 0.
struct Joining<W: Write + Send> {
    held_out: Predictions,
    /// The next of `held_out`.
    at: usize,
    last: Option<Merged>,
    objects: FoldObjects,
    to: PredictionWriter<W>,
}

impl<W: Write + Send> Joining<W> {
    /// Writes the next row. Returns false at the end.
    fn next(&mut self) -> Result<bool, StageError> {
        let (held_out, at) = (&self.held_out, self.at);
        let next = self.last.as_ref().and_then(Merged::peek);
        let of_fold = at < held_out.len()
            && next
                .is_none_or(|id| (held_out.repeat[at], held_out.object_id[at].as_str()) < (0, id));
        if of_fold {
            self.at += 1;
            self.to.push(|to| {
                to.push_from(held_out, at);
                Ok(())
            })?;
            return Ok(true);
        }
        let Some(id) = next else {
            return Ok(false);
        };
        match self.objects.find(id)? {
            Some(object) if !object.labelled => {}
            Some(_) => return Err(fitted_on(None, id)),
            None => return Err(not_held_out(None, id)),
        }
        if let Some(last) = &mut self.last {
            self.to.push(|to| {
                last.pop_into(to)?;
                let row = to.len() - 1;
                (to.repeat[row], to.fold[row], to.label[row]) = (0, None, None);
                Ok(())
            })?;
        }
        Ok(true)
    }

    /// Ends the table, and returns the number of its rows.
    fn finish(self) -> Result<usize, StageError> {
        self.to.finish()
    }
}

/// Returns true if a part comes from the final fit.
fn of_final(part: &Part) -> bool {
    part.fold.as_deref().unwrap_or(FINAL) == FINAL
}

fn nothing() -> StageError {
    StageError::data("flow::data::no_rows", "there is nothing to predict")
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

/// Joins the predictions of the folds like [`gather`], in memory. The parts may be in any order, and `arrange` gets each
/// of them first.
///
/// # Errors
/// Those of [`gather`].
pub fn gathered(
    action: &Action<'_>,
    from: &str,
    folds: &Folds,
    arrange: impl Fn(&mut Predictions),
) -> Result<Predictions, StageError> {
    let parts: Vec<&Part> = action.input(from).iter().collect();
    joined(action, &parts, folds, arrange)?.ok_or_else(nothing)
}

/// Joins the predictions of the folds without those of the final fit, in memory. `folds` needs the rows of labelled
/// objects alone.
///
/// # Errors
/// Those of [`gather`].
pub fn gathered_out_of_fold(
    action: &Action<'_>,
    from: &str,
    folds: &Folds,
) -> Result<Predictions, StageError> {
    let parts = action.input(from).iter().filter(|part| !of_final(part));
    let parts: Vec<&Part> = parts.collect();
    joined(action, &parts, folds, |_| {})?.ok_or_else(nothing)
}

/// Joins parts; `None` if there are none.
fn joined(
    action: &Action<'_>,
    parts: &[&Part],
    folds: &Folds,
    arrange: impl Fn(&mut Predictions),
) -> Result<Option<Predictions>, StageError> {
    let mut all: Option<Predictions> = None;
    for part in parts {
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
    if let Some(all) = &mut all {
        all.sort();
    }
    Ok(all)
}
