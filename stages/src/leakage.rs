//! What the pipeline alone cannot show: rows that are scored but were fitted on, and labels among the
//! features.
//!
//! The engine sees to it that a fold's actions are made of that fold's rows. Here the tables themselves
//! are held against the table of folds, whoever wrote them.

use std::collections::HashMap;

use flow_engine::stage::Rows;
use flow_engine::{Action, StageError};

use crate::fold::{self, View};
use crate::table::{Folds, Predictions};

/// Code of the error for a row that a model predicts although it was fitted on it.
pub const FIT_ROW: &str = "flow::leakage::fit_row";
/// Code of the error for a group that is not on one side of a fold.
pub const SIBLING: &str = "flow::leakage::sibling";
/// Code of the error for a feature that is the label.
pub const LABEL_COLUMN: &str = "flow::leakage::label_column";

/// The place in the table of folds of an object that a fold's models are applied to (none: those of the
/// final fit).
///
/// # Errors
/// The models were fitted on it, or it is none of the fold's objects.
pub fn applied(
    folds: &Folds,
    fold: Option<(i32, i32)>,
    object_id: &str,
) -> Result<usize, StageError> {
    let name = || {
        fold.map_or(fold::FINAL.to_owned(), |(repeat, fold)| {
            fold::name(repeat as usize, fold as usize)
        })
    };
    let there = fold.is_none_or(|(repeat, _)| (repeat as usize) < folds.repeats.len());
    let at = folds
        .object_id
        .binary_search_by(|id| id.as_str().cmp(object_id));
    match at {
        Ok(at) if there && fold::has_role(folds, fold, at, Rows::Apply) => Ok(at),
        Ok(at) if there && fold::has_role(folds, fold, at, Rows::Train) => Err(StageError::data(
            FIT_ROW,
            format!(
                "object `{object_id}` is predicted in fold {}, whose models were fitted on it",
                name()
            ),
        )
        .help("a prediction counts only where the object was held out: give back the rows that the fold's models are applied to, and no others")),
        _ => Err(StageError::data(
            "flow::data::folds_differ",
            format!(
                "object `{object_id}` is predicted in fold {}, which does not hold it out",
                name()
            ),
        )
        .help("the predictions are not of the objects and folds of their `folds` stage")),
    }
}

/// Holds predictions against the table of folds: every row with a fold must be held out by it, and with
/// it all labelled objects of its group.
///
/// # Errors
/// A row was fitted on, a sibling was, or objects, folds or labels are not those of the table.
pub fn held_out(predictions: &Predictions, folds: &Folds) -> Result<(), StageError> {
    // By repeat and group: the fold that holds it out, and an object of it.
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

/// Natural logarithm of how unlikely it must be that a column tells the label by chance (1e-9).
const CHANCE: f64 = -20.7;

/// Refuses a column of features that is the label: by its name, or, among features that a
/// program or somebody else made (kinds cannot see labels, and may measure what does tell them), because one value
/// a class tells the class of every row. `labels` are the rows' classes as indices.
///
/// A column of continuous values tells every row apart and so says nothing. What counts is how many ways
/// of dealing the labels over the rows would agree with the column: at most C^v for v values and C
/// classes, out of n! / (n_1! ... n_C!). Where a column of so few values would agree by chance less than
/// once in 10^9 tables, it is no chance.
///
/// # Errors
/// There is such a column.
pub fn no_label(
    action: &Action<'_>,
    view: &View,
    labels: &[usize],
    positive: Option<usize>,
) -> Result<(), StageError> {
    named(view)?;
    match action.lineage.outside {
        true => disguised(view, labels, positive),
        false => Ok(()),
    }
}

fn named(view: &View) -> Result<(), StageError> {
    let names = view.names();
    if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case("label")) {
        let message = format!("a feature is called `{name}`");
        return Err(refused(message));
    }
    Ok(())
}

fn disguised(view: &View, labels: &[usize], positive: Option<usize>) -> Result<(), StageError> {
    let names = view.names();
    let binary: Vec<usize> = match positive {
        Some(positive) => labels.iter().map(|&c| usize::from(c == positive)).collect(),
        None => Vec::new(),
    };
    let found = telling(view, labels).or_else(|| telling(view, &binary));
    match found {
        None => Ok(()),
        Some(column) => Err(refused(format!(
            "feature `{}` tells the class of all {} training rows: it is the label under another name",
            names[column],
            labels.len()
        ))),
    }
}

fn refused(message: String) -> StageError {
    StageError::data(LABEL_COLUMN, message).help(
        "leave the column out where it comes in: `columns` of `table`, or what the program writes",
    )
}

/// A column with one value a class that tells all labels.
fn telling(view: &View, labels: &[usize]) -> Option<usize> {
    let most = most_values(labels, view.names().len())?;
    // By column that may still be one: the class that goes with each of its values so far.
    let mut left: Vec<(usize, Vec<(u32, usize)>)> =
        (0..view.names().len()).map(|j| (j, Vec::new())).collect();
    let mut columns: Vec<usize> = Vec::new();
    let mut row = Vec::new();
    for (i, &label) in labels.iter().enumerate() {
        if columns.len() != left.len() {
            columns = left.iter().map(|(j, _)| *j).collect();
        }
        row.clear();
        view.gather(i, &columns, &mut row);
        let mut values = row.iter();
        left.retain_mut(|(_, seen)| {
            let value = values.next().map_or(0, |v| (v + 0.0).to_bits());
            match seen.iter().find(|(known, _)| *known == value) {
                Some((_, class)) => *class == label,
                None => {
                    seen.push((value, label));
                    seen.len() <= most
                }
            }
        });
        if left.is_empty() {
            return None;
        }
    }
    left.first().map(|(j, _)| *j)
}

/// How many values a column may have that is the label: one a class, since what is finer may be a
/// measurement that tells classes apart, as it should. None if there are too few rows for its agreement
/// with the labels to be no chance.
fn most_values(labels: &[usize], columns: usize) -> Option<usize> {
    let mut counts = HashMap::<usize, usize>::new();
    for &label in labels {
        *counts.entry(label).or_default() += 1;
    }
    let mut sizes: Vec<usize> = counts.into_values().collect();
    sizes.sort_unstable();
    let factorial = |n: usize| libm::lgamma(n as f64 + 1.0);
    let ways = factorial(labels.len()) - sizes.iter().map(|&n| factorial(n)).sum::<f64>();
    let classes = sizes.len();
    let most = (ways + CHANCE - libm::log(columns.max(1) as f64)) / libm::log(classes as f64);
    (classes > 1 && most >= classes as f64).then_some(classes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FeatureWriter;
    use flow_cache::{Digest, Value};
    use flow_engine::stage::Part;

    fn view(columns: &[(&str, &dyn Fn(usize) -> f32)], rows: usize) -> View {
        let file = tempfile::NamedTempFile::new().unwrap();
        let names: Vec<String> = columns.iter().map(|(name, _)| (*name).into()).collect();
        let ids: Vec<String> = (0..rows).map(|i| format!("o{i:04}")).collect();
        let values: Vec<f32> = (0..rows)
            .flat_map(|i| columns.iter().map(move |(_, f)| f(i)))
            .collect();
        let mut writer = FeatureWriter::new(file.as_file(), &names).unwrap();
        writer.push(&ids, &values).unwrap();
        writer.finish().unwrap();
        let part = Part {
            path: file.path().into(),
            digest: Digest::of(b""),
            attrs: Value::Null,
            reference: 0,
            fold: None,
            views: Vec::new(),
        };
        View::open(&[part], &ids).unwrap()
    }

    /// Sixty rows of three classes, a column beside two honest ones.
    fn check(column: &dyn Fn(usize) -> f32) -> Result<(), String> {
        let noise = |i: usize| (i * 7919 % 101) as f32;
        let hint = |i: usize| if i == 17 { 0.0 } else { (i % 3) as f32 };
        let view = view(&[("noise", &noise), ("hint", &hint), ("x", column)], 60);
        let labels: Vec<usize> = (0..60).map(|i| i % 3).collect();
        disguised(&view, &labels, Some(2)).map_err(|e| e.message)
    }

    #[test]
    fn a_column_that_is_the_label_is_found() {
        assert_eq!(check(&|i| i as f32), Ok(()));
        assert_eq!(check(&|_| 1.0), Ok(()));
        assert_eq!(check(&|i| (i % 2) as f32), Ok(()));
        // Coarser than the classes and not the positive one: a property that some classes share.
        assert_eq!(check(&|i| f32::from(i % 3 == 0)), Ok(()));
        // Finer: it may have been measured.
        assert_eq!(check(&|i| (i % 3 * 10 + i % 2) as f32), Ok(()));
        for leak in [
            (&|i: usize| (i % 3) as f32) as &dyn Fn(usize) -> f32,
            &|i| [7.5, f32::NAN, -1.0][i % 3],
            &|i| f32::from(i % 3 == 2),
        ] {
            let error = check(leak).unwrap_err();
            assert!(error.contains("`x`") && error.contains("60"), "{error}");
        }
    }

    #[test]
    fn a_column_is_refused_by_name() {
        let view = view(&[("Label", &|i| i as f32)], 3);
        let error = named(&view).unwrap_err();
        assert_eq!(error.code, LABEL_COLUMN);
    }

    #[test]
    fn few_rows_prove_nothing() {
        let view = view(&[("x", &|i| (i % 2) as f32)], 10);
        let labels: Vec<usize> = (0..10).map(|i| i % 2).collect();
        assert!(disguised(&view, &labels, Some(1)).is_ok());
        assert_eq!(most_values(&[0; 50], 1), None);
        // 50 rows in halves: 1.26e14 ways, 1e9 to spare.
        let labels: Vec<usize> = (0..50).map(|i| i % 2).collect();
        assert_eq!(most_values(&labels, 1), Some(2));
    }

    fn folds() -> Folds {
        let some = |text: &str| Some(text.to_owned());
        Folds {
            classes: vec!["A".into(), "B".into()],
            positive: None,
            object_id: ["a", "b", "c", "u"].map(String::from).into(),
            label: vec![some("A"), some("B"), some("A"), None],
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
            held_out(&predictions(rows), &folds()).map_err(|e| e.code)
        };
        let honest = [
            ("a", Some(0), Some("A")),
            ("b", Some(1), Some("B")),
            ("u", None, None),
        ];
        assert_eq!(code(&honest), Ok(()));
        assert_eq!(code(&[("a", Some(1), Some("A"))]), Err(FIT_ROW));
        let differ = Err("flow::data::folds_differ");
        assert_eq!(code(&[("z", Some(0), Some("A"))]), differ);
        assert_eq!(code(&[("u", Some(0), Some("A"))]), differ);
        assert_eq!(code(&[("a", Some(0), Some("B"))]), differ);
        let mut other = predictions(&honest[..1]);
        other.repeat = vec![1];
        let error = held_out(&other, &folds()).unwrap_err();
        assert_eq!(error.code, "flow::data::folds_differ");
        // The final fit is applied to what has no label.
        assert!(applied(&folds(), None, "u").is_ok());
        assert_eq!(applied(&folds(), None, "a").unwrap_err().code, FIT_ROW);
    }

    #[test]
    fn a_group_is_on_one_side() {
        let mut split = folds();
        split.repeats[0][2] = Some(1);
        let error = held_out(&predictions(&[("b", Some(1), Some("B"))]), &split).unwrap_err();
        assert_eq!(error.code, SIBLING);
        assert!(
            error.message.contains("`a` and `c`") && error.message.contains("0.0"),
            "{error}"
        );
    }
}
