//! Dying and a full disk at every step that writes; damaged records.
//!
//! A run passes the fault points of the store, of the stat cache and of the delivery of output
//! files. Whichever of them it dies or fails at: what is stored is whole, and the next run goes on
//! from there to the results of an undisturbed one, with nothing to repair by hand.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use flow_cache::testing::fault::{self, Strike};
use flow_cache::{Digest, GcPolicy, Store};
use flow_engine::kind::{Fault as Blame, StageError};
use flow_testkit::files::entries;
use flow_testkit::store::{self, arm, segments};

use crate::harness::Project;
use crate::{ALL, MAIN, built, fresh};

/// Every point that a run, or gc after it, can pass. Manifests are for children, no kind
/// here leaves work, and records of this second are too young to be pruned: the tests of the store have all of these.
fn points() -> impl Iterator<Item = &'static str> {
    let elsewhere_too = [
        "stat-cache.save",
        "stat-cache.publish",
        "deliver.write",
        "deliver.publish",
        "manifest.write",
        "manifest.publish",
    ];
    let store = fault::POINTS.iter().copied();
    let elsewhere = |point: &str| {
        let prefix = point.starts_with("stage-exec.") || point.starts_with("unfinished.");
        prefix || point.ends_with("-pruned")
    };
    let store = store.filter(move |point| !elsewhere(point));
    store.chain(elsewhere_too)
}

/// How often a point is passed before it strikes: a run of 16 actions passes some of them often.
const SKIPS: [u32; 6] = [0, 1, 2, 7, 20, 50];

/// What the scenario damages: shard b, cleaned.
const DAMAGED: &str = "b1 x BEAN\nb2 y BEET\n";

/// Passes every fault point: a first run, one after an edit that meets a corrupt artifact and a row
/// that its writer did not complete, gc of all bytes, and a run that needs some of them again. It can begin in any state that an earlier
/// one left. Returns the digests of the last run.
fn scenario(project: &Project) -> Result<BTreeMap<String, Digest>, StageError> {
    project.write("p.toml", MAIN);
    project.write("data/a.txt", "a1 x apple\na2 y avocado\n");
    run(project)?;
    let damaged = Store::open(&project.store())?.path(&Digest::of(DAMAGED.as_bytes()));
    // It may be gone, or be damaged already.
    let _ = std::fs::remove_file(&damaged);
    std::fs::write(&damaged, "damage").unwrap();
    for segment in segments(&project.store()) {
        let mut file = std::fs::File::options().append(true).open(segment).unwrap();
        file.write_all(b"flow-row, torn").unwrap();
    }
    project.write("data/a.txt", "a1 x apricot\na2 y avocado\n");
    run(project)?;
    // A second segment, of equal rows, as gc leaves it if it dies: something to merge.
    let segment = &segments(&project.store())[0];
    std::fs::copy(segment, segment.with_file_name("copy.seg")).unwrap();
    let policy = GcPolicy {
        max_bytes: Some(0),
        ..GcPolicy::default()
    };
    store::collect(&Store::open(&project.store())?, &policy)?;
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    run(project)
}

fn run(project: &Project) -> Result<BTreeMap<String, Digest>, StageError> {
    let ran = project.try_run()?;
    match ran.failures.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(ran.digests),
    }
}

/// A project in which the scenario was disturbed: nothing in its store is wrong but what the
/// scenario damages itself, and it can be gone through again.
fn assert_recovers(project: &Project, expected: &BTreeMap<String, Digest>, what: &str) {
    let damaged = Digest::of(DAMAGED.as_bytes());
    if project.store().join("format").exists() {
        let store = Store::open(&project.store()).unwrap();
        let report = store.verify(|_| {}).unwrap();
        let corrupt = report.corrupt.iter().all(|digest| *digest == damaged);
        assert!(corrupt, "{what}: {:?}", report.corrupt);
        assert!(report.damaged.is_empty(), "{what}: {:?}", report.damaged);
    }
    let ran = scenario(project).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(ran, *expected, "{what}");
    project.expect(&[]);
    let outputs = ["out/all.txt", "out/p.txt"].map(|name| project.path(name));
    assert_eq!(entries(&project.path("out")), outputs, "{what}: debris");
    let unfinished = entries(&project.store().join("tmp"));
    assert_eq!(unfinished.len(), 0, "{what}: debris");
}

fn undisturbed() -> BTreeMap<String, Digest> {
    scenario(&fresh()).unwrap()
}

#[test]
fn a_full_disk_at_every_step_fails_the_run_and_nothing_else() {
    let expected = undisturbed();
    for point in points() {
        for skip in SKIPS {
            let project = fresh();
            arm(&project.root, point, skip, Strike::Error(libc::ENOSPC));
            let result = scenario(&project);
            fault::disarm(&project.root);
            let what = format!("disk full at {point}, {skip}");
            match result {
                Ok(digests) => {
                    assert!(skip > 0, "{point} was never passed");
                    assert_eq!(digests, expected, "{what}");
                    break;
                }
                Err(error) => {
                    assert_eq!(error.fault, Blame::Environment, "{what}: {error}");
                    assert!(error.message.contains("No space left"), "{what}: {error}");
                    assert_recovers(&project, &expected, &what);
                }
            }
        }
    }
}

#[test]
fn a_kill_at_every_step_loses_nothing() {
    let expected = undisturbed();
    for point in points() {
        for skip in SKIPS {
            let project = fresh();
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["faults::child", "--exact", "--nocapture"])
                .env("FLOW_TEST_KILL", format!("{point} {skip}"))
                .env("FLOW_TEST_ROOT", &project.root)
                .output()
                .unwrap();
            if child.status.success() {
                assert!(skip > 0, "{point} was never passed");
                break;
            }
            let what = format!("killed at {point}, {skip}");
            let text = String::from_utf8_lossy(&child.stderr);
            assert_eq!(child.status.signal(), Some(libc::SIGKILL), "{what}: {text}");
            assert_recovers(&project, &expected, &what);
        }
    }
}

/// The process that is killed.
#[test]
fn child() {
    let Ok(kill) = std::env::var("FLOW_TEST_KILL") else {
        return;
    };
    let root = PathBuf::from(std::env::var_os("FLOW_TEST_ROOT").unwrap());
    let (point, skip) = kill.split_once(' ').unwrap();
    arm(&root, point, skip.parse().unwrap(), Strike::Kill);
    scenario(&Project::at(&root)).unwrap();
}

#[test]
fn damaged_records_cost_their_actions_and_no_others() {
    let whole = built();
    let before = whole.run();
    assert_eq!(segments(&whole.store()).len(), 1);
    let length = std::fs::read(&segments(&whole.store())[0]).unwrap().len();
    let truncate = |bytes: &mut Vec<u8>, at: usize| bytes.truncate(at);
    let flip = |bytes: &mut Vec<u8>, at: usize| bytes[at] ^= 0x10;
    let damages: [fn(&mut Vec<u8>, usize); 2] = [truncate, flip];
    let mut costly = 0;
    for (number, at) in (0..length).step_by(length / 50).enumerate() {
        let project = built();
        let segment = &segments(&project.store())[0];
        let mut bytes = std::fs::read(segment).unwrap();
        damages[number % 2](&mut bytes, at);
        std::fs::write(segment, bytes).unwrap();
        let store = Store::open(&project.store()).unwrap();
        let found = |name: &str| store.find(&before.keys[name]).unwrap().is_some();
        let lost: Vec<&str> = ALL.into_iter().filter(|name| !found(name)).collect();
        drop(store);
        // A flipped bit costs one record, or none if it is in what no hit reads.
        assert!(number % 2 == 0 || lost.len() <= 1, "{lost:?} at {at}");
        costly += lost.len();
        let ran = project.expect(&lost);
        assert_eq!(ran.digests, before.digests);
        project.expect(&[]);
    }
    assert!(costly > 100, "{costly}");
}

#[test]
fn records_that_are_gone_are_made_again() {
    let project = built();
    std::fs::remove_dir_all(project.store().join("records")).unwrap();
    project.expect(&ALL);
    project.expect(&[]);
}

#[test]
fn gc_during_a_run_does_nothing() {
    let project = fresh();
    let store = project.store();
    project.control.hook(move |_| {
        let policy = GcPolicy {
            max_bytes: Some(0),
            max_age_days: Some(0.0),
            ..GcPolicy::default()
        };
        assert!(Store::open(&store).unwrap().gc(&policy).unwrap().in_use);
    });
    project.expect(&ALL);
    project.control.unhook();
    project.expect(&[]);
}
