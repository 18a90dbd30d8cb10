//! Temperature scaling: one number that makes all probabilities of a classifier more or less certain.

use super::EDGE;

/// The natural logarithm of the temperature stays within -10 and 10.
const RANGE: f64 = 10.0;
/// The number of halvings of that range, after which it is as narrow as numbers are.
const HALVINGS: usize = 60;

/// Finds the temperature T that minimises the mean of `-ln q(true class)` with
/// `q_c = p_c^(1/T) / sum_j p_j^(1/T)` (Guo et al. 2017, "On calibration of modern neural networks",
/// section 4.2, with the logarithms of the probabilities as logits). Above 1, the classifier was too
/// certain. `probabilities` has `n_classes` values for each label.
///
/// The mean is convex in 1/T, so that its slope has one root, which is found by halving within
/// [e^-10, e^10]. A classifier that is right in every row gets the smallest temperature, one that
/// is worse than chance the largest. 1 without rows.
///
/// # Panics
/// If lengths do not fit, or a label is not below `n_classes`.
pub fn fit(probabilities: &[f64], labels: &[usize], n_classes: usize) -> f64 {
    assert_eq!(probabilities.len(), labels.len() * n_classes);
    if labels.is_empty() {
        return 1.0;
    }
    let logits: Vec<f64> = probabilities.iter().map(|&p| logit(p)).collect();
    let (mut low, mut high) = (-RANGE, RANGE);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if slope(&logits, labels, n_classes, libm::exp(-middle)) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    libm::exp(0.5 * (low + high))
}

/// Replaces the probabilities of a row by those at temperature `t`, which sum to 1.
pub fn apply(row: &mut [f64], t: f64) {
    for p in row.iter_mut() {
        *p = logit(*p);
    }
    softmax(row, 1.0 / t);
}

fn logit(p: f64) -> f64 {
    libm::log(p.max(EDGE))
}

/// Replaces logits by probabilities in proportion to `exp(beta * logit)`.
fn softmax(logits: &mut [f64], beta: f64) {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for z in logits.iter_mut() {
        *z = libm::exp(beta * (*z - most));
    }
    let sum: f64 = logits.iter().sum();
    for p in logits.iter_mut() {
        *p /= sum;
    }
}

/// The slope of the loss in `beta = 1/T`: the mean logit under the model less that of the true class.
fn slope(logits: &[f64], labels: &[usize], n_classes: usize, beta: f64) -> f64 {
    let mut scaled = vec![0.0; n_classes];
    let rows = logits.chunks_exact(n_classes).zip(labels);
    rows.map(|(row, &label)| {
        scaled.copy_from_slice(row);
        softmax(&mut scaled, beta);
        let mean: f64 = scaled.iter().zip(row).map(|(q, z)| q * z).sum();
        mean - row[label]
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{numbers, oracle};
    use super::*;

    fn sample() -> (Vec<f64>, Vec<usize>, serde_json::Value) {
        let oracle = oracle()["temperature"].take();
        let rows = oracle["probabilities"].as_array().unwrap().iter();
        let labels = numbers(&oracle["labels"]);
        let labels = labels.iter().map(|&label| label as usize).collect();
        (rows.flat_map(numbers).collect(), labels, oracle)
    }

    #[test]
    fn temperatures_equal_scikit_learn() {
        let (probabilities, labels, oracle) = sample();
        let t = fit(&probabilities, &labels, 3);
        let beta = oracle["beta"].as_f64().unwrap();
        assert!((1.0 / t - beta).abs() < 1e-6, "{t}");
        let mut row = probabilities[..3].to_vec();
        apply(&mut row, t);
        for (ours, theirs) in row.iter().zip(numbers(&oracle["first_row"])) {
            assert!((ours - theirs).abs() < 1e-6, "{ours} is not {theirs}");
        }
        let two = probabilities
            .chunks(3)
            .flat_map(|row| [1.0 - row[0], row[0]]);
        let is: Vec<usize> = labels
            .iter()
            .map(|&label| usize::from(label == 0))
            .collect();
        let t = fit(&two.collect::<Vec<_>>(), &is, 2);
        let beta = oracle["beta_first_class"].as_f64().unwrap();
        assert!((1.0 / t - beta).abs() < 1e-6, "{t}");
    }

    #[test]
    fn a_temperature_of_one_changes_nothing() {
        let mut row = [0.2, 0.5, 0.3];
        apply(&mut row, 1.0);
        for (p, q) in [0.2, 0.5, 0.3].iter().zip(row) {
            assert!((p - q).abs() < 1e-15);
        }
        // Probabilities that are right on average stay so: 3 of 4 rows with 0.75.
        let t = fit(
            &[0.75, 0.25, 0.75, 0.25, 0.75, 0.25, 0.75, 0.25],
            &[0, 0, 0, 1],
            2,
        );
        assert!((t - 1.0).abs() < 1e-12, "{t}");
    }

    #[test]
    fn odd_rows_do_no_harm() {
        assert_eq!(fit(&[], &[], 3), 1.0);
        // Right in every row, wrong in every row.
        let sure = fit(&[1.0, 0.0, 0.0, 1.0], &[0, 1], 2);
        assert!((libm::log(sure) + RANGE).abs() < 1e-6, "{sure}");
        let wrong = fit(&[1.0, 0.0, 0.0, 1.0], &[1, 0], 2);
        assert!((libm::log(wrong) - RANGE).abs() < 1e-6, "{wrong}");
        for t in [sure, wrong] {
            let mut row = [0.0, 0.0, 1.0];
            apply(&mut row, t);
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(row.iter().all(|p| (0.0..=1.0).contains(p)), "{row:?}");
        }
    }
}
