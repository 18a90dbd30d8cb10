//! Columns made comparable, as learners need them that add columns up.

use serde::{Deserialize, Serialize};

use super::Matrix;

/// How each column is filled and scaled.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct StandardColumns {
    /// The value that replaces a missing value.
    medians: Vec<f32>,
    means: Vec<f64>,
    /// One over the standard deviation; 0 for a constant column.
    scales: Vec<f64>,
}

impl StandardColumns {
    /// Fits on all rows of a matrix.
    pub fn of(x: &Matrix) -> Self {
        let (n, mut present) = (x.rows() as f64, Vec::with_capacity(x.rows()));
        let mut columns = StandardColumns {
            medians: Vec::with_capacity(x.cols()),
            means: Vec::with_capacity(x.cols()),
            scales: Vec::with_capacity(x.cols()),
        };
        for column in 0..x.cols() {
            let values = (0..x.rows()).map(|row| x.row(row)[column]);
            present.clear();
            present.extend(values.clone().filter(|value| !value.is_nan()));
            let median = median(&mut present);
            let filled = values.map(|value| f64::from(fill(value, median)));
            let mean = filled.clone().sum::<f64>() / n;
            let variance = filled.map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
            // The rounding errors of a constant column are no variation.
            let varies = variance.sqrt() > mean.abs() * 1e-12;
            columns.medians.push(median);
            columns.means.push(mean);
            columns
                .scales
                .push(if varies { 1.0 / variance.sqrt() } else { 0.0 });
        }
        columns
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.medians.len()
    }

    /// Returns true if there are no columns.
    pub fn is_empty(&self) -> bool {
        self.medians.is_empty()
    }

    /// Returns true if all that is known of a column is known of each.
    pub fn is_even(&self) -> bool {
        let lengths = [self.means.len(), self.scales.len()];
        lengths.iter().all(|&length| length == self.len())
    }

    /// Returns true if a column is not constant.
    pub fn varies(&self, column: usize) -> bool {
        self.scales[column] > 0.0
    }

    /// The columns of a row, filled and scaled.
    pub fn row<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        row.iter().enumerate().map(|(column, &value)| {
            let value = f64::from(fill(value, self.medians[column]));
            (value - self.means[column]) * self.scales[column]
        })
    }

    /// All rows, row-major.
    pub fn apply(&self, x: &Matrix) -> Vec<f64> {
        (0..x.rows()).flat_map(|row| self.row(x.row(row))).collect()
    }
}

fn fill(value: f32, median: f32) -> f32 {
    if value.is_nan() { median } else { value }
}

/// The median of the values, in any order; 0 if there are none.
fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => values[n / 2 - 1] / 2.0 + values[n / 2] / 2.0,
    }
}
