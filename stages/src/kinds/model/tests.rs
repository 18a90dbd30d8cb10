//! What fits on a sample of their training rows see, as their records say it.

use flow_engine::plan::keys::Slot;
use flow_testkit::local;
use flow_testkit::survey::Survey;

use crate::kinds::registry;

const MORE: &str = r#"[pipeline]
name = "more"
extends = "survey.toml"

[stages.copies]
use = "augment"
inputs = { curves = "deredden" }
copies = 2

[stages.domain_copies]
use = "domain"
inputs = { curves = "copies" }

[stages.model]
inputs = { features = "domain", augmented = ["domain_copies"], unlabelled = ["domain"], folds = "folds" }
target = "binary"
rounds = 5
pseudo_confidence = 0.5
"#;

/// For each fit its training rows, those that it saw, their copies, and the unlabelled rows that it took for labelled.
fn fits(sets: &[&str]) -> Vec<[Option<i64>; 4]> {
    let project = Survey::default().project();
    project.write("more.toml", MORE);
    let pipeline = local::sound(&project, "more.toml", sets, &registry());
    let run = local::run(&pipeline, &project.path(".flow"), 2).ok();
    let mut stages = pipeline.stages.iter();
    let model = stages.position(|stage| stage.name == "model").unwrap();
    let mut found = Vec::new();
    for action in run.plan.of_stage(model) {
        let Slot::Done(record) = &run.finished.slots[action] else {
            continue;
        };
        let mut outputs = record.outputs.iter();
        let Some(fit) = outputs.find(|output| output.name == "model") else {
            continue;
        };
        let count = |name: &str| fit.attrs.get(name)?.as_int();
        found.push(["training_rows", "rows", "copies", "pseudo_labelled"].map(count));
    }
    found
}

#[test]
fn a_sample_limits_copies_and_unlabelled_rows_too() {
    // Two classes among 120 objects in three folds, and 20 unlabelled objects.
    let all = |rows| [None, Some(rows), Some(2 * rows), Some(20)];
    assert_eq!(fits(&[]), [all(80), all(80), all(80), all(120)]);
    let some = |of| [Some(of), Some(14), Some(28), Some(14)];
    let sampled = fits(&["model.sample=14"]);
    assert_eq!(sampled, [some(80), some(80), some(80), some(120)]);
}
