use super::*;
use crate::evaluation::out_of_fold;

/// Rows of (object, repeat, fold, truth, P(TDE)).
fn predictions(rows: &[(&str, i32, i32, bool, f64)]) -> Predictions {
    Predictions {
        classes: vec!["AGN".into(), "TDE".into()],
        positive: Some("TDE".into()),
        object_id: rows.iter().map(|row| row.0.into()).collect(),
        repeat: rows.iter().map(|row| row.1).collect(),
        fold: rows.iter().map(|row| Some(row.2)).collect(),
        label: (rows.iter())
            .map(|row| Some(if row.3 { "TDE" } else { "AGN" }.into()))
            .collect(),
        probability: vec![
            rows.iter().map(|row| 1.0 - row.4).collect(),
            rows.iter().map(|row| row.4).collect(),
        ],
    }
}

fn scored(predictions: &Predictions) -> MetricReport {
    let repeats = out_of_fold(predictions).unwrap();
    MetricReport::of(predictions, &repeats, &ScoreSettings::default(), None).unwrap()
}

fn metric(evaluation: &MetricReport, metric: Metric) -> &MetricValues {
    evaluation.metric(metric).unwrap()
}

/// Eight objects in folds called `a` and `b`, four of them positive.
fn dealt(repeat: i32, a: i32, b: i32) -> Predictions {
    let truth = [true, false, true, false, false, true, false, true];
    let scores = [0.9, 0.2, 0.8, 0.6, 0.3, 0.7, 0.1, 0.4];
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rows: Vec<_> = (0..8)
        .map(|i| {
            (
                ids[i],
                repeat,
                if i < 4 { a } else { b },
                truth[i],
                scores[i],
            )
        })
        .collect();
    predictions(&rows)
}

const AT_THRESHOLDS: [Metric; 5] = [
    Metric::F1,
    Metric::Precision,
    Metric::Recall,
    Metric::Mcc,
    Metric::Threshold,
];

#[test]
fn numbers_of_folds_and_repeats_are_names() {
    let plain = scored(&dealt(0, 0, 1)).to_value();
    for (repeat, a, b) in [
        (0, 20_251_101, 20_251_102),
        (2_000_000_000, 0, 1),
        (7, i32::MAX - 1, i32::MAX),
    ] {
        assert_eq!(scored(&dealt(repeat, a, b)).to_value(), plain);
    }
    let mut of_classes = dealt(0, 3, 2_000_000_000);
    of_classes.positive = None;
    assert_eq!(metric(&scored(&of_classes), Metric::F1).folds.len(), 2);
}

#[test]
fn rows_may_come_in_any_order_but_an_object_once() {
    let sorted = dealt(0, 0, 1);
    let mut rows: Vec<_> = (0..8)
        .map(|i| {
            let truth = sorted.label[i].as_deref() == Some("TDE");
            let (id, fold) = (sorted.object_id[i].as_str(), sorted.fold[i].unwrap());
            (id, 0, fold, truth, sorted.probability[1][i])
        })
        .collect();
    rows.reverse();
    let reversed = predictions(&rows);
    assert_eq!(scored(&reversed).to_value(), scored(&sorted).to_value());
    rows[5].0 = rows[0].0;
    let twice = out_of_fold(&predictions(&rows)).err().unwrap();
    assert_eq!(twice.code.as_str(), "flow::data::object_twice");
}

#[test]
fn without_another_fold_there_is_no_threshold() {
    // The held-out predictions of a program form one fold, whatever its name.
    for fold in [0, 1, 4_000] {
        let figures = scored(&dealt(0, fold, fold));
        for name in AT_THRESHOLDS {
            let metric = metric(&figures, name);
            assert_eq!((metric.pooled, metric.mean()), (None, None), "{name:?}");
            assert_eq!(metric.folds, [None], "{name:?}");
        }
        assert!(metric(&figures, Metric::Ap).pooled.is_some());
        assert!(metric(&figures, Metric::F1Fixed).pooled.is_some());
        assert_eq!(figures.confusion, None);
        let note = &figures.notes[0];
        assert!(
            note.contains(&format!("0.{fold} is the only fold")),
            "{note}"
        );
    }
}

#[test]
fn all_positives_in_one_fold_leave_it_without_a_threshold() {
    let mut split = dealt(0, 0, 1);
    for (i, fold) in split.fold.iter_mut().enumerate() {
        let positive = split.label[i].as_deref() == Some("TDE");
        *fold = Some(if positive { 5 } else { 6 + i as i32 % 2 });
    }
    let figures = scored(&split);
    for name in AT_THRESHOLDS {
        assert_eq!(metric(&figures, name).pooled, None, "{name:?}");
    }
    // The other folds have a threshold, but no positives of their own to score.
    assert_eq!(metric(&figures, Metric::F1).folds, [None; 3]);
    assert_eq!(metric(&figures, Metric::RocAuc).folds, [None; 3]);
    assert!(metric(&figures, Metric::RocAuc).pooled.is_some());
    assert!(figures.notes[0].contains("all objects of `TDE` are in fold 0.5"));
    // A single positive is such a case.
    let mut single = dealt(0, 0, 1);
    for label in &mut single.label[1..] {
        *label = Some("AGN".into());
    }
    assert_eq!(metric(&scored(&single), Metric::F1).pooled, None);
    // Without any positives, even the fixed threshold has no meaning.
    single.label[0] = Some("AGN".into());
    let figures = scored(&single);
    assert_eq!(metric(&figures, Metric::F1Fixed).pooled, None);
    assert!(figures.notes[0].contains("no object that is scored is a `TDE`"));
}

#[test]
fn one_repeat_of_several_without_thresholds_is_said() {
    let mut two = dealt(0, 0, 1);
    two.append(&dealt(1, 0, 0)).unwrap();
    let figures = scored(&two);
    assert_eq!(metric(&figures, Metric::F1).pooled, None);
    assert_eq!(metric(&figures, Metric::F1).folds.len(), 3);
    assert!(metric(&figures, Metric::F1).mean().is_some());
    assert!(figures.notes[0].contains("1.0 is the only fold"));
}

#[test]
fn macro_figures_say_so_and_a_lost_class_is_no_macro_figure() {
    let mut table = dealt(0, 0, 1);
    let json = |figures: &MetricReport| figures.to_value().to_json();
    assert_eq!(json(&scored(&table))["f1"].get("average"), None);
    table.positive = None;
    assert_eq!(json(&scored(&table))["f1"]["average"], "macro");
    table.positive = Some("TDF".into());
    let repeats = out_of_fold(&table).unwrap();
    let error = MetricReport::of(&table, &repeats, &ScoreSettings::default(), None)
        .err()
        .unwrap();
    assert_eq!(error.code.as_str(), "flow::data::no_positive");
}

/// 200 objects in two folds and two repeats. Every fifth is positive, and those score higher by `skill`.
fn many(skill: f64) -> Predictions {
    let mut stream = crate::numeric::rng::Stream::new(5, &[]);
    let ids: Vec<String> = (0..200).map(|i| format!("o{i:03}")).collect();
    let mut rows = Vec::new();
    for repeat in 0..2 {
        for (i, id) in ids.iter().enumerate() {
            let truth = i % 5 == 0;
            let score = 0.2 * stream.uniform() + if truth { skill } else { 0.3 };
            rows.push((id.as_str(), repeat, (i / 5 % 2) as i32, truth, score));
        }
    }
    predictions(&rows)
}

#[test]
fn every_measure_of_quality_has_an_interval_around_its_value() {
    let evaluation = scored(&many(0.4));
    for values in &evaluation.metrics {
        let pooled = values.pooled.unwrap();
        match values.metric.direction() {
            None => assert_eq!(values.interval, None),
            Some(_) => {
                let (low, high) = values.interval.unwrap();
                let name = values.metric.key();
                assert!(
                    low <= pooled && pooled <= high,
                    "{name}: {low} {pooled} {high}"
                );
            }
        }
    }
    let (low, high) = metric(&evaluation, Metric::Ap).interval.unwrap();
    assert!(high - low > 0.01, "{low} {high}");
}

#[test]
fn a_budget_is_the_same_share_of_a_fold() {
    // Forty of 200 are positive, and all of them score highest: a hundred hold forty, and half of the
    // hundred in either fold twenty.
    let evaluation = scored(&many(0.7));
    let top = metric(&evaluation, Metric::PrecisionTop);
    let all: Vec<f64> = top
        .pooled
        .into_iter()
        .chain(top.folds.iter().flatten().copied())
        .collect();
    assert_eq!(all.len(), 5);
    assert!(
        all.iter().all(|share| (share - 0.4).abs() < 1e-12),
        "{all:?}"
    );
}

#[test]
fn copies_of_a_source_widen_an_interval() {
    let table = many(0.38);
    let repeats = out_of_fold(&table).unwrap();
    let groups: Vec<String> = (0..200).map(|i| format!("g{}", i / 20)).collect();
    let width = |groups: Option<&[String]>| {
        let settings = ScoreSettings::default();
        let report = MetricReport::of(&table, &repeats, &settings, groups).unwrap();
        let (low, high) = metric(&report, Metric::Brier).interval.unwrap();
        high - low
    };
    assert_ne!(width(None), width(Some(&groups)));
}

#[test]
fn what_says_nothing_of_noise_has_no_interval() {
    // All positives are in one group, which every third draw lacks.
    let table = many(0.4);
    let repeats = out_of_fold(&table).unwrap();
    let group = |i: usize| {
        if i.is_multiple_of(5) {
            "all".into()
        } else {
            format!("g{i}")
        }
    };
    let groups: Vec<String> = (0..200).map(group).collect();
    let settings = ScoreSettings::default();
    let report = MetricReport::of(&table, &repeats, &settings, Some(&groups)).unwrap();
    assert_eq!(metric(&report, Metric::Ap).interval, None);
    assert!(metric(&report, Metric::Ap).pooled.is_some());
}

#[test]
fn classes_have_weights_in_the_weighted_log_loss() {
    let table = dealt(0, 0, 1);
    let repeats = out_of_fold(&table).unwrap();
    let of = |weight: f64| {
        let settings = ScoreSettings {
            class_weights: [("TDE".to_owned(), weight)].into(),
            ..ScoreSettings::default()
        };
        let report = MetricReport::of(&table, &repeats, &settings, None).unwrap();
        metric(&report, Metric::WeightedLogLoss).pooled.unwrap()
    };
    let class = |scores: [f64; 4]| -scores.map(libm::log).iter().sum::<f64>() / 4.0;
    let (tde, agn) = (class([0.9, 0.8, 0.7, 0.4]), class([0.8, 0.4, 0.7, 0.9]));
    assert!((of(1.0) - (tde + agn) / 2.0).abs() < 1e-12);
    assert!((of(3.0) - (3.0 * tde + agn) / 4.0).abs() < 1e-12);
}

#[test]
fn the_reliability_curve_is_of_the_rows_of_all_repeats() {
    let evaluation = scored(&many(0.75));
    let bins: Vec<u64> = evaluation.reliability.iter().map(|bin| bin.rows).collect();
    assert_eq!(bins.iter().sum::<u64>(), 400);
    let last = evaluation.reliability.last().unwrap();
    assert_eq!(last.observed, 1.0);
    assert!(last.predicted > 0.7);
    let value = evaluation.to_value().to_json();
    assert_eq!(value["reliability"]["bins"][0]["observed"], 0.0);
}
