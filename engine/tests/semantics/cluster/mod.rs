//! Actions on a cluster: everything is as with threads, whatever becomes of tasks and of what the scheduler says.
//!
//! The scheduler is a shell script that starts tasks as processes in the background. A test leaves it orders in files:
//! to hold tasks, to be deaf, to forget jobs, to lose its answers, to say a certain state, or to have machines of which
//! some fail every task. `attach` and `tries` have runs that end before their tasks, `machines` has machines
//! that fail, and `late` has machines that see files late.

mod attach;
mod late;
mod machines;
mod tries;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow_engine::kind::Fault;
use flow_engine::run::cluster::options::{
    Asked, ClusterOptions, SchedulerChoice, Template, Templates, WithMore,
};
use flow_engine::run::cluster::task::BatchTask;
use flow_engine::run::options::Executor;
use flow_testkit::files::{entries, script, wait_for, wait_until};

use crate::harness::Project;
use crate::kinds::{Control, registry};
use crate::process::{failure, moody};
use crate::{ALL, fresh, model};

const SCHEDULER: &str = r#"
here="$(dirname "$0")"
what="$1"; shift
echo "$what $*" >> "$here/calls"
case "$what" in
submit)
    name="$1" tasks="$2" run="$3"
    if [ -e "$here/broken" ]; then echo "no such partition" >&2; exit 1; fi
    id=$(ls "$here/jobs" | wc -l)
    mkdir "$here/jobs/$id"
    echo "$name" > "$here/jobs/$id/name"
    not=""
    for word in "$@"; do case "$word" in not=*) not="${word#not=}";; esac; done
    if [ -n "$not" ] && [ -e "$here/strict" ]; then rm -f "$here/holes"; touch "$here/jobs/$id/refused"; fi
    task=0
    while [ "$task" -lt "$tasks" ]; do
        (
            trap '' HUP
            while [ -e "$here/hold" ]; do sleep 0.02; done
            if [ -e "$here/jobs/$id/cancelled" ] || [ -e "$here/jobs/$id/refused" ]; then exit; fi
            if [ -e "$here/nodes" ]; then
                set -- $(grep -vxF -e "$(echo "$not" | tr , '\n')" "$here/nodes")
                shift $((task % $#))
                export SLURMD_NODENAME="$1"
                echo "$1" > "$here/jobs/$id/$task.node"
                if grep -qxF "$1" "$here/holes"; then echo 1 > "$here/jobs/$id/$task.end"; exit; fi
            fi
            TASK=$task sh "$run"
            echo $? > "$here/jobs/$id/$task.end"
        ) >/dev/null 2>&1 </dev/null &
        task=$((task + 1))
    done
    echo "$tasks" > "$here/jobs/$id/tasks"
    if [ -e "$here/lose" ]; then rm "$here/lose"; echo "timed out" >&2; exit 1; fi
    echo "submitted"; echo "$id.server";;
status)
    if [ -e "$here/deaf" ]; then echo "connection refused" >&2; exit 1; fi
    if [ -e "$here/forget" ]; then exit 0; fi
    for job in "$@"; do
        id="${job%.server}" task=0
        while [ "$task" -lt "$(cat "$here/jobs/$id/tasks")" ]; do
            state=R
            if [ -e "$here/hold" ]; then state=waiting; fi
            if [ -e "$here/jobs/$id/$task.end" ]; then
                case "$(cat "$here/jobs/$id/$task.end")" in 0) state=ok;; *) state=failed;; esac
            fi
            for end in cancelled refused; do
                if [ -e "$here/jobs/$id/$end" ]; then state=$end; fi
            done
            if [ -e "$here/say" ] && [ "$state" = failed ]; then state="$(cat "$here/say")"; fi
            echo "$job $task $state $(cat "$here/jobs/$id/$task.node" 2>/dev/null)"
            task=$((task + 1))
        done
    done;;
find)
    for job in "$here"/jobs/*; do
        if [ "$(cat "$job/name")" = "$1" ]; then echo "$(basename "$job").server"; fi
    done;;
cancel)
    for job in "$@"; do touch "$here/jobs/${job%.server}/cancelled"; done;;
esac
"#;

/// A scheduler in a folder of its own.
struct Cluster {
    files: flow_testkit::Project,
}

impl Cluster {
    fn new() -> Self {
        let files = flow_testkit::Project::new();
        script(&files.path("scheduler"), SCHEDULER);
        fs::create_dir(files.path("jobs")).unwrap();
        Self { files }
    }

    /// Leaves an order.
    fn order(&self, name: &str) -> PathBuf {
        let path = self.files.path(name);
        fs::write(&path, "").unwrap();
        path
    }

    /// The calls of a command, with their arguments.
    fn calls(&self, what: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.files.path("calls")).unwrap_or_default();
        let of = |line: &&str| line.split(' ').next() == Some(what);
        calls.lines().filter(of).map(str::to_owned).collect()
    }

    fn options(&self) -> ClusterOptions {
        let scheduler = self.files.path("scheduler").display().to_string();
        let template = |words: &[&str]| -> Template {
            let words = words.iter().map(|word| vec![(*word).to_owned()]);
            std::iter::once(vec![scheduler.clone()])
                .chain(words)
                .collect()
        };
        let templates = Templates {
            submit: template(&[
                "submit",
                "{name}",
                "{tasks}",
                "{script}",
                "cpus={cpus}",
                "mem={memory_mb}",
                "min={minutes}",
                "not={exclude}",
            ]),
            status: template(&["status", "{ids}"]),
            cancel: template(&["cancel", "{ids}"]),
            find: template(&["find", "{name}"]),
            index: "TASK".to_owned(),
            states: [("R".to_owned(), "running".to_owned())].into(),
        };
        let task = "FLOW_TEST_BATCH=\"$2\" FLOW_TEST_TASK=\"$3\" exec \"$0\" --quiet --exact cluster::task --nocapture";
        let program = std::env::current_exe().unwrap();
        let command = vec!["/bin/sh".into(), "-c".into(), task.into(), program.into()];
        ClusterOptions {
            task_time: Duration::from_secs(10),
            look: Duration::from_millis(20),
            ask_after: Duration::from_millis(300),
            visible_within: Duration::from_secs(1),
            ..ClusterOptions::new(SchedulerChoice::Command(templates), command)
        }
    }
}

fn on(options: ClusterOptions) -> Executor {
    Executor::Cluster(Box::new(options))
}

/// What `flow stage-exec --batch` is to `flow`; no test of its own.
#[test]
fn task() {
    let Ok(dir) = std::env::var("FLOW_TEST_BATCH") else {
        return;
    };
    let never = AtomicBool::new(false);
    let task = BatchTask {
        registry: &registry(&Control::new()),
        dir: Path::new(&dir),
        task: std::env::var("FLOW_TEST_TASK").unwrap().parse().unwrap(),
        jobs: None,
        scratch: None,
        cancel: &never,
    };
    std::process::exit(i32::from(task.run().is_err()));
}

/// Nothing is left of batches, of manifests and of unfinished work.
fn assert_nothing_left(project: &Project) {
    let scratch = project.path(".flow/scratch");
    // A task says that it is over before it clears up.
    wait_until(|| !scratch.is_dir() || entries(&scratch).is_empty());
    for folder in ["store/jobs", "store/manifests"] {
        let left = project.path(".flow").join(folder);
        let left = if left.is_dir() {
            entries(&left)
        } else {
            Vec::new()
        };
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn results_are_those_of_threads() {
    let local = fresh().expect(&ALL);
    let cluster = Cluster::new();
    let mut project = fresh();
    project.executor = on(cluster.options());
    let ran = project.expect(&ALL);
    assert_eq!(
        (&ran.digests, &ran.keys, ran.counts),
        (&local.digests, &local.keys, local.counts)
    );
    assert!(ran.warnings.is_empty(), "{:?}", ran.warnings);
    assert_eq!(ran.started.len(), ALL.len(), "each was seen to start, once");
    assert_nothing_left(&project);
    let submitted: usize = ran.batches.iter().map(|batch| batch.actions).sum();
    assert_eq!(submitted, ALL.len());
    assert_eq!(cluster.calls("submit").len(), ran.batches.len());
    assert!(
        ran.batches
            .iter()
            .all(|batch| batch.id.as_ref().is_some_and(|id| id.ends_with(".server")))
    );
    // A run in which nothing has changed calls nobody.
    let calls = cluster.calls("submit").len() + cluster.calls("status").len();
    project.expect(&[]);
    assert_eq!(
        cluster.calls("submit").len() + cluster.calls("status").len(),
        calls
    );
}

#[test]
fn random_pipelines_under_random_edits_and_damage() {
    let cluster = Cluster::new();
    for seed in 10..12 {
        model::case(seed, 2, on(cluster.options()));
    }
}

#[test]
fn failures_are_those_of_threads() {
    let cluster = Cluster::new();
    for how in ["data", "log_fail", "log_panic"] {
        let mut project = moody(how, "");
        project.executor = on(cluster.options());
        let there = project.run();
        project.executor = Executor::Local;
        let local = project.run();
        let (there, local) = (failure(&there), failure(&local));
        assert_eq!(
            (there.fault, &there.code, &there.message),
            (local.fault, &local.code, &local.message)
        );
        assert_eq!((&there.help, &there.log), (&local.help, &local.log));
        assert_nothing_left(&project);
    }
}

#[test]
fn what_retries_allow_is_tried_again() {
    let cluster = Cluster::new();
    let mut project = moody("log_fail", "count = \"count\"\nretries = 2");
    project.executor = on(cluster.options());
    assert_eq!(failure(&project.run()).code.as_str(), "flow::test::told");
    assert_eq!(project.read("count"), "run\nrun\nrun\n");
}

#[test]
fn a_death_is_tried_again_and_then_reported() {
    let cluster = Cluster::new();
    let mut project = moody("die", "count = \"count\"");
    project.executor = on(cluster.options());
    let ran = project.run();
    let error = failure(&ran);
    assert_eq!(
        (error.code.as_str(), error.fault),
        ("flow::executor::task", Fault::Environment)
    );
    assert_eq!(project.read("count"), "run\nrun\n");
    assert_eq!(ran.warnings.len(), 1, "{:?}", ran.warnings);
    let mut project = moody("die_once", "count = \"count\"");
    project.executor = on(cluster.options());
    let ran = project.expect(&["moody: be"]);
    assert!(
        ran.warnings[0].contains("submitted again"),
        "{:?}",
        ran.warnings
    );
    assert_nothing_left(&project);
}

#[test]
fn causes_are_told_apart_and_more_is_asked_for() {
    for (word, code, tries) in [
        ("out-of-memory", "flow::executor::out_of_memory", 3),
        ("time-limit", "flow::executor::time_limit", 2),
        ("node-failure n7", "flow::executor::node_failure", 4),
        ("preempted", "flow::executor::preempted", 1),
        ("cancelled", "flow::executor::cancelled", 1),
        ("refused", "flow::executor::refused", 1),
    ] {
        let cluster = Cluster::new();
        fs::write(cluster.order("say"), word).unwrap();
        let mut options = cluster.options();
        options.retry.preempted = 0;
        options.retry.out_of_memory = WithMore {
            times: 2,
            factor: 1.5,
        };
        let asked = Asked {
            cpus: Some(3),
            memory: Some(100 << 20),
            timeout: Some(Duration::from_secs(120)),
            gpus: None,
        };
        options.stages.insert("moody".to_owned(), asked);
        let mut project = moody("die", "count = \"count\"");
        project.executor = on(options);
        let ran = project.run();
        assert_eq!(failure(&ran).code.as_str(), code);
        let calls = cluster.calls("submit");
        assert_eq!(calls.len(), tries, "{word}: {calls:?}");
        assert!(
            calls.iter().all(|call| call.contains(" cpus=3 mem=")),
            "{calls:?}"
        );
        let has = |what: &str| calls.iter().filter(|call| call.contains(what)).count();
        match word {
            "out-of-memory" => assert_eq!(
                [has("mem=100 "), has("mem=150 "), has("mem=225 ")],
                [1, 1, 1],
                "{calls:?}"
            ),
            // The time of the action doubles, and with it comes what a task needs besides.
            "time-limit" => assert!(
                calls[0].ends_with("min=4") && calls[1].ends_with("min=6"),
                "{calls:?}"
            ),
            "node-failure n7" => assert!(
                ran.warnings
                    .iter()
                    .any(|warning| warning.contains("machine n7 failed"))
            ),
            "refused" => {
                let asked = "asks for: 3 processors, 100 MiB of memory, 4 min";
                assert!(failure(&ran).message.ends_with(asked), "{:?}", ran.failures);
            }
            _ => {}
        }
    }
}

#[test]
fn a_submission_whose_answer_was_lost_is_found_by_its_name() {
    let cluster = Cluster::new();
    cluster.order("lose");
    let mut project = moody("calm", "count = \"count\"");
    project.executor = on(cluster.options());
    project.expect(&["moody: be"]);
    assert_eq!(
        (cluster.calls("submit").len(), cluster.calls("find").len()),
        (1, 1)
    );
    assert_eq!(project.read("count"), "run\n");
}

#[test]
fn a_site_that_takes_nothing_says_why() {
    let cluster = Cluster::new();
    cluster.order("broken");
    let mut project = moody("calm", "");
    project.executor = on(cluster.options());
    let cancel = Arc::clone(&project.cancel);
    let calls = cluster.files.path("calls");
    // Three more tries would take 21 s.
    let thread = std::thread::spawn(move || {
        wait_for(&calls);
        std::thread::sleep(Duration::from_millis(300));
        cancel.store(true, Ordering::Relaxed);
    });
    let ran = project.run();
    thread.join().unwrap();
    assert!(ran.interrupted);
    let [warning] = ran.warnings.as_slice() else {
        panic!("said once: {:?}", ran.warnings);
    };
    assert!(warning.contains("no such partition"), "{warning}");
    assert_nothing_left(&project);
}

#[test]
fn a_deaf_scheduler_is_asked_again_and_costs_nothing() {
    let cluster = Cluster::new();
    let (deaf, hold) = (cluster.order("deaf"), cluster.order("hold"));
    let calls = cluster.files.path("calls");
    let mut project = moody("calm", "count = \"count\"");
    project.executor = on(cluster.options());
    let thread = std::thread::spawn(move || {
        let asked =
            || fs::read_to_string(&calls).is_ok_and(|calls| calls.matches("status").count() > 1);
        wait_until(asked);
        fs::remove_file(deaf).unwrap();
        fs::remove_file(hold).unwrap();
    });
    let ran = project.expect(&["moody: be"]);
    thread.join().unwrap();
    assert_eq!(ran.warnings.len(), 1, "said once: {:?}", ran.warnings);
    assert!(
        ran.warnings[0].contains("connection refused"),
        "{:?}",
        ran.warnings
    );
    assert_eq!(project.read("count"), "run\n");
}

#[test]
fn tasks_that_vanish_are_submitted_again() {
    let cluster = Cluster::new();
    let mut project = moody("die_once", "count = \"count\"");
    cluster.order("forget");
    project.executor = on(cluster.options());
    let ran = project.expect(&["moody: be"]);
    assert!(
        ran.warnings[0].contains("its task is gone"),
        "{:?}",
        ran.warnings
    );
    assert_eq!(project.read("count"), "run\nrun\n");
}

#[test]
fn a_task_that_takes_too_long_is_relieved() {
    let cluster = Cluster::new();
    let mut options = cluster.options();
    options.task_time = Duration::from_millis(800);
    let stage = |tag: usize, how: &str| {
        format!("[stages.s{tag}]\nuse = \"tweak\"\nhow = \"{how}\"\ntag = {tag}\n")
    };
    let slow: String = (1..9).map(|tag| stage(tag, "sleep_long")).collect();
    let run = |executor: Executor| {
        // A quick action lets all of them seem quick, so that a task gets several.
        let mut project = Project::new(&stage(0, "pass"));
        project.executor = executor;
        project.expect(&["s0: tweak"]);
        project.append("p.toml", &slow);
        let ran = project.run();
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_nothing_left(&project);
        ran
    };
    let (there, local) = (run(on(options)), run(Executor::Local));
    assert_eq!(there.digests, local.digests);
    assert_eq!(there.counts, local.counts, "each ran once for the run");
    let batches = there.batches.iter();
    let shape: Vec<_> = batches.map(|batch| (batch.tasks, batch.actions)).collect();
    assert!(shape[0].0 < 5 && shape[0].1 == 8, "{shape:?}");
    assert!(shape.len() > 1, "{shape:?}");
    assert!(there.warnings.is_empty(), "{:?}", there.warnings);
}

#[test]
fn a_task_waits_until_it_sees_what_it_needs() {
    // The machine of the task sees the batch and the manifest later than the one that wrote them.
    let cluster = Cluster::new();
    let mut options = cluster.options();
    options.visible_within = Duration::from_secs(20);
    options.before = vec![
        "dir=$(dirname \"$0\"); store=$dir/../..".to_owned(),
        "mv \"$dir/batch\" \"$dir/later\"; mv \"$store/manifests\" \"$store/later\"".to_owned(),
        "(sleep 0.5; mv \"$dir/later\" \"$dir/batch\"; sleep 0.5; mv \"$store/later\" \"$store/manifests\") &".to_owned(),
    ];
    let mut project = moody("calm", "count = \"count\"");
    project.executor = on(options);
    let ran = project.expect(&["moody: be"]);
    assert!(ran.warnings.is_empty(), "{:?}", ran.warnings);
}

#[test]
fn after_a_failure_nothing_more_is_submitted() {
    let cluster = Cluster::new();
    let mut project = fresh();
    project.executor = on(cluster.options());
    project.append(
        "p.toml",
        "[stages.moody]\nuse = \"moody\"\nhow = \"log_fail\"\n",
    );
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::test::told");
    let [_, _, failed, skipped] = ran.counts;
    assert_eq!(failed, 1);
    assert!(skipped > 0 && ran.batches.len() < 4, "{:?}", ran.batches);
    assert_nothing_left(&project);
}
