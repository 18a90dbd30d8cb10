//! Small kinds for the tests of pipelines; they are never run.

use std::path::Path;

use flow_engine::base::diag::Diag;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, OutputPort, Ports, Project, Registry, Rows, Scope, Shard,
    Shards, Stage, StageError, Step,
};
use flow_engine::kind::{ParamSpec, ParamType, Params};

/// A kind made of its description and, for sources and folds, a layout.
struct Fake {
    spec: KindSpec,
    layout: Layout,
}

impl Stage for Fake {
    fn spec(&self) -> KindSpec {
        self.spec.clone()
    }

    fn layout(
        &self,
        params: &Params,
        _project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        if let Some(path) = params.opt_str("path")
            && !Path::new(path).exists()
        {
            let name = Path::new(path)
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let diag = Diag::new("flow::data::missing", format!("there is no file `{name}`"));
            return Err(vec![diag.label(params.span("path").unwrap(), "not found")]);
        }
        Ok(self.layout.clone())
    }

    fn metrics(&self) -> Vec<&'static str> {
        match self.spec.name {
            "score" => vec!["f1", "pr_auc"],
            _ => Vec::new(),
        }
    }

    fn run(&self, _action: &mut Action<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

fn kind(
    name: &'static str,
    inputs: Vec<InputPort>,
    outputs: Vec<OutputPort>,
    steps: Vec<Step>,
) -> KindSpec {
    KindSpec {
        name,
        version: 1,
        about: "A kind for tests.",
        ports: Ports { inputs, outputs },
        params: Vec::new(),
        steps,
    }
}

/// `source` (sharded), `row`, `wide`, `folds`, `learner`, `score`, and `command`.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let mut add = |spec: KindSpec, layout: Layout| registry.add(Fake { spec, layout });

    let mut source = kind(
        "source",
        vec![],
        vec![
            OutputPort::of("curves", "curves", 0, "The curves."),
            OutputPort::of("objects", "objects", 1, "The objects."),
        ],
        vec![
            Step::new("read", Scope::Shard).writes("curves"),
            Step::new("collect", Scope::Whole)
                .after(0, "curves")
                .writes("objects"),
        ],
    );
    source.params = vec![
        ParamSpec::choice("format", "demo", &["demo", "csv"], "The format."),
        ParamSpec::new("path", ParamType::Path, "The data.").only("format", &["csv"]),
        ParamSpec::int("size", 100, 1, 100_000, "Objects."),
    ];
    let shards = ["x", "y"].map(|label| Shard {
        label: label.into(),
        item: flow_cache::Value::Str(label.into()),
        files: Vec::new(),
    });
    let layout = Layout {
        shards: Shards::from_iter(shards),
        ..Layout::default()
    };
    add(source, layout);

    let mut row = kind(
        "row",
        vec![InputPort::one("curves", "curves")],
        vec![OutputPort::of("curves", "curves", 0, "The curves.")],
        vec![
            Step::new("apply", Scope::Shard)
                .port("curves")
                .writes("curves"),
        ],
    );
    row.params = vec![ParamSpec::float("r_v", 3.1, 1.0, 10.0, "The dust law.")];
    add(row, Layout::default());

    let mut wide = kind(
        "wide",
        vec![InputPort::one("curves", "curves")],
        vec![OutputPort::of("features", "features", 0, "The features.")],
        vec![
            Step::new("transform", Scope::Shard)
                .port("curves")
                .writes("features")
                .seeded(),
        ],
    );
    wide.params = vec![
        ParamSpec::int("kernels", 5000, 1, 100_000, "Kernels a band."),
        ParamSpec::new(
            "lengths",
            ParamType::List(Box::new(ParamType::Int { min: 2, max: 99 })),
            "Lengths.",
        )
        .optional(),
        ParamSpec::bool("centred", true, "Subtract the mean."),
    ];
    add(wide, Layout::default());

    let mut folds = kind(
        "folds",
        vec![InputPort::one("objects", "objects")],
        vec![OutputPort::of("folds", "folds", 0, "The folds.")],
        vec![
            Step::new("split", Scope::Whole)
                .port("objects")
                .writes("folds")
                .seeded(),
        ],
    );
    folds.params = vec![ParamSpec::int("k", 5, 2, 100, "How many.")];
    let layout = Layout {
        folds: vec!["0".into(), "1".into(), "final".into()],
        ..Layout::default()
    };
    add(folds, layout);

    let learner = kind(
        "learner",
        vec![
            InputPort::many("features", "features"),
            InputPort::one("folds", "folds"),
        ],
        vec![
            OutputPort::of("model", "model", 0, "The models."),
            OutputPort::of("predictions", "predictions", 2, "The predictions."),
        ],
        vec![
            Step::new("fit", Scope::Fold)
                .rows("features", Rows::Train)
                .writes("model")
                .seeded(),
            Step::new("apply", Scope::FoldShard)
                .after(0, "model")
                .rows("features", Rows::Apply)
                .writes("part"),
            Step::new("gather", Scope::Whole)
                .after(1, "part")
                .writes("predictions"),
        ],
    );
    add(learner, Layout::default());

    let score = kind(
        "score",
        vec![InputPort::many("predictions", "predictions")],
        vec![OutputPort::of("metrics", "metrics", 0, "The metrics.")],
        vec![
            Step::new("score", Scope::Whole)
                .scored()
                .port("predictions")
                .writes("metrics"),
        ],
    );
    add(score, Layout::default());

    let fold_only = kind(
        "fold_only",
        vec![InputPort::one("curves", "curves")],
        vec![OutputPort::of("model", "model", 0, "The models.")],
        vec![
            Step::new("fit", Scope::Fold)
                .rows("curves", Rows::Train)
                .writes("model"),
        ],
    );
    add(fold_only, Layout::default());

    let two = kind(
        "two",
        vec![InputPort::one("a", "curves"), InputPort::one("b", "curves")],
        vec![OutputPort::of("curves", "curves", 0, "The curves.")],
        vec![
            Step::new("join", Scope::Shard)
                .port("a")
                .port("b")
                .writes("curves"),
        ],
    );
    add(two, Layout::default());

    let command = kind(
        "command",
        vec![InputPort::one("in", flow_engine::kind::ANY)],
        vec![OutputPort::of("out", flow_engine::kind::ANY, 0, "A file.")],
        vec![
            Step::new("run", Scope::Whole)
                .port("in")
                .writes("out")
                .foreign(),
        ],
    );
    add(command, Layout::default());
    registry
}
