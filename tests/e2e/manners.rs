//! What is said to people, and what is kept for them: paths, runs that were stopped, what was set,
//! bytes that are made again for whoever asks.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use flow_testkit::files::entries;
use flow_testkit::program::{plain, signal};
use flow_testkit::{Ended, Project};

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
    project.flow(args).with(0).stdout
}

fn last_run(project: &Project) -> Json {
    let mut shown = project.json(&["runs", "show", "last"]).with(0).events;
    shown.pop().expect("a line")
}

/// Starts the pipeline, waits until both programs run, and stops it.
fn stopped(
    project: &Project,
    how: &str,
    with: libc::c_int,
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
    for with in [libc::SIGINT, libc::SIGTERM] {
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
    let (mut child, mut stderr) = stopped(&project, "trap '' TERM;", libc::SIGINT);
    let mut line = String::new();
    stderr.read_line(&mut line).expect("text");
    assert!(line.contains("again to stop now"), "{line}");
    // The record is there by the time that the words are, or shortly after.
    let is_record = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
    let record = || entries(&project.path(".flow/runs")).iter().any(is_record);
    let waited = Instant::now();
    while !record() && waited.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    signal(&child, libc::SIGINT);
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
        let mut git = plain("git");
        git.args(["-c", "user.name=n", "-c", "user.email=e@example.org"]);
        let done = Ended::run(git.args(args).current_dir(&project.root));
        done.with(0).stdout.trim().to_owned()
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

    project.append("p.toml", "\n# dirty\n");
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
    let again = "again     flow run p.toml --set pipeline.seed=7 --to one\n";
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
    let project = Project::with(TWO);
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
    let export = ["export", "last", "two", "-o", "three.txt"];
    let said = project.flow(&export).with(2).words();
    assert!(said.contains("flow::export::evicted"), "{said}");
    assert!(
        said.contains("flow run p.toml --set 'one.env.WORD=\"second\"' --to two"),
        "{said}"
    );
    assert!(!project.path("three.txt").exists());
    assert!(entries(&project.store().join("artifacts")).is_empty());
    // The pipeline is gone altogether.
    project.remove("p.toml");
    project.flow(&export).with(2);
}

#[test]
fn paths_are_those_of_where_one_stands_and_a_project_is_found_or_named() {
    let project = Project::new();
    project.write("pipelines/p.toml", TWO);
    project.write("work/deep/readme", "");
    let from = |folder: &str, args: &[&str]| {
        let mut command = project.command(args);
        Ended::run(command.current_dir(project.path(folder))).all()
    };
    let ran = from("work/deep", &["run", "../../pipelines/p.toml"]);
    assert!(ran.contains("wrote ../../out/two.txt\n"), "{ran}");
    project.remove("out/two.txt");
    let ran = from("out", &["run", "../pipelines/p.toml"]);
    assert!(ran.contains("wrote two.txt\n"), "{ran}");
    // From anywhere inside, the project is found.
    assert!(from("work/deep", &["runs"]).contains("two"));
    assert!(from("work/deep", &["cache", "stat"]).contains("in ../../.flow/store"));
    assert!(from("work", &["export", "last", "one", "-o", "one.txt"]).contains("wrote one.txt"));
    assert!(project.path("work/one.txt").is_file());

    // From outside it is not, and that is said with where it was looked for.
    let outside = Project::bare();
    outside.write("mine/p.toml", TWO);
    let flow = |args: &[&str]| outside.flow(args).all();
    assert!(flow(&["runs"]).contains("no runs in .flow/runs\n"));
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
