//! Artifacts that are gone or wrong, sources that change under a run, kinds that lie.

use std::path::Path;
use std::sync::atomic::Ordering;

use flow_engine::explain::Reason;
use flow_engine::kind::Fault;

use crate::harness::Project;
use crate::{LEARN, built};
use flow_testkit::files::{entries, read};
use flow_testkit::store::{flip, replace, truncate};

fn with<'a>(more: &[&'a str], all: &[&'a str]) -> Vec<&'a str> {
    let mut names = [more, all].concat();
    names.sort_unstable();
    names
}

#[test]
fn lost_bytes_are_made_again_only_where_needed() {
    let project = built();
    let ran = project.run();
    for name in ["clean: apply a rows", "read: read a rows"] {
        std::fs::remove_file(project.artifact(&ran, name)).unwrap();
    }
    project.expect(&[]);
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let again = project.expect(&with(&["clean: apply a", "read: read a"], &LEARN));
    assert_eq!(again.reasons["clean: apply a"], Reason::Lost);
    assert_eq!(again.reasons["read: read a"], Reason::Lost);
    assert!(again.warnings.is_empty(), "{:?}", again.warnings);
    project.expect(&[]);
}

#[test]
fn a_lost_output_is_made_again_when_its_file_is_gone() {
    let project = built();
    let ran = project.run();
    std::fs::remove_file(project.artifact(&ran, "all: join rows")).unwrap();
    let before = project.read("out/all.txt");
    project.remove("out/all.txt");
    let again = project.expect(&["all: join"]);
    assert_eq!(again.counts, [15, 1, 0, 0]);
    assert_eq!(project.read("out/all.txt"), before);
    project.expect(&[]);
}

#[test]
fn a_corrupt_output_is_not_delivered_but_made_again() {
    let project = built();
    let ran = project.run();
    flip(&project.artifact(&ran, "all: join rows"));
    let before = project.read("out/all.txt");
    project.write("out/all.txt", "scribbles");
    let again = project.expect(&["all: join"]);
    assert_eq!(again.warnings.len(), 1, "{:?}", again.warnings);
    assert!(again.warnings[0].contains("corrupt"));
    assert_eq!(project.read("out/all.txt"), before);
    project.expect(&[]);
}

#[test]
fn corrupt_bytes_are_set_aside_and_made_again() {
    let flip = |path: &Path| assert!(flip(path));
    let damages: [fn(&Path); 3] = [truncate, flip, |path| replace(path, b"nonsense")];
    for damage in damages {
        let project = built();
        let ran = project.run();
        damage(&project.artifact(&ran, "clean: apply a rows"));
        project.expect(&[]);
        project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
        let again = project.expect(&with(&["clean: apply a"], &LEARN));
        assert_eq!(again.warnings.len(), 1, "{:?}", again.warnings);
        assert!(again.warnings[0].contains("corrupt"));
        let aside = entries(&project.store().join("quarantine"));
        assert_eq!(aside.len(), 1);
        for (path, text) in project.uncached() {
            assert_eq!(read(&path), text);
        }
        project.expect(&[]);
    }
}

/// A project of one shard.
fn one_shard() -> Project {
    let project = Project::new(
        r#"
        [stages.read]
        use = "source"
        dir = "data"
        [stages.clean]
        use = "map"
        inputs = { rows = "read.rows" }
        [outputs]
        "out.txt" = "clean"
        "#,
    );
    project.write("data/a.txt", "a1 x 1\n");
    project
}

#[test]
fn a_source_edited_under_the_run_is_read_again() {
    let project = one_shard();
    let file = project.root.join("data/a.txt");
    let edited = file.clone();
    project.control.hook(move |calls| {
        if calls == 1 {
            std::fs::write(&edited, "a1 x 2\n").unwrap();
        }
    });
    let ran = project.expect(&["clean: apply a", "read: collect", "read: read a"]);
    assert_eq!(ran.reasons["read: read a"], Reason::Tainted);
    assert_eq!(project.control.ran.load(Ordering::SeqCst), 4);
    assert_eq!(project.read("out.txt"), "a1 x 2\n");
    project.expect(&[]);
    // What was read first was never published under the digest of the first content.
    std::fs::write(file, "a1 x 1\n").unwrap();
    project.expect(&["clean: apply a", "read: collect", "read: read a"]);
}

#[test]
fn a_source_that_goes_on_changing_fails_the_run() {
    let project = one_shard();
    let file = project.root.join("data/a.txt");
    project.control.hook(move |calls| {
        std::fs::write(&file, format!("a1 x {calls}0\n")).unwrap();
    });
    let ran = project.run();
    assert_eq!(project.control.ran.load(Ordering::SeqCst), 2);
    assert_eq!(ran.failures.len(), 1);
    assert_eq!(ran.failures[0].1.fault, Fault::Stage);
    assert_eq!(
        ran.failures[0].1.code.as_str(),
        "flow::run::source_changing"
    );
    assert_eq!(ran.counts, [0, 0, 1, 2]);
    project.control.unhook();
    project.expect(&["clean: apply a", "read: collect", "read: read a"]);
}

#[test]
fn a_source_that_vanishes_is_the_users_matter() {
    let project = one_shard();
    let file = project.root.join("data/a.txt");
    project
        .control
        .hook(move |_| std::fs::remove_file(&file).unwrap());
    let ran = project.run();
    assert_eq!(ran.failures[0].1.code.as_str(), "flow::source::missing");
    assert_eq!(ran.failures[0].1.fault, Fault::Data);
}

#[test]
fn a_kind_that_is_not_deterministic_is_flagged_and_what_lies_below_is_keyed_anew() {
    let project = Project::new(
        r#"
        [stages.noise]
        use = "tweak"
        how = "random"
        [stages.after]
        use = "map"
        inputs = { rows = "noise" }
        [stages.other]
        use = "map"
        op = "upper"
        inputs = { rows = "noise" }
        [stages.last]
        use = "join"
        inputs = { rows = ["after", "other"] }
        "#,
    );
    let ran = project.expect(&["after: apply", "last: join", "noise: tweak", "other: apply"]);
    project.expect(&[]);
    std::fs::remove_file(project.artifact(&ran, "noise: tweak rows")).unwrap();
    project.expect(&[]);
    project.edit("op = \"upper\"", "op = \"copy\"\nsuffix = \"!\"");
    let again = project.expect(&["after: apply", "last: join", "noise: tweak", "other: apply"]);
    assert_eq!(again.counts, [0, 4, 0, 0]);
    assert_eq!(again.warnings.len(), 1, "{:?}", again.warnings);
    assert!(again.warnings[0].contains("not deterministic"));
    assert_ne!(
        again.digests["noise: tweak rows"],
        ran.digests["noise: tweak rows"]
    );
    project.expect(&[]);
}
