//! Long chains and wide fans: no recursion, linear time.

use std::time::{Duration, Instant};

use crate::harness::Project;

fn stage(index: usize, inputs: &str) -> String {
    format!("[stages.s{index}]\nuse = \"tweak\"\ntag = {index}\ninputs = {{ rows = [{inputs}] }}\n")
}

fn chain(length: usize) -> String {
    let above = |index: usize| match index {
        0 => String::new(),
        _ => format!("\"s{}\"", index - 1),
    };
    (0..length)
        .map(|index| stage(index, &above(index)))
        .collect()
}

fn fan(width: usize) -> String {
    let names: Vec<String> = (0..width).map(|index| format!("\"s{index}\"")).collect();
    let stages: String = (0..width).map(|index| stage(index, "")).collect();
    format!(
        "{stages}[stages.all]\nuse = \"join\"\ninputs = {{ rows = [{}] }}\n",
        names.join(",")
    )
}

/// Runs a pipeline of `actions` actions twice; returns the time of the second run.
fn twice(toml: &str, actions: usize) -> Duration {
    let project = Project::new(toml);
    let ran = project.run();
    assert_eq!(ran.counts, [0, actions, 0, 0]);
    let started = Instant::now();
    let ran = project.run();
    assert_eq!(ran.counts, [actions, 0, 0, 0]);
    started.elapsed()
}

#[test]
fn a_long_chain_and_a_wide_fan() {
    for toml_of in [chain as fn(usize) -> String, fan] {
        let toml = toml_of(2_000);
        let actions = toml.matches("[stages.").count();
        let took = twice(&toml, actions);
        // Quadratic in 2,000 would be seconds, recursion a crash.
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
#[ignore = "runs 100,000 actions, each of which is synced to disk: minutes"]
fn a_hundred_thousand() {
    for toml in [chain(100_000), fan(100_000)] {
        let took = twice(&toml, toml.matches("[stages.").count());
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}
