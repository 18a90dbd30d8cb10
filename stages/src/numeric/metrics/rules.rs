//! Rules that choose a threshold, and counts at thresholds if rows have weights.

use super::{Cut, cuts, ratio};

/// How a threshold is chosen among the distinct scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ThresholdRule {
    /// Highest F1, the lowest threshold if several tie.
    F1,
    /// Highest recall with at least this precision.
    Precision(f64),
    /// Highest precision with at least this recall; the highest threshold if several tie.
    Recall(f64),
    /// The most rows that together have at most this weight.
    Most(f64),
}

/// A floor counts as reached if it is missed by no more than this, which is rounding.
const ROUNDING: f64 = 1e-12;

impl ThresholdRule {
    /// Chooses the threshold on some rows; `None` if no score fulfills the rule, or there are no positives
    /// and the rule is about them. Rows count by `weights` if given. It is optimistic on these rows.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn threshold(
        self,
        scores: &[f64],
        labels: &[bool],
        weights: Option<&[f64]>,
    ) -> Option<f64> {
        let cuts = cuts(scores, labels, weights);
        let total = cuts.last()?.positives;
        if let Self::Most(weight) = self {
            let within = |cut: &&Cut| cut.positives + cut.negatives <= weight * (1.0 + ROUNDING);
            return cuts
                .iter()
                .take_while(within)
                .last()
                .map(|cut| cut.threshold);
        }
        let value = |cut: &Cut| {
            let precision = ratio(cut.positives, cut.positives + cut.negatives);
            let recall = cut.positives / total;
            let reached = |value: f64, floor: f64| value >= floor - ROUNDING;
            match self {
                // From counts: equal ratios of integers are equal as floats, while a combination
                // of precision and recall need not be.
                Self::F1 => Some(2.0 * cut.positives / (cut.positives + cut.negatives + total)),
                Self::Precision(floor) => reached(precision, floor).then_some(recall),
                Self::Recall(floor) => reached(recall, floor).then_some(precision),
                Self::Most(_) => None,
            }
        };
        // Cuts go from the highest threshold to the lowest.
        let mut best: Option<(f64, f64)> = None;
        for cut in cuts.iter().filter(|_| total > 0.0) {
            let Some(value) = value(cut) else { continue };
            let ties = matches!(self, Self::F1);
            let better = |most: f64| value > most || (ties && value == most);
            if best.is_none_or(|(most, _)| better(most)) {
                best = Some((value, cut.threshold));
            }
        }
        best.map(|(_, threshold)| threshold)
    }
}

/// Weights of rows by true and predicted class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decided {
    /// Positives that are predicted as such.
    pub found: f64,
    /// All positives.
    pub positives: f64,
    /// All that is predicted as positive.
    pub predicted: f64,
    /// All rows.
    pub rows: f64,
}

impl Decided {
    /// Counts a row.
    pub fn add(&mut self, predicted: bool, positive: bool, weight: f64) {
        self.rows += weight;
        self.predicted += if predicted { weight } else { 0.0 };
        self.positives += if positive { weight } else { 0.0 };
        self.found += if predicted && positive { weight } else { 0.0 };
    }

    /// The share of what is predicted as positive that is positive; 0 if nothing is predicted.
    pub fn precision(&self) -> f64 {
        ratio(self.found, self.predicted)
    }

    /// The share of the positives that is found; 0 without positives.
    pub fn recall(&self) -> f64 {
        ratio(self.found, self.positives)
    }

    /// The harmonic mean of both; 0 if nothing is found.
    pub fn f1(&self) -> f64 {
        ratio(2.0 * self.found, self.predicted + self.positives)
    }

    /// The share of rows that is predicted as positive.
    pub fn share(&self) -> f64 {
        ratio(self.predicted, self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Confusion, best_f1_threshold, pr_curve};
    use super::*;
    use crate::numeric::rng::Stream;

    fn sample() -> (Vec<f64>, Vec<bool>) {
        let mut stream = Stream::new(3, &[]);
        let row = |_| {
            let score = (stream.uniform() * 40.0).floor() / 40.0;
            (score, stream.uniform() < score * score)
        };
        (0..200).map(row).unzip()
    }

    #[test]
    fn rules_agree_with_the_curve() {
        let (scores, labels) = sample();
        let curve = pr_curve(&scores, &labels, None).unwrap();
        let f1 = ThresholdRule::F1.threshold(&scores, &labels, None);
        assert_eq!(f1, best_f1_threshold(&scores, &labels));
        for floor in [0.0, 0.3, 0.5, 0.7, 0.9] {
            let fits = curve.iter().filter(|point| point.precision >= floor);
            let most = fits.map(|point| point.recall).fold(0.0, f64::max);
            let t = ThresholdRule::Precision(floor)
                .threshold(&scores, &labels, None)
                .unwrap();
            let counts = Confusion::at(&scores, &labels, t);
            assert!(
                counts.precision() >= floor && counts.recall() == most,
                "{floor}"
            );
            let fits = curve.iter().filter(|point| point.recall >= floor);
            let most = fits.map(|point| point.precision).fold(0.0, f64::max);
            let t = ThresholdRule::Recall(floor)
                .threshold(&scores, &labels, None)
                .unwrap();
            let counts = Confusion::at(&scores, &labels, t);
            assert!(
                counts.recall() >= floor && counts.precision() == most,
                "{floor}"
            );
        }
    }

    #[test]
    fn the_most_rows_are_not_exceeded() {
        let scores = [0.9, 0.8, 0.8, 0.5, 0.1];
        let most = |n: f64| ThresholdRule::Most(n).threshold(&scores, &[false; 5], None);
        let expected = [
            None,
            Some(0.9),
            Some(0.9),
            Some(0.8),
            Some(0.5),
            Some(0.1),
            Some(0.1),
        ];
        assert_eq!([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0].map(most), expected);
        let weights = [0.5, 0.25, 0.25, 2.0, 1.0];
        let weighed = ThresholdRule::Most(1.0).threshold(&scores, &[false; 5], Some(&weights));
        assert_eq!(weighed, Some(0.8));
    }

    #[test]
    fn weights_are_copies() {
        let (scores, labels) = sample();
        let weights: Vec<f64> = labels.iter().map(|&l| if l { 1.0 } else { 3.0 }).collect();
        let repeated = |values: Vec<(f64, bool)>| -> (Vec<f64>, Vec<bool>) {
            let copies = |pair: (f64, bool)| vec![pair; if pair.1 { 1 } else { 3 }];
            values.into_iter().flat_map(copies).unzip()
        };
        let pairs: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
        let (all_scores, all_labels) = repeated(pairs);
        for rule in [
            ThresholdRule::F1,
            ThresholdRule::Precision(0.4),
            ThresholdRule::Recall(0.8),
            ThresholdRule::Most(50.0),
        ] {
            let weighed = rule.threshold(&scores, &labels, Some(&weights));
            assert_eq!(
                weighed,
                rule.threshold(&all_scores, &all_labels, None),
                "{rule:?}"
            );
            let mut decided = Decided::default();
            for ((score, label), weight) in scores.iter().zip(&labels).zip(&weights) {
                decided.add(*score >= weighed.unwrap(), *label, *weight);
            }
            let counts = Confusion::at(&all_scores, &all_labels, weighed.unwrap());
            assert_eq!(decided.precision(), counts.precision());
            assert_eq!(
                (decided.recall(), decided.f1()),
                (counts.recall(), counts.f1())
            );
            let predicted = (counts.tp + counts.fp) as f64 / all_labels.len() as f64;
            assert_eq!(decided.share(), predicted);
        }
    }

    #[test]
    fn what_no_score_fulfills_has_no_threshold() {
        let scores = [0.9, 0.8, 0.7];
        let labels = [false, true, false];
        let precise = ThresholdRule::Precision(0.9).threshold(&scores, &labels, None);
        assert_eq!(precise, None);
        for rule in [
            ThresholdRule::F1,
            ThresholdRule::Precision(0.0),
            ThresholdRule::Recall(0.0),
        ] {
            assert_eq!(rule.threshold(&scores, &[false; 3], None), None, "{rule:?}");
            assert_eq!(rule.threshold(&[], &[], None), None);
        }
        assert_eq!(
            ThresholdRule::Recall(1.0).threshold(&scores, &labels, None),
            Some(0.8)
        );
        let none = Decided::default();
        assert_eq!(
            [none.f1(), none.precision(), none.recall(), none.share()],
            [0.0; 4]
        );
    }
}
