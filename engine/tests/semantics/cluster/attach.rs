//! Runs that end before their tasks: the next run attaches to what the scheduler has, and `flow jobs` lists it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use flow_cache::{GcPolicy, Store};
use flow_engine::run::cluster::jobs;
use flow_engine::run::cluster::options::OnStop;
use flow_testkit::files::{entries, wait_for, wait_until};

use super::{Cluster, assert_nothing_left, on};
use crate::harness::Project;
use crate::process::{failure, moody};
use crate::{ALL, fresh};

/// Stops a run as soon as it has submitted something.
fn stop_once_submitted(project: &Project, cluster: &Cluster) -> JoinHandle<()> {
    let cancel = Arc::clone(&project.cancel);
    let calls = cluster.files.path("calls");
    let jobs = project.path(".flow/store/jobs");
    std::thread::spawn(move || {
        wait_for(&calls);
        let has_id = || entries(&jobs).iter().any(|job| job.join("id").is_file());
        wait_until(has_id);
        cancel.store(true, Ordering::Relaxed);
    })
}

/// Stops a run of an action that behaves in this way as soon as its task is submitted, and lets the task end then.
fn ended_unseen(mood: &str) -> (Cluster, Project) {
    let cluster = Cluster::new();
    let hold = cluster.order("hold");
    let mut project = moody(mood, "count = \"count\"");
    project.executor = on(cluster.options());
    let thread = stop_once_submitted(&project, &cluster);
    assert!(project.run().interrupted);
    thread.join().unwrap();
    fs::remove_file(hold).unwrap();
    wait_for(&cluster.files.path("jobs/0/0.end"));
    project.cancel.store(false, Ordering::Relaxed);
    (cluster, project)
}

#[test]
fn a_second_run_attaches_to_what_the_first_has_left() {
    for lost_id in [false, true] {
        let cluster = Cluster::new();
        let hold = cluster.order("hold");
        let mut project = fresh();
        project.executor = on(cluster.options());
        let thread = stop_once_submitted(&project, &cluster);
        let first = project.run();
        thread.join().unwrap();
        assert!(first.interrupted && first.ran.is_empty());
        let submitted = cluster.calls("submit").len();
        assert_eq!(submitted, 1);
        if lost_id {
            // The first run died after the submission, before it could note the id.
            let job = entries(&project.path(".flow/store/jobs")).remove(0);
            fs::remove_file(job.join("id")).unwrap();
        }
        project.cancel.store(false, Ordering::Relaxed);
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            fs::remove_file(hold).unwrap();
        });
        let second = project.expect(&ALL);
        release.join().unwrap();
        assert!(second.batches[0].attached, "{:?}", second.batches);
        let attached = second.batches[0].actions;
        let anew: usize = second.batches[1..].iter().map(|batch| batch.actions).sum();
        assert_eq!(
            (attached, attached + anew),
            (first.batches[0].actions, ALL.len()),
            "nothing twice"
        );
        assert_eq!(second.digests, fresh().expect(&ALL).digests);
        assert_nothing_left(&project);
    }
}

#[test]
fn what_ended_while_nobody_looked_is_found() {
    let (cluster, project) = ended_unseen("calm");
    project.expect(&[]);
    assert_eq!(
        (
            project.read("count").as_str(),
            cluster.calls("submit").len()
        ),
        ("run\n", 1)
    );
}

#[test]
fn a_failure_in_what_was_left_is_no_failure_of_the_next_run() {
    let (cluster, project) = ended_unseen("log_fail");
    assert_eq!(failure(&project.run()).code.as_str(), "flow::test::told");
    assert_eq!(
        (
            project.read("count").as_str(),
            cluster.calls("submit").len()
        ),
        ("run\nrun\n", 2)
    );
}

#[test]
fn a_user_who_wants_it_cancels_what_was_submitted() {
    let cluster = Cluster::new();
    cluster.order("hold");
    let mut options = cluster.options();
    options.on_stop = |_| OnStop::Cancel;
    let mut project = moody("calm", "");
    project.executor = on(options);
    let thread = stop_once_submitted(&project, &cluster);
    assert!(project.run().interrupted);
    thread.join().unwrap();
    assert_eq!(cluster.calls("cancel").len(), 1);
    assert_nothing_left(&project);
}

#[test]
fn batches_are_listed_and_cancelled() {
    let cluster = Cluster::new();
    let hold = cluster.order("hold");
    let mut project = fresh();
    project.executor = on(cluster.options());
    let thread = stop_once_submitted(&project, &cluster);
    let ran = project.run();
    thread.join().unwrap();
    let store = Store::open(&project.store()).unwrap();
    let listed = jobs::list(&store).unwrap();
    let batch = &ran.batches[0];
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].batch, listed[0].id.as_ref()),
        (&batch.batch, batch.id.as_ref())
    );
    assert_eq!((listed[0].tasks, listed[0].done), ([batch.tasks, 0, 0], 0));
    assert_eq!(
        (listed[0].actions, &listed[0].pipeline),
        (batch.actions, &"p".to_owned())
    );
    let deaf = cluster.order("deaf");
    let trouble = jobs::list(&store).unwrap().remove(0).trouble;
    assert!(trouble.is_some_and(|why| why.contains("connection refused")));
    fs::remove_file(deaf).unwrap();
    let unknown = jobs::cancel(&store, Some(&["none".to_owned()])).unwrap_err();
    assert_eq!(unknown.code.as_str(), "flow::cli::batch");
    assert_eq!(
        jobs::cancel(&store, None).unwrap(),
        std::slice::from_ref(&batch.batch)
    );
    assert!(jobs::list(&store).unwrap().is_empty());
    fs::remove_file(hold).unwrap();
    project.cancel.store(false, Ordering::Relaxed);
    project.expect(&ALL);
}

#[test]
fn gc_leaves_what_waiting_tasks_need() {
    let cluster = Cluster::new();
    let hold = cluster.order("hold");
    let mut project = moody("calm", "count = \"count\"");
    project.executor = on(cluster.options());
    let thread = stop_once_submitted(&project, &cluster);
    assert!(project.run().interrupted);
    thread.join().unwrap();
    // No process has the store open now, and the task has yet to start.
    let store = Store::open(&project.store()).unwrap();
    store.gc(&GcPolicy::default()).unwrap();
    drop(store);
    fs::remove_file(hold).unwrap();
    wait_for(&cluster.files.path("jobs/0/0.end"));
    project.cancel.store(false, Ordering::Relaxed);
    project.expect(&[]);
    assert_eq!(project.read("count"), "run\n");
}

#[test]
fn two_runs_at_once_do_no_harm() {
    let cluster = Cluster::new();
    let mut project = fresh();
    project.executor = on(cluster.options());
    let (first, second) = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| project.run()));
        let [first, second] = runs.map(|run| run.join().unwrap());
        (first, second)
    });
    let local = fresh().expect(&ALL);
    for ran in [&first, &second] {
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!(ran.digests, local.digests);
    }
}
