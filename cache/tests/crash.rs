//! Dying, failing and racing at every step of every protocol.

mod common;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{action, child_args, commit, contents, key, spawn};
use flow_cache::testing::fault::{self, POINTS, Strike};
use flow_cache::{Committed, Digest, GcPolicy, Health, Store, StoreError};
use flow_testkit::Ended;
use flow_testkit::files::{entries, folder_in_memory as tempdir, wait_for};
use flow_testkit::store::{arm, collect, replace, segments};

/// Passes every fault point: creates the store, commits from two writers, finds damage, collects.
fn scenario(root: &Path) -> Result<(), StoreError> {
    let store = Store::open(root)?;
    commit(&store, &[1])?;
    drop(store);
    let store = Store::open(root)?;
    commit(&store, &[2, 3])?;
    // One that gc is to find too old.
    commit(&store, &[0])?;
    tear(root);
    commit(&store, &[4])?;
    let digest = Digest::of(&contents(4));
    replace(&store.path(&digest), b"damage");
    assert_eq!(store.check(&digest)?, Health::Corrupt);
    store.quarantine(&digest)?;
    commit(&store, &[4])?;
    store.commit(vec![action(&store, 1, b"orphan")?])?;
    // As on a file system without locks, where another writer has a segment of its own.
    let rows = std::fs::read(&segments(root)[0]).unwrap();
    std::fs::write(root.join("records/other.seg"), rows).unwrap();
    store.put_manifest(&key(5), b"how to run it")?;
    store.put_manifest(&key(6), b"left for gc")?;
    store.remove_manifest(&key(5))?;
    let left = store.unfinished(&key(5))?.expect("a folder of this user");
    flow_cache::write_unfinished(&left.join("state"), b"half of it")?;
    collect(&store, &younger_than(500_000.0))?;
    Ok(())
}

/// Drops records that were finished before then, in seconds since 1970.
fn younger_than(seconds: f64) -> GcPolicy {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    GcPolicy {
        max_age_days: Some((now.as_secs_f64() - seconds) / 86_400.0),
        ..GcPolicy::default()
    }
}

/// Leaves a torn row at the end of each segment, as a writer that dies does.
fn tear(root: &Path) {
    for path in segments(root) {
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        file.write_all(b"flow-row half a header").unwrap();
    }
}

/// Whatever happened, a later process finds a consistent store and can finish the work.
fn assert_recovers(root: &Path, what: &str) {
    let store = Store::open(root).unwrap();
    let damaged = Digest::of(&contents(4));
    let mut expected = 0;
    for n in 0..=4 {
        let Some(record) = store.lookup(&key(n)).unwrap() else {
            continue;
        };
        expected += 1;
        let digest = record.outputs[0].digest;
        assert_eq!(digest, Digest::of(&contents(n)), "{what}");
        let health = store.check(&digest).unwrap();
        assert!(
            health == Health::Ok || digest == damaged,
            "{what}: {n} is {health:?}"
        );
    }
    let report = store.verify(|_| {}).unwrap();
    assert_eq!(report.records, expected, "{what}");
    assert!(report.corrupt.iter().all(|d| *d == damaged), "{what}");
    assert!(report.damaged.is_empty(), "{what}");
    drop(store);
    // Debris is swept by the next process that opens the store.
    assert_eq!(entries(&root.join("tmp")).len(), 0, "{what}");
    scenario(root).unwrap();
    let store = Store::open(root).unwrap();
    assert_eq!(store.len(), 4, "{what}");
    assert_eq!(entries(&root.join("manifests")).len(), 0, "{what}");
    assert!(store.verify(|_| {}).unwrap().is_clean(), "{what}");
    assert_eq!(segments(root).len(), 1, "{what}");
}

#[test]
fn child() {
    let Some((args, dir)) = child_args() else {
        return;
    };
    let words: Vec<&str> = args.split(' ').collect();
    match words[..] {
        ["scenario", point, skip] => {
            arm(&dir, point, skip.parse().unwrap(), Strike::Kill);
            scenario(&dir).unwrap();
        }
        ["race", seed] => race(&dir, seed.parse().unwrap()),
        ["gc", point, skip] => {
            let store = Store::open(&dir).unwrap();
            arm(&dir, point, skip.parse().unwrap(), Strike::Kill);
            store.gc(&small_and_young()).unwrap();
        }
        ["slow-gc"] => {
            let store = Store::open(&dir).unwrap();
            let report = store.gc_announced(&small_and_young(), |_| {
                std::fs::write(dir.join("tmp/announced"), "").unwrap();
                wait_for(&dir.join("tmp/go-on"));
                true
            });
            assert!(!report.unwrap().in_use);
        }
        ["hold"] => {
            let store = Store::open(&dir).unwrap();
            let _lock = store.lock(&key(1)).unwrap().unwrap();
            std::fs::write(dir.join("tmp/held"), "").unwrap();
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        _ => panic!("unknown child {args}"),
    }
}

/// How often a point is tried.
const PASSES: u32 = 4;

#[test]
fn kill_at_every_point() {
    for point in POINTS {
        for skip in 0..PASSES {
            let dir = tempdir();
            let root = dir.path().join("store");
            let status = spawn(&root, &format!("scenario {point} {skip}"))
                .output()
                .unwrap();
            if status.status.success() {
                assert!(skip > 0, "{point} was never passed");
                break;
            }
            assert_eq!(
                status.status.signal(),
                Some(libc::SIGKILL),
                "{point} {skip}"
            );
            assert_recovers(&root, &format!("killed at {point} {skip}"));
        }
    }
}

#[test]
fn disk_full_at_every_point() {
    for point in POINTS {
        for skip in 0..PASSES {
            let dir = tempdir();
            let root = dir.path().join("store");
            arm(&root, point, skip, Strike::Error(libc::ENOSPC));
            let result = scenario(&root);
            fault::disarm(&root);
            let Err(error) = result else {
                assert!(skip > 0, "{point} was never passed");
                break;
            };
            assert!(error.is_disk_full(), "{point}: {error}");
            assert_recovers(&root, &format!("disk full at {point} {skip}"));
        }
    }
}

#[test]
fn a_commit_that_failed_can_be_repeated_by_the_same_store() {
    for point in ["commit.append", "commit.append-half", "commit.sync-records"] {
        let dir = tempdir();
        let store = Store::open(dir.path()).unwrap();
        commit(&store, &[1]).unwrap();
        arm(dir.path(), point, 0, Strike::Error(libc::ENOSPC));
        assert!(commit(&store, &[2]).unwrap_err().is_disk_full());
        assert!(store.lookup(&key(2)).unwrap().is_none());
        // Before the sync the row is whole already, and comes to count.
        let whole = point == "commit.sync-records";
        let again = commit(&store, &[2]).unwrap();
        assert_eq!(matches!(again[..], [Committed::New(_)]), !whole, "{point}");
        assert!(store.lookup(&key(2)).unwrap().is_some());
        assert_eq!(Store::open(dir.path()).unwrap().len(), 2);
        assert_eq!(segments(dir.path()).len(), 1, "{point}");
    }
}

/// Of actions 1 to 6, the records of 1 to 3 are too old, and there is room for two artifacts.
fn small_and_young() -> GcPolicy {
    GcPolicy {
        max_bytes: Some(2 * contents(1).len() as u64),
        ..younger_than(3.5e6)
    }
}

/// What is left of actions 1 to 6: records, and those with bytes.
fn left(store: &Store) -> (Vec<u32>, Vec<u32>) {
    let all = || 1..=6u32;
    (
        all()
            .filter(|&n| store.lookup(&key(n)).unwrap().is_some())
            .collect(),
        all()
            .filter(|&n| store.has(&Digest::of(&contents(n))))
            .collect(),
    )
}

#[test]
fn gc_may_die_anywhere_and_is_finished_by_the_next_one() {
    for point in POINTS.iter().filter(|point| point.starts_with("gc.")) {
        for skip in 0..PASSES {
            let dir = tempdir();
            let store = Store::open(dir.path()).unwrap();
            commit(&store, &[1, 2, 3, 4, 5, 6]).unwrap();
            drop(store);
            let child = spawn(dir.path(), &format!("gc {point} {skip}"));
            let status = { child }.output().unwrap().status;
            if status.success() {
                assert!(skip > 0, "{point} was never passed");
                break;
            }
            assert_eq!(status.signal(), Some(libc::SIGKILL), "{point} {skip}");
            let store = Store::open(dir.path()).unwrap();
            assert!(store.verify(|_| {}).unwrap().is_clean(), "{point} {skip}");
            // What was to stay is there, and a record that stays was never lost on the way.
            let (records, bytes) = left(&store);
            assert!(records.ends_with(&[4, 5, 6]), "{point} {skip}: {records:?}");
            assert!(bytes.ends_with(&[5, 6]), "{point} {skip}: {bytes:?}");
            collect(&store, &small_and_young()).unwrap();
            let finished = (vec![4, 5, 6], vec![5, 6]);
            assert_eq!(left(&store), finished, "{point} {skip}");
            assert_eq!(segments(dir.path()).len(), 1, "{point} {skip}");
        }
    }
}

#[test]
fn gc_during_a_run_removes_nothing() {
    let dir = tempdir();
    let store = Store::open(dir.path()).unwrap();
    commit(&store, &[1, 2, 3, 4, 5, 6]).unwrap();
    let mut run = spawn(dir.path(), "hold")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&dir.path().join("tmp/held"));
    assert!(store.gc(&small_and_young()).unwrap().in_use);
    let all: Vec<u32> = (1..=6).collect();
    assert_eq!(left(&store), (all.clone(), all));
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn a_run_that_starts_during_gc_waits_for_its_end() {
    let dir = tempdir();
    let store = Store::open(dir.path()).unwrap();
    commit(&store, &[1, 2, 3, 4, 5, 6]).unwrap();
    drop(store);
    let gc = spawn(dir.path(), "slow-gc")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&dir.path().join("tmp/announced"));
    let started = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let store = Store::open(dir.path()).unwrap();
            started.store(true, Ordering::Relaxed);
            left(&store)
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!started.load(Ordering::Relaxed));
        std::fs::write(dir.path().join("tmp/go-on"), "").unwrap();
        assert_eq!(run.join().unwrap(), (vec![4, 5, 6], vec![5, 6]));
    });
    Ended::wait(gc).with(0);
}

const ACTIONS: u32 = 40;

/// Commits all actions in an order of its own, each only if it gets its lock, as an engine does.
fn race(root: &Path, seed: u32) {
    let store = Store::open(root).unwrap();
    let mut ran = 0;
    for i in 0..ACTIONS {
        // 7, 11, 13 and 17 are coprime to 40.
        let n = (i * [7, 11, 13, 17][seed as usize % 4] + seed) % ACTIONS;
        loop {
            store.refresh().unwrap();
            if store.lookup(&key(n)).unwrap().is_some() {
                break;
            }
            let Some(_lock) = store.lock(&key(n)).unwrap() else {
                std::thread::sleep(std::time::Duration::from_millis(1));
                continue;
            };
            store.refresh().unwrap();
            if store.lookup(&key(n)).unwrap().is_none() {
                let results = commit(&store, &[n]).unwrap();
                assert!(matches!(results[..], [Committed::New(_)]));
                ran += 1;
            }
        }
    }
    std::fs::write(root.join(format!("ran-{seed}")), ran.to_string()).unwrap();
}

#[test]
fn concurrent_processes_run_each_action_once() {
    let dir = tempdir();
    let root = dir.path().join("store");
    let children: Vec<_> = (0..4)
        .map(|seed| {
            let mut command = spawn(&root, &format!("race {seed}"));
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for child in children {
        Ended::wait(child).with(0);
    }
    let ran = (0..4).map(|seed| {
        let text = std::fs::read_to_string(root.join(format!("ran-{seed}"))).unwrap();
        text.parse::<u32>().unwrap()
    });
    assert_eq!(ran.sum::<u32>(), ACTIONS);
    assert_eq!(segments(&root).len(), 1);
    assert!(
        Store::open(&root)
            .unwrap()
            .verify(|_| {})
            .unwrap()
            .is_clean()
    );
}

#[test]
fn without_locks_the_first_record_wins_for_everyone() {
    let dir = tempdir();
    let store = Store::open(dir.path()).unwrap();
    let stores: Vec<Store> = (0..4).map(|_| Store::open(dir.path()).unwrap()).collect();
    let new = std::thread::scope(|scope| {
        let handles: Vec<_> = stores
            .iter()
            .map(|store| {
                scope.spawn(|| {
                    (0..10)
                        .map(|n| commit(store, &[n]).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let results = handles
            .into_iter()
            .flat_map(|h| h.join().unwrap())
            .flatten();
        results.filter(|r| matches!(r, Committed::New(_))).count()
    });
    assert_eq!(new, 10);
    assert_eq!(segments(dir.path()).len(), 1);
    store.refresh().unwrap();
    assert_eq!(store.len(), 10);
}

#[test]
fn a_lock_ends_with_its_holder() {
    let dir = tempdir();
    let store = Store::open(dir.path()).unwrap();
    let mut holder = spawn(dir.path(), "hold")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&dir.path().join("tmp/held"));
    assert!(store.lock(&key(1)).unwrap().is_none());
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(store.lock(&key(1)).unwrap().is_some());
}
