//! The head of a ranking: what somebody finds who can look at a few rows only.

use super::Ranking;

/// Figures of the rows that rank highest in one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadFigures {
    /// The share of positives among the rows that a budget allows for. Rows of equal score at its end are
    /// taken in part, so it is the mean over their orders; `None` without rows.
    pub precision: Option<f64>,
    /// The highest recall at a threshold where precision is at least .5, .8 and .9, which is 0 if there is
    /// none; `None` without positives.
    pub recall_at: [Option<f64>; 3],
    /// The highest F1 at any threshold; `None` without positives.
    pub best_f1: Option<f64>,
}

impl Ranking {
    /// The precisions of [`HeadFigures::recall_at`].
    pub const PRECISIONS: [f64; 3] = [0.5, 0.8, 0.9];

    /// The head of the sample in which row i counts `counts[i]` times, where `share` is the share of the
    /// sample that the budget allows for, above 0.
    ///
    /// # Panics
    /// If `counts` does not have one number for each row.
    pub fn head(&self, counts: &[u32], share: f64) -> HeadFigures {
        assert_eq!(counts.len(), self.rows.len());
        let count = |row: &u32| u64::from(counts[*row as usize]);
        let total: u64 = self.rows.iter().map(count).sum();
        let rows = || self.rows.iter().zip(&self.positive);
        let positives: u64 = rows().filter(|(_, p)| **p).map(|(row, _)| count(row)).sum();
        let budget = (share * total as f64).min(total as f64);
        let mut found = 0.0;
        let mut best_f1: f64 = 0.0;
        let mut recall_at = [0.0; 3];
        let (mut tp, mut all) = (0_u64, 0_u64);
        let mut last = (0_u64, 0_u64);
        for ((row, &positive), &end) in rows().zip(&self.ends) {
            all += count(row);
            tp += if positive { count(row) } else { 0 };
            if !end || all == last.1 {
                continue;
            }
            let here = (all - last.1) as f64;
            let taken = (budget - last.1 as f64).clamp(0.0, here);
            found += (tp - last.0) as f64 * (taken / here);
            last = (tp, all);
            if positives > 0 {
                best_f1 = best_f1.max(2.0 * tp as f64 / (all + positives) as f64);
                for (best, precision) in recall_at.iter_mut().zip(Self::PRECISIONS) {
                    if tp as f64 >= precision * all as f64 {
                        *best = tp as f64 / positives as f64;
                    }
                }
            }
        }
        let defined = |value: f64| (positives > 0).then_some(value);
        HeadFigures {
            precision: (total > 0).then(|| found / budget),
            recall_at: recall_at.map(defined),
            best_f1: defined(best_f1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(rows: &[(f64, bool)]) -> Ranking {
        let (scores, positive): (Vec<f64>, Vec<bool>) = rows.iter().copied().unzip();
        Ranking::new(&scores, &positive, &[])
    }

    #[test]
    fn a_budget_takes_the_highest_scores() {
        let rows = [
            (0.9, true),
            (0.8, true),
            (0.7, false),
            (0.6, true),
            (0.1, false),
        ];
        let ranking = ranking(&rows);
        let of = |n: f64| ranking.head(&[1; 5], n / 5.0).precision.unwrap();
        assert_eq!(of(1.0), 1.0);
        assert_eq!(of(2.0), 1.0);
        assert!((of(3.0) - 2.0 / 3.0).abs() < 1e-15);
        assert!((of(4.0) - 0.75).abs() < 1e-15);
        assert!((of(5.0) - 0.6).abs() < 1e-15);
        // A budget beyond the rows takes them all.
        assert!((of(50.0) - 0.6).abs() < 1e-15);
        assert_eq!(ranking.head(&[0; 5], 0.2).precision, None);
    }

    #[test]
    fn equal_scores_at_the_end_of_a_budget_are_taken_in_part() {
        let ranking = ranking(&[(0.9, true), (0.5, true), (0.5, false), (0.5, false)]);
        let precision = ranking.head(&[1; 4], 0.5).precision.unwrap();
        assert!((precision - (1.0 + 1.0 / 3.0) / 2.0).abs() < 1e-15);
    }

    #[test]
    fn recall_is_the_highest_at_a_precision() {
        // Precision 1, 1/2, 2/3, 3/4, 3/5; recall 1/3, 1/3, 2/3, 1, 1.
        let rows = [
            (5.0, true),
            (4.0, false),
            (3.0, true),
            (2.0, true),
            (1.0, false),
        ];
        let head = ranking(&rows).head(&[1; 5], 1.0);
        assert_eq!(
            head.recall_at,
            [Some(1.0), Some(1.0 / 3.0), Some(1.0 / 3.0)]
        );
        assert_eq!(head.best_f1, Some(6.0 / 7.0));
        let worst = ranking(&[(2.0, false), (1.0, true)]).head(&[1, 1], 1.0);
        assert_eq!(worst.recall_at, [Some(1.0), Some(0.0), Some(0.0)]);
        let none = ranking(&[(2.0, false), (1.0, false)]).head(&[1, 1], 1.0);
        assert_eq!((none.recall_at, none.best_f1), ([None; 3], None));
    }

    #[test]
    fn a_count_is_a_row_written_so_many_times() {
        let rows = [(0.9, false), (0.8, true), (0.7, false), (0.6, true)];
        let counts = [2, 0, 1, 3];
        let written: Vec<(f64, bool)> = (rows.iter().zip(counts))
            .flat_map(|(row, count)| std::iter::repeat_n(*row, count as usize))
            .collect();
        let direct = ranking(&written).head(&[1; 6], 0.4);
        assert_eq!(ranking(&rows).head(&counts, 0.4), direct);
    }
}
