//! The changes, one function each. `Changes` says what they do.

use super::CurvePoints;
use crate::numeric::rng::Stream;
use crate::physics::cosmology::FlatLambdaCdm;

/// The stretches of time that each have a pace of their own.
const STRETCHES: usize = 4;
/// Redshifts below this are those of the Milky Way or of noise, and stand for no distance.
const NEAREST: f64 = 0.001;

/// Moves an object to another redshift, at most by the factor `exp(amount)`. Returns the redshift.
pub(super) fn redshift(
    points: &mut CurvePoints,
    redshift: Option<f64>,
    amount: f64,
    rng: &mut Stream,
) -> Option<f64> {
    let Some(z) = redshift.filter(|z| z.is_finite() && *z >= NEAREST) else {
        return redshift;
    };
    let new = z * libm::exp(rng.uniform_in(-amount, amount));
    let stretch = (1.0 + new) / (1.0 + z);
    let distance = |z| FlatLambdaCdm::STANDARD.luminosity_distance(z);
    let nearer = distance(z) / distance(new);
    let factor = stretch * nearer * nearer;
    let usable = |value: f64| value.is_finite() && value > 0.0;
    if !usable(factor) || !usable(stretch) {
        return redshift;
    }
    if let Some(center) = brightest(points) {
        moved(&mut points.time, |t| center + (t - center) * stretch);
    }
    // What is missing from the noise of a fainter source.
    let missing = (1.0 - factor * factor).max(0.0).sqrt();
    for (flux, error) in points.flux.iter_mut().zip(&mut points.flux_err) {
        let noise = missing * *error * rng.normal();
        let changed = *flux * factor + noise;
        let wider = *error * factor.max(1.0);
        if changed.is_finite() && usable(wider) {
            (*flux, *error) = (changed, wider);
        }
    }
    Some(new)
}

/// The time of the point with the largest flux; of several, the first.
fn brightest(points: &CurvePoints) -> Option<f64> {
    let mut best: Option<(f64, f64)> = None;
    for (&time, &flux) in points.time.iter().zip(&points.flux) {
        if best.is_none_or(|(_, most)| flux > most) {
            best = Some((time, flux));
        }
    }
    best.map(|(time, _)| time)
}

/// Moves all times by a function that never falls, unless one of them would be no number. Rounding cannot change
/// their order.
fn moved(times: &mut [f64], to: impl Fn(f64) -> f64) {
    let new: Vec<f64> = times.iter().map(|&t| to(t)).collect();
    if new.iter().any(|t| !t.is_finite()) {
        return;
    }
    let mut last = f64::NEG_INFINITY;
    for (time, new) in times.iter_mut().zip(new) {
        last = last.max(new);
        *time = last;
    }
}

/// Changes the pace in each stretch of time. The first and the last time stay.
pub(super) fn warp(times: &mut [f64], amount: f64, rng: &mut Stream) {
    let mut paces = [0.0; STRETCHES];
    paces.fill_with(|| libm::exp(amount * rng.normal()));
    let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
        return;
    };
    let span = last - first;
    if !span.is_finite() || span <= 0.0 {
        return;
    }
    let total: f64 = paces.iter().sum();
    moved(times, |t| {
        let at = (t - first) / span * STRETCHES as f64;
        let whole = (at as usize).min(STRETCHES - 1);
        let before: f64 = paces[..whole].iter().sum();
        let share = (before + (at - whole as f64) * paces[whole]) / total;
        (first + share * span).clamp(first, last)
    });
}

/// Leaves out the points of a first share of the time.
pub(super) fn start(points: &mut CurvePoints, amount: f64, rng: &mut Stream) {
    let share = amount * rng.uniform();
    let (Some(&first), Some(&last)) = (points.time.first(), points.time.last()) else {
        return;
    };
    let from = (first + share * (last - first)).min(last);
    let keep: Vec<bool> = points.time.iter().map(|t| *t >= from).collect();
    if keep.contains(&true) {
        points.retain(&keep);
    }
}

/// Leaves out points at random, but never all of them.
pub(super) fn thin(points: &mut CurvePoints, amount: f64, rng: &mut Stream) {
    let share = amount * rng.uniform();
    let draws = points.time.iter().map(|_| rng.uniform() >= share);
    let keep: Vec<bool> = draws.collect();
    if keep.contains(&true) {
        points.retain(&keep);
    }
}

/// Adds noise, in units of the errors, and widens the errors by it.
pub(super) fn noise(points: &mut CurvePoints, amount: f64, rng: &mut Stream) {
    let wider = (1.0 + amount * amount).sqrt();
    for (flux, error) in points.flux.iter_mut().zip(&mut points.flux_err) {
        let changed = *flux + amount * *error * rng.normal();
        let widened = *error * wider;
        if changed.is_finite() && widened.is_finite() {
            (*flux, *error) = (changed, widened);
        }
    }
}
