//! How the fluxes of an object are brought to a common size.

use super::observed::Observation;
use crate::numeric::rank::quantile;

/// How the fluxes of an object are brought to a common size. One scale holds for all its bands, so that colors survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FluxScale {
    /// They are divided by the largest absolute flux.
    MaxAbs,
    /// The median becomes 0, and the distance of the quartiles 1. If the quartiles are equal, the largest distance from
    /// the median becomes 1.
    Robust,
    /// They stay as they are.
    None,
}

/// Fluxes from this size on are made smaller before they are compared, so that their differences are finite.
const HUGE: f64 = 1e150;

/// Maps fluxes `f` to `(f unit - shift) / size`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaling {
    unit: f64,
    shift: f64,
    /// Fluxes without any size are all 0.
    size: f64,
}

impl FluxScale {
    /// Returns the scaling of an object with these observations.
    pub(super) fn of(self, observations: &[Observation]) -> Scaling {
        let same = Scaling {
            unit: 1.0,
            shift: 0.0,
            size: 1.0,
        };
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let size = largest(&mut observations.iter().map(|o| o.flux.abs()));
        match self {
            Self::None => same,
            Self::MaxAbs => Scaling { size, ..same },
            Self::Robust => {
                let unit = if size > HUGE { 1.0 / HUGE } else { 1.0 };
                let mut fluxes: Vec<f64> = observations.iter().map(|o| o.flux * unit).collect();
                fluxes.sort_by(f64::total_cmp);
                let at = |share| quantile(&fluxes, share).unwrap_or(0.0);
                let (shift, range) = (at(0.5), at(0.75) - at(0.25));
                let size = match range > 0.0 {
                    true => range,
                    false => largest(&mut fluxes.iter().map(|f| (f - shift).abs())),
                };
                Scaling { unit, shift, size }
            }
        }
    }
}

impl Scaling {
    /// The flux on this scale.
    pub(super) fn flux(&self, flux: f64) -> f64 {
        self.ratio(flux * self.unit - self.shift)
    }

    /// The error of a flux on this scale.
    pub(super) fn err(&self, err: f64) -> f64 {
        self.ratio(err * self.unit)
    }

    fn ratio(&self, value: f64) -> f64 {
        if self.size > 0.0 {
            value / self.size
        } else {
            0.0
        }
    }
}
