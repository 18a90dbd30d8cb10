//! The rules for all learners, checked on both.

mod bags;
mod foreign;
mod linear;
mod trees;

use super::*;
use crate::numeric::rng::Stream;

/// `rows` x `cols` noise in [-1, 1); class 1 where the signs of the first two columns differ (an
/// exclusive or, which no single split can find), with `flip` of the labels at random.
fn xor(rows: usize, cols: usize, flip: f64, seed: u64) -> (Matrix, Vec<usize>) {
    let mut stream = Stream::new(seed, &[]);
    let mut values = Vec::with_capacity(rows * cols);
    let mut y = Vec::with_capacity(rows);
    for _ in 0..rows {
        let row: Vec<f32> = (0..cols)
            .map(|_| stream.uniform_in(-1.0, 1.0) as f32)
            .collect();
        let class = (row[0] > 0.0) != (row[1] > 0.0);
        y.push(usize::from(class != (stream.uniform() < flip)));
        values.extend(row);
    }
    (matrix(rows, cols, values), y)
}

/// Three classes by the value of column 0, of different sizes.
fn three(rows: usize, seed: u64) -> (Matrix, Vec<usize>) {
    let (x, _) = xor(rows, 4, 0.0, seed);
    let class = |row: usize| match x.row(row)[0] {
        v if v < 0.2 => 0,
        v if v < 0.7 => 1,
        _ => 2,
    };
    let y = (0..rows).map(class).collect();
    (x, y)
}

fn matrix(rows: usize, cols: usize, values: Vec<f32>) -> Matrix {
    Matrix::new(rows, cols, Arc::new(values)).unwrap()
}

/// A fit on one thread that nobody stops.
fn job<'a>(
    x: &'a Matrix,
    y: &'a [usize],
    n_classes: usize,
    params: &'a LearnerParams,
) -> FitJob<'a> {
    FitJob {
        x,
        y,
        n_classes,
        params,
        threads: 1,
        stop: &|| false,
    }
}

/// The boosted learners.
fn each() -> impl Iterator<Item = &'static dyn Learner> {
    ["hessboost", "gbdt"]
        .map(|name| learner(name).unwrap())
        .into_iter()
}

fn quick() -> LearnerParams {
    LearnerParams {
        rounds: 40,
        learning_rate: 0.2,
        ..LearnerParams::default()
    }
}

fn accuracy(p: &[f64], y: &[usize], n_classes: usize) -> f64 {
    let right = p.chunks_exact(n_classes).zip(y).filter(|(p, y)| {
        let best = (0..n_classes).max_by(|&a, &b| p[a].total_cmp(&p[b]));
        best == Some(**y)
    });
    right.count() as f64 / y.len() as f64
}

#[test]
fn learns_an_exclusive_or() {
    let (x, y) = xor(600, 5, 0.0, 1);
    let (fresh, fresh_y) = xor(400, 5, 0.0, 2);
    for learner in each() {
        let model = learner.fit(&job(&x, &y, 2, &quick())).unwrap();
        let p = model.predict(&fresh).unwrap();
        assert_eq!((p.len(), model.rounds(), model.n_classes()), (800, 40, 2));
        assert!(p.chunks(2).all(|p| (p[0] + p[1] - 1.0).abs() < 1e-12));
        let right = accuracy(&p, &fresh_y, 2);
        assert!(right > 0.93, "{}: {right}", learner.name());
        let gain = model.importance();
        assert!((gain.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(gain[0] + gain[1] > 0.8, "{}: {gain:?}", learner.name());
    }
}

#[test]
fn learns_three_classes() {
    let (x, y) = three(500, 1);
    let (fresh, fresh_y) = three(500, 2);
    for learner in each() {
        for class_weight in [ClassWeight::None, ClassWeight::Auto] {
            let params = LearnerParams {
                class_weight,
                ..quick()
            };
            let model = learner.fit(&job(&x, &y, 3, &params)).unwrap();
            let p = model.predict(&fresh).unwrap();
            assert!(
                p.chunks(3)
                    .all(|p| (p.iter().sum::<f64>() - 1.0).abs() < 1e-12)
            );
            let right = accuracy(&p, &fresh_y, 3);
            assert!(right > 0.97, "{}: {right}", learner.name());
            let loaded = learner.load(&model.to_bytes().unwrap()).unwrap();
            assert_eq!(loaded.predict(&fresh).unwrap(), p);
        }
    }
}

/// The set is large enough that hessboost splits its work: it has more rows than its threshold of
/// 8,192, and missing values, which choose the other of its two histogram builders.
#[test]
fn threads_do_not_change_a_byte() {
    for (rows, cols, missing) in [(300, 40, false), (9_000, 6, false), (9_000, 6, true)] {
        let (x, y) = xor(rows, cols, 0.2, 3);
        let mut values = x.values().to_vec();
        if missing {
            values.iter_mut().step_by(7).for_each(|v| *v = f32::NAN);
        }
        let x = matrix(rows, cols, values);
        let leafwise = [None, Some(0), Some(5)];
        for (learner, max_leaves) in each().flat_map(|l| leafwise.map(|leaves| (l, leaves))) {
            let has_leaves = learner.defaults().max_leaves.is_some();
            let params = LearnerParams {
                rounds: 8,
                subsample: 0.7,
                colsample: learner.defaults().colsample.map(|_| 0.6),
                max_leaves: max_leaves.filter(|_| has_leaves),
                min_rows: max_leaves.filter(|_| has_leaves).map(|leaves| leaves + 1),
                extra_trees: has_leaves.then_some(max_leaves == Some(5)),
                early_stopping: Some(EarlyStopping {
                    fraction: 0.2,
                    patience: 3,
                }),
                ..LearnerParams::default()
            };
            let fit = |threads| {
                let model = learner
                    .fit(&FitJob {
                        threads,
                        ..job(&x, &y, 2, &params)
                    })
                    .unwrap();
                let p: Vec<u64> = model
                    .predict(&x)
                    .unwrap()
                    .iter()
                    .map(|p| p.to_bits())
                    .collect();
                (model.to_bytes().unwrap(), p)
            };
            let one = fit(1);
            assert!(one == fit(2), "{} differs", learner.name());
            assert!(one == fit(3), "{} differs", learner.name());
        }
    }
}

/// A threshold at random is rarely the best one, so trees with such thresholds learn the same more slowly, and
/// another seed gives other trees.
#[test]
fn random_thresholds_follow_the_seed() {
    let (x, y) = xor(400, 6, 0.1, 5);
    let fit = |extra_trees, seed| {
        let params = LearnerParams {
            extra_trees: Some(extra_trees),
            seed,
            ..LearnerParams::default()
        };
        let model = hessboost::HessBoost.fit(&job(&x, &y, 2, &params)).unwrap();
        let right = accuracy(&model.predict(&x).unwrap(), &y, 2);
        (model.to_bytes().unwrap(), right)
    };
    let (best, best_right) = fit(false, 1);
    let (random, random_right) = fit(true, 1);
    assert!(best != random);
    assert!(random == fit(true, 1).0 && random != fit(true, 2).0);
    assert!(
        random_right > 0.8 && random_right <= best_right,
        "{random_right}, {best_right}"
    );
}

#[test]
fn missing_values_are_learned_from() {
    let (x, y) = xor(500, 4, 0.0, 4);
    let mut values = x.values().to_vec();
    for row in 0..500 {
        // Column 2 is missing for most of class 1, column 3 for everything.
        if y[row] == 1 && row % 10 > 0 {
            values[row * 4 + 2] = f32::NAN;
        }
        values[row * 4 + 3] = f32::NAN;
    }
    let x = matrix(500, 4, values);
    for learner in each() {
        let model = learner.fit(&job(&x, &y, 2, &quick())).unwrap();
        let p = model.predict(&x).unwrap();
        assert!(p.iter().all(|p| p.is_finite()));
        assert!(accuracy(&p, &y, 2) > 0.95, "{}", learner.name());
        assert_eq!(model.importance()[3], 0.0);
        let empty = model.predict(&matrix(1, 4, vec![f32::NAN; 4])).unwrap();
        assert!(empty.iter().all(|p| p.is_finite()));
    }
}

#[test]
fn weights_shift_probabilities() {
    let (x, y) = xor(400, 3, 0.3, 6);
    for learner in each() {
        let mean = |class_weight| {
            let params = LearnerParams {
                rounds: 10,
                class_weight,
                ..LearnerParams::default()
            };
            let p = learner
                .fit(&job(&x, &y, 2, &params))
                .unwrap()
                .predict(&x)
                .unwrap();
            p.chunks(2).map(|p| p[1]).sum::<f64>() / 400.0
        };
        let (less, even, more) = (
            mean(ClassWeight::Value(0.25)),
            mean(ClassWeight::None),
            mean(ClassWeight::Value(4.0)),
        );
        assert!(
            less < even - 0.1 && even < more - 0.1,
            "{less} {even} {more}"
        );
    }
}

#[test]
fn early_stopping_stops_and_refits() {
    let (x, y) = xor(300, 6, 0.45, 7);
    for learner in each() {
        let params = LearnerParams {
            rounds: 400,
            learning_rate: 0.3,
            early_stopping: Some(EarlyStopping {
                fraction: 0.25,
                patience: 10,
            }),
            ..LearnerParams::default()
        };
        let stopped = learner.fit(&job(&x, &y, 2, &params)).unwrap();
        let rounds = stopped.rounds();
        assert!((1..200).contains(&rounds), "{}: {rounds}", learner.name());
        // The model is the one that all rows give with that many rounds.
        let plain = LearnerParams {
            rounds,
            early_stopping: None,
            ..params
        };
        let plain = learner.fit(&job(&x, &y, 2, &plain)).unwrap();
        assert_eq!(plain.to_bytes().unwrap(), stopped.to_bytes().unwrap());
    }
    let (x, y) = three(200, 8);
    for learner in each() {
        let params = LearnerParams {
            early_stopping: Some(EarlyStopping {
                fraction: 0.25,
                patience: 5,
            }),
            ..quick()
        };
        learner.fit(&job(&x, &y, 3, &params)).unwrap();
    }
}

#[test]
fn seeds_matter_only_where_something_is_drawn() {
    let (x, y) = xor(300, 6, 0.2, 9);
    for learner in each() {
        let bytes = |seed, subsample| {
            let params = LearnerParams {
                seed,
                subsample,
                ..quick()
            };
            learner
                .fit(&job(&x, &y, 2, &params))
                .unwrap()
                .to_bytes()
                .unwrap()
        };
        assert_eq!(bytes(1, 1.0), bytes(2, 1.0));
        assert_eq!(bytes(1, 0.5), bytes(1, 0.5));
        assert_ne!(bytes(1, 0.5), bytes(2, 0.5));
    }
}

#[test]
fn saved_models_predict_the_same() {
    let (x, y) = xor(300, 5, 0.1, 10);
    for learner in each() {
        let model = learner.fit(&job(&x, &y, 2, &quick())).unwrap();
        let bytes = model.to_bytes().unwrap();
        let loaded = learner.load(&bytes).unwrap();
        assert_eq!(loaded.predict(&x).unwrap(), model.predict(&x).unwrap());
        assert_eq!(loaded.importance(), model.importance());
        assert_eq!(loaded.to_bytes().unwrap(), bytes);
        assert_eq!(loaded.rounds(), model.rounds());
        for broken in [&bytes[..bytes.len() / 2], b"", b"{}", b"nonsense"] {
            assert!(matches!(learner.load(broken), Err(LearnError::Model(_))));
        }
    }
}

#[test]
fn bad_data_is_an_error() {
    let (x, y) = xor(20, 3, 0.0, 11);
    for learner in each() {
        let fit = |y: &[usize], k| learner.fit(&job(&x, y, k, &quick())).err();
        let one = fit(&[1; 20], 2).unwrap().to_string();
        assert!(one.contains("all 20 training rows are of class 1"), "{one}");
        assert!(matches!(fit(&y[1..], 2), Some(LearnError::Data(_))));
        assert!(matches!(fit(&[5; 20], 2), Some(LearnError::Data(_))));
        assert!(matches!(fit(&[0; 20], 0), Some(LearnError::Data(_))));
        let model = learner
            .fit(&FitJob {
                threads: 0,
                ..job(&x, &y, 2, &quick())
            })
            .unwrap();
        let narrow = matrix(1, 2, vec![0.0; 2]);
        assert!(matches!(model.predict(&narrow), Err(LearnError::Data(_))));
    }
    let wide = matrix(2, 2_001, vec![0.0; 4_002]);
    let error = learner("gbdt")
        .unwrap()
        .fit(&job(&wide, &[0, 1], 2, &quick()))
        .err();
    assert!(
        error
            .unwrap()
            .to_string()
            .contains("at most 2000 columns and got 2001")
    );
    let new = |rows, cols, values: &[f32]| Matrix::new(rows, cols, Arc::new(values.to_vec()));
    let infinite = new(2, 2, &[0.0, 1.0, 2.0, f32::INFINITY]).unwrap_err();
    assert!(
        infinite.to_string().contains("row 1, column 1"),
        "{infinite}"
    );
    assert!(new(2, 2, &[0.0; 3]).is_err() && new(0, 2, &[]).is_err());
}

#[test]
fn a_class_may_be_absent_from_the_training_rows() {
    let (x, y) = xor(200, 3, 0.0, 12);
    for learner in each() {
        for class_weight in [ClassWeight::None, ClassWeight::Auto] {
            let params = LearnerParams {
                class_weight,
                ..quick()
            };
            let model = learner.fit(&job(&x, &y, 4, &params)).unwrap();
            let p = model.predict(&x).unwrap();
            assert!(
                p.chunks(4).all(|p| p[2] + p[3] < 0.05),
                "{}",
                learner.name()
            );
        }
    }
}

#[test]
fn parameters_are_checked() {
    let (x, y) = three(50, 13);
    let gbdt = learner("gbdt").unwrap();
    let unsupported = LearnerParams {
        max_bin: Some(32),
        ..quick()
    };
    let error = gbdt
        .fit(&job(&x, &y, 3, &unsupported))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("`gbdt` has no parameter `max_bin`") && error.ends_with("min_samples"),
        "{error}"
    );
    let one_leaf = LearnerParams {
        max_leaves: Some(1),
        ..quick()
    };
    let error = hessboost::HessBoost.fit(&job(&x, &y, 3, &one_leaf)).err();
    assert_eq!(
        error.unwrap().to_string(),
        "`max_leaves` must be 0 or at least 2"
    );
    let bad: [fn(&mut LearnerParams); 6] = [
        |p| p.rounds = 0,
        |p| p.learning_rate = f64::NAN,
        |p| p.max_depth = 0,
        |p| p.subsample = 1.5,
        |p| p.class_weight = ClassWeight::Value(2.0),
        |p| {
            p.early_stopping = Some(EarlyStopping {
                fraction: 1.0,
                patience: 1,
            })
        },
    ];
    for learner in each() {
        for spoil in bad {
            let mut params = quick();
            spoil(&mut params);
            let error = learner.fit(&job(&x, &y, 3, &params)).err();
            assert!(
                matches!(error, Some(LearnError::Parameter { .. })),
                "{params:?}"
            );
        }
        let resolved = quick().resolve(learner).unwrap();
        assert_eq!(resolved.resolve(learner).unwrap(), resolved);
    }
    let auto = ClassWeight::Auto;
    assert_eq!(auto.resolve(&[90, 10]).unwrap(), [1.0, 9.0]);
    assert_eq!(auto.resolve(&[20, 5, 0, 5]).unwrap(), [0.5, 2.0, 1.0, 2.0]);
}

/// If another thread stops the fit while it is under way, there is no model of the rounds so far.
#[test]
fn a_fit_ends_when_it_is_told_to() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    let (x, y) = three(300, 1);
    for learner in each() {
        for early_stopping in [
            None,
            Some(EarlyStopping {
                fraction: 0.2,
                patience: 100_000,
            }),
        ] {
            let params = LearnerParams {
                rounds: 100_000,
                early_stopping,
                ..quick()
            };
            let (asked, told) = (AtomicUsize::new(0), AtomicBool::new(false));
            let stop = || {
                asked.fetch_add(1, Ordering::Relaxed);
                told.load(Ordering::Relaxed)
            };
            let fitted = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while asked.load(Ordering::Relaxed) < 10 {
                        std::thread::yield_now();
                    }
                    told.store(true, Ordering::Relaxed);
                });
                learner.fit(&FitJob {
                    stop: &stop,
                    ..job(&x, &y, 3, &params)
                })
            });
            let stopped = matches!(fitted, Err(LearnError::Stopped));
            assert!(stopped, "{}", learner.name());
            let asked = asked.into_inner();
            assert!((10..50_000).contains(&asked), "{}: {asked}", learner.name());
        }
    }
}
