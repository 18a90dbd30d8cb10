//! Stores in unkind places: read-only, on another file system, on a full one, with gc at the door,
//! and several processes on one of them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flow_testkit::files::{TempDir, entries, folder, read, set_mode, tempdir_in, tree, wait_for};
use flow_testkit::program::as_nobody;
use flow_testkit::store::segments;
use flow_testkit::{Ended, Project, Run, skipped};

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
fn marking(project: &Project, line: &str) -> TempDir {
    let aside = folder();
    project.write("step.sh", format!("{STEP}{line}"));
    let env = format!("env = {{ ASIDE = {:?} }}\noutputs =", aside.path());
    project.write("three.toml", PIPELINE.replace("outputs =", &env));
    aside
}

#[test]
fn a_read_only_store_answers_and_a_miss_says_what_to_do() {
    let project = project();
    let store = folder();
    let place = store.path().display().to_string();
    let all = ["three.toml", "--store", &place];
    project.run(&all).ok();
    project.remove("out");
    for path in tree(store.path()) {
        set_mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    // Nobody may write for whom permissions do not count, so root steps down.
    let flow = |args: &[&str]| {
        let args = [args, &["--store", &place]].concat();
        let mut command = as_nobody(&project, project.json_command(&args))?;
        Some(Run::from(Ended::run(&mut command)))
    };
    let Some(hits) = flow(&["run", "three.toml"]) else {
        return;
    };
    hits.ok();
    assert_eq!(hits.ran(), []);
    assert_eq!(project.read("out/both.txt"), RESULT);
    let flow = |args: &[&str], code| flow(args).expect("that user").with(code);
    flow(&["plan", "three.toml"], 0);
    flow(&["explain", "three.toml", "both"], 0);

    project.write("step.sh", format!("{STEP}#\n"));
    let miss = flow(&["run", "three.toml"], 4);
    miss.says("flow::environment::store");
    miss.says("--store DIR");
    flow(&["plan", "three.toml"], 0);

    // So that the folder can be removed.
    for path in tree(store.path()) {
        set_mode(&path, 0o755);
    }
}

#[test]
fn a_store_on_another_file_system_is_as_good() {
    let project = project();
    let Ok(elsewhere) = tempdir_in("/dev/shm") else {
        return skipped("there is no /dev/shm");
    };
    let device = |path: &Path| path.metadata().expect("a folder").dev();
    if device(elsewhere.path()) == device(&project.root) {
        return skipped("temporary folders lie in /dev/shm already");
    }
    let place = elsewhere.path().join("store").display().to_string();
    let all = ["three.toml", "--store", &place];
    project.run(&all).ok();
    assert_eq!(project.read("out/both.txt"), RESULT);
    assert_eq!(project.run(&all).ran(), []);
    project
        .flow(&["cache", "verify", "--store", &place])
        .with(0);
    assert!(!project.path(".flow/store").exists());
}

/// Runs a shell script on a file system of its own of `size` bytes at `$DISK`, or says why not.
fn on_small_disk(project: &Project, size: &str, script: &str) -> Option<Ended> {
    let disk = project.path("disk");
    std::fs::create_dir_all(&disk).expect("a folder");
    let mount = format!("mount -t tmpfs -o size={size} small \"$DISK\" || exit 77\n{script}");
    let unshare = "exec unshare --map-root-user --mount sh -c \"$MOUNT\"";
    let mut shell = project.shell(unshare);
    let ended = Ended::run(shell.env("DISK", &disk).env("MOUNT", mount));
    let refused = [77, 127].contains(&ended.code) || ended.stderr.contains("unshare: ");
    if refused {
        skipped("this system lets nobody mount a small file system");
    }
    (!refused).then_some(ended)
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
    let Some(ended) = on_small_disk(&project, "1500k", script) else {
        return;
    };
    for line in ["first 4", "verify 0", "second 0", "verify again 0"] {
        ended.gives(line);
    }
    ended.says("No space left").says("free some space");
    assert!(project.read("out/both.txt").starts_with("tag 3\n"));
}

#[test]
fn gc_waits_for_nobody_and_takes_nothing_from_a_live_run() {
    let project = project();
    let aside = marking(&project, "touch \"$ASIDE/started\"; sleep 1\n");
    let mut run = project.start_unheard(&["run", "three.toml", "-q"]);
    wait_for(&aside.path().join("started"));
    let mut met = 0;
    while run.try_wait().expect("a status").is_none() {
        let args = ["cache", "gc", "--max-size", "0"];
        let text = project.flow(&args).stderr;
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
    let before = tree(&project.path(".flow/store"));
    let all: [&[&str]; 5] = [
        &["run", "three.toml"],
        &["plan", "three.toml"],
        &["cache", "stat"],
        &["cache", "verify"],
        &["cache", "gc", "--max-size", "0"],
    ];
    for args in all {
        let ended = project.flow(args).with(4);
        ended
            .says("flow::cache::newer")
            .says("99")
            .says("--store DIR");
    }
    assert_eq!(tree(&project.path(".flow/store")), before);
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
    // It stops when the pipe is full, which takes far less than its messages.
    let unread = project.start(&["run", "many.toml"]);
    let read = project.run(&["many.toml"]);
    read.ok();
    let unread = Run::wait(unread);
    unread.ok();
    assert_eq!(unread.digests(), read.digests());
    assert_eq!(unread.total("ran") + read.total("ran"), 300);
}

#[test]
fn two_to_four_processes_run_each_action_once() {
    for at_once in 2..=4 {
        let project = project();
        let aside = marking(&project, "echo x >> \"$ASIDE/count\"\n");
        let children = Vec::from_iter((0..at_once).map(|_| project.start(&["run", "three.toml"])));
        let runs = Vec::from_iter(children.into_iter().map(Run::wait));
        let mut ran = 0;
        for run in &runs {
            run.ok();
            assert_eq!(run.digests(), runs[0].digests());
            ran += run.total("ran");
        }
        assert_eq!(ran, 3);
        let count = read(&aside.path().join("count"));
        assert_eq!(count.lines().count(), 3);
        assert_eq!(project.read("out/both.txt"), RESULT);
        // The records of the runs say the same.
        // What lies deeper is action by action, and shared by equal runs.
        let runs = entries(&project.path(".flow/runs")).into_iter();
        let records = runs.filter(|path| path.extension().is_some());
        let noted = records.map(|path| {
            let record: serde_json::Value = serde_json::from_str(&read(&path)).expect("JSON");
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
    let segment = &segments(&project.store())[0];
    let mut bytes = std::fs::read(segment).expect("reads");
    // The header of the first row, which stands behind eight bytes that tell what the file is.
    bytes[8] ^= 1;
    std::fs::write(segment, bytes).expect("writes");
    let warnings = |args: &[&str]| {
        let told = project.json(args).with(0);
        assert_eq!(told.all("warning").count(), 1, "{:?}", told.events);
        let message = told.event("warning")["message"].as_str();
        let message = message.expect("a message");
        assert!(message.contains("are damaged"), "{message}");
        // People see the path from where they stand.
        let near = message.replace(&format!("{}/", project.root.display()), "");
        assert!(told.stderr.contains(&near), "{}", told.stderr);
        message.to_owned()
    };
    assert_eq!(
        warnings(&["explain", "three.toml", "both"]),
        warnings(&["plan", "three.toml"])
    );
}
