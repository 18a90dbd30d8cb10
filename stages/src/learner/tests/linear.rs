//! The linear learners.

use super::*;
use crate::learner::objective::sigmoid;

fn linear() -> impl Iterator<Item = &'static dyn Learner> {
    ["logistic", "ridge"]
        .map(|name| learner(name).unwrap())
        .into_iter()
}

/// Class 1 where the sum of two columns is positive, with noise, in columns of very different sizes.
fn slanted(rows: usize, seed: u64) -> (Matrix, Vec<usize>) {
    let mut stream = Stream::new(seed, &[]);
    let (mut values, mut y) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let row: Vec<f64> = (0..4).map(|_| stream.normal()).collect();
        y.push(usize::from(row[0] + row[1] + 0.3 * stream.normal() > 0.5));
        values.extend(
            [1e-6, 1e6, 1.0, 0.0]
                .iter()
                .zip(&row)
                .map(|(s, v)| (s * v + 7.0 * s) as f32),
        );
    }
    (matrix(rows, 4, values), y)
}

#[test]
fn linear_learners_learn_what_is_linear() {
    let (x, y) = slanted(500, 1);
    let (fresh, fresh_y) = slanted(500, 2);
    for learner in linear() {
        let model = learner
            .fit(&job(&x, &y, 2, &LearnerParams::default()))
            .unwrap();
        let p = model.predict(&fresh).unwrap();
        let right = accuracy(&p, &fresh_y, 2);
        assert!(right > 0.9, "{}: {right}", learner.name());
        assert!(p.chunks(2).all(|p| (p[0] + p[1] - 1.0).abs() < 1e-12));
        let importance = model.importance();
        assert!(importance[0] + importance[1] > 0.8, "{importance:?}");
        assert_eq!(
            (importance[3], model.rounds()),
            (0.0, 0),
            "a constant column"
        );
        let mean = p.chunks(2).map(|p| p[1]).sum::<f64>() / 500.0;
        let share = fresh_y.iter().sum::<usize>() as f64 / 500.0;
        assert!(
            (mean - share).abs() < 0.05,
            "{}: {mean} {share}",
            learner.name()
        );
    }
}

#[test]
fn linear_learners_tell_three_classes_apart() {
    let (x, y) = three(600, 1);
    let (fresh, fresh_y) = three(600, 2);
    for learner in linear() {
        let params = LearnerParams {
            class_weight: ClassWeight::Auto,
            ..LearnerParams::default()
        };
        let model = learner.fit(&job(&x, &y, 3, &params)).unwrap();
        let p = model.predict(&fresh).unwrap();
        assert!(
            p.chunks(3)
                .all(|p| (p.iter().sum::<f64>() - 1.0).abs() < 1e-12)
        );
        // One line against the rest cannot bound the middle class.
        let least = if learner.name() == "ridge" { 0.6 } else { 0.9 };
        assert!(accuracy(&p, &fresh_y, 3) > least, "{}", learner.name());
        let loaded = learner.load(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(loaded.predict(&fresh).unwrap(), p);
    }
}

#[test]
fn a_missing_value_is_the_median() {
    let (x, y) = slanted(200, 3);
    let mut values = x.values().to_vec();
    for row in (0..200).step_by(5) {
        values[row * 4] = f32::NAN;
    }
    let gaps = matrix(200, 4, values.clone());
    let mut column: Vec<f32> = values.iter().step_by(4).copied().collect();
    column.retain(|v| !v.is_nan());
    column.sort_by(f32::total_cmp);
    let median = column[79] / 2.0 + column[80] / 2.0;
    for row in (0..200).step_by(5) {
        values[row * 4] = median;
    }
    let filled = matrix(200, 4, values);
    for learner in linear() {
        let params = LearnerParams::default();
        let a = learner.fit(&job(&gaps, &y, 2, &params)).unwrap();
        let b = learner.fit(&job(&filled, &y, 2, &params)).unwrap();
        assert_eq!(a.predict(&gaps).unwrap(), b.predict(&filled).unwrap());
        let nothing = matrix(1, 4, vec![f32::NAN; 4]);
        assert!(a.predict(&nothing).unwrap().iter().all(|p| p.is_finite()));
    }
}

#[test]
fn weights_and_penalties_do_what_they_say() {
    let (x, y) = slanted(300, 4);
    let mean = |learner: &dyn Learner, params: LearnerParams| {
        let model = learner.fit(&job(&x, &y, 2, &params)).unwrap();
        let p = model.predict(&x).unwrap();
        let p: Vec<f64> = p.chunks(2).map(|p| p[1]).collect();
        let mean = p.iter().sum::<f64>() / 300.0;
        (mean, p.iter().map(|p| (p - mean).abs()).sum::<f64>())
    };
    let plain = LearnerParams::default;
    for learner in linear() {
        let heavy = LearnerParams {
            class_weight: ClassWeight::Value(10.0),
            ..plain()
        };
        assert!(mean(learner, heavy).0 > mean(learner, plain()).0 + 0.05);
    }
    let [logistic, ridge] = ["logistic", "ridge"].map(|name| learner(name).unwrap());
    let tight = LearnerParams {
        c: Some(1e-4),
        ..plain()
    };
    assert!(mean(logistic, tight).1 < mean(logistic, plain()).1 / 2.0);
    let shrunk = |alpha| {
        let params = LearnerParams { alpha, ..plain() };
        mean(ridge, params)
    };
    assert_ne!(shrunk(Some(1e5)), shrunk(None));
    for (learner, params) in [
        (
            logistic,
            LearnerParams {
                alpha: Some(1.0),
                ..plain()
            },
        ),
        (
            ridge,
            LearnerParams {
                c: Some(1.0),
                ..plain()
            },
        ),
        (
            ridge,
            LearnerParams {
                lambda: Some(1.0),
                ..plain()
            },
        ),
    ] {
        let error = learner.fit(&job(&x, &y, 2, &params)).err();
        assert!(
            matches!(error, Some(LearnError::Unsupported { .. })),
            "{error:?}"
        );
    }
    let params = LearnerParams {
        c: Some(0.0),
        ..plain()
    };
    let error = logistic.fit(&job(&x, &y, 2, &params)).err();
    assert!(matches!(
        error,
        Some(LearnError::Parameter { name: "c", .. })
    ));
}

#[test]
fn linear_reasons_add_up_to_the_margin() {
    let (x, y) = slanted(300, 5);
    for learner in linear() {
        let model = learner
            .fit(&job(&x, &y, 2, &LearnerParams::default()))
            .unwrap();
        let explainer = model.explainer().unwrap();
        let odds = |p: f64| libm::log(p / (1.0 - p));
        let p = model.predict(&x).unwrap();
        let rest = |row: usize| {
            let mut phi = vec![0.0; 4];
            explainer.add(x.row(row), 1, &mut phi);
            odds(p[2 * row + 1]) - phi.iter().sum::<f64>()
        };
        for row in 1..20 {
            assert!(
                (rest(row) - rest(0)).abs() < 1e-6,
                "the rest is one start for all"
            );
        }
        let (mut a, mut b) = (vec![0.0; 4], vec![0.0; 4]);
        explainer.add(x.row(0), 0, &mut a);
        explainer.add(x.row(0), 1, &mut b);
        assert!(a.iter().zip(&b).all(|(a, b)| *a == -b));
    }
    assert_eq!(sigmoid(0.0), 0.5);
}

#[test]
fn odd_data_gives_an_error_or_a_model() {
    let quarter = |i: usize| usize::from(i.is_multiple_of(4));
    let y: Vec<usize> = (0..12).map(quarter).collect();
    for learner in linear() {
        let params = LearnerParams::default();
        let fit = |x: &Matrix, y: &[usize], classes| learner.fit(&job(x, y, classes, &params));
        let constant = fit(&matrix(12, 2, vec![3.5; 24]), &y, 2).unwrap();
        let p = constant.predict(&matrix(1, 2, vec![9.0, 3.5])).unwrap();
        assert!((p[1] - 0.25).abs() < 0.08, "{}: {p:?}", learner.name());
        let empty = fit(&matrix(12, 1, vec![f32::NAN; 12]), &y, 2).unwrap();
        assert!(empty.predict(&matrix(1, 1, vec![0.0])).unwrap()[0].is_finite());
        let huge: Vec<f32> = (0..12)
            .map(|i| if i % 2 == 0 { f32::MAX } else { f32::MIN })
            .collect();
        let huge = matrix(12, 1, huge);
        let p = fit(&huge, &y, 2).unwrap().predict(&huge).unwrap();
        assert!(p.iter().all(|p| p.is_finite()));
        let one = fit(&matrix(12, 1, vec![0.0; 12]), &[1; 12], 2).err();
        assert!(matches!(one, Some(LearnError::Data(_))));
        let noise: Vec<f32> = (0..12).map(|i| (i * i % 7) as f32).collect();
        let absent = fit(&matrix(12, 1, noise.clone()), &y, 4).unwrap();
        let p = absent.predict(&matrix(12, 1, noise)).unwrap();
        assert!(p.chunks(4).all(|p| p[2] < 0.2 && p[3] < 0.2), "{p:?}");
        let other = matrix(1, 3, vec![0.0; 3]);
        assert!(matches!(absent.predict(&other), Err(LearnError::Data(_))));
        for broken in [&b"{}"[..], b"", b"tree"] {
            assert!(matches!(learner.load(broken), Err(LearnError::Model(_))));
        }
        let job = FitJob {
            stop: &|| true,
            ..job(&huge, &y, 2, &params)
        };
        assert!(matches!(learner.fit(&job), Err(LearnError::Stopped)));
    }
}
