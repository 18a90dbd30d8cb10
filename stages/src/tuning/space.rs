//! Spaces of parameters: what may be tried, and how it maps to the unit cube.

/// The values that one parameter may take.
#[derive(Clone, Debug, PartialEq)]
pub enum Dimension {
    /// Any number from `low` to `high`, both included.
    Real {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
        /// Whether values are spread evenly by logarithm; `low` is then above 0.
        log: bool,
    },
    /// Any whole number from `low` to `high`, both included.
    Whole {
        /// The smallest value.
        low: i64,
        /// The largest value.
        high: i64,
        /// Whether values are spread evenly by logarithm; `low` is then at least 1.
        log: bool,
    },
    /// These numbers, in ascending order. Neighbours count as similar.
    Steps(Vec<f64>),
    /// One of this many options, none of which is similar to another. The value is an index.
    Choice(usize),
}

/// A point of a space: for each dimension a value, or the index of a choice.
pub type Point = Vec<f64>;

/// The number of significant digits to which proposed reals are rounded; 0.04837 and 0.0483712 make no
/// difference.
const DIGITS: usize = 4;

impl Dimension {
    /// Returns `steps` numbers from `low` to `high`, evenly spaced, by logarithm if `log`. Whole
    /// numbers are rounded, and equal results count once.
    pub fn steps(low: f64, high: f64, log: bool, whole: bool, steps: usize) -> Self {
        let last = steps.saturating_sub(1).max(1) as f64;
        let mut values: Vec<f64> = (0..steps)
            .map(|i| {
                let value = spread(low, high, log, i as f64 / last);
                if whole {
                    value.round()
                } else {
                    tidy(low, high, value)
                }
            })
            .collect();
        values.dedup();
        Self::Steps(values)
    }

    /// The number of values; `None` for reals.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Real { .. } => None,
            Self::Whole { low, high, .. } => Some(high.abs_diff(*low).saturating_add(1)),
            Self::Steps(values) => Some(values.len() as u64),
            Self::Choice(n) => Some(*n as u64),
        }
    }

    /// Value `i` of a dimension that has a [`Dimension::size`].
    pub fn nth(&self, i: u64) -> f64 {
        match self {
            Self::Real { low, .. } => *low,
            Self::Whole { low, .. } => low.saturating_add_unsigned(i) as f64,
            Self::Steps(values) => values[i as usize],
            Self::Choice(_) => i as f64,
        }
    }

    /// The value at `u` from 0 to 1. Values of equal weight have equal shares of the interval.
    pub fn at(&self, u: f64) -> f64 {
        let u = u.clamp(0.0, 1.0);
        let index = |n: usize| ((u * n as f64) as usize).min(n.saturating_sub(1));
        match self {
            Self::Real { low, high, log } => tidy(*low, *high, spread(*low, *high, *log, u)),
            Self::Whole { low, high, log } => {
                let (from, to) = edges(*low, *high);
                let value = spread(from, to, *log, u).round();
                value.clamp(*low as f64, *high as f64)
            }
            Self::Steps(values) => values[index(values.len())],
            Self::Choice(n) => index(*n) as f64,
        }
    }

    /// The place of a value between 0 and 1: the middle of its share.
    pub fn unit(&self, value: f64) -> f64 {
        let u = match self {
            Self::Real { low, high, log } => gather(*low, *high, *log, value),
            Self::Whole { low, high, log } => {
                let (from, to) = edges(*low, *high);
                gather(from, to, *log, value)
            }
            Self::Steps(values) => {
                let at = values.partition_point(|v| *v < value);
                (at as f64 + 0.5) / values.len() as f64
            }
            Self::Choice(n) => (value + 0.5) / *n as f64,
        };
        u.clamp(0.0, 1.0)
    }
}

/// Widens a range of whole numbers by half a unit to each side.
fn edges(low: i64, high: i64) -> (f64, f64) {
    (low as f64 - 0.5, high as f64 + 0.5)
}

fn spread(low: f64, high: f64, log: bool, u: f64) -> f64 {
    if log {
        let (a, b) = (libm::log(low), libm::log(high));
        libm::exp(a + (b - a) * u).clamp(low, high)
    } else {
        (low + (high - low) * u).clamp(low, high)
    }
}

fn gather(low: f64, high: f64, log: bool, value: f64) -> f64 {
    if high <= low {
        return 0.5;
    }
    if log {
        let (a, b) = (libm::log(low), libm::log(high));
        (libm::log(value.max(low)) - a) / (b - a)
    } else {
        (value - low) / (high - low)
    }
}

/// Rounds to [`DIGITS`] significant digits, unless the range is so narrow that they would matter.
fn tidy(low: f64, high: f64, value: f64) -> f64 {
    if high - low < 0.01 * low.abs().max(high.abs()) {
        return value;
    }
    // Formatting and parsing are exact, so the result is the same number on every machine.
    let rounded = format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value);
    f64::clamp(rounded, low, high)
}

/// The number of points; `None` if there are infinitely many, or more than a `u64` can count.
pub fn size(space: &[Dimension]) -> Option<u64> {
    space
        .iter()
        .try_fold(1u64, |product, d| product.checked_mul(d.size()?))
}

/// Point `i` of a finite space: the last dimension moves fastest, so that the order is that of
/// nested loops in the order of the dimensions.
pub fn grid_point(space: &[Dimension], mut i: u64) -> Point {
    let mut point = vec![0.0; space.len()];
    for (value, dimension) in point.iter_mut().zip(space).rev() {
        let n = dimension.size().unwrap_or(1).max(1);
        *value = dimension.nth(i % n);
        i /= n;
    }
    point
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(low: i64, high: i64, log: bool) -> Dimension {
        Dimension::Whole { low, high, log }
    }

    #[test]
    fn values_and_units_are_inverse() {
        let real = |low, high, log| Dimension::Real { low, high, log };
        let dimensions = [
            real(-3.0, 5.0, false),
            real(1e-4, 10.0, true),
            whole(2, 9, false),
            whole(1, 1000, true),
            Dimension::steps(0.1, 0.5, false, false, 5),
            Dimension::Choice(3),
        ];
        for dimension in &dimensions {
            for i in 0..=100 {
                let value = dimension.at(f64::from(i) / 100.0);
                assert_eq!(
                    dimension.at(dimension.unit(value)),
                    value,
                    "{dimension:?} at {i} of 100"
                );
            }
        }
    }

    #[test]
    fn ends_are_within_reach_and_nothing_lies_beyond() {
        let dimension = Dimension::Real {
            low: 0.003,
            high: 0.3,
            log: true,
        };
        assert_eq!((dimension.at(0.0), dimension.at(1.0)), (0.003, 0.3));
        let dimension = whole(15, 127, true);
        assert_eq!((dimension.at(0.0), dimension.at(1.0)), (15.0, 127.0));
    }

    #[test]
    fn whole_numbers_have_equal_shares() {
        let dimension = whole(1, 4, false);
        let mut counts = [0; 4];
        for i in 0..400 {
            counts[dimension.at((f64::from(i) + 0.5) / 400.0) as usize - 1] += 1;
        }
        assert_eq!(counts, [100; 4]);
    }

    #[test]
    fn reals_are_rounded_to_four_digits_where_that_is_little() {
        let wide = Dimension::Real {
            low: 0.0,
            high: 1.0,
            log: false,
        };
        assert_eq!(wide.at(0.123_456_789), 0.1235);
        let narrow = Dimension::Real {
            low: 1.0,
            high: 1.001,
            log: false,
        };
        assert_ne!(narrow.at(0.123_456_789), 1.0);
    }

    #[test]
    fn steps_that_round_together_count_once() {
        let steps = Dimension::steps(1.0, 4.0, true, true, 6);
        assert_eq!(steps, Dimension::Steps(vec![1.0, 2.0, 3.0, 4.0]));
    }

    #[test]
    fn a_grid_is_every_combination_once_in_the_order_of_nested_loops() {
        let space = [whole(1, 2, false), Dimension::Choice(3)];
        assert_eq!(size(&space), Some(6));
        let points: Vec<Point> = (0..6).map(|i| grid_point(&space, i)).collect();
        let expected: Vec<Point> = [1.0, 2.0]
            .iter()
            .flat_map(|&a| [0.0, 1.0, 2.0].map(|b| vec![a, b]))
            .collect();
        assert_eq!(points, expected);
        let real = Dimension::Real {
            low: 0.0,
            high: 1.0,
            log: false,
        };
        assert_eq!(size(&[real]), None);
    }
}
