use serde_json::Value;

use super::*;

/// Series and values of the package; see `source` in the file.
const FIXTURE: &str = include_str!("../../../tests/fixtures/tsfresh.json");

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn all() -> Selection {
    Selection::new(|_, _| true)
}

fn measured(values: &[f64]) -> Vec<f64> {
    let selection = all();
    let mut out = vec![0.0; selection.columns().len()];
    selection.measure(values, &mut out);
    out
}

fn value(row: &[f64], column: &str) -> f64 {
    row[names().iter().position(|name| name == column).unwrap()]
}

#[test]
fn names_and_order_are_those_of_the_package() {
    let oracle: Value = serde_json::from_str(FIXTURE).unwrap();
    let expected: Vec<&String> = oracle["values"].as_object().unwrap().keys().collect();
    let found = names();
    assert_eq!(found.len(), 777);
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    let minimal = Selection::new(|calculator, _| calculator.minimal);
    assert_eq!(minimal.columns().len(), 10);
}

/// Whether a difference is one that `docs/tsfresh.md` explains.
fn is_explained(series: usize, column: &str) -> bool {
    // The periodic series: the test has a perfect fit, and tsfresh a statistic of -1e15.
    series == 3 && column.starts_with("augmented_dickey_fuller")
}

#[test]
fn values_are_those_of_the_package() {
    let oracle: Value = serde_json::from_str(FIXTURE).unwrap();
    let series = oracle["series"].as_array().unwrap();
    let mut wrong = Vec::new();
    for (k, series) in series.iter().enumerate() {
        let row = measured(&numbers(series));
        for (found, (column, expected)) in row.iter().zip(oracle["values"].as_object().unwrap()) {
            let expected = numbers(expected)[k];
            // What cancels to about 0 has no digits to compare.
            let far = (found - expected).abs() > 1e-9 * expected.abs().max(1e-4);
            if (far || found.is_nan() != expected.is_nan()) && !is_explained(k, column) {
                wrong.push(format!("series {k}, {column}: {found} for {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_perfect_fit_has_no_test_statistic() {
    let row = measured(&[0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 1.0]);
    for what in ["teststat", "pvalue", "usedlag"] {
        let column = format!("augmented_dickey_fuller__attr_\"{what}\"__autolag_\"AIC\"");
        assert!(value(&row, &column).is_nan(), "{what}");
    }
}

#[test]
fn a_constant_has_no_frequency_but_zero() {
    // The mean of so many is rounded, and tsfresh reports a spectrum of the rounding.
    let row = measured(&[0.1; 57]);
    for k in 1..29 {
        assert_eq!(
            value(&row, &format!("fft_coefficient__attr_\"abs\"__coeff_{k}")),
            0.0
        );
        assert_eq!(
            value(&row, &format!("fft_coefficient__attr_\"angle\"__coeff_{k}")),
            0.0
        );
    }
    assert_eq!(value(&row, "spkt_welch_density__coeff_2"), 0.0);
    assert!(value(&row, "fourier_entropy__bins_10").is_nan());
    assert_eq!(value(&row, "fft_aggregated__aggtype_\"centroid\""), 0.0);
}

#[test]
fn a_selection_has_the_values_of_the_whole() {
    let x: Vec<f64> = (0..45).map(|i| f64::from(i * i % 31) - 11.5).collect();
    let whole = measured(&x);
    let some = Selection::new(|calculator, column| {
        calculator.name == "cid_ce" || column.ends_with("_5") || calculator.minimal
    });
    assert!(some.columns().is_sorted() && some.columns().len() > 20);
    let mut out = vec![0.0; some.columns().len()];
    some.measure(&x, &mut out);
    for (found, place) in out.iter().zip(some.columns()) {
        assert_eq!(found.to_bits(), whole[*place].to_bits());
    }
}

#[test]
fn values_that_are_not_finite_are_left_out() {
    let gappy = [
        f64::NAN,
        3.0,
        1.0,
        f64::INFINITY,
        2.5,
        f64::NAN,
        0.5,
        -f64::INFINITY,
    ];
    let (found, expected) = (measured(&gappy), measured(&[3.0, 1.0, 2.5, 0.5]));
    let bits = |row: &[f64]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found), bits(&expected));
    assert!(measured(&[]).iter().all(|v| v.is_nan()));
    assert!(measured(&[f64::NAN; 5]).iter().all(|v| v.is_nan()));
}

#[test]
fn extreme_series_end_without_a_panic() {
    let wave = |n: u32, scale: f64| -> Vec<f64> {
        (0..n).map(|i| scale * f64::from(i * 7919 % 1013)).collect()
    };
    for series in [
        vec![f64::MAX; 30],
        vec![-f64::MAX; 30],
        (0..40)
            .map(|i| if i % 2 == 0 { f64::MAX } else { f64::MIN })
            .collect(),
        wave(60, 1e300),
        wave(60, 1e-310),
        vec![f64::MIN_POSITIVE; 25],
        vec![0.0; 80],
        vec![-0.0; 3],
        vec![-5.0; 1],
        wave(2, -1.0),
        wave(3, -1.0),
        (0..50)
            .map(|i| 2.5 + f64::from(i % 2) * f64::EPSILON)
            .collect(),
        (0..70)
            .map(|i| if i == 33 { 1e200 } else { 1e-200 })
            .collect(),
        // The longest that a survey has, a prime.
        wave(5_003, 1.0),
        (0..5_000).map(f64::from).collect(),
    ] {
        let row = measured(&series);
        assert_eq!(value(&row, "length"), series.len() as f64);
    }
}
