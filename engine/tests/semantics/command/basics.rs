//! Programs: what they see, how they end, and what makes them run again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flow_engine::kind::Fault;

use super::{alone, expect_mistake, failure, of_items, project};
use crate::harness::Project;
use flow_testkit::files::{set_mode, wait_for, wait_for_line, write};
use flow_testkit::program::is_over;

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
    assert_eq!(names, ["FLOW_CPUS", "FLOW_GPUS", "MINE", "PATH", "TMPDIR"]);
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
    assert_eq!(failure(&ran).code.as_str(), "flow::command::several");
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
    project.edit(
        "outputs =",
        "resources = { timeout = \"100s\", retries = 2 }\noutputs =",
    );
    project.expect(&[]);
}

#[test]
fn a_missing_output_is_a_failure() {
    let project = project("\"{out}\"", "", "true");
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::no_output");
    assert_eq!(failure(&ran).fault, Fault::Stage);
    assert!(!failure(&ran).help.is_empty());
}

#[test]
fn a_failure_shows_the_last_lines() {
    let script = "for i in $(seq 100); do echo line $i >&2; done; exit 3";
    let project = project("\"{out}\"", "", script);
    let ran = project.run();
    let error = failure(&ran);
    assert_eq!(error.code.as_str(), "flow::command::failed");
    assert!(error.message.contains("exit status: 3"), "{error}");
    let help = error.help.concat();
    assert!(
        help.contains("line 100") && !help.contains("line 80\n"),
        "{help}"
    );
}

/// Whether the process whose number a program left is gone, or will be in a second.
fn ends(project: &Project) -> bool {
    let pid = wait_for_line(&project.outside().join("pid"));
    (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_over(&pid)
    })
}

/// Starts a grandchild that ignores polite requests, and waits.
fn stubborn(project: &Project) -> String {
    let pid = project.outside().join("pid");
    let pid = pid.display();
    format!("sh -c 'trap \"\" TERM; echo $$ > {pid}; sleep 60; sleep 60' & sleep 60")
}

#[test]
fn a_timeout_ends_the_whole_group() {
    let project = project("\"{out}\"", "resources = { timeout = \"500ms\" }", "");
    project.write("scripts/script.sh", stubborn(&project));
    let started = Instant::now();
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::timeout");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(ends(&project));
}

#[test]
fn an_interruption_ends_the_whole_group() {
    let project = project("\"{out}\"", "", "");
    project.write("scripts/script.sh", stubborn(&project));
    let cancel = Arc::clone(&project.cancel);
    let pid = project.outside().join("pid");
    let watcher = std::thread::spawn(move || {
        wait_for_line(&pid);
        cancel.store(true, Ordering::SeqCst);
    });
    let ran = project.run();
    watcher.join().unwrap();
    assert!(ran.interrupted && ran.failures.is_empty());
    assert!(ends(&project));
}

#[test]
fn a_script_edited_under_the_run_runs_again() {
    let project = project("\"{out}\"", "", "");
    let (started, go) = (
        project.outside().join("started"),
        project.outside().join("go"),
    );
    let script = format!(
        "echo 1 > $1; : > {}; until test -e {}; do sleep 0.01; done",
        started.display(),
        go.display()
    );
    project.write("scripts/script.sh", &script);
    let path = project.root.join("scripts/script.sh");
    let editor = std::thread::spawn(move || {
        wait_for(&started);
        write(&path, "echo 2 > $1");
        write(&go, "");
    });
    let ran = project.run();
    editor.join().unwrap();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(project.read("result.txt"), "2\n");
    project.expect(&[]);
}

#[test]
fn a_signal_is_called_by_its_name() {
    let ran = alone("kill -SEGV $$", "").run();
    let error = failure(&ran);
    assert_eq!(error.code.as_str(), "flow::command::failed");
    assert!(error.message.contains("SIGSEGV"), "{error}");
    let ran = alone("kill -KILL $$", "").run();
    let error = failure(&ran);
    assert_eq!(
        (error.code.as_str(), error.fault),
        ("flow::command::killed", Fault::Stage)
    );
    assert!(error.help.concat().contains("out of memory"), "{error:?}");
    // A shell between them passes the signal on as a status.
    let ran = alone("sh -c 'kill -KILL $$'; exit $?", "").run();
    let error = failure(&ran);
    assert_eq!(error.code.as_str(), "flow::command::killed");
    assert!(error.help.concat().contains("out of memory"), "{error:?}");
}

#[test]
fn both_streams_are_one_log_in_order() {
    let script = "echo one; echo two >&2; echo three; exit 1";
    let ran = alone(script, "").run();
    let help = failure(&ran).help.concat();
    assert!(help.contains("one\ntwo\nthree"), "{help}");
    // A program that ends well and does not do its work has its say as well.
    let ran = alone("echo where is it", "").run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::no_output");
    assert!(failure(&ran).help.concat().contains("where is it"));
}

#[test]
fn a_failed_program_is_tried_again() {
    let project = alone("", "resources = { retries = 2 }");
    let count = project.outside().join("count");
    let count = count.display();
    let script = format!("echo >> {count}; test $(wc -l < {count}) -ge 3 && echo done > {{out}}");
    project.edit("''''''", &format!("'''{script}'''"));
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.warnings.len(), 2, "{:?}", ran.warnings);
    assert_eq!(project.read("result.txt"), "done\n");
}

#[test]
fn resources_are_read_with_their_units() {
    let project = alone(
        "echo $FLOW_CPUS > {out}",
        "resources = { cpus = 2, memory = \"1GiB\" }",
    );
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "2\n");
    project.edit("1GiB", "1 apple");
    expect_mistake(&project, "flow::command::resources", "2GiB");
    project.edit("memory = \"1 apple\"", "memroy = \"1GB\"");
    expect_mistake(&project, "flow::command::resources", "`memory`");
    project.edit(
        "resources = { cpus = 2, memroy = \"1GB\" }",
        "timeout_s = 3",
    );
    let lists = "`flow stages command` lists";
    expect_mistake(&project, "flow::pipeline::unknown_key", lists);
}

#[test]
fn what_is_claimed_is_never_handed_out_twice() {
    // Who meets another one at work fails.
    let script = "cd DIR && mkdir busy && sleep 0.1 && rmdir busy && echo $FLOW_GPUS > {out}";
    let run = |claim: &str| {
        let more = format!("each = {{ i = [1, 2, 3, 4] }}\nresources = {{ {claim} }}");
        let mut project = alone("", &more);
        let dir = project.outside().display().to_string();
        project.edit("''''''", &format!("'''{}'''", script.replace("DIR", &dir)));
        project.jobs = 4;
        (project.run(), project)
    };
    // The machine of these tests has 1 GPU and 1 GiB.
    for (claim, gpu) in [
        ("cpus = 3", ""),
        ("memory = \"600MiB\"", ""),
        ("gpu = 1", "0"),
    ] {
        let (ran, project) = run(claim);
        assert!(ran.failures.is_empty(), "{claim}: {:?}", ran.failures);
        assert_eq!(of_items(&project, &ran, 1..5), format!("{gpu}\n").repeat(4));
    }
    assert!(!run("memory = \"100MiB\"").0.failures.is_empty());
    let (ran, _) = run("gpu = 2");
    assert_eq!(ran.failures[0].1.code.as_str(), "flow::resources::gpus");
    assert!(ran.started.is_empty());
}

#[test]
fn names_are_checked_before_anything_runs() {
    let project = alone("{oout}", "");
    expect_mistake(
        &project,
        "flow::command::placeholder",
        "did you mean `out`?",
    );
    let project = alone("awk '{{print $1}'", "env = { A = \"{sed}\" }");
    expect_mistake(
        &project,
        "flow::command::placeholder",
        "did you mean `seed`?",
    );
    let project = alone("", "inputs = { out = \"run\" }");
    let mistakes = super::mistakes(&project);
    let mut codes = mistakes.iter().map(|d| d.code.as_str());
    assert!(
        codes.any(|code| code == "flow::command::name"),
        "{mistakes:?}"
    );
    let project = alone("", "");
    project.edit("\"o.txt\"", "\"o.txt\", more = \"o.txt\"");
    project.edit("= \"run\"", "= \"run.out\"");
    expect_mistake(&project, "flow::command::output_name", "two outputs");
    let project = alone("", "");
    project.edit("o.txt", "../o.txt");
    expect_mistake(&project, "flow::command::output_name", "plain");
    let project = alone("", "files = [\"/etc/passwd\"]");
    expect_mistake(&project, "flow::command::files", "outside");
    let project = alone("", "");
    project.edit("/bin/sh", "{out}");
    expect_mistake(&project, "flow::command::empty", "known only when it runs");
}

#[test]
fn a_program_of_the_project_is_found_and_keyed() {
    let project = alone("", "");
    project.edit("\"/bin/sh\", \"-c\", ''''''", "\"bin/tool\", \"{out}\"");
    project.write("bin/tool", "#!/bin/sh\necho 1 > $1\n");
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::start");
    assert!(failure(&ran).help.concat().contains("executable"));
    set_mode(&project.path("bin/tool"), 0o755);
    project.expect(&["run: run"]);
    project.write("bin/tool", "#!/bin/sh\necho 2 > $1\n");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "2\n");
}
