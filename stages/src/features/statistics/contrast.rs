//! How the statistics of two bands differ.

/// A comparison of a figure in one band with the same in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contrast {
    /// The first minus the second.
    Difference,
    /// The first over the second, both of which have to be positive: the ratio of a flux that noise has made
    /// negative would say nothing of a color.
    Ratio,
}

impl Contrast {
    /// Both of them.
    pub const ALL: [Contrast; 2] = [Contrast::Difference, Contrast::Ratio];

    /// Its name in columns.
    pub fn name(self) -> &'static str {
        match self {
            Contrast::Difference => "difference",
            Contrast::Ratio => "ratio",
        }
    }

    /// Returns the comparison, NaN if it is not defined.
    pub fn of(self, first: f64, second: f64) -> f64 {
        match self {
            Contrast::Difference => first - second,
            Contrast::Ratio if first > 0.0 && second > 0.0 => first / second,
            Contrast::Ratio => f64::NAN,
        }
    }
}
