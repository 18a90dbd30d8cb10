//! What an edit reaches, and what it does not.

use std::sync::atomic::Ordering;

use flow_engine::explain::{Novelty, Reason};

use crate::harness::Project;
use crate::{ALL, LEARN, MAIN, built, fresh};

/// What a changed value in shard a runs, apart from fits and what follows from them.
const EDITED_A: [&str; 10] = [
    "all: join",
    "clean: apply a",
    "learn: apply 0 a",
    "learn: apply 1 b",
    "learn: apply final u",
    "learn: fit 1",
    "learn: fit final",
    "learn: gather",
    "read: collect",
    "read: read a",
];

#[test]
fn a_second_run_does_nothing() {
    let project = fresh();
    let first = project.expect(&ALL);
    let new = Reason::New(Novelty::Store);
    assert!(first.reasons.values().all(|reason| *reason == new));
    assert_eq!(first.counts, [0, 16, 0, 0]);
    let second = project.expect(&[]);
    assert_eq!(second.counts, [16, 0, 0, 0]);
    assert_eq!(second.digests, first.digests);
}

#[test]
fn comments_order_and_names_run_nothing() {
    let project = built();
    let (head, tail) = MAIN.split_once("[stages.folds]").unwrap();
    project.write(
        "p.toml",
        format!("# A comment.\n[stages.folds]{tail}\n{head}"),
    );
    project.expect(&[]);
    project.write(
        "p.toml",
        MAIN.replace("clean", "washed").replace("learn]", "learnt]"),
    );
    project.edit("\"learn\"", "\"learnt\"");
    let ran = project.expect(&[]);
    assert!(ran.written.is_empty());
}

#[test]
fn moving_touching_and_threads_run_nothing() {
    let mut project = built();
    let moved = project.root.with_file_name("elsewhere");
    std::fs::rename(&project.root, &moved).unwrap();
    project.root = moved;
    project.expect(&[]);
    project.write("data/a.txt", project.read("data/a.txt"));
    project.expect(&[]);
    for jobs in [1, 4] {
        project.jobs = jobs;
        project.expect(&[]);
    }
}

#[test]
fn other_threads_give_the_same_bytes() {
    let runs = [1, 3].map(|jobs| {
        let mut project = fresh();
        project.jobs = jobs;
        project.expect(&ALL).digests
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn a_renamed_file_runs_nothing() {
    let project = built();
    std::fs::rename(
        project.root.join("data/a.txt"),
        project.root.join("data/z.txt"),
    )
    .unwrap();
    project.expect(&[]);
}

#[test]
fn a_parameter_reaches_what_lies_below() {
    let project = built();
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let ran = project.expect(&LEARN);
    let Reason::Changed(changed) = &ran.reasons["learn: fit 0"] else {
        panic!("{:?}", ran.reasons);
    };
    assert_eq!(changed.changes.len(), 1, "{changed:?}");
    project.edit("depth = 4", "depth = 3");
    project.expect(&[]);
}

#[test]
fn a_default_written_out_and_an_unkeyed_parameter_run_nothing() {
    let project = built();
    project.edit("op = \"upper\"", "op = \"upper\"\nsuffix = \"\"\nspeed = 7");
    project.expect(&[]);
}

#[test]
fn the_seed_reaches_seeded_steps() {
    let project = built();
    project.edit("seed = 1", "seed = 2");
    project.expect(&LEARN);
    project.edit("seed = 2", "seed = 1");
    project.expect(&[]);
}

#[test]
fn a_stage_seed_tells_equals_apart() {
    let project = built();
    project.edit("use = \"learner\"", "use = \"learner\"\nseed = 5");
    project.expect(&LEARN);
}

#[test]
fn an_edited_file_reaches_its_shard_and_not_the_fold_that_holds_it_out() {
    let project = built();
    project.write("data/a.txt", "a1 x apricot\na2 y avocado\n");
    project.expect(&EDITED_A);
    project.write("data/a.txt", "a1 x apple\na2 y avocado\n");
    project.expect(&[]);
}

#[test]
fn an_edit_that_leaves_bytes_equal_stops_there() {
    let project = built();
    project.edit("op = \"upper\"", "op = \"first\"");
    project.run();
    project.write("data/a.txt", "a1 x apricot\na2 y avocado\n");
    project.expect(&["clean: apply a", "read: collect", "read: read a"]);
}

#[test]
fn a_new_label_refits_what_trains_on_it() {
    let project = built();
    // Row a2 changes its label: folds 1 and final train on it, fold 0 does not.
    project.write("data/a.txt", "a1 x apple\na2 x avocado\n");
    let mut expected = EDITED_A.to_vec();
    expected.insert(2, "folds: split");
    project.expect(&expected);
}

#[test]
fn unlabelled_shards_come_and_go_without_a_refit() {
    let project = built();
    project.write("data/v.txt", "v1 - vanilla\n");
    project.expect(&[
        "all: join",
        "clean: apply v",
        "folds: split",
        "learn: apply final v",
        "learn: gather",
        "read: collect",
        "read: read v",
    ]);
    assert!(project.read("out/p.txt").contains("v1 - VANILLA"));
    project.remove("data/v.txt");
    project.expect(&[]);
    assert!(!project.read("out/p.txt").contains("v1"));
}

#[test]
fn a_new_version_runs_the_kind_again() {
    let project = built();
    project.control.version.store(2, Ordering::SeqCst);
    // It gives the same bytes, so nothing below runs.
    project.expect(&["clean: apply a", "clean: apply b", "clean: apply u"]);
    project.control.version.store(1, Ordering::SeqCst);
    project.expect(&[]);
}

#[test]
fn equal_actions_of_two_stages_run_once() {
    let project = Project::new(
        r#"
        [stages.read]
        use = "source"
        dir = "data"
        [stages.one]
        use = "map"
        inputs = { rows = "read.rows" }
        [stages.two]
        use = "map"
        inputs = { rows = "read.rows" }
        [stages.both]
        use = "join"
        inputs = { rows = ["one", "two"] }
        "#,
    );
    project.write("data/a.txt", "a1 x apple\n");
    let ran = project.run();
    assert_eq!(project.control.ran.load(Ordering::SeqCst), 4);
    assert_eq!(ran.counts, [1, 4, 0, 0]);
    project.expect(&[]);
}

#[test]
fn rows_of_other_objects_than_the_folds_are_refused() {
    let project = built();
    project.edit(
        "[stages.learn]",
        "[stages.other]\nuse = \"source\"\ndir = \"more\"\n[stages.learn]",
    );
    project.edit("objects = \"read\"", "objects = \"other\"");
    project.write("more/a.txt", "a1 x apple\n");
    project.write("more/b.txt", "b1 x bean\n");
    let ran = project.run();
    assert_eq!(
        ran.failures[0].1.code.as_str(),
        "flow::data::objects_differ"
    );
}
