use super::*;
use crate::numeric::rng::Stream;
use crate::numeric::simd::SimdLevel;
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/rocket.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    let items = value.as_array().unwrap();
    items.iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn kernels(value: &Value) -> Vec<Kernel> {
    let place = |v: &Value| v.as_u64().unwrap() as usize;
    let kernel = |k: &Value| {
        let bias = k["bias"].as_f64().unwrap() as f32;
        Kernel::new(
            &numbers(&k["weights"]),
            bias,
            place(&k["dilation"]),
            place(&k["padding"]),
        )
    };
    value.as_array().unwrap().iter().map(kernel).collect()
}

fn assert_close(found: &[f32], expected: &[Vec<f32>]) {
    let expected = expected.concat();
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (a - b).abs() <= 1e-5 * b.abs().max(1.0),
            "feature {i}: {a}, expected {b}"
        );
    }
}

/// All features of `series` at `level`, one row for each series.
fn features(set: &KernelSet, level: SimdLevel, series: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; series.len() / set.series_len() * set.n_features()];
    set.transform_at(level, series, &mut out, set.n_features(), 0);
    out
}

fn walks(n: usize, len: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, &[n as u64, len as u64]);
    (0..n * len).map(|_| stream.normal() as f32).collect()
}

#[test]
fn features_match_aeon() {
    let fixture = fixture();
    let set = KernelSet::from_kernels(100, kernels(&fixture["kernels"]));
    let mut series = rows(&fixture["series"]).concat();
    for level in SimdLevel::available() {
        assert_close(
            &features(&set, level, &series),
            &rows(&fixture["features_raw"]),
        );
    }
    z_normalise(&mut series, 100);
    assert_close(
        &features(&set, SimdLevel::detect(), &series),
        &rows(&fixture["features_znorm"]),
    );
}

#[test]
fn ternary_kernels_match_the_reference() {
    let fixture = &fixture()["ternary"];
    let set = KernelSet::from_kernels(100, kernels(&fixture["kernels"]));
    let mut series = rows(&fixture["series"]);
    for row in &mut series {
        let largest = row.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        row.iter_mut()
            .for_each(|v| *v /= largest.max(f32::MIN_POSITIVE));
    }
    let mut found = features(&set, SimdLevel::detect(), &series.concat());
    // The reference has the largest output first.
    found.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    assert_close(&found, &rows(&fixture["features"]));
}

/// Computes the definition in the module's documentation, output by output.
fn by_definition(kernel: &Kernel, series: &[f32]) -> [f32; 2] {
    let outputs = kernel.outputs(series.len());
    let (mut positive, mut best) = (0, f32::NEG_INFINITY);
    for t in 0..outputs {
        let mut sum = kernel.bias();
        for (j, weight) in kernel.weights().iter().enumerate() {
            let at = (t + j * kernel.dilation()).checked_sub(kernel.padding());
            if let Some(x) = at.and_then(|i| series.get(i)) {
                sum = weight.mul_add(*x, sum);
            }
        }
        positive += usize::from(sum > 0.0);
        best = if sum > best { sum } else { best };
    }
    match outputs {
        0 => [0.0, 0.0],
        _ => [positive as f32 / outputs as f32, best],
    }
}

#[test]
fn every_level_gives_the_bits_of_the_definition() {
    for variant in [KernelVariant::Rocket, KernelVariant::Ternary] {
        for (n, len) in [
            (1, 100),
            (37, 53),
            (16, 7),
            (5, 3),
            (3, 1),
            (2, 11),
            (18, 301),
        ] {
            let series = walks(n, len, 5);
            let set = KernelSet::generate(variant, 70, len, 9, 2);
            let expected: Vec<u32> = series
                .chunks(len)
                .flat_map(|row| set.kernels().iter().flat_map(|k| by_definition(k, row)))
                .map(f32::to_bits)
                .collect();
            for level in SimdLevel::available() {
                let found = features(&set, level, &series);
                let found: Vec<u32> = found.into_iter().map(f32::to_bits).collect();
                assert!(
                    found == expected,
                    "{variant:?}, {n} series of {len}, {level}"
                );
            }
        }
    }
}

/// Padding wider than the reach, kernels wider than the series and kernels that do not fit.
#[test]
fn unusual_kernels_follow_the_definition() {
    let series = walks(19, 10, 6);
    let weights = [0.5, -1.0, 2.0, 0.25, -1.75];
    let odd: Vec<Kernel> = [(1, 9), (20, 45), (3, 0), (3, 6), (2, 0), (12, 24)]
        .map(|(dilation, padding)| Kernel::new(&weights, 0.1, dilation, padding))
        .into();
    let set = KernelSet::from_kernels(10, odd);
    let expected: Vec<f32> = series
        .chunks(10)
        .flat_map(|row| set.kernels().iter().flat_map(|k| by_definition(k, row)))
        .collect();
    for level in SimdLevel::available() {
        assert_eq!(features(&set, level, &series), expected, "{level}");
    }
}

#[test]
fn values_that_are_not_numbers_leave_the_maximum_alone() {
    let mut series = walks(2, 40, 8);
    series[50] = f32::NAN;
    let set = KernelSet::generate(KernelVariant::Rocket, 50, 40, 1, 0);
    let found = features(&set, SimdLevel::detect(), &series);
    assert!(found.iter().all(|v| !v.is_nan()));
    assert_eq!(found, features(&set, SimdLevel::Scalar, &series));
}

#[test]
fn bands_lie_side_by_side_and_threads_do_not_matter() {
    let (n, len) = (40, 30);
    let sets = [0, 1].map(|band| KernelSet::generate(KernelVariant::Rocket, 33, len, 4, band));
    let series = walks(n, len, 1);
    let stride = 2 * 66 + 3;
    let both = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut out = vec![-7.0; n * stride];
        pool.install(|| {
            sets[0].transform(&series, &mut out, stride, 0);
            sets[1].transform(&series, &mut out, stride, 66);
        });
        out
    };
    let out = both(1);
    assert_eq!(out, both(3));
    let alone = sets
        .each_ref()
        .map(|set| features(set, SimdLevel::detect(), &series));
    for (i, row) in out.chunks(stride).enumerate() {
        assert_eq!(row[..66], alone[0][i * 66..][..66]);
        assert_eq!(row[66..132], alone[1][i * 66..][..66]);
        assert_eq!(row[132..], [-7.0; 3]);
    }
}

#[test]
fn a_smaller_set_is_a_prefix_of_a_larger_one() {
    let small = KernelSet::generate(KernelVariant::Rocket, 200, 100, 3, 1);
    let large = KernelSet::generate(KernelVariant::Rocket, 500, 100, 3, 1);
    assert_eq!(small.kernels(), &large.kernels()[..200]);
    let other_band = KernelSet::generate(KernelVariant::Rocket, 200, 100, 3, 2);
    assert_ne!(small.kernels(), other_band.kernels());
}

#[test]
fn kernels_follow_the_rules_of_their_variant() {
    for (variant, lengths) in [
        (KernelVariant::Rocket, &[7, 9, 11][..]),
        (KernelVariant::Ternary, &[7, 9][..]),
    ] {
        let set = KernelSet::generate(variant, 6_000, 100, 17, 0);
        let mut counts = [0; 12];
        let mut padded = 0;
        for kernel in set.kernels() {
            let length = kernel.weights().len();
            counts[length] += 1;
            assert!(kernel.weights().iter().sum::<f32>().abs() < 1e-5);
            assert!((-1.0..=1.0).contains(&kernel.bias()));
            let reach = (length - 1) * kernel.dilation();
            assert!(kernel.dilation() >= 1 && reach <= 99);
            assert!([0, reach / 2].contains(&kernel.padding()));
            padded += usize::from(kernel.padding() > 0);
            if variant == KernelVariant::Ternary {
                // Weights differ by whole numbers.
                let first = kernel.weights()[0];
                let whole = |w: &f32| ((w - first) - (w - first).round()).abs() < 1e-6;
                assert!(kernel.weights().iter().all(whole));
            }
        }
        for &length in lengths {
            let expected = 6_000.0 / lengths.len() as f64;
            assert!(
                (f64::from(counts[length]) - expected).abs() < 250.0,
                "{counts:?}"
            );
        }
        assert!(padded.abs_diff(3_000) < 200, "{padded} padded");
        let share = |d| set.kernels().iter().filter(|k| k.dilation() == d).count();
        // Dilations are uniform by octave, so 1 is met more often than 2, and 2 than 7.
        assert!(share(1) > share(2) && share(2) > share(7));
    }
}

#[test]
fn z_normalised_series_have_unit_moments_and_constants_vanish() {
    let mut series = [1.0f32, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0, 5.0];
    z_normalise(&mut series, 4);
    assert!((series[0] + 1.341_640_8).abs() < 1e-6 && (series[3] - 1.341_640_8).abs() < 1e-6);
    assert_eq!(series[4..], [0.0; 4]);
}
