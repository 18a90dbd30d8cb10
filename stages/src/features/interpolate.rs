//! Irregular light curves, interpolated on a regular grid of times.

/// The value of a grid time before a band's first or after its last observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The value of the nearest observation.
    Hold,
    /// Zero, after normalisation.
    Zero,
    /// Not a number.
    Nan,
}

/// How the values of an object are scaled. The statistics are taken over the observations of all its
/// bands, so that colours survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// Values are not scaled.
    None,
    /// Values are divided by the largest magnitude. Values that are all zero stay.
    MaxAbs,
    /// The mean is subtracted, and the result divided by the standard deviation (over n, not n - 1).
    /// Values that are all equal become zero.
    ZScore,
}

/// Interpolates the bands of one object linearly at `n` equally spaced times.
///
/// Each band is a pair of times and values, of equal length and in any order. The grid is common to
/// all bands and spans the first to the last observation of the object; with `n` = 1 it is the first.
/// Observations whose time or value is not finite are ignored, and values at the same time of a band
/// are averaged. A band observed at fewer than two different times is all zeros: nothing can be
/// interpolated, whatever `outside` says.
///
/// Returns `bands.len()` rows of `n` values, row-major.
pub fn grid(
    bands: &[(&[f64], &[f64])],
    n: usize,
    outside: Outside,
    normalise: Normalise,
) -> Vec<f32> {
    let observed: Vec<Vec<(f64, f64)>> = bands.iter().map(|(t, f)| finite(t, f)).collect();
    let values: Vec<f64> = observed.iter().flatten().map(|&(_, f)| f).collect();
    let (shift, scale) = scaling(&values, normalise);
    let curves: Vec<Vec<(f64, f64)>> = observed.into_iter().map(average_by_time).collect();
    let times = || curves.iter().flatten().map(|&(t, _)| t);
    let start = times().fold(f64::INFINITY, f64::min);
    let end = times().fold(f64::NEG_INFINITY, f64::max);

    let mut out = vec![0.0; bands.len() * n];
    for (row, curve) in out.chunks_mut(n.max(1)).zip(&curves) {
        if curve.len() < 2 {
            continue;
        }
        let mut walk = Walk::new(curve);
        for (i, value) in row.iter_mut().enumerate() {
            let time = match i {
                0 => start,
                _ if i == n - 1 => end,
                _ => start + (end - start) * (i as f64 / (n - 1) as f64),
            };
            *value = match walk.at(time, outside) {
                Some(flux) => ((flux - shift) * scale) as f32,
                None if outside == Outside::Nan => f32::NAN,
                None => 0.0,
            };
        }
    }
    out
}

/// The observations with finite time and value, in the order given.
fn finite(times: &[f64], values: &[f64]) -> Vec<(f64, f64)> {
    let pairs = times.iter().copied().zip(values.iter().copied());
    pairs
        .filter(|(t, f)| t.is_finite() && f.is_finite())
        .collect()
}

/// The observations in the order of time. Those at equal times are replaced by their mean.
pub(super) fn average_by_time(mut observations: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    observations.sort_by(|a, b| a.0.total_cmp(&b.0));
    let same_time = observations.chunk_by(|a, b| a.0 == b.0);
    same_time
        .map(|group| {
            let sum: f64 = group.iter().map(|&(_, f)| f).sum();
            (group[0].0, sum / group.len() as f64)
        })
        .collect()
}

/// The number to subtract from a value and the number to multiply the difference by, from the values of all bands.
pub(crate) fn scaling(values: &[f64], normalise: Normalise) -> (f64, f64) {
    let values = || values.iter().copied();
    let (shift, size) = match normalise {
        Normalise::None => return (0.0, 1.0),
        Normalise::MaxAbs => (0.0, values().fold(0.0, |m: f64, f| m.max(f.abs()))),
        Normalise::ZScore => {
            let n = values().count().max(1) as f64;
            let mean = values().sum::<f64>() / n;
            let variance = values().map(|f| (f - mean) * (f - mean)).sum::<f64>() / n;
            // Equal values can differ from their own rounded mean.
            let lowest = values().fold(f64::INFINITY, f64::min);
            let highest = values().fold(f64::NEG_INFINITY, f64::max);
            (
                mean,
                if lowest < highest {
                    variance.sqrt()
                } else {
                    0.0
                },
            )
        }
    };
    let scale = if size > 0.0 { 1.0 / size } else { 0.0 };
    (shift, scale)
}

/// A curve that is read at ascending times.
pub(super) struct Walk<'a> {
    /// Observations in the order of time, all at different times.
    curve: &'a [(f64, f64)],
    /// The first observation later than the last time that was asked for.
    next: usize,
}

impl<'a> Walk<'a> {
    /// Returns the walk along observations in the order of time, all at different times.
    pub(super) fn new(curve: &'a [(f64, f64)]) -> Self {
        Walk { curve, next: 0 }
    }

    /// The value at `time`; `None` outside the observed times unless values are to be held.
    pub(super) fn at(&mut self, time: f64, outside: Outside) -> Option<f64> {
        while self.next < self.curve.len() && self.curve[self.next].0 <= time {
            self.next += 1;
        }
        let held = |value: f64| (outside == Outside::Hold).then_some(value);
        match (
            self.next.checked_sub(1).map(|i| self.curve[i]),
            self.curve.get(self.next),
        ) {
            (Some((t0, f0)), Some(&(t1, f1))) => Some(f0 + (f1 - f0) * ((time - t0) / (t1 - t0))),
            (Some((t0, f0)), None) if t0 == time => Some(f0),
            (Some((_, f0)), None) => held(f0),
            (None, Some(&(_, f1))) => held(f1),
            (None, None) => None,
        }
    }

    /// The time between the observations around `time`, for which a value was just asked; 0 at an observation.
    pub(super) fn gap(&self, time: f64) -> f64 {
        let before = self.next.checked_sub(1).map(|i| self.curve[i].0);
        match (before, self.curve.get(self.next)) {
            (Some(before), Some(after)) if before < time => after.0 - before,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAMP: (&[f64], &[f64]) = (&[0.0, 1.0, 4.0], &[0.0, 2.0, -4.0]);
    const LATE: (&[f64], &[f64]) = (&[2.0, 3.0], &[1.0, 3.0]);

    #[test]
    fn interpolates_between_observations() {
        let found = grid(&[RAMP], 5, Outside::Hold, Normalise::None);
        assert_eq!(found, [0.0, 2.0, 0.0, -2.0, -4.0]);
    }

    #[test]
    fn the_grid_spans_all_bands_and_the_outside_is_as_asked() {
        let late = |outside| grid(&[RAMP, LATE], 5, outside, Normalise::None)[5..].to_vec();
        assert_eq!(late(Outside::Hold), [1.0, 1.0, 1.0, 3.0, 3.0]);
        assert_eq!(late(Outside::Zero), [0.0, 0.0, 1.0, 3.0, 0.0]);
        let nan: Vec<bool> = late(Outside::Nan).iter().map(|v| v.is_nan()).collect();
        assert_eq!(nan, [true, true, false, false, true]);
    }

    #[test]
    fn order_and_repeats_do_not_matter_and_bad_values_are_ignored() {
        let times = [4.0, 1.0, 0.0, 1.0, f64::NAN, 2.0];
        let values = [-4.0, 1.0, 0.0, 3.0, 9.0, f64::INFINITY];
        let found = grid(&[(&times, &values)], 5, Outside::Hold, Normalise::None);
        assert_eq!(found, grid(&[RAMP], 5, Outside::Hold, Normalise::None));
    }

    #[test]
    fn bands_without_two_times_are_zero() {
        let once: (&[f64], &[f64]) = (&[3.0, 3.0], &[5.0, 7.0]);
        let none: (&[f64], &[f64]) = (&[], &[]);
        let found = grid(&[once, none, RAMP], 5, Outside::Nan, Normalise::ZScore);
        assert_eq!(found[..10], [0.0; 10]);
        assert_eq!(
            grid(&[once, none], 3, Outside::Hold, Normalise::None),
            [0.0; 6]
        );
        assert_eq!(grid(&[none], 2, Outside::Nan, Normalise::MaxAbs), [0.0; 2]);
        assert!(grid(&[], 5, Outside::Hold, Normalise::None).is_empty());
        assert!(grid(&[RAMP], 0, Outside::Hold, Normalise::None).is_empty());
        assert_eq!(grid(&[RAMP], 1, Outside::Hold, Normalise::None), [0.0]);
    }

    #[test]
    fn scales_by_the_largest_magnitude_of_all_bands() {
        let found = grid(&[RAMP, LATE], 5, Outside::Hold, Normalise::MaxAbs);
        assert_eq!(found[..5], [0.0, 0.5, 0.0, -0.5, -1.0]);
        assert_eq!(found[5..], [0.25, 0.25, 0.25, 0.75, 0.75]);
    }

    #[test]
    fn scales_to_unit_moments_over_all_bands() {
        // Values 0, 2, -4, 1, 3: mean 0.4, variance 5.84.
        let found = grid(&[RAMP, LATE], 5, Outside::Hold, Normalise::ZScore);
        let expected = (3.0 - 0.4) / 5.84f64.sqrt();
        assert!((f64::from(found[8]) - expected).abs() < 1e-7);
        let flat: (&[f64], &[f64]) = (&[0.0, 1.0, 2.0], &[0.1, 0.1, 0.1]);
        assert_eq!(grid(&[flat], 3, Outside::Hold, Normalise::ZScore), [0.0; 3]);
        let dark: (&[f64], &[f64]) = (&[0.0, 1.0], &[0.0, 0.0]);
        assert_eq!(grid(&[dark], 3, Outside::Hold, Normalise::MaxAbs), [0.0; 3]);
    }
}
