//! The command line from outside: exit codes, messages, JSON events. The pipelines here consist of
//! programs, so that they are quick and need no data.

use std::fs;
use std::process::Stdio;

use flow_testkit::files::wait_for;
use flow_testkit::program::signal;
use flow_testkit::{Ended, Project, Run};
use serde_json::{Value as Json, json};

/// How a command ended, as one text without what differs from run to run: the folder, times and ids.
fn settled(project: &Project, ended: &Ended) -> String {
    let text = |text: &str| {
        let text = text.replace(&project.root.display().to_string(), "[DIR]");
        let mut in_table = false;
        let lines = text.lines().map(|line| {
            in_table = line.contains("  time  ") || (in_table && !line.is_empty());
            settled_line(line, in_table)
        });
        Vec::from_iter(lines).join("\n")
    };
    format!(
        "exit code {}\n--- stdout\n{}\n--- stderr\n{}",
        ended.code,
        text(&ended.stdout),
        text(&ended.stderr)
    )
}

fn settled_line(line: &str, in_table: bool) -> String {
    let mut words = Vec::from_iter(line.split(' '));
    for at in 0..words.len() {
        let is_number = words[at].parse::<f64>().is_ok();
        let id = words[at].as_bytes();
        if is_number && words.get(at + 1) == Some(&"s") {
            words[at] = "[T]";
        } else if id.len() == 22 && id[8] == b'T' && id[15] == b'-' {
            words[at] = "[RUN]";
        }
    }
    // In a table with times, the width of the column of times varies as they do.
    words.dedup_by(|word, before| in_table && word.is_empty() && before.is_empty());
    words.join(" ")
}

/// Two programs in a row, and one beside them.
const CHAIN: &str = r#"
[pipeline]
name = "chain"

[stages.one]
use = "command"
run = ["sh", "-c", "echo 1 > {out}"]
outputs = { out = "one.txt" }

[stages.two]
use = "command"
run = ["sh", "-c", "cat {from} {from} > {out}"]
inputs = { from = "one" }
outputs = { out = "two.txt" }

[stages.beside]
use = "command"
run = ["sh", "-c", "echo beside > {out}"]
outputs = { out = "beside.txt" }

[outputs]
"out/two.txt" = "two"
"#;

#[test]
fn help_is_complete() {
    let project = Project::bare();
    let mut text = String::new();
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["plan", "--help"],
        &["explain", "--help"],
        &["runs", "--help"],
        &["compare", "--help"],
        &["graph", "--help"],
        &["stages", "--help"],
        &["export", "--help"],
        &["cache", "gc", "--help"],
        &["init", "--help"],
    ] {
        let ended = project.flow(args).with(0);
        assert_eq!(ended.stderr, "");
        text.push_str(&format!(
            "$ flow {}\n{}\n\n",
            args.join(" "),
            ended.stdout.trim_end()
        ));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_pipeline_that_is_not_there_is_a_usage_error() {
    let project = Project::bare();
    let ended = project.flow(&["run", "nowhere.toml"]).with(2);
    insta::assert_snapshot!(settled(&project, &ended));
}

#[test]
fn all_mistakes_of_a_file_are_shown_at_once() {
    let project = Project::with(
        r#"
[pipeline]
name = "bad"
sed = 1

[stages.one]
use = "comand"

[stages.two]
use = "command"
run = "echo"
inputs = { from = "on" }
outputs = { out = "two.txt" }

[outputs]
"out" = "two"
"#,
    );
    let ended = project.flow(&["plan", "p.toml"]).with(2);
    insta::assert_snapshot!(settled(&project, &ended));
    let events = project.json(&["plan", "p.toml"]).events;
    assert!(events.len() > 3);
    assert!(events.iter().all(|e| e["event"] == "diagnostic"));
    let first = &events[0]["labels"][0];
    assert_eq!((&first["line"], &first["column"]), (&json!(4), &json!(1)));
}

#[test]
fn bad_arguments_are_usage_errors() {
    let project = Project::with(CHAIN);
    let mut text = String::new();
    for args in [
        &["run", "p.toml", "--set", "one"][..],
        &["run", "p.toml", "--set", "one.nothing=1"],
        &["run", "p.toml", "--set", "one.run=echo"],
        &["run", "p.toml", "--to", "tow"],
        &["explain", "p.toml", "three"],
        &["stages", "rockett"],
        &["cache", "stat"],
        &["export", "last", "two", "-o", "x.txt"],
    ] {
        let said = settled(&project, &project.flow(args).with(2));
        text.push_str(&format!("$ flow {}\n{said}\n\n", args.join(" ")));
    }
    insta::assert_snapshot!(text);
    project.flow(&["run", "p.toml", "--jobs", "0"]).with(2);
    project.flow(&["run", "p.toml", "--executor", "x"]).with(2);

    let mut command = project.command(&["run", "p.toml"]);
    let ended = Ended::run(command.env("FLOW_SIMD", "sse9")).with(2);
    ended.says("flow::cli::simd");
}

#[test]
fn a_run_then_nothing_to_do_then_one_change() {
    let project = Project::with(CHAIN);
    let ended = project.flow(&["run", "p.toml", "--jobs", "1"]);
    // While one action is committed, another may start or not.
    let all = settled(&project, &ended);
    let (mut ran, rest): (Vec<&str>, Vec<&str>) =
        all.lines().partition(|line| line.contains(" ran in [T]"));
    ran.sort_unstable();
    insta::assert_snapshot!("first_run", [ran, rest].concat().join("\n"));
    assert_eq!(project.read("out/two.txt"), "1\n1\n");

    let again = project.run(&["p.toml", "-q"]);
    assert_eq!(again.stderr, "");
    let finished = again.last();
    assert_eq!(
        (&finished["status"], &finished["pipeline"]),
        (&json!("ok"), &json!("chain"))
    );
    for stage in ["one", "two", "beside"] {
        let stage = &finished["stages"][stage];
        assert_eq!((&stage["actions"], &stage["hit"]), (&json!(1), &json!(1)));
        let digest = stage["outputs"]["out"].as_str().unwrap();
        assert!(digest.starts_with("b3:"));
    }
    assert_eq!(finished["metrics"], json!({}));

    let set = r#"one.run=["sh", "-c", "echo 2 > {out}"]"#;
    let plan = project.flow(&["plan", "p.toml", "--set", set]);
    insta::assert_snapshot!("plan_after_a_change", settled(&project, &plan));
    let changed = project.run(&["p.toml", "--set", set]);
    let stages = &changed.last()["stages"];
    assert_eq!(
        [
            &stages["one"]["ran"],
            &stages["two"]["ran"],
            &stages["beside"]["ran"]
        ],
        [&json!(1), &json!(1), &json!(0)]
    );
    assert_eq!(project.read("out/two.txt"), "2\n2\n");
}

#[test]
fn an_edited_or_deleted_output_file_is_written_again() {
    let project = Project::with(CHAIN);
    project.flow(&["run", "p.toml"]);
    project.write("out/two.txt", "edited");
    project.flow(&["run", "p.toml"]);
    assert_eq!(project.read("out/two.txt"), "1\n1\n");

    // The bytes are gone from the store, so the action that makes them has to run again.
    project.remove("out/two.txt");
    let artifacts = project.path(".flow/store/artifacts");
    fs::remove_dir_all(&artifacts).unwrap();
    fs::create_dir_all(&artifacts).unwrap();
    let ended = project.run(&["p.toml"]).with(0);
    assert_eq!(project.read("out/two.txt"), "1\n1\n");
    let stages = &ended.last()["stages"];
    assert_eq!(stages["beside"]["ran"], 0);
    assert_eq!(stages["two"]["ran"], 1);
}

#[test]
fn a_failing_stage_ends_with_code_1_and_the_rest_can_go_on() {
    let failing = CHAIN.replace("echo 1 > {out}", "echo sorry >&2; exit 7");
    let project = Project::with(&failing);
    let ended = project
        .flow(&["run", "p.toml", "--keep-going", "--jobs", "1"])
        .with(1);
    insta::assert_snapshot!(settled(&project, &ended));
    let ended = project.run(&["p.toml", "-k"]);
    let finished = ended.last();
    assert_eq!(finished["status"], "failed");
    let count = |stage: &str, what: &str| finished["stages"][stage][what].as_u64().unwrap();
    assert_eq!((count("one", "failed"), count("two", "skipped")), (1, 1));
    assert_eq!(count("beside", "hit"), 1);
    assert_ne!(ended.all("diagnostic").count(), 0);
}

#[test]
fn an_interrupted_run_ends_with_code_130() {
    let project = Project::with(&CHAIN.replace("echo 1 > {out}", "touch {out}; sleep 60"));
    let child = project.start(&["run", "p.toml"]);
    // The handler must be in place before the signal. The scratch folder is created after it.
    wait_for(&project.path(".flow/scratch"));
    signal(&child, libc::SIGINT);
    let run = Run::wait(child).with(130);
    assert_eq!(run.last()["status"], "interrupted");
}

#[test]
fn explain_shows_the_recipe() {
    let project = Project::with(CHAIN);
    let events = project.json(&["explain", "p.toml", "one"]).events;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["verdict"], "run");
    assert_eq!(events[0]["recipe"]["kind"], "command");
    project.flow(&["run", "p.toml"]);
    let set = r#"one.run=["sh", "-c", "echo 2 > {out}"]"#;
    let text = project
        .flow(&["explain", "p.toml", "one", "--set", set])
        .stdout;
    assert!(text.contains("echo 1 > {out}"), "{text}");
    assert!(text.contains("params.run"), "{text}");
}

#[test]
fn an_artifact_of_a_run_can_be_exported() {
    let project = Project::with(CHAIN);
    project.flow(&["run", "p.toml"]);
    let export = ["export", "last", "two.out", "-o", "copy.txt"];
    project.flow(&export).with(0);
    assert_eq!(project.read("copy.txt"), "1\n1\n");
    project
        .flow(&["export", "1999", "two", "-o", "x.txt"])
        .with(2);
    project
        .flow(&["export", "last", "two.x", "-o", "x.txt"])
        .with(2);
}

#[test]
fn an_audit_finds_what_is_not_deterministic() {
    let project = Project::with(CHAIN);
    project.flow(&["run", "p.toml"]);
    let ended = project.flow(&["run", "p.toml", "--audit"]).with(0);
    assert!(ended.stdout.contains("same bytes"), "{}", ended.stdout);

    let project = Project::with(&CHAIN.replace("echo 1 >", "date +%N >"));
    project.flow(&["run", "p.toml"]);
    let ended = project.flow(&["run", "p.toml", "--audit=3"]).with(1);
    ended.says("flow::run::audit");
}

#[test]
fn the_store_can_be_verified_and_collected() {
    let project = Project::with(CHAIN);
    project.flow(&["run", "p.toml"]);
    let verified = &project.json(&["cache", "verify"]).events[0];
    assert_eq!(verified["clean"], true);
    assert_eq!(verified["records"], 3);
    let stat = &project.json(&["cache", "stat"]).events[0];
    assert_eq!(stat["artifacts"], 3);
    let gc = ["cache", "gc", "--max-size", "0", "--max-age", "0"];
    assert_eq!(project.json(&gc).events[0]["evicted"], 3);
    // Records of recent runs stay, so a run only has to restore what an output file needs.
    assert_eq!(project.run(&["p.toml"]).last()["stages"]["two"]["hit"], 1);
}

#[test]
fn init_writes_a_pipeline_and_overwrites_nothing() {
    let project = Project::bare();
    project.write(".gitignore", "out/");
    project.write("README.md", "mine\n");
    let said = project.flow(&["init"]).with(0);
    said.gives("README.md was there, and is as it was");
    said.gives("next: flow run rocket_domain.toml");
    assert_eq!(project.read(".gitignore"), "out/\n/.flow\n");
    assert_eq!(project.read("README.md"), "mine\n");
    project.flow(&["graph", "rocket_domain.toml"]).with(0);
    project.flow(&["init"]).with(2).says("flow::cli::init");
}

#[test]
fn what_tools_read_is_well_formed() {
    let project = Project::with(CHAIN);
    let schema: Json = serde_json::from_str(&project.flow(&["schema"]).stdout).unwrap();
    assert!(schema["$defs"]["kind.rocket"].is_object());
    let gives = |args: &[&str], part: &str| {
        let given = project.flow(args).stdout;
        assert!(given.contains(part), "{given}");
    };
    gives(&["completions", "bash"], "_flow");
    gives(&["man"], ".TH flow");
    gives(&["stages", "rocket"], "`kernels`");
    gives(&["graph", "p.toml", "--format", "mermaid"], "flowchart");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = Project::with(CHAIN);
    let mut command = project.command(&["schema"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(Ended::wait(child).with(0).stderr, "");
}
