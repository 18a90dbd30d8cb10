//! Machines on which every task fails.

use std::fs;
use std::time::Duration;

use flow_engine::run::cluster::options::{ClusterOptions, SchedulerChoice};

use super::{Cluster, assert_nothing_left, on};
use crate::harness::{Project, Ran};

/// A cluster of two machines, of which these fail every task at once.
fn with_holes(holes: &str) -> (Cluster, ClusterOptions) {
    let cluster = Cluster::new();
    fs::write(cluster.order("nodes"), "n1\nn2\n").unwrap();
    fs::write(cluster.order("holes"), holes).unwrap();
    let mut options = cluster.options();
    // Nothing is submitted again before the tasks of other machines are over.
    options.task_time = Duration::from_secs(600);
    (cluster, options)
}

/// Runs 16 actions, in 8 tasks at first, half of them on each machine.
fn run(options: ClusterOptions) -> Ran {
    let stage = |tag: usize| format!("[stages.s{tag}]\nuse = \"tweak\"\ntag = {tag}\n");
    let mut project = Project::new(&(0..16).map(stage).collect::<String>());
    project.executor = on(options);
    let ran = project.run();
    assert_nothing_left(&project);
    ran
}

/// The submissions that left machines out.
fn excluding(cluster: &Cluster) -> Vec<String> {
    let calls = cluster.calls("submit").into_iter();
    calls.filter(|call| call.contains(" not=")).collect()
}

#[test]
fn a_machine_that_fails_again_and_again_is_left_out() {
    let (cluster, options) = with_holes("n1\n");
    // A second try on the same machine would be the last one.
    assert_eq!(options.retry.failed, 1);
    let ran = run(options);
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let calls = cluster.calls("submit");
    assert!(!calls[0].contains(" not="), "{calls:?}");
    assert_eq!(excluding(&cluster), calls[1..], "{calls:?}");
    assert!(calls[1..].iter().all(|call| call.ends_with(" not=n1")));
    let told = ran.warnings.iter();
    let told = told.filter(|text| text.contains("again on n1: this run submits no more"));
    assert_eq!(told.count(), 1, "{:?}", ran.warnings);
}

#[test]
fn not_all_machines_are_left_out() {
    let (cluster, options) = with_holes("n1\nn2\n");
    let ran = run(options);
    let codes = ran.failures.iter().map(|(_, error)| error.code.as_str());
    assert_eq!(codes.collect::<Vec<_>>(), ["flow::executor::task"; 16]);
    assert!(cluster.calls("submit").len() > 1);
    assert!(excluding(&cluster).is_empty());
}

#[test]
fn machines_are_trusted_again_if_the_others_have_not_what_tasks_ask_for() {
    let (cluster, options) = with_holes("n1\n");
    cluster.order("strict");
    let ran = run(options);
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let calls = cluster.calls("submit");
    assert_eq!(excluding(&cluster), calls[1..2], "{calls:?}");
    assert!(calls.len() > 2, "{calls:?}");
}

#[test]
fn a_command_that_cannot_leave_machines_out_is_named() {
    let (_cluster, mut options) = with_holes("n1\nn2\n");
    if let SchedulerChoice::Command(templates) = &mut options.scheduler {
        templates.submit.pop();
    }
    let ran = run(options);
    for machine in ["n1", "n2"] {
        let told = format!("again on {machine}: with `{{exclude}}` in `submit`");
        let told = ran.warnings.iter().filter(|text| text.contains(&told));
        assert_eq!(told.count(), 1, "{:?}", ran.warnings);
    }
}
