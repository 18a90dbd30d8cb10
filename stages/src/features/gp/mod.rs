//! A light curve as a Gaussian process in time and wavelength, and features of it.
//!
//! The process has a Matern covariance with index 3/2 (Rasmussen and Williams, "Gaussian Processes for
//! Machine Learning", 2006, equation 4.17; Boone 2019, arXiv:1907.04690), whose amplitude and length
//! scales are the most probable ones for the object. There are two: one of the whole light curve, and one
//! of the event, which is a window around the peak of the first.
//!
//! - `covariance`: the likelihood and its derivatives, vectorized;
//! - `points`: what they see of a light curve;
//! - `fit`: the search for the hyper-parameters, and predictions with them;
//! - `whole`, `flare`: the features of both processes, in the order of `catalogue`;
//! - `prediction`: the process as a grid and as curves;
//! - `shape`, `temperature`: figures of sampled curves, and black bodies.

mod catalogue;
mod covariance;
mod fit;
mod flare;
mod points;
mod prediction;
mod shape;
mod temperature;
#[cfg(test)]
mod tests;
mod whole;

pub use catalogue::catalogue_markdown;
pub use prediction::{GpFit, GpPoint};

use covariance::{Matrices, Smoothness};
use fit::{Fit, Priors};
use points::Points;

use super::event::Nights;
use crate::physics::cosmology::FlatLambdaCdm;

/// The wavelength to which the band with the peak is the nearest one, angstrom: that of LSST's g.
const REFERENCE: f64 = 4704.0;

/// The fewest points that a process is fitted to.
const FEWEST: usize = 3;

/// Settings of the processes. All lengths are those of the observer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpOptions {
    /// Median of the prior of the length scale in time, days.
    pub time_scale: f64,
    /// Standard deviation of the prior of its logarithm; below 1e-6 it is fixed.
    pub time_width: f64,
    /// Median of the prior of the length scale in wavelength, angstrom.
    pub wavelength_scale: f64,
    /// Standard deviation of the prior of its logarithm; below 1e-6 it is fixed.
    pub wavelength_width: f64,
    /// Standard deviation of the prior of the logarithm of amplitude over brightest flux; below 1e-6 they are
    /// equal.
    pub amplitude_width: f64,
    /// Rest-frame days before the peak at which the event begins.
    pub event_before: f64,
    /// Rest-frame days after the peak at which the event ends.
    pub event_after: f64,
}

impl Default for GpOptions {
    fn default() -> Self {
        GpOptions {
            time_scale: 60.0,
            time_width: 1.0,
            wavelength_scale: 6000.0,
            wavelength_width: 0.7,
            amplitude_width: 1.0,
            event_before: 60.0,
            event_after: 220.0,
        }
    }
}

impl GpOptions {
    fn priors(&self) -> Priors {
        Priors {
            mean: [
                0.0,
                libm::log(self.time_scale),
                libm::log(self.wavelength_scale),
            ],
            width: [self.amplitude_width, self.time_width, self.wavelength_width],
        }
    }
}

/// The bands of a survey and the settings: what all objects share.
#[derive(Clone, Debug)]
pub struct GpModel {
    options: GpOptions,
    /// Effective wavelength of each band, angstrom.
    wavelengths: Vec<f64>,
    /// The bands in the order of their wavelengths.
    order: Vec<usize>,
    /// The place of the reference band in `order`.
    reference: usize,
}

impl GpModel {
    /// Describes a survey by the effective wavelength of each of its bands, in angstrom.
    pub fn new(wavelengths: &[f64], options: GpOptions) -> GpModel {
        let mut order: Vec<usize> = (0..wavelengths.len()).collect();
        order.sort_by(|&a, &b| wavelengths[a].total_cmp(&wavelengths[b]));
        let off = |&band: &usize| (wavelengths[band] - REFERENCE).abs();
        let nearest = (0..order.len()).min_by(|&a, &b| off(&order[a]).total_cmp(&off(&order[b])));
        GpModel {
            options,
            wavelengths: wavelengths.to_vec(),
            reference: nearest.unwrap_or(0),
            order,
        }
    }

    /// The names of the features, for the names of the bands.
    pub fn names(&self, bands: &[&str]) -> Vec<String> {
        let ordered: Vec<&str> = self.order.iter().map(|&b| bands[b]).collect();
        catalogue::names(&ordered)
    }

    /// Computes the features of one object into `out`, in the order of [`GpModel::names`], and returns the
    /// process of its whole light curve. Values that the points do not support are NaN. There is no process of
    /// fewer than three points.
    ///
    /// # Panics
    /// If `out` is not as long as the names, or a band has no wavelength.
    pub fn features(
        &self,
        nights: &Nights,
        redshift: Option<f64>,
        out: &mut [f64],
    ) -> Option<GpFit> {
        let mut matrices = Matrices::default();
        out.fill(f64::NAN);
        let whole = self.fit(nights, 0..nights.len(), None, &mut matrices)?;
        let object = Object {
            model: self,
            nights,
            frame: Frame::new(redshift),
        };
        let mut row = Row { out, next: 0 };
        let walk = whole.walk(&self.options.priors(), &mut matrices);
        let peak_time = whole::features(&object, &whole, walk.as_ref(), &mut row);
        let window = object.window(peak_time);
        if window.len() >= flare::FEWEST
            && let Some(event) = self.fit(nights, window, Some(&whole), &mut matrices)
        {
            flare::features(&object, (&event, peak_time), &mut matrices, &mut row);
        }
        Some(GpFit { whole, peak_time })
    }

    /// Fits a process to some points of an object, from the priors or from what was found for all points.
    fn fit(
        &self,
        nights: &Nights,
        which: std::ops::Range<usize>,
        from: Option<&Fit>,
        matrices: &mut Matrices,
    ) -> Option<Fit> {
        if which.len() < FEWEST {
            return None;
        }
        let points = Points::new(nights, &self.wavelengths, which)?;
        let priors = self.options.priors();
        let start = from.map_or(priors.mean, |whole| {
            let [_, time, wavelength] = whole.covariance.theta;
            // An event is no longer than this, whatever else there is.
            [0.0, time.min(libm::log(100.0)), wavelength]
        });
        Fit::find(&points, Smoothness::Matern, &priors, start, matrices)
    }
}

impl Fit {
    /// Fits a damped random walk to the same points. It starts with the lengths that are usual for the lengths
    /// of this process.
    fn walk(&self, priors: &Priors, matrices: &mut Matrices) -> Option<Fit> {
        let [amplitude, time, wavelength] = self.covariance.theta;
        let start = [amplitude, time + 0.7, wavelength + 0.7];
        Fit::find(&self.points, Smoothness::Walk, priors, start, matrices)
    }
}

impl GpModel {
    /// The number of bands that say when an event peaks: the bluer two thirds. The others are often noisy.
    fn main_bands(&self) -> usize {
        self.order.len() - self.order.len() / 3
    }
}

/// One object, as the features see it.
struct Object<'a> {
    model: &'a GpModel,
    nights: &'a Nights,
    frame: Frame,
}

impl Object<'_> {
    /// The points of the event around a peak.
    fn window(&self, peak_time: f64) -> std::ops::Range<usize> {
        let options = &self.model.options;
        let phase = |t: &f64| (t - peak_time) / self.frame.stretch;
        let time = &self.nights.time;
        let begin = time.partition_point(|t| phase(t) <= -options.event_before);
        let end = time.partition_point(|t| phase(t) < options.event_after);
        begin..end.max(begin)
    }

    /// The wavelengths of the bands in ascending order, angstrom.
    fn wavelengths(&self) -> Vec<f64> {
        let order = self.model.order.iter();
        order.map(|&b| self.model.wavelengths[b]).collect()
    }

    /// The mean of `((flux - process) / error)^2` over some points.
    fn chi2(&self, fit: &Fit, which: std::ops::Range<usize>) -> f64 {
        let nights = self.nights;
        let at: Vec<(f64, f64)> = which
            .clone()
            .map(|i| {
                let band = usize::from(nights.band[i]);
                (nights.time[i], self.model.wavelengths[band])
            })
            .collect();
        let n = at.len() as f64;
        let terms = which.zip(fit.means(&at)).map(|(i, mean)| {
            let d = (nights.flux[i] - mean) / nights.err[i];
            d * d
        });
        terms.sum::<f64>() / n
    }
}

/// How times and fluxes are taken to the rest frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Redshift; 0 if there is none above 0.
    redshift: f64,
    /// `1 + z`
    stretch: f64,
    /// Luminosity distance in megaparsec, NaN if it is unknown.
    distance: f64,
}

impl Frame {
    fn new(redshift: Option<f64>) -> Frame {
        let known = redshift.filter(|z| z.is_finite() && *z > 0.0);
        let distance = known.map(|z| FlatLambdaCdm::WMAP9.luminosity_distance(z));
        let redshift = known.unwrap_or(0.0);
        Frame {
            redshift,
            stretch: 1.0 + redshift,
            distance: distance.unwrap_or(f64::NAN),
        }
    }

    /// `m - M` of an object in this frame.
    fn distance_modulus(&self) -> f64 {
        5.0 * libm::log10(self.distance) + 25.0
    }

    /// The K-correction of a spectrum with the same flux at all frequencies, which is to be added.
    fn k_correction(&self) -> f64 {
        2.5 * libm::log10(self.stretch)
    }
}

/// The AB magnitude of a flux in microjansky; NaN if that is not positive.
fn magnitude(flux: f64) -> f64 {
    if flux > 0.0 {
        23.9 - 2.5 * libm::log10(flux)
    } else {
        f64::NAN
    }
}

/// A row of features that is filled from left to right.
struct Row<'a> {
    out: &'a mut [f64],
    next: usize,
}

impl Row<'_> {
    fn push(&mut self, value: f64) {
        self.out[self.next] = value;
        self.next += 1;
    }

    fn extend(&mut self, values: impl IntoIterator<Item = f64>) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

/// `n` even times from `first` to `last`.
fn even(first: f64, last: f64, n: usize) -> Vec<f64> {
    let part = |i: usize| i as f64 / (n.max(2) - 1) as f64;
    (0..n).map(|i| first + (last - first) * part(i)).collect()
}

/// Predicts the mean at all wavelengths for each time: one row for each wavelength.
fn sample(fit: &Fit, times: &[f64], wavelengths: &[f64]) -> Vec<Vec<f64>> {
    let rows = wavelengths.iter().map(|&w| {
        let at: Vec<(f64, f64)> = times.iter().map(|&t| (t, w)).collect();
        fit.means(&at)
    });
    rows.collect()
}
