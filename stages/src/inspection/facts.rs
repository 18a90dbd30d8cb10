//! What is known of objects besides their scores, by which an evaluation is cut into slices.

use std::collections::BTreeMap;

use super::peak::Brightest;
use crate::table::{Curves, Objects};

/// What is known of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ObjectFacts {
    /// Redshift.
    pub redshift: Option<f64>,
    /// The AB magnitude of the [`Brightest`] observation, if there is one.
    pub magnitude: Option<f64>,
    /// The number of observations.
    pub points: Option<usize>,
}

impl ObjectFacts {
    /// The facts of objects without light curves, by the names of the objects.
    pub fn of_objects(objects: &Objects) -> BTreeMap<String, Self> {
        let rows = objects.object_id.iter().zip(&objects.redshift);
        rows.map(|(id, &redshift)| {
            let facts = Self {
                redshift,
                ..Self::default()
            };
            (id.clone(), facts)
        })
        .collect()
    }

    /// The facts of objects with light curves, by the names of the objects.
    pub fn of_curves(curves: &Curves) -> BTreeMap<String, Self> {
        let mut all = Self::of_objects(&curves.objects);
        for (i, id) in curves.objects.object_id.iter().enumerate() {
            if let Some(facts) = all.get_mut(id) {
                let curve = curves.get(i);
                facts.points = Some(curve.flux.len());
                facts.magnitude = Brightest::of(&curve).map(|peak| peak.magnitude());
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Survey;

    #[test]
    fn the_peak_is_the_brightest_observation_that_is_no_noise() {
        let mut curves = Curves::new(Survey {
            bands: vec!["g".into()],
            ..Survey::default()
        });
        curves.objects.object_id = vec!["a".into(), "b".into(), "c".into()];
        curves.objects.redshift = vec![Some(0.5), None, None];
        curves.offsets = vec![0, 3, 4, 4];
        curves.time = vec![0.0, 1.0, 2.0, 0.0];
        curves.band = vec![0; 4];
        curves.flux = vec![3.63, 36.3, 900.0, -5.0];
        curves.flux_err = vec![0.1, 1.0, 400.0, 1.0];
        let facts = ObjectFacts::of_curves(&curves);
        // 3.63 microjansky are magnitude 22.5.
        let magnitude = facts["a"].magnitude.unwrap();
        assert!((magnitude - 20.0).abs() < 1e-3, "{magnitude}");
        assert_eq!(
            (facts["a"].points, facts["a"].redshift),
            (Some(3), Some(0.5))
        );
        assert_eq!((facts["b"].points, facts["b"].magnitude), (Some(1), None));
        assert_eq!((facts["c"].points, facts["c"].magnitude), (Some(0), None));
        let objects = ObjectFacts::of_objects(&curves.objects);
        assert_eq!(objects["a"].redshift, Some(0.5));
        assert_eq!(objects["a"].points, None);
    }
}
