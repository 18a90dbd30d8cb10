use std::path::Path;

use flow_engine::StageError;

use super::*;
use crate::evaluation::Metric;
use crate::numeric::rng::Stream;
use crate::table::{Folds, Predictions};

/// An arm of 300 objects in 60 groups, a tenth of them positive, in two repeats of three folds.
/// `skill` shifts the scores of positives, `noise` is the seed of what is not shared between arms.
fn arm(name: &str, skill: f64, noise: u64) -> ArmParts {
    let mut shared = Stream::new(1, &[]);
    let mut own = Stream::new(noise, &[7]);
    let mut parts = ArmParts {
        name: name.into(),
        groups: Some(Vec::new()),
        ..ArmParts::default()
    };
    for _ in 0..2 {
        parts.repeats.push(Deal {
            folds: Vec::new(),
            scores: Vec::new(),
        });
    }
    for i in 0..300 {
        let group = i / 5;
        let positive = shared.uniform() < 0.1;
        let common = shared.normal();
        parts.ids.push(format!("o{i:03}"));
        parts.positive.push(positive);
        if let Some(groups) = &mut parts.groups {
            groups.push(format!("g{group:02}"));
        }
        for (r, deal) in parts.repeats.iter_mut().enumerate() {
            deal.folds.push(((group * 7 + r * (group / 3)) % 3) as u32);
            let shift = if positive { skill } else { 0.0 };
            deal.scores.push(common + shift + 0.3 * own.normal());
        }
    }
    parts
}

fn made(parts: ArmParts) -> Arm {
    Arm::from_parts(parts).unwrap()
}

fn quick() -> ComparisonOptions {
    ComparisonOptions {
        draws: 200,
        ..ComparisonOptions::default()
    }
}

/// Writes `parts` as the files that an evaluation would leave: predictions and folds.
fn files(parts: &ArmParts, dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let class = |positive: bool| Some(if positive { "TDE" } else { "AGN" }.to_owned());
    let mut predictions = Predictions {
        classes: vec!["TDE".into()],
        positive: Some("TDE".into()),
        probability: vec![Vec::new()],
        ..Predictions::default()
    };
    let mut folds = Folds {
        classes: vec!["AGN".into(), "TDE".into()],
        positive: Some("TDE".into()),
        ..Folds::default()
    };
    for (r, deal) in parts.repeats.iter().enumerate() {
        let of_repeat = deal.folds.iter().map(|&fold| Some(fold as i32));
        folds.repeats.push(of_repeat.clone().collect());
        predictions.fold.extend(of_repeat);
        predictions.object_id.extend_from_slice(&parts.ids);
        (predictions.repeat).extend(std::iter::repeat_n(r as i32, parts.ids.len()));
        (predictions.label).extend(parts.positive.iter().map(|&p| class(p)));
        predictions.probability[0].extend_from_slice(&deal.scores);
    }
    // An unlabelled object, of the final fit.
    predictions.object_id.push("z".into());
    predictions.repeat.push(0);
    predictions.fold.push(None);
    predictions.label.push(None);
    predictions.probability[0].push(0.5);
    predictions.sort();
    folds.object_id = parts.ids.clone();
    folds.label = parts.positive.iter().map(|&p| class(p)).collect();
    folds.group = match &parts.groups {
        Some(groups) => groups.iter().cloned().map(Some).collect(),
        None => vec![None; parts.ids.len()],
    };
    let paths = (dir.join("p.parquet"), dir.join("f.parquet"));
    let create = |path: &Path| std::fs::File::create(path).unwrap();
    predictions.write(create(&paths.0)).unwrap();
    folds.write(create(&paths.1)).unwrap();
    paths
}

/// Squeezes scores into probabilities.
fn probabilities(mut parts: ArmParts) -> ArmParts {
    for deal in &mut parts.repeats {
        for score in &mut deal.scores {
            *score = 1.0 / (1.0 + libm::exp(-*score));
        }
    }
    parts
}

#[test]
fn an_arm_is_read_from_predictions_and_folds() {
    let dir = flow_testkit::files::folder();
    let parts = ArmParts {
        class: Some("TDE".into()),
        ..probabilities(arm("a", 2.0, 0))
    };
    let (predictions, folds) = files(&parts, dir.path());
    let read = Arm::read("a", &predictions, Some(&folds)).unwrap();
    assert_eq!(read.parts(), &parts);
    assert_eq!((read.len(), read.positives()), (300, Some(29)));
    let mean = (parts.repeats[0].scores[3] + parts.repeats[1].scores[3]) / 2.0;
    assert_eq!(read.average()[3], mean);
    let ungrouped = Arm::read("a", &predictions, None).unwrap();
    assert_eq!(ungrouped.parts().groups, None);
}

#[test]
fn folds_of_another_stage_are_refused() {
    let dir = flow_testkit::files::folder();
    let parts = probabilities(arm("a", 2.0, 0));
    let (predictions, _) = files(&parts, dir.path());
    let mut other = parts.clone();
    other.repeats[1].folds[11] = 9;
    other.groups = None;
    let elsewhere = flow_testkit::files::folder();
    let (_, folds) = files(&other, elsewhere.path());
    let error = Arm::read("a", &predictions, Some(&folds)).unwrap_err();
    assert_eq!(error.code.as_str(), "flow::study::folds");
    assert!(error.message.contains("`o011`"), "{error}");
}

/// Three classes, 240 objects in two repeats of three folds; `skill` is how far the probability of the
/// true class stands out.
fn of_classes(name: &str, skill: f64, noise: u64) -> ArmParts {
    let mut shared = Stream::new(3, &[]);
    let mut own = Stream::new(noise, &[11]);
    let mut classes = Classes {
        names: ["AGN", "SN", "TDE"].map(String::from).to_vec(),
        of: Vec::new(),
    };
    let mut parts = ArmParts {
        name: name.into(),
        repeats: vec![
            Deal {
                folds: Vec::new(),
                scores: Vec::new(),
            };
            2
        ],
        ..ArmParts::default()
    };
    for i in 0..240 {
        let class = [0, 0, 0, 1, 1, 2][i % 6];
        let common: [f64; 3] = std::array::from_fn(|_| shared.normal());
        parts.ids.push(format!("o{i:03}"));
        classes.of.push(class);
        for (r, deal) in parts.repeats.iter_mut().enumerate() {
            deal.folds.push(((i / 6 + r * (i / 18)) % 3) as u32);
            let mut odds: [f64; 3] =
                std::array::from_fn(|c| libm::exp(common[c] + 0.2 * own.normal()));
            odds[class] *= libm::exp(skill);
            let sum: f64 = odds.iter().sum();
            deal.scores.extend(odds.map(|odd| odd / sum));
        }
    }
    parts.classes = Some(classes);
    parts
}

#[test]
fn without_a_positive_class_macro_figures_are_compared() {
    let base = made(of_classes("base", 1.5, 0));
    let summary = summarise(&base, &quick()).unwrap();
    assert_eq!((summary.objects, summary.positives), (240, None));
    assert_eq!(summary.metrics.len(), Metric::COMPARED.len());
    for (metric, e) in &summary.metrics {
        assert!(e.low < e.value && e.value < e.high, "{metric:?} {e:?}");
    }
    let worse = made(of_classes("worse", 0.3, 1));
    let better = made(of_classes("better", 2.5, 1));
    let found = compare(&base, &[worse, better], &quick()).unwrap();
    for metric in [Metric::Ap, Metric::F1, Metric::LogLoss] {
        let [down, up] = [0, 1].map(|i| &found[i].metrics[&metric]);
        // A higher value of a loss is worse.
        assert!(metric.gain(down.difference.value) < 0.0, "{metric:?}");
        assert_eq!(down.verdict, ComparisonVerdict::Worse, "{metric:?}");
        assert_eq!(up.verdict, ComparisonVerdict::Better, "{metric:?}");
        assert!(down.resampled_t.is_some(), "{metric:?}");
    }
}

/// The figures of a sample are those of `evaluate`'s definitions on rows that are repeated as often as
/// they count.
#[test]
fn macro_figures_are_those_of_the_metrics() {
    use crate::numeric::metrics::multiclass as m;
    let parts = of_classes("a", 0.8, 4);
    let arm = made(parts.clone());
    let truth = parts.classes.unwrap().of;
    let counts: Vec<u32> = (0..240).map(|i| (i * 7 % 4) as u32).collect();
    let rows = || (0..240).flat_map(|i| std::iter::repeat_n(i, counts[i] as usize));
    let p: Vec<f64> = rows()
        .flat_map(|i| arm.average()[3 * i..][..3].to_vec())
        .collect();
    let labels: Vec<usize> = rows().map(|i| truth[i]).collect();
    let matrix = m::ConfusionMatrix::of(&m::argmax(&p, 3), &labels, 3);
    let found = arm.figures(&counts);
    for (found, expected) in [
        (found.f1, Some(matrix.macro_f1())),
        (found.precision, Some(matrix.macro_precision())),
        (found.recall, Some(matrix.macro_recall())),
        (
            found.average_precision,
            m::average_precision_macro(&p, &labels, 3),
        ),
        (found.roc_auc, m::roc_auc_macro(&p, &labels, 3)),
        (found.log_loss, m::log_loss(&p, &labels, 3)),
    ] {
        assert!(
            (found.unwrap() - expected.unwrap()).abs() < 1e-12,
            "{found:?} {expected:?}"
        );
    }
}

#[test]
fn a_positive_class_that_does_not_occur_is_no_macro_average() {
    let dir = flow_testkit::files::folder();
    let read = |positive: Option<&str>| {
        let path = dir.path().join("p.parquet");
        let predictions = Predictions {
            classes: vec!["AGN".into(), "TDE".into()],
            object_id: vec!["a".into(), "b".into()],
            repeat: vec![0; 2],
            fold: vec![Some(20_251_101), Some(7)],
            label: vec![Some("TDE".into()), Some("AGN".into())],
            probability: vec![vec![0.5; 2]; 2],
            positive: positive.map(String::from),
        };
        predictions
            .write(std::fs::File::create(&path).unwrap())
            .unwrap();
        Arm::read("a", &path, None)
    };
    let error = read(Some("TDEs")).unwrap_err();
    assert_eq!(error.code.as_str(), "flow::data::no_positive");
    assert!(error.help[0].ends_with("positive = \"TDE\""), "{error:?}");
    assert_eq!(read(None).unwrap().positives(), None);
    let arm = read(Some("TDE")).unwrap();
    assert_eq!(arm.positives(), Some(1));
    // The numbers of folds are only names.
    assert_eq!(arm.parts().repeats[0].folds, [1, 0]);
    assert!(arm.comparable(&read(None).unwrap()).is_err());
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |change: &dyn Fn(&mut ArmParts)| {
        let mut parts = arm("a", 2.0, 0);
        change(&mut parts);
        Arm::from_parts(parts).unwrap_err()
    };
    let short = refused(&|p| p.repeats[1].scores.truncate(7));
    let none = refused(&|p| p.repeats.clear());
    let order = refused(&|p| p.ids.swap(4, 5));
    let nan = refused(&|p| p.repeats[0].scores[2] = f64::NAN);
    let torn = refused(&|p| p.repeats[0].folds[2] = 8);
    for error in [&short, &none, &order, &nan, &torn] {
        assert_eq!(error.code.as_str(), "flow::study::parts");
    }
    assert!(
        order.message.contains("`o005` comes before `o004`"),
        "{order}"
    );
    assert!(nan.message.contains("`o002`"), "{nan}");
    assert!(torn.message.contains("`g00`"), "{torn}");
    let one_class = refused(&|p| p.positive.fill(true));
    assert_eq!(one_class.code.as_str(), "flow::study::positive");
}

#[test]
fn arms_must_share_objects_and_folds() {
    let base = made(arm("base", 2.0, 0));
    let against = |change: &dyn Fn(&mut ArmParts)| -> StageError {
        let mut parts = arm("other", 2.0, 1);
        change(&mut parts);
        compare(&base, &[made(parts)], &quick()).unwrap_err()
    };
    let objects = against(&|p| p.ids[299] = "p".into());
    assert_eq!(objects.code.as_str(), "flow::study::objects");
    assert!(
        objects
            .message
            .contains("`other` lacks 1 that `base` has, among them `o299`")
    );
    assert!(
        objects
            .message
            .contains("`base` lacks 1 that `other` has, among them `p`")
    );
    let class = against(&|p| p.positive[8] = !p.positive[8]);
    assert!(class.message.contains("class of object `o008`"), "{class}");
    let folds = against(&|p| p.repeats[1].folds.rotate_left(5));
    assert_eq!(folds.code.as_str(), "flow::study::folds");
    assert!(folds.help[0].starts_with("the same folds for all arms"));
    let repeats = against(&|p| p.repeats.truncate(1));
    assert!(repeats.message.contains("2 and 1 repeats"), "{repeats}");
}

#[test]
fn a_summary_has_every_metric_within_its_interval() {
    let base = made(arm("base", 2.0, 0));
    let summary = summarise(&base, &quick()).unwrap();
    assert_eq!((summary.unit, summary.units), (Unit::Group, 60));
    assert_eq!(
        (summary.objects, summary.positives, summary.repeats),
        (300, Some(29), 2)
    );
    assert_eq!(
        summary.metrics.len(),
        Metric::COMPARED.len() - 1,
        "no log-loss"
    );
    for (metric, e) in &summary.metrics {
        assert!(e.low < e.value && e.value < e.high, "{metric:?} {e:?}");
    }
    let objects = ComparisonOptions {
        unit: Some(Unit::Object),
        ..quick()
    };
    assert_eq!(summarise(&base, &objects).unwrap().units, 300);
}

#[test]
fn an_arm_equals_itself() {
    let base = made(arm("base", 2.0, 0));
    let same = &compare(&base, std::slice::from_ref(&base), &quick()).unwrap()[0];
    for difference in same.metrics.values() {
        let e = difference.difference;
        assert_eq!((e.value, e.low, e.high), (0.0, 0.0, 0.0));
        assert_eq!((difference.p, difference.detectable), (1.0, 0.0));
        assert_eq!(difference.verdict, ComparisonVerdict::Equivalent);
        assert_eq!(difference.bayes.unwrap().within, 1.0);
    }
}

#[test]
fn differences_get_their_verdicts_and_holm_counts_the_arms() {
    let base = made(arm("base", 1.2, 0));
    let others = [
        made(arm("better", 3.0, 1)),
        made(arm("worse", 0.2, 2)),
        made(arm("another seed", 1.2, 3)),
    ];
    let found = compare(&base, &others, &quick()).unwrap();
    let verdicts: Vec<ComparisonVerdict> = found.iter().map(|c| c.primary().verdict).collect();
    use ComparisonVerdict::{Better, Inconclusive, Worse};
    assert_eq!(verdicts, [Better, Worse, Inconclusive]);
    for comparison in &found {
        let primary = comparison.primary();
        let e = primary.difference;
        assert_eq!(primary.arm - primary.base, e.value);
        assert!(e.low < e.value && e.value < e.high);
        assert!(primary.detectable > 2.7 * primary.se);
        // Two repeats of three folds, some of which may have no positives.
        assert!(primary.resampled_t.unwrap().df <= 5.0);
    }
    // The smallest p-value counts for all three arms.
    assert_eq!(found[0].primary().p_holm, 3.0 * found[0].primary().p);
    let alone = compare(&base, &others[..1], &quick()).unwrap();
    assert_eq!(alone[0].primary().p_holm, alone[0].primary().p);
    assert_eq!(alone[0].primary().difference, found[0].primary().difference);
}

#[test]
fn a_wide_margin_makes_small_differences_equivalent() {
    let base = made(arm("base", 1.2, 0));
    let other = [made(arm("another seed", 1.2, 3))];
    let options = ComparisonOptions {
        margin: 0.5,
        ..quick()
    };
    let found = compare(&base, &other, &options).unwrap();
    assert_eq!(found[0].primary().verdict, ComparisonVerdict::Equivalent);
}

#[test]
fn results_are_json_and_the_same_for_any_number_of_threads() {
    let base = made(arm("base", 1.2, 0));
    let other = [made(arm("other", 2.0, 1))];
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let summary = summarise(&base, &quick()).unwrap();
            let comparisons = compare(&base, &other, &quick()).unwrap();
            serde_json::json!({ "summary": summary, "comparisons": comparisons }).to_string()
        })
    };
    let text = on(1);
    assert_eq!(text, on(3));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ap = &json["comparisons"][0]["metrics"]["pr_auc"];
    assert!(ap["difference"]["low"].is_f64() && ap["p_holm"].is_f64());
    assert!(ap["verdict"].is_string() && ap["resampled_t"]["df"].is_f64());
    assert_eq!(json["summary"]["unit"], "group");
    for metric in Metric::COMPARED {
        let value = &json["summary"]["metrics"][metric.key()]["value"];
        assert_eq!(value.is_f64(), metric != Metric::LogLoss);
        assert_eq!(Metric::from_key(metric.key()), Some(metric));
    }
}

#[test]
fn too_few_units_are_refused() {
    let few = |groups: usize| {
        let mut parts = arm("few", 2.0, 0);
        parts.groups = Some((0..300).map(|i| format!("{}", i * groups / 300)).collect());
        for deal in &mut parts.repeats {
            deal.folds = (0..300).map(|i| (i * groups / 300) as u32).collect();
        }
        // Only the first group has positives.
        for (i, positive) in parts.positive.iter_mut().enumerate() {
            *positive = i < 20;
        }
        summarise(&made(parts), &quick())
    };
    for groups in [1, 3] {
        let error = few(groups).unwrap_err();
        assert_eq!(error.code.as_str(), "flow::study::units", "{error}");
    }
    let mut parts = arm("none", 2.0, 0);
    parts.groups = None;
    let options = ComparisonOptions {
        unit: Some(Unit::Group),
        ..quick()
    };
    let error = summarise(&made(parts), &options).unwrap_err();
    assert!(error.message.contains("no groups"), "{error}");
}

/// A small version of `examples/stats_coverage.rs`. With 300 simulations, a true coverage of 95 % gives
/// fewer than 272 hits about once in 500 times. The simulations are always the same.
#[test]
fn intervals_of_average_precision_cover() {
    let simulate = |simulation: u64| {
        let mut stream = Stream::new(5, &[simulation]);
        let mut arms = [1.5, 1.3].map(|_| ArmParts {
            repeats: vec![Deal {
                folds: Vec::new(),
                scores: Vec::new(),
            }],
            ..ArmParts::default()
        });
        for i in 0..400 {
            let positive = stream.uniform() < 0.15;
            let both = stream.normal();
            for (a, parts) in arms.iter_mut().enumerate() {
                let shift = if positive { [1.5, 1.3][a] } else { 0.0 };
                parts.ids.push(format!("{i:03}"));
                parts.positive.push(positive);
                parts.repeats[0].folds.push(i % 5);
                (parts.repeats[0].scores).push(shift + 0.9 * both + 0.44 * stream.normal());
            }
        }
        let [first, second] = arms.map(made);
        let options = ComparisonOptions {
            draws: 199,
            seed: simulation,
            ..ComparisonOptions::default()
        };
        compare(&second, &[first], &options).unwrap()[0]
            .primary()
            .difference
    };
    let found: Vec<Estimate> = (0..300).map(simulate).collect();
    let mean = found.iter().map(|e| e.value).sum::<f64>() / 300.0;
    let hits = found.iter().filter(|e| e.low <= mean && mean <= e.high);
    let hits = hits.count();
    assert!((272..=297).contains(&hits), "{hits} of 300");
}
