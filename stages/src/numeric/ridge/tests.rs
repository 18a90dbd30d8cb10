use super::*;
use crate::numeric::rng::Stream;
use serde_json::Value;

const FIXTURE: &str = include_str!("../../../tests/fixtures/ridge.json");

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn near(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }
}

fn noise(n: usize, d: usize, seed: u64) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut stream = Stream::new(seed, &[]);
    let features = (0..n * d).map(|_| stream.normal()).collect();
    let sign = |u: f64| if u < 0.3 { 1.0 } else { -1.0 };
    let target = (0..n).map(|_| sign(stream.uniform())).collect();
    (features, vec![target])
}

fn fit(rows: RidgeRows<'_>, targets: &[Vec<f64>], alphas: &[f64]) -> Result<Ridge, FitError> {
    Ridge::fit(rows, targets, alphas, &|| false).map(Option::unwrap)
}

#[test]
fn fits_equal_scikit_learn() {
    let oracle: Value = serde_json::from_str(FIXTURE).unwrap();
    for case in ["narrow", "wide", "weighted"] {
        let case = &oracle[case];
        let (features, target) = (numbers(&case["X"]), numbers(&case["y"]));
        let rows = RidgeRows {
            dimension: features.len() / target.len(),
            features: &features,
            weights: &numbers(&case["weights"]),
        };
        let ridge = fit(rows, &[target], &numbers(&case["alphas"])).unwrap();
        assert_eq!(ridge.alpha, case["alpha"].as_f64().unwrap());
        near(&ridge.coefficients[0], &numbers(&case["coef"]), 1e-9);
        near(&ridge.intercepts, &numbers(&case["intercept"]), 1e-9);
        near(&ridge.left_out[0], &numbers(&case["left_out"]), 1e-9);
    }
}

#[test]
fn what_is_left_out_is_what_a_fit_without_the_row_gives() {
    for (n, d) in [(12, 3), (9, 20)] {
        let (features, targets) = noise(n, d, 5);
        let weights: Vec<f64> = (0..n).map(|i| 1.0 + (i % 3) as f64).collect();
        let rows = RidgeRows {
            features: &features,
            dimension: d,
            weights: &weights,
        };
        let all = fit(rows, &targets, &[0.7]).unwrap();
        for i in 0..n {
            let mut rest = features.clone();
            let row: Vec<f64> = rest.drain(i * d..(i + 1) * d).collect();
            let mut others = weights.clone();
            others.remove(i);
            let mut target = targets[0].clone();
            target.remove(i);
            let without = RidgeRows {
                features: &rest,
                dimension: d,
                weights: &others,
            };
            let without = fit(without, &[target], &[0.7]).unwrap();
            near(&without.decision(&row), &[all.left_out[0][i]], 1e-9);
        }
    }
}

#[test]
fn bad_rows_are_refused_and_constant_columns_are_not() {
    let one = |features: &[f64], weights: &[f64], alpha| {
        let rows = RidgeRows {
            features,
            dimension: 1,
            weights,
        };
        fit(rows, &[vec![1.0, -1.0, 1.0]], &[alpha])
    };
    let flat = one(&[2.0; 3], &[1.0; 3], 1.0).unwrap();
    assert_eq!(flat.coefficients[0], [0.0]);
    near(&flat.intercepts, &[1.0 / 3.0], 1e-15);
    for bad in [
        one(&[f64::NAN, 0.0, 1.0], &[1.0; 3], 1.0),
        one(&[1.0, 0.0, 1.0], &[0.0; 3], 1.0),
        one(&[1.0, 0.0, 1.0], &[1.0; 3], 0.0),
    ] {
        assert_eq!(bad, Err(FitError::NotFinite));
    }
    assert_eq!(
        one(&[1e200, 0.0, 1.0], &[1.0; 3], 1.0),
        Err(FitError::Overflow)
    );
}

#[test]
fn every_simd_level_gives_the_same_bits() {
    for (n, d) in [(40, 11), (20, 300)] {
        let (features, targets) = noise(n, d, 9);
        let rows = RidgeRows {
            features: &features,
            dimension: d,
            weights: &vec![1.0; n],
        };
        let centred = Centred::of(rows, &targets);
        let each = SimdLevel::available().map(|level| {
            let gram = level.run(GramKernel(&centred));
            let solver = Solver {
                centred: &centred,
                gram: &gram,
                alpha: 2.0,
            };
            level.run(solver)
        });
        let each: Vec<_> = each.collect();
        assert!(each.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
