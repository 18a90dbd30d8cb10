//! The store's behaviour towards one well-behaved user, and towards damage.

mod common;

use std::collections::HashSet;
use std::fs;

use common::{action, commit, contents, key, recipe};
use flow_cache::{Committed, Digest, GcPolicy, Going, Health, Nearness, Store, StoreError};
use flow_testkit::files::{TempDir, entries, folder_in_memory as tempdir};
use flow_testkit::store::{replace, segments};

fn open() -> (TempDir, Store) {
    let dir = tempdir();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

#[test]
fn what_is_committed_is_found_by_this_and_other_handles() {
    let (_dir, store) = open();
    let other = Store::open(store.dir()).unwrap();
    assert!(matches!(
        commit(&store, &[1, 2]).unwrap()[..],
        [Committed::New(_), Committed::New(_)]
    ));
    assert!(other.lookup(&key(1)).unwrap().is_none());
    other.refresh().unwrap();
    for store in [&store, &other, &Store::open(store.dir()).unwrap()] {
        let record = store.lookup(&key(2)).unwrap().unwrap();
        assert_eq!(*record.recipe(), recipe(2));
        let digest = record.outputs[0].digest;
        assert_eq!(fs::read(store.path(&digest)).unwrap(), contents(2));
        assert_eq!(store.check(&digest).unwrap(), Health::Ok);
        assert!(store.lookup(&key(3)).unwrap().is_none());
    }
    assert!(matches!(
        commit(&other, &[2]).unwrap()[..],
        [Committed::Existing(_)]
    ));
    let report = store.verify(|_| {}).unwrap();
    assert!(report.is_clean());
    assert_eq!(
        (report.artifacts, report.records, report.evicted),
        (2, 2, 0)
    );
}

#[test]
fn uncommitted_work_leaves_nothing() {
    let (_dir, store) = open();
    let staged = action(&store, 1, b"x").unwrap();
    let path = staged.1[0].path().to_path_buf();
    let scratch = store.scratch().unwrap().path().to_path_buf();
    assert!(path.exists() && !scratch.exists());
    drop(staged);
    drop(store.create().unwrap());
    assert!(!path.exists());
    let tmp = store.dir().join("tmp");
    drop(store);
    assert_eq!(entries(&tmp).len(), 0);
}

#[test]
fn a_different_result_is_told_and_can_supersede() {
    let (_dir, store) = open();
    commit(&store, &[1]).unwrap();
    let results = store
        .commit(vec![action(&store, 1, b"other").unwrap()])
        .unwrap();
    let [Committed::Nondeterministic { kept, differing }] = &results[..] else {
        panic!("{results:?}");
    };
    assert_eq!(kept.outputs[0].digest, Digest::of(&contents(1)));
    assert_eq!(differing[..], ["out"]);

    let (record, staged) = action(&store, 1, b"other").unwrap();
    store.supersede(record, staged).unwrap();
    for store in [&store, &Store::open(store.dir()).unwrap()] {
        let record = store.lookup(&key(1)).unwrap().unwrap();
        assert_eq!(record.outputs[0].digest, Digest::of(b"other"));
    }
}

#[test]
fn a_record_without_its_bytes_is_refused() {
    let (_dir, store) = open();
    let (record, staged) = action(&store, 1, b"x").unwrap();
    drop(staged);
    let error = store.commit(vec![(record, Vec::new())]).unwrap_err();
    assert!(matches!(error, StoreError::MissingOutput { .. }));
    assert!(store.lookup(&key(1)).unwrap().is_none());
}

#[test]
fn damaged_artifacts_are_quarantined_and_replaced() {
    let (_dir, store) = open();
    commit(&store, &[1]).unwrap();
    let digest = Digest::of(&contents(1));
    let mut flipped = contents(1);
    flipped[100] ^= 1;
    for damage in [&flipped[..], &flipped[..10], b""] {
        replace(&store.path(&digest), damage);
        let fresh = Store::open(store.dir()).unwrap();
        assert_eq!(fresh.check(&digest).unwrap(), Health::Corrupt);
        assert_eq!(store.check(&digest).unwrap(), Health::Corrupt);
        assert_eq!(store.verify(|_| {}).unwrap().corrupt, [digest]);
        assert!(fresh.quarantine(&digest).unwrap().unwrap().exists());
        assert!(store.quarantine(&digest).unwrap().is_none());
        assert_eq!(store.check(&digest).unwrap(), Health::Missing);
        commit(&store, &[1]).unwrap();
        assert_eq!(store.check(&digest).unwrap(), Health::Ok);
        // A commit over damage that nobody noticed mends it.
        replace(&store.path(&digest), damage);
        commit(&store, &[1]).unwrap();
        assert_eq!(fs::read(store.path(&digest)).unwrap(), contents(1));
    }
}

#[test]
fn damaged_records_cost_one_recompute_and_are_reported() {
    let (_dir, store) = open();
    commit(&store, &[1, 2, 3]).unwrap();
    let path = segments(store.dir()).remove(0);
    let good = fs::read(&path).unwrap();
    drop(store);
    for at in (8..good.len()).step_by(7) {
        let dir = tempdir();
        let root = dir.path().join("store");
        drop(Store::open(&root).unwrap());
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(root.join("records/old.seg"), &bad).unwrap();
        let store = Store::open(&root).unwrap();
        let found: Vec<u32> = (1..=3)
            .filter(|&n| store.lookup(&key(n)).unwrap().is_some())
            .collect();
        assert_eq!(found.len(), 2, "byte {at}");
        let lost = (1..=3).find(|n| !found.contains(n)).unwrap();
        // The last row's header looks like a torn tail, which is no damage.
        assert!(!store.take_warnings().is_empty() || lost == 3, "byte {at}");
        assert!(matches!(
            commit(&store, &[lost]).unwrap()[..],
            [Committed::New(_)]
        ));
        let again = Store::open(&root).unwrap();
        assert!(again.lookup(&key(lost)).unwrap().is_some(), "byte {at}");
    }
}

#[test]
fn newer_and_foreign_formats_are_refused() {
    let (_dir, store) = open();
    let root = store.dir().to_path_buf();
    drop(store);
    fs::write(root.join("format"), "flow-store 3\n").unwrap();
    for opened in [Store::open(&root), Store::open_read_only(&root)] {
        assert!(matches!(
            opened.err().unwrap(),
            StoreError::NewerFormat {
                found: 3,
                supported: 2,
                ..
            }
        ));
    }
    fs::write(root.join("format"), "something\n").unwrap();
    let refused = |root: &std::path::Path| {
        let error = Store::open(root).err().unwrap();
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    };
    refused(&root);
    refused(&root.join("format"));
    fs::write(root.join("format"), "flow-store 1\n").unwrap();
    drop(Store::open(&root).unwrap());
    let format = fs::read_to_string(root.join("format")).unwrap();
    assert_eq!(format, "flow-store 2\n");
}

#[test]
fn a_store_is_not_made_among_other_files() {
    let dir = tempdir();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::NotAStore { .. })
    ));
    assert!(Store::open_for_reading(dir.path()).is_err());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn a_read_only_store_answers_and_refuses() {
    let (dir, store) = open();
    commit(&store, &[1]).unwrap();
    let reader = Store::open_read_only(store.dir()).unwrap();
    assert!(reader.lookup(&key(1)).unwrap().is_some());
    assert_eq!(reader.check(&Digest::of(&contents(1))).unwrap(), Health::Ok);
    assert!(reader.create().unwrap_err().is_environment());
    assert!(reader.lock(&key(1)).unwrap().is_some());
    let none = dir.path().join("none");
    assert!(Store::open_read_only(&none).is_err_and(|e| e.is_environment()));
    let empty = Store::open_for_reading(&none).unwrap();
    assert!(empty.lookup(&key(1)).unwrap().is_none() && empty.create().is_err());
    assert_eq!(empty.stat().unwrap().records, 0);
    assert!(!none.exists());
    let there = Store::open_for_reading(store.dir()).unwrap();
    assert!(there.lookup(&key(1)).unwrap().is_some());
}

#[test]
fn the_nearest_record_explains_a_miss() {
    let (_dir, store) = open();
    commit(&store, &[1, 2]).unwrap();
    let near = |stage: &str, action: &str| {
        let (nearness, record) = store.nearest(stage, action, &recipe(7)).unwrap()?;
        let old = recipe(7).diff(record.recipe())[0].old.clone().unwrap();
        Some((nearness, old))
    };
    let near_1 = |nearness| Some((nearness, 1u32.into()));
    assert_eq!(near("stage", "item 1"), near_1(Nearness::SameAction));
    assert_eq!(
        near("renamed", "item 1"),
        near_1(Nearness::SameKindAndAction)
    );
    assert_eq!(
        near("renamed", "item 9"),
        Some((Nearness::SameKind, 2u32.into()))
    );
    // The record of the recipe itself explains nothing.
    let other = store.nearest("stage", "item 1", &recipe(1)).unwrap();
    assert_eq!(other.unwrap().1.key, key(2));
    assert_eq!(store.earlier_records(None).unwrap(), 2);
    assert_eq!(store.earlier_records(Some("other")).unwrap(), 0);

    let wanted = Digest::of(&contents(1));
    let maker = |labels| store.maker(labels, |digest| *digest == wanted).unwrap();
    assert_eq!(maker(["stage", "test", "item 1"]).unwrap().1.key, key(1));
    assert_eq!(maker(["renamed", "test", "item 1"]).unwrap().1.key, key(1));
    assert!(maker(["stage", "test", "item 2"]).is_none());
    assert_eq!(store.origin(&wanted).unwrap().unwrap().key, key(1));
    assert!(store.origin(&Digest::of(b"none")).unwrap().is_none());
    let place = store.place(&key(2)).unwrap();
    assert_eq!(place.generation, 0);
    assert!(place.offset > store.place(&key(1)).unwrap().offset);
}

#[test]
fn gc_evicts_the_cheapest_bytes_and_keeps_records() {
    let (_dir, store) = open();
    // Equal sizes, and n CPU seconds each.
    commit(&store, &[3, 1, 2]).unwrap();
    store
        .commit(vec![action(&store, 1, b"orphan").unwrap()])
        .unwrap();
    let size = contents(1).len() as u64;
    let mut policy = GcPolicy {
        max_bytes: Some(size + 1),
        dry_run: true,
        ..GcPolicy::default()
    };
    let plan = store.gc(&policy).unwrap();
    assert!(store.has(&Digest::of(b"orphan")));
    policy.dry_run = false;
    let report = store.gc(&policy).unwrap();
    for report in [plan, report] {
        let costs: Vec<f64> = report.evicted.iter().map(|e| e.cost_s).collect();
        assert_eq!((costs, report.recompute_s), (vec![1.0, 2.0], 3.0));
        assert_eq!(report.orphans, (1, 6));
        assert_eq!(
            (report.bytes_before, report.bytes_after),
            (3 * size + 6, size)
        );
    }
    assert!(store.has(&Digest::of(&contents(3))));
    assert!(!store.has(&Digest::of(&contents(1))));
    let stage = store.stat().unwrap().stages["stage"];
    assert_eq!((stage.output_bytes, stage.present_bytes), (3 * size, size));
    assert!(store.lookup(&key(1)).unwrap().is_some());
    // Restoring evicted bytes finds the record in place.
    assert!(matches!(
        commit(&store, &[1]).unwrap()[..],
        [Committed::Existing(_)]
    ));
    assert!(store.has(&Digest::of(&contents(1))));
}

#[test]
fn gc_prunes_old_records_and_merges_segments() {
    let (_dir, store) = open();
    commit(&store, &[1, 2]).unwrap();
    let second = Store::open(store.dir()).unwrap();
    commit(&second, &[3]).unwrap();
    let other = store.dir().join("records/other.seg");
    fs::copy(&segments(store.dir())[0], other).unwrap();
    let mut policy = GcPolicy {
        max_age_days: Some(1.0),
        keep_records: HashSet::from([key(2)]),
        ..GcPolicy::default()
    };
    assert!(store.gc(&policy).unwrap().in_use);
    drop(second);
    let report = store.gc(&policy).unwrap();
    assert_eq!((report.records_removed, report.orphans.0), (2, 0));
    let going = Going {
        records: 2,
        artifacts: 2,
        bytes: 2 * contents(1).len() as u64,
        cost_s: 1.0 + 3.0,
    };
    assert_eq!(report.stages["stage"], going);
    assert_eq!(report.recompute_s, 4.0);
    assert_eq!(segments(store.dir()).len(), 1);
    assert!(store.lookup(&key(2)).unwrap().is_some());
    let pruned = [1, 2, 3].map(|n| store.pruned(&key(n)).unwrap().is_some());
    assert_eq!(pruned, [true, false, true]);
    commit(&store, &[4]).unwrap();
    policy.max_age_days = None;
    assert_eq!(store.gc(&policy).unwrap().records_removed, 0);
    assert_eq!(Store::open(store.dir()).unwrap().len(), 2);
    assert_eq!(store.stat().unwrap().stages["stage"].records, 2);
}

#[test]
fn a_log_is_kept_like_an_output_but_never_compared() {
    let (_dir, store) = open();
    let logged = |text: &[u8]| {
        let (mut record, mut staged) = action(&store, 1, &contents(1)).unwrap();
        let (log, file) = action(&store, 1, text).unwrap();
        record.log = log.outputs.into_iter().next().map(Box::new);
        staged.extend(file);
        (record, staged)
    };
    let results = store.commit(vec![logged(b"took 3 s")]).unwrap();
    assert!(matches!(results[..], [Committed::New(_)]));
    let results = store.commit(vec![logged(b"took 4 s")]).unwrap();
    assert!(matches!(results[..], [Committed::Existing(_)]));
    let log = Digest::of(b"took 3 s");
    let record = store.lookup(&key(1)).unwrap().unwrap();
    assert_eq!(record.log.as_ref().map(|l| l.digest), Some(log));

    // The second log has no record, the first one has.
    let report = store.gc(&GcPolicy::default()).unwrap();
    assert_eq!(report.orphans, (1, 8));
    assert_eq!(store.check(&log).unwrap(), Health::Ok);
    let bytes = contents(1).len() as u64 + 8;
    assert_eq!(store.stat().unwrap().stages["stage"].output_bytes, bytes);
    fs::remove_file(store.path(&log)).unwrap();
    assert_eq!(store.verify(|_| {}).unwrap().evicted, 1);

    let (record, staged) = logged(b"lost");
    let only_output = staged.into_iter().take(1).collect();
    let error = store.commit(vec![(record, only_output)]).unwrap_err();
    assert!(matches!(error, StoreError::MissingOutput { .. }));
}

#[test]
fn many_runs_share_one_segment_and_readers_follow_it_over_a_torn_tail() {
    let (_dir, store) = open();
    for n in 0..10 {
        let run = Store::open(store.dir()).unwrap();
        commit(&run, &[n]).unwrap();
        let path = segments(store.dir()).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&bytes.clone()[8..150]);
        fs::write(&path, bytes).unwrap();
        store.refresh().unwrap();
        assert_eq!(store.len(), n as usize + 1);
    }
    commit(&store, &[10]).unwrap();
    assert_eq!(segments(store.dir()).len(), 1);
    assert_eq!(Store::open(store.dir()).unwrap().len(), 11);
    assert!(store.verify(|_| {}).unwrap().is_clean());
}

#[test]
fn nobody_appends_to_a_damaged_segment_and_gc_rewrites_it() {
    let (_dir, store) = open();
    commit(&store, &[1, 2]).unwrap();
    let path = segments(store.dir()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] ^= 1;
    fs::write(&path, &bytes).unwrap();
    drop(store);
    let store = Store::open(path.parent().unwrap().parent().unwrap()).unwrap();
    commit(&store, &[3]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(segments(store.dir()).len(), 2);
    store.gc(&GcPolicy::default()).unwrap();
    assert_eq!(segments(store.dir()).len(), 1);
    let store = Store::open(store.dir()).unwrap();
    assert_eq!((store.len(), store.take_warnings()), (2, Vec::new()));
}

#[test]
fn many_may_create_a_store_at_once() {
    for _ in 0..50 {
        let dir = tempdir();
        let root = dir.path().join("store");
        let start = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            for n in 0..6 {
                let (root, start) = (&root, &start);
                scope.spawn(move || {
                    start.wait();
                    let store = Store::open(root).unwrap();
                    commit(&store, &[n]).unwrap();
                });
            }
        });
        assert_eq!(Store::open(&root).unwrap().len(), 6);
    }
}
