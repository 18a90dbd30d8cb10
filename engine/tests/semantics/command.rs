//! Kind `command`: external programs as stages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flow_engine::stage::{Fault, StageError};

use crate::harness::{Project, Ran};

/// A source of two shards and a command that runs `script.sh` with `args` after its name.
fn project(args: &str, more: &str, script: &str) -> Project {
    let project = Project::new(&format!(
        r#"
[pipeline]
seed = 3
[stages.read]
use = "source"
dir = "data"
[stages.all]
use = "join"
inputs = {{ rows = ["read.rows"] }}
[stages.run]
use = "command"
run = ["/bin/sh", "scripts/script.sh", {args}]
files = ["scripts/*.sh"]
inputs = {{ rows = "read.rows", all = "all" }}
outputs = {{ out = "o.txt" }}
{more}
[outputs]
"result.txt" = "run"
"#
    ));
    project.write("data/a.txt", "a1 x apple\n");
    project.write("data/b.txt", "b1 x bean\n");
    project.write("scripts/script.sh", script);
    project
}

fn failure(ran: &Ran) -> &StageError {
    assert_eq!(ran.failures.len(), 1, "{:?}", ran.failures);
    &ran.failures[0].1
}

#[test]
fn it_sees_only_what_is_declared() {
    let project = project(
        "\"{out}\"",
        "env = { MINE = \"declared\" }",
        "{ ls -R . ; env; } > \"$1\"",
    );
    project.write("scripts/lib.sh", "");
    project.write("secret.txt", "");
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let seen = project.read("result.txt");
    assert!(
        seen.contains("script.sh") && seen.contains("lib.sh"),
        "{seen}"
    );
    assert!(
        !seen.contains("secret") && !seen.contains("p.toml"),
        "{seen}"
    );
    let mut names: Vec<&str> = seen
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["MINE", "PATH", "TMPDIR"]);
}

#[test]
fn names_stand_for_paths() {
    let project = project(
        r#""{out}", "--all={all}", "{{x}", "{seed}", "{rows.list}", "{rows}""#,
        "",
        "out=$1; shift; { cat \"${1#--all=}\"; echo \"$2\"; cat $(cat \"$4\"); shift 4; cat \"$@\"; echo $#; } > $out",
    );
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let lines = project.read("result.txt");
    let count = |what: &str| lines.lines().filter(|line| *line == what).count();
    assert_eq!((count("a1 x apple"), count("b1 x bean")), (2, 2), "{lines}");
    assert_eq!(
        (count("a1 x apple 0"), count("{x}"), count("2")),
        (1, 1, 1),
        "{lines}"
    );
    project.expect(&[]);
}

#[test]
fn several_files_within_an_argument_are_refused() {
    let project = project("\"--in={rows}\", \"{out}\"", "", "");
    let ran = project.run();
    assert_eq!(failure(&ran).code, "flow::command::several");
    assert_eq!(failure(&ran).fault, Fault::Data);
}

#[test]
fn scripts_and_environment_are_in_the_recipe() {
    let project = project("\"{out}\"", "env = { V = \"1\" }", "echo $V > $1");
    project.run();
    project.expect(&[]);
    project.write("scripts/script.sh", "echo 2 > $1");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "2\n");
    project.edit("V = \"1\"", "V = \"3\"");
    project.expect(&["run: run"]);
    // It uses no seed.
    project.edit("seed = 3", "seed = 4");
    project.expect(&[]);
    project.edit("\"{out}\"", "\"{out}\", \"{seed}\"");
    project.expect(&["run: run"]);
    project.edit("seed = 4", "seed = 3");
    project.expect(&["run: run"]);
    // Other limits give no other result.
    project.edit("outputs =", "timeout_s = 100\noutputs =");
    project.expect(&[]);
}

#[test]
fn a_missing_output_is_a_failure() {
    let project = project("\"{out}\"", "", "true");
    let ran = project.run();
    assert_eq!(failure(&ran).code, "flow::command::no_output");
    assert_eq!(failure(&ran).fault, Fault::Stage);
    assert!(!failure(&ran).help.is_empty());
}

#[test]
fn a_failure_shows_the_last_lines() {
    let script = "for i in $(seq 100); do echo line $i >&2; done; exit 3";
    let project = project("\"{out}\"", "", script);
    let ran = project.run();
    let error = failure(&ran);
    assert_eq!(error.code, "flow::command::failed");
    assert!(error.message.contains("exit status: 3"), "{error}");
    let help = error.help.concat();
    assert!(
        help.contains("line 100") && !help.contains("line 80\n"),
        "{help}"
    );
}

/// Whether the process whose number is in a file of the project is gone, or will be in a second.
fn ends(project: &Project, file: &str) -> bool {
    let pid = project.read(file);
    let stat = format!("/proc/{}/stat", pid.trim());
    (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        // A zombie has ended; who adopted it may reap late.
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    })
}

/// Starts a grandchild that ignores polite requests, and waits.
fn stubborn(project: &Project) -> String {
    let pid = project.root.join("pid");
    let pid = pid.display();
    format!("sh -c 'trap \"\" TERM; echo $$ > {pid}; sleep 60; sleep 60' & sleep 60")
}

#[test]
fn a_timeout_ends_the_whole_group() {
    let project = project("\"{out}\"", "timeout_s = 0.5", "");
    project.write("scripts/script.sh", &stubborn(&project));
    let started = Instant::now();
    let ran = project.run();
    assert_eq!(failure(&ran).code, "flow::command::timeout");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(ends(&project, "pid"));
}

#[test]
fn an_interruption_ends_the_whole_group() {
    let project = project("\"{out}\"", "", "");
    project.write("scripts/script.sh", &stubborn(&project));
    let cancel = Arc::clone(&project.cancel);
    let pid = project.root.join("pid");
    let watcher = std::thread::spawn(move || {
        while std::fs::read_to_string(&pid).unwrap_or_default().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.store(true, Ordering::SeqCst);
    });
    let ran = project.run();
    watcher.join().unwrap();
    assert!(ran.interrupted && ran.failures.is_empty());
    assert!(ends(&project, "pid"));
}

#[test]
fn a_script_edited_under_the_run_runs_again() {
    let project = project("\"{out}\"", "", "");
    let path = project.root.join("scripts/script.sh");
    let path = path.display();
    let script = format!("echo 1 > $1; echo 'echo 2 > $1' > {path}");
    project.write("scripts/script.sh", &script);
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(project.read("result.txt"), "2\n");
    project.expect(&[]);
}
