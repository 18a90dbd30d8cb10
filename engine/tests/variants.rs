//! What variants become: pipelines with values replaced, and one graph of all of them.

mod kinds;

use flow_engine::Pipeline;
use flow_engine::base::diag::{Diags, Span};
use flow_engine::pipeline::file::{PipelineFile, Replace, Variant};
use flow_engine::pipeline::union::{Union, unite};
use flow_testkit::{Project, local};

const TEXT: &str = r#"
[pipeline]
seed = 1
[stages.read]
use = "source"
[stages.rocket]
use = "wide"
inputs = { curves = "read" }
[stages.row]
use = "row"
inputs = { curves = "read" }
[stages.physics]
use = "wide"
inputs = { curves = "row" }
kernels = 3
[stages.folds]
use = "folds"
inputs = { objects = "read" }
[stages.model]
use = "learner"
inputs = { features = ["rocket", "physics"], folds = "folds" }
[stages.score]
use = "score"
inputs = { predictions = ["model"] }
[variants.small]
"rocket.kernels" = 10
[variants.no_rocket]
"model.inputs.features" = ["physics"]
[variants.other_kind]
extends = "no_rocket"
[variants.other_kind.physics]
use = "wide"
inputs = { curves = "read" }
[variants.seed]
"pipeline.seed" = 2
[variants.same]
"rocket.kernels" = 5000
[variants.k.grid]
"folds.k" = [3, 4]
"#;

fn file(text: &str, sets: &[&str]) -> PipelineFile {
    local::read(&Project::in_memory(text), "p.toml", sets)
}

fn sound(found: Result<Vec<Variant>, Diags>) -> Vec<Variant> {
    found.unwrap_or_else(|diags| panic!("{diags:?}"))
}

fn all() -> Vec<Variant> {
    sound(file(TEXT, &[]).variants(&kinds::registry(), |_| true))
}

fn united(variants: Vec<Variant>) -> Union {
    unite(variants.into_iter().map(|v| (v.name, v.pipeline)).collect()).unwrap()
}

fn kernels(pipeline: &Pipeline, stage: &str) -> i64 {
    stage_of(pipeline, stage).params.read::<i64>("kernels")
}

fn stage_of<'p>(pipeline: &'p Pipeline, name: &str) -> &'p flow_engine::StageDecl {
    let mut stages = pipeline.stages.iter();
    stages.find(|stage| stage.name == name).unwrap()
}

fn names(variants: &[Variant]) -> Vec<&str> {
    variants
        .iter()
        .map(|variant| variant.name.as_str())
        .collect()
}

#[test]
fn the_base_comes_first_then_variants_in_the_order_of_the_text() {
    let expected = [
        "base",
        "small",
        "no_rocket",
        "other_kind",
        "seed",
        "same",
        "k[k=3]",
        "k[k=4]",
    ];
    assert_eq!(names(&all()), expected);
}

#[test]
fn values_lists_and_whole_stages_are_replaced() {
    let all = all();
    assert_eq!(kernels(&all[0].pipeline, "rocket"), 5000);
    assert_eq!(kernels(&all[1].pipeline, "rocket"), 10);
    let model = stage_of(&all[2].pipeline, "model");
    assert_eq!(model.inputs[0].from.len(), 1);
    assert_eq!(
        all[2].changes,
        [("model.inputs.features".into(), "physics".into())]
    );
    // The stage was replaced whole: `kernels = 3` is gone.
    assert_eq!(kernels(&all[3].pipeline, "physics"), 5000);
    assert!(
        all[4]
            .pipeline
            .stages
            .iter()
            .all(|stage| stage.pipeline_seed == 2)
    );
}

#[test]
fn a_set_changes_the_base_and_variants_lie_above_it() {
    let file = file(TEXT, &["rocket.kernels=7", "pipeline.seed=5"]);
    let all = sound(file.variants(&kinds::registry(), |name| name == "small"));
    assert_eq!(names(&all), ["base", "small"]);
    assert_eq!(kernels(&all[0].pipeline, "rocket"), 7);
    assert_eq!(kernels(&all[1].pipeline, "rocket"), 10);
    assert_eq!(all[1].pipeline.stages[0].pipeline_seed, 5);
}

#[test]
fn one_variant_alone_is_the_one_among_all() {
    let file = file(TEXT, &[]);
    let registry = kinds::registry();
    let alone = file.variant("k[k=4]", &registry).unwrap();
    assert_eq!(stage_of(&alone, "folds").params.read::<i64>("k"), 4);
    let base = file.variant("base", &registry).unwrap();
    assert_eq!(stage_of(&base, "folds").params.read::<i64>("k"), 5);
    let unknown = file.variant("smal", &registry).err().unwrap();
    assert_eq!(unknown[0].code.as_str(), "flow::variants::unknown");
    assert!(unknown[0].help[0].contains("`small`"), "{unknown:?}");
}

#[test]
fn a_study_replaces_values_as_variants_do() {
    let file = file(TEXT, &[]);
    let registry = kinds::registry();
    let replace = |path: &str, value: toml::Value| Replace {
        path: path.into(),
        value,
        span: Span::default(),
    };
    let values = [
        replace("rocket.kernels", 12.into()),
        replace("rocket.centred", false.into()),
        replace("model.inputs.features", vec!["rocket"].into()),
        replace("pipeline.seed", 9.into()),
    ];
    let pipeline = file.with(&values, &registry).unwrap();
    assert_eq!(kernels(&pipeline, "rocket"), 12);
    assert!(!stage_of(&pipeline, "rocket").params.read::<bool>("centred"));
    assert_eq!(stage_of(&pipeline, "model").inputs[0].from.len(), 1);
    assert_eq!(pipeline.stages[0].pipeline_seed, 9);
    let wrong = [
        replace("rocket.kernels", 0.into()),
        replace("rockt.x", 1.into()),
    ];
    let diags = file.with(&wrong, &registry).err().unwrap();
    let codes: Vec<&str> = diags.iter().map(|diag| diag.code.as_str()).collect();
    assert_eq!(
        codes,
        ["flow::pipeline::unknown_stage", "flow::params::type"]
    );
}

#[test]
fn equal_stages_are_there_once() {
    let union = united(all());
    let names: Vec<&str> = union
        .pipeline
        .stages
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    let added: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| name.contains('/'))
        .collect();
    // Without random numbers a stage does not care about the seed: `read` and `row` do not draw any.
    // `physics` of `other_kind` has become what `rocket` is, so it is that stage.
    let expected = [
        "small/rocket",
        "small/model",
        "small/score",
        "no_rocket/model",
        "no_rocket/score",
        "other_kind/model",
        "other_kind/score",
        "seed/rocket",
        "seed/physics",
        "seed/folds",
        "seed/model",
        "seed/score",
        "k[k=3]/folds",
        "k[k=3]/model",
        "k[k=3]/score",
        "k[k=4]/folds",
        "k[k=4]/model",
        "k[k=4]/score",
    ];
    let mut sorted = (added.clone(), expected.to_vec());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1);
    assert_eq!(names.len(), 7 + expected.len());
    assert_eq!(union.shared(), 8 * 7 - names.len());
    // A variant that replaces a value by the same one is the base.
    assert_eq!(union.places[0], union.places[5]);
}

#[test]
fn a_union_refers_to_its_own_stages() {
    let union = united(all());
    let stages = &union.pipeline.stages;
    for (index, stage) in stages.iter().enumerate() {
        let (variant, name) = stage.name.split_once('/').unwrap_or(("base", &stage.name));
        for from in stage.inputs.iter().flat_map(|binding| &binding.from) {
            assert!(from.stage < index, "{} reads what comes later", stage.name);
        }
        let own_folds = ["k[k=3]", "k[k=4]", "seed"].contains(&variant);
        let folds = |root: usize| stages[root].name.clone();
        if ["model", "folds"].contains(&name) {
            let expected = if own_folds {
                format!("{variant}/folds")
            } else {
                "folds".into()
            };
            assert_eq!(folds(stage.fold_root.unwrap()), expected, "{}", stage.name);
        }
        if name == "score" {
            let expected = if own_folds {
                format!("{variant}/folds")
            } else {
                "folds".into()
            };
            assert_eq!(union.pipeline.folds_above(index).map(folds), Some(expected));
        }
        if let Some(root) = stage.shard_root {
            assert_eq!(stages[root].name, "read");
        }
    }
}

#[test]
fn a_stage_seed_keeps_equal_stages_apart() {
    let text = TEXT.replace(
        "[variants.same]",
        "[variants.own]\n\"rocket.seed\" = 7\n[variants.same]",
    );
    let file = file(&text, &[]);
    let union = united(sound(
        file.variants(&kinds::registry(), |name| name == "own"),
    ));
    let stages = union.pipeline.stages.iter();
    let added: Vec<&str> = stages
        .map(|s| s.name.as_str())
        .filter(|n| n.contains('/'))
        .collect();
    assert_eq!(added, ["own/rocket", "own/model", "own/score"]);
}

#[test]
fn what_no_one_wants_is_left_out() {
    let mut pipeline = all().swap_remove(2).pipeline;
    let score = pipeline
        .stages
        .iter()
        .position(|stage| stage.name == "score")
        .unwrap();
    pipeline.keep(&[score]);
    assert!(pipeline.stages.iter().all(|stage| stage.name != "rocket"));
    assert_eq!(pipeline.stages.last().unwrap().name, "score");
}
