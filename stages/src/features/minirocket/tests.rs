//! Against aeon 1.6.0: `tests/fixtures/minirocket.json` and `multirocket.json`.

use serde_json::Value;

use super::biases::{level, outputs};
use super::*;
use crate::numeric::rng::Stream;
use crate::numeric::simd::SimdLevel;

fn mini() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/minirocket.json")).unwrap()
}

fn multi() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/multirocket.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    let items = value.as_array().unwrap();
    items.iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn places(value: &Value) -> Vec<usize> {
    numbers(value).into_iter().map(|v| v as usize).collect()
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 1e-6 * b.abs().max(1.0),
            "feature {i}: {a}, expected {b}"
        );
    }
}

/// The wanted columns of `series`, one row for each.
fn features(transform: &Transform<'_>, level: SimdLevel, series: &[f32]) -> Vec<f32> {
    let n = series.len() / transform.kernels.plan().points;
    let mut out = vec![f32::NAN; n * transform.wanted.len()];
    transform.run_at(level, series, &mut out, transform.wanted.len(), 0);
    out
}

fn walks(n: usize, len: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, &[n as u64, len as u64]);
    let mut level = 0.0;
    let step = |_| {
        level += stream.normal();
        level as f32
    };
    (0..n * len).map(step).collect()
}

fn some_kernels(points: usize, features: usize) -> BiasedKernels {
    let series = walks(7, points, 3);
    let plan = DilationPlan::new(points, features, 32);
    BiasedKernels::fit(plan, |pair| &series[pair % 7 * points..][..points])
}

#[test]
fn kernels_and_dilations_are_those_of_aeon() {
    let oracle = mini();
    let heavy = oracle["indices"].as_array().unwrap();
    assert!(
        heavy
            .iter()
            .map(places)
            .eq(HEAVY.iter().map(|taps| taps.to_vec()))
    );
    for (points, features, name) in [
        (100, 10_000, "T100_n10000"),
        (50, 5_000, "T50_n5000"),
        (160, 10_000, "T160_n10000"),
    ] {
        let plan = DilationPlan::new(points, features, 32);
        let expected = &oracle["fit_dilations"][name];
        assert_eq!(plan.dilations, places(&expected[0]), "{name}");
        assert_eq!(plan.biases, places(&expected[1]), "{name}");
    }
    let plan = DilationPlan::new(100, 10_000, 32);
    assert_eq!(
        plan.features() as u64,
        oracle["total_features_n10000_T100"].as_u64().unwrap()
    );
    for points in [17, 25, 33, 49, 97, 193, 521] {
        let plan = DilationPlan::new(points, 10_000, 32);
        assert_eq!(plan.dilations.last(), Some(&((points - 1) / 8)));
    }
    let levels = numbers(&oracle["quantiles"]);
    let ours: Vec<f32> = (0..levels.len()).map(level).collect();
    assert_close(&ours, &levels);
}

#[test]
fn proportions_are_those_of_aeon() {
    let oracle = mini();
    let series = rows(&oracle["X"]);
    let points = series[0].len();
    let plan = DilationPlan::new(points, 168, 32);
    assert_eq!(plan.dilations, places(&oracle["dilations"]));
    assert_eq!(plan.biases, places(&oracle["features_per_dilation"]));
    let kernels = BiasedKernels::new(plan, numbers(&oracle["biases"])).unwrap();
    let expected = rows(&oracle["features"]);
    let all: Vec<usize> = (0..168).collect();
    let transform = Transform {
        kernels: &kernels,
        pooling: Pooling::Proportion,
        shift: 0,
        wanted: &all,
    };
    for level in SimdLevel::available() {
        let found = features(&transform, level, &series[..expected.len()].concat());
        assert_close(&found, &expected.concat());
    }
}

#[test]
fn biases_are_quantiles_of_one_of_the_series() {
    let oracle = mini();
    let series = rows(&oracle["X"]);
    let expected = numbers(&oracle["biases"]);
    let plan = DilationPlan::new(series[0].len(), 168, 32);
    let fits: Vec<BiasedKernels> = series
        .iter()
        .map(|one| BiasedKernels::fit(plan.clone(), |_| one))
        .collect();
    for (k, bias) in expected.iter().enumerate() {
        let near =
            |fit: &BiasedKernels| (fit.biases()[k] - bias).abs() <= 1e-5 * bias.abs().max(1.0);
        assert!(fits.iter().any(near), "bias {k} is {bias}");
    }
}

#[test]
fn four_statistics_are_those_of_aeon() {
    let oracle = multi();
    let series = rows(&oracle["X"]).concat();
    let expected = rows(&oracle["features"]);
    let points = series.len() / expected.len();
    let all: Vec<usize> = (0..4 * KERNELS).collect();
    let mut found = vec![Vec::new(); expected.len()];
    for (of, name, shift) in [
        (series.clone(), "parameters", 0),
        (differences(&series, points), "parameters_diff", 1),
    ] {
        let plan = DilationPlan::new(points - shift, 84, 32);
        assert_eq!(plan.dilations, places(&oracle[name][0]));
        let kernels = BiasedKernels::new(plan, numbers(&oracle[name][2])).unwrap();
        let transform = Transform {
            kernels: &kernels,
            pooling: Pooling::Multi,
            shift,
            wanted: &all,
        };
        let level = SimdLevel::active();
        let values = features(&transform, level, &of);
        for (row, values) in found.iter_mut().zip(values.chunks(4 * KERNELS)) {
            // aeon has all values of a statistic side by side.
            let of_statistic = |s: usize| values.iter().skip(s).step_by(4).copied();
            row.extend((0..4).flat_map(of_statistic));
        }
    }
    for (found, expected) in found.iter().zip(&expected) {
        assert_close(found, expected);
    }
}

#[test]
fn levels_give_the_same_bits() {
    let series = walks(37, 61, 11);
    let kernels = some_kernels(61, 1000);
    for (pooling, shift) in [
        (Pooling::Proportion, 0),
        (Pooling::Multi, 0),
        (Pooling::Multi, 1),
    ] {
        let wanted: Vec<usize> = (0..kernels.plan().features() * pooling.statistics()).collect();
        let transform = Transform {
            kernels: &kernels,
            pooling,
            shift,
            wanted: &wanted,
        };
        let bits = |level| -> Vec<u32> {
            let values = features(&transform, level, &series);
            values.into_iter().map(f32::to_bits).collect()
        };
        let scalar = bits(SimdLevel::Scalar);
        for level in SimdLevel::available() {
            assert!(bits(level) == scalar, "{level} {pooling:?}");
        }
        let one = pool(1).install(|| bits(SimdLevel::active()));
        assert!(one == pool(3).install(|| bits(SimdLevel::active())));
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap()
}

#[test]
fn a_choice_of_columns_gives_the_values_of_all() {
    let series = walks(5, 40, 2);
    let kernels = some_kernels(40, 400);
    for pooling in [Pooling::Proportion, Pooling::Multi] {
        let n = kernels.plan().features() * pooling.statistics();
        let all: Vec<usize> = (0..n).collect();
        let some: Vec<usize> = (0..n).filter(|i| i % 7 == 3 || i % 31 == 0).collect();
        let of = |wanted: &[usize]| {
            let transform = Transform {
                kernels: &kernels,
                pooling,
                shift: 0,
                wanted,
            };
            features(&transform, SimdLevel::active(), &series)
        };
        let whole = of(&all);
        let picked = whole.chunks(n).flat_map(|row| some.iter().map(|&i| row[i]));
        assert!(of(&some).into_iter().eq(picked));
        assert!(of(&[]).is_empty());
    }
}

#[test]
fn outputs_are_those_of_the_formula() {
    let series = walks(1, 30, 5);
    let weight = |kernel: usize, tap| {
        if HEAVY[kernel].contains(&tap) {
            2.0
        } else {
            -1.0
        }
    };
    for (kernel, dilation) in [(0, 1), (83, 2), (40, 3)] {
        let found = outputs(&series, kernel, dilation);
        for (t, value) in found.iter().enumerate() {
            let mut expected = 0.0;
            for tap in 0..TAPS {
                let place = (t + tap * dilation).wrapping_sub(4 * dilation);
                expected +=
                    weight(kernel, tap) * f64::from(series.get(place).copied().unwrap_or(0.0));
            }
            assert!(
                (f64::from(*value) - expected).abs() < 1e-4,
                "{value} {expected}"
            );
        }
    }
}

#[test]
fn odd_series_give_numbers() {
    let points = 9;
    let odd = [
        [0.0; 9],
        [f32::MAX; 9],
        [-f32::MAX; 9],
        [1e-40; 9],
        [f32::NAN; 9],
    ];
    for one in odd {
        let plan = DilationPlan::new(points, 84, 32);
        let kernels = BiasedKernels::fit(plan, |_| &one[..]);
        assert!(kernels.biases().iter().all(|b| b.is_finite()));
        for (pooling, shift) in [
            (Pooling::Proportion, 0),
            (Pooling::Multi, 0),
            (Pooling::Multi, 1),
        ] {
            let wanted: Vec<usize> = (0..84 * pooling.statistics()).collect();
            let transform = Transform {
                kernels: &kernels,
                pooling,
                shift,
                wanted: &wanted,
            };
            let values = features(&transform, SimdLevel::active(), &odd.concat());
            assert!(values.iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
fn plans_of_all_lengths_fit() {
    for points in LEAST_POINTS..400 {
        for features in [1, 84, 500, 10_000] {
            let plan = DilationPlan::new(points, features, 32);
            assert_eq!(plan.features(), (features / 84).max(1) * 84);
            assert!(plan.dilations.is_sorted_by(|a, b| a < b));
            assert!(
                plan.dilations.iter().all(|d| (TAPS - 1) * d < points),
                "{plan:?}"
            );
        }
    }
    assert_eq!(DilationPlan::new(0, 84, 32).dilations, [1]);
    assert_eq!(
        differences(&[1.0, 3.0, 2.0, 5.0, 5.0, 4.0], 3),
        [2.0, -1.0, 0.0, -1.0]
    );
}

fn grid(multi: bool) -> GridKernels {
    let layout = GridLayout {
        multi,
        kernels: 200,
        dilations: 3,
        normalise: true,
        prefix: "p_".into(),
        bands: vec!["g".into(), "r".into()],
        points: 20,
    };
    let mut kernels = GridKernels::new(layout);
    for band in 0..2 {
        let values = walks(9, 20, band as u64);
        kernels.fit(Series { band, values }, 7);
    }
    kernels
}

#[test]
fn the_kernels_of_a_grid_are_read_as_they_were_written() {
    for multi in [false, true] {
        let kernels = grid(multi);
        let text = serde_json::to_string(&kernels).unwrap();
        let read: GridKernels = serde_json::from_str(&text).unwrap();
        assert!(read == kernels && read.is_whole());
        let mut names = kernels.names();
        assert_eq!(names.len(), 2 * 168 * if multi { 8 } else { 1 });
        names.sort();
        names.dedup();
        assert_eq!(names.len(), kernels.names().len());
        assert!(!GridKernels::new(kernels.layout().clone()).is_whole());
    }
}

#[test]
fn columns_of_a_grid_do_not_depend_on_what_else_is_wanted() {
    for multi in [false, true] {
        let kernels = grid(multi);
        let n = kernels.names().len();
        let all: Vec<usize> = (0..n).collect();
        let some: Vec<usize> = (n / 2 - 30..n).step_by(11).collect();
        let of = |wanted: &[usize]| {
            let mut out = vec![f32::NAN; 3 * wanted.len()];
            for band in (0..2).filter(|&band| kernels.reads(band, wanted)) {
                let values = walks(3, 20, 50 + band as u64);
                kernels.transform(Series { band, values }, wanted, &mut out);
            }
            out
        };
        let whole = of(&all);
        assert!(whole.iter().all(|v| v.is_finite()));
        let picked = whole.chunks(n).flat_map(|row| some.iter().map(|&i| row[i]));
        assert!(of(&some).into_iter().eq(picked));
        assert!(!kernels.reads(0, &all[n / 2..]) && kernels.reads(1, &all[n - 1..]));
    }
}
