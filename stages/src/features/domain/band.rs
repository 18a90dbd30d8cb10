//! The features of one band.

use super::fit::{FALLBACK, Series, power_law, slope};
use super::{DomainOptions, PER_BAND};

/// The signal to noise of the points that delimit `duration`.
const DETECTION: f64 = 5.0;
/// Magnitudes per unit of natural logarithm: `2.5 / ln 10`.
pub(super) const MAG_PER_LN: f64 = 1.085_736_204_758_129_6;

/// The band features in the order of the catalogue; `series` has phases for times.
pub(super) fn features(series: &Series, options: &DomainOptions) -> [f64; PER_BAND] {
    let moments = Moments::of(&series.flux);
    let peak = series.peak();
    let event = peak.filter(|&i| series.snr(i) >= options.min_snr);
    let [decay_rate, decay_chi2, alpha_deviation, monotonic] =
        event.map_or([f64::NAN; 4], |i| Tail::of(series, i, options).features());
    let n = series.len();
    let mean_over_points = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
    [
        peak.map_or(f64::NAN, |i| series.flux[i]),
        event.map_or(f64::NAN, |i| series.time[i]),
        moments.mean,
        moments.std,
        median(&series.flux),
        moments.skewness,
        moments.kurtosis,
        event.map_or(f64::NAN, |i| rise_time(series, i, options.max_gap)),
        decay_rate,
        peak.map_or(f64::NAN, |i| series.flux[i] / outside_rms(series, options)),
        duration(series),
        mean_over_points(&|i| f64::from(series.snr(i) > 3.0)),
        mean_over_points(&|i| series.snr(i)),
        (0..n).map(|i| series.snr(i)).fold(f64::NAN, f64::max),
        decay_chi2,
        alpha_deviation,
        inflections(series),
        event.map_or(f64::NAN, |i| {
            max_acceleration(series, series.flux[i], options.max_gap)
        }),
        monotonic,
        roughness(&series.flux, &moments),
    ]
}

struct Moments {
    mean: f64,
    std: f64,
    skewness: f64,
    kurtosis: f64,
}

impl Moments {
    fn of(flux: &[f64]) -> Moments {
        let n = flux.len() as f64;
        let mean = flux.iter().sum::<f64>() / n;
        let [mut m2, mut m3, mut m4] = [0.0; 3];
        for f in flux {
            let d = f - mean;
            m2 += d * d / n;
            m3 += d * d * d / n;
            m4 += d * d * d * d / n;
        }
        let when = |enough: bool, value: f64| if enough { value } else { f64::NAN };
        // Equal values can leave a rounding error for a variance.
        let differ = m2 > 1e-24 * mean * mean;
        Moments {
            mean,
            std: when(n >= 2.0, (m2 * n / (n - 1.0)).sqrt()),
            skewness: when(n >= 3.0 && differ, m3 / (m2 * m2.sqrt())),
            kurtosis: when(n >= 4.0 && differ, m4 / (m2 * m2) - 3.0),
        }
    }
}

/// The median; NaN if there are no values.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

fn rise_time(series: &Series, peak: usize, max_gap: f64) -> f64 {
    let half = 0.5 * series.flux[peak];
    for i in (0..peak).rev() {
        let gap = series.time[i + 1] - series.time[i];
        if gap > max_gap {
            return f64::NAN;
        }
        if series.flux[i] < half {
            let u = (half - series.flux[i]) / (series.flux[i + 1] - series.flux[i]);
            return series.time[peak] - (series.time[i] + u * gap);
        }
    }
    f64::NAN
}

/// Root mean square flux outside the event; NaN with fewer than three points there.
fn outside_rms(series: &Series, options: &DomainOptions) -> f64 {
    let (mut n, mut sum) = (0, 0.0);
    for (&t, &f) in series.time.iter().zip(&series.flux) {
        if t < -options.event_before || t > options.event_after {
            n += 1;
            sum += f * f;
        }
    }
    if n >= 3 && sum > 0.0 {
        (sum / f64::from(n)).sqrt()
    } else {
        f64::NAN
    }
}

fn duration(series: &Series) -> f64 {
    let detected = |&i: &usize| series.snr(i) > DETECTION;
    let first = (0..series.len()).find(detected);
    let last = (0..series.len()).rev().find(detected);
    match (first, last) {
        (Some(a), Some(b)) if a < b => series.time[b] - series.time[a],
        _ => f64::NAN,
    }
}

/// Second derivative at the middle of three neighbouring points (twice the second divided difference),
/// and its error.
fn second_derivative(series: &Series, middle: usize) -> (f64, f64) {
    let [t0, t1, t2] = [-1, 0, 1].map(|k: isize| series.time[middle.wrapping_add_signed(k)]);
    let weights = [
        2.0 / ((t1 - t0) * (t2 - t0)),
        -2.0 / ((t1 - t0) * (t2 - t1)),
        2.0 / ((t2 - t1) * (t2 - t0)),
    ];
    let (mut value, mut variance) = (0.0, 0.0);
    for (w, i) in weights.into_iter().zip(middle - 1..) {
        value += w * series.flux[i];
        variance += (w * series.err[i]) * (w * series.err[i]);
    }
    (value, variance.sqrt())
}

fn inflections(series: &Series) -> f64 {
    // Without a reference time the phases are NaN, and a count of 0 would be wrong.
    if series.len() < 4 || series.time[0].is_nan() {
        return f64::NAN;
    }
    let (mut changes, mut last) = (0.0, 0.0);
    for i in 1..series.len() - 1 {
        let (value, error) = second_derivative(series, i);
        if value.abs() > error {
            if last * value.signum() < 0.0 {
                changes += 1.0;
            }
            last = value.signum();
        }
    }
    changes
}

fn max_acceleration(series: &Series, peak_flux: f64, max_gap: f64) -> f64 {
    (1..series.len().saturating_sub(1))
        .filter(|&i| {
            series.time[i] - series.time[i - 1] <= max_gap
                && series.time[i + 1] - series.time[i] <= max_gap
        })
        .map(|i| second_derivative(series, i).0.abs() / peak_flux)
        .fold(f64::NAN, f64::max)
}

/// Von Neumann's ratio of the mean squared successive difference to the variance.
fn roughness(flux: &[f64], moments: &Moments) -> f64 {
    // Defined exactly where the skewness is: three points that differ.
    if moments.skewness.is_nan() {
        return f64::NAN;
    }
    let sum: f64 = flux.windows(2).map(|w| (w[1] - w[0]) * (w[1] - w[0])).sum();
    sum / (flux.len() - 1) as f64 / (moments.std * moments.std)
}

/// The points from the peak on.
struct Tail<'a> {
    /// Days since the peak; the first is 0.
    x: Vec<f64>,
    flux: &'a [f64],
    err: &'a [f64],
    min_snr: f64,
}

impl Tail<'_> {
    fn of<'a>(series: &'a Series, peak: usize, options: &DomainOptions) -> Tail<'a> {
        let start = series.time[peak];
        let range = peak..series
            .within(start, start + options.decay_days)
            .end
            .max(peak + 1);
        Tail {
            x: series.time[range.clone()]
                .iter()
                .map(|t| t - start)
                .collect(),
            flux: &series.flux[range.clone()],
            err: &series.err[range],
            min_snr: options.min_snr,
        }
    }

    fn features(&self) -> [f64; 4] {
        [
            self.rate(),
            self.fallback_chi2(),
            self.alpha_deviation(),
            self.monotonic(),
        ]
    }

    fn rate(&self) -> f64 {
        let points: Vec<(f64, f64, f64)> = (self.x.iter().zip(self.flux).zip(self.err))
            .filter(|((_, f), e)| **f >= self.min_snr * **e)
            .map(|((&x, &f), &e)| (x, -MAG_PER_LN * libm::log(f), (f / e) * (f / e)))
            .collect();
        if points.len() < 3 {
            f64::NAN
        } else {
            slope(&points)
        }
    }

    fn fallback_chi2(&self) -> f64 {
        if self.x.len() < 3 {
            return f64::NAN;
        }
        let fit = power_law(&self.x, self.flux, self.err, Some(FALLBACK));
        fit.chi2 / (self.x.len() - 2) as f64
    }

    fn alpha_deviation(&self) -> f64 {
        if self.x.len() < 3 {
            return f64::NAN;
        }
        power_law(&self.x, self.flux, self.err, None).alpha - FALLBACK
    }

    fn monotonic(&self) -> f64 {
        if self.x.len() < 3 {
            return f64::NAN;
        }
        let (mut fall, mut all) = (0.0, 0.0);
        for w in self.flux.windows(2) {
            fall += (w[0] - w[1]).max(0.0);
            all += (w[0] - w[1]).abs();
        }
        fall / all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(time: &[f64], flux: &[f64], err: f64) -> Series {
        Series {
            time: time.to_vec(),
            flux: flux.to_vec(),
            err: vec![err; time.len()],
        }
    }

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn moments_of_a_known_sample() {
        // Mean 2.5, deviations -1.5 -.5 -.5 2.5: m2 = 2.25, m3 = 3, m4 = 11.0625.
        let m = Moments::of(&[1.0, 2.0, 2.0, 5.0]);
        close(m.mean, 2.5, 1e-15);
        close(m.std, 3f64.sqrt(), 1e-15);
        close(m.skewness, 3.0 / 3.375, 1e-15);
        close(m.kurtosis, 11.0625 / 5.0625 - 3.0, 1e-15);
        assert_eq!(median(&[5.0, 1.0, 2.0, 2.5]), 2.25);
    }

    #[test]
    fn pure_fallback_has_no_deviation_and_no_chi2() {
        let time: Vec<f64> = (0..12).map(|k| 10.0 * f64::from(k)).collect();
        for t0 in [15.0, 30.0, 80.0] {
            let law = |t: &f64| 50.0 * libm::pow(1.0 + t / t0, -FALLBACK);
            let flux: Vec<f64> = time.iter().map(law).collect();
            let f = features(&series(&time, &flux, 1e-3), &DomainOptions::default());
            close(f[14], 0.0, 1e-3);
            close(f[15], 0.0, 1e-3);
            assert_eq!(f[18], 1.0, "a decline only declines");
        }
    }

    #[test]
    fn other_exponents_are_found() {
        let time: Vec<f64> = (0..14).map(|k| 10.0 * f64::from(k)).collect();
        for alpha in [0.6, 1.0, 2.5] {
            let law = |t: &f64| 50.0 * libm::pow(1.0 + t / 25.0, -alpha);
            let flux: Vec<f64> = time.iter().map(law).collect();
            let f = features(&series(&time, &flux, 1e-3), &DomainOptions::default());
            close(f[15], alpha - FALLBACK, 2e-3);
            assert!(
                f[14] > 100.0,
                "5/3 does not fit exponent {alpha}: {}",
                f[14]
            );
        }
    }

    #[test]
    fn exponential_decline_has_its_rate() {
        // One magnitude in 25 days.
        let time = [0.0, 10.0, 30.0, 45.0];
        let flux = time.map(|t| 100.0 * libm::exp(-t / 25.0 / MAG_PER_LN));
        let f = features(&series(&time, &flux, 0.1), &DomainOptions::default());
        close(f[8], 0.04, 1e-12);
    }

    #[test]
    fn rise_is_read_between_points_and_not_across_gaps() {
        let options = DomainOptions::default();
        // Half of 8 is crossed halfway between days -20 (2) and -10 (6).
        let s = series(&[-20.0, -10.0, 0.0], &[2.0, 6.0, 8.0], 0.1);
        close(features(&s, &options)[7], 15.0, 1e-12);
        let gap = series(&[-90.0, -10.0, 0.0], &[2.0, 6.0, 8.0], 0.1);
        assert!(features(&gap, &options)[7].is_nan());
        let never = series(&[-10.0, 0.0], &[6.0, 8.0], 0.1);
        assert!(features(&never, &options)[7].is_nan());
    }

    #[test]
    fn outside_the_event_gives_the_contrast() {
        let s = series(
            &[-400.0, -300.0, -200.0, 0.0, 10.0],
            &[3.0, -3.0, 3.0, 30.0, 6.0],
            1.0,
        );
        let f = features(&s, &DomainOptions::default());
        close(f[9], 10.0, 1e-12);
        close(f[10], 10.0, 1e-12);
        close(f[11], 0.4, 1e-15);
        assert_eq!(f[13], 30.0);
    }

    #[test]
    fn curvature_of_a_parabola_and_of_a_wave() {
        // f = 100 - t^2: second derivative -2 everywhere, no sign change.
        let time = [-4.0, -1.0, 0.0, 2.0, 5.0];
        let f = features(
            &series(&time, &time.map(|t| 100.0 - t * t), 1e-6),
            &DomainOptions::default(),
        );
        close(f[17], 0.02, 1e-12);
        assert_eq!(f[16], 0.0);
        let wave = series(&[0.0, 1.0, 2.0, 3.0, 4.0], &[0.0, 9.0, 0.0, 9.0, 0.0], 0.1);
        let f = features(&wave, &DomainOptions::default());
        assert_eq!(f[16], 2.0);
        // Successive differences squared 81; variance of 0 9 0 9 0 is 24.3.
        close(f[19], 81.0 / 24.3, 1e-12);
    }

    #[test]
    fn constant_and_short_series_have_no_shape() {
        let constant = features(
            &series(&[0.0, 30.0, 60.0, 90.0], &[5.0; 4], 1.0),
            &DomainOptions::default(),
        );
        assert_eq!(constant[..5], [5.0, 0.0, 5.0, 0.0, 5.0]);
        for k in [5, 6, 7, 18, 19] {
            assert!(constant[k].is_nan(), "feature {k}: {}", constant[k]);
        }
        let two = features(
            &series(&[0.0, 10.0], &[9.0, 6.0], 1.0),
            &DomainOptions::default(),
        );
        close(two[3], 4.5f64.sqrt(), 1e-15);
        assert_eq!((two[10], two[12]), (10.0, 7.5));
        for k in [5, 6, 7, 8, 9, 14, 15, 16, 17, 18, 19] {
            assert!(two[k].is_nan(), "feature {k}: {}", two[k]);
        }
        let none = features(&series(&[], &[], 1.0), &DomainOptions::default());
        assert!(none.iter().all(|v| v.is_nan()));
    }
}
