use serde_json::Value;

use super::bootstrap::{Distribution, Units};
use super::distribution::*;
use super::multiple::holm;
use super::resampled::ResampledT;
use super::weighted::Ranking;
use crate::numeric::metrics::{Confusion, average_precision, cross_fitted_threshold, roc_auc};
use crate::numeric::rng::Stream;

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/stats_tests.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(ours: f64, theirs: &Value) {
    let theirs = theirs.as_f64().unwrap();
    assert!(
        (ours - theirs).abs() <= 1e-11 * theirs.abs().max(1.0),
        "{ours} is not {theirs}"
    );
}

/// Differences by fold of the published ablation: ROCKET with and without physics features.
fn seed_differences(oracle: &Value) -> Vec<f64> {
    let (a, b) = (
        numbers(&oracle["seed_folds"]["rocket_domain"]),
        numbers(&oracle["seed_folds"]["rocket"]),
    );
    a.iter().zip(&b).map(|(a, b)| a - b).collect()
}

#[test]
fn corrected_t_equals_scipy() {
    let oracle = oracle();
    let rep50 = numbers(&oracle["rep50"]["diffs"]);
    for (differences, expected) in [
        (seed_differences(&oracle), &oracle["seed_folds"]["nb_k5"]),
        (rep50, &oracle["rep50"]["nb_10x5"]),
    ] {
        let test = ResampledT::of(&differences, 0.25).unwrap();
        close(test.mean, &expected["mean"]);
        close(test.t, &expected["t"]);
        close(test.df, &expected["df"]);
        close(test.p, &expected["p_two"]);
        let (low, high) = test.interval(0.95);
        close(low, &expected["ci95"][0]);
        close(high, &expected["ci95"][1]);
    }
    // Without the correction, this is the usual paired t test.
    let naive = ResampledT::of(&seed_differences(&oracle), 0.0).unwrap();
    close(naive.t, &oracle["seed_folds"]["naive_t"]["t"]);
    close(naive.p, &oracle["seed_folds"]["naive_t"]["p"]);
}

#[test]
fn posterior_chances_equal_baycomp() {
    let oracle = oracle();
    let rep50 = ResampledT::of(&numbers(&oracle["rep50"]["diffs"]), 0.25).unwrap();
    let seed = ResampledT::of(&seed_differences(&oracle), 0.25).unwrap();
    for (test, expected) in [
        (rep50, &oracle["rep50"]["bayes"]),
        (seed, &oracle["seed_folds"]["bayes_rho02_rope001"]),
    ] {
        let rope = test.rope(0.01);
        close(rope.below, &expected["left"]);
        close(rope.within, &expected["rope"]);
        close(rope.above, &expected["right"]);
    }
    let baycomp = &oracle["rep50"]["baycomp"]["probs"];
    close(rep50.rope(0.01).above, &baycomp[0]);
}

#[test]
fn equal_folds_are_certainly_equal() {
    let test = ResampledT::of(&[0.0; 5], 0.25).unwrap();
    assert_eq!((test.t, test.p), (0.0, 1.0));
    let rope = test.rope(0.01);
    assert_eq!((rope.below, rope.within, rope.above), (0.0, 1.0, 0.0));
    let shifted = ResampledT::of(&[0.5; 5], 0.25).unwrap();
    assert_eq!((shifted.p, shifted.rope(0.01).above), (0.0, 1.0));
    assert_eq!(ResampledT::of(&[0.1], 0.25), None);
}

#[test]
fn student_has_its_closed_forms() {
    for t in [-40.0, -3.0, -0.7, 0.0, 1e-9, 0.2, 1.0, 2.5, 12.0] {
        let one = 0.5 + libm::atan(t) / std::f64::consts::PI;
        let two = 0.5 + t / (2.0 * (2.0_f64 + t * t).sqrt());
        let x: f64 = t / (4.0_f64 + t * t).sqrt();
        let four = 0.5 + 0.75 * x - 0.25 * x * x * x;
        for (df, expected) in [(1.0, one), (2.0, two), (4.0, four)] {
            let found = student_cdf(t, df);
            assert!(
                (found - expected).abs() < 1e-13,
                "{t} {df}: {found} {expected}"
            );
        }
        // A million degrees of freedom are normal to about t^2 / 4 df.
        assert!((student_cdf(t, 1e6) - normal_cdf(t)).abs() < 1e-6);
    }
}

#[test]
fn logarithms_of_small_probabilities_are_those_of_scipy() {
    // scipy.stats.norm.logcdf of SciPy 1.17.1, on both sides of where the series begins.
    for (z, expected) in [
        (3.0, -0.0013508099647481925),
        (0.0, -std::f64::consts::LN_2),
        (-1.5, -2.7059444008238898),
        (-10.0, -53.23128515051248),
        (-29.0, -424.78741990973026),
        (-31.0, -484.8539636271794),
        (-50.0, -1254.8313611394199),
        (-1e5, -5_000_000_012.431865),
    ] {
        let found = ln_normal_cdf(z);
        assert!(
            (found / expected - 1.0).abs() < 1e-12,
            "{z}: {found}, not {expected}"
        );
    }
    assert_eq!(ln_normal_cdf(f64::INFINITY), 0.0);
    assert!(ln_normal_cdf(f64::NAN).is_nan());
}

#[test]
fn quantiles_invert_and_match_tables() {
    for p in [1e-12, 1e-4, 0.025, 0.3, 0.5, 0.9, 0.999] {
        assert!((normal_cdf(normal_quantile(p)) / p - 1.0).abs() < 1e-12);
        for df in [1.0, 3.0, 49.0, 2124.0] {
            let t = student_quantile(p, df);
            assert!((student_cdf(t, df) / p - 1.0).abs() < 1e-11, "{p} {df}");
        }
    }
    assert!((normal_quantile(0.975) - 1.959963984540054).abs() < 1e-12);
    assert!((student_quantile(0.975, 10.0) - 2.2281388519862744).abs() < 1e-12);
    assert!((student_quantile(0.95, 4.0) - 2.1318467863266495).abs() < 1e-12);
    assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
    assert_eq!(student_quantile(1.0, 5.0), f64::INFINITY);
    assert!(normal_quantile(f64::NAN).is_nan());
}

#[test]
fn holm_steps_down_and_stays_monotone() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((found - expected).abs() < 1e-15, "{adjusted:?}");
    }
    assert_eq!(holm(&[0.5, 0.9]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

/// Scores on a coarse grid, so that many tie. One row in six is positive.
fn sample(n: usize, seed: u64) -> (Vec<f64>, Vec<bool>, Vec<Vec<u32>>) {
    let mut stream = Stream::new(seed, &[]);
    let labels: Vec<bool> = (0..n).map(|_| stream.uniform() < 1.0 / 6.0).collect();
    let scores = (labels.iter())
        .map(|&label| {
            let shift = if label { 1.0 } else { 0.0 };
            ((stream.normal() + shift) * 8.0).round() / 8.0
        })
        .collect();
    let deals = (0..3)
        .map(|_| (0..n).map(|_| stream.below(5) as u32).collect())
        .collect();
    (scores, labels, deals)
}

#[test]
fn counted_rows_score_as_rows_written_down_so_often() {
    for seed in 0..40 {
        let n = if seed % 4 == 0 { 12 } else { 150 };
        let (scores, labels, deals) = sample(n, seed);
        let ranking = Ranking::new(&scores, &labels, &deals);
        let counts = Units::rows(n).draw(seed, 7);
        let written: Vec<usize> = (0..n)
            .flat_map(|i| std::iter::repeat_n(i, counts[i] as usize))
            .collect();
        let scores: Vec<f64> = written.iter().map(|&i| scores[i]).collect();
        let labels: Vec<bool> = written.iter().map(|&i| labels[i]).collect();
        let found = ranking.figures(&counts);
        let mut expected = [Some(0.0); 3];
        for (deal, predicted) in deals.iter().zip(ranking.predicted(&counts)) {
            let folds: Vec<u32> = written.iter().map(|&i| deal[i]).collect();
            let nested = cross_fitted_threshold(&scores, &labels, &folds);
            let chosen = folds
                .iter()
                .all(|&f| nested.thresholds[f as usize].is_some());
            let predicted: Option<Vec<bool>> =
                predicted.map(|all| written.iter().map(|&i| all[i]).collect());
            assert_eq!(
                predicted,
                chosen.then_some(nested.predicted.clone()),
                "{seed}"
            );
            let counts = Confusion::of(&nested.predicted, &labels);
            for (sum, value) in
                (expected.iter_mut()).zip([counts.f1(), counts.precision(), counts.recall()])
            {
                *sum = sum
                    .filter(|_| chosen)
                    .map(|sum| sum + value / deals.len() as f64);
            }
        }
        let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-13,
            (a, b) => a == b,
        };
        let areas = (
            average_precision(&scores, &labels, None),
            roc_auc(&scores, &labels, None),
        );
        assert!(same(found.average_precision, areas.0), "{seed}");
        assert!(same(found.roc_auc, areas.1), "{seed}");
        for (found, expected) in [found.f1, found.precision, found.recall]
            .iter()
            .zip(expected)
        {
            assert!(same(*found, expected), "{seed}: {found:?} {expected:?}");
        }
    }
}

#[test]
fn a_sample_without_a_class_has_no_areas() {
    let ranking = Ranking::new(&[0.3, 0.6], &[true, false], &[vec![0, 1]]);
    let none = ranking.figures(&[0, 2]);
    assert_eq!(
        (none.average_precision, none.roc_auc, none.f1),
        (None, None, None)
    );
    let all = ranking.figures(&[3, 0]);
    assert_eq!((all.average_precision, all.roc_auc), (Some(1.0), None));
}

#[test]
fn draws_do_not_depend_on_threads_or_on_their_number() {
    let units = Units::rows(50);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build()
            .unwrap()
            .install(|| units.draws(40, 3, <[u32]>::to_vec))
    };
    let one = on(1);
    assert_eq!(one, on(4));
    assert_eq!(one[..10], units.draws(10, 3, <[u32]>::to_vec)[..]);
    assert_ne!(one[0], one[1]);
    assert!(one.iter().all(|counts| counts.iter().sum::<u32>() == 50));
}

#[test]
fn rows_of_a_group_are_drawn_together() {
    let units = Units::groups(&[0, 1, 0, 2, 1], 3);
    for draw in 0..20 {
        let counts = units.draw(1, draw);
        assert_eq!((counts[0], counts[1]), (counts[2], counts[4]));
        assert_eq!(counts[0] + counts[1] + counts[3], 3);
    }
}

#[test]
fn the_standard_error_of_a_mean_is_found() {
    let mut stream = Stream::new(9, &[]);
    let values: Vec<f64> = (0..400).map(|_| stream.normal()).collect();
    let mean = values.iter().sum::<f64>() / 400.0;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    let expected = squares.sqrt() / 400.0;
    let draws = Units::rows(400).draws(2000, 5, |counts| {
        let sum: f64 = counts
            .iter()
            .zip(&values)
            .map(|(&n, v)| f64::from(n) * v)
            .sum();
        sum / 400.0
    });
    let distribution = Distribution::new(draws, 400);
    assert!((distribution.se() / expected - 1.0).abs() < 0.05);
    let (low, high) = distribution.percentile(0.95);
    let width = 2.0 * 1.96 * expected;
    assert!(
        ((high - low) / width - 1.0).abs() < 0.08,
        "{low} {high} {width}"
    );
}

#[test]
fn few_units_widen_the_interval() {
    let values: Vec<f64> = (1..=1999)
        .map(|i| normal_quantile(f64::from(i) / 2000.0))
        .collect();
    let half = |units| Distribution::new(values.clone(), units).percentile(0.95).1;
    assert!((half(100_000) - 1.95996).abs() < 1e-3);
    // sqrt(10/9) times t(0.975, 9 degrees of freedom).
    assert!((half(10) - 2.38455).abs() < 2e-3, "{}", half(10));
}

#[test]
fn standard_intervals_are_centred_and_agree_with_their_p() {
    let values: Vec<f64> = (1..=999)
        .map(|i| normal_quantile(f64::from(i) / 1000.0))
        .collect();
    let distribution = Distribution::new(values, 10);
    let se = distribution.se();
    assert!((se - (10.0_f64 / 9.0).sqrt()).abs() < 0.01, "{se}");
    let (low, high) = distribution.standard(5.0, 0.95);
    assert!((high - 5.0 - 2.262157 * se).abs() < 1e-5 && (low + high - 10.0).abs() < 1e-12);
    assert!((distribution.standard_p(2.262157 * se) - 0.05).abs() < 1e-6);
    assert_eq!(distribution.standard_p(0.0), 1.0);
    // 2.262157 and 0.883404, t at 0.975 and 0.8 with 9 degrees of freedom.
    assert!((distribution.detectable(0.95) - 3.145561 * se).abs() < 1e-5);
    let certain = Distribution::new(vec![0.5; 10], 10);
    assert_eq!(
        (certain.standard_p(0.5), certain.standard(0.5, 0.95)),
        (0.0, (0.5, 0.5))
    );
}

#[test]
fn p_values_and_intervals_agree() {
    for units in [6, 20, 2000] {
        for seed in 0..60 {
            let mut stream = Stream::new(seed, &[]);
            let shift = stream.uniform_in(-3.0, 3.0);
            let values: Vec<f64> = (0..999).map(|_| stream.normal() + shift).collect();
            let distribution = Distribution::new(values, units);
            let (low, high) = distribution.percentile(0.95);
            let p = distribution.percentile_p();
            // Between two order statistics they may differ by one draw in a thousand.
            if (p - 0.05).abs() > 0.004 {
                assert_eq!(
                    p < 0.05,
                    low > 0.0 || high < 0.0,
                    "{units} {seed}: {p} {low} {high}"
                );
            }
        }
    }
    assert_eq!(Distribution::new(vec![0.0; 100], 50).percentile_p(), 1.0);
}
