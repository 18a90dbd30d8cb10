//! The history of runs: tags, pins, what gc leaves of them, and two runs side by side.

use serde_json::{Value as Json, json};

use flow_testkit::Project;
use flow_testkit::store::artifact;

/// Three shells in a row; `{WORD}` and `{NOISE}` are to be filled in.
const CHAIN: &str = r#"
[pipeline]
name = "chain"
[stages.one]
use = "command"
run = ["sh", "-c", "echo WORD NOISE > {out}"]
outputs = { out = "one.txt" }
[stages.two]
use = "command"
run = ["sh", "-c", "cat {from} > {out}"]
inputs = { from = "one" }
outputs = { out = "two.txt" }
[stages.beside]
use = "command"
run = ["sh", "-c", "echo beside > {out}"]
outputs = { out = "beside.txt" }
[outputs]
"two.txt" = "two"
"#;

fn chain(word: &str, noise: &str) -> String {
    CHAIN.replace("WORD", word).replace("NOISE", noise)
}

/// The JSON events of a command that must go well.
fn events(project: &Project, args: &[&str]) -> Vec<Json> {
    project.json(args).with(0).events
}

/// What a command says to people that must go well.
fn told(project: &Project, args: &[&str]) -> String {
    project.flow(args).with(0).stdout
}

fn run(project: &Project, more: &[&str]) -> String {
    let run = project.run(&[&["p.toml"], more].concat());
    run.ok()["run"].as_str().expect("an id").to_owned()
}

#[test]
fn runs_are_listed_tagged_pinned_and_removed() {
    let project = Project::with(&chain("a", ""));
    let first = run(&project, &["--tag", "base", "--tag", "v1"]);
    let second = run(&project, &[]);
    let listed = events(&project, &["runs"]);
    let ids: Vec<&str> = listed.iter().filter_map(|e| e["run"].as_str()).collect();
    assert_eq!(ids, [second.as_str(), &first]);
    assert_eq!(
        (&listed[0]["hit"], &listed[0]["ran"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(listed[1]["tags"], json!(["base", "v1"]));
    assert_eq!(listed[1]["pipeline"], "chain");
    let text = told(&project, &["runs"]);
    assert!(text.contains("base v1") && text.contains(&second), "{text}");

    events(&project, &["runs", "tag", "last", "newer"]);
    events(&project, &["runs", "untag", "base", "v1"]);
    events(&project, &["runs", "pin", "base"]);
    let filtered = events(&project, &["runs", "--tag", "base"]);
    assert_eq!(filtered.len(), 1);
    assert_eq!(
        (&filtered[0]["tags"], &filtered[0]["pinned"]),
        (&json!(["base"]), &json!(true))
    );
    assert_eq!(events(&project, &["runs", "--pipeline", "other"]).len(), 0);
    assert_eq!(
        events(&project, &["runs", "-n", "1"])[0]["run"],
        second.as_str()
    );
    // A tag names a run wherever one is named.
    events(&project, &["export", "base", "two", "-o", "copy.txt"]);
    assert_eq!(project.read("copy.txt"), "a\n");

    let said = project.flow(&["runs", "remove", "base"]).with(2).stderr;
    assert!(said.contains("flow::cli::pinned"), "{said}");
    events(&project, &["runs", "unpin", "base"]);
    events(&project, &["runs", "remove", "base"]);
    assert_eq!(events(&project, &["runs"]).len(), 1);
    // What both runs had in common is still there for the other.
    events(&project, &["export", "newer", "two", "-o", "copy.txt"]);
    for bad in [
        &["runs", "tag", "last", "2x"][..],
        &["runs", "untag", "last", "base"],
        &["run", "p.toml", "--tag", "last"],
        &["runs", "pin", "nothing"],
    ] {
        project.flow(bad).with(2);
    }
}

#[test]
fn an_older_record_is_listed_exported_and_kept() {
    let project = Project::with(&chain("a", ""));
    let id = run(&project, &[]);
    // As the first version wrote it: keys and artifacts in the record itself.
    let path = format!(".flow/runs/{id}.json");
    let mut record: Json = serde_json::from_str(&project.read(&path)).expect("JSON");
    let long = record["actions"].as_str().expect("a digest");
    let hex = long.strip_prefix("b3:").expect("a digest");
    let long = project.read(&format!(".flow/runs/actions/{hex}.json"));
    let long: Json = serde_json::from_str(&long).expect("JSON");
    for stage in long["stages"].as_array().expect("stages") {
        let fields = &mut record["stages"][stage["name"].as_str().expect("a name")];
        let action = &stage["actions"][0];
        fields["keys"] = json!([action[1]]);
        let part = json!({"digest": action[2]["out"], "reference": 0, "fold": null});
        fields["artifacts"] = json!({"out": {"type": "any", "view": false, "parts": [part]}});
    }
    for new in ["actions", "tags", "pinned", "store", "flow"] {
        record.as_object_mut().expect("an object").remove(new);
    }
    project.write(&path, record.to_string());
    assert_eq!(events(&project, &["runs"])[0]["status"], "ok");
    events(&project, &["export", "last", "two", "-o", "copy.txt"]);
    assert_eq!(project.read("copy.txt"), "a\n");
    let collected = events(&project, &["cache", "gc", "--max-age", "0"]);
    assert_eq!(collected.last().expect("an event")["records_removed"], 0);
    let compared = events(&project, &["compare", "last", "last"]);
    assert_eq!(compared[0]["first_divergence"], Json::Null);
}

#[test]
fn gc_keeps_what_a_pinned_run_reaches() {
    let project = Project::new();
    for word in ["kept", "gone"] {
        project.write("p.toml", chain(word, ""));
        run(&project, &["--tag", word]);
    }
    events(&project, &["runs", "pin", "kept"]);
    // Of the others only the last ten are kept; here even these are forgotten.
    events(&project, &["runs", "remove", "gone"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let gc = ["cache", "gc", "--max-age", "0", "--max-size", "0"];
    let collected = events(&project, &gc);
    assert_eq!(collected.last().expect("an event")["records_removed"], 2);
    events(&project, &["export", "kept", "two", "-o", "copy.txt"]);
    assert_eq!(project.read("copy.txt"), "kept\n");
}

#[test]
fn two_runs_are_compared() {
    let project = Project::with(&chain("a", ""));
    run(&project, &["--tag", "a"]);
    run(&project, &["--tag", "again"]);
    project.write("p.toml", chain("b", ""));
    run(&project, &["--tag", "b"]);

    let same = events(&project, &["compare", "a", "again"]);
    assert_eq!(same[0]["first_divergence"], Json::Null);
    assert!(same[0]["stages"]["one"]["equal"].as_bool().expect("a flag"));
    let text = told(&project, &["compare", "a", "again"]);
    assert!(
        text.contains("every action came to the same bytes"),
        "{text}"
    );

    let other = &events(&project, &["compare", "a", "b"])[0];
    let first = &other["first_divergence"];
    assert_eq!(
        (&first["stage"], &first["why"]),
        (&json!("one"), &json!("recipe"))
    );
    assert_eq!(first["changes"][0]["path"], "params.run[2]");
    assert_eq!(other["stages"]["two"]["same_recipe"], 0);
    assert_eq!(other["stages"]["beside"]["equal"], true);
    let text = told(&project, &["compare", "a", "b"]);
    assert!(text.contains("first to differ: `one: run`"), "{text}");
    assert!(text.contains("echo a  > {out}"), "{text}");

    // Without the records it is still known where they part, and said what is not known.
    let store = project.path(".flow/store/records");
    std::fs::remove_dir_all(&store).expect("the records");
    std::fs::create_dir(&store).expect("a folder");
    let other = &events(&project, &["compare", "a", "b"])[0];
    assert_eq!(other["first_divergence"]["stage"], "one");
    assert_eq!(other["first_divergence"]["why"], "no-record");
    assert_eq!(
        other["first_divergence"]["runs"].as_array().map(Vec::len),
        Some(2)
    );
}

/// A pipeline that extends another one, with a variant and a path.
const CHILD: &str = r#"
[pipeline]
extends = "p.toml"
[stages.one]
files = ["data/*.txt"]
[variants.louder]
"two.run" = ["sh", "-c", "cat {from} {from} > {out}"]
[outputs]
"two.txt" = false
"out/three.txt" = "two"
"#;

#[test]
fn a_run_remembers_how_it_came_about_and_what_ran() {
    let project = Project::with(&chain("a", ""));
    project.write("child.toml", CHILD);
    for folder in ["data", "deep/other"] {
        project.write(&format!("{folder}/x.txt"), folder);
    }
    let set = "one.files=[\"other/*.txt\"]";
    let asked = ["run", "../child.toml", "--variant", "louder", "--set", set];
    let mut command = project.json_command(&asked);
    flow_testkit::Ended::run(command.current_dir(project.path("deep"))).with(0);
    let shown = &events(&project, &["runs", "show", "last"])[0];
    assert_eq!(
        (&shown["variant"], &shown["set"]),
        (&json!("louder"), &json!([set]))
    );
    let words = shown["command"].as_array().expect("words");
    assert!(
        asked.iter().all(|word| words.contains(&json!(word))),
        "{words:?}"
    );
    assert!(
        shown["host"]["cores"].as_u64() > Some(0),
        "{}",
        shown["host"]
    );
    assert!(shown["stages"]["one"]["size"].as_u64() > Some(0));
    let text = told(&project, &["runs", "show", "last"]);
    let deep = "again     cd deep && flow run ../child.toml --variant louder --set 'one.files=";
    assert!(text.contains(deep), "{text}");

    // The resolved pipeline is whole: all of it is a hit, whoever loads it from where.
    let resolved = told(&project, &["runs", "show", "last", "--resolved"]);
    assert_eq!(shown["resolved"], resolved.as_str());
    assert!(resolved.contains("name = \"child\"") && !resolved.contains("extends"));
    project.remove("child.toml");
    project.remove("p.toml");
    project.write("again.toml", &resolved);
    let again = project.run(&["again.toml"]);
    assert_eq!((again.total("ran"), again.total("hit")), (0, 3));
    assert_eq!(again.ok()["pipeline"], "child");
    let twice = told(&project, &["runs", "show", "last", "--resolved"]);
    assert_eq!(twice, resolved);

    let compared = &events(&project, &["compare", "last~1", "last"])[0];
    let found = compared["circumstances"].as_array().expect("a list");
    let names = found
        .iter()
        .map(|found| found["name"].as_str().expect("a name"));
    assert_eq!(names.collect::<Vec<_>>(), ["set", "variant"]);
    project.replace("again.toml", "echo beside", "echo besides");
    project.run(&["again.toml"]);
    let text = told(&project, &["compare", "last~1", "last"]);
    assert!(text.contains("pipeline beside.run"), "{text}");
}

/// A small survey with a variant and a space to search.
const STUDY: &str = r#"
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 120
positives = 30
unlabelled = 0
[stages.domain]
use = "domain"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 2
[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
rounds = 4
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
[variants.shallow]
"model.max_depth" = 2
[tune]
trials = 1
[tune.space]
"model.rounds" = { int = [1, 4] }
"#;

#[test]
fn studies_and_checks_remember_like_runs() {
    let project = Project::with(STUDY);
    let set = ["--set", "model.max_depth=3"];
    events(&project, &[&["ablate", "p.toml"], &set[..]].concat());
    events(&project, &[&["tune", "p.toml"], &set[..]].concat());
    let check = ["check", "p.toml", "--baseline", "base.toml", "--update"];
    events(&project, &[&check, &set[..]].concat());
    let listed = events(&project, &["runs"]);
    let by: Vec<&Json> = listed.iter().map(|run| &run["by"]).collect();
    assert_eq!(by, ["check", "tune", "ablate"]);
    for run in &listed {
        let id = run["run"].as_str().expect("an id");
        let shown = &events(&project, &["runs", "show", id])[0];
        assert_eq!(shown["set"], json!([set[1]]), "{id}");
        assert_eq!(
            shown["host"],
            events(&project, &["runs", "show", "last"])[0]["host"]
        );
        let resolved = shown["resolved"].as_str().expect("a text");
        for part in [
            "max_depth = 3",
            "[variants.shallow.model]",
            "[tune.space.model]",
        ] {
            assert!(resolved.contains(part), "{part}: {resolved}");
        }
    }
    let text = told(&project, &["runs"]);
    assert!(text.contains("ablate") && text.contains("check"), "{text}");
}

#[test]
fn a_nondeterministic_action_is_called_that() {
    let project = Project::with(&chain("a", "$(od -An -N8 -tx8 /dev/urandom)"));
    run(&project, &["--tag", "a"]);
    project.remove(".flow/store");
    run(&project, &["--tag", "b"]);
    let first = &events(&project, &["compare", "a", "b"])[0]["first_divergence"];
    assert_eq!(
        (&first["stage"], &first["why"]),
        (&json!("one"), &json!("nondeterminism"))
    );
}

#[test]
fn a_hit_is_proven_and_a_plan_explains_itself() {
    let project = Project::with(&chain("a", ""));
    let planned = events(&project, &["plan", "p.toml"]);
    let last = planned.last().expect("an event");
    assert_eq!((&last["run"], &last["pending"]), (&json!(2), &json!(1)));
    assert_eq!(last["causes"][0]["what"], "new");
    run(&project, &[]);

    let proof = &events(&project, &["explain", "p.toml", "two", "run", "--hit"])[0];
    assert_eq!(proof["verdict"], "hit");
    let record = &proof["record"];
    assert_eq!(
        (&record["stage"], &record["pipeline"]),
        (&json!("two"), &json!("chain"))
    );
    assert_eq!(record["outputs"]["out"]["health"], "ok");
    assert!(
        record["segment"]
            .as_str()
            .expect("a path")
            .ends_with(".seg")
    );
    let text = told(&project, &["explain", "p.toml", "two", "--hit"]);
    assert!(text.contains("there, and the digest is right"), "{text}");
    project.flow(&["explain", "p.toml", "two", "walk"]).with(2);

    // The bytes of `one` are gone, and `two` is to read them.
    let proof = &events(&project, &["explain", "p.toml", "one", "--hit"])[0];
    let digest = &proof["record"]["outputs"]["out"]["digest"];
    std::fs::remove_file(artifact(&project, digest)).expect("the artifact");
    let set = r#"two.run=["sh", "-c", "cat {from} {from} > {out}"]"#;
    let planned = events(&project, &["plan", "p.toml", "--set", set]);
    let one = planned
        .iter()
        .find(|e| e["stage"] == "one")
        .expect("stage one");
    assert_eq!(
        (&one["verdict"], &one["needed_by"]["stage"]),
        (&json!("restore"), &json!("two"))
    );
    let text = told(&project, &["explain", "p.toml", "one", "--set", set]);
    assert!(
        text.contains("its bytes are gone, and `two` needs them"),
        "{text}"
    );
    let ran = project.run(&["p.toml", "--set", set]);
    assert_eq!(ran.stages_that_ran(), ["one", "two"]);
}
