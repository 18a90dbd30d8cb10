//! Refuses predictions for rows that were fitted on. It checks predictions against the table of folds,
//! whatever program wrote them.

use std::collections::HashMap;
use std::path::Path;

use flow_engine::StageError;
use flow_engine::kind::Rows;

use super::fold;
use crate::table::{Folds, Predictions};

/// The code of the error for a row that a model predicts although it was fitted on it.
pub const FIT_ROW: &str = "flow::leakage::fit_row";
/// The code of the error for a group that is not on one side of a fold.
pub const SIBLING: &str = "flow::leakage::sibling";
/// The code of the error for an object that is scored by a label that the survey does not give it.
pub const OWN_LABEL: &str = "flow::leakage::own_label";

/// Returns the place in the table of folds of an object that a fold's models are applied to (`None` is
/// the final fit).
///
/// # Errors
/// If the models were fitted on it, or it is not an object of the fold.
pub fn applied(
    folds: &Folds,
    fold: Option<(i32, i32)>,
    object_id: &str,
) -> Result<usize, StageError> {
    let there = fold.is_none_or(|(repeat, _)| (repeat as usize) < folds.repeats.len());
    let at = folds
        .object_id
        .binary_search_by(|id| id.as_str().cmp(object_id));
    match at {
        Ok(at) if there && fold::has_role(folds, fold, at, Rows::Apply) => Ok(at),
        Ok(at) if there && fold::has_role(folds, fold, at, Rows::Train) => {
            Err(fitted_on(fold, object_id))
        }
        _ => Err(not_held_out(fold, object_id)),
    }
}

fn name(fold: Option<(i32, i32)>) -> String {
    fold.map_or(fold::FINAL.to_owned(), |(repeat, fold)| {
        fold::name(repeat as usize, fold as usize)
    })
}

/// The error for an object that a fold's models predict although they were fitted on it.
pub(super) fn fitted_on(fold: Option<(i32, i32)>, object_id: &str) -> StageError {
    let fold = name(fold);
    StageError::data(
        FIT_ROW,
        format!("object `{object_id}` is predicted in fold {fold}, whose models were fitted on it"),
    )
    .help("a prediction counts only where the object was held out: give back the rows that the fold's models are applied to, and no others")
}

/// The error for an object that a fold's models predict although the fold does not hold it out.
pub(super) fn not_held_out(fold: Option<(i32, i32)>, object_id: &str) -> StageError {
    let fold = name(fold);
    StageError::data(
        "flow::data::folds_differ",
        format!("object `{object_id}` is predicted in fold {fold}, which does not hold it out"),
    )
    .help("the predictions are not of the objects and folds of their `folds` stage")
}

/// Reads the rows of a table of folds that predictions of it are held against: those of labelled objects, and of
/// unlabelled ones that were given a fold nevertheless.
///
/// # Errors
/// If the table is unreadable.
pub fn folds_of(predictions: &Predictions, path: &Path) -> Result<Folds, StageError> {
    let rows = 0..predictions.len();
    let with_fold = rows.filter(|&i| predictions.fold[i].is_some());
    let mut ids: Vec<&str> = with_fold
        .map(|i| predictions.object_id[i].as_str())
        .collect();
    ids.sort_unstable();
    Folds::labelled_and(path, &ids)
}

/// Checks predictions against the table of folds. For every row with a fold, that fold must hold out
/// the row and all labelled objects of its group.
///
/// # Errors
/// If a row or a sibling of it was fitted on, or objects, folds or labels are not those of the table.
pub fn held_out(predictions: &Predictions, folds: &Folds) -> Result<(), StageError> {
    // For each repeat and group: the fold that holds it out, and one object of it.
    let mut groups: HashMap<(usize, &str), (i32, usize)> = HashMap::new();
    for (repeat, column) in folds.repeats.iter().enumerate() {
        for (at, fold) in column.iter().enumerate() {
            let (Some(fold), Some(group)) = (fold, &folds.group[at]) else {
                continue;
            };
            let (other, sibling) = *groups.entry((repeat, group)).or_insert((*fold, at));
            if other != *fold {
                let (a, b) = (&folds.object_id[sibling], &folds.object_id[at]);
                return Err(StageError::data(
                    SIBLING,
                    format!(
                        "`{a}` and `{b}` are both of group `{group}`, but fold {} holds out only one of them and fits on the other",
                        fold::name(repeat, other as usize)
                    ),
                )
                .help("a group stays in one fold: `folds` does so with `group_by`"));
            }
        }
    }
    for (i, id) in predictions.object_id.iter().enumerate() {
        let Some(fold) = predictions.fold[i] else {
            continue;
        };
        if let Some(label) = &predictions.label[i] {
            no_own_label(folds, id, label)?;
        }
        let at = applied(folds, Some((predictions.repeat[i], fold)), id)?;
        if predictions.label[i] != folds.label[at] {
            let text = |label: &Option<String>| label.clone().unwrap_or_else(|| "unknown".into());
            return Err(StageError::data(
                "flow::data::folds_differ",
                format!(
                    "object `{id}` is `{}` among the predictions and `{}` in the table of folds",
                    text(&predictions.label[i]),
                    text(&folds.label[at])
                ),
            )
            .help("what an object is, the survey says: leave `label` as it is"));
        }
    }
    Ok(())
}

/// Refuses a label of an object that has none in the table of folds.
fn no_own_label(folds: &Folds, id: &str, label: &str) -> Result<(), StageError> {
    let at = folds
        .object_id
        .binary_search_by(|known| known.as_str().cmp(id));
    if at.is_ok_and(|at| folds.label[at].is_none()) {
        let text = format!("object `{id}` has no label, and would be scored as `{label}`");
        return Err(StageError::data(OWN_LABEL, text)
            .help("a label that a model gave is no truth to score by: leave `fold` empty for objects without a label"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folds() -> Folds {
        let some = |text: &str| Some(text.to_owned());
        Folds {
            classes: vec!["A".into(), "B".into()],
            positive: None,
            object_id: ["a", "b", "c", "u"].map(String::from).into(),
            label: vec![some("A"), some("B"), some("A"), None],
            raw_label: Vec::new(),
            group: vec![some("g"), some("h"), some("g"), some("g")],
            repeats: vec![vec![Some(0), Some(1), Some(0), None]],
        }
    }

    fn predictions(rows: &[(&str, Option<i32>, Option<&str>)]) -> Predictions {
        Predictions {
            classes: vec!["A".into(), "B".into()],
            object_id: rows.iter().map(|(id, ..)| (*id).into()).collect(),
            repeat: vec![0; rows.len()],
            fold: rows.iter().map(|(_, fold, _)| *fold).collect(),
            label: rows
                .iter()
                .map(|(.., label)| label.map(String::from))
                .collect(),
            probability: vec![vec![0.5; rows.len()]; 2],
            positive: None,
        }
    }

    #[test]
    fn only_rows_that_their_fold_holds_out_count() {
        let code = |rows: &[(&str, Option<i32>, Option<&str>)]| {
            held_out(&predictions(rows), &folds()).map_err(|e| e.code.to_string())
        };
        let honest = [
            ("a", Some(0), Some("A")),
            ("b", Some(1), Some("B")),
            ("u", None, None),
        ];
        assert_eq!(code(&honest), Ok(()));
        assert_eq!(code(&[("a", Some(1), Some("A"))]), Err(FIT_ROW.to_owned()));
        let differ = Err("flow::data::folds_differ".to_owned());
        assert_eq!(code(&[("z", Some(0), Some("A"))]), differ);
        assert_eq!(code(&[("u", Some(0), None)]), differ);
        let own = Err(OWN_LABEL.to_owned());
        assert_eq!(code(&[("u", Some(0), Some("A"))]), own);
        assert_eq!(code(&[("a", Some(0), Some("B"))]), differ);
        let mut other = predictions(&honest[..1]);
        other.repeat = vec![1];
        let error = held_out(&other, &folds()).unwrap_err();
        assert_eq!(error.code.as_str(), "flow::data::folds_differ");
        // The final fit is applied to rows without a label.
        assert!(applied(&folds(), None, "u").is_ok());
        assert_eq!(
            applied(&folds(), None, "a").unwrap_err().code.as_str(),
            FIT_ROW
        );
    }

    #[test]
    fn a_group_is_on_one_side() {
        let mut split = folds();
        split.repeats[0][2] = Some(1);
        let error = held_out(&predictions(&[("b", Some(1), Some("B"))]), &split).unwrap_err();
        assert_eq!(error.code.as_str(), SIBLING);
        assert!(
            error.message.contains("`a` and `c`") && error.message.contains("0.0"),
            "{error}"
        );
    }
}
