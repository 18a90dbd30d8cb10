//! Stores in unkind places: read-only, on another file system, on a full one, with gc at the door,
//! and several processes on one of them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Project, Run};

/// Three commands: `two` reads `one`, `both` reads both.
const PIPELINE: &str = r#"
[pipeline]
name = "three"
[stages.one]
use = "command"
run = ["/bin/sh", "step.sh", "{out}", "1"]
files = ["step.sh"]
outputs = { out = "out.txt" }
[stages.two]
use = "command"
run = ["/bin/sh", "step.sh", "{out}", "2", "{one}"]
files = ["step.sh"]
inputs = { one = "one" }
outputs = { out = "out.txt" }
[stages.both]
use = "command"
run = ["/bin/sh", "step.sh", "{out}", "3", "{one}", "{two}"]
files = ["step.sh"]
inputs = { one = "one", two = "two" }
outputs = { out = "out.txt" }
[outputs]
"out/both.txt" = "both"
"#;

/// Writes its second argument and what the further ones hold.
const STEP: &str = "out=$1; shift; { echo \"tag $1\"; shift; cat /dev/null \"$@\"; } > \"$out\"\n";
const RESULT: &str = "tag 3\ntag 1\ntag 2\ntag 1\n";

fn project() -> Project {
    let project = Project::new();
    project.write("three.toml", PIPELINE);
    project.write("step.sh", STEP);
    project
}

/// Has every action end with a line of shell that knows a folder outside the project as `$ASIDE`.
fn marking(project: &Project, line: &str) -> tempfile::TempDir {
    let aside = tempfile::tempdir().expect("a folder");
    project.write("step.sh", format!("{STEP}{line}"));
    let env = format!("env = {{ ASIDE = {:?} }}\noutputs =", aside.path());
    project.write("three.toml", PIPELINE.replace("outputs =", &env));
    aside
}

/// All files and folders below a path, itself first.
fn walk(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("a listing");
            found.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
    }
    found
}

#[test]
fn a_read_only_store_answers_and_a_miss_says_what_to_do() {
    let project = project();
    let store = tempfile::tempdir().expect("a folder");
    let place = store.path().display().to_string();
    let all = ["three.toml", "--store", &place];
    project.run(&all).ok();
    std::fs::remove_dir_all(project.path("out")).expect("removes");
    // Nobody may write for whom permissions do not count, so root steps down.
    let root = std::fs::metadata("/proc/self").expect("a process").uid() == 0;
    for path in walk(store.path()) {
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("permissions");
    }
    for path in walk(&project.path("")) {
        if root {
            chown(&path, Some(65_534), Some(65_534)).expect("an owner");
        }
    }
    let flow = |args: &[&str]| {
        let mut command = project.command(args);
        if root {
            command.uid(65_534).gid(65_534);
        }
        command.output()
    };
    let Ok(first) = flow(&["--version"]) else {
        println!("skipped: another user cannot run the binary where it lies");
        return;
    };
    assert!(first.status.success());
    let with = |args: &[&str]| -> Run {
        let all = [args, &all[..], &["--message-format", "json"]].concat();
        Run::of(flow(&all).expect("flow starts"))
    };
    let hits = with(&["run"]);
    hits.ok();
    assert_eq!(hits.ran(), []);
    assert_eq!(project.read("out/both.txt"), RESULT);
    let plain = |args: &[&str]| {
        let all = [args, &["--store", &place]].concat();
        flow(&all).expect("flow starts")
    };
    let plan = plain(&["plan", "three.toml"]);
    assert!(plan.status.success(), "{plan:?}");
    let explain = plain(&["explain", "three.toml", "both"]);
    assert!(explain.status.success(), "{explain:?}");

    project.write("step.sh", format!("{STEP}#\n"));
    let miss = with(&["run"]);
    assert_eq!(miss.code, 4, "{}", miss.stderr);
    assert!(
        miss.stderr.contains("flow::environment::store"),
        "{}",
        miss.stderr
    );
    assert!(miss.stderr.contains("--store DIR"), "{}", miss.stderr);
    let plan = plain(&["plan", "three.toml"]);
    assert!(plan.status.success(), "{plan:?}");

    // So that the folder can be removed.
    for path in walk(store.path()) {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("permissions");
    }
}

#[test]
fn a_store_on_another_file_system_is_as_good() {
    let project = project();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: there is no /dev/shm");
        return;
    };
    let device = |path: &Path| path.metadata().expect("a folder").dev();
    if device(elsewhere.path()) == device(&project.path("")) {
        println!("skipped: temporary folders lie in /dev/shm already");
        return;
    }
    let place = elsewhere.path().join("store").display().to_string();
    let all = ["three.toml", "--store", &place];
    project.run(&all).ok();
    assert_eq!(project.read("out/both.txt"), RESULT);
    assert_eq!(project.run(&all).ran(), []);
    let verify = project.flow(&["cache", "verify", "--store", &place]);
    assert!(verify.status.success(), "{verify:?}");
    assert!(!project.path(".flow/store").exists());
}

/// Runs a shell script on a file system of its own of `size` bytes at `$DISK`, or says why not.
fn on_small_disk(project: &Project, size: &str, script: &str) -> Option<std::process::Output> {
    let disk = project.path("disk");
    std::fs::create_dir_all(&disk).expect("a folder");
    let mount = format!("mount -t tmpfs -o size={size} small \"$DISK\" || exit 77\n{script}");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &mount])
        .env("DISK", &disk)
        .env("FLOW", env!("CARGO_BIN_EXE_flow"))
        .env_remove("FLOW_STORE")
        .current_dir(project.path(""))
        .output();
    match output {
        Ok(output) if output.status.code() != Some(77) && !refused(&output.stderr) => Some(output),
        _ => {
            println!("skipped: this system lets nobody mount a small file system");
            None
        }
    }
}

fn refused(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains("unshare: ")
}

#[test]
fn a_full_disk_fails_the_run_and_spares_the_store() {
    let project = project();
    project.write(
        "step.sh",
        format!("{STEP}head -c 300000 /dev/zero >> \"$out\"\n"),
    );
    // Three outputs of 300 kB, 600 kB and 1.2 MB.
    let script = r#"
        "$FLOW" run three.toml --store "$DISK/store" --jobs 1; echo "first $?"
        "$FLOW" cache verify --store "$DISK/store"; echo "verify $?"
        mount -o remount,size=20m "$DISK"
        "$FLOW" run three.toml --store "$DISK/store"; echo "second $?"
        "$FLOW" cache verify --store "$DISK/store"; echo "verify again $?"
    "#;
    let Some(output) = on_small_disk(&project, "1500k", script) else {
        return;
    };
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    for line in ["first 4", "verify 0", "second 0", "verify again 0"] {
        assert!(out.lines().any(|l| l == line), "no `{line}`:\n{out}\n{err}");
    }
    // Long lines are folded.
    let words = Vec::from_iter(err.split_whitespace()).join(" ");
    assert!(
        words.contains("No space │ left") || words.contains("No space left"),
        "{err}"
    );
    assert!(words.contains("free some space"), "{err}");
    assert!(project.read("out/both.txt").starts_with("tag 3\n"));
}

#[test]
fn gc_waits_for_nobody_and_takes_nothing_from_a_live_run() {
    let project = project();
    let aside = marking(&project, "touch \"$ASIDE/started\"; sleep 1\n");
    let mut run = project
        .command(&["run", "three.toml", "-q"])
        .stdout(Stdio::null())
        .spawn()
        .expect("flow starts");
    while !aside.path().join("started").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut met = 0;
    while run.try_wait().expect("a status").is_none() {
        let args = ["cache", "gc", "--max-size", "0"];
        let gc = project.flow(&args);
        let text = String::from_utf8_lossy(&gc.stderr).into_owned();
        if text.contains("flow::cache::in_use") {
            met += 1;
        }
    }
    assert!(met > 0, "gc never met the run");
    assert!(run.wait().expect("a status").success());
    assert_eq!(project.read("out/both.txt"), RESULT);
    assert_eq!(project.run(&["three.toml"]).ran(), []);
}

#[test]
fn a_store_of_a_newer_format_is_left_alone() {
    let project = project();
    project.run(&["three.toml"]).ok();
    project.write(".flow/store/format", "flow-store 99\n");
    let before = walk(&project.path(".flow/store"));
    let all: [&[&str]; 5] = [
        &["run", "three.toml"],
        &["plan", "three.toml"],
        &["cache", "stat"],
        &["cache", "verify"],
        &["cache", "gc", "--max-size", "0"],
    ];
    for args in all {
        let ended = project.flow(args);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(4), "{args:?}: {said}");
        assert!(said.contains("flow::cache::newer"), "{args:?}: {said}");
        assert!(
            said.contains("99") && said.contains("--store DIR"),
            "{said}"
        );
    }
    assert_eq!(walk(&project.path(".flow/store")), before);
}

#[test]
fn a_run_whose_messages_nobody_reads_holds_up_no_other() {
    let project = Project::new();
    project.write("flow.toml", "");
    project.write(
        "many.toml",
        r#"
            [stages.w]
            use = "command"
            run = ["sh", "-c", "echo {i} > $1", "w", "{out}"]
            outputs = { out = "out" }
            each = { i = { range = [0, 300] } }
        "#,
    );
    let args = ["run", "many.toml", "--message-format", "json"];
    // It stops when the pipe is full, which takes far less than its messages.
    let unread = project
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("flow starts");
    let read = project.run(&args[1..2]);
    read.ok();
    let unread = Run::of(unread.wait_with_output().expect("ends"));
    unread.ok();
    assert_eq!(unread.digests(), read.digests());
    let ran = |run: &Run| run.ran().iter().map(|(_, n)| n).sum::<u64>();
    assert_eq!(ran(&unread) + ran(&read), 300);
}

#[test]
fn two_to_four_processes_run_each_action_once() {
    for at_once in 2..=4 {
        let project = project();
        let aside = marking(&project, "echo x >> \"$ASIDE/count\"\n");
        let spawn = |_| {
            project
                .command(&["run", "three.toml", "--message-format", "json"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("flow starts")
        };
        let children: Vec<_> = (0..at_once).map(spawn).collect();
        let runs = children
            .into_iter()
            .map(|c| c.wait_with_output().expect("ends"));
        let runs: Vec<Run> = runs.map(Run::of).collect();
        let mut ran = 0;
        for run in &runs {
            run.ok();
            assert_eq!(run.digests(), runs[0].digests());
            ran += run.ran().iter().map(|(_, n)| n).sum::<u64>();
        }
        assert_eq!(ran, 3);
        let count = std::fs::read_to_string(aside.path().join("count")).expect("reads");
        assert_eq!(count.lines().count(), 3);
        assert_eq!(project.read("out/both.txt"), RESULT);
        // The records of the runs say the same.
        // What lies deeper is action by action, and shared by equal runs.
        let runs = std::fs::read_dir(project.path(".flow/runs")).expect("a listing");
        let records = runs.map(|entry| entry.expect("an entry").path());
        let records = records.filter(|path| path.extension().is_some());
        let noted = records.map(|path| {
            let text = std::fs::read_to_string(path).expect("a record");
            let record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let stages = record["stages"].as_object().expect("stages").values();
            stages
                .map(|stage| stage["ran"].as_u64().expect("a number"))
                .sum::<u64>()
        });
        assert_eq!(noted.sum::<u64>(), 3);
    }
}

#[test]
fn plan_and_explain_warn_of_the_same_damage() {
    let project = project();
    project.run(&["three.toml"]).ok();
    let records = walk(&project.path(".flow/store/records"));
    let segment = records.iter().rev().find(|path| path.is_file());
    let segment = segment.expect("a segment");
    let mut bytes = std::fs::read(segment).expect("reads");
    // The header of the first row, which stands behind eight bytes that tell what the file is.
    bytes[8] ^= 1;
    std::fs::write(segment, bytes).expect("writes");
    let warnings = |args: &[&str]| {
        let told = Run::of(project.flow(&[args, &["--message-format", "json"]].concat()));
        assert_eq!(told.code, 0, "{}", told.stderr);
        let events = told.events.into_iter();
        let warnings: Vec<_> = events.filter(|event| event["event"] == "warning").collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let message = warnings[0]["message"].as_str().expect("a message");
        assert!(message.contains("are damaged"), "{message}");
        assert!(told.stderr.contains(message), "{}", told.stderr);
        message.to_owned()
    };
    assert_eq!(
        warnings(&["explain", "three.toml", "both"]),
        warnings(&["plan", "three.toml"])
    );
}
