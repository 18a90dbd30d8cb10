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
    MetricReport::of(predictions, &repeats, 0.5).unwrap()
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
    let error = MetricReport::of(&table, &repeats, 0.5).err().unwrap();
    assert_eq!(error.code.as_str(), "flow::data::no_positive");
}
