//! Rows of a small survey, and what stages made of them.

use std::collections::BTreeMap;

use flow_cache::Value;
use flow_engine::outputs::ports::Port;
use flow_neural::kinds::registry;
use flow_stages::table::Predictions;
use flow_testkit::{Project, local};

/// Rows, features, sequences and folds of a small survey.
const ROWS: &str = r#"
[pipeline]
name = "networks"
seed = 7

[stages.ingest]
use = "ingest"
format = "demo"
labelled = 120
positives = 30
unlabelled = 20

[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3

[stages.domain]
use = "domain"
inputs = { curves = "ingest" }

[stages.sequences]
use = "sequences"
inputs = { curves = "ingest" }
points = 24

[stages.merged]
use = "sequences"
inputs = { curves = "ingest" }
layout = "merged"
points = 40
"#;

/// A project with these rows, and further stages.
pub fn project(stages: &str) -> Project {
    Project::with(&format!("{ROWS}\n{stages}"))
}

/// Runs a pipeline in a store of its own, and gives what each port of `stage` came to.
pub fn ports(project: &Project, stage: &str, store: &str, jobs: usize) -> BTreeMap<String, Port> {
    let pipeline = local::sound(project, "p.toml", &[], &registry());
    let run = local::run(&pipeline, &project.path(".flow").join(store), jobs).ok();
    let index = pipeline.stages.iter().position(|one| one.name == stage);
    let index = index.expect("a stage of the name");
    let outputs = pipeline.stages[index].ports.outputs.iter().enumerate();
    outputs
        .map(|(at, output)| {
            (
                output.name.clone(),
                run.port(index, at).expect("a settled port"),
            )
        })
        .collect()
}

/// A whole number that is known of each part of a port.
pub fn fact(port: &Port, name: &str) -> Vec<i64> {
    let of = |value: &Value| value.get(name).and_then(Value::as_int);
    let facts = port.parts.iter().map(|part| of(&part.attrs));
    facts.collect::<Option<_>>().expect("a whole number")
}

/// The predictions of a port that is one table.
pub fn predictions(port: &Port) -> Predictions {
    let [part] = &port.parts[..] else {
        panic!("one table");
    };
    Predictions::read(&part.path).unwrap()
}
