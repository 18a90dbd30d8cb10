//! The drift of a series as a cubic polynomial, as if it followed a Langevin equation (Friedrich et al. 2000, Phys. Lett. A
//! 271, 217).

use crate::numeric::orthogonal::Matrix;
use crate::numeric::pairwise::sum_of;

use super::arrays::quantile;

/// The degree of the polynomial.
pub const DEGREE: usize = 3;
/// The coefficients of a cubic polynomial, the highest power first.
pub type Cubic = [f64; DEGREE + 1];
/// The number of quantiles whose values are averaged.
const QUANTILES: usize = 30;

/// Returns the coefficients of the drift, the highest power first: of the mean change against the mean value in each of 30
/// quantiles. NaN if quantiles coincide.
pub fn drift(x: &[f64], changes: &[f64]) -> Cubic {
    let nothing = [f64::NAN; DEGREE + 1];
    let values = &x[..changes.len()];
    if values.is_empty() {
        return nothing;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let bounds: Vec<f64> = (0..=QUANTILES)
        .map(|k| quantile(&sorted, share(k)))
        .collect();
    if !bounds.windows(2).all(|pair| pair[0] < pair[1]) {
        return nothing;
    }
    let mut groups = vec![(Mean::default(), Mean::default()); QUANTILES];
    for (value, change) in values.iter().zip(changes) {
        // The least value is in the first group.
        let group = bounds.partition_point(|b| b < value).max(1) - 1;
        groups[group].0.add(*value);
        groups[group].1.add(*change);
    }
    let found = groups.iter().filter(|(value, _)| value.count > 0.0);
    let points: Vec<(f64, f64)> = found.map(|(v, c)| (v.value(), c.value())).collect();
    polynomial(&points).unwrap_or(nothing)
}

/// Returns k / 30, rounded up where it has to be rounded, as pandas does.
fn share(k: usize) -> f64 {
    let share = k as f64 * (1.0 / QUANTILES as f64);
    match k == QUANTILES {
        true => 1.0,
        false if share * QUANTILES as f64 != k as f64 => share.next_up(),
        false => share,
    }
}

/// A mean whose sum is compensated (Kahan 1965, Comm. ACM 8, 40), as that of pandas is.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    lost: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        let value = value - self.lost;
        let sum = self.sum + value;
        self.lost = sum - self.sum - value;
        self.sum = sum;
        self.count += 1.0;
    }

    fn value(self) -> f64 {
        self.sum / self.count
    }
}

/// Fits a cubic polynomial as `numpy.polyfit` does: powers are scaled to norm 1, and of many solutions the shortest is taken.
fn polynomial(points: &[(f64, f64)]) -> Option<Cubic> {
    let mut powers = Matrix::new(points.len());
    let mut scales = [0.0; DEGREE + 1];
    for (scale, power) in scales.iter_mut().zip((0..=DEGREE).rev()) {
        let term = |i: usize| (0..power).fold(1.0, |product, _| product * points[i].0);
        *scale = sum_of(points.len(), |i| term(i) * term(i)).sqrt();
        powers.push((0..points.len()).map(|i| term(i) / *scale));
    }
    if !powers.is_finite() {
        return None;
    }
    let cutoff = points.len() as f64 * f64::EPSILON;
    let rhs = points.iter().map(|point| point.1).collect();
    let solution = powers.least_squares(rhs, cutoff);
    Some(std::array::from_fn(|k| solution[k] / scales[k]))
}
