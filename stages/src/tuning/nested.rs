//! Nested cross-validation: how good the result of a study is on objects that it never saw.
//!
//! The best score of a study is optimistic: it is the largest of many noisy ones (Cawley and Talbot,
//! "On over-fitting in model selection and subsequent selection bias in performance evaluation",
//! JMLR 11, 2010). So for each fold f of the pipeline's first repeat the study is made anew with the
//! parameter `within = f` of the `folds` stage: on the objects that train in f, in inner folds of their
//! own. The others have no label there, so that they cannot influence any choice. They are new objects,
//! and the final fit of the configuration that won predicts them. Joined over f, these are out-of-fold
//! predictions of the *procedure*, study included. [`outer`] joins and scores them.

use std::path::Path;

use flow_engine::StageError;

use crate::comparison::{Arm, ArmParts};
use crate::evaluation::{MetricReport, ScoreSettings, out_of_fold};
use crate::table::{Folds, Predictions};

/// The result of the outer folds.
pub struct Outer {
    /// All objects with a label, each predicted by a model and a choice that did not see it.
    pub predictions: Predictions,
    /// Their metrics.
    pub evaluation: MetricReport,
    /// The groups that the outer folds keep together, by row of the predictions.
    pub groups: Option<Vec<String>>,
}

impl Outer {
    /// Returns the result as an arm of a comparison of classifiers.
    ///
    /// # Errors
    /// As for [`ArmParts::of`] and [`Arm::from_parts`].
    pub fn arm(&self, name: &str) -> Result<Arm, StageError> {
        let repeats = out_of_fold(&self.predictions)?;
        Arm::from_parts(ArmParts {
            groups: self.groups.clone(),
            ..ArmParts::of(name, &self.predictions, &repeats)?
        })
    }
}

/// Joins the predictions of configurations that were chosen within outer folds, in the order of the
/// folds; `folds` is the table of the outer folds, and `fixed` the fixed threshold of the evaluation.
///
/// If a file is unreadable, an object that an outer fold holds out was not predicted as a new one, or
/// the configurations predict different classes and none of them is the positive one.
pub fn outer(folds: &Path, parts: &[&Path], fixed: f64) -> Result<Outer, StageError> {
    let folds = Folds::labelled(folds)?;
    let mut tables = Vec::with_capacity(parts.len());
    for (fold, part) in parts.iter().enumerate() {
        let new = Predictions::read_where(part, |rows, row| {
            rows.fold[row].is_none() && folds.object_id.binary_search(&rows.object_id[row]).is_ok()
        })?;
        tables.push(held_out(&folds, fold as i32, &new)?);
    }
    let differ = tables
        .iter()
        .any(|table| table.classes != tables[0].classes);
    let tables = tables.into_iter().map(|table| match differ {
        true => table.positive_only(),
        false => Ok(table),
    });
    let mut tables = tables.collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut predictions = tables.next().unwrap_or_default();
    for table in tables {
        predictions.append(&table)?;
    }
    predictions.sort();
    let repeats = out_of_fold(&predictions)?;
    let settings = ScoreSettings {
        threshold: fixed,
        ..ScoreSettings::default()
    };
    let evaluation = MetricReport::without_intervals(&predictions, &repeats, &settings)?;
    let group = |id: &String| folds.group[folds.object_id.binary_search(id).ok()?].clone();
    Ok(Outer {
        groups: predictions.object_id.iter().map(group).collect(),
        predictions,
        evaluation,
    })
}

/// The predictions, as new objects, of the objects that a fold of repeat 0 holds out, with their
/// labels.
fn held_out(folds: &Folds, fold: i32, all: &Predictions) -> Result<Predictions, StageError> {
    let mut new: Vec<(&str, usize)> = (0..all.len())
        .filter(|&i| all.fold[i].is_none())
        .map(|i| (all.object_id[i].as_str(), i))
        .collect();
    new.sort_unstable();
    let mut part = Predictions {
        classes: all.classes.clone(),
        positive: all.positive.clone(),
        probability: vec![Vec::new(); all.classes.len()],
        ..Predictions::default()
    };
    let rows = (0..folds.object_id.len()).filter(|&row| folds.repeats[0][row] == Some(fold));
    for row in rows {
        let id = &folds.object_id[row];
        let found = new.binary_search_by(|(new, _)| (*new).cmp(id.as_str()));
        let (_, i) = found.map(|at| new[at]).map_err(|_| {
            StageError::data(
                "flow::tune::outer",
                format!("object `{id}` of outer fold {fold} was not predicted as a new object"),
            )
            .help("nested tuning needs predictions of unlabelled objects from every model")
        })?;
        part.object_id.push(id.clone());
        part.repeat.push(0);
        part.fold.push(Some(fold));
        part.label.push(folds.label[row].clone());
        for (column, from) in part.probability.iter_mut().zip(&all.probability) {
            column.push(from[i]);
        }
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Metric;

    fn file(write: impl FnOnce(&mut Vec<u8>)) -> flow_testkit::files::NamedTempFile {
        let mut bytes = Vec::new();
        write(&mut bytes);

        flow_testkit::files::file_of(bytes)
    }

    fn folds() -> flow_testkit::files::NamedTempFile {
        let some = |text: &str| Some(text.to_owned());
        let folds = Folds {
            classes: vec!["AGN".into(), "TDE".into()],
            positive: some("TDE"),
            object_id: ["a", "b", "c", "d", "u"].map(str::to_owned).to_vec(),
            label: vec![some("TDE"), some("AGN"), some("TDE"), some("AGN"), None],
            raw_label: Vec::new(),
            group: vec![None; 5],
            repeats: vec![vec![Some(0), Some(0), Some(1), Some(1), None]],
        };
        file(|bytes| folds.write(bytes).unwrap())
    }

    /// Predictions of new objects, and one with a fold, which must not be taken.
    fn part(new: &[(&str, f64)], classes: &[&str]) -> flow_testkit::files::NamedTempFile {
        let n = new.len() + 1;
        let mut fold = vec![None; n];
        fold[0] = Some(1);
        let table = Predictions {
            classes: classes.iter().map(|&c| c.to_owned()).collect(),
            positive: Some("TDE".into()),
            object_id: std::iter::once("b")
                .chain(new.iter().map(|(id, _)| *id))
                .map(str::to_owned)
                .collect(),
            repeat: vec![0; n],
            fold,
            label: vec![None; n],
            probability: classes
                .iter()
                .map(|&class| {
                    let p = |p: f64| if class == "TDE" { p } else { 1.0 - p };
                    std::iter::once(0.123)
                        .chain(new.iter().map(|&(_, v)| p(v)))
                        .collect()
                })
                .collect(),
        };
        file(|bytes| table.write(bytes).unwrap())
    }

    #[test]
    fn held_out_objects_are_scored_by_the_models_that_did_not_see_them() {
        let folds = folds();
        let first = part(&[("a", 0.9), ("b", 0.2), ("u", 0.5)], &["AGN", "TDE"]);
        // The other configuration learned another target.
        let second = part(&[("c", 0.4), ("d", 0.6), ("u", 0.5)], &["TDE"]);
        let outer = outer(folds.path(), &[first.path(), second.path()], 0.5).unwrap();
        assert_eq!(outer.predictions.object_id, ["a", "b", "c", "d"]);
        assert_eq!(outer.predictions.probability, [[0.9, 0.2, 0.4, 0.6]]);
        let auc = outer.evaluation.metric(Metric::RocAuc);
        assert_eq!(auc.unwrap().pooled, Some(0.75));
    }

    #[test]
    fn an_object_that_was_not_predicted_as_new_is_an_error() {
        let folds = folds();
        let first = part(&[("a", 0.9)], &["TDE"]);
        let second = part(&[("c", 0.4), ("d", 0.6)], &["TDE"]);
        let Err(error) = outer(folds.path(), &[first.path(), second.path()], 0.5) else {
            panic!("`b` has a fold in the first table")
        };
        assert_eq!(error.code.as_str(), "flow::tune::outer");
    }
}
