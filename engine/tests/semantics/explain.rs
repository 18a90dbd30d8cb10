//! Every miss has a reason and a cause, and a run does what the plan says.

use std::sync::atomic::Ordering;

use flow_cache::{GcPolicy, Store, Value};
use flow_engine::StageError;
use flow_engine::explain::preview::{Verdict, Wait};
use flow_engine::explain::{Changed, Nearness, Novelty, Reason, What};

use crate::harness::Project;
use crate::planned::Planned;
use crate::{MAIN, built, fresh};

/// [`MAIN`] up to the row-wise stage.
fn upstream() -> &'static str {
    MAIN.split_once("[stages.folds]").unwrap().0
}

fn changed<'p>(planned: &'p Planned, name: &str) -> &'p Changed {
    match &planned.told[name].reason {
        Some(Reason::Changed(changed)) => changed,
        other => panic!("{other:?}"),
    }
}

/// A cause that is a field, as `path: old -> new`.
fn field(what: &What) -> String {
    let What::Field(change) = what else {
        panic!("{what:?}");
    };
    let side = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    format!(
        "{}: {} -> {}",
        change.path,
        side(&change.old),
        side(&change.new)
    )
}

/// A cause that is a source file: its role, its name, whether it was there, whether it is.
fn source(what: &What) -> (String, Option<String>, bool, bool) {
    let What::Source {
        role,
        path,
        old,
        new,
    } = what
    else {
        panic!("{what:?}");
    };
    let name = path.as_ref().and_then(|path| path.file_name());
    let name = name.map(|name| name.to_string_lossy().into_owned());
    (role.clone(), name, old.is_some(), new.is_some())
}

#[test]
fn a_first_run_is_new_and_all_of_it_is_one_cause() {
    let project = fresh();
    let planned = project.plan();
    assert_eq!(
        planned.run(),
        ["read: read a", "read: read b", "read: read u"]
    );
    for name in planned.run() {
        let reason = planned.told[name].reason.as_ref().unwrap();
        assert_eq!(*reason, Reason::New(Novelty::Store));
    }
    assert_eq!(planned.groups.len(), 1);
    assert_eq!((planned.groups[0].run, planned.groups[0].pending), (3, 19));
    assert_eq!(planned.told["all: join"].groups, [0]);

    // Another store knows nothing; another kind was never run in this one.
    project.run();
    std::fs::rename(project.store(), project.root.join("elsewhere")).unwrap();
    assert_eq!(project.plan().run(), planned.run());
    std::fs::remove_dir_all(project.store()).unwrap();
    std::fs::rename(project.root.join("elsewhere"), project.store()).unwrap();
    project.edit(
        "[outputs]",
        "[stages.more]\nuse = \"tweak\"\ninputs = { rows = [\"all\"] }\n[outputs]",
    );
    let planned = project.plan();
    assert_eq!(planned.run(), ["more: tweak"]);
    let reason = planned.told["more: tweak"].reason.as_ref().unwrap();
    assert_eq!(*reason, Reason::New(Novelty::Kind));
}

#[test]
fn nothing_changed_is_all_hits() {
    let planned = built().plan();
    let known = |verdict: &Verdict| matches!(verdict, Verdict::Hit | Verdict::Vacant);
    assert!(planned.verdicts.values().all(known));
    assert!(planned.groups.is_empty());
}

#[test]
fn a_parameter_is_its_own_cause() {
    let project = built();
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let planned = project.plan();
    let fits = ["learn: fit 0", "learn: fit 1", "learn: fit final"];
    assert_eq!(planned.run(), fits);
    let told = changed(&planned, "learn: fit 1");
    assert_eq!(told.earlier.nearness, Nearness::SameAction);
    assert_eq!(told.earlier.action, "fit 1");
    let (at, what) = planned.cause("learn: fit 1");
    assert_eq!(
        (at, field(what).as_str()),
        (fits[1], "params.depth: 3 -> 4")
    );
    // Three fits and what waits for them go back to one change; who has no rows is not known yet.
    assert_eq!(planned.groups.len(), 1);
    assert_eq!((planned.groups[0].run, planned.groups[0].pending), (3, 10));
    assert_eq!(planned.told["learn: gather"].groups, [0]);
}

#[test]
fn a_source_is_found_two_stages_up() {
    let project = built();
    project.write("data/a.txt", "a1 x apricot\na2 y avocado\n");
    let planned = project.plan();
    assert_eq!(planned.run(), ["read: read a"]);
    let (_, what) = planned.cause("read: read a");
    let (_, file, was, is) = source(what);
    assert_eq!((file.as_deref(), was, is), (Some("a.txt"), true, true));

    // Now what the file reaches first is up to date, and the rest knows why it is not.
    project.write("p.toml", upstream());
    project.expect(&["clean: apply a", "read: collect", "read: read a"]);
    project.write("p.toml", MAIN);
    let planned = project.plan();
    assert_eq!(
        planned.run(),
        [
            "all: join",
            "learn: apply 0 a",
            "learn: fit 1",
            "learn: fit final"
        ]
    );
    for name in planned.run() {
        let told = changed(&planned, name);
        assert!(
            told.changes
                .iter()
                .all(|c| c.path.starts_with("inputs.rows"))
        );
        // The other shards' parts stand elsewhere in the list, and are not named.
        assert!(told.changes.len() <= 2, "{told:?}");
        let (at, what) = planned.cause(name);
        assert_eq!(
            (at, source(what).1.as_deref()),
            ("read: read a", Some("a.txt"))
        );
    }
    assert_eq!(planned.groups.len(), 1);
    assert_eq!(planned.groups[0].files.len(), 1);
}

#[test]
fn parts_that_come_and_go_are_told() {
    let project = built();
    project.write("data/v.txt", "v1 - vanilla\n");
    project.write("p.toml", upstream());
    project.run();
    project.write("p.toml", MAIN);
    let planned = project.plan();
    let (at, what) = planned.cause("all: join");
    assert_eq!(at, "all: join");
    let What::More { files, .. } = what else {
        panic!("{what:?}");
    };
    assert!(files[0].ends_with("data/v.txt"), "{files:?}");
    project.run();
    project.remove("data/v.txt");
    project.remove("data/b.txt");
    project.write("p.toml", upstream());
    project.run();
    project.write("p.toml", MAIN);
    let planned = project.plan();
    let whats: Vec<&What> = planned.causes["all: join"].iter().map(|(_, w)| w).collect();
    let less = |what: &&What| matches!(what, What::Less { then: Some(_), .. });
    assert!(!whats.is_empty() && whats.iter().all(less), "{whats:?}");
}

#[test]
fn a_script_a_version_and_a_renamed_stage_are_named() {
    let project = Project::new(
        r#"
        [stages.run]
        use = "command"
        run = ["sh", "s.sh", "{out}"]
        files = ["s.sh"]
        outputs = { out = "o.txt" }
        "#,
    );
    project.write("s.sh", "echo one > $1");
    project.run();
    project.write("s.sh", "echo two > $1");
    let planned = project.plan();
    let (role, file, was, is) = source(planned.cause("run: run").1);
    assert_eq!((role.as_str(), file.as_deref()), ("s.sh", Some("s.sh")));
    assert!(was && is);

    let project = built();
    project.control.version.store(2, Ordering::SeqCst);
    let planned = project.plan();
    let (at, what) = planned.cause("clean: apply b");
    assert_eq!(
        (at, field(what).as_str()),
        ("clean: apply b", "version: 1 -> 2")
    );
    project.control.version.store(1, Ordering::SeqCst);

    let text = MAIN
        .replace("clean", "washed")
        .replace("op = \"upper\"", "op = \"first\"");
    project.write("p.toml", &text);
    let planned = project.plan();
    let told = changed(&planned, "washed: apply b");
    assert_eq!(told.earlier.nearness, Nearness::SameKindAndAction);
    assert_eq!(told.earlier.stage, "clean");
    let (_, what) = planned.cause("washed: apply b");
    assert_eq!(field(what), "params.op: \"upper\" -> \"first\"");
}

#[test]
fn evicted_bytes_are_restored_only_for_who_needs_them() {
    let project = built();
    let ran = project.run();
    for name in ["clean: apply a rows", "read: read a rows", "all: join rows"] {
        std::fs::remove_file(project.artifact(&ran, name)).unwrap();
    }
    // Nobody asks.
    assert!(project.plan().restore().is_empty());
    // A fit reads what `clean` made, and that reads what `read` made.
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let planned = project.plan();
    assert_eq!(planned.restore(), ["clean: apply a", "read: read a"]);
    assert_eq!(planned.needed_by["read: read a"], "clean: apply a");
    assert!(planned.needed_by["clean: apply a"].starts_with("learn: fit"));
    // A file asks.
    project.remove("out/all.txt");
    let planned = project.plan();
    assert_eq!(
        planned.restore(),
        ["all: join", "clean: apply a", "read: read a"]
    );
    assert_eq!(planned.needed_by["all: join"], "out/all.txt");
    let again = project.run();
    for name in planned.restore().iter().chain(&planned.run()) {
        assert!(
            again.ran.iter().any(|ran| ran == name),
            "{name}: {:?}",
            again.ran
        );
    }
    project.expect(&[]);
}

#[test]
fn bytes_that_only_a_pending_action_may_want_are_pending() {
    let project = built();
    let ran = project.run();
    std::fs::remove_file(project.artifact(&ran, "clean: apply a rows")).unwrap();
    project.write("data/b.txt", "b1 x broccoli\nb2 y beet\n");
    let planned = project.plan();
    assert_eq!(planned.run(), ["read: read b"]);
    let wait = planned.verdicts["clean: apply a"];
    assert!(matches!(wait, Verdict::Pending(Wait::Bytes(_))), "{wait:?}");
    let ran = project.run();
    assert!(ran.ran.contains(&"clean: apply a".to_owned()));
}

#[test]
fn records_that_gc_removed_or_that_are_damaged_are_told_apart() {
    let project = built();
    let ran = project.run();
    let key = ran.keys["clean: apply a"];
    let place = Store::open(&project.store()).unwrap().place(&key).unwrap();
    let mut bytes = std::fs::read(&place.segment).unwrap();
    bytes[place.offset as usize + 80] ^= 1;
    std::fs::write(&place.segment, bytes).unwrap();
    let planned = project.plan();
    assert_eq!(planned.run(), ["clean: apply a"]);
    assert_eq!(planned.told["clean: apply a"].reason, Some(Reason::Damaged));
    project.expect(&["clean: apply a"]);

    let store = Store::open(&project.store()).unwrap();
    let policy = GcPolicy {
        max_age_days: Some(0.0),
        ..GcPolicy::default()
    };
    // What was made within this second is not older than now.
    while !store.is_empty() {
        store.gc(&policy).unwrap();
    }
    drop(store);
    let planned = project.plan();
    assert_eq!(planned.run().len(), 3);
    for name in planned.run() {
        let reason = planned.told[name].reason.as_ref().unwrap();
        assert!(
            matches!(reason, Reason::Pruned(when) if *when > 0),
            "{reason:?}"
        );
    }
    assert_eq!(planned.groups.len(), 1);
}

#[test]
fn other_bytes_by_the_same_recipe_are_said_to_be_that() {
    let mut project = Project::new(
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
        "#,
    );
    project.jobs = 1;
    let ran = project.run();
    std::fs::remove_file(project.artifact(&ran, "noise: tweak rows")).unwrap();
    project.edit("op = \"upper\"", "op = \"first\"");
    let planned = project.plan();
    assert_eq!(
        (planned.run(), planned.restore()),
        (vec!["other: apply"], vec!["noise: tweak"])
    );
    // It is made again, and then nothing more happens.
    project.control.nth(2, || {
        Err(StageError::failed("flow::test::told", "told to fail"))
    });
    let ran = project.run();
    assert!(ran.warnings[0].contains("not deterministic"));
    let planned = project.plan();
    let (at, what) = planned.cause("after: apply");
    assert_eq!(at, "after: apply");
    assert!(matches!(what, What::Remade { .. }), "{what:?}");
}

#[test]
fn equal_actions_run_once() {
    let project = Project::new(
        r#"
        [stages.one]
        use = "tweak"
        [stages.two]
        use = "tweak"
        [stages.both]
        use = "join"
        inputs = { rows = ["one", "two"] }
        "#,
    );
    let planned = project.plan();
    assert_eq!(planned.run(), ["one: tweak"]);
    let wait = planned.verdicts["two: tweak"];
    assert_eq!(wait, Verdict::Pending(Wait::Equal(0)));
}

#[test]
fn a_cause_is_found_at_the_other_end_of_a_long_chain() {
    let stage = |at: usize| {
        let inputs = match at {
            0 => String::new(),
            _ => format!("\"s{}\"", at - 1),
        };
        format!("[stages.s{at}]\nuse = \"tweak\"\ntag = {at}\ninputs = {{ rows = [{inputs}] }}\n")
    };
    let whole: String = (0..1_000).map(stage).collect();
    let project = Project::new(&whole);
    project.run();
    let edited = whole.replacen("tag = 0\n", "tag = 7777\n", 1);
    let most = edited.split_once("[stages.s999]").unwrap().0;
    project.write("p.toml", most);
    project.run();
    project.write("p.toml", &edited);
    let planned = project.plan();
    assert_eq!(planned.run(), ["s999: tweak"]);
    let (at, what) = planned.cause("s999: tweak");
    assert_eq!(
        (at, field(what).as_str()),
        ("s0: tweak", "params.tag: 0 -> 7777")
    );
}

/// [`MAIN`] as another pipeline has it, with other rows for the learner.
fn another() -> String {
    let text = MAIN.replace("seed = 1", "seed = 1\nname = \"another\"");
    text.replace("op = \"upper\"", "op = \"first\"")
}

#[test]
fn what_another_pipeline_ran_meanwhile_is_no_reason() {
    let project = built();
    project.write("p.toml", another());
    project.run();
    project.write("p.toml", MAIN);
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let planned = project.plan();
    assert_eq!(
        planned.run(),
        ["learn: fit 0", "learn: fit 1", "learn: fit final"]
    );
    for name in planned.run() {
        assert_eq!(changed(&planned, name).earlier.pipeline, "p");
        assert_eq!(changed(&planned, name).changes.len(), 1);
        let (at, what) = planned.cause(name);
        assert_eq!((at, field(what).as_str()), (name, "params.depth: 3 -> 4"));
    }
    // The other way round, and under another stage's name.
    project.write(
        "p.toml",
        another()
            .replace("learn", "fitted")
            .replace("use = \"fitteder\"", "use = \"learner\"\ndepth = 5"),
    );
    let planned = project.plan();
    let told = changed(&planned, "fitted: fit 1");
    assert_eq!(told.earlier.pipeline, "another");
    assert_eq!(told.earlier.nearness, Nearness::SameKindAndAction);
    let (_, what) = planned.cause("fitted: fit 1");
    assert_eq!(field(what), "params.depth: 3 -> 5");
}

#[test]
fn an_older_record_is_nearer_than_a_newer_one_that_differs_more() {
    let text = |stage: &str, words: &str| {
        format!(
            "[stages.{stage}]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"echo {words} > $1\", \"x\", \"{{out}}\"]\n\
             outputs = {{ out = \"o.txt\" }}\nenv = {{ A = \"{words}\" }}\n"
        )
    };
    // All actions of programs have the same label, so that only recipes tell them apart.
    let project = Project::new(&format!("{}{}", text("one", "1"), text("two", "2")));
    project.run();
    let edited = text("uno", "1").replace("A = \"1\"", "A = \"3\"");
    project.write("p.toml", &edited);
    let planned = project.plan();
    assert_eq!(changed(&planned, "uno: run").earlier.stage, "one");
    assert_eq!(
        field(planned.cause("uno: run").1),
        "params.env.A: \"1\" -> \"3\""
    );
    // Of equally near ones the stage's own is the reference.
    let edited = text("one", "1").replace("A = \"1\"", "A = \"3\"");
    project.write("p.toml", text("uno", "1").replace("A = \"1\"", "A = \"4\""));
    project.run();
    project.write("p.toml", &edited);
    let planned = project.plan();
    let told = changed(&planned, "one: run");
    assert_eq!(
        (told.earlier.stage.as_str(), told.changes.len()),
        ("one", 1)
    );
}

#[test]
fn what_was_done_before_is_no_cause() {
    let project = fresh();
    project.write("p.toml", upstream());
    project.run();
    project.write("p.toml", another());
    project.run();
    // The learner has read the other pipeline's rows only; those of this one are all hits, and older.
    project.write("p.toml", MAIN);
    let planned = project.plan();
    assert!(
        planned.run().contains(&"learn: fit 1"),
        "{:?}",
        planned.run()
    );
    for (at, what) in planned.causes.values().flatten() {
        let What::Rewired { then, .. } = what else {
            panic!("{what:?}");
        };
        assert_eq!(then.pipeline, "another");
        assert!(planned.run().contains(&at.as_str()), "{at}");
    }
    let groups = &planned.groups;
    assert!(
        groups.iter().all(|group| group.earlier.is_some()),
        "{groups:?}"
    );
}
