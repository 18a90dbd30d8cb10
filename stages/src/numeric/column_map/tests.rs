//! Against scikit-learn and scipy: `tests/fixtures/yeo_johnson.json` has the versions.

use serde_json::Value;

use super::*;

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/yeo_johnson.json")).unwrap()
}

fn floats(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap();
    list.iter().map(|x| x.as_f64().unwrap()).collect()
}

/// The columns of the table `X` as numbers of 64 bits, and as a stage sees them.
fn columns(oracle: &Value, of: &str) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = oracle[of].as_array().unwrap().iter().map(floats).collect();
    (0..3)
        .map(|j| rows.iter().map(|row| row[j]).collect())
        .collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} {b}");
}

#[test]
fn the_transform_is_that_of_scipy() {
    let oracle = oracle();
    let x = floats(&oracle["x_fixed"]);
    for (lambda, values) in oracle["fixed_lambda"].as_object().unwrap() {
        let lambda = lambda.parse().unwrap();
        for (&x, expected) in x.iter().zip(floats(values)) {
            near(yeo_johnson(x, lambda), expected, 1e-12);
        }
    }
    let lambdas = floats(&oracle["lambdas"]);
    let raw = columns(&oracle, "raw");
    for ((x, raw), lambda) in columns(&oracle, "X").iter().zip(raw).zip(lambdas) {
        for (&x, expected) in x.iter().zip(raw) {
            near(yeo_johnson(x, lambda), expected, 1e-12);
        }
    }
}

#[test]
fn powers_and_values_are_those_of_scikit_learn() {
    let oracle = oracle();
    let lambdas = floats(&oracle["lambdas"]);
    let expected = columns(&oracle, "standardized");
    for ((x, lambda), expected) in columns(&oracle, "X").iter().zip(lambdas).zip(expected) {
        let fitted = best_power(x);
        near(fitted, lambda, 1e-5);
        let map = normal(&narrow(x));
        for (&x, expected) in narrow(x).iter().zip(expected) {
            near(f64::from(map.apply(x)), expected, 1e-5);
        }
    }
}

#[test]
fn scales_are_those_of_scikit_learn() {
    let oracle = oracle();
    let of = |name: &str| floats(&oracle[name]);
    let (mean, deviation) = (of("std_mean"), of("std_scale"));
    let (median, range) = (of("robust_center"), of("robust_scale"));
    for (j, x) in columns(&oracle, "X").iter().enumerate() {
        let x = narrow(x);
        let linear = |map: ColumnMap| match map {
            ColumnMap::Linear { center, scale } => (center, scale),
            other => panic!("{other:?}"),
        };
        let (center, scale) = linear(standard(&x));
        near(center, mean[j], 1e-6);
        near(scale, deviation[j], 1e-6);
        let (center, scale) = linear(robust(&x));
        near(center, median[j], 1e-6);
        near(scale, range[j], 1e-6);
    }
}

#[test]
fn missing_and_infinite_values_take_no_part() {
    let with = [f32::NAN, 1.0, f32::INFINITY, 3.0, f32::NEG_INFINITY];
    for fit in [standard, robust, normal] {
        let map = fit(&with);
        assert_eq!(map, fit(&[1.0, 3.0]));
        assert!(map.apply(f32::NAN).is_nan());
        assert_eq!(map.apply(f32::INFINITY), f32::INFINITY);
    }
    assert_eq!(mean_fill(&with), Some(ColumnMap::Fill { value: 2.0 }));
    assert_eq!(
        median_fill(&with[..2]),
        Some(ColumnMap::Fill { value: 1.0 })
    );
}

#[test]
fn without_values_nothing_is_made_up() {
    for none in [&[][..], &[f32::NAN, f32::NAN]] {
        for fit in [standard, robust, normal] {
            assert_eq!(fit(none), ColumnMap::Unknown);
        }
        assert_eq!((mean_fill(none), median_fill(none)), (None, None));
    }
    assert!(ColumnMap::Unknown.apply(1.0).is_nan());
}

#[test]
fn a_constant_column_becomes_zero() {
    for value in [0.0, 0.1, -7.3e30, f32::MAX, 1e-40] {
        for fit in [standard, robust, normal] {
            assert_eq!(fit(&[value; 7]).apply(value), 0.0, "{value}");
        }
    }
}

#[test]
fn extreme_values_stay_finite() {
    let wild = [f32::MAX, -f32::MAX, 0.0, 1e-30, 1e30, 5.0];
    for fit in [standard, robust, normal] {
        let map = fit(&wild);
        for x in wild {
            assert!(map.apply(x).is_finite(), "{map:?} {x}");
        }
        let narrow = fit(&[1.0, 1.5, 2.0, 2.5, 9.0]);
        assert!(narrow.apply(f32::MAX).is_finite());
        assert!(narrow.apply(-f32::MAX).is_finite());
    }
    let equal = ColumnMap::Linear {
        center: 0.0,
        scale: 1e-300,
    };
    assert_eq!(equal.apply(1.0), f32::MAX);
}

#[test]
fn powers_are_the_same_at_every_level() {
    let values: Vec<f64> = (0..101).map(|i| f64::from(i * i % 37) - 11.5).collect();
    let logs = Logs::of(&values);
    let at = |level: SimdLevel, lambda: f64| {
        let scratch = &mut Vec::new();
        level
            .run(Unlikelihood {
                logs: &logs,
                lambda,
                scratch,
            })
            .to_bits()
    };
    for lambda in [-3.0, 0.0, 0.5, 2.0, 4.0] {
        for level in SimdLevel::available() {
            assert_eq!(at(level, lambda), at(SimdLevel::Scalar, lambda));
        }
    }
}

#[test]
fn missing_values_are_told_and_filled() {
    let fill = ColumnMap::Fill { value: -2.5 };
    assert_eq!((fill.apply(f32::NAN), fill.apply(4.0)), (-2.5, 4.0));
    let missing = ColumnMap::Missing;
    assert_eq!((missing.apply(f32::NAN), missing.apply(0.0)), (1.0, 0.0));
}
