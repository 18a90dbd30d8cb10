//! What a statistic is: its name, its formula and what it needs.

use super::measurements::Measurements;

/// A statistic of a light curve.
#[derive(Clone, Copy)]
pub struct Statistic {
    /// Its name.
    pub name: &'static str,
    /// Its unit. `value` stands for the unit of the values.
    pub unit: &'static str,
    /// Its formula, in the notation of `docs/light-curve-statistics.md`.
    pub formula: &'static str,
    /// The paper that it comes from; empty for what every textbook has.
    pub source: &'static str,
    /// The fewest points with which it is defined.
    pub points: usize,
    /// It needs the errors of the values.
    pub errors: bool,
    /// Computes it of enough points.
    pub(super) of: fn(&Measurements<'_>) -> f64,
}

impl Statistic {
    /// Returns the statistic of points. It is NaN if there are too few points, if it needs errors and there are
    /// none, or if it is not defined for these values.
    pub fn measure(&self, points: &Measurements<'_>) -> f64 {
        if points.value.len() < self.points || (self.errors && points.err.is_none()) {
            return f64::NAN;
        }
        let value = (self.of)(points);
        if value.is_finite() { value } else { f64::NAN }
    }
}

impl std::fmt::Debug for Statistic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Returns a statistic of the values and their times.
pub(super) const fn statistic(
    name: &'static str,
    unit: &'static str,
    formula: &'static str,
    points: usize,
    of: fn(&Measurements<'_>) -> f64,
) -> Statistic {
    Statistic {
        name,
        unit,
        formula,
        source: "",
        points,
        errors: false,
        of,
    }
}

impl Statistic {
    /// Names the paper that it comes from.
    pub(super) const fn from(self, source: &'static str) -> Self {
        Statistic { source, ..self }
    }

    /// Says that it needs the errors of the values.
    pub(super) const fn with_errors(self) -> Self {
        Statistic {
            errors: true,
            ..self
        }
    }
}
