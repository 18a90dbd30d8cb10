//! Selects features one by one: by variance, and by relevance to the target with FRESH (Christ, Braun,
//! Neuffer and Kempa-Liehr 2018, "Time Series FeatuRe Extraction on basis of Scalable Hypothesis
//! tests"): one test for each feature, then a control of the false discovery rate.
//!
//! The test depends on the number of values of the feature: none for one value, Fisher's exact test for
//! two, and [`Test`] for more. The choices are those of tsfresh, with two differences. Mann-Whitney
//! p-values are asymptotic also for classes of 8 rows or fewer. If there are more than two classes, a
//! feature has one p-value, the smallest of the one-vs-rest p-values times their number (Bonferroni),
//! while tsfresh controls each class by itself.
//!
//! Rows where a feature is NaN are left out of that feature's test. Infinities count as extreme
//! values.

mod few;
pub mod statistics;

use few::FewValues;
use rayon::prelude::*;
use statistics::Sizes;

use crate::numeric::rank::{self, Packed, Sorter};

/// The test of a feature with more than two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Mann-Whitney U, which tests whether one class tends to higher values.
    MannWhitney,
    /// Kolmogorov-Smirnov, which tests whether the distributions differ at all. It is ten or more times
    /// slower.
    KolmogorovSmirnov,
}

/// The p-value of each feature's association with the labels; a small value is relevant. It is NaN if
/// there is nothing to test: the feature is constant or NaN throughout, or only one class has values.
///
/// `get` clears the vector that it is given and writes column i to it, one value for each row. Columns
/// are tested in parallel, each by itself, so results do not depend on the number of threads.
///
/// # Panics
/// If a column's length differs from that of `labels`, or a label is not below `n_classes`.
pub fn p_values(
    n_cols: usize,
    get: impl Fn(usize, &mut Vec<f32>) + Sync,
    labels: &[usize],
    n_classes: usize,
    test: Test,
) -> Vec<f64> {
    let mut class_rows = vec![0; n_classes];
    labels.iter().for_each(|&label| class_rows[label] += 1);
    (0..n_cols)
        .into_par_iter()
        .map_init(
            || (Vec::new(), SortedColumn::new(n_classes)),
            |(values, column), i| {
                get(i, values);
                column.load(values, labels, &class_rows, test);
                column.p_value(test)
            },
        )
        .collect()
}

/// One feature, sorted, and working memory that is kept between features.
struct SortedColumn {
    sorter: Sorter,
    sorted: Vec<Packed>,
    few: FewValues,
    /// The rows are counted in `few`, and not sorted.
    counted: bool,
    /// The rows of each class that have a value.
    rows: Vec<usize>,
    /// The sum of each class for a test: twice the midranks, the rows so far, or the rows of the high
    /// value.
    sums: Vec<u64>,
    /// The largest gap between distribution functions, for each class.
    gaps: Vec<u64>,
}

impl SortedColumn {
    fn new(n_classes: usize) -> SortedColumn {
        SortedColumn {
            sorter: Sorter::default(),
            sorted: Vec::new(),
            few: FewValues::new(n_classes),
            counted: false,
            rows: vec![0; n_classes],
            sums: vec![0; n_classes],
            gaps: vec![0; n_classes],
        }
    }

    /// Takes the values of a feature. `class_rows` counts all rows of each class, with or without a
    /// value.
    fn load(&mut self, values: &[f32], labels: &[usize], class_rows: &[usize], test: Test) {
        assert_eq!(values.len(), labels.len());
        self.rows.copy_from_slice(class_rows);
        if values.iter().fold(false, |any, value| any | value.is_nan()) {
            let missing = values.iter().zip(labels).filter(|row| row.0.is_nan());
            missing.for_each(|(_, &label)| self.rows[label] -= 1);
        }
        self.counted = test == Test::MannWhitney && self.few.count(values, labels);
        if !self.counted {
            let rows = values.iter().zip(labels);
            rank::pack(
                rows.map(|(&value, &label)| (value, label as u32)),
                &mut self.sorted,
            );
            self.sorter.sort(&mut self.sorted);
        }
    }

    /// The number of values, if it is below 3, or else 3.
    fn values(&self) -> usize {
        match self.counted {
            true => self.few.len().min(3),
            false => runs(&self.sorted).take(3).count(),
        }
    }

    fn p_value(&mut self, test: Test) -> f64 {
        self.sums.fill(0);
        match self.values() {
            0 | 1 => f64::NAN,
            2 => self.fisher(),
            _ => match test {
                Test::MannWhitney => self.mann_whitney(),
                Test::KolmogorovSmirnov => self.kolmogorov_smirnov(),
            },
        }
    }

    fn fisher(&mut self) -> f64 {
        let mut high = 0;
        if self.counted {
            high = self.few.add_highest(&mut self.sums);
        }
        let sorted = if self.counted { &[][..] } else { &self.sorted };
        for run in runs(sorted).skip(1) {
            high = run.len();
            for item in run {
                self.sums[item.class()] += 1;
            }
        }
        self.combine(|class, sizes| statistics::fisher(sizes, high, self.sums[class] as usize))
    }

    fn mann_whitney(&mut self) -> f64 {
        let ties = match self.counted {
            true => self.few.add_doubled_midranks(&mut self.sums),
            false => rank::add_doubled_midranks(&self.sorted, &mut self.sums),
        };
        self.combine(|class, sizes| statistics::mann_whitney(sizes, self.sums[class], ties))
    }

    fn kolmogorov_smirnov(&mut self) -> f64 {
        let all = self.sorted.len() as u64;
        let mut below = 0;
        self.gaps.fill(0);
        for run in runs(&self.sorted) {
            for item in run {
                self.sums[item.class()] += 1;
            }
            below += run.len() as u64;
            for (class, gap) in self.gaps.iter_mut().enumerate() {
                // If a of n1 and b of n2 rows have come so far, |a/n1 - b/n2| n1 n2 = |a n - (a + b)
                // n1|.
                let difference = (self.sums[class] * all).abs_diff(below * self.rows[class] as u64);
                *gap = (*gap).max(difference);
            }
        }
        self.combine(|class, sizes| statistics::kolmogorov_smirnov(sizes, self.gaps[class]))
    }

    /// The feature's p-value from its one-vs-rest p-values. If there are two classes, the second is
    /// tested (the first would give the same). If there are more, those that have rows on both sides
    /// are tested.
    fn combine(&self, p_value: impl Fn(usize, Sizes) -> f64) -> f64 {
        let first = if self.rows.len() == 2 { 1 } else { 0 };
        let (mut smallest, mut tested) = (f64::NAN, 0);
        let all: usize = self.rows.iter().sum();
        for (class, &rows) in self.rows.iter().enumerate().skip(first) {
            let sizes = Sizes {
                class: rows,
                rest: all - rows,
            };
            if sizes.class > 0 && sizes.rest > 0 {
                // `min` of NaN and a number is the number.
                smallest = p_value(class, sizes).min(smallest);
                tested += 1;
            }
        }
        if tested > 0 {
            (smallest * f64::from(tested)).min(1.0)
        } else {
            f64::NAN
        }
    }
}

/// The runs of equal values, ascending.
fn runs(sorted: &[Packed]) -> impl Iterator<Item = &[Packed]> {
    sorted.chunk_by(|a, b| a.key() == b.key())
}

/// How p-values are corrected for their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Benjamini and Yekutieli (2001): holds however the features depend on each other.
    By,
    /// Benjamini and Hochberg (1995): for features that are independent or positively dependent.
    Bh,
}

/// Adjusts p-values for their number: each becomes the lowest false discovery rate at which it is still
/// selected. NaNs are not hypotheses: they stay NaN and do not count.
pub fn adjust(p: &[f64], correction: Correction) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&i| !p[i].is_nan()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let count = order.len() as f64;
    let factor = match correction {
        Correction::By => (1..=order.len()).map(|i| 1.0 / i as f64).sum(),
        Correction::Bh => 1.0,
    };
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut lowest: f64 = 1.0;
    for (below, &i) in order.iter().enumerate().rev() {
        lowest = lowest.min(p[i] / ((below + 1) as f64 / count / factor));
        adjusted[i] = lowest;
    }
    adjusted
}

/// Returns which features to keep so that at most a share `fdr` of them is expected to be irrelevant.
pub fn select_by(p: &[f64], fdr: f64, correction: Correction) -> Vec<bool> {
    adjust(p, correction).iter().map(|&p| p <= fdr).collect()
}

/// The population variance of the values that are not NaN, in two passes of f64; NaN without values or
/// with infinite ones.
pub fn variance(values: &[f32]) -> f64 {
    let present = || values.iter().filter(|v| !v.is_nan()).map(|&v| f64::from(v));
    let count = present().count() as f64;
    let mean = present().sum::<f64>() / count;
    present().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count
}

/// Returns which columns have a [`variance`] above `threshold`; a variance that is NaN is not. `get` is
/// as in [`p_values`].
pub fn select_by_variance(
    n_cols: usize,
    get: impl Fn(usize, &mut Vec<f32>) + Sync,
    threshold: f64,
) -> Vec<bool> {
    (0..n_cols)
        .into_par_iter()
        .map_init(Vec::new, |values, i| {
            get(i, values);
            variance(values) > threshold
        })
        .collect()
}

#[cfg(test)]
mod tests;
