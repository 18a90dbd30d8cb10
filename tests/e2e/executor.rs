//! `--executor process` gives what threads give, in every regard; `--trace` shows what ran.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;

use flow_testkit::files::{entries, folder, read, wait_for_line};
use flow_testkit::program::{SMALL, SMALL_ROCKET, is_over, signal};
use flow_testkit::{Project, Run};

const PROCESS: [&str; 2] = ["--executor", "process"];

fn with_processes<'a>(args: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().chain(PROCESS).collect()
}

/// No manifest of an action and no folder of an attempt is left.
fn assert_nothing_left(project: &Project) {
    for folder in ["store/manifests", "scratch"] {
        assert_eq!(entries(&project.path(".flow").join(folder)).len(), 0);
    }
}

#[test]
fn pipelines_give_the_same_digests_and_metrics() {
    let domain = [&["pipelines/domain_only.toml"], &SMALL[..]].concat();
    let stack = ["pipelines/stack.toml", "--set", "select_rocket.fdr=1.0"];
    for args in [domain, [&stack[..], &SMALL_ROCKET].concat()] {
        let local = Project::with_pipelines().run(&args);
        let project = Project::with_pipelines();
        let ran = project.run(&with_processes(&args));
        ran.ok();
        assert_eq!(ran.digests(), local.digests());
        assert_eq!(ran.ran(), local.ran());
        assert_eq!(ran.last()["metrics"], local.ok()["metrics"]);
        assert_nothing_left(&project);
        for stage in ran.stages().values() {
            assert!(stage["cpu_s"].as_f64().is_some_and(|s| s > 0.0), "{stage}");
            assert!(stage["peak_rss"].as_u64().is_some_and(|n| n > 1 << 20));
        }
        // The keys are the same, so threads find all of it.
        let again = project.run(&args);
        again.ok();
        assert_eq!(again.ran(), []);
        let audited = project.run(&with_processes(&[&args[..], &["--audit=5"]].concat()));
        audited.ok();
    }
}

/// A project of one command, which runs `script`.
fn command(script: &str, more: &str) -> Project {
    let project = Project::with(&format!(
        "[stages.run]\nuse = \"command\"\nrun = [\"sh\", \"script.sh\", \"{{out}}\"]\n\
         files = [\"script.sh\"]\noutputs = {{ out = \"o.csv\" }}\n{more}\n"
    ));
    project.write("script.sh", script);
    project
}

/// Codes and messages of the errors of a run.
fn errors(run: &Run) -> Vec<(String, String)> {
    let text = |event: &Json, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    run.events
        .iter()
        .filter(|event| event["code"].is_string())
        .map(|event| (text(event, "code"), text(event, "message")))
        .collect()
}

#[test]
fn failures_have_the_same_codes_and_exit_codes() {
    let scripts = [
        ("echo a,b > $1", 0),
        ("echo why >&2; exit 3", 1),
        ("true", 1),
        ("sleep 60 > $1", 1),
    ];
    for (script, code) in scripts {
        let project = command(script, "resources = { timeout = \"1s\" }");
        let process = project.run(&with_processes(&["p.toml"]));
        assert_nothing_left(&project);
        let local = command(script, "resources = { timeout = \"1s\" }").run(&["p.toml"]);
        assert_eq!((process.code, local.code), (code, code), "{script}");
        assert_eq!(errors(&process), errors(&local), "{script}");
        assert_eq!(errors(&process).is_empty(), code == 0, "{script}");
    }
    // Bad data: exit code 2.
    let bad = |project: &Project| {
        project.write("c.csv", "object_id,mjd,band,flux,flux_err\na,1.0,g,x,0.1\n");
        project.write("o.csv", "object_id\na\n");
        project.write(
            "p.toml",
            "[stages.i]\nuse = \"ingest\"\nformat = \"csv\"\ncurves = \"c.csv\"\n\
             objects = \"o.csv\"\nbands = [\"r\"]\n",
        );
    };
    let (local, process) = (Project::new(), Project::new());
    bad(&local);
    bad(&process);
    let local = local.run(&["p.toml"]).with(2);
    let process = process.run(&with_processes(&["p.toml"])).with(2);
    let codes = |run: &Run| errors(run).into_iter().map(|e| e.0).collect::<Vec<_>>();
    assert_eq!(codes(&process), codes(&local));
}

/// Kills the process of an action whenever a program has written the number of its parent, the guard,
/// which is a child of that process. The program itself could not.
fn kill_children_of_flow(guard: PathBuf, over: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
            let Ok(number) = std::fs::read_to_string(&guard) else {
                continue;
            };
            std::fs::remove_file(&guard).expect("removes");
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", number.trim()));
            let stat = stat.expect("the guard lives");
            // After the name, which is in brackets: the state, the parent.
            let parent = stat
                .rsplit(')')
                .next()
                .and_then(|rest| rest.split(' ').nth(2));
            let parent: i32 = parent.and_then(|pid| pid.parse().ok()).expect("a number");
            // SAFETY: a plain system call.
            assert_eq!(unsafe { libc::kill(parent, libc::SIGKILL) }, 0);
        }
    })
}

#[test]
fn the_death_of_a_child_is_survived_once() {
    let project = command("", "");
    // The project is closed to the program.
    let aside = folder();
    let file = |name: &str| aside.path().join(name).display().to_string();
    let (tries, guard) = (file("tries"), file("guard"));
    let over = Arc::new(AtomicBool::new(false));
    let killer = kill_children_of_flow(guard.clone().into(), over.clone());
    let waits = format!("echo $PPID > {guard}.new; mv {guard}.new {guard}; sleep 60");
    project.write(
        "script.sh",
        format!("echo a > $1; echo x >> {tries}; {waits}"),
    );
    let run = project.run(&with_processes(&["p.toml"])).with(4);
    assert_eq!(errors(&run)[0].0, "flow::executor::signal");
    run.says("once more");
    assert_eq!(read(tries.as_ref()), "x\nx\n");
    assert_nothing_left(&project);

    let once = file("once");
    project.write(
        "script.sh",
        format!("echo a > $1; [ -e {once} ] || {{ echo x >> {once}; {waits}; }}"),
    );
    let run = project.run(&with_processes(&["p.toml"]));
    run.ok();
    run.says("once more");
    over.store(true, Ordering::Relaxed);
    killer.join().expect("every kill hit");
}

#[test]
fn a_stop_ends_children_and_their_programs() {
    let project = command("", "");
    let aside = folder();
    let pid = aside.path().join("pid");
    project.write(
        "script.sh",
        format!("echo $$ > {}; sleep 60 > $1", pid.display()),
    );
    let trace = project.path("trace.json");
    let args = ["run", "p.toml", "--trace", "trace.json"];
    let flow = project.start(&with_processes(&args));
    let program = wait_for_line(&pid);
    signal(&flow, libc::SIGTERM);
    let run = Run::wait(flow).with(130);
    assert_eq!(run.last()["status"], "interrupted");
    assert!(is_over(&program), "the program lives on");
    assert_nothing_left(&project);
    let trace: Json = serde_json::from_str(&read(&trace)).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let action = events.iter().find(|event| event["cat"] == "action");
    assert_eq!(action.expect("an action")["args"]["outcome"], "interrupted");
}

#[test]
fn traces_show_every_action_that_ran() {
    let project = command("echo a > $1", "");
    let run = project.run(&["p.toml", "--trace", "trace.json"]);
    run.ok();
    let read = || -> Json { serde_json::from_str(&project.read("trace.json")).expect("JSON") };
    let trace = read();
    let events = trace["traceEvents"].as_array().expect("events");
    let actions: Vec<&Json> = events.iter().filter(|e| e["cat"] == "action").collect();
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0]["name"], "run: run");
    let finished = run.event("action-finished");
    assert_eq!(actions[0]["args"]["key"], finished["key"]);
    assert!(finished["read_bytes"].as_u64().is_some_and(|n| n > 0));
    // A failed run has one too, in place of the old one.
    project.write("script.sh", "exit 1");
    assert_eq!(project.run(&["p.toml", "--trace", "trace.json"]).code, 1);
    let trace = read();
    let events = trace["traceEvents"].as_array().expect("events");
    let action = events.iter().find(|event| event["cat"] == "action");
    assert_eq!(action.expect("an action")["args"]["outcome"], "failed");
    // Where no file can be, nothing runs first.
    let ended = project.flow(&["run", "p.toml", "--trace", "none/trace.json"]);
    assert!(ended.with(2).stderr.contains("flow::cli::trace"));
}

#[test]
fn stage_exec_wants_a_manifest() {
    let project = command("echo a > $1", "");
    project.run(&["p.toml"]).ok();
    let store = project.path(".flow/store").display().to_string();
    let exec = |key: &str| project.flow(&["stage-exec", "--store", &store, key]);
    exec("nonsense").with(2);
    let line = &exec(&"0".repeat(64)).with(4).events()[0];
    assert_eq!(line["outcome"], "failed");
    assert_eq!(line["code"], "flow::executor::manifest");
}
