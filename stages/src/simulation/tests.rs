use super::*;
use std::collections::BTreeMap;

/// As many objects as MALLORN has labelled ones: 3,043, 148 of them TDE, three copies of each source.
pub(super) fn full(survey: &'static DemoSurvey) -> DemoConfig {
    DemoConfig {
        survey,
        objects: 3_043,
        positives: None,
        unlabelled: 0,
        copies: None,
        seed: 42,
        difficulty: None,
    }
}

fn small() -> DemoConfig {
    DemoConfig {
        objects: 200,
        positives: Some(20),
        unlabelled: 40,
        ..full(surveys::ALL[0])
    }
}

pub(super) fn simulated(config: &DemoConfig) -> Vec<DemoObject> {
    let plans = catalogue(config).unwrap();
    plans
        .iter()
        .map(|plan| simulate(config, plan).unwrap())
        .collect()
}

#[test]
fn counts_are_exact_and_names_unique() {
    let plans = catalogue(&DemoConfig {
        unlabelled: 300,
        ..full(surveys::ALL[0])
    })
    .unwrap();
    let labelled: Vec<_> = plans.iter().filter(|plan| plan.labelled).collect();
    assert_eq!(plans.len(), 3_343);
    assert_eq!(labelled.len(), 3_043);
    assert_eq!(
        labelled.iter().filter(|plan| plan.class == "TDE").count(),
        148
    );
    let mut hidden = plans.iter().filter(|plan| !plan.labelled);
    assert_eq!(
        hidden.by_ref().filter(|plan| plan.class == "TDE").count(),
        15
    );
    assert!(
        plans
            .windows(2)
            .all(|pair| pair[0].object_id < pair[1].object_id)
    );
    for population in surveys::ALL[0].populations {
        assert!(labelled.iter().any(|plan| plan.class == population.name));
    }
}

#[test]
fn every_split_has_its_share_of_sources() {
    let mut sources: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for plan in catalogue(&full(surveys::ALL[0])).unwrap() {
        sources.entry(plan.split).or_default().push(plan.source);
    }
    assert_eq!(sources.len(), 20);
    for (split, mut sources) in sources {
        sources.dedup();
        assert!(sources.len() > 100, "{split}");
    }
}

#[test]
fn the_labelled_part_ignores_the_unlabelled() {
    let without = catalogue(&DemoConfig {
        unlabelled: 0,
        ..small()
    })
    .unwrap();
    let with = catalogue(&small()).unwrap();
    assert_eq!(without, with[..without.len()]);
}

#[test]
fn a_part_of_the_catalogue_is_as_it_is_in_the_whole() {
    let all = catalogue(&small()).unwrap();
    for split in 0..SPLITS {
        let here = |source: u64, _| source % SPLITS == split;
        let part = catalogue_where(&small(), here).unwrap();
        let whole = all.iter().filter(|plan| plan.split == split_of(split));
        assert!(part.iter().eq(whole) && !part.is_empty(), "{split}");
    }
    let hidden = catalogue_where(&small(), |_, labelled| !labelled).unwrap();
    assert_eq!(hidden, all[200..]);
}

#[test]
fn copies_share_group_split_class_and_nearly_the_redshift() {
    let config = small();
    let mut groups: BTreeMap<u64, Vec<DemoObject>> = BTreeMap::new();
    for object in simulated(&DemoConfig {
        unlabelled: 0,
        ..config
    }) {
        groups.entry(object.group).or_default().push(object);
    }
    // 20 TDE are 7 sources of at most three copies, and 180 others are 60.
    assert_eq!(groups.len(), 67);
    for copies in groups.values() {
        let first = &copies[0];
        assert!(copies.len() <= 3);
        for copy in &copies[1..] {
            assert_eq!((&copy.split, copy.class), (&first.split, first.class));
            let ratio = copy.redshift.unwrap() / first.redshift.unwrap();
            assert!(
                (0.9..1.11).contains(&ratio),
                "source {}: {ratio}",
                first.group
            );
            assert_ne!(copy.time, first.time);
        }
    }
}

#[test]
fn objects_are_detected_ordered_and_in_range() {
    let objects = simulated(&small());
    let mut rows = 0;
    for object in &objects {
        let n = object.time.len();
        assert_eq!(
            (object.band.len(), object.flux.len(), object.flux_err.len()),
            (n, n, n)
        );
        assert!(n >= 17);
        assert!(object.time.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(object.band.iter().all(|&band| band < 6));
        assert!(
            object
                .flux_err
                .iter()
                .all(|&error| error > 0.0 && error.is_finite())
        );
        assert!(object.flux.iter().all(|flux| flux.is_finite()));
        let snr = object.flux.iter().zip(&object.flux_err).map(|(f, e)| f / e);
        assert!(snr.fold(0.0, f64::max) > 8.5);
        assert!((0.01..=0.76).contains(&object.ebv));
        match object.redshift_err {
            None => assert!(object.labelled && (0.019..3.7).contains(&object.redshift.unwrap())),
            Some(error) => assert!(!object.labelled && (0.02..0.1).contains(&error)),
        }
        rows += n;
    }
    let mean = rows as f64 / objects.len() as f64;
    assert!(
        (130.0..190.0).contains(&mean),
        "{mean} observations per object"
    );
}

#[test]
fn objects_do_not_depend_on_order_or_company() {
    let config = small();
    let plans = catalogue(&config).unwrap();
    let forward: Vec<_> = plans[..12]
        .iter()
        .map(|plan| simulate(&config, plan))
        .collect();
    let mut backward: Vec<_> = plans[..12]
        .iter()
        .rev()
        .map(|plan| simulate(&config, plan))
        .collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let other = DemoConfig {
        seed: config.seed + 1,
        ..config
    };
    assert_ne!(simulate(&other, &plans[0]), forward[0]);
}

/// The sum of the bits of every number of an object, modulo 2^64.
fn bits(object: &DemoObject) -> u64 {
    let columns = [&object.time, &object.flux, &object.flux_err];
    let scalars = [
        object.redshift.unwrap_or(0.0),
        object.ebv,
        object.redshift_err.unwrap_or(0.0),
    ];
    let numbers = columns.into_iter().flatten().chain(&scalars);
    let sum = numbers.fold(0u64, |sum, x| sum.rotate_left(1).wrapping_add(x.to_bits()));
    object
        .band
        .iter()
        .fold(sum, |sum, &b| sum.rotate_left(1).wrapping_add(u64::from(b)))
}

/// Changing these figures changes every demo set: raise the ingest kind's `VERSION` with them.
#[test]
fn pinned_objects_keep_their_bits() {
    let config = small();
    let plans = catalogue(&config).unwrap();
    let found = ["TDE", "AGN", "SN Ia"].map(|class| {
        let plan = plans.iter().find(|plan| plan.class == class).unwrap();
        (
            plan.object_id.clone(),
            bits(&simulate(&config, plan).unwrap()),
        )
    });
    let pinned = [
        ("demo_00019", 6_219_652_126_033_465_274),
        ("demo_00001", 12_270_491_050_656_849_610),
        ("demo_00000", 6_430_753_159_135_845_275),
    ];
    assert_eq!(found, pinned.map(|(id, bits)| (String::from(id), bits)));
}

#[test]
fn impossible_requests_are_refused() {
    let refused = |config: DemoConfig| catalogue(&config).unwrap_err();
    assert_eq!(
        refused(DemoConfig {
            objects: 5,
            positives: Some(6),
            ..small()
        }),
        DemoError::TooManyPositives {
            positives: 6,
            objects: 5
        }
    );
    assert_eq!(
        refused(DemoConfig {
            copies: Some(0),
            ..small()
        }),
        DemoError::NoCopies
    );
    assert_eq!(
        refused(DemoConfig {
            difficulty: Some(50.0),
            ..small()
        }),
        DemoError::Difficulty(50.0)
    );
    assert!(matches!(
        refused(DemoConfig {
            difficulty: Some(f64::NAN),
            ..small()
        }),
        DemoError::Difficulty(_)
    ));
}

#[test]
fn edges_of_the_sizes() {
    let none = DemoConfig {
        objects: 0,
        positives: Some(0),
        unlabelled: 0,
        ..small()
    };
    assert_eq!(catalogue(&none), Ok(Vec::new()));
    let all = DemoConfig {
        objects: 4,
        positives: Some(4),
        unlabelled: 0,
        copies: Some(3),
        ..small()
    };
    let plans = catalogue(&all).unwrap();
    assert!(plans.len() == 4 && plans.iter().all(|plan| plan.class == "TDE"));
    for difficulty in [42.6, 44.8] {
        let config = DemoConfig {
            difficulty: Some(difficulty),
            ..all.clone()
        };
        assert!(plans.iter().all(|plan| simulate(&config, plan).is_ok()));
    }
}
