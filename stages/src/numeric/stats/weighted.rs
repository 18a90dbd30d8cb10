//! The metrics of one classifier when each row counts a whole number of times.
//!
//! A bootstrap draw is a vector of multiplicities. Rows are sorted by score once; a draw is then one
//! pass over them for the areas under curves, and one per repeat for the thresholds.
//!
//! Definitions are those of [`metrics`](crate::numeric::metrics), for the sample in which every row is
//! written down as often as it counts.

use crate::numeric::metrics::Confusion;
use crate::numeric::rank;

mod head;

pub use head::HeadFigures;

/// One repeat of the cross-validation.
#[derive(Clone, Debug)]
struct RankedDeal {
    /// The fold of each row, by position in the ranking.
    folds: Vec<u32>,
    k: usize,
}

/// Rows in the order of their scores, highest first.
#[derive(Clone, Debug)]
pub struct Ranking {
    rows: Vec<u32>,
    positive: Vec<bool>,
    /// True at the last row of a run of equal scores.
    ends: Vec<bool>,
    deals: Vec<RankedDeal>,
}

/// Metrics of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleFigures {
    /// Average precision; `None` without positives.
    pub average_precision: Option<f64>,
    /// Area under the ROC curve; `None` unless both classes are present.
    pub roc_auc: Option<f64>,
    /// F1 at cross-fitted thresholds, averaged over repeats; `None` if a fold has rows and no other
    /// fold has positives to choose its threshold by.
    pub f1: Option<f64>,
    /// Precision at the same thresholds.
    pub precision: Option<f64>,
    /// Recall at the same thresholds.
    pub recall: Option<f64>,
    /// Matthews' correlation coefficient at the same thresholds; `None` if all classes are scored.
    pub mcc: Option<f64>,
    /// Mean of -ln P(true class); only if all classes are scored.
    pub log_loss: Option<f64>,
}

/// Counts inside a fold at the threshold that the other folds chose, and how good that threshold was in
/// those.
#[derive(Clone, Copy, Default)]
struct Choice {
    /// True positives and predicted positives in the other folds at their best threshold so far.
    others: (u64, u64),
    /// The same counts in the fold itself, at that threshold.
    own: (u64, u64),
    /// How many rows of the ranking score at least as high.
    above: usize,
}

impl Ranking {
    /// Sorts rows. `deals` has the fold of each row, by repeat of the cross-validation.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn new(scores: &[f64], positive: &[bool], deals: &[Vec<u32>]) -> Ranking {
        assert_eq!(scores.len(), positive.len());
        let mut rows: Vec<u32> = (rank::ascending(scores).into_iter())
            .map(|row| row as u32)
            .collect();
        rows.reverse();
        let score = |row: u32| scores[row as usize];
        let mut ends: Vec<bool> = (rows.windows(2))
            .map(|pair| score(pair[0]) != score(pair[1]))
            .collect();
        ends.resize(rows.len(), true);
        let deals = (deals.iter())
            .map(|folds| {
                assert_eq!(folds.len(), scores.len());
                RankedDeal {
                    folds: rows.iter().map(|&row| folds[row as usize]).collect(),
                    k: folds.iter().max().map_or(0, |&fold| fold as usize + 1),
                }
            })
            .collect();
        Ranking {
            positive: rows.iter().map(|&row| positive[row as usize]).collect(),
            rows,
            ends,
            deals,
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The metrics of the sample in which row i counts `counts[i]` times.
    ///
    /// # Panics
    /// If `counts` does not have one number for each row.
    pub fn figures(&self, counts: &[u32]) -> SampleFigures {
        assert_eq!(counts.len(), self.rows.len());
        let counts: Vec<u64> = (self.rows.iter())
            .map(|&row| u64::from(counts[row as usize]))
            .collect();
        let (average_precision, roc_auc) = self.areas(&counts);
        let mut sums = (!self.deals.is_empty()).then_some([0.0; 4]);
        for deal in &self.deals {
            let both = sums.zip(self.cross_fitted(deal, &counts));
            sums = both.map(|([f1, precision, recall, mcc], counts)| {
                [
                    f1 + counts.f1(),
                    precision + counts.precision(),
                    recall + counts.recall(),
                    mcc + counts.mcc(),
                ]
            });
        }
        let mean = |i: usize| sums.map(|sums| sums[i] / self.deals.len() as f64);
        SampleFigures {
            average_precision,
            roc_auc,
            f1: mean(0),
            precision: mean(1),
            recall: mean(2),
            mcc: mean(3),
            log_loss: None,
        }
    }

    /// Average precision and area under the ROC curve; `counts` by position in the ranking.
    fn areas(&self, counts: &[u64]) -> (Option<f64>, Option<f64>) {
        let (mut area, mut won) = (0.0, 0.0);
        let (mut tp, mut fp) = (0_u64, 0_u64);
        // The same counts before the rows of this score.
        let (mut last_tp, mut last_fp) = (0_u64, 0_u64);
        for ((&count, &positive), &end) in counts.iter().zip(&self.positive).zip(&self.ends) {
            if positive {
                tp += count;
            } else {
                fp += count;
            }
            if end {
                if tp > last_tp {
                    area += (tp - last_tp) as f64 * (tp as f64 / (tp + fp) as f64);
                }
                // Positives above this score win against the negatives at it, and those at it win half.
                won += ((fp - last_fp) * (last_tp + tp)) as f64;
                (last_tp, last_fp) = (tp, fp);
            }
        }
        let positives = tp as f64;
        (
            (tp > 0).then(|| area / positives),
            (tp > 0 && fp > 0).then(|| won / (2.0 * positives * fp as f64)),
        )
    }

    /// Which rows are predicted positive in the sample in which row i counts `counts[i]` times, if each fold uses
    /// the threshold of highest F1 on the others: by repeat and row. `None` in the place of a repeat in which a
    /// fold with rows has none.
    ///
    /// # Panics
    /// If `counts` does not have one number for each row.
    pub fn predicted(&self, counts: &[u32]) -> Vec<Option<Vec<bool>>> {
        assert_eq!(counts.len(), self.rows.len());
        let counts: Vec<u64> = (self.rows.iter())
            .map(|&row| u64::from(counts[row as usize]))
            .collect();
        let of_deal = |deal: &RankedDeal| {
            let (rows, positives) = self.totals(deal, &counts);
            let choices = self.choices(deal, &counts, &rows, &positives)?;
            let mut predicted = vec![false; self.rows.len()];
            for (place, (&row, &fold)) in self.rows.iter().zip(&deal.folds).enumerate() {
                predicted[row as usize] = place < choices[fold as usize].above;
            }
            Some(predicted)
        };
        self.deals.iter().map(of_deal).collect()
    }

    /// Counts if each fold uses the threshold of highest F1 on the others; `None` if a fold with rows has
    /// none.
    fn cross_fitted(&self, deal: &RankedDeal, counts: &[u64]) -> Option<Confusion> {
        let (rows, positives) = self.totals(deal, counts);
        let total: u64 = positives.iter().sum();
        let choices = self.choices(deal, counts, &rows, &positives)?;
        let tp: u64 = choices.iter().map(|choice| choice.own.0).sum();
        let predicted: u64 = choices.iter().map(|choice| choice.own.1).sum();
        let all: u64 = rows.iter().sum();
        Some(Confusion {
            tp,
            fp: predicted - tp,
            fn_: total - tp,
            tn: all + tp - predicted - total,
        })
    }

    /// What each fold gets from the others; `None` if a fold with rows gets nothing. `rows` and `positives` are
    /// those of the folds.
    fn choices(
        &self,
        deal: &RankedDeal,
        counts: &[u64],
        rows: &[u64],
        positives: &[u64],
    ) -> Option<Vec<Choice>> {
        let total: u64 = positives.iter().sum();
        if (0..deal.k).any(|fold| rows[fold] > 0 && positives[fold] == total) {
            return None;
        }
        // Counts (true positives, predicted positives) so far, by fold and in total.
        let mut inside = vec![(0_u64, 0_u64); deal.k];
        let mut all = (0_u64, 0_u64);
        let mut choices = vec![Choice::default(); deal.k];
        // True positives, by fold and in total, at the last score where a threshold could lie.
        let mut seen = vec![0_u64; deal.k];
        let mut seen_all = 0;
        for (i, &fold) in deal.folds.iter().enumerate() {
            let (fold, count) = (fold as usize, counts[i]);
            inside[fold].1 += count;
            all.1 += count;
            if self.positive[i] {
                inside[fold].0 += count;
                all.0 += count;
            }
            // F1 rises only where positives come in.
            if !self.ends[i] || all.0 == seen_all {
                continue;
            }
            for (fold, choice) in choices.iter_mut().enumerate() {
                let own = inside[fold];
                let others = (all.0 - own.0, all.1 - own.1);
                let rises = others.0 > seen_all - seen[fold];
                let truth = total - positives[fold];
                // F1 = 2 tp / (predicted + true) is compared without division. Of equal thresholds the
                // lower one counts, which comes later.
                if rises
                    && others.0 * (choice.others.1 + truth) >= choice.others.0 * (others.1 + truth)
                {
                    let above = i + 1;
                    *choice = Choice { others, own, above };
                }
            }
            seen_all = all.0;
            for (seen, inside) in seen.iter_mut().zip(&inside) {
                *seen = inside.0;
            }
        }
        Some(choices)
    }

    /// The rows of each fold, and the positive ones among them.
    fn totals(&self, deal: &RankedDeal, counts: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let mut rows = vec![0; deal.k];
        let mut positives = vec![0; deal.k];
        for ((&count, &positive), &fold) in counts.iter().zip(&self.positive).zip(&deal.folds) {
            rows[fold as usize] += count;
            if positive {
                positives[fold as usize] += count;
            }
        }
        (rows, positives)
    }
}
