//! What is said to people, and what is kept for them: paths, runs that were stopped, what was set,
//! bytes that are made again for whoever asks.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::harness::Project;

/// A stage whose bytes a parameter decides, and one that takes them.
const TWO: &str = r#"
[pipeline]
name = "two"
[stages.one]
use = "command"
run = ["sh", "-c", "echo {seed} $WORD > {out}"]
outputs = { out = "one.txt" }
env = { WORD = "first" }
[stages.two]
use = "command"
run = ["sh", "-c", "cat {from} > {out}"]
inputs = { from = "one" }
outputs = { out = "two.txt" }
[outputs]
"out/two.txt" = "two"
"#;

/// Two programs that wait for their end, or a while longer, and one behind them.
const SLOW: &str = r#"
[stages.slow]
use = "command"
run = ["sh", "-c", "HOW touch {out}; exec sleep 60"]
each = { i = [1, 2] }
outputs = { out = "slow_{i}.txt" }
[stages.after]
use = "command"
run = ["sh", "-c", "cat {slow} > {out}"]
inputs = { slow = "slow" }
outputs = { out = "after.txt" }
"#;

fn text(project: &Project, args: &[&str]) -> String {
    let output = project.flow(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn last_run(project: &Project) -> Json {
    let shown = text(
        project,
        &["runs", "show", "last", "--message-format", "json"],
    );
    serde_json::from_str(shown.trim()).expect("a JSON line")
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid])
        .status();
    assert!(sent.expect("kill starts").success());
}

/// Starts the pipeline, waits until both programs run, and stops it.
fn stopped(
    project: &Project,
    how: &str,
    with: &str,
) -> (Child, BufReader<std::process::ChildStderr>) {
    project.write("slow.toml", SLOW.replace("HOW", how));
    let mut command = project.command(&["run", "slow.toml", "-v", "-j", "2"]);
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("flow starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    let mut starts = 0;
    while starts < 2 {
        line.clear();
        assert!(stderr.read_line(&mut line).expect("text") > 0, "flow ended");
        starts += usize::from(line.contains("starts"));
    }
    signal(&child, with);
    (child, stderr)
}

#[test]
fn a_run_that_is_stopped_says_so_at_once_and_is_remembered() {
    for with in ["INT", "TERM"] {
        let project = Project::new();
        let (mut child, mut stderr) = stopped(&project, "", with);
        let asked = Instant::now();
        let mut line = String::new();
        stderr.read_line(&mut line).expect("text");
        assert!(
            line.starts_with("stopping after ") && line.contains("; again to stop now"),
            "{line}"
        );
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).expect("text");
        assert_eq!(child.wait().expect("an end").code(), Some(130), "{rest}");
        assert!(!rest.contains('\x1b'), "{rest:?}");
        let run = last_run(&project);
        assert_eq!(run["status"], "interrupted", "{run}");
        assert_eq!(run["stages"]["after"]["skipped"], 1, "{run}");
    }
}

#[test]
fn a_second_signal_ends_it_now_and_it_is_remembered_all_the_same() {
    let project = Project::new();
    let (mut child, mut stderr) = stopped(&project, "trap '' TERM;", "INT");
    let mut line = String::new();
    stderr.read_line(&mut line).expect("text");
    assert!(line.contains("again to stop now"), "{line}");
    // The record is there by the time that the words are, or shortly after.
    let record = || std::fs::read_dir(project.path(".flow/runs")).is_ok_and(|d| d.count() > 0);
    let waited = Instant::now();
    while !record() && waited.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    signal(&child, "INT");
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(last_run(&project)["status"], "interrupted");
    assert!(text(&project, &["runs"]).contains("interrupted"));
}

#[test]
fn runs_say_what_was_set_and_which_commit_was_there() {
    let project = Project::new();
    project.write(
        "p.toml",
        format!("{TWO}\n[variants.loud]\n\"one.env.WORD\" = \"LOUD\"\n"),
    );
    project.write(".gitignore", "/.flow\n/out\n");
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=n", "-c", "user.email=e@example.org"])
            .args(args);
        let done = git
            .current_dir(project.path(""))
            .output()
            .expect("git starts");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout)
            .expect("UTF-8")
            .trim()
            .to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "all"]);
    let commit = git(&["rev-parse", "HEAD"]);
    text(
        &project,
        &["run", "p.toml", "--set", "pipeline.seed=7", "--to", "one"],
    );
    let run = last_run(&project);
    assert_eq!(run["set"], serde_json::json!(["pipeline.seed=7"]));
    assert_eq!((&run["to"], &run["variant"]), (&"one".into(), &Json::Null));
    assert_eq!(
        run["git"],
        serde_json::json!({"commit": commit, "dirty": false})
    );
    let result = run["stages"]["one"]["outputs"].clone();

    project.write("p.toml", format!("{}\n# dirty\n", project.read("p.toml")));
    text(&project, &["run", "p.toml", "--variant", "loud"]);
    let run = last_run(&project);
    assert_eq!(
        (&run["variant"], &run["git"]["dirty"]),
        (&"loud".into(), &true.into())
    );
    let shown = text(&project, &["runs", "show", "last"]);
    assert!(
        shown.contains("again     flow run p.toml --variant loud\n"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("{commit}, with changes")),
        "{shown}"
    );
    let earlier = text(&project, &["runs", "show", "last~1"]);
    let again = "again     flow run p.toml --to one --set pipeline.seed=7\n";
    assert!(
        earlier.contains(again) && earlier.contains("without changes"),
        "{earlier}"
    );
    let listed = text(&project, &["runs"]);
    assert!(
        listed.contains("--variant loud") && listed.contains(&commit[..8]),
        "{listed}"
    );

    // None of it is in a result, and a run in which nothing runs does not ask git.
    let run = project.run(&["p.toml", "--set", "pipeline.seed=7", "--to", "one"]);
    assert_eq!(run.ok()["stages"]["one"]["outputs"], result);
    let run = last_run(&project);
    assert_eq!(
        run["git"],
        serde_json::json!({"commit": commit, "dirty": null})
    );
}

#[test]
fn evicted_bytes_are_made_again_for_an_export() {
    let project = Project::new();
    project.write("p.toml", TWO);
    let word = ["--set", "one.env.WORD=\"second\""];
    text(&project, &[&["run", "p.toml"], &word[..]].concat());
    let evict = || {
        let store = project.path(".flow/store/artifacts");
        std::fs::remove_dir_all(store).expect("artifacts");
    };
    evict();
    // With the values that were set then, though none are given now, and what lies above it too.
    text(&project, &["export", "last", "two", "-o", "two.txt"]);
    assert!(project.read("two.txt").ends_with(" second\n"));
    assert_eq!(project.read("two.txt"), project.read("out/two.txt"));

    // The pipeline has moved on: the command that makes it is said, nothing else is made.
    evict();
    project.write("p.toml", TWO.replace("{seed} $WORD", "$WORD"));
    let output = project.flow(&["export", "last", "two", "-o", "three.txt"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("flow::export::evicted"), "{stderr}");
    let flat = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("flow run p.toml --set 'one.env.WORD=\"second\"' --to two"),
        "{stderr}"
    );
    assert!(!project.path("three.txt").exists());
    assert!(
        !project.path(".flow/store/artifacts").exists() || {
            let left = std::fs::read_dir(project.path(".flow/store/artifacts"));
            left.expect("a folder").count() == 0
        }
    );
    // The pipeline is gone altogether.
    std::fs::remove_file(project.path("p.toml")).expect("a file");
    let output = project.flow(&["export", "last", "two", "-o", "three.txt"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn paths_are_those_of_where_one_stands_and_a_project_is_found_or_named() {
    let project = Project::new();
    project.write("pipelines/p.toml", TWO);
    project.write("work/deep/readme", "");
    let from = |folder: &str, args: &[&str]| {
        let mut command = project.command(args);
        let output = command.current_dir(project.path(folder)).output();
        let output = output.expect("flow starts");
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).expect("UTF-8")
    };
    let ran = from("work/deep", &["run", "../../pipelines/p.toml"]);
    assert!(ran.contains("wrote ../../out/two.txt\n"), "{ran}");
    std::fs::remove_file(project.path("out/two.txt")).expect("a file");
    let ran = from("out", &["run", "../pipelines/p.toml"]);
    assert!(ran.contains("wrote two.txt\n"), "{ran}");
    // From anywhere inside, the project is found.
    assert!(from("work/deep", &["runs"]).contains("two"));
    assert!(from("work/deep", &["cache", "stat"]).contains("in ../../.flow/store"));
    assert!(from("work", &["export", "last", "one", "-o", "one.txt"]).contains("wrote one.txt"));
    assert!(project.path("work/one.txt").is_file());

    // From outside it is not, and that is said with where it was looked for.
    let outside = tempfile::tempdir().expect("a folder");
    let sub = outside.path().join("mine");
    std::fs::create_dir(&sub).expect("a folder");
    std::fs::write(sub.join("p.toml"), TWO).expect("a file");
    let flow = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command
            .current_dir(outside.path())
            .output()
            .expect("flow starts");
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).expect("UTF-8")
    };
    let looked = outside.path().canonicalize().expect("a path");
    let looked = looked.join(".flow/runs");
    let said = format!("no runs in {}\n", looked.display());
    assert!(flow(&["runs"]).contains(&said));
    flow(&["run", "mine/p.toml"]);
    for args in [
        &["runs"][..],
        &["cache", "stat"],
        &["runs", "show", "last"],
        &["export", "last", "one", "-o", "x.txt"],
    ] {
        let said = flow(args);
        assert!(
            said.contains(".flow/") && said.contains("cd mine"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn a_stage_of_several_actions_is_summed_up() {
    let project = Project::new();
    let items = |words: &str| {
        format!(
            "[stages.many]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"echo $WORD {{i}} > {{out}}\"]\n\
             each = {{ i = {{ range = [0, 40] }} }}\nenv = {{ WORD = \"{words}\" }}\n\
             outputs = {{ out = \"{{i}}.txt\" }}\n"
        )
    };
    project.write("p.toml", items("old"));
    text(&project, &["run", "p.toml"]);
    project.write("p.toml", items("new"));
    let told = text(&project, &["explain", "p.toml", "many"]);
    assert!(told.len() < 3_000, "{}: {told}", told.len());
    assert!(told.starts_with("many: 40 actions\n"), "{told}");
    assert_eq!(told.matches("\"old\" -> \"new\"").count(), 1, "{told}");
    assert!(
        told.contains("kind = \"command\"") && told.contains("where they differ:"),
        "{told}"
    );
    let all = text(&project, &["explain", "p.toml", "many", "--all"]);
    assert_eq!(all.matches("would run").count(), 40, "{all}");
    // The command that it names works.
    let one = told
        .lines()
        .last()
        .and_then(|line| line.split("flow explain ").nth(1));
    let words: Vec<&str> = one.expect("a command").splitn(3, ' ').collect();
    let label = words[2].trim_matches('\'');
    let one = text(&project, &["explain", words[0], words[1], label]);
    assert_eq!(one.matches("would run").count(), 1, "{one}");
}

#[test]
fn tables_keep_to_eighty_columns() {
    let project = Project::new();
    // What a kind does is not cut.
    for line in text(&project, &["stages"]).lines() {
        let width = line.chars().count();
        assert!(width <= 80 && !line.ends_with("..."), "{width}: {line}");
    }
    let name = "a_stage_with_a_name_that_somebody_thought_about_for_a_long_time";
    project.write("p.toml", TWO.replace("two", name));
    text(
        &project,
        &[
            "run",
            "p.toml",
            "--tag",
            "a/tag-that-says-what-this-was-about",
        ],
    );
    let set = "one.env.WORD=\"a word that is longer than all others, and no table's business\"";
    for args in [
        &["run", "p.toml", "--set", set][..],
        &["runs"],
        &["cache", "stat"],
        &["runs", "show", "last~1"],
    ] {
        let told = text(&project, args);
        let tables = told
            .lines()
            .filter(|line| line.contains("a_stage") || line.contains("  ok "));
        let tables: Vec<&str> = tables
            .filter(|line| !line.starts_with("wrote") && !line.starts_with("  "))
            .collect();
        assert!(!tables.is_empty(), "{told}");
        for line in tables {
            assert!(
                line.chars().count() <= 80,
                "{}: {line}",
                line.chars().count()
            );
        }
    }
}
