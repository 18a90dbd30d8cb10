//! The features of the process of a whole light curve.

use super::fit::Fit;
use super::shape::{Sampled, largest, line, moments, quantile};
use super::{Object, Row, even, magnitude, sample};

/// The least time between samples of the reference band, days, and the most samples.
const STEP: f64 = 3.0;
const MOST_SAMPLES: usize = 1500;

/// For each of so many samples of the reference band, there is one of all bands.
const COARSER: usize = 4;

/// Observer days from the peak beyond which a time is far.
const FAR: f64 = 150.0;

/// One magnitude as a ratio of fluxes.
const ONE_MAG: f64 = 2.511_886_431_509_58;

/// The factor that brings `(1 + c x)^(-5/3)` to one half at `x = 1`: `2^(3/5) - 1`.
const HALF_TDE: f64 = 0.515_716_566_510_398;

/// The process of a whole light curve, sampled.
struct Samples {
    time: Vec<f64>,
    /// The flux in the reference band at these times.
    flux: Vec<f64>,
    /// Times and fluxes of all bands, a row for each band.
    coarse_time: Vec<f64>,
    coarse: Vec<Vec<f64>>,
    peak: usize,
}

impl Samples {
    fn new(object: &Object<'_>, fit: &Fit) -> Samples {
        let times = &object.nights.time;
        let (first, last) = (times[0], times[times.len() - 1]);
        // The conversion saturates for spans beyond all bounds.
        let steps = ((last - first) / STEP).ceil() as usize;
        let n = steps.saturating_add(1).clamp(2, MOST_SAMPLES);
        let time = even(first, last, n);
        let wavelengths = object.wavelengths();
        let flux = sample(fit, &time, &wavelengths[object.model.reference..][..1]).remove(0);
        let coarse_time = even(first, last, n.div_ceil(COARSER).max(2));
        Samples {
            coarse: sample(fit, &coarse_time, &wavelengths),
            coarse_time,
            peak: largest(flux.iter().copied()).unwrap_or(0),
            flux,
            time,
        }
    }

    fn peak_time(&self) -> f64 {
        self.time[self.peak]
    }

    /// The flux at the peak; NaN unless it is positive.
    fn peak_flux(&self) -> f64 {
        let flux = self.flux[self.peak];
        if flux > 0.0 { flux } else { f64::NAN }
    }

    fn curve(&self) -> Sampled<'_> {
        Sampled {
            time: &self.time,
            value: &self.flux,
        }
    }
}

/// Pushes the features of the whole light curve, then those of its colors. Returns the time of the peak.
pub(super) fn features(
    object: &Object<'_>,
    fit: &Fit,
    walk: Option<&Fit>,
    row: &mut Row<'_>,
) -> f64 {
    let samples = Samples::new(object, fit);
    row.extend(parameters(object, fit, walk));
    row.extend(detections(object));
    row.extend(peak(object, &samples));
    row.extend(integrals(object, &samples));
    row.extend(levels(&samples));
    row.extend(fade(&samples));
    colors(object, fit, &samples, row);
    samples.peak_time()
}

/// Hyper-parameters and likelihoods.
fn parameters(object: &Object<'_>, fit: &Fit, walk: Option<&Fit>) -> [f64; 12] {
    let (frame, nights) = (&object.frame, object.nights);
    let [amplitude, time, wavelength] = fit.covariance.theta;
    let ln_flux = amplitude + libm::log(fit.points.scale);
    let n = nights.len() as f64;
    let gain = fit.likelihood - fit.points.noise_likelihood();
    let minus_walk = walk.map_or(f64::NAN, |walk| fit.likelihood - walk.likelihood);
    let walk_time = walk.map_or(f64::NAN, |walk| libm::exp(walk.covariance.theta[1]));
    let squares = nights
        .flux
        .iter()
        .zip(&nights.err)
        .map(|(f, e)| (f / e) * (f / e));
    [
        libm::exp(time) / frame.stretch,
        libm::exp(wavelength),
        ln_flux,
        amplitude,
        magnitude(libm::exp(ln_flux)) - frame.distance_modulus(),
        gain / n,
        libm::asinh(gain),
        minus_walk / n,
        libm::asinh(minus_walk),
        walk_time / frame.stretch,
        object.chi2(fit, 0..nights.len()),
        squares.sum::<f64>() / n,
    ]
}

/// The fewest points above [`DETECTED`] errors that have a duration.
const FEWEST_DETECTED: usize = 5;
const DETECTED: f64 = 3.0;

/// When the object was seen, by points of all bands.
fn detections(object: &Object<'_>) -> [f64; 4] {
    let nights = object.nights;
    let snr = |i: usize| nights.flux[i] / nights.err[i];
    let n = nights.len();
    let seen: Vec<f64> = (0..n)
        .filter(|&i| snr(i) > DETECTED)
        .map(|i| nights.time[i])
        .collect();
    let negative = (0..n).filter(|&i| snr(i) < -DETECTED).count();
    let duration = if seen.len() < FEWEST_DETECTED {
        f64::NAN
    } else {
        quantile(&seen, 0.9) - quantile(&seen, 0.1)
    };
    [
        seen.len() as f64 / n as f64,
        negative as f64 / n as f64,
        duration / object.frame.stretch,
        duration / (nights.time[n - 1] - nights.time[0]),
    ]
}

/// The peak of the reference band and the widths around it.
fn peak(object: &Object<'_>, samples: &Samples) -> [f64; 10] {
    let (frame, flux) = (&object.frame, samples.peak_flux());
    let curve = samples.curve();
    let [(rise_1, fade_1), (rise_half, fade_half), (rise_2, fade_2)] =
        [1.0 / ONE_MAG, 0.5, 1.0 / (ONE_MAG * ONE_MAG)].map(|level| {
            let rise = curve.rise(samples.peak, level * flux) / frame.stretch;
            (rise, curve.fall(samples.peak, level * flux) / frame.stretch)
        });
    let absolute = magnitude(flux) - frame.distance_modulus() + frame.k_correction();
    [
        magnitude(flux),
        absolute,
        rise_1,
        fade_1,
        rise_half,
        fade_half,
        rise_2,
        fade_2,
        rise_1 / (rise_1 + fade_1),
        rise_half + fade_half,
    ]
}

/// Integrals over time.
fn integrals(object: &Object<'_>, samples: &Samples) -> [f64; 3] {
    let frame = &object.frame;
    let step = |time: &[f64]| time[1] - time[0];
    let width = samples.flux.iter().sum::<f64>() * step(&samples.time) / samples.peak_flux();
    let main = object.model.main_bands();
    let areas: Vec<f64> = samples.coarse[..main]
        .iter()
        .map(|flux| {
            let positive: f64 = flux.iter().map(|f| f.max(0.0)).sum();
            positive * step(&samples.coarse_time)
        })
        .collect();
    let total: f64 = areas.iter().sum();
    let blue: f64 = areas[..areas.len() / 2].iter().sum();
    let distance = 0.4 * frame.distance_modulus();
    [
        width / frame.stretch,
        libm::log10(total) + distance - libm::log10(frame.stretch),
        blue / total,
    ]
}

/// How much flux there is how often, and far from the peak.
fn levels(samples: &Samples) -> [f64; 8] {
    let peak = samples.peak_flux();
    let mut positive: Vec<f64> = samples.flux.iter().copied().filter(|f| *f > 0.0).collect();
    positive.sort_by(f64::total_cmp);
    if positive.len() < 4 {
        positive.clear();
    }
    let [p20, p50, p80, p90] = [0.2, 0.5, 0.8, 0.9].map(|q| quantile(&positive, q));
    let mut start = samples.flux[..(samples.flux.len() * 3).div_ceil(20)].to_vec();
    start.sort_by(f64::total_cmp);
    let least = samples.flux.iter().fold(f64::INFINITY, |m, f| f.min(m));
    let far = |time: &f64| (time - samples.peak_time()).abs() > FAR;
    let distant = samples.time.iter().zip(&samples.flux);
    let second = distant
        .filter(|(t, _)| far(t))
        .map(|(_, f)| *f)
        .reduce(f64::max);
    let squares: Vec<f64> = samples
        .coarse
        .iter()
        .flat_map(|flux| samples.coarse_time.iter().zip(flux))
        .filter(|(t, _)| far(t))
        .map(|(_, f)| f / peak * (f / peak))
        .collect();
    [
        p20 / p50,
        p50 / peak,
        p80 / peak,
        p90 / peak,
        quantile(&start, 0.5) / peak,
        least / peak,
        second.unwrap_or(f64::NAN) / peak,
        moments(&squares).mean.sqrt(),
    ]
}

/// How the reference band declines, in observer days.
fn fade(samples: &Samples) -> [f64; 4] {
    let peak = samples.peak_flux();
    let after = || {
        let from = samples.peak;
        let points = samples.time[from..].iter().zip(&samples.flux[from..]);
        points.map(|(t, f)| (t - samples.peak_time(), f / peak))
    };
    let count = after().skip(1).count();
    let correlation = line(after()).correlation;
    let positive = after().skip(1).filter(|(_, y)| *y > 0.0);
    let power = line(positive.map(|(x, y)| (libm::log(x + 10.0), libm::log(y)))).slope;
    let first = after().nth(1).map_or(f64::NAN, |(x, _)| x);
    let decline = |x: f64| libm::pow(x, -5.0 / 3.0);
    let misfits: Vec<f64> = after()
        .skip(1)
        .map(|(x, y)| y - decline((x + 10.0) / (first + 10.0)))
        .map(|d| d * d)
        .collect();
    let half = samples.curve().fall(samples.peak, 0.5 * peak);
    let scaled: Vec<f64> = after()
        .skip(1)
        .filter(|(x, _)| *x < 3.0 * half)
        .map(|(x, y)| y - decline(1.0 + HALF_TDE * x / half))
        .map(|d| d * d)
        .collect();
    let enough = |n: usize, value: f64| if count >= n { value } else { f64::NAN };
    [
        enough(4, correlation),
        enough(2, power),
        enough(5, libm::log10(moments(&misfits).mean + 1e-9)),
        moments(&scaled).mean.sqrt(),
    ]
}

/// The least flux that a color is taken of, over the peak.
const LEAST: f64 = 1e-3;

/// Pushes the colors around the peak, pair by pair.
fn colors(object: &Object<'_>, fit: &Fit, samples: &Samples, row: &mut Row<'_>) {
    let (peak, curve) = (samples.peak_flux(), samples.curve());
    let level = peak / ONE_MAG;
    let or = |width: f64, otherwise: f64| if width.is_nan() { otherwise } else { width };
    let time = samples.peak_time();
    let end = samples.time[samples.time.len() - 1];
    let fade = or(curve.fall(samples.peak, level), end - time);
    let rise = or(curve.rise(samples.peak, level), time - samples.time[0]);
    let wavelengths = object.wavelengths();
    let magnitudes = |from: f64, to: f64| -> Vec<Vec<f64>> {
        let fluxes = sample(fit, &even(from, to, 5), &wavelengths);
        // Without a positive peak, this is NaN.
        let each = |f: f64| {
            if peak > 0.0 {
                magnitude(f.max(LEAST * peak))
            } else {
                f64::NAN
            }
        };
        let of_band = |band: Vec<f64>| band.into_iter().map(each).collect();
        fluxes.into_iter().map(of_band).collect()
    };
    let after = magnitudes(time, time + fade);
    let before = magnitudes(time - rise, time);
    for (after, before) in after.windows(2).zip(before.windows(2)) {
        let color = |pair: &[Vec<f64>]| -> Vec<f64> {
            pair[0].iter().zip(&pair[1]).map(|(a, b)| a - b).collect()
        };
        let (after, before) = (color(after), color(before));
        let fading = moments(&after);
        row.extend([
            after[0],
            fading.mean,
            fading.deviation,
            after[4] - after[0],
            after[2] - after[0],
            moments(&before).mean,
            before[4] - before[0],
        ]);
    }
}
