//! Figures of a curve that is sampled at ascending times.

/// Times and values of equal length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampled<'a> {
    pub time: &'a [f64],
    pub value: &'a [f64],
}

/// Where the largest of some values is; `None` without values.
pub(super) fn largest(values: impl Iterator<Item = f64>) -> Option<usize> {
    let best = values
        .enumerate()
        .reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(place, _)| place)
}

impl Sampled<'_> {
    /// The time from the last fall below `level` before sample `peak` up to that sample, on straight
    /// lines; NaN if the curve is not below it before.
    pub(super) fn rise(&self, peak: usize, level: f64) -> f64 {
        match (0..peak).rev().find(|&i| self.value[i] < level) {
            Some(below) => self.time[peak] - self.crossing(below, below + 1, level),
            None => f64::NAN,
        }
    }

    /// The time from sample `peak` to the first fall below `level` after it; NaN if there is none.
    pub(super) fn fall(&self, peak: usize, level: f64) -> f64 {
        match (peak + 1..self.value.len()).find(|&i| self.value[i] < level) {
            Some(below) => self.crossing(below - 1, below, level) - self.time[peak],
            None => f64::NAN,
        }
    }

    fn crossing(&self, i: usize, j: usize, level: f64) -> f64 {
        let (t, v) = (self.time, self.value);
        t[i] + (level - v[i]) / (v[j] - v[i]) * (t[j] - t[i])
    }
}

/// The quantile `q` of values, on straight lines between ranks; they are sorted already.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = q * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// Means of values and their deviations.
pub(super) struct Moments {
    pub mean: f64,
    /// The standard deviation, over `n`.
    pub deviation: f64,
}

/// The moments of values; NaN without values.
pub(super) fn moments(values: &[f64]) -> Moments {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Moments {
        mean,
        deviation: (squares / n).sqrt(),
    }
}

/// A straight line through points.
pub(super) struct Line {
    pub slope: f64,
    /// The correlation of both coordinates.
    pub correlation: f64,
}

/// The least-squares line through the points that are numbers; NaN without two different abscissae.
pub(super) fn line(points: impl Iterator<Item = (f64, f64)>) -> Line {
    let points: Vec<(f64, f64)> = points
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .collect();
    let n = points.len() as f64;
    let mean_x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = points.iter().map(|p| p.1).sum::<f64>() / n;
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        let (dx, dy) = (x - mean_x, y - mean_y);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    // Without points or spread, these are 0 / 0.
    Line {
        slope: xy / xx,
        correlation: xy / (xx * yy).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_are_found_on_straight_lines() {
        let time = [0.0, 1.0, 3.0, 4.0, 8.0];
        let value = [0.0, 4.0, 8.0, 6.0, 2.0];
        let curve = Sampled {
            time: &time,
            value: &value,
        };
        assert_eq!(largest(value.into_iter()), Some(2));
        assert_eq!((curve.rise(2, 2.0), curve.rise(2, 6.0)), (2.5, 1.0));
        assert_eq!((curve.fall(2, 4.0), curve.fall(2, 7.0)), (3.0, 0.5));
        assert!(curve.rise(2, -1.0).is_nan() && curve.fall(2, 1.0).is_nan());
    }

    #[test]
    fn figures_of_samples() {
        let sorted = [1.0, 2.0, 4.0];
        assert_eq!(
            (quantile(&sorted, 0.25), quantile(&sorted, 1.0)),
            (1.5, 4.0)
        );
        assert!(quantile(&[], 0.5).is_nan());
        let found = moments(&[1.0, 3.0]);
        assert_eq!((found.mean, found.deviation), (2.0, 1.0));
        let found = line([(0.0, 1.0), (1.0, 3.0), (f64::NAN, 9.0), (2.0, 5.0)].into_iter());
        assert_eq!((found.slope, found.correlation), (2.0, 1.0));
        assert!(line([(1.0, 1.0)].into_iter()).slope.is_nan());
    }
}
