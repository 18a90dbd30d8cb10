//! `kill -9` at random times over random graphs of programs and of built-in kinds: with nothing
//! repaired by hand, the run that is let finish leaves what an undisturbed one does.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::Project;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

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
        let mut from: Vec<u64> = (0..1 + random.below(3))
            .map(|_| random.below(stage))
            .collect();
        from.sort_unstable();
        from.dedup();
        let port = |from: &u64| match from {
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

/// Name and bytes of all files under `out`, debris included.
fn outputs(project: &Project) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(project.path("out")).expect("a listing");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            let bytes = std::fs::read(entry.path()).expect("reads");
            (entry.file_name().into_string().expect("UTF-8"), bytes)
        })
        .collect();
    files.sort();
    files
}

/// Kills runs of one graph. Returns how many runs were killed before they ended.
fn graph(seed: u64, kills: u64) -> u64 {
    let mut random = Random(seed);
    let toml = pipeline(&mut random);
    let undisturbed = project(&toml);
    let started = Instant::now();
    let whole = undisturbed.run(&["kills.toml"]);
    whole.ok();
    let took = started.elapsed().as_micros() as u64;

    let project = project(&toml);
    let mut killed = 0;
    for _ in 0..kills {
        let mut child = project
            .command(&["run", "-q", "kills.toml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("flow starts");
        // Most of them early, or the first few would see the run to its end.
        let longest = took / (1 + random.below(8)) + 1;
        std::thread::sleep(Duration::from_micros(random.below(longest)));
        killed += u64::from(child.try_wait().expect("a status").is_none());
        // SIGKILL; a child that has ended already is no error.
        let _ = child.kill();
        child.wait().expect("a status");
    }
    let resumed = project.run(&["kills.toml"]);
    resumed.ok();
    let what = format!("seed {seed}:\n{toml}");
    assert_eq!(resumed.digests(), whole.digests(), "{what}");
    assert_eq!(outputs(&project), outputs(&undisturbed), "{what}");
    let verify = project.flow(&["cache", "verify"]);
    assert!(verify.status.success(), "{what}{verify:?}");
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
