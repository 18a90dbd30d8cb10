//! One class against the rest while the threshold falls from the highest score to the lowest.
//!
//! Curves have a corner at every distinct score, which differ from draw to draw of a bootstrap. So a curve is
//! read off at fixed places, the [`Knots`], at which draws can be compared.

use crate::numeric::rank;

/// The places at which the curves of a class are read off.
#[derive(Clone, Debug, PartialEq)]
pub struct Knots {
    /// Precision is read off at this many values of the recall, 1 / n to 1.
    pub recalls: u64,
    /// Recall is read off at these false-positive rates, ascending from 0 to 1.
    pub false_positive_rates: Vec<f64>,
    /// Precision and recall are read off at these thresholds, descending.
    pub thresholds: Vec<f64>,
    /// Precision and recall are read off among these shares of the rows, those that rank highest; ascending,
    /// above 0 and at most 1.
    pub shares: Vec<f64>,
}

impl Knots {
    /// The number of values of [`Sweep::values`], by curve.
    pub fn lengths(&self) -> [usize; 6] {
        let [thresholds, shares] = [self.thresholds.len(), self.shares.len()];
        [
            self.recalls as usize,
            self.false_positive_rates.len(),
            thresholds,
            thresholds,
            shares,
            shares,
        ]
    }
}

/// The rows of a repeat in the order of their scores, highest first.
#[derive(Clone, Debug)]
pub struct Sweep {
    rows: Vec<u32>,
    positive: Vec<bool>,
    scores: Vec<f64>,
}

/// Counts of rows that score at least as high as some threshold.
#[derive(Clone, Copy, Default)]
struct Above {
    positives: u64,
    negatives: u64,
}

impl Above {
    fn all(self) -> u64 {
        self.positives + self.negatives
    }
}

/// How far the thresholds have come, and what was read off on the way.
struct KnotReader<'a> {
    knots: &'a Knots,
    total: Above,
    /// By curve, the values so far. Precision and recall at thresholds are read together, and so are those of
    /// shares.
    values: [Vec<f64>; 6],
}

impl Sweep {
    /// Sorts rows.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn new(scores: &[f64], positive: &[bool]) -> Self {
        assert_eq!(scores.len(), positive.len());
        let mut order = rank::ascending(scores);
        order.reverse();
        Self {
            positive: order.iter().map(|&row| positive[row]).collect(),
            scores: order.iter().map(|&row| scores[row]).collect(),
            rows: order.into_iter().map(|row| row as u32).collect(),
        }
    }

    /// Reads the curves off, for the sample in which row i counts `counts[i]` times. `None` unless the sample has
    /// positives and others. The values are, one curve after the other:
    ///
    /// - precision by recall: that at the highest threshold which reaches the recall, so that its mean over
    ///   recalls 1 / n to 1 is the average precision if n is the number of positives;
    /// - recall by false-positive rate, on straight lines between the distinct scores, so that the area under it
    ///   is the area under the ROC curve;
    /// - precision by threshold (NaN where no row scores as high), recall by threshold;
    /// - precision by share, recall by share: rows of equal score at the end of a share are taken in part.
    ///
    /// # Panics
    /// If `counts` does not have one number for each row.
    pub fn values(&self, counts: &[u32], knots: &Knots) -> Option<Vec<f64>> {
        assert_eq!(counts.len(), self.rows.len());
        let total = self.total(counts);
        if total.positives == 0 || total.negatives == 0 {
            return None;
        }
        let mut reader = KnotReader {
            knots,
            total,
            values: knots.lengths().map(Vec::with_capacity),
        };
        let (mut last, mut above) = (Above::default(), Above::default());
        for (place, &row) in self.rows.iter().enumerate() {
            let count = u64::from(counts[row as usize]);
            match self.positive[place] {
                true => above.positives += count,
                false => above.negatives += count,
            }
            let score = self.scores[place];
            if self.scores.get(place + 1) == Some(&score) || above.all() == last.all() {
                continue;
            }
            reader.step(last, above, score);
            last = above;
        }
        Some(reader.finish())
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The number of positive rows.
    pub fn positives(&self) -> u64 {
        self.positive.iter().filter(|positive| **positive).count() as u64
    }

    fn total(&self, counts: &[u32]) -> Above {
        let mut total = Above::default();
        for (&row, &positive) in self.rows.iter().zip(&self.positive) {
            match positive {
                true => total.positives += u64::from(counts[row as usize]),
                false => total.negatives += u64::from(counts[row as usize]),
            }
        }
        total
    }
}

/// A knot counts as passed if it is missed by no more than this, relatively, which is rounding.
const ROUNDING: f64 = 1e-12;

impl KnotReader<'_> {
    /// Takes the rows of one score: `last` are the counts without them.
    fn step(&mut self, last: Above, above: Above, score: f64) {
        let (knots, total) = (self.knots, self.total);
        let [recalls, rates, precisions, found, top, top_found] = &mut self.values;
        let precision = |of: Above| of.positives as f64 / of.all() as f64;
        while (recalls.len() as u64) < knots.recalls
            && above.positives * knots.recalls >= (recalls.len() as u64 + 1) * total.positives
        {
            recalls.push(precision(above));
        }
        while let Some(rate) = knots.false_positive_rates.get(rates.len()) {
            let at = rate * total.negatives as f64 * (1.0 + ROUNDING);
            if at >= above.negatives as f64 {
                break;
            }
            let part = (at - last.negatives as f64) / (above.negatives - last.negatives) as f64;
            let more = (above.positives - last.positives) as f64;
            let reached = last.positives as f64 + part.max(0.0) * more;
            rates.push(reached / total.positives as f64);
        }
        while knots
            .thresholds
            .get(found.len())
            .is_some_and(|t| *t > score)
        {
            precisions.push(precision(last));
            found.push(last.positives as f64 / total.positives as f64);
        }
        while let Some(share) = knots.shares.get(top.len()) {
            let budget = (share * total.all() as f64).min(total.all() as f64);
            if budget > above.all() as f64 {
                break;
            }
            let part = (budget - last.all() as f64) / (above.all() - last.all()) as f64;
            let more = (above.positives - last.positives) as f64;
            let positives = last.positives as f64 + part * more;
            top.push(positives / budget);
            top_found.push(positives / total.positives as f64);
        }
    }

    /// Reads off what lies below the lowest score.
    fn finish(mut self) -> Vec<f64> {
        let lengths = self.knots.lengths();
        let all = self.total.positives as f64 / self.total.all() as f64;
        let below = [all, 1.0, all, 1.0, all, 1.0];
        let curves = self.values.iter_mut().zip(lengths).zip(below);
        for ((values, length), below) in curves {
            values.resize(length, below);
        }
        self.values.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::metrics::{Confusion, average_precision, roc_auc};
    use crate::numeric::rng::Stream;

    /// Rows with ties, and how often each counts.
    fn sample(seed: u64) -> (Vec<f64>, Vec<bool>, Vec<u32>) {
        let mut stream = Stream::new(seed, &[]);
        let mut counts = Vec::new();
        let rows = (0..80).map(|_| {
            let score = (stream.uniform() * 25.0).floor() / 25.0;
            counts.push(stream.below(4) as u32);
            (score, stream.uniform() < 0.2 + 0.5 * score)
        });
        let (scores, positive) = rows.unzip();
        (scores, positive, counts)
    }

    /// The same rows, each written down as often as it counts.
    fn written(
        (scores, positive, counts): &(Vec<f64>, Vec<bool>, Vec<u32>),
    ) -> (Vec<f64>, Vec<bool>) {
        let rows = scores.iter().zip(positive).zip(counts);
        rows.flat_map(|((s, p), count)| std::iter::repeat_n((*s, *p), *count as usize))
            .unzip()
    }

    fn knots() -> Knots {
        Knots {
            recalls: 7,
            false_positive_rates: vec![0.0, 0.05, 0.3, 0.5, 1.0],
            thresholds: vec![1.0, 0.8, 0.52, 0.5, 0.1, 0.0],
            shares: vec![0.01, 0.1, 0.33, 0.9, 1.0],
        }
    }

    /// The curves by their definitions, one knot after the other.
    fn by_definition(scores: &[f64], positive: &[bool], knots: &Knots) -> Vec<f64> {
        let mut distinct = scores.to_vec();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        distinct.reverse();
        let at = |t: f64| Confusion::at(scores, positive, t);
        let cuts: Vec<Confusion> = distinct.iter().map(|t| at(*t)).collect();
        let mut values = Vec::new();
        for k in 1..=knots.recalls {
            let recall = k as f64 / knots.recalls as f64;
            let cut = cuts.iter().find(|cut| cut.recall() >= recall - 1e-12);
            values.push(cut.unwrap().precision());
        }
        let rate = |cut: &Confusion| cut.fp as f64 / (cut.fp + cut.tn) as f64;
        for &x in &knots.false_positive_rates {
            let below = cuts.iter().rev().find(|cut| rate(cut) <= x + 1e-12);
            let (x0, y0) = below.map_or((0.0, 0.0), |cut| (rate(cut), cut.recall()));
            let beyond = cuts.iter().find(|cut| rate(cut) > x + 1e-12);
            values.push(beyond.map_or(y0, |cut| {
                y0 + (x - x0) / (rate(cut) - x0) * (cut.recall() - y0)
            }));
        }
        let precisions = knots.thresholds.iter().map(|&t| match at(t) {
            counts if counts.tp + counts.fp == 0 => f64::NAN,
            counts => counts.precision(),
        });
        values.extend(precisions);
        values.extend(knots.thresholds.iter().map(|&t| at(t).recall()));
        let found = |share: f64| -> f64 {
            let budget = share * scores.len() as f64;
            let (mut taken, mut found) = (0.0, 0.0);
            for &score in &distinct {
                let rows = || (scores.iter().zip(positive)).filter(|row| *row.0 == score);
                let here = rows().count() as f64;
                let part = ((budget - taken) / here).clamp(0.0, 1.0);
                found += part * rows().filter(|row| *row.1).count() as f64;
                taken += here;
            }
            found
        };
        let positives = positive.iter().filter(|p| **p).count() as f64;
        let shares = || knots.shares.iter();
        values.extend(shares().map(|s| found(*s) / (s * scores.len() as f64)));
        values.extend(shares().map(|s| found(*s) / positives));
        values
    }

    #[test]
    fn curves_are_those_of_the_definitions() {
        for seed in 0..200 {
            let rows = sample(seed);
            let (scores, positive) = written(&rows);
            let sweep = Sweep::new(&rows.0, &rows.1);
            let values = sweep.values(&rows.2, &knots()).unwrap();
            let expected = by_definition(&scores, &positive, &knots());
            assert_eq!(values.len(), knots().lengths().iter().sum::<usize>());
            for (at, (value, expected)) in values.iter().zip(&expected).enumerate() {
                let same = (value - expected).abs() < 1e-10;
                let undefined = value.is_nan() && expected.is_nan();
                assert!(same || undefined, "{seed} {at}: {value} {expected}");
            }
        }
    }

    #[test]
    fn areas_under_the_curves_are_the_metrics() {
        for seed in 0..50 {
            let rows = sample(seed);
            let (scores, positive) = written(&rows);
            let positives = positive.iter().filter(|p| **p).count();
            let negatives = positive.len() - positives;
            let knots = Knots {
                recalls: positives as u64,
                false_positive_rates: (0..negatives)
                    .map(|i| (i as f64 + 0.5) / negatives as f64)
                    .collect(),
                ..knots()
            };
            let values = Sweep::new(&rows.0, &rows.1)
                .values(&rows.2, &knots)
                .unwrap();
            let (precisions, values) = values.split_at(positives);
            let ap = precisions.iter().sum::<f64>() / positives as f64;
            let expected = average_precision(&scores, &positive, None).unwrap();
            assert!((ap - expected).abs() < 1e-12, "{seed}: {ap} {expected}");
            // The curve is straight between the rates of rows, so its middle there is its mean.
            let auc = values[..negatives].iter().sum::<f64>() / negatives as f64;
            let expected = roc_auc(&scores, &positive, None).unwrap();
            assert!((auc - expected).abs() < 1e-12, "{seed}: {auc} {expected}");
        }
    }

    #[test]
    fn one_class_alone_has_no_curves() {
        let sweep = Sweep::new(&[0.5, 0.2], &[true, false]);
        assert_eq!(sweep.values(&[2, 0], &knots()), None);
        assert_eq!(sweep.values(&[0, 1], &knots()), None);
        assert_eq!(sweep.values(&[0, 0], &knots()), None);
        assert!(sweep.values(&[1, 3], &knots()).is_some());
        assert_eq!(Sweep::new(&[], &[]).values(&[], &knots()), None);
    }
}
