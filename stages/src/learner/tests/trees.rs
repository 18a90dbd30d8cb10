//! The shape of the trees of `hessboost`: their leaves and their columns.

use super::*;

/// The numbers of rows with equal predictions after one round, which are the rows of the leaves.
fn leaves(x: &Matrix, y: &[usize], n_classes: usize, params: LearnerParams) -> Vec<usize> {
    let params = LearnerParams {
        rounds: 1,
        min_child_weight: Some(0.0),
        ..params
    };
    let model = hessboost::HessBoost
        .fit(&job(x, y, n_classes, &params))
        .unwrap();
    let mut rows = std::collections::BTreeMap::new();
    for p in model.predict(x).unwrap().chunks(n_classes) {
        *rows.entry(p[1].to_bits()).or_insert(0) += 1;
    }
    rows.into_values().collect()
}

#[test]
fn leaves_are_as_many_and_as_large_as_is_asked() {
    let (x, y) = xor(400, 5, 0.2, 21);
    for most in [2, 3, 5, 9] {
        let found = leaves(
            &x,
            &y,
            2,
            LearnerParams {
                max_leaves: Some(most),
                max_depth: 16,
                ..quick()
            },
        );
        assert_eq!(found.len(), most, "{found:?}");
    }
    let shallow = LearnerParams {
        max_leaves: Some(9),
        max_depth: 2,
        ..quick()
    };
    assert_eq!(leaves(&x, &y, 2, shallow).len(), 4);
    // A tree that grows level by level is fuller than nine leaves.
    assert!(leaves(&x, &y, 2, quick()).len() > 9);
    let small = leaves(&x, &y, 2, quick()).into_iter().min();
    assert!(small < Some(10), "{small:?}");
    for max_leaves in [0, 9] {
        let params = LearnerParams {
            max_leaves: Some(max_leaves),
            min_rows: Some(30),
            ..quick()
        };
        let found = leaves(&x, &y, 2, params);
        assert!(
            found.len() > 4 && found.iter().all(|&n| n >= 30),
            "{found:?}"
        );
    }
}

/// Each tree draws its columns, so the trees of the classes of one round split on different ones.
#[test]
fn each_tree_draws_its_own_columns() {
    let (x, y) = xor(300, 20, 0.2, 22);
    let columns = |n_classes, seed| -> Vec<usize> {
        let params = LearnerParams {
            rounds: 1,
            colsample: Some(0.1),
            seed,
            ..quick()
        };
        let model = hessboost::HessBoost
            .fit(&job(&x, &y, n_classes, &params))
            .unwrap();
        let gain = model.importance();
        (0..20).filter(|&column| gain[column] > 0.0).collect()
    };
    let seeds: Vec<Vec<usize>> = (0..8).map(|seed| columns(2, seed)).collect();
    assert!(seeds.iter().all(|used| used.len() == 2), "{seeds:?}");
    assert!(seeds.iter().any(|used| *used != seeds[0]), "{seeds:?}");
    // There are three trees, one for each class, although the third class has no row.
    let most = (0..8).map(|seed| columns(3, seed).len()).max();
    assert!(most > Some(2) && most <= Some(6), "{most:?}");
}

#[test]
fn tiny_units_do_not_matter() {
    let (x, y) = xor(400, 3, 0.0, 5);
    let small: Vec<f32> = x.values().iter().map(|v| v / 1_048_576.0).collect();
    let small = matrix(400, 3, small);
    for learner in each() {
        let fit = |x: &Matrix| {
            learner
                .fit(&job(x, &y, 2, &quick()))
                .unwrap()
                .predict(x)
                .unwrap()
        };
        assert_eq!(fit(&x), fit(&small), "{}", learner.name());
    }
}
