//! Every class of mistake in a pipeline has a diagnostic that says where it is and how to mend it.

mod kinds;

use flow_engine::Diag;
use flow_engine::base::diag::Diags;
use flow_testkit::{Project, local};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// Writes `files`, loads the first of them, and gives the diagnostics.
fn mistakes(files: &[(&str, &str)], sets: &[&str]) -> Vec<Diag> {
    let project = Project::in_memory("");
    for (name, text) in files {
        project.write(name, text);
    }
    let loaded = local::load(&project, files[0].0, sets, &kinds::registry());
    loaded.err().unwrap_or_default()
}

/// As a user sees it, without colours.
fn rendered(files: &[(&str, &str)], sets: &[&str]) -> String {
    drawn(mistakes(files, sets))
}

fn drawn(diags: Diags) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        // As the command line does: the message has the words of the error behind it.
        .without_cause_chain();
    let mut out = String::new();
    for diag in diags {
        handler.render_report(&mut out, &diag).unwrap();
        out.push('\n');
    }
    assert!(!out.is_empty(), "the pipeline has no mistake");
    out.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One pipeline, one snapshot.
macro_rules! case {
    ($name:ident, $text:expr) => {
        case!($name, $text, []);
    };
    ($name:ident, $text:expr, $sets:expr) => {
        #[test]
        fn $name() {
            let sets: &[&str] = &$sets;
            insta::assert_snapshot!(rendered(&[("p.toml", $text)], sets));
        }
    };
}

const SOUND: &str = r#"
[stages.read]
use = "source"
[stages.rocket]
use = "wide"
inputs = { curves = "read" }
[stages.folds]
use = "folds"
inputs = { objects = "read" }
[stages.model]
use = "learner"
inputs = { features = ["rocket"], folds = "folds" }
[stages.score]
use = "score"
inputs = { predictions = ["model"] }
[outputs]
"out/p.csv" = "model.predictions"
[metrics]
headline = "score.f1"
[variants.small]
"rocket.kernels" = 10
[tune]
trials = 3
space."rocket.kernels" = { int = [1, 9] }
"#;

#[test]
fn a_sound_pipeline_has_none() {
    let diags = mistakes(
        &[("p.toml", SOUND)],
        &["rocket.kernels=7", "pipeline.seed=1"],
    );
    assert!(diags.is_empty(), "{diags:?}");
}

case!(
    syntax,
    "[stages.a]\nuse = \nn = [1,\n[stages.b\nuse = \"x\"\n"
);
case!(empty, "[pipeline]\nname = \"nothing\"\n");
case!(
    unknown_section,
    "[stage.a]\nuse = \"source\"\n[stages.b]\nuse = \"source\"\n"
);
case!(
    pipeline_keys,
    "[pipeline]\nsed = 3\nseed = -1\nname = 3\n[stages.b]\nuse = \"source\"\n"
);
case!(unknown_kind, "[stages.a]\nuse = \"sorce\"\n");
case!(missing_use, "[stages.a]\nformat = \"demo\"\n");
case!(stage_name, "[stages.\"a b\"]\nuse = \"source\"\n");
case!(stage_not_a_table, "[stages]\nread = \"source\"\n");
case!(
    unknown_parameter,
    "[stages.a]\nuse = \"source\"\nsizes = 3\n"
);
case!(
    wrong_types,
    r#"
[stages.a]
use = "source"
format = "demo2"
size = "100"
[stages.b]
use = "wide"
inputs = { curves = "a" }
kernels = 0
lengths = [7, "nine"]
centred = "true"
[stages.c]
use = "wide"
inputs = { curves = "a" }
kernels = 1.5
lengths = 7
"#
);
case!(
    missing_parameter,
    "[stages.a]\nuse = \"source\"\nformat = \"csv\"\n"
);
case!(
    not_applicable,
    "[stages.a]\nuse = \"source\"\nformat = \"demo\"\npath = \"x\"\n"
);
case!(
    env_unset,
    "[stages.a]\nuse = \"source\"\nformat = \"csv\"\npath = \"${env:FLOW_NOT_SET}/x\"\n"
);
case!(
    missing_file,
    "[stages.a]\nuse = \"source\"\nformat = \"csv\"\npath = \"x.csv\"\n"
);
case!(seed_without_use, "[stages.a]\nuse = \"source\"\nseed = 3\n");
case!(
    unknown_stage,
    "[stages.read]\nuse = \"source\"\n[stages.b]\nuse = \"row\"\ninputs = { curves = \"raed\" }\n"
);
case!(
    unknown_output,
    "[stages.read]\nuse = \"source\"\n[stages.b]\nuse = \"row\"\ninputs = { curves = \"read.curve\" }\n"
);
case!(
    unknown_input,
    "[stages.read]\nuse = \"source\"\n[stages.b]\nuse = \"row\"\ninputs = { curve = \"read\" }\n"
);
case!(
    port_type,
    r#"
[stages.read]
use = "source"
[stages.a]
use = "row"
inputs = { curves = "read.objects" }
[stages.w]
use = "wide"
inputs = { curves = "a" }
[stages.b]
use = "row"
inputs = { curves = "w" }
"#
);
case!(
    inputs,
    r#"
[stages.read]
use = "source"
[stages.a]
use = "row"
inputs = { curves = ["read", "read"] }
[stages.b]
use = "row"
[stages.c]
use = "row"
inputs = { curves = 3 }
[stages.d]
use = "row"
inputs = "read"
[stages.e]
use = "score"
inputs = { predictions = [] }
"#
);
case!(
    ambiguous,
    "[stages.read]\nuse = \"source\"\n[outputs]\n\"out/x.csv\" = \"read\"\n"
);
case!(
    cycle,
    r#"
[stages.a]
use = "row"
inputs = { curves = "c" }
[stages.b]
use = "row"
inputs = { curves = "a" }
[stages.c]
use = "row"
inputs = { curves = "b" }
[stages.alone]
use = "row"
inputs = { curves = "alone" }
"#
);
case!(
    outputs,
    r#"
[stages.read]
use = "source"
[outputs]
"out/x.csv" = "read.curves"
"./out/../out/x.csv" = "read.objects"
"out/plain" = "read.curves"
"y.csv" = 3
"z.csv" = "read.tables"
"#
);
case!(
    metrics,
    "[stages.read]\nuse = \"source\"\n[metrics]\nheadline = \"evaluate.f1\"\nheadlines = 3\n"
);
case!(
    overlays,
    r#"
[stages.read]
use = "source"
[variants.a]
"raed.size" = 3
"read.sise" = 3
[variants]
b = 3
c.read = 3
[tune]
trials = 0
spaces = 1
space."red.size" = { int = [1, 2] }
"#
);
case!(
    variant_keys,
    r#"
[stages.read]
use = "source"
[stages.grid]
use = "row"
inputs = { curves = "read" }
[variants.base]
"read.size" = 1
[variants."a b"]
"read.size" = 1
[variants.x]
extends = ["y", "yy", 3]
[variants.y]
extends = "z"
[variants.z]
extends = "y"
[variants.g.grid]
"read.size" = [1, 1]
"read.sise" = [1]
"read.format" = []
[variants.h]
grid = 3
[variants.i.grid]
"#
);

/// Mistakes that show only in what a variant replaces, those of the base, and each once.
#[test]
fn variants_in_full() {
    let text = r#"
[stages.read]
use = "source"
[stages.rocket]
use = "wide"
inputs = { curves = "read" }
[stages.broken]
use = "row"
inputs = { curves = "rocket" }
[variants.a]
"rocket.kernels" = 0
[variants.b]
extends = "a"
"rocket.inputs.curves" = "raed"
[variants.c]
"pipeline.seed" = -1
[variants.c.rocket]
use = "row"
[variants.d.grid]
"rocket.kernels" = [5, "many"]
"#;
    let file = local::read(&Project::in_memory(text), "p.toml", &[]);
    let diags = file.variants(&kinds::registry(), |_| true).err().unwrap();
    insta::assert_snapshot!(drawn(diags));
}

case!(
    no_folds,
    "[stages.read]\nuse = \"source\"\n[stages.fit]\nuse = \"fold_only\"\ninputs = { curves = \"read\" }\n"
);
case!(
    two_folds,
    r#"
[stages.read]
use = "source"
[stages.w]
use = "wide"
inputs = { curves = "read" }
[stages.f]
use = "folds"
inputs = { objects = "read" }
[stages.g]
use = "folds"
inputs = { objects = "read" }
seed = 2
[stages.m]
use = "learner"
inputs = { features = ["w"], folds = "f" }
[stages.n]
use = "learner"
inputs = { features = ["w"], folds = "g" }
[stages.score]
use = "score"
inputs = { predictions = ["m", "n"] }
"#
);
case!(
    two_sources,
    r#"
[stages.x]
use = "source"
[stages.y]
use = "source"
[stages.join]
use = "two"
inputs = { a = "x", b = "y" }
"#
);
const JOINED: &str = r#"
[stages.read]
use = "source"
[stages.w]
use = "wide"
inputs = { curves = "read" }
[stages.f]
use = "folds"
inputs = { objects = "read" }
[stages.m]
use = "learner"
inputs = { features = ["w"], folds = "f" }
[stages.c]
use = "command"
inputs = { in = "m.predictions" }
"#;
case!(
    joined,
    &format!(
        "{JOINED}[stages.n]\nuse = \"learner\"\ninputs = {{ features = [\"w\", \"c\"], folds = \"f\" }}\n"
    )
);
case!(
    in_sample,
    &format!(
        "{JOINED}[stages.score]\nuse = \"score\"\ninputs = {{ predictions = [\"m\", \"c\"] }}\n"
    )
);
case!(
    fold_scope,
    r#"
[stages.read]
use = "source"
[stages.w]
use = "wide"
inputs = { curves = "read" }
[stages.f]
use = "folds"
inputs = { objects = "read" }
[stages.m]
use = "learner"
inputs = { features = ["w"], folds = "f" }
[stages.c]
use = "command"
inputs = { in = "m.model" }
"#
);
case!(set_quotes, SOUND, ["read.format=csv"]);
case!(
    set_forms,
    SOUND,
    ["rocket.kernels", "kernels=3", "rockt.kernels=3"]
);
case!(
    set_type,
    SOUND,
    ["rocket.kernels=\"many\"", "rocket.kernel=3"]
);

#[test]
fn extends_of_nothing() {
    insta::assert_snapshot!(rendered(
        &[("p.toml", "[pipeline]\nextends = \"base.toml\"\n")],
        &[]
    ));
}

#[test]
fn extends_in_a_circle() {
    let files = [
        ("p.toml", "[pipeline]\nextends = \"q.toml\"\n"),
        ("q.toml", "[pipeline]\nextends = \"p.toml\"\n"),
    ];
    insta::assert_snapshot!(rendered(&files, &[]));
}

#[test]
fn a_mistake_in_an_extended_file_is_shown_there() {
    let files = [
        (
            "p.toml",
            "[pipeline]\nextends = \"q.toml\"\n[stages.a]\nsize = 3\n",
        ),
        ("q.toml", "[stages.a]\nuse = \"source\"\nsise = 3\n"),
    ];
    insta::assert_snapshot!(rendered(&files, &[]));
}

#[test]
fn no_such_pipeline() {
    let project = Project::in_memory("");
    let diags = local::load(&project, "q.toml", &[], &kinds::registry());
    let diags = diags.err().unwrap();
    assert_eq!(diags.len(), 1);
    assert_eq!(diags[0].code.as_str(), "flow::pipeline::file");
}

#[test]
fn five_mistakes_are_five_diagnostics() {
    let text = r#"
[pipeline]
sed = 1
[stages.read]
use = "source"
size = "many"
[stages.w]
use = "wyde"
[stages.b]
use = "row"
inputs = { curves = "raed" }
[stages.c]
use = "row"
inputs = { curves = "b" }
r_v = 99
"#;
    let diags = mistakes(&[("p.toml", text)], &[]);
    let codes: Vec<_> = diags.iter().map(|diag| diag.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "flow::pipeline::unknown_key",
            "flow::params::type",
            "flow::pipeline::unknown_kind",
            "flow::pipeline::unknown_stage",
            "flow::params::type",
        ]
    );
}
