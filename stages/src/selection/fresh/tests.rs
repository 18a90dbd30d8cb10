use super::*;
use crate::numeric::rng::Stream;
use serde_json::Value;
use statistics::{fisher, kolmogorov_smirnov};

const FIXTURE: &str = include_str!("../../../tests/fixtures/fresh_select.json");

fn oracle() -> Value {
    serde_json::from_str(FIXTURE).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap_or(f64::NAN))
        .collect()
}

fn flags(value: &Value) -> Vec<bool> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_bool().unwrap())
        .collect()
}

fn assert_close(ours: f64, theirs: f64, tolerance: f64) {
    let equal = (ours - theirs).abs() <= tolerance * theirs.abs();
    assert!(
        equal || (ours.is_nan() && theirs.is_nan()),
        "{ours} is not {theirs}"
    );
}

/// Returns the p-values of columns as they are given.
fn p_values_of(columns: &[Vec<f32>], labels: &[usize], n_classes: usize, test: Test) -> Vec<f64> {
    let get = |i: usize, out: &mut Vec<f32>| out.clone_from(&columns[i]);
    p_values(columns.len(), get, labels, n_classes, test)
}

/// Columns of noise on a grid, some with NaNs, and labels of three uneven classes.
fn noise(n_cols: usize, rows: usize) -> (Vec<Vec<f32>>, Vec<usize>) {
    let mut stream = Stream::new(11, &[]);
    let labels = (0..rows).map(|i| [0, 0, 1, 0, 2][i % 5]).collect();
    let columns = (0..n_cols).map(|c| {
        let steps = [2.0, 7.0, 1e6][c % 3];
        let draw = |_| match stream.uniform() {
            u if c % 4 == 3 && u < 0.1 => f32::NAN,
            u => (u * steps).floor() as f32,
        };
        (0..rows).map(draw).collect()
    });
    (columns.collect(), labels)
}

#[test]
fn relevance_equals_tsfresh() {
    let oracle = oracle();
    let rows = oracle["columns"].as_array().unwrap().iter();
    let columns: Vec<Vec<f32>> = rows
        .map(|column| numbers(column).iter().map(|&v| v as f32).collect())
        .collect();
    let labels: Vec<usize> = numbers(&oracle["y"]).iter().map(|&y| y as usize).collect();
    let p = p_values_of(&columns, &labels, 2, Test::MannWhitney);
    let fdr = oracle["fdr_level"].as_f64().unwrap();
    let selected = select_by(&p, fdr, Correction::By);

    let expected_p = numbers(&oracle["p_value"]);
    let expected = flags(&oracle["relevant"]);
    assert_eq!(expected_p.len(), columns.len());
    for (row, name) in oracle["feature"].as_array().unwrap().iter().enumerate() {
        let column: usize = name.as_str().unwrap()[1..].parse().unwrap();
        if oracle["type"][row] == "constant" {
            assert!(p[column].is_nan());
        } else {
            assert_close(p[column], expected_p[row], 1e-9);
        }
        assert_eq!(selected[column], expected[row], "{name}");
    }
}

#[test]
fn corrections_equal_statsmodels() {
    let by = &oracle()["by"];
    let p = numbers(&by["p"]);
    for (correction, adjusted, rejected) in [
        (Correction::By, "by_adj", "by_reject_05"),
        (Correction::Bh, "bh_adj", "bh_reject_05"),
    ] {
        for (ours, theirs) in adjust(&p, correction).iter().zip(numbers(&by[adjusted])) {
            assert_close(*ours, theirs, 1e-12);
        }
        assert_eq!(select_by(&p, 0.05, correction), flags(&by[rejected]));
    }
}

#[test]
fn nan_is_no_hypothesis() {
    let adjusted = adjust(&[0.01, f64::NAN, 0.04], Correction::Bh);
    assert_eq!((adjusted[0], adjusted[2]), (0.02, 0.04));
    assert!(adjusted[1].is_nan());
    assert_eq!(select_by(&[f64::NAN], 1.0, Correction::By), [false]);
}

#[test]
fn two_sample_tests_equal_scipy() {
    let oracle = oracle();
    let samples = [&oracle["mann_whitney"]["a"], &oracle["mann_whitney"]["b"]].map(numbers);
    let labels: Vec<usize> = (0..2)
        .flat_map(|class| vec![class; samples[class].len()])
        .collect();
    let column = vec![samples.concat().iter().map(|&v| v as f32).collect()];
    for (test, name) in [
        (Test::MannWhitney, "mann_whitney"),
        (Test::KolmogorovSmirnov, "kolmogorov_smirnov"),
    ] {
        let expected = oracle[name]["p"].as_f64().unwrap();
        assert_close(p_values_of(&column, &labels, 2, test)[0], expected, 1e-9);
    }
}

#[test]
fn kolmogorov_smirnov_equals_scipy() {
    let figures = &oracle()["kolmogorov_smirnov"];
    let check = |case: &Value| {
        let [class, rest, gap, p] = numbers(case)[..] else {
            panic!("four numbers")
        };
        let sizes = Sizes {
            class: class as usize,
            rest: rest as usize,
        };
        assert_close(kolmogorov_smirnov(sizes, gap as u64), p, 1e-9);
        let swapped = Sizes {
            class: sizes.rest,
            rest: sizes.class,
        };
        assert_close(kolmogorov_smirnov(swapped, gap as u64), p, 1e-9);
    };
    figures["cases"].as_array().unwrap().iter().for_each(check);
    check(&figures["limit"]);
    assert_eq!(kolmogorov_smirnov(Sizes { class: 4, rest: 5 }, 0), 1.0);
    // These are the only two of 70 orders that separate the samples.
    assert_close(
        kolmogorov_smirnov(Sizes { class: 4, rest: 4 }, 16),
        2.0 / 70.0,
        1e-14,
    );
}

#[test]
fn fisher_equals_scipy() {
    for case in oracle()["fisher"].as_array().unwrap() {
        let [class, rest, high, high_in_class, p] = numbers(case)[..] else {
            panic!("five numbers")
        };
        let sizes = Sizes {
            class: class as usize,
            rest: rest as usize,
        };
        assert_close(
            fisher(sizes, high as usize, high_in_class as usize),
            p,
            1e-9,
        );
    }
}

#[test]
fn nothing_to_test_is_nan() {
    let nan = f32::NAN;
    let columns = [
        vec![1.0; 6],
        vec![nan; 6],
        vec![2.0, nan, 2.0, nan, nan, 2.0],
        // Only rows of class 0 have values.
        vec![1.0, 2.0, 3.0, nan, nan, nan],
        vec![-0.0, 0.0, -0.0, 0.0, 0.0, -0.0],
    ];
    for test in [Test::MannWhitney, Test::KolmogorovSmirnov] {
        let p = p_values_of(&columns, &[0, 0, 0, 1, 1, 1], 2, test);
        assert!(p.iter().all(|p| p.is_nan()), "{p:?}");
    }
    assert!(p_values_of(&[], &[], 2, Test::MannWhitney).is_empty());
    assert!(p_values_of(&[vec![]], &[], 2, Test::MannWhitney)[0].is_nan());
}

#[test]
fn nan_rows_are_left_out() {
    let (columns, labels) = noise(12, 300);
    for test in [Test::MannWhitney, Test::KolmogorovSmirnov] {
        for (column, p) in columns.iter().zip(p_values_of(&columns, &labels, 3, test)) {
            let kept: Vec<usize> = (0..300).filter(|&i| !column[i].is_nan()).collect();
            let values = kept.iter().map(|&i| column[i]).collect();
            let labels: Vec<usize> = kept.iter().map(|&i| labels[i]).collect();
            assert_eq!(p_values_of(&[values], &labels, 3, test), [p]);
        }
    }
}

#[test]
fn several_classes_take_the_smallest_p_value_times_their_number() {
    let (columns, labels) = noise(9, 400);
    for test in [Test::MannWhitney, Test::KolmogorovSmirnov] {
        let p = p_values_of(&columns, &labels, 3, test);
        let one_vs_rest: Vec<Vec<f64>> = (0..3)
            .map(|class| {
                let labels: Vec<usize> = labels.iter().map(|&l| usize::from(l == class)).collect();
                p_values_of(&columns, &labels, 2, test)
            })
            .collect();
        for (i, &p) in p.iter().enumerate() {
            let smallest = (0..3)
                .map(|class| one_vs_rest[class][i])
                .fold(1.0, f64::min);
            assert_close(p, (3.0 * smallest).min(1.0), 1e-15);
        }
        // A class without rows changes nothing.
        assert_eq!(p_values_of(&columns, &labels, 4, test), p);
    }
}

#[test]
fn threads_do_not_change_results() {
    let (columns, labels) = noise(50, 200);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| p_values_of(&columns, &labels, 3, Test::MannWhitney))
    };
    let bits = |p: Vec<f64>| p.iter().map(|p| p.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(with(1)), bits(with(4)));
}

#[test]
fn variance_is_of_the_population() {
    assert_eq!(variance(&[1.0, f32::NAN, 3.0]), 1.0);
    // One pass in f32 would lose the variance altogether.
    assert_eq!(variance(&[16_777_216.0, 16_777_218.0]), 1.0);
    assert!(variance(&[]).is_nan());
    let columns = [
        vec![1.0, 3.0],
        vec![2.0, 2.0],
        vec![f32::NAN; 2],
        vec![f32::INFINITY, 1.0],
    ];
    let get = |i: usize, out: &mut Vec<f32>| out.clone_from(&columns[i]);
    assert_eq!(select_by_variance(4, get, 0.5), [true, false, false, false]);
    assert_eq!(select_by_variance(2, get, 1.0), [false, false]);
}

#[test]
fn counted_columns_have_the_p_values_of_sorted_ones() {
    let (mut columns, labels) = noise(12, 700);
    columns.push(labels.iter().map(|&label| label as f32).collect());
    columns.push(
        (0..700)
            .map(|i| if i % 3 == 0 { -0.0 } else { 0.0 })
            .collect(),
    );
    columns.push(vec![f32::NAN; 700]);
    columns.push((0..700).map(|i| (i % 256) as f32 - 100.0).collect());
    let rows = [420, 140, 140];
    let mut sorted = SortedColumn::new(3);
    let mut counted = 0;
    for column in &columns {
        sorted.load(column, &labels, &rows, Test::MannWhitney);
        counted += usize::from(sorted.counted);
        let found = sorted.p_value(Test::MannWhitney);
        // Columns are sorted for this test.
        sorted.load(column, &labels, &rows, Test::KolmogorovSmirnov);
        assert!(!sorted.counted);
        let expected = sorted.p_value(Test::MannWhitney);
        assert_eq!(found.to_bits(), expected.to_bits());
    }
    assert!((8..columns.len()).contains(&counted), "{counted}");
}
