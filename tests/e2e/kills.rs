//! `kill -9` at random times over random graphs of programs and of built-in kinds: with nothing
//! repaired by hand, the run that is let finish leaves what an undisturbed one does.

use std::time::{Duration, Instant};

use flow_testkit::files::contents;
use flow_testkit::program::kill_after;
use flow_testkit::{Project, Random};

/// Kills for each graph.
const KILLS: u64 = 10;

/// A survey, and commands that each read some of what comes before them.
fn pipeline(random: &mut Random) -> String {
    let mut text = format!(
        "[pipeline]\nname = \"kills\"\nseed = {}\n[stages.s0]\nuse = \"ingest\"\nformat = \"demo\"\n\
         labelled = {}\npositives = 5\nunlabelled = 5\n",
        random.below(100),
        20 + random.below(20)
    );
    let stages = 4 + random.below(8);
    for stage in 1..=stages {
        let mut from: Vec<usize> = (0..1 + random.below(3))
            .map(|_| random.below(stage))
            .collect();
        from.sort_unstable();
        from.dedup();
        let port = |from: &usize| match from {
            0 => "i0 = \"s0.objects\"".to_owned(),
            from => format!("i{from} = \"s{from}\""),
        };
        let ports: Vec<String> = from.iter().map(port).collect();
        let args: Vec<String> = from.iter().map(|from| format!("\"{{i{from}}}\"")).collect();
        text.push_str(&format!(
            "[stages.s{stage}]\nuse = \"command\"\n\
             run = [\"/bin/sh\", \"step.sh\", \"{{out}}\", \"{}\", {}]\n\
             files = [\"step.sh\"]\ninputs = {{ {} }}\noutputs = {{ out = \"out.txt\" }}\n",
            random.below(4),
            args.join(", "),
            ports.join(", ")
        ));
    }
    text.push_str("[outputs]\n\"out/objects.csv\" = \"s0.objects\"\n");
    for stage in 1..=stages {
        text.push_str(&format!("\"out/{stage}.txt\" = \"s{stage}\"\n"));
    }
    text
}

/// Takes a moment, and writes in two parts.
const STEP: &str = "out=$1; tag=$2; shift 2; echo \"tag $tag\" > \"$out\"; sleep 0.0$tag; \
                    for i in \"$@\"; do cksum < \"$i\"; done >> \"$out\"\n";

fn project(toml: &str) -> Project {
    let project = Project::new();
    project.write("kills.toml", toml);
    project.write("step.sh", STEP);
    project
}

/// Kills runs of one graph. Returns how many runs were killed before they ended.
fn graph(seed: u64, kills: u64) -> u64 {
    let mut random = Random(seed);
    let toml = pipeline(&mut random);
    let undisturbed = project(&toml);
    let started = Instant::now();
    let whole = undisturbed.run(&["kills.toml"]);
    whole.ok();
    let took = started.elapsed().as_micros() as usize;

    let project = project(&toml);
    let mut killed = 0;
    for _ in 0..kills {
        let child = project.start_unheard(&["run", "-q", "kills.toml"]);
        // Most of them early, or the first few would see the run to its end.
        let longest = took / (1 + random.below(8)) + 1;
        let delay = Duration::from_micros(random.below(longest) as u64);
        killed += u64::from(kill_after(child, delay));
    }
    let resumed = project.run(&["kills.toml"]);
    resumed.ok();
    let what = format!("seed {seed}:\n{toml}");
    assert_eq!(resumed.digests(), whole.digests(), "{what}");
    // Debris included.
    let outputs = |project: &Project| contents(&project.path("out"));
    assert_eq!(outputs(&project), outputs(&undisturbed), "{what}");
    let verify = project.flow(&["cache", "verify"]);
    assert!(verify.code == 0, "{what}{verify:?}");
    let again = project.run(&["kills.toml"]);
    assert_eq!(again.ran(), [], "{what}");
    killed
}

fn kill(all: u64) {
    let mut killed = 0;
    for (seed, done) in (0..all).step_by(KILLS as usize).enumerate() {
        killed += graph(seed as u64, KILLS.min(all - done));
    }
    println!("{killed} of {all} kills met a run before its end");
    assert!(killed > 0);
}

#[test]
fn twenty_kills_over_random_graphs_lose_nothing() {
    kill(20);
}

#[test]
#[ignore = "takes minutes; FLOW_KILLS sets how many kills (500)"]
fn many_kills_over_random_graphs_lose_nothing() {
    let all = std::env::var("FLOW_KILLS").map_or(500, |n| n.parse().expect("a number"));
    kill(all);
}
