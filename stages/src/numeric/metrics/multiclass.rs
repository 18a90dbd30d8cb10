//! Metrics over all classes.
//!
//! Probabilities are a row-major matrix, one row of `n_classes` values per object; labels are class
//! numbers below `n_classes`. Macro averages weigh classes equally. As in scikit-learn, the macro
//! precision, recall and F1 are over the classes that occur among the labels or the predictions; the
//! areas under curves are over the classes that have both positive and negative rows.
//!
//! # Panics
//! Every function here panics if a slice's length does not fit, or a label is not below `n_classes`.

use super::{CLIP, Confusion, average_precision, roc_auc};

/// Counts of rows by true class (first index) and predicted class (second index).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    n_classes: usize,
    counts: Vec<u64>,
}

/// The class of highest probability in each row; the lowest such class if several tie.
pub fn argmax(probabilities: &[f64], n_classes: usize) -> Vec<usize> {
    let highest =
        |row: &[f64]| (1..n_classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
    rows(probabilities, n_classes).map(highest).collect()
}

fn rows(probabilities: &[f64], n_classes: usize) -> std::slice::ChunksExact<'_, f64> {
    assert!(n_classes > 0 && probabilities.len().is_multiple_of(n_classes));
    probabilities.chunks_exact(n_classes)
}

impl ConfusionMatrix {
    /// Counts predicted classes (see [`argmax`]) against labels.
    pub fn of(predicted: &[usize], labels: &[usize], n_classes: usize) -> ConfusionMatrix {
        assert_eq!(predicted.len(), labels.len());
        let mut counts = vec![0; n_classes * n_classes];
        for (&predicted, &label) in predicted.iter().zip(labels) {
            assert!(predicted < n_classes && label < n_classes);
            counts[label * n_classes + predicted] += 1;
        }
        ConfusionMatrix { n_classes, counts }
    }

    /// Rows of class `label` that were predicted as `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.counts[label * self.n_classes + predicted]
    }

    /// The matrix, row-major: one row for each true class.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The binary counts of `class` against the rest.
    pub fn one_vs_rest(&self, class: usize) -> Confusion {
        let all: u64 = self.counts.iter().sum();
        let tp = self.count(class, class);
        let labelled: u64 = (0..self.n_classes).map(|c| self.count(class, c)).sum();
        let predicted: u64 = (0..self.n_classes).map(|c| self.count(c, class)).sum();
        Confusion {
            tp,
            fp: predicted - tp,
            fn_: labelled - tp,
            tn: all + tp - labelled - predicted,
        }
    }

    /// The share of rows predicted correctly; 0 without rows.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.n_classes).map(|c| self.count(c, c)).sum();
        super::ratio(right as f64, self.counts.iter().sum::<u64>() as f64)
    }

    /// Macro average of the classes' precision.
    pub fn macro_precision(&self) -> f64 {
        self.macro_average(Confusion::precision)
    }

    /// Macro average of the classes' recall.
    pub fn macro_recall(&self) -> f64 {
        self.macro_average(Confusion::recall)
    }

    /// Macro average of the classes' F1.
    pub fn macro_f1(&self) -> f64 {
        self.macro_average(Confusion::f1)
    }

    fn macro_average(&self, figure: impl Fn(&Confusion) -> f64) -> f64 {
        let classes = (0..self.n_classes).map(|class| self.one_vs_rest(class));
        let occurring = classes.filter(|c| c.tp + c.fp + c.fn_ > 0);
        average(occurring.map(|c| figure(&c))).unwrap_or(0.0)
    }
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Mean of `-ln P(true class)`, clipped as in the binary [`log_loss`](super::log_loss); rows are taken
/// to sum to one. `None` without rows.
pub fn log_loss(probabilities: &[f64], labels: &[usize], n_classes: usize) -> Option<f64> {
    let rows = rows(probabilities, n_classes);
    assert_eq!(rows.len(), labels.len());
    average(
        rows.zip(labels)
            .map(|(row, &label)| -libm::log(row[label].clamp(CLIP, 1.0 - CLIP))),
    )
}

/// The smallest and largest probability that enter a weighted log-loss, as PLAsTiCC has it.
const EDGE: f64 = 1e-15;

/// `-ln P(true class)` of each row, after its probabilities were divided by their sum and clipped to
/// [1e-15, 1 - 1e-15].
pub fn losses(probabilities: &[f64], labels: &[usize], n_classes: usize) -> Vec<f64> {
    let rows = rows(probabilities, n_classes);
    assert_eq!(rows.len(), labels.len());
    rows.zip(labels)
        .map(|(row, &label)| {
            let p = row[label] / row.iter().sum::<f64>();
            -libm::log(p.clamp(EDGE, 1.0 - EDGE))
        })
        .collect()
}

/// The weighted log-loss of PLAsTiCC (Malz et al., AJ 158, 171, 2019): the mean [`losses`] of each class,
/// averaged over the classes that occur with `weights`. Row i counts `counts[i]` times. `None` without rows
/// or if all classes that occur have weight 0.
pub fn weighted_log_loss(
    losses: &[f64],
    labels: &[usize],
    weights: &[f64],
    counts: &[u32],
) -> Option<f64> {
    assert!(losses.len() == labels.len() && losses.len() == counts.len());
    let mut classes = vec![(0.0, 0_u64); weights.len()];
    for ((loss, &label), &count) in losses.iter().zip(labels).zip(counts) {
        let (sum, rows) = &mut classes[label];
        *sum += f64::from(count) * loss;
        *rows += u64::from(count);
    }
    let (mut sum, mut total) = (0.0, 0.0);
    for ((loss, rows), weight) in classes.into_iter().zip(weights) {
        if rows > 0 {
            sum += weight * (loss / rows as f64);
            total += weight;
        }
    }
    (total > 0.0).then(|| sum / total)
}

/// Macro average of the one-vs-rest areas under the ROC curve; `None` if no class has one.
pub fn roc_auc_macro(probabilities: &[f64], labels: &[usize], n_classes: usize) -> Option<f64> {
    one_vs_rest_average(probabilities, labels, n_classes, |scores, positive| {
        roc_auc(scores, positive, None)
    })
}

/// Macro average of the one-vs-rest average precisions; `None` if no class has one.
pub fn average_precision_macro(
    probabilities: &[f64],
    labels: &[usize],
    n_classes: usize,
) -> Option<f64> {
    one_vs_rest_average(probabilities, labels, n_classes, |scores, positive| {
        // If no row is of another class, every ranking is perfect, which says nothing.
        let mixed = positive.iter().any(|&p| !p);
        mixed
            .then(|| average_precision(scores, positive, None))
            .flatten()
    })
}

fn one_vs_rest_average(
    probabilities: &[f64],
    labels: &[usize],
    n_classes: usize,
    figure: impl Fn(&[f64], &[bool]) -> Option<f64>,
) -> Option<f64> {
    let rows = rows(probabilities, n_classes);
    assert_eq!(rows.len(), labels.len());
    average((0..n_classes).filter_map(|class| {
        let scores: Vec<f64> = rows.clone().map(|row| row[class]).collect();
        let positive: Vec<bool> = labels.iter().map(|&label| label == class).collect();
        figure(&scores, &positive)
    }))
}
