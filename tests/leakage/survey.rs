//! A small survey, a pipeline on it, and what is to become of that.

use std::fmt::Write as _;

use flow_engine::kind::Fault;
use flow_engine::{Diags, Pipeline, Span, StageError};
use flow_testkit::{Project, local};

use crate::kinds;

/// Sixty objects in groups of two, every second pair of class A.
pub const OBJECTS: usize = 60;

const BASE: &str = r#"
[pipeline]
seed = 5
[stages.ingest]
use = "ingest"
format = "csv"
curves = "curves.csv"
objects = "objects.csv"
bands = ["g"]
positive = "A"
[stages.flux]
use = "flux"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
group_by = "group"
[stages.model]
use = "model"
inputs = { features = ["flux"], folds = "folds" }
rounds = 4
min_child_weight = 0.0
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
"#;

pub fn id(i: usize) -> String {
    format!("o{i:02}")
}

pub fn class(i: usize) -> &'static str {
    if (i / 2).is_multiple_of(2) { "A" } else { "B" }
}

/// A project with a small survey and the pipeline `BASE` with `more` behind it.
pub fn survey(more: &str) -> Project {
    let project = Project::with(&format!("{BASE}{more}"));
    let mut objects = String::from("object_id,label,group\n");
    let mut curves = String::from("object_id,mjd,band,flux,flux_err\n");
    let mut answers = String::from("object_id,x,kind\n");
    for i in 0..OBJECTS {
        let (id, class) = (id(i), class(i));
        let _ = writeln!(objects, "{id},{class},g{}", i / 2);
        // Brighter where it is A, with exceptions.
        let bright = f64::from(u8::from(class == "A" || i % 7 == 0)) * 5.0;
        for t in 0..4 {
            let flux = bright + ((i * 37 + t * 11) % 23) as f64 / 3.0;
            let _ = writeln!(curves, "{id},{t},g,{flux},1");
        }
        let told = u8::from(class == "A");
        let _ = writeln!(answers, "{id},{},{told}", (i * 37) % 11);
    }
    project.write("objects.csv", &objects);
    project.write("curves.csv", &curves);
    project.write("answers.csv", &answers);
    project
}

/// Reads the pipeline.
pub fn load(project: &Project, sets: &[&str]) -> Result<Pipeline, Diags> {
    local::load(project, "p.toml", sets, &kinds::registry())
}

/// Runs the pipeline, which must be sound: the failures, and the report of a stage, or its first output.
pub fn run(project: &Project, sets: &[&str], of: &str) -> (Vec<StageError>, Vec<u8>) {
    let pipeline = load(project, sets).unwrap_or_else(|diags| panic!("{diags:?}"));
    let run = local::run(&pipeline, &project.path(".flow"), 2);
    let stage = pipeline.stages.iter().position(|s| s.name == of);
    let stage = stage.unwrap_or_else(|| panic!("no stage `{of}`"));
    let outputs = &pipeline.stages[stage].ports.outputs;
    let report = outputs.iter().position(|o| o.name == "report");
    let port = run.port(stage, report.unwrap_or(0));
    let bytes = port.and_then(|port| std::fs::read(&port.parts.first()?.path).ok());
    let failures = run.finished.failures.into_iter().map(|(_, error)| error);
    (failures.collect(), bytes.unwrap_or_default())
}

/// Runs the pipeline: the failures, and the report of `evaluate`.
pub fn evaluate(project: &Project, sets: &[&str]) -> (Vec<StageError>, String) {
    let (failures, report) = run(project, sets, "evaluate");
    (failures, String::from_utf8(report).expect("a text"))
}

/// `more` must be refused before anything runs: with this code alone, at a place, with a remedy.
pub fn refused(more: &str, sets: &[&str], code: &str) {
    let Err(diags) = load(&survey(more), sets) else {
        panic!("{code}: not refused:\n{more}");
    };
    let mut codes: Vec<&str> = diags.iter().map(|diag| diag.code.as_str()).collect();
    codes.dedup();
    assert_eq!(codes, [code], "{more}\n{diags:?}");
    let placed = diags[0]
        .labels
        .iter()
        .any(|(span, _)| *span != Span::default());
    assert!(placed && !diags[0].help.is_empty(), "{:?}", diags[0]);
}

/// `more` must fail when it runs, with this code, by the fault of its data, and with a remedy.
pub fn fails(project: &Project, sets: &[&str], fault: Fault, code: &str) {
    let (failures, _) = evaluate(project, sets);
    assert!(!failures.is_empty(), "{code}: nothing failed");
    for error in failures {
        assert_eq!(
            (error.code.as_str(), error.fault),
            (code, fault),
            "{error:?}"
        );
        assert!(!error.help.is_empty(), "{error:?}");
    }
}

/// `more` must run, and gives a report.
pub fn passes(more: &str, sets: &[&str]) -> String {
    let (failures, report) = evaluate(&survey(more), sets);
    assert!(failures.is_empty(), "{more}\n{failures:?}");
    assert!(report.contains("held out by its fold"), "{report}");
    report
}
