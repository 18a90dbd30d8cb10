//! Which objects two evaluations classify differently: right in one and wrong in the other.

use super::{Arm, ArmParts, Deal};
use crate::numeric::metrics::cross_fitted_threshold;
use crate::numeric::metrics::multiclass::argmax;

/// An object that one evaluation classifies rightly and the other one wrongly.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedObject {
    /// The object.
    pub id: String,
    /// True for an object of the positive class, and for every object if there is no such class.
    pub positive: bool,
    /// Its class, if there is no positive class.
    pub class: Option<String>,
    /// The mean scores over repeats in the two evaluations: the probability of the positive class, or
    /// without one, of the object's own class.
    pub scores: [f64; 2],
    /// The shares of the repeats in which it is classified rightly.
    pub right: [f64; 2],
}

/// The objects of two evaluations, counted by how they are classified, and those that differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sides {
    /// Objects that both classify rightly.
    pub both_right: usize,
    /// Objects that both classify wrongly.
    pub both_wrong: usize,
    /// Objects that only the second classifies rightly, the largest change of the score first.
    pub gained: Vec<ChangedObject>,
    /// Objects that only the first classifies rightly.
    pub lost: Vec<ChangedObject>,
    /// Objects that only one of them has, or that have another class in the other.
    pub unpaired: usize,
}

/// Compares how two evaluations classify the objects that both have. An object is classified as
/// `evaluate` does it: in each repeat as positive from the threshold on that the other folds choose, or
/// as its most probable class. It is right if it is so in more than half of the repeats.
pub fn sides(first: &Arm, second: &Arm) -> Sides {
    let (a, b) = (first.parts(), second.parts());
    let right = [shares(a), shares(b)];
    let mut sides = Sides::default();
    let (mut known, mut paired) = (0, 0);
    for (i, id) in a.ids.iter().enumerate() {
        let Ok(j) = b.ids.binary_search(id) else {
            continue;
        };
        known += 1;
        if name(a, i) != name(b, j) {
            continue;
        }
        paired += 1;
        let right = [right[0][i], right[1][j]];
        let object = || ChangedObject {
            id: id.clone(),
            positive: a.classes.is_some() || a.positive[i],
            class: name(a, i).1.map(str::to_owned),
            scores: [score(first, i), score(second, j)],
            right,
        };
        match right.map(|share| share > 0.5) {
            [true, true] => sides.both_right += 1,
            [false, false] => sides.both_wrong += 1,
            [false, true] => sides.gained.push(object()),
            [true, false] => sides.lost.push(object()),
        }
    }
    sides.unpaired = a.ids.len() + b.ids.len() - known - paired;
    for list in [&mut sides.gained, &mut sides.lost] {
        let change = |object: &ChangedObject| (object.scores[1] - object.scores[0]).abs();
        list.sort_by(|x, y| {
            change(y)
                .total_cmp(&change(x))
                .then_with(|| x.id.cmp(&y.id))
        });
    }
    sides
}

/// Whether an object is positive, or the name of its class.
fn name(parts: &ArmParts, object: usize) -> (bool, Option<&str>) {
    match &parts.classes {
        Some(classes) => (false, Some(classes.names[classes.of[object]].as_str())),
        None => (parts.positive[object], None),
    }
}

/// The mean score of an object: of the positive class, or of its own.
fn score(arm: &Arm, object: usize) -> f64 {
    match &arm.parts().classes {
        Some(classes) => arm.average()[object * classes.names.len() + classes.of[object]],
        None => arm.average()[object],
    }
}

/// For each object, the share of the repeats in which it is classified rightly.
fn shares(parts: &ArmParts) -> Vec<f64> {
    let mut times = vec![0_usize; parts.ids.len()];
    for deal in &parts.repeats {
        let right = right_in(parts, deal);
        times
            .iter_mut()
            .zip(right)
            .for_each(|(n, right)| *n += usize::from(right));
    }
    let repeats = parts.repeats.len() as f64;
    times.into_iter().map(|n| n as f64 / repeats).collect()
}

fn right_in(parts: &ArmParts, deal: &Deal) -> Vec<bool> {
    match &parts.classes {
        Some(classes) => {
            let predicted = argmax(&deal.scores, classes.names.len()).into_iter();
            predicted.zip(&classes.of).map(|(p, of)| p == *of).collect()
        }
        None => {
            let found = cross_fitted_threshold(&deal.scores, &parts.positive, &deal.folds);
            let predicted = found.predicted.iter().zip(&parts.positive);
            predicted
                .map(|(predicted, positive)| predicted == positive)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Classes;
    use super::*;

    /// Twelve objects in three folds, four of them positive, with these scores in every repeat.
    fn binary(name: &str, repeats: &[[f64; 12]]) -> Arm {
        let parts = ArmParts {
            name: name.into(),
            ids: (0..12).map(|i| format!("o{i:02}")).collect(),
            positive: (0..12).map(|i| i % 3 == 0).collect(),
            repeats: (repeats.iter())
                .map(|scores| Deal {
                    folds: (0..12).map(|i| i / 4).collect(),
                    scores: scores.to_vec(),
                })
                .collect(),
            ..ArmParts::default()
        };
        Arm::from_parts(parts).unwrap()
    }

    /// Scores that tell the classes apart, but for these objects.
    fn scores(wrong: &[usize]) -> [f64; 12] {
        std::array::from_fn(|i| {
            let positive = (i % 3 == 0) != wrong.contains(&i);
            if positive { 0.9 } else { 0.1 }
        })
    }

    #[test]
    fn an_object_changes_sides_if_it_does_in_most_repeats() {
        let a = binary("a", &[scores(&[1]), scores(&[1]), scores(&[1, 2])]);
        let b = binary("b", &[scores(&[3]), scores(&[3]), scores(&[])]);
        let found = sides(&a, &b);
        assert_eq!(
            (found.both_right, found.both_wrong, found.unpaired),
            (10, 0, 0)
        );
        let [gained] = &found.gained[..] else {
            panic!("{found:?}");
        };
        assert_eq!((gained.id.as_str(), gained.positive), ("o01", false));
        assert_eq!(gained.right, [0.0, 1.0]);
        assert!((gained.scores[0] - 0.9).abs() < 1e-12 && (gained.scores[1] - 0.1).abs() < 1e-12);
        let [lost] = &found.lost[..] else {
            panic!("{found:?}");
        };
        assert_eq!((lost.id.as_str(), lost.positive), ("o03", true));
        assert!((lost.right[1] - 1.0 / 3.0).abs() < 1e-12, "{lost:?}");
        // Both ways round.
        let back = sides(&b, &a);
        assert_eq!(back.gained[0].id, lost.id);
        assert_eq!(back.lost[0].id, gained.id);
        assert_eq!(sides(&a, &a).gained, []);
    }

    #[test]
    fn objects_that_one_lacks_or_calls_otherwise_are_left_out() {
        let a = binary("a", &[scores(&[])]);
        let mut parts = a.parts().clone();
        parts.ids[11] = "o99".into();
        parts.positive[1] = true;
        let b = Arm::from_parts(parts).unwrap();
        let found = sides(&a, &b);
        assert_eq!(found.both_right + found.both_wrong, 10);
        assert_eq!(found.unpaired, 3);
    }

    #[test]
    fn without_a_positive_class_the_most_probable_class_counts() {
        let arm = |name: &str, wrong: usize| {
            let of = vec![0, 1, 2, 0, 1, 2];
            let row = |(i, &class): (usize, &usize)| {
                let class = if i == wrong { (class + 1) % 3 } else { class };
                (0..3).map(move |c| if c == class { 0.8 } else { 0.1 })
            };
            let parts = ArmParts {
                name: name.into(),
                ids: (0..6).map(|i| format!("o{i}")).collect(),
                repeats: vec![Deal {
                    folds: vec![0, 0, 0, 1, 1, 1],
                    scores: of.iter().enumerate().flat_map(row).collect(),
                }],
                classes: Some(Classes {
                    names: ["x", "y", "z"].map(str::to_owned).to_vec(),
                    of,
                }),
                ..ArmParts::default()
            };
            Arm::from_parts(parts).unwrap()
        };
        let found = sides(&arm("a", 1), &arm("b", 5));
        assert_eq!(
            (found.gained.len(), found.lost.len(), found.both_right),
            (1, 1, 4)
        );
        assert_eq!(found.gained[0].class.as_deref(), Some("y"));
        assert_eq!(found.gained[0].scores, [0.1, 0.8]);
        assert_eq!(found.lost[0].id, "o5");
    }
}
