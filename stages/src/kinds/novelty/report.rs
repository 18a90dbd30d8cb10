//! The report of the kind `novelty`: how well a class is found that was left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fitted::NO_CLASSIFIER;
use crate::numeric::metrics::roc_auc;
use crate::table::Predictions;

/// The area under the ROC curve of a class against all others, in several ways.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    class: String,
    objects: usize,
    /// By each score of what has not seen the class.
    left_out: Vec<Option<f64>>,
    /// By the novelty of what has.
    known: Option<f64>,
    /// By 1 - the largest probability of a model, which has seen the class.
    unsure: Option<f64>,
}

/// Returns 1 minus the largest probability for each row of `scores`; NaN where there is no prediction of the same
/// object in the same repeat.
pub(super) fn unsure(scores: &Predictions, predictions: &Predictions) -> Vec<f64> {
    let mut by_row = BTreeMap::new();
    for i in (0..predictions.len()).filter(|&i| predictions.fold[i].is_some()) {
        let probabilities = predictions.probability.iter().map(|column| column[i]);
        let largest = match predictions.classes.len() {
            // Only the probability of the positive class is there.
            1 => probabilities.fold(0.0, |_, p| f64::max(p, 1.0 - p)),
            _ => probabilities.fold(0.0, f64::max),
        };
        by_row.insert(
            (predictions.repeat[i], &predictions.object_id[i]),
            1.0 - largest,
        );
    }
    let row = |i: usize| by_row.get(&(scores.repeat[i], &scores.object_id[i]));
    (0..scores.len())
        .map(|i| row(i).copied().unwrap_or(f64::NAN))
        .collect()
}

/// Returns how well each class is found among the rows that were held out, averaged over the repeats.
pub(super) fn find(scores: &Predictions, classes: &[String], unsure: Option<&[f64]>) -> Vec<Found> {
    let held_out: Vec<usize> = (0..scores.len())
        .filter(|&i| scores.fold[i].is_some())
        .collect();
    let repeats = held_out.chunk_by(|&a, &b| scores.repeat[a] == scores.repeat[b]);
    let repeats: Vec<&[usize]> = repeats.collect();
    let is = |i: usize, class: &String| scores.label[i].as_ref() == Some(class);
    let area = |values: &[f64], class: &String| {
        let mut sum = 0.0;
        for rows in &repeats {
            let known: Vec<usize> = rows
                .iter()
                .copied()
                .filter(|&i| !values[i].is_nan())
                .collect();
            let labels: Vec<bool> = known.iter().map(|&i| is(i, class)).collect();
            let values: Vec<f64> = known.iter().map(|&i| values[i]).collect();
            if values.iter().all(|&value| value == NO_CLASSIFIER) {
                return None;
            }
            sum += roc_auc(&values, &labels, None)?;
        }
        (!repeats.is_empty()).then(|| sum / repeats.len() as f64)
    };
    let first = repeats.first().copied().unwrap_or_default();
    let found = classes.iter().enumerate().map(|(k, class)| {
        // Each score has a column for all classes, and then one without each.
        let scores_without = scores.probability.chunks_exact(classes.len() + 1);
        Found {
            objects: first.iter().filter(|&&i| is(i, class)).count(),
            left_out: scores_without
                .map(|columns| area(&columns[k + 1], class))
                .collect(),
            known: area(&scores.probability[0], class),
            unsure: unsure.and_then(|unsure| area(unsure, class)),
            class: class.clone(),
        }
    });
    found.collect()
}

/// Returns the report. `scores` names what [`Found::left_out`] holds.
pub(super) fn report(scores: &[&str], found: &[Found]) -> String {
    let mut text = String::from(
        "# Novelty\n\n\
         How well a class is found among all rows that were held out, as the area under the ROC curve of that class \
         against all others, averaged over repeats. 0.5 is chance.\n\n\
         - `left out`: by the novelty of fits that have not seen the class, as if nobody had labeled it;\n\
         - `known`: by the novelty of fits that have seen it;\n\
         - `unsure`: by 1 - max P of the predictions, whose models have seen the class.\n\n",
    );
    let parts = scores.get(1..).unwrap_or_default();
    if !parts.is_empty() {
        let _ = writeln!(
            text,
            "`{}` are the factors of the novelty, of fits that have not seen the class either.\n",
            parts.join("` and `")
        );
    }
    let part_heads: String = parts.iter().map(|part| format!(" {part} |")).collect();
    let rules = "---|".repeat(5 + parts.len());
    let _ = writeln!(
        text,
        "| class | objects | left out |{part_heads} known | unsure |\n|{rules}"
    );
    let show = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
    for class in found {
        let left_out: Vec<String> = class.left_out.iter().map(|area| show(*area)).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            class.class,
            class.objects,
            left_out.join(" | "),
            show(class.known),
            show(class.unsure)
        );
    }
    let means: Vec<String> = (0..scores.len())
        .filter_map(|score| {
            let areas = found.iter().map(|class| class.left_out[score]);
            let areas: Vec<f64> = areas.collect::<Option<_>>()?;
            let mean = areas.iter().sum::<f64>() / areas.len() as f64;
            (!areas.is_empty()).then(|| format!("{} {mean:.4}", scores[score]))
        })
        .collect();
    if !means.is_empty() {
        let _ = writeln!(
            text,
            "\nMean over classes, each left out: {}.",
            means.join(", ")
        );
    }
    if found.len() < 3 {
        text.push_str(
            "\nThere are fewer than three classes. Without one of them, a classifier has nothing to tell apart, so what \
             is left out is found by the forest alone, or not at all (`-`).\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(labels: &[&str], columns: &[&[f64]]) -> Predictions {
        Predictions {
            classes: (0..columns.len()).map(|i| format!("s{i}")).collect(),
            positive: None,
            object_id: (0..labels.len()).map(|i| format!("o{i}")).collect(),
            repeat: vec![0; labels.len()],
            fold: vec![Some(0); labels.len()],
            label: labels
                .iter()
                .map(|label| Some((*label).to_owned()))
                .collect(),
            probability: columns.iter().map(|column| column.to_vec()).collect(),
        }
    }

    #[test]
    fn a_class_is_found_by_the_scores_that_have_not_seen_it() {
        let all = [0.5, 0.5, 0.5, 0.5];
        let without_a = [0.9, 0.8, 0.3, 0.2];
        let without_b = [0.9, 0.2, 0.8, 0.1];
        let scores = table(&["A", "A", "B", "B"], &[&all, &without_a, &without_b]);
        let classes = ["A".to_owned(), "B".to_owned()];
        let unsure = [0.1, f64::NAN, 0.3, 0.4];
        let found = find(&scores, &classes, Some(&unsure));
        assert_eq!(found[0].left_out, [Some(1.0)]);
        assert_eq!((found[0].known, found[0].objects), (Some(0.5), 2));
        assert_eq!(found[0].unsure, Some(0.0));
        // Of the four pairs of a B and an A, the B has the larger score in one.
        assert_eq!(found[1].left_out, [Some(0.25)]);
        let text = report(&["novelty"], &found);
        assert!(
            text.contains("| A | 2 | 1.0000 | 0.5000 | 0.0000 |"),
            "{text}"
        );
        assert!(text.contains("each left out: novelty 0.6250."), "{text}");
        // A class without held-out objects has no figures, and the final fit does not count.
        let mut scores = table(&["A", "A"], &[&all[..2], &all[..2], &all[..2]]);
        scores.fold[0] = None;
        let found = find(&scores, &classes, None);
        assert_eq!((&found[0].left_out, found[0].objects), (&vec![None], 1));
        assert!(report(&["novelty"], &found).contains("| B | 0 | - | - | - |"));
    }

    #[test]
    fn each_factor_has_its_column() {
        let labels = ["A", "B", "C", "C"];
        let (up, down) = ([0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]);
        let none = [NO_CLASSIFIER; 4];
        let scores = table(
            &labels,
            &[
                &up, &up, &up, &up, &up, &down, &up, &down, &up, &none, &up, &none,
            ],
        );
        let classes = ["A", "B", "C"].map(str::to_owned);
        let found = find(&scores, &classes, None);
        let third = 1.0 / 3.0;
        assert_eq!(found[0].left_out, [Some(0.0), Some(1.0), None]);
        assert_eq!(found[1].left_out, [Some(third), Some(third), Some(third)]);
        assert_eq!(found[2].left_out, [Some(1.0), Some(0.0), None]);
        let text = report(&["novelty", "forest", "classifier"], &found);
        let head = "| class | objects | left out | forest | classifier | known | unsure |\n";
        assert!(text.contains(head), "{text}");
        assert!(text.contains("\n|---|---|---|---|---|---|---|\n"), "{text}");
        let row = "| A | 1 | 0.0000 | 1.0000 | - | 0.0000 | - |";
        assert!(text.contains(row), "{text}");
        // There is no mean of the classifier, which two classes lack.
        let means = "each left out: novelty 0.4444, forest 0.4444.\n";
        assert!(text.ends_with(means), "{text}");
        let two = report(&["novelty"], &found[..2]);
        assert!(two.contains("fewer than three classes"), "{two}");
    }

    #[test]
    fn predictions_are_matched_by_object_and_repeat() {
        let scores = table(&["A", "A", "B"], &[&[0.1, 0.2, 0.3]]);
        let mut predictions = table(&["A", "B"], &[&[0.9, 0.2], &[0.1, 0.8]]);
        assert_eq!(unsure(&scores, &predictions)[..2], [1.0 - 0.9, 1.0 - 0.8]);
        assert!(unsure(&scores, &predictions)[2].is_nan());
        // One column is the probability of the positive class.
        predictions.classes.truncate(1);
        predictions.probability.truncate(1);
        assert_eq!(unsure(&scores, &predictions)[..2], [1.0 - 0.9, 1.0 - 0.8]);
        predictions.repeat[0] = 1;
        assert!(unsure(&scores, &predictions)[0].is_nan());
    }
}
