//! What an action has been through goes on in the next run if this one ends before its tasks.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use flow_engine::run::cluster::options::{Asked, ClusterOptions, WithMore};
use flow_testkit::files::{entries, wait_for, wait_until};

use super::{Cluster, on};
use crate::harness::{Project, Ran};
use crate::process::{failure, moody};

/// Stops a run as soon as it has made so many submissions.
fn stop_after(submissions: usize, project: &Project, cluster: &Cluster) -> JoinHandle<()> {
    let cancel = Arc::clone(&project.cancel);
    let calls = cluster.files.path("calls");
    let jobs = project.path(".flow/store/jobs");
    std::thread::spawn(move || {
        wait_until(|| {
            let said = fs::read_to_string(&calls).unwrap_or_default();
            said.matches("submit ").count() >= submissions
        });
        wait_until(|| entries(&jobs).iter().all(|job| job.join("id").is_file()));
        cancel.store(true, Ordering::Relaxed);
    })
}

/// A project with one action, which kills its process, on a cluster where this counts as such an end.
fn dying(end: &str) -> (Cluster, Project) {
    let cluster = Cluster::new();
    fs::write(cluster.order("say"), end).unwrap();
    let mut project = moody("die", "count = \"count\"");
    project.executor = on(asking(&cluster, 100));
    (cluster, project)
}

fn asking(cluster: &Cluster, memory_mb: u64) -> ClusterOptions {
    let mut options = cluster.options();
    options.retry.out_of_memory = WithMore {
        times: 2,
        factor: 1.5,
    };
    let asked = Asked {
        memory: Some(memory_mb << 20),
        ..Asked::default()
    };
    options.stages.insert("moody".to_owned(), asked);
    options
}

/// Runs a project whose action is submitted for the nth time, and stops the run then. The task ends while nobody looks.
fn run_and_leave(submission: usize, project: &Project, cluster: &Cluster) {
    let hold = cluster.order("hold");
    let thread = stop_after(submission, project, cluster);
    // What the run attaches to is over, so the hold concerns what it submits.
    assert!(project.run().interrupted);
    thread.join().unwrap();
    fs::remove_file(hold).unwrap();
    let end = format!("jobs/{}/0.end", submission - 1);
    wait_for(&cluster.files.path(&end));
    project.cancel.store(false, Ordering::Relaxed);
}

/// The memory that each submission asked for, in MiB.
fn asked(cluster: &Cluster) -> Vec<u64> {
    let calls = cluster.calls("submit");
    let words = calls.iter().flat_map(|call| call.split(' '));
    let memory = words.filter_map(|word| word.strip_prefix("mem=")?.parse().ok());
    memory.collect()
}

fn assert_no_batch_left(project: &Project) {
    let left = entries(&project.path(".flow/store/jobs"));
    assert!(left.is_empty(), "{left:?}");
}

fn assert_failed(ran: &Ran, code: &str) {
    assert_eq!(failure(ran).code.as_str(), code);
}

#[test]
fn tries_go_on_from_run_to_run_until_a_user_is_told() {
    let (cluster, project) = dying("out-of-memory");
    run_and_leave(1, &project, &cluster);
    run_and_leave(2, &project, &cluster);
    assert_eq!(asked(&cluster), [100, 150]);
    // The tries are used up within this run, which says so.
    assert_failed(&project.run(), "flow::executor::out_of_memory");
    assert_eq!(asked(&cluster), [100, 150, 225]);
    assert_no_batch_left(&project);
    assert_failed(&project.run(), "flow::executor::out_of_memory");
    assert_eq!(asked(&cluster), [100, 150, 225, 100, 150, 225], "anew");
}

#[test]
fn an_action_that_its_task_reports_as_short_of_memory_gets_more() {
    let cluster = Cluster::new();
    let mut project = moody("starve_once", "count = \"count\"");
    project.executor = on(asking(&cluster, 100));
    project.expect(&["moody: be"]);
    assert_eq!(asked(&cluster), [100, 150]);
}

#[test]
fn tries_that_were_used_up_while_nobody_looked_are_told_once() {
    let (cluster, mut project) = dying("node-failure");
    let mut options = asking(&cluster, 100);
    options.retry.node_failure = 1;
    project.executor = on(options);
    run_and_leave(1, &project, &cluster);
    run_and_leave(2, &project, &cluster);
    assert_failed(&project.run(), "flow::executor::node_failure");
    assert_eq!(cluster.calls("submit").len(), 2);
    assert_failed(&project.run(), "flow::executor::node_failure");
    assert_eq!(cluster.calls("submit").len(), 4, "anew");
}

#[test]
fn who_asks_for_something_else_begins_anew() {
    let (cluster, mut project) = dying("out-of-memory");
    run_and_leave(1, &project, &cluster);
    run_and_leave(2, &project, &cluster);
    project.executor = on(asking(&cluster, 200));
    assert_failed(&project.run(), "flow::executor::out_of_memory");
    assert_eq!(asked(&cluster), [100, 150, 200, 300, 450]);
}

#[test]
fn what_was_cancelled_between_two_runs_begins_anew() {
    let (cluster, project) = dying("cancelled");
    run_and_leave(1, &project, &cluster);
    // No try is allowed after a cancellation that a run sees.
    assert_failed(&project.run(), "flow::executor::cancelled");
    assert_eq!(cluster.calls("submit").len(), 2);
}

#[test]
fn an_action_that_waits_to_be_submitted_again_keeps_its_tries() {
    let (cluster, mut project) = dying("out-of-memory");
    project.append("p.toml", "[stages.s0]\nuse = \"tweak\"\n");
    let slow = cluster.order("slow");
    let mut options = asking(&cluster, 100);
    // While the other stage runs, the action waits 30 s for more of its like.
    options.task_time = Duration::from_secs(600);
    options.before = vec![format!(
        "while grep -q s0 \"$(dirname \"$0\")/batch\" && [ -e {} ]; do sleep 0.02; done",
        slow.display()
    )];
    project.executor = on(options);
    let cancel = Arc::clone(&project.cancel);
    let calls = cluster.files.path("calls");
    let thread = std::thread::spawn(move || {
        let asked =
            || fs::read_to_string(&calls).is_ok_and(|calls| calls.matches("status").count() > 1);
        wait_until(asked);
        std::thread::sleep(Duration::from_millis(500));
        cancel.store(true, Ordering::Relaxed);
    });
    let first = project.run();
    thread.join().unwrap();
    assert!(
        first.warnings.iter().any(|text| text.contains("again")),
        "{:?}",
        first.warnings
    );
    assert_eq!(asked(&cluster), [100]);
    fs::remove_file(slow).unwrap();
    project.cancel.store(false, Ordering::Relaxed);
    assert_failed(&project.run(), "flow::executor::out_of_memory");
    assert_eq!(asked(&cluster), [100, 150, 225]);
    assert_no_batch_left(&project);
}
