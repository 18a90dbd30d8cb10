//! Whether probabilities mean what they say: the reliability curve and the expected calibration error.

/// The number of bins of a [`Reliability`].
pub const BINS: usize = 10;

/// Sums over the rows whose probability lies in a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReliabilityBin {
    /// The number of rows.
    pub rows: u64,
    /// The sum of their probabilities.
    pub predicted: f64,
    /// How many of them the predicted event came true for.
    pub observed: u64,
}

/// A reliability curve (Murphy and Winkler, Applied Statistics 26, 1977): ten bins of equal width over the
/// probabilities from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reliability {
    /// The bins, the lowest probabilities first.
    pub bins: [ReliabilityBin; BINS],
}

impl Reliability {
    /// The bin of a probability.
    pub fn bin(probability: f64) -> usize {
        ((probability * BINS as f64) as usize).min(BINS - 1)
    }

    /// Adds a row that counts `count` times.
    pub fn add(&mut self, probability: f64, came_true: bool, count: u64) {
        let bin = &mut self.bins[Self::bin(probability)];
        bin.rows += count;
        bin.predicted += count as f64 * probability;
        bin.observed += if came_true { count } else { 0 };
    }

    /// Adds the rows of another curve.
    pub fn extend(&mut self, other: &Self) {
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.rows += more.rows;
            bin.predicted += more.predicted;
            bin.observed += more.observed;
        }
    }

    /// The expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015): the mean over rows of the
    /// distance between the mean probability of their bin and the share that came true; `None` without rows.
    pub fn expected_calibration_error(&self) -> Option<f64> {
        let rows: u64 = self.bins.iter().map(|bin| bin.rows).sum();
        let distance = |bin: &ReliabilityBin| (bin.predicted - bin.observed as f64).abs();
        let sum: f64 = self.bins.iter().map(distance).sum();
        (rows > 0).then(|| sum / rows as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_mean_distance_of_a_bin() {
        let mut curve = Reliability::default();
        assert_eq!(curve.expected_calibration_error(), None);
        // Four rows at 0.25, one of which came true, are calibrated; two at 0.9 that failed are not.
        for came_true in [true, false, false, false] {
            curve.add(0.25, came_true, 1);
        }
        assert_eq!(curve.expected_calibration_error(), Some(0.0));
        curve.add(0.9, false, 2);
        let error = curve.expected_calibration_error().unwrap();
        assert!((error - 1.8 / 6.0).abs() < 1e-15, "{error}");
    }

    #[test]
    fn every_probability_has_a_bin() {
        assert_eq!(Reliability::bin(0.0), 0);
        assert_eq!(Reliability::bin(0.1), 1);
        assert_eq!(Reliability::bin(0.999), 9);
        assert_eq!(Reliability::bin(1.0), 9);
    }
}
