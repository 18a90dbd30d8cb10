//! What a program cannot reach.

use flow_engine::command::CommandKind;

use super::{alone, failure, of_items};
use flow_testkit::files::read;

use crate::harness::Project;

/// Whether the kernel can keep programs out; says so where it cannot.
#[allow(clippy::print_stderr)] // a test that skips says so
fn landlock() -> bool {
    let there = CommandKind::landlock() > 0;
    if !there {
        eprintln!("skipped: this kernel has no Landlock");
    }
    there
}

/// A pipeline of one script, which is given the project's root.
fn script(text: &str, more: &str) -> Project {
    let project = alone("", more);
    let root = project.root.display().to_string();
    project.edit("''''''", &format!("'''{}'''", text.replace("ROOT", &root)));
    project
}

#[test]
fn undeclared_files_are_closed_and_the_line_to_add_is_told() {
    if !landlock() {
        return;
    }
    for path in ["ROOT/data/x.csv", "../../../../../data/x.csv", "data/x.csv"] {
        let project = script(&format!("cat {path} > {{out}}"), "files = [\"lib/*.sh\"]");
        let root = project.root.display().to_string();
        project.write("data/x.csv", "1\n");
        project.write("lib/a.sh", "");
        let ran = project.run();
        let error = failure(&ran);
        assert_eq!(error.code.as_str(), "flow::command::failed");
        let help = error.help.concat();
        let line = "files = [\"lib/*.sh\", \"data/x.csv\"]";
        assert!(help.contains(line), "{help}");
        project.edit("files = [\"lib/*.sh\"]", line);
        project.edit(
            &format!("cat {}", path.replace("ROOT", &root)),
            "cat data/x.csv",
        );
        project.expect(&["run: run"]);
        assert_eq!(project.read("result.txt"), "1\n");
    }
}

#[test]
fn a_refusal_without_a_path_names_the_closed_folder() {
    if !landlock() {
        return;
    }
    let project = script(
        "cat ROOT/secret 2>/dev/null || echo Permission denied; exit 1",
        "",
    );
    project.write("secret", "");
    let ran = project.run();
    let help = failure(&ran).help.concat();
    let closed = format!("folder {} is closed", project.root.display());
    assert!(help.contains(&closed), "{help}");
}

#[test]
fn nothing_can_be_written_to_the_project_or_the_store() {
    if !landlock() {
        return;
    }
    let text = "touch ROOT/new; touch ROOT/.flow/store/new; echo > ROOT/p.toml; \
        ls ROOT; ls ROOT/.flow/store; mv ROOT/keep ROOT/gone; rm ROOT/keep; \
        touch $TMPDIR/mine && mv $TMPDIR/mine moved && echo fine > {out}";
    let project = script(text, "");
    project.write("keep", "");
    let before = project.read("p.toml");
    project.expect(&["run: run"]);
    assert_eq!(project.read("p.toml"), before);
    assert!(project.root.join("keep").exists() && !project.root.join("new").exists());
    assert!(!project.store().join("new").exists());
    assert_eq!(project.read("result.txt"), "fine\n");
}

#[test]
fn inputs_can_be_read_and_not_written() {
    if !landlock() {
        return;
    }
    let project = script("echo 1 > {out}", "");
    let more = "[stages.next]\nuse = \"command\"\nrun = [\"/bin/sh\", \"-c\", \
        \"cat {run} > {next}; chmod u+w {run}; echo 2 >> {run}; true\"]\n\
        inputs = { run = \"run\" }\noutputs = { next = \"n\" }\n[outputs]\n\"next.txt\" = \"next\"";
    project.edit("[outputs]", more);
    let ran = project.expect(&["next: run", "run: run"]);
    let made = project.artifact(&ran, "run: run out");
    assert_eq!(read(&made), "1\n");
    assert_eq!(project.read("next.txt"), "1\n");
}

#[test]
fn a_virtual_environment_stays_readable() {
    let project = script("cat ROOT/.venv/lib/x > {out}; ls ROOT/.venv >> {out}", "");
    project.write(".venv/lib/x", "x\n");
    project.write(".venv/pyvenv.cfg", "");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "lib\npyvenv.cfg\nx\n");
}

#[test]
fn a_link_by_the_name_of_an_environment_opens_no_data() {
    if !landlock() {
        return;
    }
    let project = script("cat .venv/x ROOT/.venv/x ROOT/data/x > {out}", "");
    project.write("data/x", "secret\n");
    std::os::unix::fs::symlink("data", project.root.join(".venv")).unwrap();
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::failed");
    // An environment elsewhere in the project is one all the same.
    project.write("data/pyvenv.cfg", "");
    project.edit(
        "cat .venv/x ROOT/.venv/x"
            .replace("ROOT", &project.root.display().to_string())
            .as_str(),
        "cat",
    );
    project.expect(&["run: run"]);
}

#[test]
fn actions_run_side_by_side_in_their_own_folders() {
    // What one leaves behind is not there for the next, and no other's folder is in reach.
    let text = "mkdir mine $TMPDIR/mine && cd mine && echo {i} > mine && sleep 0.01 && \
        cat mine > {out} && ! ls ../../.. && echo x > $TMPDIR/../left";
    let mut project = script(text, "each = { i = { range = [0, 20] } }");
    project.jobs = 4;
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let text = of_items(&project, &ran, 0..20);
    assert_eq!(text.lines().count(), 20, "{text}");
}
