//! The likelihood, its derivatives and its predictions against those of george.

use serde_json::Value;

use crate::features::event::Nights;
use crate::features::gp::covariance::{Covariance, Matrices, Smoothness};
use crate::features::gp::fit::{Fit, Priors};
use crate::features::gp::points::Points;
use crate::numeric::simd::SimdLevel;

/// Light curves and their processes from george 0.4.4; the header of the file says what is in it.
const ORACLE: &str = include_str!("../../../../tests/fixtures/gp_avocado.json");

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap();
    items.iter().map(|v| v.as_f64().unwrap()).collect()
}

struct Example {
    points: Points,
    wavelengths: Vec<f64>,
    expected: Value,
}

fn examples() -> Vec<Example> {
    let oracle: Value = serde_json::from_str(ORACLE).unwrap();
    let wavelengths = numbers(&oracle["wavelengths"]);
    let example = |object: &Value| {
        let nights = Nights {
            time: numbers(&object["t"]),
            band: numbers(&object["band"]).iter().map(|&b| b as u16).collect(),
            flux: numbers(&object["flux"]),
            err: numbers(&object["err"]),
        };
        Example {
            points: Points::new(&nights, &wavelengths, 0..nights.len()).unwrap(),
            wavelengths: wavelengths.clone(),
            expected: object.clone(),
        }
    };
    let objects = oracle["objects"].as_array().unwrap();
    objects.iter().map(example).collect()
}

impl Example {
    /// The covariance at george's hyper-parameters: the logarithms of half of the variance and of the squared
    /// length in time. The length in wavelength is 6,000 angstrom.
    fn covariance(&self, key: &str) -> Covariance {
        let theirs = numbers(&self.expected[key]);
        let amplitude = 0.5 * (theirs[0] + libm::log(2.0)) - libm::log(self.points.scale);
        Covariance {
            smoothness: Smoothness::Matern,
            theta: [amplitude, 0.5 * theirs[1], libm::log(6000.0)],
        }
    }

    /// Takes a log-likelihood of scaled fluxes to one of fluxes.
    fn full(&self, scaled: f64) -> f64 {
        let constant = 0.5 * libm::log(2.0 * std::f64::consts::PI) + libm::log(self.points.scale);
        scaled - self.points.len() as f64 * constant
    }
}

fn close(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    let off = (found - expected).abs() / expected.abs().max(1.0);
    assert!(off <= tolerance, "{found}, not {expected}");
}

#[test]
fn likelihood_and_gradient_equal_george() {
    for example in examples() {
        for (key, expected) in [("start", "loglike_start"), ("opt", "loglike_opt")] {
            let covariance = example.covariance(key);
            let least = f64::NEG_INFINITY;
            let mut matrices = Matrices::default();
            let found = matrices
                .likelihood(&covariance, &example.points, least)
                .unwrap();
            close(example.full(found.value), &example.expected[expected], 1e-8);
            let gradient = found.derivatives.unwrap().gradient;
            for p in 0..2 {
                match key {
                    "start" => close(0.5 * gradient[p], &example.expected["grad_start"][p], 1e-6),
                    _ => assert!(gradient[p].abs() < 0.1, "{gradient:?}"),
                }
            }
        }
    }
}

#[test]
fn all_derivatives_are_those_of_differences() {
    for smoothness in [Smoothness::Matern, Smoothness::Walk] {
        for example in examples() {
            let at = Covariance {
                smoothness,
                ..example.covariance("start")
            };
            let value = |covariance: &Covariance| {
                let mut matrices = Matrices::default();
                let least = f64::NEG_INFINITY;
                matrices
                    .likelihood(covariance, &example.points, least)
                    .unwrap()
            };
            let derivatives = value(&at).derivatives.unwrap();
            for p in 0..3 {
                let moved = |by: f64| {
                    let mut moved = at;
                    moved.theta[p] += by;
                    value(&moved).value
                };
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let found = derivatives.gradient[p];
                assert!(
                    (found - difference).abs() < 1e-5 * difference.abs().max(1.0),
                    "{p}: {found} {difference}"
                );
                assert!(derivatives.information[p][p] > 0.0);
            }
        }
    }
}

#[test]
fn predictions_equal_george() {
    for example in examples() {
        let covariance = example.covariance("opt");
        let mut matrices = Matrices::default();
        let least = f64::NEG_INFINITY;
        let likelihood = matrices
            .likelihood(&covariance, &example.points, least)
            .unwrap();
        let times = numbers(&example.expected["pred_t"]);
        for (band, &wavelength) in example.wavelengths.iter().enumerate() {
            let origin = example.points.origin;
            let at: Vec<(f64, f64)> = times.iter().map(|&t| (t - origin, wavelength)).collect();
            let with = (&example.points, &likelihood.alpha[..]);
            let found = matrices.predict(&covariance, with, &at);
            let scale = example.points.scale;
            for (k, (mean, variance)) in found.into_iter().enumerate() {
                close(mean * scale, &example.expected["pred"][band][k], 1e-6);
                close(
                    variance * scale * scale,
                    &example.expected["pred_var"][band][k],
                    1e-6,
                );
            }
        }
    }
}

fn priors(width: f64) -> Priors {
    Priors {
        mean: [0.0, libm::log(60.0), libm::log(6000.0)],
        width: [width, width, 0.0],
    }
}

#[test]
fn the_optimum_is_no_worse_than_that_of_george() {
    for example in examples() {
        // Priors so wide that they do not matter.
        let start = example.covariance("start").theta;
        let mut matrices = Matrices::default();
        let fit = Fit::find(
            &example.points,
            Smoothness::Matern,
            &priors(1e3),
            start,
            &mut matrices,
        );
        let fit = fit.unwrap();
        let best = example.expected["loglike_opt"].as_f64().unwrap();
        assert!(
            example.full(fit.likelihood) > best - 2e-3,
            "{} {best}",
            example.full(fit.likelihood)
        );
        assert!(fit.evaluations <= 10, "{}", fit.evaluations);
    }
}

#[test]
fn all_levels_give_the_same_bits() {
    for example in examples() {
        let mut results = Vec::new();
        for level in SimdLevel::available() {
            SimdLevel::set_cap(level);
            let start = example.covariance("start").theta;
            let mut matrices = Matrices::default();
            let fit = Fit::find(
                &example.points,
                Smoothness::Matern,
                &priors(1.0),
                start,
                &mut matrices,
            );
            let fit = fit.unwrap();
            let at = [
                (fit.points.origin + 3.0, 5000.0),
                (fit.points.origin + 800.0, 7000.0),
            ];
            let means = fit.means(&at);
            let predicted = fit.predict(&at, &mut matrices);
            assert!((means[0] - predicted[0].0).abs() < 1e-9 * fit.points.scale);
            results.push((fit.covariance.theta.map(f64::to_bits), means, predicted));
        }
        SimdLevel::set_cap(SimdLevel::detect());
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
