//! `version`: what a program says of itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flow_engine::command::CommandKind;
use flow_engine::explain::preview::{Verdict, Wait};

use super::{alone, failure};
use crate::harness::Project;
use flow_testkit::files::{read, wait_for, write};

/// A pipeline whose `version` is a shell line; in it, `DIR` is a folder that programs may write to.
fn asks(version: &str, more: &str) -> Project {
    let project = alone("echo 1 > {out}", more);
    let dir = project.outside().display().to_string();
    let version = version.replace("DIR", &dir);
    let line = format!("version = [\"/bin/sh\", \"-c\", '''{version}''']\noutputs =");
    project.edit("outputs =", &line);
    project
}

fn asked(project: &Project) -> usize {
    let log = std::fs::read_to_string(project.outside().join("asked"));
    log.map_or(0, |log| log.lines().count())
}

#[test]
fn only_a_run_asks_and_what_it_was_told_is_remembered() {
    let project = asks("echo asked >> DIR/asked; cat DIR/says", "");
    let says = |text: &str| write(&project.outside().join("says"), text);
    says("1.0");
    let more = "[stages.next]\nuse = \"command\"\nrun = [\"/bin/cp\", \"{run}\", \"{next}\"]\n\
        inputs = { run = \"run\" }\noutputs = { next = \"n\" }\n[outputs]";
    project.edit("[outputs]", more);
    // Nobody knows yet, and nobody is asked.
    let planned = project.plan();
    let verdict = &planned.verdicts["run: run"];
    assert_eq!(*verdict, Verdict::Pending(Wait::Surroundings));
    let below = &planned.verdicts["next: run"];
    assert_eq!(*below, Verdict::Pending(Wait::Inputs(0)));
    assert_eq!(asked(&project), 0);
    project.run();
    assert_eq!(asked(&project), 1);
    let hits = |project: &Project| {
        let planned = project.plan();
        let verdicts = planned.verdicts.values();
        verdicts.filter(|v| **v == Verdict::Hit).count()
    };
    assert_eq!((hits(&project), asked(&project)), (2, 1));
    // Libraries are no files of the pipeline: only the next run is told.
    says("1.1");
    assert_eq!((hits(&project), asked(&project)), (2, 1));
    let ran = project.run();
    assert_eq!(
        (ran.ran.as_slice(), asked(&project)),
        (&["run: run".to_owned()][..], 2)
    );
    assert_eq!((hits(&project), asked(&project)), (2, 2));
    // What it says as before is an answer as before.
    says("1.0");
    assert!(project.run().ran.is_empty());
    assert_eq!(asked(&project), 3);
}

#[test]
fn a_program_that_is_asked_sees_what_the_others_see() {
    if CommandKind::landlock() == 0 {
        return;
    }
    let version =
        "{ cat declared.txt; cat ROOT/secret.txt; env; } > DIR/seen 2>&1; cat declared.txt";
    let more = "files = [\"declared.txt\"]\nenv = { V = \"v{{\", S = \"{seed}\" }";
    let project = asks(version, more);
    let root = project.root.display().to_string();
    project.edit("ROOT", &root);
    project.write("declared.txt", "declared\n");
    project.write("secret.txt", "secret\n");
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let seen = read(&project.outside().join("seen"));
    assert!(
        seen.contains("declared\n") && !seen.contains("secret\n"),
        "{seen}"
    );
    // What differs from action to action is not there.
    let names = seen.lines().filter_map(|line| line.split_once('='));
    let mut names: Vec<&str> = names.map(|(name, _)| name).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["FLOW_CPUS", "FLOW_GPUS", "PATH", "TMPDIR", "V"]);
    assert!(seen.contains("V=v{\n"), "{seen}");
    project.assert_no_debris();
    // A file that it sees may change what it says, so nobody knows before it is asked.
    project.write("declared.txt", "other\n");
    let planned = project.plan();
    assert!(matches!(planned.verdicts["run: run"], Verdict::Pending(_)));
    project.run();
    assert_eq!(project.plan().verdicts["run: run"], Verdict::Hit);
}

#[test]
fn a_stop_ends_a_program_that_is_asked() {
    let project = asks(": > DIR/asked; sleep 60", "");
    let (cancel, file) = (Arc::clone(&project.cancel), project.outside().join("asked"));
    let watcher = std::thread::spawn(move || {
        wait_for(&file);
        cancel.store(true, Ordering::SeqCst);
    });
    let started = Instant::now();
    let ran = project.run();
    watcher.join().unwrap();
    assert!(ran.interrupted && ran.failures.is_empty() && ran.started.is_empty());
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_makes_no_version_is_told_once_asked() {
    for (version, says) in [
        ("yes", "says more than 64 KiB"),
        ("head -c 65537 /dev/zero", "says more than 64 KiB"),
        ("echo what is wrong >&2; exit 3", "exit status: 3"),
    ] {
        let project = asks(version, "");
        let ran = project.run();
        let error = failure(&ran);
        assert_eq!(error.code.as_str(), "flow::command::version");
        assert!(error.message.contains(says), "{error}");
        let last = error.help.concat();
        assert_eq!(
            last.contains("what is wrong"),
            version.contains("wrong"),
            "{last}"
        );
    }
    // What it leaves behind may hold its output open; nobody waits for that.
    let project = asks("echo 1; sleep 60 & true", "");
    let started = Instant::now();
    project.expect(&["run: run"]);
    assert!(started.elapsed() < Duration::from_secs(20));
    let project = asks("true", "");
    project.edit("\"/bin/sh\", \"-c\", '''true'''", "\"no-such-program\"");
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::version");
}
