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

/// A stage of so many items, and one that gathers them.
fn items(width: usize) -> String {
    format!(
        "[stages.list]\nuse = \"items\"\nn = {width}\n\
         [stages.each]\nuse = \"map\"\ninputs = {{ rows = \"list\" }}\n\
         [stages.all]\nuse = \"join\"\ninputs = {{ rows = [\"each\"] }}\n"
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
    for toml in [chain(2_000), fan(2_000)] {
        // Recursion would overflow the stack.
        twice(&toml, toml.matches("[stages.").count());
    }
}

#[test]
fn a_fan_of_items() {
    twice(&items(2_000), 4_001);
    let project = Project::new(&items(30));
    project.run();
    // One more item is made, mapped and gathered; a number in another place is none.
    project.edit("n = 30", "n = 31");
    project.expect(&["all: join", "each: apply 30", "list: make 30"]);
    project.edit("n = 31", "n = 30");
    project.expect(&[]);
}

#[test]
#[ignore = "runs 100,000 actions thrice, each of which is synced to disk: minutes"]
fn a_hundred_thousand() {
    for (toml, actions) in [
        (chain(100_000), 100_000),
        (fan(100_000), 100_001),
        (items(50_000), 100_001),
    ] {
        let took = twice(&toml, actions);
        // Anything quadratic would take hours.
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}
