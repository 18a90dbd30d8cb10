//! A flare or a damped random walk: how well each describes a light curve, and with which parameters.
//!
//! Active galactic nuclei vary for as long as one looks, as a damped random walk does (Kelly, Bechtold and
//! Siemiginowska 2009; Kozlowski et al. 2010; MacLeod et al. 2010). A supernova or a tidal disruption flares once.
//! Four descriptions of an object are fitted, each with a constant flux in every band and with noise: nothing
//! else, the walk, one flare, and both. Differences of their log-likelihoods are the features.
//!
//! - `walk`: the likelihood and its derivatives, in one pass over the points;
//! - `model`: the descriptions, their parameters and priors;
//! - `scoring`: the search for the most probable parameters;
//! - `fits`: the four fits, and where each begins; `columns`: the features.
//!
//! All bands follow one walk, each with an amplitude of its own, because the bands of an active nucleus vary
//! together.

mod columns;
mod fits;
mod model;
mod scoring;
mod walk;

pub use columns::{COLUMNS, features};

use walk::Points;

use super::event::Nights;

/// Settings of the fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrwOptions {
    /// The share of each flux that is added to its error in quadrature.
    pub flux_error: f64,
    /// Where the prior of the walk's time scale tau is largest, in days.
    pub tau: f64,
    /// The standard deviation of the prior of ln tau.
    pub tau_width: f64,
    /// The most passes over the points in the search for the parameters of one description.
    pub evaluations: usize,
    /// Whether days are divided by `1 + redshift` if the redshift is known.
    pub rest_frame: bool,
}

impl Default for DrwOptions {
    fn default() -> Self {
        DrwOptions {
            flux_error: 0.05,
            tau: 150.0,
            tau_width: 1.5,
            evaluations: 12,
            rest_frame: true,
        }
    }
}

/// With fewer points than this, all features are NaN.
const LEAST_POINTS: usize = 6;
/// Days from the event beyond which all times count as this one.
const MOST_DAYS: f64 = 1e6;
/// The least error of a flux, as a share of the unit of the fits.
const LEAST_ERROR: f64 = 1e-6;
/// Points with a larger error, in the unit of the fits, say nothing and are left out.
const MOST_ERROR: f64 = 1e6;

/// An object that is ready for the fits.
struct Prepared {
    /// Days are relative to the event. Fluxes are in units of `scale`.
    points: Points,
    /// The bands that have points, in ascending order: their places in the survey.
    bands: Vec<usize>,
    /// The unit of the fluxes of `points`, in the unit of the survey.
    scale: f64,
}

impl Prepared {
    /// Prepares the merged observations of an object; `None` if there are too few of them, or if all fluxes are
    /// zero.
    fn new(nights: &Nights, redshift: Option<f64>, options: &DrwOptions) -> Option<Self> {
        let reference = nights.reference_time()?;
        let redshift = redshift.filter(|z| options.rest_frame && z.is_finite() && *z > -1.0);
        let stretch = 1.0 + redshift.unwrap_or(0.0);
        let scale = scale(nights)?;
        let error = |i: usize| {
            let flux = nights.flux[i] / scale;
            let err = (nights.err[i] / scale).max(LEAST_ERROR);
            libm::hypot(err, options.flux_error * flux)
        };
        let kept: Vec<usize> = (0..nights.len())
            .filter(|&i| error(i) < MOST_ERROR)
            .collect();
        if kept.len() < LEAST_POINTS {
            return None;
        }
        let mut bands: Vec<usize> = kept.iter().map(|&i| usize::from(nights.band[i])).collect();
        let survey_bands = bands.clone();
        bands.sort_unstable();
        bands.dedup();
        let place = |band: &usize| bands.partition_point(|other| other < band);
        let days = |&i: &usize| {
            let days = (nights.time[i] - reference) / stretch;
            days.clamp(-MOST_DAYS, MOST_DAYS)
        };
        let points = Points {
            time: kept.iter().map(days).collect(),
            band: survey_bands.iter().map(place).collect(),
            flux: kept.iter().map(|&i| nights.flux[i] / scale).collect(),
            variance: kept.iter().map(|&i| error(i) * error(i)).collect(),
            bands: bands.len(),
        };
        Some(Self {
            points,
            bands,
            scale,
        })
    }
}

/// Returns the root mean square of the fluxes, weighted by inverse variance.
fn scale(nights: &Nights) -> Option<f64> {
    // Relative to the largest flux, no square is infinite.
    let largest = nights
        .flux
        .iter()
        .fold(0.0, |most, f| f64::max(most, f.abs()));
    if largest == 0.0 {
        return None;
    }
    let (mut sum, mut total) = (0.0, 0.0);
    for (flux, err) in nights.flux.iter().zip(&nights.err) {
        let (flux, err) = (flux / largest, (err / largest).max(LEAST_ERROR));
        let weight = 1.0 / (err * err);
        sum += weight * flux * flux;
        total += weight;
    }
    let scale = (sum / total).sqrt() * largest;
    (scale.is_finite() && scale > 0.0).then_some(scale)
}

#[cfg(test)]
mod tests;
