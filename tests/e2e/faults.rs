//! Kills and damage: the next run goes on where the last one was, and what is stored is whole.

use std::time::Duration;

use flow_testkit::program::{SMALL_ROCKET, kill_after};
use flow_testkit::store::{artifacts, flip};
use flow_testkit::{Project, Run};

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["pipelines/rocket_domain.toml"], &SMALL_ROCKET[..], more].concat()
}

#[test]
fn twenty_kills_lose_nothing() {
    let reference = Project::with_pipelines();
    let whole = reference.run(&args(&[]));
    whole.ok();

    let project = Project::with_pipelines();
    let mut ended = 0;
    for kill in 0..20_u64 {
        let child = project.start_unheard(&[&["run", "-q"], &args(&[])[..]].concat());
        // Spread over a run, in an order that visits early and late moments alike.
        let delay = Duration::from_millis(15 + (kill * 7919) % 400);
        ended += u64::from(!kill_after(child, delay));
        let verify = project.flow(&["cache", "verify"]);
        // Killed before the store was there, there is nothing to verify.
        let no_store = verify.stderr.contains("there is no store");
        assert!(
            verify.code == 0 || no_store,
            "after kill {kill}: {verify:?}"
        );
    }
    let resumed = project.run(&args(&[]));
    resumed.ok();
    assert_eq!(resumed.digests(), whole.digests());
    assert_eq!(resumed.total("actions"), whole.total("actions"));
    assert_eq!(
        project.run(&args(&[])).ran(),
        [],
        "{ended} of 20 runs ended before the kill"
    );
}

#[test]
fn a_damaged_artifact_is_set_aside_and_made_again() {
    let project = Project::with_pipelines();
    let first = project.run(&args(&[]));
    first.ok();
    let mut damaged = 0;
    for artifact in artifacts(&project.store()) {
        damaged += usize::from(flip(&artifact));
    }
    assert!(damaged > 50, "{damaged}");
    let verify = project.flow(&["cache", "verify"]);
    assert_ne!(verify.code, 0, "damage is found");
    let again = project.run(&args(&["--set", "submission.probability=true"]));
    again.ok();
    again.says("corrupt");
    assert_eq!(first.last()["metrics"], again.last()["metrics"]);
    assert!(
        project
            .read("out/submission.csv")
            .starts_with("object_id,prediction,probability")
    );
}

#[test]
fn runs_at_once_share_the_work() {
    let project = Project::with_pipelines();
    let all = [&["run"], &args(&[])[..]].concat();
    let children = [(); 3].map(|()| project.start(&all));
    let runs = children.map(Run::wait);
    let mut ran = std::collections::BTreeMap::<String, u64>::new();
    for run in &runs {
        run.ok();
        assert_eq!(run.digests(), runs[0].digests());
        for (stage, n) in run.ran() {
            *ran.entry(stage).or_default() += n;
        }
    }
    for (stage, figures) in runs[0].stages() {
        let actions = figures["actions"].as_u64().expect("a number");
        assert_eq!(ran.get(stage).copied().unwrap_or(0), actions, "{stage}");
    }
}
