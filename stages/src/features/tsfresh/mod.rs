//! The features of [tsfresh](https://tsfresh.readthedocs.io) (Christ et al. 2018, Neurocomputing 307, 72): all 777 columns of
//! its `EfficientFCParameters`, under its names and with its values.
//!
//! - [`catalogue`]: the 72 calculators in tsfresh's order, with the names of their columns;
//! - `series`: a series, and what several calculators share: order, moments, transform, density, drift;
//! - `values`, `order`, `patterns`, `trends`, `regression`, `spectrum`, `wavelets`, `langevin`: the calculators.
//!
//! `docs/tsfresh.md` says where values differ from tsfresh's, and why. The formulas follow tsfresh 0.21.2 and the packages
//! that it calls, including what they do with short and constant series. That is not always what one would choose: some
//! columns are 0 where nothing can be measured.

mod arrays;
pub mod catalogue;
mod drift;
mod langevin;
mod order;
mod parameters;
mod patterns;
mod regression;
mod ridges;
mod series;
mod spectrum;
mod trends;
mod values;
mod wavelets;
mod welch;

#[cfg(test)]
mod tests;

use catalogue::CALCULATORS;
use series::Series;

/// Returns the names of all columns in tsfresh's order, without the name of the series.
pub fn names() -> Vec<String> {
    CALCULATORS.iter().flat_map(|c| c.columns()).collect()
}

/// Some of the columns, and what is needed to measure them.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The calculators that are needed, each with the place of its first column among all and the number of its columns.
    needed: Vec<(usize, usize, usize)>,
    /// The places of the columns among all, ascending.
    columns: Vec<usize>,
    /// The number of all columns.
    all: usize,
}

impl Selection {
    /// Selects the columns for which `wanted` is true. It gets the calculator and the name of the column.
    pub fn new(wanted: impl Fn(&catalogue::Calculator, &str) -> bool) -> Selection {
        let (mut needed, mut columns, mut all) = (Vec::new(), Vec::new(), 0);
        for (at, calculator) in CALCULATORS.iter().enumerate() {
            let names = calculator.columns();
            let before = columns.len();
            let places = names.iter().enumerate();
            columns.extend(
                places
                    .filter(|(_, name)| wanted(calculator, name))
                    .map(|(k, _)| all + k),
            );
            if columns.len() > before {
                needed.push((at, all, names.len()));
            }
            all += names.len();
        }
        Selection {
            needed,
            columns,
            all,
        }
    }

    /// Returns the places of the columns among [`names`], ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Measures a series, whose values are in the order of their times. `out` has a value for each column. Values that are
    /// not finite are left out of the series; if none are left, everything is NaN.
    pub fn measure(&self, values: &[f64], out: &mut [f64]) {
        out.fill(f64::NAN);
        let finite: Vec<f64>;
        let values = match values.iter().all(|v| v.is_finite()) {
            true => values,
            false => {
                finite = values.iter().copied().filter(|v| v.is_finite()).collect();
                &finite
            }
        };
        let Some(series) = Series::new(values) else {
            return;
        };
        let mut all = vec![f64::NAN; self.all];
        for (calculator, from, count) in &self.needed {
            CALCULATORS[*calculator].measure(&series, &mut all[*from..from + count]);
        }
        for (to, from) in out.iter_mut().zip(&self.columns) {
            *to = all[*from];
        }
    }
}
