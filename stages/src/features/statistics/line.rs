//! Straight lines through the points.

/// The line with the least weighted sum of squares.
pub(super) struct FittedLine {
    /// Its slope, for each day. It is NaN if all points are at one time.
    pub slope: f64,
    /// The weighted sum of the squares of times from their weighted mean.
    pub spread: f64,
    /// The weighted sum of the squares of values from the line.
    pub chi2: f64,
}

impl FittedLine {
    /// The line through points: time, value and weight of each.
    pub fn through(points: impl Iterator<Item = (f64, f64, f64)> + Clone) -> FittedLine {
        let (mut weights, mut times, mut values) = (0.0, 0.0, 0.0);
        let mut range = (f64::INFINITY, f64::NEG_INFINITY);
        for (t, v, w) in points.clone() {
            range = (range.0.min(t), range.1.max(t));
            weights += w;
            times += w * t;
            values += w * v;
        }
        let (time, value) = (times / weights, values / weights);
        let (mut spread, mut product) = (0.0, 0.0);
        for (t, v, w) in points.clone() {
            spread += w * ((t - time) * (t - time));
            product += w * ((t - time) * (v - value));
        }
        // Points at one time have no slope, although the rounding of their mean time may give them a spread.
        let slope = if range.0 < range.1 {
            product / spread
        } else {
            f64::NAN
        };
        let squares = points.map(|(t, v, w)| {
            let off = v - value - slope * (t - time);
            w * (off * off)
        });
        FittedLine {
            slope,
            spread,
            chi2: squares.sum(),
        }
    }
}
