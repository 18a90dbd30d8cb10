//! Exported models, which a program in Python reads as docs/learners.md describes them.

use std::process::Command;

use flow_testkit::files::repository;
use flow_testkit::program::python;
use flow_testkit::{Ended, Project};

const PIPELINE: &str = r#"
[stages.ingest]
use = "ingest"
format = "demo"
survey = "spcc"
labelled = 150
unlabelled = 30
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
[outputs]
"out/model.json" = "model.model"
"out/features.csv" = "domain"
"out/predictions.csv" = "model.predictions"
"#;

/// Runs with `sets`, and lets Python compute what flow has predicted.
fn compare(python: &str, sets: &[&str]) {
    let project = Project::with(PIPELINE);
    let sets = sets.iter().flat_map(|set| ["--set", *set]);
    let args: Vec<&str> = ["run", "p.toml"].into_iter().chain(sets).collect();
    project.flow(&args).with(0);
    let mut program = Command::new(python);
    program.arg(repository().join("tests/e2e/python/model_files.py"));
    for file in ["model.json", "features.csv", "predictions.csv"] {
        program.arg(project.path("out").join(file));
    }
    let said = Ended::run(&mut program).with(0).stdout;
    assert!(said.starts_with("30 "), "{said}");
}

#[test]
fn python_computes_the_same_probabilities_from_an_exported_model() {
    let Some(python) = python(&["json"]) else {
        return;
    };
    for learner in ["logistic", "ridge", "gbdt"] {
        let learner = format!("model.learner={learner:?}");
        compare(&python, &[&learner, "model.target=\"binary\""]);
        compare(&python, &[&learner, "model.target=\"classes\""]);
    }
    let few = "model.rounds=5";
    compare(&python, &["model.learner=\"gbdt\"", "model.bags=2", few]);
}

#[test]
fn xgboost_loads_an_exported_model_and_those_of_a_bag() {
    let Some(python) = python(&["xgboost", "numpy"]) else {
        return;
    };
    let few = "model.rounds=5";
    compare(&python, &["model.target=\"binary\"", few]);
    compare(&python, &["model.target=\"classes\"", "model.bags=2", few]);
}
