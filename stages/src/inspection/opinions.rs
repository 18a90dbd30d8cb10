//! What one model says of some objects, fit by fit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flow_engine::StageError;

use crate::table::Predictions;

/// What one fit says of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// The repeat of the cross-validation; 0 for the final fit.
    pub repeat: i32,
    /// The fold that held the object out; `None` for the final fit.
    pub fold: Option<i32>,
    /// The probabilities, in the order of [`ModelOpinions::classes`].
    pub probabilities: Vec<f64>,
}

/// What a model says of some objects.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOpinions {
    /// The classes that have probabilities.
    pub classes: Vec<String>,
    /// By object, one for each fit, in the order of repeats.
    pub of: BTreeMap<String, Vec<Opinion>>,
}

impl ModelOpinions {
    /// Reads those of some objects.
    ///
    /// # Errors
    /// If the file is unreadable.
    pub fn read(predictions: &Path, wanted: &BTreeSet<&str>) -> Result<Self, StageError> {
        let predictions = Predictions::read_where(predictions, |rows, row| {
            wanted.contains(rows.object_id[row].as_str())
        })?;
        let mut of: BTreeMap<String, Vec<Opinion>> = BTreeMap::new();
        for (row, id) in predictions.object_id.iter().enumerate() {
            let columns = predictions.probability.iter();
            of.entry(id.clone()).or_default().push(Opinion {
                repeat: predictions.repeat[row],
                fold: predictions.fold[row],
                probabilities: columns.map(|column| column[row]).collect(),
            });
        }
        for opinions in of.values_mut() {
            opinions.sort_by_key(|opinion| (opinion.repeat, opinion.fold));
        }
        Ok(Self {
            classes: predictions.classes,
            of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fit_of_an_object_is_there() {
        let all = Predictions {
            classes: vec!["A".into(), "T".into()],
            positive: None,
            object_id: vec!["b".into(), "a".into(), "b".into()],
            repeat: vec![1, 0, 0],
            fold: vec![Some(2), Some(0), Some(1)],
            label: vec![Some("A".into()); 3],
            probability: vec![vec![0.25, 0.5, 0.75], vec![0.75, 0.5, 0.25]],
        };
        let file = flow_testkit::files::NamedTempFile::new().unwrap();
        all.write(file.as_file()).unwrap();
        let read = ModelOpinions::read(file.path(), &BTreeSet::from(["b", "z"])).unwrap();
        assert_eq!(read.classes, ["A", "T"]);
        assert_eq!(read.of.len(), 1);
        let opinions: Vec<_> = (read.of["b"].iter())
            .map(|o| (o.repeat, o.fold, o.probabilities.as_slice()))
            .collect();
        let expected: [(i32, Option<i32>, &[f64]); 2] =
            [(0, Some(1), &[0.75, 0.25]), (1, Some(2), &[0.25, 0.75])];
        assert_eq!(opinions, expected);
    }
}
