//! How many objects an evaluation scores.

use std::collections::BTreeSet;

use flow_engine::StageError;

use crate::table::Predictions;

/// How many objects an evaluation scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoredObjects {
    /// All of them.
    pub objects: usize,
    /// The class that binary metrics score, and how many of the objects belong to it.
    pub positives: Option<(String, usize)>,
    /// Repeats of the cross-validation.
    pub repeats: usize,
}

impl ScoredObjects {
    /// Counts the out-of-fold rows of predictions.
    pub fn of(predictions: &Predictions) -> Self {
        let scored = (0..predictions.len()).filter(|&row| predictions.fold[row].is_some());
        let mut objects = BTreeSet::new();
        let mut positives = BTreeSet::new();
        let mut repeats = BTreeSet::new();
        for row in scored {
            let id = predictions.object_id[row].as_str();
            objects.insert(id);
            repeats.insert(predictions.repeat[row]);
            if predictions.positive.is_some() && predictions.label[row] == predictions.positive {
                positives.insert(id);
            }
        }
        let class = predictions.positive.clone();
        Self {
            objects: objects.len(),
            positives: class.map(|class| (class, positives.len())),
            repeats: repeats.len(),
        }
    }

    /// Reads predictions, and counts.
    ///
    /// # Errors
    /// The file is not a table of predictions.
    pub fn read(predictions: &std::path::Path) -> Result<Self, StageError> {
        Ok(Self::of(&Predictions::read_out_of_fold(predictions)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_count_once_in_several_repeats_and_the_final_fit_does_not_count() {
        let text = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let label = |values: &[&str]| values.iter().map(|v| Some((*v).to_owned())).collect();
        let predictions = Predictions {
            classes: text(&["x", "y"]),
            positive: Some("y".into()),
            object_id: text(&["a", "b", "a", "b", "c"]),
            repeat: vec![0, 0, 1, 1, 0],
            fold: vec![Some(0), Some(1), Some(0), Some(1), None],
            label: label(&["x", "y", "x", "y", "y"]),
            probability: vec![vec![0.5; 5]; 2],
        };
        let expected = ScoredObjects {
            objects: 2,
            positives: Some(("y".into(), 1)),
            repeats: 2,
        };
        assert_eq!(ScoredObjects::of(&predictions), expected);
    }
}
