//! Nothing that a program started outlives it, and its outputs are files that it made, to which nobody
//! writes any more.

use std::time::{Duration, Instant};

use flow_engine::command::CommandKind;
use flow_engine::kind::Fault;

use super::{alone, failure, of_items};
use crate::harness::Project;
use flow_testkit::files::{entries, read, set_mode, wait_for, write};
use flow_testkit::store::artifacts;

/// A pipeline of one script, in which FOLDER is one that programs may write to, and ROOT the project's.
fn script(text: &str, more: &str) -> Project {
    let project = alone("", more);
    let text = text.replace("FOLDER", &project.outside().display().to_string());
    let text = text.replace("ROOT", &project.root.display().to_string());
    project.edit("''''''", &format!("'''{text}'''"));
    project
}

/// What takes a moment to write, if it is let. It says nothing: once nobody reads what it says, that
/// would end it.
const LATE: &str = "exec > /dev/null 2>&1; sleep 0.4; echo LATE >> \"$0\"; echo LATE > FOLDER/late";

/// Ways to leave something behind.
fn daemons() -> [String; 4] {
    let deep = format!("setsid sh -c '(setsid sh -c \"$1\" \"$0\" &) & exit' {{out}} '{LATE}'");
    [
        format!("setsid sh -c '{LATE}' {{out}} &"),
        format!("(trap \"\" HUP TERM INT; (setsid sh -c '{LATE}' {{out}} &) &)"),
        deep,
        format!("(exec 3>>{{out}}; setsid sh -c '{LATE}; echo LATE >&3' {{out}} &)"),
    ]
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    for daemon in daemons() {
        for status in [0, 3] {
            let project = script(
                &format!("echo x > {{out}}; {daemon}\nsleep 0.1; exit {status}"),
                "",
            );
            let ran = project.run();
            assert_eq!(
                ran.failures.len(),
                usize::from(status != 0),
                "{:?}",
                ran.failures
            );
            std::thread::sleep(Duration::from_millis(600));
            let late = project.outside().join("late");
            assert!(!late.exists(), "{daemon} goes on after status {status}");
            if status == 0 {
                let made = project.artifact(&ran, "run: run out");
                assert_eq!(read(&made), "x\n", "{daemon}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_program_leaves_behind_ends_with_its_time() {
    for daemon in daemons() {
        let more = "resources = { timeout = \"200ms\" }";
        let project = script(&format!("echo x > {{out}}; {daemon}\nsleep 60"), more);
        assert_eq!(
            failure(&project.run()).code.as_str(),
            "flow::command::timeout"
        );
        std::thread::sleep(Duration::from_millis(500));
        assert!(!project.outside().join("late").exists(), "{daemon}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn who_kills_the_guard_is_refused_or_fails() {
    // A program without the project's rules would end it; the next ones have another.
    let more = "each = { i = { range = [0, 4] } }";
    let project = script("kill -9 $PPID; sleep 0.05; echo {i} > {out}", more);
    let ran = project.run();
    if CommandKind::landlock() >= 6 {
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!(of_items(&project, &ran, 0..4), "0\n1\n2\n3\n");
    } else {
        assert_eq!(failure(&ran).fault, Fault::Environment);
        assert_eq!(failure(&ran).code.as_str(), "flow::command::guard");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_but_its_own_gets_its_signals() {
    if CommandKind::landlock() < 6 {
        return;
    }
    let pid = std::process::id();
    let text = format!(
        "kill -0 {pid} && exit 1; kill -0 $PPID && exit 2; cat /proc/$PPID/environ > {{out}} && exit 3; \
         tr '\\\\0' '\\\\n' < /proc/{pid}/environ > {{out}} && exit 4; sleep 60 & kill $!; echo fine > {{out}}"
    );
    let project = script(&text, "");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "fine\n");
}

#[test]
fn a_long_log_keeps_its_ends() {
    let project = script("echo first; yes | head -c 40000000; echo last; exit 1", "");
    let ran = project.run();
    let help = failure(&ran).help.join("\n");
    assert!(help.contains("last"), "{help}");
    let logs = entries(&project.path(".flow/logs"));
    let [log] = &logs[..] else { panic!("{logs:?}") };
    let text = std::fs::read(log).unwrap();
    assert!(text.len() < 17 << 20, "{}", text.len());
    assert!(text.starts_with(b"first\n") && text.ends_with(b"last\n"));
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("bytes are left out here"));
}

#[test]
fn an_output_is_a_file_that_the_program_made() {
    let cases = [
        ("ln -s ROOT/data/o.txt {out}", "is a link"),
        ("ln -s /etc/hostname {out}", "is a link"),
        (
            "d=$(dirname {out}); rmdir $d; ln -s ROOT/data $d",
            "is a link",
        ),
        ("d=$(dirname {out}); rmdir $d; echo x > $d", "not a folder"),
        ("mkdir {out}", "is a folder"),
        ("mkfifo {out}", "is a pipe"),
        ("echo x > FOLDER/o; ln FOLDER/o {out}", "second name"),
    ];
    for (text, what) in cases {
        let project = script(text, "");
        project.write("data/o.txt", "precious\n");
        let ran = project.run();
        let error = failure(&ran);
        assert_eq!(
            error.code.as_str(),
            "flow::command::not_a_file",
            "{text}: {error}"
        );
        assert!(error.message.contains(what), "{text}: {error}");
        assert_eq!(project.read("data/o.txt"), "precious\n", "{text}");
        assert!(!project.root.join("result.txt").exists());
    }
    // Two names of one file, both its own, are as good as copies.
    let project = script("echo x > own; ln own {out}", "files = []");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "x\n");
}

#[test]
fn hashing_is_within_the_time_of_a_stage_and_stops_with_the_run() {
    let project = script(
        "truncate -s 200G {out}",
        "resources = { timeout = \"600ms\" }",
    );
    let started = Instant::now();
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::timeout");
    assert!(started.elapsed() < Duration::from_secs(20));
    let project = script("truncate -s 200G {out}; touch FOLDER/made", "");
    let cancel = std::sync::Arc::clone(&project.cancel);
    let made = project.outside().join("made");
    let watcher = std::thread::spawn(move || {
        wait_for(&made);
        std::thread::sleep(Duration::from_millis(200));
        cancel.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let ran = project.run();
    watcher.join().unwrap();
    assert!(ran.interrupted && ran.failures.is_empty());
}

#[test]
fn a_folder_that_was_closed_is_cleared_all_the_same() {
    let text = "mkdir -p $TMPDIR/a/b mine/c; touch $TMPDIR/a/b/f mine/c/f; \
                chmod 0 mine/c $TMPDIR/a/b; chmod 555 mine $TMPDIR/a $TMPDIR; echo {i} > {out}";
    let mut project = script(text, "each = { i = { range = [0, 6] } }");
    project.keep_going = true;
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(of_items(&project, &ran, 0..6), "0\n1\n2\n3\n4\n5\n");
}

#[test]
fn what_was_made_from_bytes_that_changed_meanwhile_is_made_again() {
    // Somebody changes the input while it is read, and puts it back: only its times tell.
    for restored in [false, true] {
        let project = Project::new(
            r#"
[stages.first]
use = "command"
run = ["/bin/sh", "-c", "echo right > {out}"]
outputs = { out = "o.txt" }
[stages.second]
use = "command"
run = ["/bin/sh", "-c", "test -e FOLDER/seen || (touch FOLDER/seen; until test -e FOLDER/changed; do sleep 0.01; done); cat {first} > {out}"]
inputs = { first = "first" }
outputs = { out = "o.txt" }
[outputs]
"first.txt" = "first"
"second.txt" = "second"
"#,
        );
        let folder = project.outside();
        project.edit("FOLDER", &folder.display().to_string());
        let store = project.store();
        let meddler = std::thread::spawn(move || {
            wait_for(&folder.join("seen"));
            let path = artifacts(&store)
                .into_iter()
                .find(|path| read(path) == "right\n")
                .unwrap();
            set_mode(&path, 0o644);
            let before = std::fs::metadata(&path).unwrap().modified().unwrap();
            write(&path, "wrong\n");
            if restored {
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(before).unwrap();
            }
            write(&folder.join("changed"), "");
        });
        let ran = project.run();
        meddler.join().unwrap();
        assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        assert_eq!(project.read("second.txt"), "right\n");
        assert_eq!(project.read("first.txt"), "right\n");
        let started = ran.started.iter().filter(|name| *name == "second: run");
        assert_eq!(started.count(), 2, "{:?}", ran.started);
        project.expect(&[]);
    }
}
