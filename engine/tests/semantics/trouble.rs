//! Failures, panics, interruptions, and several runs at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flow_engine::StageError;
use flow_engine::kind::Fault;

use crate::harness::{Project, Ran};
use crate::{ALL, fresh};

/// A stage that does `how`, one above, one below, and an independent one that is scheduled later.
fn troubled(how: &str) -> Project {
    Project::new(&format!(
        r#"
        [stages.above]
        use = "tweak"
        tag = 1
        [stages.trouble]
        use = "tweak"
        how = "{how}"
        inputs = {{ rows = ["above"] }}
        [stages.below]
        use = "tweak"
        inputs = {{ rows = ["trouble"] }}
        [stages.bottom]
        use = "tweak"
        inputs = {{ rows = ["below", "above"] }}
        [stages.aside]
        use = "tweak"
        tag = 2
        inputs = {{ rows = ["above"] }}
        "#
    ))
}

#[test]
fn a_failure_stops_what_was_not_begun() {
    let mut project = troubled("fail");
    project.jobs = 1;
    let ran = project.run();
    assert_eq!(ran.ran, ["above: tweak", "trouble: tweak"]);
    assert_eq!(ran.counts, [0, 1, 1, 3]);
    assert_eq!(ran.failures[0].1.fault, Fault::Stage);
    assert!(!ran.interrupted);
    // The failure is not remembered, what had finished is.
    let ran = project.run();
    assert_eq!(ran.ran, ["trouble: tweak"]);
    project.edit("\"fail\"", "\"pass\"");
    project.expect(&[
        "aside: tweak",
        "below: tweak",
        "bottom: tweak",
        "trouble: tweak",
    ]);
}

#[test]
fn keep_going_skips_only_what_depends_on_a_failure() {
    let mut project = troubled("fail");
    project.keep_going = true;
    let ran = project.run();
    assert_eq!(ran.ran, ["above: tweak", "aside: tweak", "trouble: tweak"]);
    assert_eq!(ran.counts, [0, 2, 1, 2]);
}

#[test]
fn a_panic_is_a_bug_and_no_crash() {
    let mut project = troubled("panic");
    project.keep_going = true;
    let ran = project.run();
    assert_eq!(ran.counts, [0, 2, 1, 2]);
    assert_eq!(ran.failures[0].1.fault, Fault::Bug);
    assert!(ran.failures[0].1.message.contains("told to panic"));
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let mut project = troubled("sleep");
    project.jobs = 1;
    let cancel = Arc::clone(&project.cancel);
    project.control.hook(move |calls| {
        if calls == 2 {
            cancel.store(true, Ordering::SeqCst);
        }
    });
    let ran = project.run();
    assert!(ran.interrupted);
    assert!(ran.failures.is_empty());
    assert_eq!(ran.counts, [0, 1, 0, 4]);
    project.control.unhook();
    project.cancel.store(false, Ordering::SeqCst);
    project.expect(&[
        "aside: tweak",
        "below: tweak",
        "bottom: tweak",
        "trouble: tweak",
    ]);
}

#[test]
fn nothing_is_left_behind_by_failed_attempts() {
    let mut project = troubled("panic");
    project.keep_going = true;
    project.run();
    project.assert_no_debris();
}

#[test]
fn two_to_four_runs_at_once_run_each_action_once() {
    for at_once in 2..=4 {
        let project = fresh();
        project
            .control
            .hook(|_| std::thread::sleep(Duration::from_millis(15)));
        let runs: Vec<Ran> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..at_once)
                .map(|_| scope.spawn(|| project.run()))
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert_eq!(project.control.ran.load(Ordering::SeqCst), ALL.len() as u32);
        let mut all: Vec<&String> = runs.iter().flat_map(|run| &run.ran).collect();
        all.sort();
        assert_eq!(all, ALL.each_ref());
        for ran in &runs {
            assert!(ran.failures.is_empty() && ran.warnings.is_empty());
            assert_eq!(ran.digests, runs[0].digests);
            assert_eq!(ran.counts[0] + ran.counts[1], ALL.len());
        }
        project.control.unhook();
        project.expect(&[]);
    }
}

#[test]
fn waiting_for_another_run_can_be_interrupted() {
    let project = troubled("pass");
    let started = Instant::now();
    project
        .control
        .hook(|_| std::thread::sleep(Duration::from_millis(300)));
    let mut other = troubled("pass");
    std::fs::remove_dir_all(&other.root).unwrap();
    std::os::unix::fs::symlink(&project.root, &other.root).unwrap();
    other.jobs = 1;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| project.run());
        std::thread::sleep(Duration::from_millis(100));
        let second = scope.spawn(|| other.run());
        std::thread::sleep(Duration::from_millis(50));
        other.cancel.store(true, Ordering::SeqCst);
        let second = second.join().unwrap();
        assert!(second.interrupted && second.ran.is_empty());
        assert!(started.elapsed() < Duration::from_millis(290));
        assert!(!first.join().unwrap().interrupted);
    });
}

#[test]
fn what_cannot_be_made_again_blocks_those_too_that_were_ready() {
    let mut project = Project::new(
        r#"
        [stages.read]
        use = "source"
        dir = "data"
        [stages.one]
        use = "map"
        inputs = { rows = "read.rows" }
        [stages.two]
        use = "map"
        suffix = "2"
        inputs = { rows = "read.rows" }
        [stages.all]
        use = "join"
        inputs = { rows = ["one", "two"] }
        "#,
    );
    project.write("data/a.txt", "a1 x apple\n");
    let ran = project.run();
    std::fs::remove_file(project.artifact(&ran, "read: read a rows")).unwrap();
    project.edit("use = \"map\"", "use = \"map\"\nop = \"upper\"");
    project.jobs = 1;
    project.keep_going = true;
    // Both maps are ready; the first one finds its rows gone, and they cannot be read again.
    let told = || StageError::failed("flow::test::told", "told to fail");
    project.control.nth(1, move || Err(told()));
    let ran = project.run();
    assert_eq!(ran.ran, ["read: read a"]);
    assert_eq!(ran.counts, [1, 0, 1, 3]);
    project.expect(&["all: join", "one: apply a", "read: read a", "two: apply a"]);
}
