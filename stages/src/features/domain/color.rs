//! Features between bands: colours, peak-time differences, totals and colour evolution.

use super::DomainOptions;
use super::band::MAG_PER_LN;
use super::catalogue::{evolving, pairs};
use super::fit::{Series, slope};
use crate::physics::cosmology::FlatLambdaCdm;

/// The phases over which the plain colours are taken.
const EVENT_COLOR: (f64, f64) = (-20.0, 100.0);
/// The phases near the peak and long after it, for `total_flux_late_ratio`.
const NEAR: (f64, f64) = (-10.0, 40.0);
const LATE: (f64, f64) = (80.0, 300.0);
/// The last phase of the colour slope.
const RATE_UNTIL: f64 = 100.0;
/// Half the width in days of the window for a colour at a phase. A lone point this near counts as
/// simultaneous.
const AT_PHASE: f64 = 20.0;
const SIMULTANEOUS: f64 = 5.0;
/// AB magnitude of one microjansky (Oke & Gunn 1983).
const AB_MICROJANSKY: f64 = 23.9;

/// Computes the cross-band features in the order of the catalogue; `series` has phases as times.
pub(super) fn features(
    series: &[Series],
    redshift: Option<f64>,
    options: &DomainOptions,
) -> Vec<f64> {
    let mut out = Vec::new();
    for i in pairs(series.len()) {
        let (a, b) = (&series[i], &series[i + 1]);
        let found = matches(a, b, EVENT_COLOR, options);
        out.push(mean_color(&found, |_| 1.0, options.min_snr));
        out.push(peak_phase(a, options) - peak_phase(b, options));
    }
    let total = total_peak(series, options);
    out.push(total);
    out.push(absolute_magnitude(total, redshift));
    out.push(late_ratio(series, options));
    out.push(outside_chi2(series, options));
    for i in evolving(series.len()) {
        let (a, b) = (&series[i], &series[i + 1]);
        for phase in [0.0, 30.0] {
            let window = (phase - AT_PHASE, phase + AT_PHASE);
            // The kernel is triangular, so that points that lie on one side only pull the colour less.
            let kernel = |t: f64| 1.0 - (t - phase).abs() / AT_PHASE;
            let found = matches(a, b, window, options);
            out.push(mean_color(&found, kernel, options.min_snr));
        }
        let found = matches(a, b, (-SIMULTANEOUS, RATE_UNTIL), options);
        out.push(color_rate(&found, options.min_snr));
    }
    out
}

/// The fluxes of two bands at one phase, with errors.
struct Match {
    phase: f64,
    a: (f64, f64),
    b: (f64, f64),
}

/// Pairs each point of either band within `window` with the other band's flux at that time. Points that
/// the two bands share in time count once.
fn matches(a: &Series, b: &Series, window: (f64, f64), options: &DomainOptions) -> Vec<Match> {
    let mut found = Vec::new();
    for i in a.within(window.0, window.1) {
        if let Some(other) = b.at(a.time[i], options.max_gap, SIMULTANEOUS) {
            found.push(Match {
                phase: a.time[i],
                a: (a.flux[i], a.err[i]),
                b: other,
            });
        }
    }
    for i in b.within(window.0, window.1) {
        let shared = a.time.binary_search_by(|t| t.total_cmp(&b.time[i])).is_ok();
        if let Some(other) = a.at(b.time[i], options.max_gap, SIMULTANEOUS)
            && !shared
        {
            found.push(Match {
                phase: b.time[i],
                a: other,
                b: (b.flux[i], b.err[i]),
            });
        }
    }
    found
}

/// Colour `-2.5 log10(sum a / sum b)` of matched fluxes, weighted by `kernel(phase)` over their
/// common variance; NaN unless both sums reach `min_snr`.
fn mean_color(matches: &[Match], kernel: impl Fn(f64) -> f64, min_snr: f64) -> f64 {
    let [mut a, mut b, mut var_a, mut var_b] = [0.0; 4];
    for m in matches {
        let w = kernel(m.phase) / (m.a.1 * m.a.1 + m.b.1 * m.b.1);
        a += w * m.a.0;
        b += w * m.b.0;
        var_a += (w * m.a.1) * (w * m.a.1);
        var_b += (w * m.b.1) * (w * m.b.1);
    }
    let seen = |sum: f64, var: f64| sum > 0.0 && sum >= min_snr * var.sqrt();
    if seen(a, var_a) && seen(b, var_b) {
        -MAG_PER_LN * libm::log(a / b)
    } else {
        f64::NAN
    }
}

fn color_rate(matches: &[Match], min_snr: f64) -> f64 {
    let points: Vec<(f64, f64, f64)> = matches
        .iter()
        .filter(|m| m.a.0 >= min_snr * m.a.1 && m.b.0 >= min_snr * m.b.1)
        .map(|m| {
            let (ra, rb) = (m.a.1 / m.a.0, m.b.1 / m.b.0);
            (
                m.phase,
                -MAG_PER_LN * libm::log(m.a.0 / m.b.0),
                1.0 / (ra * ra + rb * rb),
            )
        })
        .collect();
    if points.len() < 3 {
        f64::NAN
    } else {
        slope(&points)
    }
}

fn event_peak(series: &Series, options: &DomainOptions) -> Option<usize> {
    series.peak().filter(|&i| series.snr(i) >= options.min_snr)
}

fn peak_phase(series: &Series, options: &DomainOptions) -> f64 {
    event_peak(series, options).map_or(f64::NAN, |i| series.time[i])
}

fn total_peak(series: &[Series], options: &DomainOptions) -> f64 {
    series
        .iter()
        .filter_map(|s| event_peak(s, options).map(|i| s.flux[i]))
        .reduce(|a, b| a + b)
        .unwrap_or(f64::NAN)
}

/// Absolute AB magnitude of a flux in microjansky; NaN without a positive redshift.
fn absolute_magnitude(flux: f64, redshift: Option<f64>) -> f64 {
    match redshift {
        Some(z) if z > 0.0 => {
            let parsec = 1e6 * FlatLambdaCdm::STANDARD.luminosity_distance(z);
            AB_MICROJANSKY - 2.5 * libm::log10(flux) - 5.0 * libm::log10(parsec / 10.0)
        }
        _ => f64::NAN,
    }
}

fn late_ratio(series: &[Series], options: &DomainOptions) -> f64 {
    let [mut near, mut near_var, mut late] = [0.0; 3];
    for s in series {
        let mean = |(from, to): (f64, f64)| s.weighted_mean(s.within(from, to));
        if let (Some((n, e)), Some((l, _))) = (mean(NEAR), mean(LATE)) {
            near += n;
            near_var += e * e;
            late += l;
        }
    }
    if near > 0.0 && near >= options.min_snr * near_var.sqrt() {
        late / near
    } else {
        f64::NAN
    }
}

fn outside_chi2(series: &[Series], options: &DomainOptions) -> f64 {
    let (mut n, mut sum) = (0, 0.0);
    for s in series {
        for (i, &t) in s.time.iter().enumerate() {
            if t < -options.event_before || t > options.event_after {
                n += 1;
                sum += s.snr(i) * s.snr(i);
            }
        }
    }
    if n >= 5 { sum / f64::from(n) } else { f64::NAN }
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
    fn colours_of_a_source_that_reddens_steadily() {
        // g - r = 0.2 + 0.01 t, r falls; seen in both bands each night.
        let time = [0.0, 10.0, 25.0, 30.0, 35.0, 60.0];
        let r = time.map(|t| 100.0 - t);
        let g = time.map(|t| (100.0 - t) * libm::pow(10.0, -0.4 * (0.2 + 0.01 * t)));
        let out = features(
            &[series(&time, &g, 0.5), series(&time, &r, 0.5)],
            None,
            &DomainOptions::default(),
        );
        // One pair: colour, peak difference; four totals; peak, +30 d, rate.
        assert_eq!(out.len(), 9);
        assert_eq!(out[1], 0.0);
        // Phase 0 has points on one side only: days 0 and 10, with weights 1 and 1/2.
        close(out[6], 0.2 + 0.01 * 10.0 / 3.0, 0.005);
        close(out[7], 0.2 + 0.01 * 30.0, 0.003);
        close(out[8], 0.01, 1e-12);
        close(out[2], 100.0 + g[0], 1e-12);
        assert!(out[3].is_nan(), "no redshift, no absolute magnitude");
    }

    #[test]
    fn a_constant_colour_survives_uneven_sampling() {
        let fall = |t: f64| 100.0 - t;
        let (tg, tr) = ([0.0, 20.0, 50.0], [-6.0, 28.0, 40.0]);
        let out = features(
            &[
                series(&tg, &tg.map(fall), 0.1),
                series(&tr, &tr.map(|t| 2.0 * fall(t)), 0.1),
            ],
            None,
            &DomainOptions::default(),
        );
        close(out[0], 2.5 * libm::log10(2.0), 1e-12);
        assert_eq!(out[1], 6.0);
    }

    #[test]
    fn faint_or_unmatched_fluxes_have_no_colour() {
        let r = series(&[0.0, 10.0, 20.0], &[50.0, 40.0, 30.0], 1.0);
        let faint = series(&[0.0, 10.0, 20.0], &[0.1, -0.5, 0.2], 1.0);
        let far = series(&[400.0], &[50.0], 1.0);
        for other in [faint, far, series(&[], &[], 1.0)] {
            let out = features(&[other, r.clone()], None, &DomainOptions::default());
            for k in [0, 6, 7, 8] {
                assert!(out[k].is_nan(), "feature {k}: {}", out[k]);
            }
        }
    }

    #[test]
    fn totals() {
        let a = series(&[-200.0, 0.0, 100.0], &[2.0, 20.0, 5.0], 1.0);
        let b = series(
            &[-200.0, -150.0, 0.0, 100.0, 400.0],
            &[-2.0, 4.0, 30.0, 5.0, 0.0],
            1.0,
        );
        let out = features(&[a, b], Some(0.1), &DomainOptions::default());
        assert_eq!(out[2], 50.0);
        close(out[4], 10.0 / 50.0, 1e-15);
        // Four points outside the event are one too few.
        assert!(out[5].is_nan());
        // 23.9 - 2.5 log10 50 is 19.6526; distance modulus at z = 0.1 is 38.3150 (460.3 Mpc).
        close(out[3], 19.6526 - 38.3150, 2e-3);
        let five = [-300.0, -250.0, -200.0, -150.0, 400.0, 0.0];
        let mut times = five;
        times.sort_by(f64::total_cmp);
        let s = series(&times, &[1.0, 2.0, 3.0, 4.0, 50.0, 0.0], 1.0);
        close(
            features(&[s], None, &DomainOptions::default())[3],
            6.0,
            1e-15,
        );
    }
}
