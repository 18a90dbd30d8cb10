//! Cross-fitting: what a stage learns from out-of-fold predictions for a fold comes from the other folds.

use flow_engine::StageError;
use flow_engine::kind::Action;

use super::held_out::{folds_of, held_out};
use crate::table::Predictions;

/// What was fitted for one fold, and the rows to apply it to.
pub struct CrossFit<T> {
    /// The repeat of the fold; 0 for the final fit.
    pub repeat: i32,
    /// The fold; `None` for the final fit, which is applied to the rows without a fold.
    pub fold: Option<i32>,
    /// The rows to apply it to: those that the fold holds out.
    pub rows: Vec<usize>,
    /// What was fitted, on the rows of the other folds of the repeat.
    pub fitted: T,
}

/// Fits for each repeat and fold on the rows that the other folds of the repeat hold out, and once for the rows
/// without a fold on all rows of their repeat that have one. `fit` gets the numbers of the rows, which are none if
/// there is only one fold. The fits are in the order of repeats and folds, that of the rows without a fold first.
///
/// # Errors
/// Those of `fit`.
pub fn cross_fit<T>(
    predictions: &Predictions,
    mut fit: impl FnMut(&[usize]) -> Result<T, StageError>,
) -> Result<Vec<CrossFit<T>>, StageError> {
    let place = |i: usize| (predictions.repeat[i], predictions.fold[i]);
    let mut folds: Vec<(i32, Option<i32>)> = (0..predictions.len()).map(place).collect();
    folds.sort_unstable();
    folds.dedup();
    let mut fits = Vec::with_capacity(folds.len());
    for (repeat, fold) in folds {
        let others = |&i: &usize| {
            let (its_repeat, its_fold) = place(i);
            its_repeat == repeat && its_fold.is_some() && its_fold != fold
        };
        let others: Vec<usize> = (0..predictions.len()).filter(others).collect();
        let here = |&i: &usize| place(i) == (repeat, fold);
        fits.push(CrossFit {
            repeat,
            fold,
            rows: (0..predictions.len()).filter(here).collect(),
            fitted: fit(&others)?,
        });
    }
    Ok(fits)
}

/// Reads the input `predictions` of a step that is cross-fitted: one table or several, all of the same objects and
/// folds, and held against the table of folds that they come from.
///
/// # Errors
/// If there are none, they differ in their rows, or a row was fitted on.
pub fn crossed_predictions(action: &Action<'_>) -> Result<Vec<Predictions>, StageError> {
    let parts = action.input("predictions").iter();
    let all: Vec<Predictions> = parts
        .map(|part| Predictions::read(&part.path))
        .collect::<Result<_, _>>()?;
    let first = all.first().filter(|first| !first.is_empty());
    let first = first.ok_or_else(|| {
        StageError::data(
            "flow::data::no_rows",
            "there are no predictions to learn from",
        )
    })?;
    for other in &all[1..] {
        same_rows(first, other)?;
    }
    if let Some(folds) = &action.folds {
        held_out(first, &folds_of(first, &folds.path)?)?;
    }
    Ok(all)
}

/// The error for `what`, which cannot be learned for a fold because no other fold has rows.
pub fn one_fold(what: &str) -> StageError {
    StageError::data(
        "flow::data::one_fold",
        format!("{what} for a fold is learned from the other folds of its repeat, and there is only one fold"),
    )
    .help("give the `folds` stage more folds: k = 5")
}

fn same_rows(a: &Predictions, b: &Predictions) -> Result<(), StageError> {
    if a.object_id == b.object_id && a.repeat == b.repeat && a.fold == b.fold && a.label == b.label
    {
        return Ok(());
    }
    Err(StageError::data(
        "flow::data::folds_differ",
        "the predictions to stack are not of the same objects and folds",
    )
    .help("feed all models from the same `folds` stage"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two repeats of two folds, and a row of the final fit.
    fn predictions() -> Predictions {
        let rows = [
            ("a", 0, Some(0)),
            ("b", 0, Some(1)),
            ("c", 0, Some(0)),
            ("u", 0, None),
            ("a", 1, Some(1)),
            ("b", 1, Some(0)),
            ("c", 1, Some(0)),
        ];
        Predictions {
            classes: vec!["A".into()],
            positive: Some("A".into()),
            object_id: rows.iter().map(|row| row.0.into()).collect(),
            repeat: rows.iter().map(|row| row.1).collect(),
            fold: rows.iter().map(|row| row.2).collect(),
            label: rows.iter().map(|_| Some("A".into())).collect(),
            probability: vec![vec![0.5; rows.len()]],
        }
    }

    #[test]
    fn a_fold_learns_from_the_others_of_its_repeat() {
        let fits = cross_fit(&predictions(), |rows| Ok(rows.to_vec())).unwrap();
        let found: Vec<_> = fits
            .into_iter()
            .map(|fit| (fit.repeat, fit.fold, fit.fitted, fit.rows))
            .collect();
        assert_eq!(
            found,
            [
                (0, None, vec![0, 1, 2], vec![3]),
                (0, Some(0), vec![1], vec![0, 2]),
                (0, Some(1), vec![0, 2], vec![1]),
                (1, Some(0), vec![4], vec![5, 6]),
                (1, Some(1), vec![5, 6], vec![4]),
            ]
        );
    }

    #[test]
    fn errors_end_it_and_tables_are_alike() {
        let stop = StageError::data("flow::data::no_rows", "stop");
        let ended = cross_fit(&predictions(), |_| Err::<(), _>(stop.clone()));
        assert!(ended.is_err());
        let (first, mut other) = (predictions(), predictions());
        assert!(same_rows(&first, &other).is_ok());
        other.fold[0] = Some(1);
        let error = same_rows(&first, &other).unwrap_err();
        assert_eq!(error.code.as_str(), "flow::data::folds_differ");
    }
}
