//! What a sound pipeline becomes: order, dimensions, restriction, drawings.

mod kinds;

use std::fmt::Write;

use flow_engine::Pipeline;
use flow_engine::pipeline::DEFAULT_SEED;
use flow_engine::pipeline::Dims;
use flow_engine::pipeline::drawing::{GraphFormat, render_graph};
use flow_testkit::{Project, local};

fn sound(text: &str) -> Pipeline {
    let project = Project::in_memory("");
    project.write("demo.toml", text);
    local::sound(&project, "demo.toml", &[], &kinds::registry())
}

const TEXT: &str = r#"
[stages.score]
use = "score"
inputs = { predictions = ["model"] }
[stages.read]
use = "source"
[stages.unused]
use = "row"
inputs = { curves = "read" }
[stages.model]
use = "learner"
inputs = { features = "rocket", folds = "folds" }
[stages.folds]
use = "folds"
inputs = { objects = "read" }
[stages.rocket]
use = "wide"
seed = 5
inputs = { curves = "read" }
[outputs]
"out/p.csv" = "model.predictions"
"out/u.csv" = "unused"
[metrics]
headline = "score.f1"
"#;

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect()
}

#[test]
fn stages_are_ordered_by_what_they_read_then_by_the_file() {
    let pipeline = sound(TEXT);
    assert_eq!(
        names(&pipeline),
        ["read", "unused", "folds", "rocket", "model", "score"]
    );
    assert_eq!(
        (pipeline.name.as_str(), pipeline.stages[0].pipeline_seed),
        ("demo", DEFAULT_SEED)
    );
    assert_eq!(pipeline.headline, Some((5, "f1".into())));
    assert_eq!(pipeline.stages[3].seed, Some(5));
    assert_eq!(pipeline.outputs[0].path, pipeline.root.join("out/p.csv"));
    let from = pipeline.outputs[0]
        .from
        .port()
        .expect("an output of a stage");
    assert_eq!((from.stage, from.port), (4, 1));
}

#[test]
fn folds_and_shards_are_derived() {
    let pipeline = sound(TEXT);
    let dims = |fold, shard| Dims { fold, shard };
    let [read, _, folds, rocket, model, score] = pipeline.stages.as_slice() else {
        panic!("six stages")
    };
    assert_eq!(read.step_dims, [dims(false, true), dims(false, false)]);
    assert_eq!((read.shard_root, read.fold_root), (Some(0), None));
    assert_eq!(folds.dims, [dims(false, false)]);
    assert_eq!(folds.fold_root, Some(2));
    assert_eq!(
        (rocket.dims.as_slice(), rocket.shard_root),
        (&[dims(false, true)][..], Some(0))
    );
    assert_eq!(
        model.step_dims,
        [dims(true, false), dims(true, true), dims(false, false)]
    );
    assert_eq!(model.dims, [dims(true, false), dims(false, false)]);
    assert_eq!((model.fold_root, model.shard_root), (Some(2), Some(0)));
    assert_eq!(
        (score.step_dims.as_slice(), score.fold_root),
        // By whose table it checks what it scores.
        (&[dims(false, false)][..], Some(2))
    );
}

#[test]
fn restriction_keeps_what_a_stage_needs() {
    let mut pipeline = sound(TEXT);
    pipeline.restrict("model").unwrap();
    assert_eq!(names(&pipeline), ["read", "folds", "rocket", "model"]);
    assert_eq!(pipeline.outputs.len(), 1);
    let from = pipeline.outputs[0]
        .from
        .port()
        .expect("an output of a stage");
    assert_eq!(from.stage, 3);
    assert_eq!(pipeline.headline, None);
    assert_eq!(pipeline.stages[3].fold_root, Some(1));
    let fed: Vec<usize> = pipeline.stages[3]
        .inputs
        .iter()
        .flat_map(|b| &b.from)
        .map(|r| r.stage)
        .collect();
    assert_eq!(fed, [2, 1]);
    let error = pipeline.restrict("modle").unwrap_err();
    assert_eq!(error.help[0], "did you mean `model`?");
}

#[test]
fn drawings() {
    let pipeline = sound(TEXT);
    insta::assert_snapshot!("graph_text", render_graph(&pipeline, GraphFormat::Text));
    insta::assert_snapshot!(
        "graph_mermaid",
        render_graph(&pipeline, GraphFormat::Mermaid)
    );
    insta::assert_snapshot!("graph_dot", render_graph(&pipeline, GraphFormat::Dot));
}

#[test]
fn reference_and_schema_come_from_the_kinds() {
    let registry = kinds::registry();
    insta::assert_snapshot!("reference", flow_engine::kind::reference::all(&registry));
    let schema = flow_engine::pipeline::schema::schema(&registry);
    insta::assert_snapshot!("schema", serde_json::to_string_pretty(&schema).unwrap());
}

#[test]
fn a_chain_of_a_hundred_thousand_stages_loads() {
    let mut text = String::from("[stages.s0]\nuse = \"source\"\n");
    for i in 1..100_000 {
        writeln!(
            text,
            "[stages.s{i}]\nuse = \"row\"\ninputs = {{ curves = \"s{}\" }}",
            i - 1
        )
        .unwrap();
    }
    let mut pipeline = sound(&text);
    assert_eq!(pipeline.stages.len(), 100_000);
    pipeline.restrict("s99999").unwrap();
    assert_eq!(pipeline.stages.len(), 100_000);
}
