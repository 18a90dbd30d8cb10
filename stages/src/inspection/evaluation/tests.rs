use super::*;
use crate::evaluation::{Metric, MetricReport, ScoreSettings};
use crate::numeric::rng::Stream;

const CLASSES: [&str; 3] = ["AGN", "SN", "TDE"];

/// Predictions of `n` objects in repeats of four folds, with ties. Every third object is of each class, or one in
/// ten is a TDE if `rare`.
fn predictions(n: usize, repeats: i32, rare: bool) -> Predictions {
    let mut all = Predictions {
        classes: CLASSES.map(String::from).to_vec(),
        positive: Some("TDE".into()),
        probability: vec![Vec::new(); 3],
        ..Predictions::default()
    };
    for repeat in 0..repeats {
        let mut stream = Stream::new(5, &[repeat as u64]);
        for i in 0..n {
            let class = match rare {
                true if i % 10 == 3 => 2,
                true => i % 2,
                false => i % 3,
            };
            let mut weights = [0.0; 3].map(|_: f64| 0.05 + stream.uniform());
            weights[class] += 1.5 * stream.uniform();
            let sum: f64 = weights.iter().sum();
            let rounded = |w: f64| (w / sum * 50.0).round() / 50.0;
            all.object_id.push(format!("o{i:05}"));
            all.repeat.push(repeat);
            all.fold.push(Some(stream.below(4) as i32));
            all.label.push(Some(CLASSES[class].into()));
            for (column, weight) in all.probability.iter_mut().zip(weights) {
                column.push(rounded(weight));
            }
        }
    }
    all
}

fn facts(n: usize) -> BTreeMap<String, ObjectFacts> {
    let of = |i: usize| {
        let facts = ObjectFacts {
            redshift: (!i.is_multiple_of(7)).then(|| i as f64 / n as f64),
            magnitude: Some(18.0 + (i % 31) as f64 * 0.1),
            points: Some(20 + i % 100),
        };
        (format!("o{i:05}"), facts)
    };
    (0..n).map(of).collect()
}

fn inspect(predictions: &Predictions, threshold: Option<f64>) -> Inspection {
    let facts = facts(predictions.len());
    let inspected = Inspected {
        predictions,
        folds: None,
        threshold,
        facts: &facts,
    };
    Inspection::of(&inspected).unwrap()
}

fn report(predictions: &Predictions, top: usize) -> MetricReport {
    let settings = ScoreSettings {
        top,
        ..ScoreSettings::default()
    };
    let repeats = out_of_fold(predictions).unwrap();
    MetricReport::without_intervals(predictions, &repeats, &settings).unwrap()
}

fn pooled(report: &MetricReport, metric: Metric) -> f64 {
    report.metric(metric).unwrap().pooled.unwrap()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} {b}");
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn area(band: &crate::inspection::CurveBand) -> f64 {
    let steps = band.x.windows(2).zip(band.y.windows(2));
    steps
        .map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0)
        .sum()
}

#[test]
fn curves_agree_with_the_evaluation() {
    for repeats in [1, 3] {
        let predictions = predictions(600, repeats, true);
        let found = inspect(&predictions, Some(0.4));
        let curves = found.classes[0].curves.as_ref().unwrap();
        let top = curves.top_purity.x[60];
        let report = report(&predictions, top as usize);
        close(mean(&curves.precision.y), pooled(&report, Metric::Ap));
        assert!((area(&curves.roc) - pooled(&report, Metric::RocAuc)).abs() < 0.003);
        close(
            curves.top_purity.y[60],
            pooled(&report, Metric::PrecisionTop),
        );
        close(
            curves.top_completeness.y[60],
            curves.top_purity.y[60] * top / found.classes[0].positives as f64,
        );
        let operating = found.operating.unwrap();
        let at = curves.purity.x.iter().position(|t| *t == 0.4).unwrap();
        close(curves.purity.y[at], operating.precision);
        close(curves.completeness.y[at], operating.recall);
        let (p, r) = (operating.precision, operating.recall);
        if repeats == 1 {
            close(operating.f1, 2.0 * p * r / (p + r));
        }
    }
}

#[test]
fn the_best_threshold_has_the_best_f1() {
    let predictions = predictions(600, 1, true);
    let report = report(&predictions, 100);
    let threshold = pooled(&report, Metric::ThresholdOracle);
    let found = inspect(&predictions, Some(threshold));
    close(
        found.operating.unwrap().f1,
        pooled(&report, Metric::F1Oracle),
    );
}

#[test]
fn slices_by_fold_and_repeat_agree_with_the_evaluation() {
    let predictions = predictions(600, 2, true);
    let found = inspect(&predictions, None);
    let report = report(&predictions, 100);
    let by = |name: &str| found.slices.iter().find(|s| s.by == name).unwrap();
    let (folds, repeats) = (by("fold"), by("repeat"));
    assert_eq!(folds.slices.len(), 8);
    assert_eq!(folds.slices[5].name, "1.1");
    for (at, slice) in folds.slices.iter().enumerate() {
        assert_eq!(slice.figures.len(), 5);
        for figure in &slice.figures {
            let expected = report.metric(figure.metric).unwrap().folds[at];
            close(figure.value.unwrap(), expected.unwrap());
        }
    }
    for figure in 0..5 {
        let values: Vec<f64> = (repeats.slices.iter())
            .map(|slice| slice.figures[figure].value.unwrap())
            .collect();
        let metric = repeats.slices[0].figures[figure].metric;
        close(mean(&values), pooled(&report, metric));
    }
    let rows: u64 = folds.slices.iter().map(|slice| slice.rows).sum();
    assert_eq!(rows, 1200);
}

#[test]
fn slices_have_all_rows_and_intervals_around_their_values() {
    let predictions = predictions(600, 2, true);
    let found = inspect(&predictions, None);
    for name in ["redshift", "magnitude", "points"] {
        let slices = &found.slices.iter().find(|s| s.by == name).unwrap().slices;
        assert!(slices.len() >= 5, "{name}");
        let rows: u64 = slices.iter().map(|slice| slice.rows).sum();
        let positives: u64 = slices.iter().map(|slice| slice.positives.unwrap()).sum();
        assert_eq!((rows, positives), (600, 60), "{name}");
        for figure in slices.iter().flat_map(|slice| &slice.figures) {
            let (value, (low, high)) = (figure.value.unwrap(), figure.interval.unwrap());
            assert!(0.0 <= low && low <= value && value <= high && high <= 1.0);
        }
    }
    let unknown = found.slices[0].slices.last().unwrap();
    assert_eq!((unknown.name.as_str(), unknown.rows), ("unknown", 86));
}

#[test]
fn counts_by_label_are_those_of_the_confusion_matrix() {
    let predictions = predictions(600, 2, true);
    let found = inspect(&predictions, None);
    let counts = report(&predictions, 100).confusion.unwrap();
    let classes = &found.by_label.classes;
    assert_eq!(classes[0], ("TDE".into(), counts[1][1], counts[1][0]));
    let rest = classes[1..].iter();
    let rest = rest.fold((0, 0), |sum, class| (sum.0 + class.1, sum.1 + class.2));
    assert_eq!(rest, (counts[0][1], counts[0][0]));
    assert!(classes[1].1 >= classes[2].1);
    let most_probable = found.most_probable.as_ref().unwrap();
    assert_eq!(most_probable.classes, CLASSES);
    let mut whole = predictions.clone();
    whole.positive = None;
    assert_eq!(
        Some(&most_probable.counts),
        report(&whole, 100).confusion.as_ref()
    );
    assert!(inspect(&whole, None).most_probable.is_none());
    let histogram = &found.classes[0].histogram;
    let total = |at: usize| histogram.counts[at].1.iter().sum::<u64>();
    assert_eq!(histogram.counts[0].0, "TDE");
    assert_eq!([total(0), total(1) + total(2)], [120, 1080]);
    // A probability of 1 is in the last bin, which ends there.
    assert_eq!(histogram.end, 1.0);
}

#[test]
fn bands_lie_around_their_curves_and_do_not_depend_on_threads() {
    let predictions = predictions(300, 2, true);
    let found = inspect(&predictions, Some(0.4));
    assert_eq!(found.draws, 1000);
    let curves = found.classes[0].curves.as_ref().unwrap();
    for band in [&curves.precision, &curves.roc, &curves.completeness] {
        let inside =
            (0..band.x.len()).filter(|&i| band.low[i] <= band.y[i] && band.y[i] <= band.high[i]);
        assert!(inside.count() * 100 >= band.x.len() * 95);
        assert!(
            band.high
                .iter()
                .zip(&band.low)
                .any(|(high, low)| high > low)
        );
    }
    let json = serde_json::json!(found);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let again = pool.install(|| serde_json::json!(inspect(&predictions, Some(0.4))));
        assert_eq!(again, json);
    }
}

#[test]
fn groups_widen_bands() {
    let predictions = predictions(600, 1, true);
    let facts = facts(600);
    let folds = Folds {
        object_id: predictions.object_id.clone(),
        group: (0..600).map(|i| Some(format!("g{}", i / 60))).collect(),
        ..Folds::default()
    };
    let width = |folds: Option<&Folds>| {
        let inspected = Inspected {
            predictions: &predictions,
            folds,
            threshold: None,
            facts: &facts,
        };
        let found = Inspection::of(&inspected).unwrap();
        assert_eq!(found.groups, folds.map(|_| 10));
        let slices = found.slices.iter().find(|s| s.by == "fold").unwrap();
        let (low, high) = slices.slices[0].figures[4].interval.unwrap();
        high - low
    };
    // Ten groups give nine degrees of freedom.
    assert!(width(Some(&folds)) != width(None));
}

#[test]
fn without_a_positive_class_each_has_curves() {
    let mut predictions = predictions(120, 2, false);
    predictions.positive = None;
    let found = inspect(&predictions, None);
    let report = report(&predictions, 100);
    assert_eq!(found.classes.len(), 3);
    let average = found.average.as_ref().unwrap();
    close(mean(&average.precision.y), pooled(&report, Metric::Ap));
    assert!((area(&average.roc) - pooled(&report, Metric::RocAuc)).abs() < 0.01);
    assert!(average.precision.high[10] > average.precision.low[10]);
    assert_eq!(found.by_label, ByLabel::default());
    let histogram = &found.classes[1].histogram;
    assert_eq!(
        (
            histogram.counts[0].0.as_str(),
            histogram.counts[1].0.as_str()
        ),
        ("SN", "rest")
    );
    let repeats = found.slices.iter().find(|s| s.by == "repeat").unwrap();
    let values = repeats
        .slices
        .iter()
        .map(|slice| slice.figures[0].value.unwrap());
    close(values.sum::<f64>() / 2.0, pooled(&report, Metric::F1));
}

#[test]
fn few_positives_have_no_curves() {
    let mut predictions = predictions(200, 1, true);
    for label in predictions.label.iter_mut().skip(40) {
        *label = Some("AGN".into());
    }
    let found = inspect(&predictions, Some(0.5));
    assert_eq!(found.classes[0].positives, 4);
    assert!(found.classes[0].curves.is_none());
    let slices = found.slices.iter().flat_map(|slices| &slices.slices);
    assert_eq!(slices.clone().count(), 6 + 5 + 5 + 4);
    assert!(slices.map(|slice| slice.figures.len()).all(|n| n == 0));
    assert!(found.operating.unwrap().recall > 0.0);
}

#[test]
fn odd_predictions_are_no_trouble() {
    // Repeats of different objects have no draws.
    let mut odd = predictions(200, 2, true);
    odd.object_id[200] = "other".into();
    let found = inspect(&odd, None);
    assert_eq!(found.draws, 0);
    let curves = found.classes[0].curves.as_ref().unwrap();
    assert!(curves.precision.low.iter().all(|v| v.is_nan()));
    assert!(curves.precision.y.iter().all(|v| *v > 0.0));
    // A single fold has no threshold.
    let mut odd = predictions(200, 1, true);
    odd.fold.fill(Some(7));
    let found = inspect(&odd, None);
    assert_eq!(found.by_label, ByLabel::default());
    let figures = &found.slices[0].slices[0].figures;
    assert_eq!(
        figures.len(),
        if found.slices[0].slices[0].positives >= Some(5) {
            5
        } else {
            0
        }
    );
    // All scores are equal, or 0.
    for score in [0.0, 0.5, 1.0] {
        let mut odd = predictions(200, 1, true);
        odd.probability[2].fill(score);
        let found = inspect(&odd, Some(score));
        let curves = found.classes[0].curves.as_ref().unwrap();
        close(mean(&curves.precision.y), 0.1);
        assert!((area(&curves.roc) - 0.5).abs() < 1e-9);
    }
    let one = predictions(1, 1, true);
    assert!(inspect(&one, None).classes[0].curves.is_none());
    let mut none = predictions(3, 1, true);
    none.fold.fill(None);
    let facts = BTreeMap::new();
    let inspected = Inspected {
        predictions: &none,
        folds: None,
        threshold: None,
        facts: &facts,
    };
    assert!(Inspection::of(&inspected).is_err());
}

#[test]
fn many_rows_have_fewer_draws() {
    assert_eq!(n_draws(2000 * 6), 1000);
    assert_eq!(n_draws(10_000 * 6), 200);
    assert_eq!(n_draws(100_000 * 6), 40);
    assert_eq!(n_draws(0), 1000);
}
