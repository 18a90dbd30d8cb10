//! Small kinds for the tests of pipelines; they are never run.

use std::path::Path;

use flow_cache::Value;
use flow_engine::base::diag::{Diag, Diags};
use flow_engine::kind::{
    ANY, Layout, ParamSpec, ParamType, Params, Registry, Rows, Scope, Shard, Shards, Step,
};
use flow_testkit::kinds::FakeKind;

fn step(name: &'static str, scope: Scope) -> Step {
    Step::new(name, scope)
}

/// `source` (sharded), `row`, `wide`, `folds`, `learner`, `score`, and `command`.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    for kind in [
        source(),
        row(),
        wide(),
        folds(),
        learner(),
        score(),
        fold_only(),
        two(),
        command(),
    ] {
        registry.add(kind);
    }
    registry
}

fn source() -> FakeKind {
    let read = step("read", Scope::Shard).writes("curves");
    let collect = step("collect", Scope::Whole).after(0, "curves");
    FakeKind::new("source", vec![read, collect.writes("objects")])
        .gives("curves", "curves", 0)
        .told("The curves.")
        .gives("objects", "objects", 1)
        .told("The objects.")
        .takes(ParamSpec::choice(
            "format",
            "demo",
            &["demo", "csv"],
            "The format.",
        ))
        .takes(ParamSpec::new("path", ParamType::Path, "The data.").only("format", &["csv"]))
        .takes(ParamSpec::int("size", 100, 1, 100_000, "Objects."))
        .laid_out(shards_of)
}

fn shards_of(params: &Params) -> Result<Layout, Diags> {
    if let Some(path) = params.read::<Option<&str>>("path").map(Path::new)
        && !path.exists()
    {
        let name = path.file_name().unwrap().display();
        let diag = Diag::new("flow::data::missing", format!("there is no file `{name}`"));
        return Err(vec![diag.label(params.span("path").unwrap(), "not found")]);
    }
    let shards = ["x", "y"].map(|label| Shard {
        label: label.into(),
        item: Value::Str(label.into()),
        files: Vec::new(),
    });
    Ok(Layout {
        shards: Shards::from_iter(shards),
        ..Layout::default()
    })
}

fn row() -> FakeKind {
    let apply = step("apply", Scope::Shard).port("curves").writes("curves");
    FakeKind::new("row", vec![apply])
        .one("curves", "curves")
        .gives("curves", "curves", 0)
        .told("The curves.")
        .takes(ParamSpec::float("r_v", 3.1, 1.0, 10.0, "The dust law."))
}

fn wide() -> FakeKind {
    let transform = step("transform", Scope::Shard).port("curves");
    let whole = ParamType::Int { min: 2, max: 99 };
    let lengths = ParamSpec::new("lengths", ParamType::List(Box::new(whole)), "Lengths.");
    FakeKind::new("wide", vec![transform.writes("features").seeded()])
        .one("curves", "curves")
        .gives("features", "features", 0)
        .told("The features.")
        .takes(ParamSpec::int(
            "kernels",
            5000,
            1,
            100_000,
            "Kernels a band.",
        ))
        .takes(lengths.optional())
        .takes(ParamSpec::bool("centred", true, "Subtract the mean."))
}

fn folds() -> FakeKind {
    let split = step("split", Scope::Whole).port("objects");
    FakeKind::new("folds", vec![split.writes("folds").seeded()])
        .one("objects", "objects")
        .gives("folds", "folds", 0)
        .told("The folds.")
        .takes(ParamSpec::int("k", 5, 2, 100, "How many."))
        .folds(&["0", "1", "final"])
}

fn learner() -> FakeKind {
    let fit = step("fit", Scope::Fold).rows("features", Rows::Train);
    let apply = step("apply", Scope::FoldShard).after(0, "model");
    let gather = step("gather", Scope::Whole).after(1, "part");
    let steps = vec![
        fit.writes("model").seeded(),
        apply.rows("features", Rows::Apply).writes("part"),
        gather.writes("predictions"),
    ];
    FakeKind::new("learner", steps)
        .many("features", "features")
        .one("folds", "folds")
        .gives("model", "model", 0)
        .told("The models.")
        .gives("predictions", "predictions", 2)
        .told("The predictions.")
}

fn score() -> FakeKind {
    let score = step("score", Scope::Whole).scored().port("predictions");
    FakeKind::new("score", vec![score.writes("metrics")])
        .many("predictions", "predictions")
        .gives("metrics", "metrics", 0)
        .told("The metrics.")
        .measures(&["f1", "pr_auc"])
}

fn fold_only() -> FakeKind {
    let fit = step("fit", Scope::Fold).rows("curves", Rows::Train);
    FakeKind::new("fold_only", vec![fit.writes("model")])
        .one("curves", "curves")
        .gives("model", "model", 0)
        .told("The models.")
}

fn two() -> FakeKind {
    let join = step("join", Scope::Shard).port("a").port("b");
    FakeKind::new("two", vec![join.writes("curves")])
        .one("a", "curves")
        .one("b", "curves")
        .gives("curves", "curves", 0)
        .told("The curves.")
}

fn command() -> FakeKind {
    let run = step("run", Scope::Whole).port("in").writes("out");
    FakeKind::new("command", vec![run.foreign()])
        .one("in", ANY)
        .gives("out", ANY, 0)
        .told("A file.")
}
