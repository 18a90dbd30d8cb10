//! The features that the four fits give.

use super::fits::Fits;
use super::scoring::Fit;
use super::{DrwOptions, Prepared};
use crate::features::columns::{Column, column};
use crate::features::event::Nights;

/// The number of features that no band has of its own.
const SHARED: usize = 32;

/// Every feature. The computing code fills values in this order.
#[rustfmt::skip]
pub const COLUMNS: [Column; SHARED + 2] = [
    column("drw_ln_tau", "ln d", "time scale of the walk"),
    column("drw_ln_sigma", "ln uJy", "standard deviation of the walk, typical of the bands"),
    column("drw_ln_sigma_rms", "", "`drw_ln_sigma` less the logarithm of the root mean square of all fluxes, weighted by inverse variance"),
    column("drw_skewness", "", "third standardized moment of the innovations of the walk"),
    column("drw_kurtosis", "", "fourth standardized moment of the innovations of the walk, minus 3"),
    column("drw_max", "", "largest innovation of the walk"),
    column("drw_min", "", "least innovation of the walk"),
    column("drw_lag", "", "correlation of innovations of the walk that follow each other"),
    column("drw_minus_constant", "", "penalized log-likelihood of the walk minus that of constants"),
    column("drw_minus_flare", "", "the same of the walk minus the flare"),
    column("drw_both_minus_drw", "", "the same of both minus the walk alone: what a flare adds to a walk"),
    column("drw_both_minus_flare", "", "the same of both minus the flare alone: what a walk adds to a flare"),
    column("drw_minus_constant_per_point", "", "log-likelihood of the walk minus that of constants, over the number of points"),
    column("drw_minus_flare_per_point", "", "the same of the walk minus the flare"),
    column("drw_both_minus_drw_per_point", "", "the same of both minus the walk alone"),
    column("drw_both_minus_flare_per_point", "", "the same of both minus the flare alone"),
    column("drw_constant_chi2", "", "mean square of the residuals of constants, in errors"),
    column("drw_flare_chi2", "", "mean square of the residuals of the flare, in errors"),
    column("drw_flare_max", "", "largest residual of the flare, in errors"),
    column("drw_flare_min", "", "least residual of the flare, in errors"),
    column("drw_flare_lag", "", "correlation of residuals of the flare that follow each other"),
    column("drw_flare_peak", "d", "peak time of the flare, from the reference time"),
    column("drw_flare_ln_rise", "ln d", "rise time of the flare"),
    column("drw_flare_ln_decay", "ln d", "decay time of the flare"),
    column("drw_flare_ln_flux", "ln uJy", "peak flux of the flare in the band where it is largest"),
    column("drw_both_ln_tau", "ln d", "`drw_ln_tau` if there is a flare as well"),
    column("drw_both_ln_sigma", "ln uJy", "`drw_ln_sigma` if there is a flare as well"),
    column("drw_both_peak", "d", "`drw_flare_peak` if there is a walk as well"),
    column("drw_both_ln_rise", "ln d", "`drw_flare_ln_rise` if there is a walk as well"),
    column("drw_both_ln_decay", "ln d", "`drw_flare_ln_decay` if there is a walk as well"),
    column("drw_both_ln_flux", "ln uJy", "`drw_flare_ln_flux` if there is a walk as well"),
    column("drw_both_ln_ratio", "", "`drw_both_ln_flux` minus `drw_both_ln_sigma`: how far the flare stands out of the walk"),
    column("drw_{}_ln_amplitude", "", "logarithm of the walk's standard deviation in the band over sigma"),
    column("drw_{}_flare", "", "peak flux of the flare in the band over that in the band where it is largest"),
];

/// Computes the features of one object into `out`, in the order of [`COLUMNS`].
///
/// A redshift that is not finite or not above -1 counts as unknown. Values that the points do not support are
/// NaN, and all are if there are fewer than 6 points.
///
/// # Panics
/// If `out` is not as long as there are features.
pub fn features(nights: &Nights, redshift: Option<f64>, options: &DrwOptions, out: &mut [f64]) {
    out.fill(f64::NAN);
    let Some(object) = Prepared::new(nights, redshift, options) else {
        return;
    };
    let fits = Fits::new(&object.points, options);
    let (shared, per_band) = out.split_at_mut(SHARED);
    let (walk, flare) = shared.split_at_mut(16);
    walk.copy_from_slice(&of_walk(&fits, &object));
    flare.copy_from_slice(&of_flare(&fits, &object));
    let bands = per_band.len() / 2;
    let (amplitudes, flares) = per_band.split_at_mut(bands);
    let largest = fits.flare.largest_amplitude();
    for (k, &band) in object.bands.iter().enumerate() {
        amplitudes[band] = fits.walk.at[2 + k];
        if largest > 0.0 {
            flares[band] = fits.flare.at[fits.flare.model.amplitudes() + k] / largest;
        }
    }
}

/// The first 16 features: the walk, and the likelihoods.
fn of_walk(fits: &Fits, object: &Prepared) -> [f64; 16] {
    let walk = &fits.walk;
    let innovations = Moments::of(&walk.evaluation.innovations);
    let points = object.points.time.len() as f64;
    let penalized = |fit: &Fit| {
        let parameters = fit.model.parameters() as f64;
        fit.evaluation.ln_likelihood - 0.5 * parameters * libm::log(points)
    };
    let likelihood = |fit: &Fit| fit.evaluation.ln_likelihood / points;
    let pairs = [
        (walk, &fits.constant),
        (walk, &fits.flare),
        (&fits.both, walk),
        (&fits.both, &fits.flare),
    ];
    let [a, b, c, d] = pairs.map(|(one, other)| penalized(one) - penalized(other));
    let [e, f, g, h] = pairs.map(|(one, other)| likelihood(one) - likelihood(other));
    [
        walk.at[0],
        walk.at[1] + libm::log(object.scale),
        walk.at[1],
        innovations.skewness,
        innovations.kurtosis,
        innovations.max,
        innovations.min,
        innovations.lag,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
    ]
}

/// The other features that no band has of its own: the flare, and the flare with the walk.
fn of_flare(fits: &Fits, object: &Prepared) -> [f64; SHARED - 16] {
    let (flare, both) = (&fits.flare, &fits.both);
    let residuals = Moments::of(&flare.evaluation.innovations);
    let unit = libm::log(object.scale);
    let shape = |fit: &Fit, k: usize| fit.at[fit.model.flare() + k];
    let ln_flux = |fit: &Fit| libm::log(fit.largest_amplitude().max(LEAST_AMPLITUDE));
    [
        Moments::of(&fits.constant.evaluation.innovations).square,
        residuals.square,
        residuals.max,
        residuals.min,
        residuals.lag,
        shape(flare, 0),
        shape(flare, 1),
        shape(flare, 2),
        ln_flux(flare) + unit,
        both.at[0],
        both.at[1] + unit,
        shape(both, 0),
        shape(both, 1),
        shape(both, 2),
        ln_flux(both) + unit,
        ln_flux(both) - both.at[1],
    ]
}

/// The amplitude of a flare, in the unit of the fits, below which there is none to speak of.
const LEAST_AMPLITUDE: f64 = 1e-6;

impl Fit {
    /// The amplitude of the flare in the band where it is largest, in the unit of the fits.
    fn largest_amplitude(&self) -> f64 {
        let amplitudes = &self.at[self.model.amplitudes()..];
        amplitudes.iter().fold(0.0, |most, a| f64::max(most, *a))
    }
}

/// Statistics of numbers that follow each other.
struct Moments {
    /// The mean of the squares.
    square: f64,
    skewness: f64,
    kurtosis: f64,
    max: f64,
    min: f64,
    /// The mean product of neighbors over `square`.
    lag: f64,
}

impl Moments {
    /// Computes moments about zero, which is what innovations are expected to be.
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = |of: fn(f64) -> f64| values.iter().map(|v| of(*v)).sum::<f64>() / n;
        let square = mean(|v| v * v);
        let neighbors = values.windows(2).map(|pair| pair[0] * pair[1]);
        Moments {
            square,
            skewness: mean(|v| v * v * v) / (square * square.sqrt()),
            kurtosis: mean(|v| v * v * v * v) / (square * square) - 3.0,
            max: values.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v)),
            min: values.iter().fold(f64::INFINITY, |m, v| m.min(*v)),
            lag: neighbors.sum::<f64>() / n / square,
        }
    }
}
