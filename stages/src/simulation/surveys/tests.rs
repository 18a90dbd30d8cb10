//! The surveys have what is published of them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::physics::dust::Fitzpatrick99;
use crate::simulation::survey::{Class, MOST_BANDS, Population};
use crate::simulation::tests::{full, simulated};
use crate::simulation::{DemoConfig, DemoObject, catalogue, simulate};

/// The objects of a survey with so many labelled and unlabelled ones.
fn some(name: &str, objects: usize, unlabelled: usize) -> (DemoConfig, Vec<DemoObject>) {
    let config = DemoConfig {
        objects,
        unlabelled,
        ..full(named(Some(name)).unwrap())
    };
    let objects = simulated(&config);
    (config, objects)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn surveys_are_found_by_name_and_whole() {
    assert_eq!(named(None), Some(ALL[0]));
    assert_eq!(named(Some("des")), None);
    let dust = Fitzpatrick99::new(3.1);
    for (survey, name) in ALL.into_iter().zip(NAMES) {
        assert_eq!(named(Some(name)), Some(survey));
        assert!(survey.bands.len() <= MOST_BANDS);
        assert!(
            survey
                .bands
                .is_sorted_by(|a, b| a.wavelength < b.wavelength)
        );
        for band in survey.bands {
            let expected = dust.extinction(band.wavelength);
            let off = (band.extinction - expected).abs();
            assert!(off < 1e-4, "{name} {}: {expected}", band.name);
        }
        for labelled in [true, false] {
            let fields = survey.fields.iter().map(|field| field.share.of(labelled));
            assert!((fields.sum::<f64>() - 1.0).abs() < 1e-12, "{name}");
        }
        let tde = |p: &Population| p.class == Class::Tde;
        let any = survey.populations.iter().any(tde);
        assert_eq!(survey.unless_given.difficulty.is_some(), any, "{name}");
        assert!(!survey.populations[0].redshift.is_galactic(), "{name}");
    }
}

#[test]
fn every_survey_has_its_bands_classes_and_redshifts() {
    for survey in ALL {
        let (config, objects) = some(survey.name, 200, 60);
        assert_eq!(objects.len(), 260);
        let mut seen: BTreeSet<u8> = BTreeSet::new();
        let plans = catalogue(&config).unwrap();
        for (object, plan) in objects.iter().zip(&plans) {
            let name = &object.object_id;
            assert!(object.time.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(object.time.len() >= survey.detection.fewest_visits);
            let snr = object.flux.iter().zip(&object.flux_err).map(|(f, e)| f / e);
            assert!(snr.fold(0.0, f64::max) > survey.detection.snr, "{name}");
            assert!(object.flux.iter().all(|flux| flux.is_finite()), "{name}");
            seen.extend(&object.band);
            let galactic = survey.populations[plan.population].redshift.is_galactic();
            assert_eq!(survey.populations[plan.population].name, object.class);
            match (object.redshift, object.redshift_err) {
                (Some(z), None) => assert!(object.labelled && (z == 0.0) == galactic, "{name}"),
                (Some(z), Some(err)) => {
                    assert!(!object.labelled, "{name}");
                    assert_eq!((z == 0.0, err == 0.0), (galactic, galactic), "{name}");
                }
                (None, None) => assert!(!object.labelled && survey.photo_z.missing > 0.0),
                (None, Some(_)) => panic!("{name} has an error without a redshift"),
            }
        }
        assert_eq!(seen.len(), survey.bands.len(), "{}", survey.name);
        let again = simulate(&config, &catalogue(&config).unwrap()[7]).unwrap();
        assert_eq!(again, objects[7]);
    }
}

#[test]
fn classes_come_in_the_published_proportions() {
    let count = |name: &str, labelled: bool| {
        let config = DemoConfig {
            objects: 1_000,
            unlabelled: 10_000,
            ..full(named(Some(name)).unwrap())
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for plan in catalogue(&config).unwrap() {
            *counts.entry(plan.class).or_default() += usize::from(plan.labelled == labelled);
        }
        counts
    };
    // 5,086 of 21,319 supernovae, 23.9 %, are of type Ia; 51 % of the labelled ones.
    let (shown, hidden) = (count("spcc", true), count("spcc", false));
    assert_eq!((shown["Ia"], hidden["Ia"]), (510, 2_386));
    // Of 3,476,914 objects of the test set, 1,659,831 are of class 90 and 13,555 of class 15.
    let (shown, hidden) = (count("plasticc", true), count("plasticc", false));
    assert_eq!((shown["90"], hidden["90"]), (306, 4_774));
    assert_eq!((shown["15"], hidden["15"], shown.len()), (65, 39, 11));
    // 30, 102 and 151 of 7,848 labelled objects, and 1 % of the others each. Class 99 has four kinds of objects.
    let (shown, hidden) = (count("plasticc_15", true), count("plasticc_15", false));
    assert_eq!((shown["53"], shown["64"], shown["6"]), (4, 13, 19));
    assert_eq!((hidden["53"], hidden["64"], hidden["99"]), (94, 94, 376));
    assert_eq!((shown.get("99"), hidden.len()), (Some(&0), 15));
    let shown = count("ztf", true);
    assert_eq!((shown["TDE"], shown["SN Ia"], shown["SLSN"]), (13, 546, 10));
    // One is there even if the share is less than half an object.
    let few = DemoConfig {
        objects: 20,
        ..full(named(Some("ztf")).unwrap())
    };
    let plans = catalogue(&few).unwrap();
    assert_eq!(plans.iter().filter(|plan| plan.class == "TDE").count(), 1);
    let none = DemoConfig { objects: 0, ..few };
    assert_eq!(catalogue(&none), Ok(Vec::new()));
    // Without labelled objects, the others are of the same classes.
    let hidden = DemoConfig {
        unlabelled: 10_000,
        ..none
    };
    let plans = catalogue(&hidden).unwrap();
    assert_eq!(plans.iter().filter(|plan| plan.class == "TDE").count(), 40);
}

#[test]
fn given_positives_change_the_share_of_the_unlabelled_alike() {
    let survey = named(Some("plasticc")).unwrap();
    let config = DemoConfig {
        objects: 1_000,
        positives: Some(500),
        unlabelled: 10_000,
        ..full(survey)
    };
    let plans = catalogue(&config).unwrap();
    let positives = |labelled: bool| {
        let mine = plans.iter().filter(|plan| plan.labelled == labelled);
        mine.filter(|plan| plan.class == "15").count()
    };
    // 50 % in place of 6.5 % of the labelled ones: 7.6 times 0.39 % of the others.
    assert_eq!(positives(true), 500);
    assert!(
        (290..310).contains(&positives(false)),
        "{}",
        positives(false)
    );
}

/// Mean observations an object, the share of each band, median errors (microjansky) and median redshifts.
#[test]
fn cadence_depth_and_redshift_are_those_of_the_surveys() {
    // PLAsTiCC's training set has 1,421,705 observations of 7,848 objects, and its test set 453,653,104 of
    // 3,492,890.
    let (_, objects) = some("plasticc", 500, 300);
    let observations = |labelled: bool| {
        let mine = objects.iter().filter(|object| object.labelled == labelled);
        let (n, sum) = mine.fold((0, 0), |(n, sum), o| (n + 1, sum + o.time.len()));
        sum as f64 / f64::from(n)
    };
    assert!(
        (observations(true) / 181.2 - 1.0).abs() < 0.12,
        "{}",
        observations(true)
    );
    assert!(
        (observations(false) / 129.9 - 1.0).abs() < 0.12,
        "{}",
        observations(false)
    );
    let redshifts = |class: &str| {
        let mine = objects.iter().filter(|o| o.labelled && o.class == class);
        median(mine.filter_map(|object| object.redshift).collect())
    };
    // Medians of the training set.
    for (class, published) in [("90", 0.342), ("42", 0.179), ("15", 0.209)] {
        let found = redshifts(class);
        assert!((found / published - 1.0).abs() < 0.35, "{class}: {found}");
    }

    // ZTF: g and r every two to three nights while the object is up.
    let (_, objects) = some("ztf", 60, 0);
    for object in &objects {
        let g = object
            .band
            .iter()
            .zip(&object.time)
            .filter(|(b, _)| **b == 0);
        let times: Vec<f64> = g.map(|(_, time)| *time).collect();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!((2.0..=4.0).contains(&median(gaps)), "{}", object.object_id);
        assert!(object.redshift.unwrap() < 1.5);
    }
    // SPCC: one season of griz.
    let (_, objects) = some("spcc", 60, 0);
    for object in &objects {
        let span = object.time[object.time.len() - 1] - object.time[0];
        assert!(
            (120.0..180.0).contains(&span),
            "{}: {span}",
            object.object_id
        );
        assert!((60..140).contains(&object.time.len()));
    }
}

#[test]
fn tde_of_any_difficulty_can_be_found() {
    for survey in ALL {
        if survey.unless_given.difficulty.is_none() {
            continue;
        }
        for difficulty in [42.6, 44.8] {
            let config = DemoConfig {
                positives: Some(8),
                objects: 8,
                difficulty: Some(difficulty),
                ..full(survey)
            };
            for plan in catalogue(&config).unwrap() {
                let found = simulate(&config, &plan);
                assert!(found.is_ok(), "{} {difficulty}: {found:?}", survey.name);
            }
        }
    }
}

#[test]
fn objects_of_deep_fields_have_deeper_visits() {
    let (config, objects) = some("plasticc", 150, 0);
    let plans = catalogue(&config).unwrap();
    let mut errors = [Vec::new(), Vec::new()];
    for (plan, object) in plans.iter().zip(&objects) {
        let r = object
            .band
            .iter()
            .zip(&object.flux_err)
            .filter(|(b, _)| **b == 2);
        errors[config.survey.field_of(plan, config.seed)].extend(r.map(|(_, error)| *error));
    }
    let [wide, deep] = errors.map(median);
    // 5-sigma depths of 24.35 and 25.45.
    assert!((wide / 0.1321 - 1.0).abs() < 0.05 && (deep / 0.0480 - 1.0).abs() < 0.05);
}
