//! The command line from outside: exit codes, messages, JSON events. The pipelines here consist of
//! external programs, so that they are quick and need no data.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// A project in a folder of its own.
struct Project {
    dir: TempDir,
}

/// How a command ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Project {
    fn new(pipeline: &str) -> Self {
        let project = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(project.path().join("p.toml"), pipeline).unwrap();
        project
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flow"));
        command.args(args).current_dir(self.path());
        for name in ["FLOW_STORE", "FLOW_SIMD", "COLUMNS"] {
            command.env_remove(name);
        }
        command
    }

    fn flow(&self, args: &[&str]) -> Ended {
        self.end(self.command(args))
    }

    fn end(&self, mut command: Command) -> Ended {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| self.settled(&String::from_utf8_lossy(bytes));
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Text without what differs from run to run: the folder, times and ids of runs.
    fn settled(&self, text: &str) -> String {
        let real = self.path().canonicalize().unwrap();
        let text = text.replace(&real.display().to_string(), "[DIR]");
        let text = text.replace(&self.path().display().to_string(), "[DIR]");
        let lines: Vec<String> = text.lines().map(settled_line).collect();
        lines.join("\n")
    }
}

fn settled_line(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    for at in 0..words.len() {
        let is_number = words[at].parse::<f64>().is_ok();
        if is_number && words.get(at + 1).is_some_and(|unit| unit == "s") {
            words[at] = "[T]".into();
        }
        let id = words[at].as_bytes();
        if id.len() == 22 && id[8] == b'T' && id[15] == b'-' {
            words[at] = "[RUN]".into();
        }
    }
    words.join(" ")
}

impl Ended {
    /// Code, stdout and stderr in one text.
    fn all(&self) -> String {
        format!(
            "exit code {}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }

    fn events(&self) -> Vec<Json> {
        let parse = |line: &str| serde_json::from_str(line).unwrap();
        self.stdout.lines().map(parse).collect()
    }

    /// The last event, which has to be the end of a run.
    fn finished(&self) -> Json {
        let last = self.events().pop().unwrap();
        assert_eq!(last["event"], "run-finished", "{}", self.all());
        last
    }
}

/// Two programs in a row and one beside them.
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
    let project = Project::new("");
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
        let ended = project.flow(args);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        text.push_str(&format!("$ flow {}\n{}\n\n", args.join(" "), ended.stdout));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_pipeline_that_is_not_there_is_a_usage_error() {
    let project = Project::new("");
    let ended = project.flow(&["run", "nowhere.toml"]);
    assert_eq!(ended.code, 2);
    insta::assert_snapshot!(ended.all());
}

#[test]
fn all_mistakes_of_a_file_are_shown_at_once() {
    let project = Project::new(
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
    let ended = project.flow(&["plan", "p.toml"]);
    assert_eq!(ended.code, 2);
    insta::assert_snapshot!(ended.all());
    let events = project
        .flow(&["plan", "p.toml", "--message-format", "json"])
        .events();
    assert!(events.len() > 3);
    assert!(events.iter().all(|e| e["event"] == "diagnostic"));
    let first = &events[0]["labels"][0];
    assert_eq!((&first["line"], &first["column"]), (&json!(4), &json!(1)));
}

#[test]
fn bad_arguments_are_usage_errors() {
    let project = Project::new(CHAIN);
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
        let ended = project.flow(args);
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.all());
        text.push_str(&format!("$ flow {}\n{}\n\n", args.join(" "), ended.all()));
    }
    insta::assert_snapshot!(text);
    assert_eq!(project.flow(&["run", "p.toml", "--jobs", "0"]).code, 2);
    assert_eq!(project.flow(&["run", "p.toml", "--executor", "x"]).code, 2);

    let mut command = project.command(&["run", "p.toml"]);
    command.env("FLOW_SIMD", "sse9");
    let ended = project.end(command);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("flow::cli::simd"), "{}", ended.stderr);
}

#[test]
fn a_run_then_nothing_to_do_then_one_change() {
    let project = Project::new(CHAIN);
    let ended = project.flow(&["run", "p.toml", "--jobs", "1"]);
    // While one action is committed another may start or not.
    let all = ended.all();
    let (mut ran, rest): (Vec<&str>, Vec<&str>) =
        all.lines().partition(|line| line.contains(" ran in [T]"));
    ran.sort_unstable();
    insta::assert_snapshot!("first_run", [ran, rest].concat().join("\n"));
    let two = project.path().join("out/two.txt");
    assert_eq!(fs::read_to_string(&two).unwrap(), "1\n1\n");

    let again = project.flow(&["run", "p.toml", "-q", "--message-format", "json"]);
    assert_eq!(again.stderr, "");
    let finished = again.finished();
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
    insta::assert_snapshot!("plan_after_a_change", plan.all());
    let changed = project.flow(&["run", "p.toml", "--set", set, "--message-format", "json"]);
    let stages = &changed.finished()["stages"];
    assert_eq!(
        [
            &stages["one"]["ran"],
            &stages["two"]["ran"],
            &stages["beside"]["ran"]
        ],
        [&json!(1), &json!(1), &json!(0)]
    );
    assert_eq!(fs::read_to_string(&two).unwrap(), "2\n2\n");
}

#[test]
fn an_edited_or_deleted_output_file_is_written_again() {
    let project = Project::new(CHAIN);
    let two = project.path().join("out/two.txt");
    project.flow(&["run", "p.toml"]);
    fs::write(&two, "edited").unwrap();
    project.flow(&["run", "p.toml"]);
    assert_eq!(fs::read_to_string(&two).unwrap(), "1\n1\n");

    // With the bytes gone from the store, the action that makes them has to run again.
    fs::remove_file(&two).unwrap();
    let artifacts = project.path().join(".flow/store/artifacts");
    fs::remove_dir_all(&artifacts).unwrap();
    fs::create_dir_all(&artifacts).unwrap();
    let ended = project.flow(&["run", "p.toml", "--message-format", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(fs::read_to_string(&two).unwrap(), "1\n1\n");
    let stages = &ended.finished()["stages"];
    assert_eq!(stages["beside"]["ran"], 0);
    assert_eq!(stages["two"]["ran"], 1);
}

#[test]
fn a_failing_stage_ends_with_code_1_and_the_rest_can_go_on() {
    let failing = CHAIN.replace("echo 1 > {out}", "echo sorry >&2; exit 7");
    let project = Project::new(&failing);
    let ended = project.flow(&["run", "p.toml", "--keep-going", "--jobs", "1"]);
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.all());
    let json = ["run", "p.toml", "-k", "--message-format", "json"];
    let ended = project.flow(&json);
    let finished = ended.finished();
    assert_eq!(finished["status"], "failed");
    let count = |stage: &str, what: &str| finished["stages"][stage][what].as_u64().unwrap();
    assert_eq!((count("one", "failed"), count("two", "skipped")), (1, 1));
    assert_eq!(count("beside", "hit"), 1);
    assert!(ended.events().iter().any(|e| e["event"] == "diagnostic"));
}

#[test]
fn an_interrupted_run_ends_with_code_130() {
    let project = Project::new(&CHAIN.replace("echo 1 > {out}", "touch {out}; sleep 60"));
    let mut command = project.command(&["run", "p.toml", "--message-format", "json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The signal must find the handler in place: the scratch folder comes after it.
    let scratch = project.path().join(".flow/scratch");
    while !scratch.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last: Json = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["status"], "interrupted");
}

#[test]
fn explain_shows_the_recipe() {
    let project = Project::new(CHAIN);
    let events = project
        .flow(&["explain", "p.toml", "one", "--message-format", "json"])
        .events();
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
    let project = Project::new(CHAIN);
    project.flow(&["run", "p.toml"]);
    let ended = project.flow(&["export", "last", "two.out", "-o", "copy.txt"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    let copy = fs::read_to_string(project.path().join("copy.txt")).unwrap();
    assert_eq!(copy, "1\n1\n");
    assert_eq!(
        project.flow(&["export", "1999", "two", "-o", "x.txt"]).code,
        2
    );
    assert_eq!(
        project
            .flow(&["export", "last", "two.x", "-o", "x.txt"])
            .code,
        2
    );
}

#[test]
fn an_audit_finds_what_is_not_deterministic() {
    let project = Project::new(CHAIN);
    project.flow(&["run", "p.toml"]);
    let ended = project.flow(&["run", "p.toml", "--audit"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert!(ended.stdout.contains("same bytes"), "{}", ended.stdout);

    let project = Project::new(&CHAIN.replace("echo 1 >", "date +%N >"));
    project.flow(&["run", "p.toml"]);
    let ended = project.flow(&["run", "p.toml", "--audit=3"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(
        ended.stderr.contains("flow::run::audit"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_store_can_be_verified_and_collected() {
    let project = Project::new(CHAIN);
    project.flow(&["run", "p.toml"]);
    let json = ["--message-format", "json"];
    let verified = project.flow(&[&["cache", "verify"][..], &json].concat());
    assert_eq!(verified.events()[0]["clean"], true);
    assert_eq!(verified.events()[0]["records"], 3);
    let stat = project.flow(&[&["cache", "stat"][..], &json].concat());
    assert_eq!(stat.events()[0]["artifacts"], 3);
    let gc = ["cache", "gc", "--max-size", "0", "--max-age", "0"];
    let collected = project.flow(&[&gc[..], &json].concat());
    assert_eq!(collected.events()[0]["evicted"], 3);
    // Records of recent runs stay, so a run has nothing to do but what an output file needs.
    let finished = project
        .flow(&[&["run", "p.toml"][..], &json].concat())
        .finished();
    assert_eq!(finished["stages"]["two"]["hit"], 1);
}

#[test]
fn init_writes_a_pipeline_and_overwrites_nothing() {
    let project = Project::new("");
    fs::write(project.path().join(".gitignore"), "out/").unwrap();
    let ended = project.flow(&["init"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    let ignored = fs::read_to_string(project.path().join(".gitignore")).unwrap();
    assert_eq!(ignored, "out/\n/.flow\n");
    assert_eq!(project.flow(&["graph", "rocket_domain.toml"]).code, 0);
    let again = project.flow(&["init"]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("flow::cli::init"));
}

#[test]
fn what_tools_read_is_well_formed() {
    let project = Project::new(CHAIN);
    let schema: Json = serde_json::from_str(&project.flow(&["schema"]).stdout).unwrap();
    assert!(schema["$defs"]["kind.rocket"].is_object());
    assert!(
        project
            .flow(&["completions", "bash"])
            .stdout
            .contains("_flow")
    );
    assert!(project.flow(&["man"]).stdout.contains(".TH flow"));
    assert!(
        project
            .flow(&["stages", "rocket"])
            .stdout
            .contains("`kernels`")
    );
    let mermaid = project.flow(&["graph", "p.toml", "--format", "mermaid"]);
    assert!(mermaid.stdout.contains("flowchart"), "{}", mermaid.stdout);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = Project::new(CHAIN);
    let mut command = project.command(&["schema"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
