//! What a fitted model leaves of the light curve, and what the whole survey shows without any model.

use super::columns::{OF_SIDE, OF_SURVEY, PHASES, SIDES, STAGES, WAVELENGTHS};
use super::frame::Observed;

/// The error of the model, as a share of the amplitude, that pulls mean residuals of few points to 0.
const MODEL_ERROR: f64 = 0.1;
/// The fewest points outside the event of which anything is said.
const FEWEST_OUTSIDE: usize = 5;
/// The days that part two runs of points with a signal.
const APART: f64 = 60.0;

/// One point of the window against the fitted model. Fluxes are in microjansky.
#[derive(Clone, Copy)]
pub(super) struct Residual {
    /// Days at rest since the peak.
    pub y: f64,
    /// Wavelength at rest in angstrom.
    pub wavelength: f64,
    /// Flux less that of the model.
    pub rest: f64,
    /// Inverse variance, with the floor of the error in it.
    pub weight: f64,
}

/// Writes the mean residuals by wavelength and by phase, for a model of this amplitude.
pub(super) fn blocks(residuals: &[Residual], amplitude: f64, out: &mut [f64]) {
    let stages: [fn(f64) -> bool; STAGES.len()] =
        [|y| y.abs() < 20.0, |y| (20.0..80.0).contains(&y)];
    let mut out = out.iter_mut();
    let mut least = f64::NEG_INFINITY;
    for (_, end) in WAVELENGTHS {
        for stage in stages {
            let bin = residuals
                .iter()
                .filter(|r| (least..end).contains(&r.wavelength) && stage(r.y));
            if let (Some(out), Some((mean, _))) = (out.next(), mean(bin, amplitude)) {
                *out = mean;
            }
        }
        least = end;
    }
    let mut least = f64::NEG_INFINITY;
    for (_, end) in PHASES {
        let bin = residuals.iter().filter(|r| (least..end).contains(&r.y));
        let found = mean(bin, amplitude);
        for value in [found.map(|f| f.0), found.map(|f| f.1)] {
            if let (Some(out), Some(value)) = (out.next(), value) {
                *out = value;
            }
        }
        least = end;
    }
}

/// The number of values of [`blocks`].
pub(super) const BLOCKS: usize = WAVELENGTHS.len() * STAGES.len() + 2 * PHASES.len();

/// The mean residual over the amplitude, and the mean squared residual over error; `None` without points.
fn mean<'a>(bin: impl Iterator<Item = &'a Residual>, amplitude: f64) -> Option<(f64, f64)> {
    let (mut n, mut weights, mut sum, mut squares) = (0, 0.0, 0.0, 0.0);
    for r in bin {
        n += 1;
        weights += r.weight;
        sum += r.weight * r.rest;
        squares += r.weight * r.rest * r.rest;
    }
    let error = MODEL_ERROR * amplitude;
    let mean = sum / (weights + 1.0 / (error * error)) / amplitude;
    (n > 0).then(|| (mean, squares / f64::from(n)))
}

/// The number of values of [`outside`].
pub(super) const OUTSIDE: usize = SIDES.len() * OF_SIDE.len();

/// Writes what the points before `from` and after `to`, in days at rest since the reference time, show, for a
/// model of this amplitude.
pub(super) fn outside(seen: &Observed, (from, to): (f64, f64), amplitude: f64, out: &mut [f64]) {
    let sides: [&dyn Fn(f64) -> bool; SIDES.len()] = [&|x| x < from, &|x| x > to];
    for (side, out) in sides.iter().zip(out.chunks_exact_mut(OF_SIDE.len())) {
        let points = seen.x.iter().zip(&seen.nights.flux).zip(&seen.nights.err);
        let points: Vec<(f64, f64)> = points
            .filter(|((x, _), _)| side(**x))
            .map(|((_, &f), &e)| (f, e))
            .collect();
        if points.len() < FEWEST_OUTSIDE {
            continue;
        }
        let (mut w1, mut w2, mut wf, mut wff, mut chi2) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let (mut most, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
        for (f, e) in &points {
            let (w, v) = (1.0 / (e * e), f / e);
            w1 += w;
            w2 += w * w;
            wf += w * f;
            wff += w * w * f * f;
            chi2 += v * v;
            most = v.max(most);
            least = v.min(least);
        }
        let mean = wf / w1;
        let excess = (wff - w1) / w2;
        out.copy_from_slice(&[
            mean / amplitude,
            mean * w1.sqrt(),
            chi2 / points.len() as f64,
            most,
            least,
            excess.abs().sqrt().copysign(excess) / amplitude,
        ]);
    }
}

/// What the points show without any model, in the order of the catalogue. `signal` is the mean
/// (flux / error)^2 of the window with the floor of the error, if there is a window.
pub(super) fn survey(seen: &Observed, signal: Option<f64>) -> [f64; OF_SURVEY.len()] {
    let nights = seen.nights;
    let snr: Vec<f64> = nights
        .flux
        .iter()
        .zip(&nights.err)
        .map(|(f, e)| f / e)
        .collect();
    let inside: f64 = seen.inside.iter().map(|&i| snr[i] * snr[i]).sum();
    let bright = nights
        .time
        .iter()
        .zip(&snr)
        .filter(|(_, snr)| snr.abs() > 4.0);
    let (mut runs, mut last) = (0.0, f64::NEG_INFINITY);
    for (&time, _) in bright {
        runs += if time - last > APART { 1.0 } else { 0.0 };
        last = time;
    }
    let n = nights.len() as f64;
    let negative = snr.iter().filter(|snr| **snr < -3.0).count() as f64;
    let square: f64 = snr.iter().map(|snr| snr * snr).sum();
    let ln = |mean: f64| libm::log(mean.max(1e-3));
    [
        runs,
        negative / n,
        inside / square,
        signal.map_or(f64::NAN, ln),
        ln(square / n),
    ]
}
