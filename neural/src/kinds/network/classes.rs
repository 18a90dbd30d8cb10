//! The classes that a network tells apart, and one that it does not know.

use flow_engine::StageError;
use flow_stages::kinds::ModelTarget;
use flow_stages::rows::TrainRows;

use super::params::UnknownClass;

/// The name of the class that no training row is of.
const UNKNOWN: &str = "99";

/// The classes that a network tells apart.
pub struct KnownClasses {
    /// The names of those with a column of probabilities: with a binary target the positive one.
    pub names: Vec<String>,
    /// The class of each row, as a number below `count`.
    pub labels: Vec<usize>,
    /// The number of classes.
    pub count: usize,
    /// The names of all of them.
    pub all: Vec<String>,
    /// The place, among the classes of the table of folds, of the one that no row is to be of.
    pub unknown: Option<usize>,
}

impl KnownClasses {
    /// Finds the classes of training rows.
    ///
    /// # Errors
    /// If the survey names no positive class, for a binary target, fewer than two classes have a row, or a row is of
    /// the class that none is to be of.
    pub fn of(
        rows: &TrainRows,
        target: ModelTarget,
        unknown: UnknownClass,
    ) -> Result<Self, StageError> {
        let (mut labels, mut count) = target.labels(rows)?;
        let mut all = match target {
            ModelTarget::Binary => {
                let positive = rows.positive.clone().unwrap_or_default();
                vec![format!("not {positive}"), positive]
            }
            ModelTarget::Classes => rows.classes.clone(),
        };
        let place = all.iter().position(|class| class == UNKNOWN);
        let unknown = place.filter(|_| unknown == UnknownClass::Rest);
        if let Some(place) = unknown {
            if let Some(row) = labels.iter().position(|&label| label == place) {
                let text = format!(
                    "object `{}` is of class `{UNKNOWN}`, of which there are to be no training rows",
                    rows.object_id[row]
                );
                return Err(StageError::data("flow::neural::rows", text)
                    .help("class_99 = \"none\" learns it like any other class"));
            }
            all.remove(place);
            labels.iter_mut().for_each(|label| shift(label, place));
            count -= 1;
        }
        let mut seen = labels.clone();
        seen.sort_unstable();
        seen.dedup();
        if let [] | [_] = seen[..] {
            let class = seen.first().map_or("none", |&class| all[class].as_str());
            let text = format!(
                "all {} training rows are of one class ({class}), and a network needs two",
                labels.len()
            );
            let help = "a class needs rows in two folds or more: label more objects of it, or join classes under \
                        `classes` of the `ingest` stage";
            return Err(StageError::data("flow::neural::rows", text).help(help));
        }
        let names = match target {
            ModelTarget::Binary => all[1..].to_vec(),
            ModelTarget::Classes => all.clone(),
        };
        Ok(Self {
            names,
            labels,
            count,
            all,
            unknown,
        })
    }

    /// Adds rows of these classes, numbered as in the table of folds.
    pub fn add(&mut self, classes: Vec<usize>) {
        for mut class in classes {
            if let Some(place) = self.unknown {
                shift(&mut class, place);
            }
            self.labels.push(class);
        }
    }

    /// The number of rows of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.count];
        for &label in &self.labels {
            counts[label] += 1;
        }
        counts
    }
}

/// The number of a class once the one in this place is left out.
fn shift(class: &mut usize, place: usize) {
    *class -= usize::from(*class > place);
}

/// Adds a class [`UNKNOWN`] with the probability `(1 - p) / k`, where p is the largest probability of the k classes (Bundas
/// 2020, "Classifying Astronomical Objects Using Time Series Neural Network", with k = 14), and divides the probabilities of
/// each row by their sum. `probability` has a list for each class.
pub fn add_unknown(classes: &mut Vec<String>, probability: &mut Vec<Vec<f64>>) {
    let known = classes.len() as f64;
    let rows = probability.first().map_or(0, Vec::len);
    let mut rest = Vec::with_capacity(rows);
    for row in 0..rows {
        let each = probability.iter().map(|of_class| of_class[row]);
        rest.push((1.0 - each.fold(0.0, f64::max)) / known);
    }
    let place = classes.partition_point(|class| class.as_str() < UNKNOWN);
    classes.insert(place, UNKNOWN.to_owned());
    probability.insert(place, rest);
    for row in 0..rows {
        let sum: f64 = probability.iter().map(|of_class| of_class[row]).sum();
        for of_class in probability.iter_mut() {
            of_class[row] = (of_class[row] / sum).min(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_class_explains_is_of_the_unknown_one() {
        let mut classes = ["6", "95"].map(String::from).to_vec();
        let mut probability = vec![vec![0.8, 0.5], vec![0.2, 0.5]];
        add_unknown(&mut classes, &mut probability);
        assert_eq!(classes, ["6", "95", "99"]);
        let expected = [
            [0.8 / 1.1, 0.5 / 1.25],
            [0.2 / 1.1, 0.5 / 1.25],
            [0.1 / 1.1, 0.2],
        ];
        for (found, expected) in probability.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-15, "{probability:?}");
        }
    }
}
