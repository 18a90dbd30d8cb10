//! Kills and damage: the next run goes on where the last one was, and what is stored is whole.

use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Project, SMALL};

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["pipelines/rocket_domain.toml"];
    args.extend_from_slice(&SMALL);
    args.extend_from_slice(more);
    args
}

#[test]
fn twenty_kills_lose_nothing() {
    let reference = Project::with_pipelines();
    let whole = reference.run(&args(&[]));
    whole.ok();
    let actions = |run: &crate::harness::Run| -> u64 {
        let stages = run.last()["stages"].as_object().expect("stages");
        stages.values().filter_map(|s| s["actions"].as_u64()).sum()
    };

    let project = Project::with_pipelines();
    let mut ended = 0;
    for kill in 0..20_u64 {
        let mut all = vec!["run", "-q"];
        all.extend(args(&[]));
        let mut child = project
            .command(&all)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("flow starts");
        // Spread over a run, in an order that visits early and late moments alike.
        std::thread::sleep(Duration::from_millis(15 + (kill * 7919) % 400));
        if child.try_wait().expect("a status").is_some() {
            ended += 1;
        }
        // SIGKILL; a child that has ended already is no error.
        let _ = child.kill();
        child.wait().expect("a status");
        let verify = project.flow(&["cache", "verify"]);
        let text = String::from_utf8_lossy(&verify.stderr).into_owned();
        // Killed before the store was there, there is nothing to verify.
        let no_store = text.contains("there is no store");
        assert!(
            verify.status.success() || no_store,
            "after kill {kill}: {text}"
        );
    }
    let resumed = project.run(&args(&[]));
    resumed.ok();
    assert_eq!(resumed.digests(), whole.digests());
    assert_eq!(actions(&resumed), actions(&whole));
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
    let artifacts = project.path(".flow/store/artifacts");
    for folder in std::fs::read_dir(artifacts).expect("a listing") {
        for file in std::fs::read_dir(folder.expect("a folder").path()).expect("a listing") {
            let path = file.expect("a file").path();
            let mut bytes = std::fs::read(&path).expect("reads");
            let Some(middle) = bytes.len().checked_div(2).filter(|&m| m < bytes.len()) else {
                continue;
            };
            bytes[middle] ^= 1;
            std::fs::remove_file(&path).expect("removes");
            std::fs::write(&path, bytes).expect("writes");
            damaged += 1;
        }
    }
    assert!(damaged > 50, "{damaged}");
    assert!(
        !project.flow(&["cache", "verify"]).status.success(),
        "damage is found"
    );
    let again = project.run(&args(&["--set", "submission.probability=true"]));
    again.ok();
    assert!(again.stderr.contains("corrupt"), "{}", again.stderr);
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
    let mut all = vec!["run", "--message-format", "json"];
    all.extend(args(&[]));
    let spawn = || {
        project
            .command(&all)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("flow starts")
    };
    let children = [spawn(), spawn(), spawn()];
    let runs = children.map(|c| crate::harness::Run::of(c.wait_with_output().expect("ends")));
    let mut ran = std::collections::BTreeMap::<String, u64>::new();
    for run in &runs {
        run.ok();
        assert_eq!(run.digests(), runs[0].digests());
        for (stage, n) in run.ran() {
            *ran.entry(stage).or_default() += n;
        }
    }
    for (stage, figures) in runs[0].last()["stages"].as_object().expect("stages") {
        let actions = figures["actions"].as_u64().expect("a number");
        assert_eq!(ran.get(stage).copied().unwrap_or(0), actions, "{stage}");
    }
}
