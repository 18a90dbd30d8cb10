//! Regressions of a series on its own past.

use crate::numeric::orthogonal::Matrix;
use crate::numeric::stats::distribution::normal_cdf;

use super::series::Series;

/// The order of the autoregression of `ar_coefficient`.
pub const ORDER: usize = 10;
/// Singular values and columns below this share of the largest count as dependent.
const CUTOFF: f64 = 1e-15;
/// Residuals of this share of what they are left of are errors of rounding.
const ROUNDING: f64 = 1e-13;

/// The constant and the coefficients of an autoregression, by conditional least squares. They need a row for each, so
/// 21 values. With fewer, tsfresh gives NaN, but 0 for the last.
pub fn ar_coefficient(s: &Series<'_>, out: &mut [f64]) {
    let n = s.x.len();
    if n < 2 * ORDER + 1 {
        out.fill(f64::NAN);
        out[ORDER] = 0.0;
        return;
    }
    let rows = n - ORDER;
    let mut past = Matrix::new(rows);
    past.push((0..rows).map(|_| 1.0));
    for lag in 1..=ORDER {
        past.push(s.x[ORDER - lag..n - lag].iter().copied());
    }
    out.copy_from_slice(&past.least_squares(s.x[ORDER..].to_vec(), CUTOFF));
}

/// The statistic, the p-value and the number of lags of the augmented Dickey-Fuller test with a constant. The lags have the
/// least information criterion of Akaike among 0 to 12 (n / 100)^(1/4), as far as the length allows.
pub fn augmented_dickey_fuller(s: &Series<'_>, out: &mut [f64]) {
    out.fill(f64::NAN);
    let n = s.x.len();
    let Some(room) = (n / 2).checked_sub(2) else {
        return;
    };
    if s.max() == s.min() || s.changes.iter().any(|x| !x.is_finite()) {
        return;
    }
    let most = (12.0 * libm::pow(n as f64 / 100.0, 0.25)).ceil() as usize;
    let lags = best_lags(s, most.min(room));
    let statistic = statistic(s, lags);
    if statistic.is_finite() {
        out.copy_from_slice(&[statistic, mackinnon(statistic), lags as f64]);
    }
}

/// The columns and the right-hand side of the test with so many lags, made triangular.
struct Reduced {
    matrix: Matrix,
    rhs: Vec<f64>,
}

impl Reduced {
    /// Columns are a constant, the level of the series, and earlier changes; or the level last.
    fn new(s: &Series<'_>, lags: usize, level_last: bool) -> Reduced {
        let changes = &s.changes;
        let rows = changes.len() - lags;
        let mut matrix = Matrix::new(rows);
        let level = s.x[lags..s.x.len() - 1].iter().copied();
        matrix.push((0..rows).map(|_| 1.0));
        if !level_last {
            matrix.push(level.clone());
        }
        for lag in 1..=lags {
            matrix.push(changes[lags - lag..changes.len() - lag].iter().copied());
        }
        if level_last {
            matrix.push(level);
        }
        let mut rhs = changes[lags..].to_vec();
        matrix.triangularize(&mut rhs);
        Reduced { matrix, rhs }
    }

    /// Returns true if a column depends on those before it.
    fn depends(&self, column: usize) -> bool {
        let values = self.matrix.column(column);
        let norm = values.iter().fold(0.0, |sum, v| sum + v * v).sqrt();
        values[column].abs() <= CUTOFF * norm
    }

    /// Returns the sum of squares that the first columns leave, and how many of them are independent.
    fn left(&self, columns: usize) -> (f64, usize) {
        let square = |sum: f64, v: &f64| sum + v * v;
        let mut left = self.rhs[columns..].iter().fold(0.0, square);
        let mut rank = 0;
        for column in 0..columns {
            match self.depends(column) {
                true => left += self.rhs[column] * self.rhs[column],
                false => rank += 1,
            }
        }
        (left, rank)
    }
}

/// Returns the number of lags with the least criterion, all of them judged on the same rows.
fn best_lags(s: &Series<'_>, most: usize) -> usize {
    let reduced = Reduced::new(s, most, false);
    let rows = reduced.rhs.len() as f64;
    let criterion = |lags: usize| {
        let (left, rank) = reduced.left(lags + 2);
        let half = rows / 2.0;
        let likelihood =
            -half * libm::log(std::f64::consts::TAU) - half * libm::log(left / rows) - half;
        -2.0 * likelihood + 2.0 * rank as f64
    };
    let mut best = (criterion(0), 0);
    for lags in 1..=most {
        let found = criterion(lags);
        if found < best.0 {
            best = (found, lags);
        }
    }
    best.1
}

/// Returns the coefficient of the level over its standard error; NaN if the past explains everything, so that the error is
/// one of rounding.
fn statistic(s: &Series<'_>, lags: usize) -> f64 {
    let reduced = Reduced::new(s, lags, true);
    let columns = reduced.matrix.columns();
    let (left, rank) = reduced.left(columns);
    let level = columns - 1;
    // Of a triangular system, the last coefficient and its error have the same divisor.
    let sign = reduced.matrix.column(level)[level].signum();
    let spread = (left / (reduced.rhs.len() - rank) as f64).sqrt();
    let explained = reduced.rhs.iter().fold(0.0, |sum, v| sum + v * v) - left;
    match reduced.depends(level) || left <= ROUNDING * ROUNDING * explained {
        true => f64::NAN,
        false => sign * reduced.rhs[level] / spread,
    }
}

/// Returns the approximate p-value of the statistic with a constant (MacKinnon 1994, J. Bus. Econ. Stat. 12, 167).
fn mackinnon(statistic: f64) -> f64 {
    const LARGEST: f64 = 2.74;
    const LEAST: f64 = -18.83;
    const LEFT_TAIL: f64 = -1.61;
    let small = [2.1659, 1.4412, 3.8269e-2, 0.0];
    let large = [1.7339, 9.3202e-1, -1.2745e-1, -1.0368e-2];
    if statistic > LARGEST {
        return 1.0;
    }
    if statistic < LEAST {
        return 0.0;
    }
    let [a, b, c, d] = if statistic <= LEFT_TAIL { small } else { large };
    normal_cdf(a + statistic * (b + statistic * (c + statistic * d)))
}
