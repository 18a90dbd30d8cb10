//! Otsu's method: values divided into a lower and an upper part that differ most.

/// Two parts of the values: those up to a threshold and those above it, so that the variance between the parts is
/// as large as possible. Of equally good thresholds it is the lowest.
pub(super) struct Split {
    /// The mean of the upper part minus that of the lower part.
    pub difference: f64,
    /// The standard deviation of the lower part over n - 1; NaN for one point.
    pub std_lower: f64,
    /// The same of the upper part.
    pub std_upper: f64,
    /// The share of points in the lower part.
    pub share: f64,
}

impl Split {
    /// Divides values in ascending order. Returns none if they are all equal, or the best threshold has no number.
    pub fn of(sorted: &[f64]) -> Option<Split> {
        let n = sorted.len();
        // Sums of deviations from a value in the middle keep more digits than sums of values.
        let center = *sorted.get(n / 2)?;
        let total: f64 = sorted.iter().map(|v| v - center).sum();
        let mut lower = 0.0;
        let mut best: Option<(f64, usize, f64)> = None;
        for i in 1..n {
            lower += sorted[i - 1] - center;
            if sorted[i] <= sorted[i - 1] {
                continue;
            }
            let (below, above) = (i as f64, (n - i) as f64);
            let difference = (total - lower) / above - lower / below;
            let variance = below * above * difference * difference;
            if best.is_none_or(|(most, ..)| variance > most) {
                best = Some((variance, i, difference));
            }
        }
        let (_, at, difference) = best?;
        let (lower, upper) = sorted.split_at(at);
        Some(Split {
            difference,
            std_lower: std(lower),
            std_upper: std(upper),
            share: at as f64 / n as f64,
        })
    }
}

/// The standard deviation over n - 1; NaN for fewer than two values.
fn std(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (squares / (n - 1.0)).sqrt()
}
