//! Bags of models.

use super::*;
use crate::learner::bag::Bag;

#[test]
fn a_bag_averages_models_of_other_seeds() {
    let (x, y) = xor(300, 6, 0.2, 23);
    let params = LearnerParams {
        subsample: 0.6,
        seed: 5,
        ..quick()
    };
    let job = job(&x, &y, 2, &params);
    for learner in each() {
        let one = learner.fit(&job).unwrap();
        let same = Bag::fit(learner, &job, 1).unwrap();
        assert_eq!(same.to_bytes().unwrap(), [one.to_bytes().unwrap()]);
        assert_eq!(same.predict(&x).unwrap(), one.predict(&x).unwrap());

        let bag = Bag::fit(learner, &job, 3).unwrap();
        let bodies = bag.to_bytes().unwrap();
        assert!(bodies[0] != bodies[1] && bodies[1] != bodies[2]);
        let each: Vec<_> = bodies.iter().map(|b| learner.load(b).unwrap()).collect();
        let p: Vec<Vec<f64>> = each.iter().map(|m| m.predict(&x).unwrap()).collect();
        for (i, mean) in bag.predict(&x).unwrap().into_iter().enumerate() {
            assert!((mean - (p[0][i] + p[1][i] + p[2][i]) / 3.0).abs() < 1e-15);
        }
        assert!((bag.importance().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!((bag.rounds(), bag.n_classes()), (40, 2));

        let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        let loaded = Bag::load(learner, &bodies).unwrap();
        assert_eq!(loaded.predict(&x).unwrap(), bag.predict(&x).unwrap());
        let three = learner
            .fit(&FitJob {
                n_classes: 3,
                ..job
            })
            .unwrap();
        let other = three.to_bytes().unwrap();
        for broken in [&[][..], &[bodies[0], &other], &[bodies[0], b"{}"]] {
            let error = Bag::load(learner, broken).err();
            assert!(matches!(error, Some(LearnError::Model(_))), "{error:?}");
        }
    }
}
