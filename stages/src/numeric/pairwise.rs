//! Sums, means and variances of a series, with the rounding that NumPy's have.
//!
//! A sum adds eight interleaved partial sums over blocks of at most 128 values, and adds the sums of blocks pairwise
//! (Higham 1993, SIAM J. Sci. Comput. 14, 783). Besides being accurate, it agrees with `numpy.sum` to the last bit, so that
//! the mean of a constant series is off by the same rounding error, or by none.

/// The most values that are added without being divided.
const BLOCK: usize = 128;

/// Returns the sum of `term(0)` to `term(n - 1)`.
pub fn sum_of(n: usize, term: impl Fn(usize) -> f64) -> f64 {
    part(0, n, &term)
}

/// Returns the sum; 0 of nothing.
pub fn sum(values: &[f64]) -> f64 {
    sum_of(values.len(), |i| values[i])
}

/// Returns the mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}

/// Returns the mean square distance from `mean`; NaN of nothing.
pub fn variance(values: &[f64], mean: f64) -> f64 {
    let square = |i: usize| (values[i] - mean) * (values[i] - mean);
    sum_of(values.len(), square) / values.len() as f64
}

fn part(from: usize, n: usize, term: &impl Fn(usize) -> f64) -> f64 {
    if n < 8 {
        return (from..from + n).fold(0.0, |sum, i| sum + term(i));
    }
    if n > BLOCK {
        let half = n / 2 - n / 2 % 8;
        return part(from, half, term) + part(from + half, n - half, term);
    }
    let mut lanes: [f64; 8] = std::array::from_fn(|lane| term(from + lane));
    let whole = n - n % 8;
    for at in (8..whole).step_by(8) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(from + at + lane);
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    (from + whole..from + n).fold(sum, |sum, i| sum + term(i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rounding_is_that_of_numpy() {
        // numpy.sum(numpy.arange(n) * 0.1 + 0.7) and numpy.var of the same, NumPy 2.3.5.
        for (n, expected, var) in [
            (1, 0.7, 0.0),
            (5, 4.5, 0.02000000000000001),
            (13, 16.9, 0.14),
            (100, 565.0, 8.3325),
            (129, 915.9000000000001, 13.866666666666667),
            (1000, 50650.0, 833.3325000000002),
        ] {
            let values: Vec<f64> = (0..n).map(|i| f64::from(i) * 0.1 + 0.7).collect();
            assert_eq!(sum(&values), expected, "{n}");
            assert_eq!(variance(&values, mean(&values)), var, "{n}");
        }
        assert_eq!(sum(&[]), 0.0);
        assert!(mean(&[]).is_nan());
    }
}
