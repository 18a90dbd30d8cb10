//! The bootstrap over independent units (Efron and Tibshirani, "An Introduction to the Bootstrap",
//! 1993): objects, or groups of objects that are copies of one source.
//!
//! A draw takes as many units as there are, with replacement. Every row of a unit counts as often as
//! its unit was drawn. Classifiers are compared on the same draws, so that difficulty that all share
//! cancels.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::distribution::{
    normal_cdf, normal_quantile, student_cdf, student_quantile, student_two_sided,
};
use crate::numeric::rng::Stream;

/// Rows, and the units that are drawn.
#[derive(Clone, Debug)]
pub struct Units {
    /// The unit of each row.
    of_row: Vec<u32>,
    n: usize,
}

impl Units {
    /// Makes every row a unit.
    pub fn rows(n: usize) -> Units {
        Units {
            of_row: (0..n as u32).collect(),
            n,
        }
    }

    /// Makes a unit of the rows with the same number; `groups` has a number below `n` for each row.
    pub fn groups(groups: &[u32], n: usize) -> Units {
        Units {
            of_row: groups.to_vec(),
            n,
        }
    }

    /// Makes a unit of the rows whose groups have the same name.
    pub fn named(groups: &[String]) -> Units {
        let mut numbers: BTreeMap<&str, u32> = groups.iter().map(|g| (g.as_str(), 0)).collect();
        for (number, value) in numbers.values_mut().enumerate() {
            *value = number as u32;
        }
        let of_row: Vec<u32> = groups.iter().map(|g| numbers[g.as_str()]).collect();
        Units::groups(&of_row, numbers.len())
    }

    /// The number of units.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Returns true if there are no units.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// How often each row counts in draw `draw`: a function of the three numbers alone.
    pub fn draw(&self, seed: u64, draw: u64) -> Vec<u32> {
        let mut stream = Stream::new(seed, &[draw]);
        let mut counts = vec![0_u32; self.n];
        for _ in 0..self.n {
            counts[below(&mut stream, self.n as u32) as usize] += 1;
        }
        self.of_row
            .iter()
            .map(|&unit| counts[unit as usize])
            .collect()
    }

    /// Computes `figure` for every draw, in the order of draws. Draws run in parallel on the current
    /// rayon pool; the result does not depend on it.
    pub fn draws<T: Send>(
        &self,
        draws: usize,
        seed: u64,
        figure: impl Fn(&[u32]) -> T + Sync,
    ) -> Vec<T> {
        (0..draws as u64)
            .into_par_iter()
            .map(|draw| figure(&self.draw(seed, draw)))
            .collect()
    }
}

/// A uniform integer in `0..n` without bias: [`Stream::below`] on 32 bits, at half the cost.
fn below(stream: &mut Stream, n: u32) -> u32 {
    // Lemire (2019): products whose low half falls under 2^32 mod n are rejected.
    let reject_under = n.wrapping_neg() % n.max(1);
    loop {
        let product = u64::from(stream.next_u32()) * u64::from(n);
        if product as u32 >= reject_under {
            return (product >> 32) as u32;
        }
    }
}

/// A statistic on many draws.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// The values, in ascending order.
    values: Vec<f64>,
    /// The number of units that were drawn from.
    units: usize,
}

impl Distribution {
    /// Takes the values of the draws, in any order, and the number of units that were drawn from.
    pub fn new(mut values: Vec<f64>, units: usize) -> Distribution {
        values.sort_by(f64::total_cmp);
        Distribution { values, units }
    }

    /// The standard error of the statistic: the standard deviation of the draws, times sqrt(n / (n -
    /// 1)) for n units, because the deviation of resampled means is too small by that factor.
    pub fn se(&self) -> f64 {
        let n = self.values.len() as f64;
        let mean = self.values.iter().sum::<f64>() / n;
        let squares: f64 = self.values.iter().map(|v| (v - mean) * (v - mean)).sum();
        (squares / (n - 1.0)).sqrt() * self.expansion()
    }

    /// The expanded percentile interval (Hesterberg, "What teachers should know about the bootstrap",
    /// The American Statistician 69, 2015): the percentile interval at a level that is raised so that
    /// it is not too narrow for few units. The factor sqrt(n / (n - 1)) and Student's t take the place
    /// of the normal distribution.
    pub fn percentile(&self, level: f64) -> (f64, f64) {
        self.without_tails(self.tail(level))
    }

    /// The share of draws that [`Distribution::percentile`] leaves out on either side. It depends on the number of
    /// units alone, so whoever has many distributions of the same units computes it once.
    pub fn tail(&self, level: f64) -> f64 {
        let t = student_quantile(0.5 - 0.5 * level, self.df());
        normal_cdf(t * self.expansion())
    }

    /// The interval that leaves out a share `tail` of the draws on either side.
    pub fn without_tails(&self, tail: f64) -> (f64, f64) {
        (self.quantile(tail), self.quantile(1.0 - tail))
    }

    /// The two-sided p-value of the statistic being 0: 1 less the level at which
    /// [`Distribution::percentile`] just reaches 0, but at least 2 / (draws + 1).
    pub fn percentile_p(&self) -> f64 {
        let n = self.values.len() as f64;
        let below = self.values.partition_point(|&v| v < 0.0) as f64;
        let above = n - self.values.partition_point(|&v| v <= 0.0) as f64;
        // Draws of exactly 0 count on both sides.
        let tail = (n - below.max(above) + 1.0) / (n + 1.0);
        if tail >= 0.5 {
            return 1.0;
        }
        let t = normal_quantile(tail) / self.expansion();
        2.0 * student_cdf(t, self.df())
    }

    /// The standard interval: `value`, and Student's t times [`Distribution::se`] to either side. It is
    /// for a statistic that the draws put off centre, as they do if something is chosen anew in each.
    pub fn standard(&self, value: f64, level: f64) -> (f64, f64) {
        let half = student_quantile(0.5 + 0.5 * level, self.df()) * self.se();
        (value - half, value + half)
    }

    /// The two-sided p-value of the statistic being 0, given that it is `value`, from
    /// [`Distribution::standard`].
    pub fn standard_p(&self, value: f64) -> f64 {
        if value == 0.0 {
            return 1.0;
        }
        student_two_sided(value / self.se(), self.df())
    }

    /// The true value that a two-sided test at `level` would find different from 0 with a chance of
    /// 80 %: t(1/2 + level/2) + t(0.8) standard errors, 2.8 of them at 95 % and many units.
    pub fn detectable(&self, level: f64) -> f64 {
        let t = |p| student_quantile(p, self.df());
        (t(0.5 + 0.5 * level) + t(0.8)) * self.se()
    }

    fn df(&self) -> f64 {
        self.units.saturating_sub(1).max(1) as f64
    }

    fn expansion(&self) -> f64 {
        let df = self.df();
        ((df + 1.0) / df).sqrt()
    }

    /// Interpolates linearly between order statistics; value i of n is the quantile (i + 1) / (n + 1).
    fn quantile(&self, p: f64) -> f64 {
        let last = self.values.len() - 1;
        let at = (p * (last as f64 + 2.0) - 1.0).clamp(0.0, last as f64);
        let low = at as usize;
        let high = (low + 1).min(last);
        let (a, b) = (self.values[low], self.values[high]);
        a + (at - low as f64) * (b - a)
    }
}
