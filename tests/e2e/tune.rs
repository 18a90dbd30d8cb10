//! `flow tune`: studies that are killed, pruned, nested, that fail, and what they leave.

use std::time::Instant;

use serde_json::Value as Json;

use flow_testkit::program::kill_after;
use flow_testkit::{Project, Run};

/// A survey of a few objects, and trees that fit in no time.
const PIPELINE: &str = r#"
[pipeline]
name = "study"
seed = 3

[stages.ingest]
use = "ingest"
format = "demo"
labelled = 150
positives = 40
unlabelled = 20

[stages.domain]
use = "domain"
inputs = { curves = "ingest" }

[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3

[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
rounds = 5

[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }

[metrics]
headline = "evaluate.f1"

[tune]
trials = 20
parallel = 4
PRUNE

[tune.space]
"model.learning_rate" = { log = [0.01, 0.5] }
"model.rounds" = { int = [1, 8] }
"model.scale_pos_weight" = { choice = ["none", "auto"] }
"#;

fn project(more: &str) -> Project {
    study(PIPELINE.replace("PRUNE", more))
}

fn study(text: String) -> Project {
    let project = Project::new();
    project.write("study.toml", text);
    project
}

fn tune(project: &Project, args: &[&str]) -> Run {
    project.json(&[&["tune", "study.toml"], args].concat())
}

/// The last event of a study that went well.
fn finished(run: &Run) -> &Json {
    assert_eq!(run.code, 0, "{}", run.stderr);
    let last = run.events.last().expect("an event");
    assert_eq!(last["event"], "study-finished");
    last
}

/// What a study leaves.
fn files(project: &Project) -> [String; 2] {
    ["out/tune/study/study.json", "out/tune/study/trials.csv"].map(|name| project.read(name))
}

/// By key of an action, its stage's name within a trial and the digests of its outputs.
fn artifacts(run: &Run) -> std::collections::BTreeMap<String, Json> {
    let finished = run.all("action-finished");
    let key = |event: &Json| event["key"].as_str().map(str::to_owned);
    finished
        .filter_map(|event| Some((key(event)?, event["outputs"].clone())))
        .collect()
}

fn states(study: &Json) -> Vec<&str> {
    let trials = study["trials"].as_array().expect("trials").iter();
    trials
        .map(|trial| trial["state"].as_str().expect("a state"))
        .collect()
}

/// `flow run` with JSON events, with values set.
fn run(project: &Project, sets: &[&str]) -> Run {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let run = project.run(&Vec::from_iter(["study.toml"].into_iter().chain(sets)));
    run.ok();
    run
}

/// How an action of the model ended.
fn of_model<'a>(run: &'a Run, action: &str) -> &'a str {
    let mut finished = run.all("action-finished");
    let found = finished.find(|e| e["stage"] == "model" && e["action"] == action);
    found.expect("the action")["outcome"]
        .as_str()
        .expect("an outcome")
}

/// Label and fold of repeat 0 by object, as of the last run.
fn folds(project: &Project) -> std::collections::BTreeMap<String, (String, String)> {
    project
        .flow(&["export", "last", "folds", "-o", "folds.csv"])
        .with(0);
    let text = project.read("folds.csv");
    let lines = text.lines().skip(1);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (
                cells[0].to_owned(),
                (cells[1].to_owned(), cells[3].to_owned()),
            )
        })
        .collect()
}

#[test]
fn a_part_of_the_folds_costs_nothing_after_the_whole() {
    let project = project("");
    run(&project, &[]);
    let part = run(&project, &["folds.only=[\"0.1\", \"0.2\"]"]);
    assert_eq!(of_model(&part, "fit 0.1"), "hit");
    let ran = part.ran();
    // The table's own action, what gathers the parts, and their score.
    let expected = ["folds", "model", "evaluate"].map(|stage| (stage.to_owned(), 1));
    assert_eq!(ran, expected);
    let whole = folds(&project);
    run(&project, &[]);
    assert_eq!(folds(&project), whole);
}

#[test]
fn inner_folds_hide_what_the_outer_one_holds_out() {
    let project = project("");
    run(&project, &[]);
    let outer = folds(&project);
    let inner = run(&project, &["folds.within=1"]);
    // The same objects with the same labels: the final fit within is the outer fold's fit.
    assert_eq!(of_model(&inner, "fit final"), "hit");
    assert_eq!(of_model(&inner, "fit 0.0"), "ran");
    let within = folds(&project);
    assert_eq!(within.len(), outer.len());
    for (id, (label, fold)) in &outer {
        let (shown, dealt) = &within[id];
        if fold == "1" || label.is_empty() {
            assert!(shown.is_empty() && dealt.is_empty(), "{id} is held out");
        } else {
            assert_eq!(shown, label);
            assert!(!dealt.is_empty(), "{id} trains");
        }
    }
}

#[test]
fn a_study_killed_five_times_equals_an_unbroken_one_and_then_rests() {
    let unbroken = project("prune = true");
    let started = Instant::now();
    let whole = tune(&unbroken, &["--jobs", "2"]);
    let took = started.elapsed();
    assert_eq!(
        finished(&whole)["trials"].as_array().map(Vec::len),
        Some(20)
    );

    let broken = project("prune = true");
    let mut killed = 0;
    // Moments within half the time that an unbroken study takes: work that is done is not done again,
    // and the machine may be twice as fast meanwhile.
    for part in [0.05, 0.13, 0.09, 0.11, 0.07] {
        let child = broken.start_unheard(&["tune", "study.toml"]);
        killed += usize::from(kill_after(child, took.mul_f64(part)));
    }
    assert!(killed >= 3, "killed {killed} times only");
    let rest = tune(&broken, &["--jobs", "1"]);
    finished(&rest);
    assert_eq!(files(&broken), files(&unbroken));
    assert_eq!(artifacts(&rest), artifacts(&whole));

    let again = tune(&broken, &[]);
    assert_eq!(finished(&again)["ran"], 0);
    assert_eq!(finished(&again)["best"], finished(&whole)["best"]);
}

#[test]
fn jobs_change_nothing_and_more_trials_only_add() {
    let [one, two] = [project(""), project("")];
    let short = tune(&one, &["--jobs", "1", "--trials", "12"]);
    tune(&two, &["--jobs", "2", "--trials", "12"]);
    assert_eq!(files(&one), files(&two));
    let long = tune(&one, &["--trials", "16"]);
    let trials = |run: &Run| finished(run)["trials"].as_array().cloned().expect("trials");
    assert_eq!(trials(&long)[..12], trials(&short)[..]);
    assert_eq!(trials(&long).len(), 16);
}

#[test]
fn all_samplers_search_and_a_grid_is_whole() {
    for sampler in ["random", "tpe"] {
        let project = project(&format!("sampler = \"{sampler}\""));
        let run = tune(&project, &["--trials", "12"]);
        assert_eq!(states(finished(&run)), ["complete"; 12], "{sampler}");
    }
    let grid = PIPELINE
        .replace("trials = 20", "sampler = \"grid\"")
        .replace("PRUNE", "")
        .replace("[0.01, 0.5]", "[0.01, 0.5], steps = 2")
        .replace("[1, 8]", "[3, 4]");
    let project = study(grid);
    let run = tune(&project, &[]);
    let study = finished(&run);
    let values: std::collections::BTreeSet<String> = study["trials"]
        .as_array()
        .expect("trials")
        .iter()
        .map(|trial| trial["values"].to_string())
        .collect();
    assert_eq!(values.len(), 8);
    assert_eq!(states(study), ["complete"; 8]);
}

#[test]
fn trials_that_fall_behind_are_pruned_and_the_best_is_not() {
    // One round of the slowest learning against many: no fold is in doubt.
    let text = PIPELINE
        .replace(
            "PRUNE",
            "prune = true\nobjective = \"evaluate.log_loss\"\nsampler = \"grid\"",
        )
        .replace("{ log = [0.01, 0.5] }", "{ choice = [0.3, 0.01] }")
        .replace("{ int = [1, 8] }", "{ choice = [20, 1] }")
        .replace("trials = 20\n", "");
    let project = study(text);
    let run = tune(&project, &[]);
    let study = finished(&run);
    let states = states(study);
    let best = study["best"]["trial"].as_u64().expect("a trial won") as usize;
    assert_eq!(states[best], "complete");
    assert!(states.contains(&"pruned"), "{states:?}");
    assert_eq!(study["direction"], "minimise");
    assert!(study["saved_cpu_s"].as_f64().expect("a number") > 0.0);
    for trial in study["trials"].as_array().expect("trials") {
        if trial["state"] == "pruned" {
            assert_eq!(trial["folds"], 2);
            let bound = trial["bound"].as_f64().expect("a bound");
            assert!(bound > study["best"]["value"].as_f64().expect("a value"));
        }
    }
}

#[test]
fn nested_studies_score_objects_that_no_study_saw() {
    let project = project("nested = true");
    let run = tune(&project, &["--trials", "8"]);
    let study = finished(&run);
    let nested = &study["nested"];
    assert_eq!(nested["folds"].as_array().map(Vec::len), Some(3));
    for name in ["inner", "outer", "outer_base", "optimism"] {
        assert!(nested[name].is_f64(), "{name}: {nested}");
    }
    let number = |name: &str| nested[name].as_f64().expect("a number");
    assert!((number("optimism") - (number("inner") - number("outer"))).abs() < 1e-12);
    assert!(nested["difference"]["verdict"].is_string());
    // The study on all objects is the same as without.
    let plain = self::project("");
    let alone = tune(&plain, &["--trials", "8"]);
    assert_eq!(finished(&alone)["trials"], study["trials"]);
    let again = tune(&project, &["--trials", "8"]);
    assert_eq!(finished(&again)["ran"], 0);
}

/// A grid in which a weight other than "none" cannot be learned with several classes.
fn with_failures(weights: &str, targets: &str) -> Project {
    let text = PIPELINE
        .replace("PRUNE", "sampler = \"grid\"")
        .replace("trials = 20\n", "")
        .replace("\"model.learning_rate\" = { log = [0.01, 0.5] }\n", "")
        .replace("\"model.rounds\" = { int = [1, 8] }", targets)
        .replace("[\"none\", \"auto\"]", weights);
    study(text)
}

#[test]
fn failed_trials_are_results() {
    let project = with_failures(
        "[\"none\", 3.0]",
        "\"model.target\" = { choice = [\"binary\", \"classes\"] }",
    );
    let run = tune(&project, &[]);
    let study = finished(&run);
    assert_eq!(
        states(study),
        ["complete", "complete", "complete", "failed"]
    );
    let error = study["trials"][3]["error"].as_str().expect("a reason");
    assert!(error.contains("needs two classes"), "{error}");
    run.says("trial 3 failed");
}

#[test]
fn a_study_of_failures_fails() {
    let project = with_failures("[2.0, 3.0]", "");
    project.replace(
        "study.toml",
        "rounds = 5",
        "rounds = 5\ntarget = \"classes\"",
    );
    let run = tune(&project, &[]).with(1);
    assert_eq!(run.events.last().expect("an event")["status"], "failed");
    run.says("flow::tune::all_failed");
}

#[test]
fn what_no_value_can_mend_ends_a_study_at_once() {
    let text = PIPELINE
        .replace("PRUNE", "")
        .replace("[\"domain\"]", "[\"domain\", \"broken\"]");
    let broken = "[stages.broken]\nuse = \"command\"\nrun = [\"/bin/sh\", \"-c\", \"exit 3\", \"{f}\"]\n\
                  outputs = { f = \"f.parquet\" }\n";
    let project = study(text + broken);
    let run = tune(&project, &[]).with(1);
    run.says("`broken`");
    let trials = run.all("trial-finished");
    assert_eq!(trials.count(), 0);
}

#[test]
fn the_best_values_become_a_pipeline() {
    let project = project("");
    let args = ["--trials", "8", "--apply", "tuned.toml"];
    let run = tune(&project, &args);
    let study = finished(&run);
    let text = project.read("tuned.toml");
    assert!(text.contains("extends = \"study.toml\""), "{text}");
    let page = project.read("out/tune/study/report.html");
    assert!(page.contains("The best values") && page.contains("[stages.model]"));
    project.flow(&["report", "last", "-o", "last.html"]).with(0);
    assert_eq!(project.read("last.html"), page);
    // Eight complete trials are enough to say which parameters matter.
    let matters = study["importance"]["model.learning_rate"]["divergence"].as_f64();
    assert!(matters.is_some_and(|matters| matters >= 0.0), "{study}");
    assert_eq!(study["space"]["model.rounds"]["high"], 8.0);
    let tuned = project.run(&["tuned.toml"]);
    let value = tuned.ok()["metrics"]["evaluate"]["pr_auc"]["pooled"].clone();
    assert_eq!(value, study["best"]["value"]);
    // All that ran is the final fit, and what gathers it.
    let (ran, all) = (tuned.total("ran"), tuned.total("actions"));
    assert!(ran < all / 2, "{ran} of {all}");

    tune(&project, &args).with(2).says("--force");
    finished(&tune(&project, &[&args[..], &["--force"]].concat()));
    tune(&project, &["--apply", "study.toml", "--force"]).with(2);
    assert!(project.read("study.toml").contains("[tune.space]"));
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    for (old, new, code) in [
        ("[0.01, 0.5]", "[0.01, 5.0]", "flow::params::type"),
        ("\"model.rounds\"", "\"folds.k\"", "flow::tune::folds"),
        (
            "PRUNE",
            "objective = \"evaluate.threshold\"",
            "flow::tune::objective",
        ),
        ("PRUNE", "objective = \"model.f1\"", "flow::tune::objective"),
        ("[tune.space]", "[variants.x]", "flow::tune::space"),
        ("k = 3", "k = 3\nonly = [\"0.7\"]", "flow::params::folds"),
        ("k = 3", "k = 3\nwithin = 3", "flow::params::folds"),
    ] {
        let project = study(PIPELINE.replace(old, new).replace("PRUNE", ""));
        tune(&project, &[]).with(2).says(code);
        assert!(!project.path(".flow/store").exists(), "{new}");
    }
    let project = project("objective = \"evaluate.f2\"");
    let run = tune(&project, &[]).with(2);
    run.says("\"evaluate.f1\"?");
    assert!(!project.path(".flow/store").exists());
}
