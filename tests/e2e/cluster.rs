//! `--executor command` with a scheduler in a shell script: the same results as threads, whatever happens to the run
//! that has submitted something. `--executor slurm` and `hq` differ from it in their commands only.

use std::process::Child;
use std::time::Duration;

use flow_testkit::files::{entries, script, wait_for, wait_until};
use flow_testkit::program::{SMALL, signal};
use flow_testkit::terminal::{CTRL_C, Terminal};
use flow_testkit::{Project, Run};
use serde_json::Value as Json;

/// Starts tasks as processes, unless a file `hold` tells them to wait.
const SCHEDULER: &str = r#"
cd "$(dirname "$0")"
what="$1"; shift
echo "$what" >> calls
case "$what" in
submit)
    mkdir -p tasks
    for task in $(seq 0 $(($2 - 1))); do
        (
            while [ -e hold ]; do sleep 0.05; done
            [ -e "tasks/$1.gone" ] || sh "$3" "$task"
            echo $? > "tasks/$1.$task"
        ) < /dev/null > /dev/null 2>&1 &
    done
    echo "$2" > "tasks/$1"; echo "$1";;
status)
    for name in "$@"; do
        for task in $(seq 0 $(($(cat "tasks/$name") - 1))); do
            state=running; [ -e "tasks/$name.$task" ] && state=ok
            echo "$name $task $state"
        done
    done;;
cancel) for name in "$@"; do touch "tasks/$name.gone"; done;;
esac
"#;

const PROFILE: &str = r#"
[executor]
use = "command"
task_minutes = 0.2
ask_seconds = 1
submit = ["sh", "SCHEDULER", "submit", "{name}", "{tasks}", "{script}"]
status = ["sh", "SCHEDULER", "status", "{ids}"]
cancel = ["sh", "SCHEDULER", "cancel", "{ids}"]
"#;

/// A project with a profile `here` and a scheduler.
fn project() -> Project {
    let project = Project::with_pipelines();
    script(&project.path("scheduler"), SCHEDULER);
    let place = project.path("scheduler").display().to_string();
    project.write("profiles/here.toml", PROFILE.replace("SCHEDULER", &place));
    project
}

fn args() -> Vec<&'static str> {
    [
        &["pipelines/domain_only.toml"],
        &SMALL[..],
        &["--profile", "here"],
    ]
    .concat()
}

/// Starts a run whose tasks wait, and returns once it has submitted them.
fn submitted(project: &Project) -> Child {
    project.write("hold", "");
    let child = project.start_unheard(&[&["run", "-q"], &args()[..]].concat());
    let jobs = project.path(".flow/store/jobs");
    wait_for(&jobs);
    let has_id = || entries(&jobs).iter().any(|job| job.join("id").is_file());
    wait_until(has_id);
    child
}

fn calls(project: &Project, what: &str) -> usize {
    let all = std::fs::read_to_string(project.path("calls")).unwrap_or_default();
    all.lines().filter(|line| *line == what).count()
}

/// The digests and the metrics of a run in this process.
fn local() -> Run {
    let args = args();
    Project::with_pipelines().run(&args[..args.len() - 2])
}

/// No batch and no manifest is left.
fn assert_nothing_left(project: &Project) {
    for folder in ["jobs", "manifests"] {
        assert_eq!(
            entries(&project.path(".flow/store").join(folder)).len(),
            0,
            "{folder}"
        );
    }
}

#[test]
fn pipelines_give_the_same_digests_and_metrics() {
    let (project, local) = (project(), local());
    let ran = project.run(&args());
    assert_eq!(
        (ran.digests(), &ran.ok()["metrics"]),
        (local.digests(), &local.ok()["metrics"])
    );
    assert_eq!(ran.ran(), local.ran());
    assert_nothing_left(&project);
    let used = ran.event("cluster-used");
    let actions = |event: &Json| event["actions"].as_u64().unwrap_or_default();
    let submitted: u64 = ran.all("batch-submitted").map(actions).sum();
    assert_eq!(submitted, ran.total("ran"));
    assert_eq!(
        used["batches"].as_u64(),
        Some(ran.all("batch-submitted").count() as u64)
    );
    assert_eq!(
        calls(&project, "submit") as u64,
        used["batches"].as_u64().unwrap_or_default()
    );
    // What was made there is a hit here.
    let again = project.run(&args()[..args().len() - 2]);
    assert_eq!(again.ok()["metrics"], local.ok()["metrics"]);
    assert_eq!(again.ran(), []);
    project.run(&[&args()[..], &["--audit=5"]].concat()).ok();
    assert_nothing_left(&project);
}

#[test]
fn a_head_that_is_killed_is_succeeded_by_the_next_run() {
    let (project, local) = (project(), local());
    let mut head = submitted(&project);
    let first = calls(&project, "submit");
    head.kill().expect("kills");
    head.wait().expect("ends");
    let listed = project.json(&["jobs"]);
    assert_eq!(listed.all("batch-listed").count(), first);
    assert_eq!(listed.event("batch-listed")["done"], 0);
    let child = project.start(&[&["run"], &args()[..]].concat());
    std::thread::sleep(Duration::from_millis(1_500));
    project.remove("hold");
    let second = Run::wait(child);
    assert_eq!(second.digests(), local.digests());
    let attached = |event: &&Json| event["attached"] == true;
    assert_eq!(
        second.all("batch-submitted").filter(attached).count(),
        first
    );
    let actions = |event: &Json| event["actions"].as_u64().unwrap_or_default();
    let all: u64 = second.all("batch-submitted").map(actions).sum();
    assert_eq!(all, second.total("ran"), "nothing is submitted twice");
    assert_nothing_left(&project);
}

#[test]
fn ctrl_c_without_a_terminal_leaves_the_tasks_and_says_how_to_end_them() {
    let project = project();
    project.write("hold", "");
    let child = project.start(&[&["run"], &args()[..]].concat());
    let jobs = project.path(".flow/store/jobs");
    wait_for(&jobs);
    wait_until(|| entries(&jobs).iter().any(|job| job.join("id").is_file()));
    signal(&child, libc::SIGINT);
    let stopped = Run::wait(child).with(130);
    stopped.says("`flow jobs --cancel --all` ends them");
    assert_eq!(calls(&project, "cancel"), 0);
    let listed = project.flow(&["jobs"]).with(0);
    let stdout = &listed.stdout;
    assert!(
        stdout.contains("ingest") && stdout.contains(" 0 of "),
        "{stdout}"
    );
    project
        .flow(&["jobs", "--cancel"])
        .with(2)
        .says("which batches");
    project
        .flow(&["jobs", "--cancel", "nothing"])
        .with(2)
        .says("flow::cli::batch");
    let cancelled = project.json(&["jobs", "--cancel", "--all"]);
    assert!(cancelled.all("batch-cancelled").count() > 0);
    assert!(calls(&project, "cancel") > 0);
    project
        .flow(&["jobs"])
        .with(0)
        .gives("no batch is under way");
    project.remove("hold");
    project.run(&args()).ok();
}

/// Starts a run on a terminal whose tasks wait, and stops it with Ctrl-C. Returns once it asks.
fn asked(project: &Project) -> Terminal {
    project.write("hold", "");
    let mut terminal = Terminal::start(project.command(&[&["run"], &args()[..]].concat()));
    terminal.wait_for(" given to command as ");
    terminal.types(CTRL_C);
    terminal.wait_for("[l]eave or [c]ancel?");
    // What is said of the stop is said before the question, so that it is not in the way of the answer.
    let shown = terminal.shown();
    assert!(shown.ends_with("[l] "), "{shown}");
    assert!(shown.contains("stopping"), "{shown}");
    terminal
}

#[test]
fn ctrl_c_on_a_terminal_asks_and_leaves_the_tasks() {
    for answer in ["l\n", "\n", CTRL_C] {
        let (project, local) = (project(), local());
        let mut terminal = asked(&project);
        // There is no hurry: whoever is asked may think for longer than a run has to end otherwise.
        std::thread::sleep(Duration::from_millis(2_500));
        terminal.types(answer);
        let stopped = terminal.end().with(130);
        if answer != CTRL_C {
            stopped.says("left with the scheduler");
        }
        assert_eq!(calls(&project, "cancel"), 0, "{answer:?}");
        let child = project.start(&[&["run"], &args()[..]].concat());
        std::thread::sleep(Duration::from_millis(1_500));
        project.remove("hold");
        let second = Run::wait(child);
        assert_eq!(second.digests(), local.digests(), "{answer:?}");
        let first = second.all("batch-submitted").next().expect("a batch");
        assert_eq!(first["attached"], true, "{answer:?}");
        assert_nothing_left(&project);
    }
}

#[test]
fn ctrl_c_on_a_terminal_asks_and_cancels_the_tasks() {
    let project = project();
    let mut terminal = asked(&project);
    terminal.types("c\n");
    let stopped = terminal.end().with(130);
    assert!(!stopped.stderr.contains("left with"), "{}", stopped.stderr);
    assert!(calls(&project, "cancel") > 0);
    project
        .flow(&["jobs"])
        .with(0)
        .gives("no batch is under way");
    assert_nothing_left(&project);
    project.remove("hold");
    project.run(&args()).ok();
}

#[test]
fn profiles_are_checked_before_anything_runs() {
    let project = project();
    let run =
        |more: &[&str]| project.flow(&[&["run", "pipelines/domain_only.toml"], more].concat());
    run(&["--profile", "her"])
        .with(2)
        .says("did you mean `here`?");
    run(&["--executor", "command"])
        .with(2)
        .says("flow::profile::template");
    project.write(
        "profiles/bad.toml",
        "[executor]\nuse = \"slurm\"\ntask_minute = 5\n",
    );
    run(&["--profile", "bad"])
        .with(2)
        .says("did you mean `task_minutes`?")
        .says("profiles/bad.toml:3");
    project.write("profiles/process.toml", "[executor]\nuse = \"process\"\n");
    run(&["--profile", "process", "--to", "folds"]).with(0);
    assert_eq!(calls(&project, "submit"), 0);
    project
        .flow(&["stage-exec", "--batch", "nowhere", "x"])
        .with(2)
        .says("no number of a task");
}
