//! The process of a whole light curve as a grid of fluxes and as curves with errors.

use super::covariance::Matrices;
use super::fit::Fit;
use super::{Frame, GpModel, even};
use crate::features::event::Nights;
use crate::features::interpolate::{Normalise, scaling};

/// The rest-frame days between the points of a curve, and the most points of a band.
const CURVE_STEP: f64 = 5.0;
const MOST_CURVE_POINTS: usize = 200;

/// The process of a whole light curve, fitted by [`GpModel::features`].
#[derive(Clone, Debug)]
pub struct GpFit {
    pub(super) whole: Fit,
    pub(super) peak_time: f64,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpPoint {
    /// Modified Julian Date, days.
    pub time: f64,
    /// The place of the band in the survey's list.
    pub band: u16,
    /// Flux in microjansky.
    pub flux: f64,
    /// Standard error of the flux.
    pub err: f64,
}

impl GpModel {
    /// The mean of a process at `n` even times from the first night of an object to the last one, for each band
    /// in the order of the survey's list: `bands` rows of `n` values. They are normalised by the statistics of the
    /// object's `nights`. Values beyond the range of f32 are the nearest of that range.
    pub fn grid(&self, fit: &GpFit, nights: &Nights, n: usize, normalise: Normalise) -> Vec<f32> {
        let (shift, scale) = scaling(&nights.flux, normalise);
        let (first, last) = (nights.time[0], nights.time[nights.len() - 1]);
        let times = even(first, last, n);
        let row = |&w: &f64| {
            let at: Vec<(f64, f64)> = times.iter().map(|&t| (t, w)).collect();
            fit.whole.means(&at)
        };
        let values = self.wavelengths.iter().flat_map(row);
        let most = f64::from(f32::MAX);
        values
            .map(|flux| ((flux - shift) * scale).clamp(-most, most) as f32)
            .collect()
    }

    /// The curve of a process in all bands, from the beginning to the end of the event, in the order of time and
    /// then band.
    pub fn curve(&self, fit: &GpFit, redshift: Option<f64>) -> Vec<GpPoint> {
        let (before, after) = (self.options.event_before, self.options.event_after);
        // The conversion saturates for windows beyond all bounds.
        let steps = ((before + after) / CURVE_STEP).ceil() as usize;
        let n = steps.saturating_add(1).clamp(2, MOST_CURVE_POINTS);
        let stretch = Frame::new(redshift).stretch;
        let (begin, end) = (before * stretch, after * stretch);
        let times = even(fit.peak_time - begin, fit.peak_time + end, n);
        let at: Vec<(f64, f64)> = times
            .iter()
            .flat_map(|&t| self.wavelengths.iter().map(move |&w| (t, w)))
            .collect();
        let found = fit.whole.predict(&at, &mut Matrices::default());
        let bands = (0..self.wavelengths.len()).cycle();
        let points = at.into_iter().zip(found).zip(bands);
        points
            .map(|(((time, _), (flux, err)), band)| GpPoint {
                time,
                band: band as u16,
                flux,
                err,
            })
            .collect()
    }
}
