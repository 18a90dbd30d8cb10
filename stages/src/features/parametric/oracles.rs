//! The fits against figures from elsewhere: `scipy` on the same objects, and on the function of Bazin.

use serde_json::Value;

use super::shape::{Bazin, Shape};
use super::*;
use crate::numeric::least_squares::{LeastSquaresProblem, NormalEquations, minimize};
use crate::physics::dust::LSST_WAVELENGTHS;

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap();
    items.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The header of the fixture says how it was made.
#[test]
fn optima_are_no_worse_than_those_of_scipy() {
    let fixture = include_str!("../../../tests/fixtures/parametric_fit.json");
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    let models = DEFAULT_MODELS
        .iter()
        .filter_map(|name| Model::of(name))
        .collect();
    let wavelengths = LSST_WAVELENGTHS.to_vec();
    let fitter = Fitter::new(models, &[], wavelengths, FitOptions::default());
    let (mut pairs, mut worse, mut better, mut compared) = (0, 0, 0, 0);
    for object in fixture["objects"].as_array().unwrap() {
        let band: Vec<u16> = numbers(&object["band"]).iter().map(|b| *b as u16).collect();
        let [time, flux, err] = ["time", "flux", "err"].map(|key| numbers(&object[key]));
        let nights = Nights::merge(&time, &band, &flux, &err);
        let mut values = vec![f64::NAN; fitter.columns().len()];
        let fit = fitter
            .measure(&nights, object["redshift"].as_f64(), &mut values)
            .unwrap();
        let mut same = false;
        for (name, found) in DEFAULT_MODELS.iter().zip(&fit.fits) {
            let expected = object["costs"][name].as_f64().unwrap();
            let off = found.as_ref().unwrap().cost / expected - 1.0;
            pairs += 1;
            worse += usize::from(off > 1e-3);
            better += usize::from(off < -1e-3);
            same |= *name == "tde" && off.abs() < 1e-4;
        }
        for (name, expected) in object["columns"].as_object().unwrap() {
            // Columns of the first model are the same only at the same optimum.
            if name.starts_with("tde_") && !same {
                continue;
            }
            let place = fitter
                .columns()
                .iter()
                .position(|c| c.name == *name)
                .unwrap();
            let found = values[place];
            let Some(expected) = expected.as_f64() else {
                assert!(found.is_nan(), "{name} is {found}");
                continue;
            };
            let off = (found - expected).abs();
            let place = &object["object_id"];
            assert!(
                off < 0.01 + 0.01 * expected.abs(),
                "{place}, {name}: {found}, not {expected}"
            );
            compared += 1;
        }
    }
    assert_eq!(pairs, 72);
    // A search may miss an optimum that another happens upon, but not often.
    assert!(worse <= 1 && better > 10, "{worse} worse, {better} better");
    assert!(compared > 200, "{compared}");
}

/// `A exp(-y / decay) / (1 + exp(-y / rise)) + B`; unknowns `A, B, t0, ln rise, ln decay`.
struct WithConstant {
    time: Vec<f64>,
    flux: Vec<f64>,
    err: Vec<f64>,
}

impl LeastSquaresProblem for WithConstant {
    fn evaluate(&mut self, at: &[f64], into: &mut NormalEquations) {
        let shape = Bazin::with(&at[3..]);
        for ((t, f), e) in self.time.iter().zip(&self.flux).zip(&self.err) {
            let point = shape.at(t - at[2]);
            let g = libm::exp(point.ln);
            let residual = (at[0] * g + at[1] - f) / e;
            let by_shape = [-point.slope, point.by[0], point.by[1]].map(|by| at[0] * g * by);
            let slopes = [g, 1.0, by_shape[0], by_shape[1], by_shape[2]].map(|slope| slope / e);
            into.cost += residual * residual;
            for (k, a) in slopes.iter().enumerate() {
                into.gradient[k] += a * residual;
                for (j, b) in slopes.iter().enumerate() {
                    into.matrix[k][j] += a * b;
                }
            }
        }
    }
}

#[test]
fn the_function_of_bazin_is_that_of_the_oracle() {
    let oracle = include_str!("../../../tests/fixtures/bazin.json");
    let oracle: Value = serde_json::from_str(oracle).unwrap();
    // The oracle's values are for A 10, B 0, t0 50, rise 4 and decay 22.
    let shape = Bazin::with(&[libm::log(4.0), libm::log(22.0)]);
    let (times, values) = (numbers(&oracle["eval_t"]), numbers(&oracle["eval_f"]));
    for (t, expected) in times.iter().zip(&values) {
        let found = 10.0 * libm::exp(shape.at(t - 50.0).ln);
        assert!((found / expected - 1.0).abs() < 1e-12, "{t}: {found}");
    }
    let free = Prior {
        mean: 0.0,
        width: f64::INFINITY,
        lower: f64::NEG_INFINITY,
        upper: f64::INFINITY,
    };
    for case in oracle["cases"].as_array().unwrap() {
        let [time, flux, err] = ["t", "flux", "err"].map(|key| numbers(&case[key]));
        let most = flux.iter().copied().fold(f64::MIN, f64::max);
        let peak = time[flux.iter().position(|f| *f == most).unwrap()];
        let start = [1.5 * most, 0.0, peak - 5.0, libm::log(5.0), libm::log(25.0)];
        let stopping = Stopping {
            evaluations: 300,
            tolerance: 1e-13,
        };
        let mut problem = WithConstant { time, flux, err };
        let found = minimize(&mut problem, &[free; 5], &start, stopping);
        let chi2 = case["chi2"].as_f64().unwrap();
        assert!(
            (found.equations.cost / chi2 - 1.0).abs() < 1e-6,
            "{found:?}"
        );
        let errors = found.errors(5);
        let fit = numbers(&case["fit"])
            .into_iter()
            .zip(numbers(&case["sigma"]));
        for (k, (expected, sigma)) in fit.enumerate() {
            let (value, scale) = if k < 3 {
                (found.at[k], 1.0)
            } else {
                (libm::exp(found.at[k]), libm::exp(found.at[k]))
            };
            assert!(
                (value - expected).abs() < 1e-3 * expected.abs().max(1.0),
                "{k}: {value}, not {expected}"
            );
            assert!(
                (scale * errors[k] / sigma - 1.0).abs() < 0.01,
                "{k}: {}",
                errors[k]
            );
        }
    }
}
