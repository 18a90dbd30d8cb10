use serde_json::Value;

use super::model::Model;
use super::walk::{Evaluation, Points};
use super::*;
use crate::features::columns::names;
use crate::numeric::rng::Stream;
use crate::numeric::simd::SimdLevel;

const FIXTURE: &str = include_str!("../../../tests/fixtures/drw_ls.json");

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap()).collect()
}

fn walk_of_one_band() -> Model {
    Model {
        bands: 1,
        walk: true,
        flare: false,
    }
}

#[test]
fn the_likelihood_equals_that_of_the_full_covariance_matrix() {
    let oracle: Value = serde_json::from_str(FIXTURE).unwrap();
    let time = numbers(&oracle["t"]);
    let points = Points {
        band: vec![0; time.len()],
        flux: numbers(&oracle["y"]),
        variance: numbers(&oracle["err"]).iter().map(|e| e * e).collect(),
        bands: 1,
        time,
    };
    let cases = oracle["drw"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let number = |key: &str| case[key].as_f64().unwrap();
        let (tau, sigma) = (libm::log(number("tau")), libm::log(number("sigma")));
        let mut evaluation = Evaluation::default();
        for (mean, expected) in [
            (0.0, number("loglike_mean0")),
            (number("mean_ml"), number("loglike")),
        ] {
            let at = [tau, sigma, 0.0, mean];
            evaluation.update(&walk_of_one_band(), &at, &points);
            let found = evaluation.ln_likelihood;
            assert!(
                (found - expected).abs() < 1e-9 * expected.abs(),
                "{found} {expected}"
            );
        }
        // The likelihood is largest at that mean.
        assert!(evaluation.gradient[3].abs() < 1e-9, "{evaluation:?}");
    }
}

/// Some points of two bands, with a flare and noise.
fn two_bands() -> Points {
    let mut stream = Stream::new(7, &[1]);
    let time: Vec<f64> = (0..30).map(|i| f64::from(i) * 7.3 - 90.0).collect();
    Points {
        band: (0..30).map(|i| i % 2).collect(),
        flux: time.iter().map(|_| stream.normal()).collect(),
        variance: time.iter().map(|_| 0.1 + stream.uniform()).collect(),
        bands: 2,
        time,
    }
}

#[test]
fn the_gradient_is_that_of_the_likelihood() {
    let points = two_bands();
    let both = Model {
        bands: 2,
        walk: true,
        flare: true,
    };
    // Tau, sigma, two amplitudes, two means, peak, rise, decay, two fluxes.
    let at = [4.0, -0.3, 0.2, -0.1, 0.3, -0.2, 3.0, 2.5, 3.5, 1.2, 0.7];
    let mut evaluation = Evaluation::default();
    let mut value = |at: &[f64]| {
        evaluation.update(&both, at, &points);
        evaluation.clone()
    };
    let gradient = value(&at).gradient;
    assert_eq!(gradient.len(), at.len());
    for i in 0..at.len() {
        let moved = |by: f64| {
            let mut at = at;
            at[i] += by;
            at
        };
        let (up, down) = (value(&moved(1e-5)), value(&moved(-1e-5)));
        let slope = (down.ln_likelihood - up.ln_likelihood) / 2e-5;
        assert!(
            (slope - gradient[i]).abs() < 1e-6 * (1.0 + slope.abs()),
            "{i}: {slope} {}",
            gradient[i]
        );
    }
}

/// The value of a feature of an object that was observed in g and r.
fn feature(nights: &Nights, redshift: Option<f64>, name: &str) -> f64 {
    let names = names(&COLUMNS, &["g", "r"]);
    let mut out = vec![0.0; names.len()];
    features(nights, redshift, &DrwOptions::default(), &mut out);
    out[names.iter().position(|n| n == name).unwrap()]
}

/// Points in g and r every 5 days over 1,000 days. The mean is `flux(day, band)`, the error 0.5 uJy, and a walk of
/// tau = 100 d has the standard deviation `sigma` uJy.
fn observed(seed: u64, sigma: f64, flux: impl Fn(f64, u16) -> f64) -> Nights {
    let mut stream = Stream::new(seed, &[]);
    let mut nights = Nights::default();
    let decay = libm::exp(-5.0 / 100.0);
    let mut state = stream.normal();
    for i in 0..200 {
        let day = 5.0 * f64::from(i);
        state = decay * state + (1.0 - decay * decay).sqrt() * stream.normal();
        for band in [0, 1] {
            nights.time.push(60_000.0 + day);
            nights.band.push(band);
            let mean = flux(day, band) + sigma * state;
            nights.flux.push(mean + 0.5 * stream.normal());
            nights.err.push(0.5);
        }
    }
    nights
}

fn tidal(day: f64, band: u16) -> f64 {
    let days = day - 400.0;
    let peak = [40.0, 30.0][usize::from(band)];
    let shape = if days < 0.0 {
        libm::exp(-days * days / (2.0 * 15.0 * 15.0))
    } else {
        libm::pow(1.0 + days / 60.0, -5.0 / 3.0)
    };
    peak * shape
}

#[test]
fn a_walk_and_a_flare_are_told_apart() {
    for seed in 0..5 {
        let walk = observed(seed, 10.0, |_, _| 20.0);
        let flare = observed(seed, 0.0, tidal);
        let both = observed(seed, 4.0, tidal);
        let value = |nights: &Nights, name: &str| feature(nights, None, name);
        assert!(value(&walk, "drw_minus_flare") > 100.0, "{seed}");
        assert!(value(&walk, "drw_minus_constant") > 100.0, "{seed}");
        assert!(value(&walk, "drw_both_minus_drw") < 5.0, "{seed}");
        assert!(value(&flare, "drw_minus_flare") < -100.0, "{seed}");
        assert!(value(&flare, "drw_both_minus_flare") < 5.0, "{seed}");
        assert!(value(&both, "drw_both_minus_flare") > 100.0, "{seed}");
        assert!(value(&both, "drw_both_minus_drw") > 10.0, "{seed}");
    }
}

#[test]
fn parameters_that_made_the_points_are_found() {
    let mut tau = Vec::new();
    for seed in 0..9 {
        let walk = observed(seed, 10.0, |_, _| 20.0);
        tau.push(feature(&walk, None, "drw_ln_tau"));
        let sigma = feature(&walk, None, "drw_ln_sigma");
        assert!((sigma - libm::log(10.0)).abs() < 0.6, "{sigma}");
    }
    // Ten times tau says little of tau (Kozlowski 2017), but it is about right on average.
    let mean = tau.iter().sum::<f64>() / tau.len() as f64;
    assert!((mean - libm::log(100.0)).abs() < 0.4, "{tau:?}");
    let flare = observed(3, 0.0, tidal);
    for (name, expected, tolerance) in [
        ("drw_flare_ln_rise", libm::log(15.0), 0.1),
        ("drw_flare_ln_decay", libm::log(60.0), 0.1),
        ("drw_flare_ln_flux", libm::log(40.0), 0.05),
        ("drw_g_flare", 1.0, 1e-12),
        ("drw_r_flare", 0.75, 0.03),
        ("drw_flare_chi2", 1.0, 0.3),
    ] {
        let found = feature(&flare, None, name);
        assert!((found - expected).abs() < tolerance, "{name}: {found}");
    }
}

#[test]
fn days_are_rest_frame_where_the_redshift_is_known() {
    let flare = observed(3, 0.0, tidal);
    let decay = |z| feature(&flare, z, "drw_flare_ln_decay");
    assert!((decay(Some(0.5)) - decay(None) + libm::log(1.5)).abs() < 0.02);
    assert_eq!(decay(Some(0.0)), decay(None));
    for unknown in [f64::NAN, -1.0, -5.0, f64::INFINITY] {
        assert_eq!(decay(Some(unknown)), decay(None));
    }
    assert!(decay(Some(5.0)).is_finite() && decay(Some(-0.5)).is_finite());
}

#[test]
fn settings_have_effects() {
    let walk = observed(1, 10.0, |_, _| 20.0);
    let row = |options: &DrwOptions| {
        let mut out = vec![0.0; names(&COLUMNS, &["g", "r"]).len()];
        features(&walk, Some(0.5), options, &mut out);
        out
    };
    let usual = DrwOptions::default();
    for other in [
        DrwOptions {
            flux_error: 0.0,
            ..usual
        },
        DrwOptions {
            tau: 1000.0,
            ..usual
        },
        DrwOptions {
            tau_width: 0.1,
            ..usual
        },
        DrwOptions {
            evaluations: 3,
            ..usual
        },
        DrwOptions {
            rest_frame: false,
            ..usual
        },
    ] {
        assert_ne!(row(&other), row(&usual), "{other:?}");
    }
    // A narrow prior holds tau.
    let narrow = DrwOptions {
        tau: 1000.0,
        tau_width: 0.001,
        ..usual
    };
    assert!((row(&narrow)[0] - libm::log(1000.0)).abs() < 0.01);
}

#[test]
fn bad_input_gives_an_answer_or_nan() {
    let make = |n: usize, flux: &dyn Fn(usize) -> f64, err: &dyn Fn(usize) -> f64| Nights {
        time: (0..n).map(|i| 60_000.0 + 3.0 * (i / 2) as f64).collect(),
        band: (0..n).map(|i| (i % 2) as u16).collect(),
        flux: (0..n).map(flux).collect(),
        err: (0..n).map(err).collect(),
    };
    let wavy = |i: usize| libm::sin(i as f64) * 5.0;
    let mut far = make(20, &wavy, &|_| 1.0);
    far.time[0] = -f64::MAX;
    far.time[19] = f64::MAX;
    let mut same = make(20, &wavy, &|_| 1.0);
    same.time.fill(60_000.0);
    let cases = [
        (Nights::default(), false),
        (make(1, &wavy, &|_| 1.0), false),
        (make(5, &wavy, &|_| 1.0), false),
        (make(20, &|_| 0.0, &|_| 1.0), false),
        (make(20, &|_| 3.0, &|_| 1.0), true),
        (make(20, &|i| -1.0 - wavy(i).abs(), &|_| 1.0), true),
        (make(20, &wavy, &|_| 1e-300), true),
        (
            make(20, &wavy, &|i| if i == 3 { 1e-300 } else { 1.0 }),
            true,
        ),
        (make(20, &wavy, &|i| if i < 9 { 1e30 } else { 1.0 }), true),
        (make(20, &wavy, &|_| 1e30), false),
        (
            make(
                20,
                &|i| if i % 2 == 0 { f64::MAX } else { -f64::MAX },
                &|_| 1.0,
            ),
            true,
        ),
        (
            make(20, &|i| if i == 7 { 1e300 } else { 1.0 }, &|_| 1.0),
            true,
        ),
        (make(20, &wavy, &|_| f64::MAX), false),
        (make(400, &wavy, &|_| 0.1), true),
        (far, true),
        (same, true),
    ];
    for (k, (nights, answers)) in cases.iter().enumerate() {
        for redshift in [None, Some(0.0), Some(5.0), Some(-0.9999)] {
            let mut out = vec![0.0; names(&COLUMNS, &["g", "r"]).len()];
            features(nights, redshift, &DrwOptions::default(), &mut out);
            assert!(out.iter().all(|v| !v.is_infinite()), "case {k}: {out:?}");
            assert_eq!(out[0].is_finite(), *answers, "case {k}: {out:?}");
        }
    }
    // A band without points has no columns of its own.
    let mut one = make(20, &wavy, &|_| 1.0);
    one.band.fill(1);
    assert!(feature(&one, None, "drw_g_flare").is_nan());
    assert!(feature(&one, None, "drw_r_ln_amplitude").is_finite());
}

#[test]
fn all_simd_levels_give_the_same_bits() {
    let rows: Vec<Vec<u64>> = SimdLevel::available()
        .map(|level| {
            let points = two_bands();
            let both = Model {
                bands: 2,
                walk: true,
                flare: true,
            };
            let at = [4.0, -0.3, 0.2, -0.1, 0.3, -0.2, 3.0, 2.5, 3.5, 1.2, 0.7];
            let mut evaluation = Evaluation::default();
            evaluation.update_at(level, &both, &at, &points);
            let all = evaluation.gradient.iter().chain(&evaluation.information);
            let all = all.chain(&evaluation.innovations);
            all.map(|v| v.to_bits()).collect()
        })
        .collect();
    assert!(rows.iter().all(|row| *row == rows[0]));
}
