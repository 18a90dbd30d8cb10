//! The sections of a pipeline besides its stages: `outputs`, `metrics`, `variants` and `tune`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::diag::{Diag, Diags, Span};
use crate::load::STAGE_KEYS;
use crate::node::{Entry, Item, Table};
use crate::pipeline::{OutputDecl, Pipeline};
use crate::resolve::{Targets, Word};
use crate::stage::{ANY, KindSpec, Stage};
use crate::suggest::{closest, did_you_mean};
use crate::variants;

/// The table `key` of `parent`, if it is there and is one.
pub fn table<'t>(parent: &'t Table, key: &str, diags: &mut Diags) -> Option<&'t Table> {
    let entry = parent.get(key)?;
    match &entry.node.item {
        Item::Table(table) => Some(table),
        _ => {
            diags.push(wrong(entry, "a table"));
            None
        }
    }
}

/// A value of the wrong type.
pub fn wrong(entry: &Entry, wanted: &str) -> Diag {
    let given = entry.node.item.describe();
    Diag::new(
        "flow::params::type",
        format!("`{}` must be {wanted}, not {given}", entry.key),
    )
    .label(entry.node.span, format!("is {given}"))
}

/// A key that is not known.
pub fn unknown_key(entry: &Entry, parent: &str, known: &[&str]) -> Diag {
    let diag = Diag::new(
        "flow::pipeline::unknown_key",
        format!("`{}` is not a key of {parent}", entry.key),
    )
    .label(entry.key_span, "unknown key");
    did_you_mean(diag, &entry.key, known.iter().copied(), "keys")
}

/// Reads `[outputs]`.
pub fn outputs(
    root: &Table,
    targets: &Targets<'_>,
    project: &Path,
    diags: &mut Diags,
) -> Vec<OutputDecl> {
    let mut outputs = Vec::new();
    let mut taken: BTreeMap<PathBuf, Span> = BTreeMap::new();
    for entry in table(root, "outputs", diags)
        .into_iter()
        .flat_map(Table::iter)
    {
        let path = normal(&project.join(&entry.key));
        let shown = path.strip_prefix(normal(project)).unwrap_or(&path);
        if let Some(first) = taken.insert(path.clone(), entry.key_span) {
            diags.push(
                Diag::new(
                    "flow::pipeline::duplicate_output",
                    format!("two outputs go to `{}`", shown.display()),
                )
                .label(entry.key_span, "again here")
                .label(first, "first here")
                .help("give one of them another name"),
            );
        }
        if entry.key.ends_with('/') || path.extension().is_none() {
            diags.push(
                Diag::new(
                    "flow::pipeline::output_format",
                    format!("the name of the output `{}` has no extension", entry.key),
                )
                .label(entry.key_span, "its format is told by its extension")
                .help("for example .parquet, .csv, .arrow or .json"),
            );
        }
        let Item::Str(text) = &entry.node.item else {
            diags.push(wrong(entry, "\"STAGE\" or \"STAGE.PORT\""));
            continue;
        };
        let word = Word {
            text: text.clone(),
            span: entry.node.span,
        };
        if let (_, Some(from)) = targets.find(&word, ANY, diags) {
            if targets.is_view(from) {
                diags.push(
                    Diag::new(
                        "flow::pipeline::output_view",
                        format!(
                            "`{}` is a choice of columns by fold, not a table",
                            word.text
                        ),
                    )
                    .label(word.span, "has no file of its own")
                    .help("name the stage whose columns are chosen, or the stage that reads them"),
                );
                continue;
            }
            outputs.push(OutputDecl { path, from });
        }
    }
    outputs
}

/// Outputs that will not be written, whatever is in them: those that are no tables, where they come in
/// several parts or are wanted as one.
pub fn undeliverable(pipeline: &Pipeline) -> Diags {
    let mut diags = Vec::new();
    for output in &pipeline.outputs {
        let stage = &pipeline.stages[output.from.stage];
        let port = &stage.ports.outputs[output.from.port];
        if !stage.kind.opaque(&stage.params, &port.name) {
            continue;
        }
        let what = format!("{}.{}", stage.name, port.name);
        let dims = stage
            .dims
            .get(output.from.port)
            .copied()
            .unwrap_or_default();
        let layout = |root: Option<usize>| root.map(|root| &pipeline.stages[root].layout);
        let folds = layout(stage.fold_root.filter(|_| dims.fold)).map_or(1, |l| l.folds.len());
        let shards = layout(stage.shard_root.filter(|_| dims.shard)).map_or(1, |l| l.shards.len());
        let extension = output
            .path
            .extension()
            .and_then(|ext| ext.to_str())
            .unwrap_or_default();
        let diag = if folds * shards > 1 {
            let message = format!(
                "`{what}` has {} parts that do not form one table",
                folds * shards
            );
            Diag::new("flow::export::parts", message)
                .label(output.from.span, "cannot be one file")
                .help("name an output that is made of all of them, or look at single parts with `flow explain`")
        } else if ["parquet", "arrow"].contains(&extension) {
            let message = format!(
                "`.{extension}` is not a format that `{what}` can be written as: it is no table"
            );
            Diag::new("flow::export::format", message)
                .label(output.from.span, "is no table")
                .help("use one of: csv, json, md or txt, as it is")
        } else {
            continue;
        };
        diags.push(diag);
    }
    diags
}

/// A path without `.` and `..`, by its text alone: two spellings of one output must look the same.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// Reads `[metrics]`: the stage and the metric to quote, and where they are named.
pub fn headline(
    root: &Table,
    targets: &Targets<'_>,
    diags: &mut Diags,
) -> Option<(usize, String, Span)> {
    let mut headline = None;
    for entry in table(root, "metrics", diags)?.iter() {
        match (entry.key.as_str(), &entry.node.item) {
            ("headline", Item::Str(text)) => match text.split_once('.') {
                Some((stage, metric)) if !metric.is_empty() => {
                    let stage = targets.stage(stage, entry.node.span, diags);
                    headline = stage.map(|stage| (stage, metric.to_owned(), entry.node.span));
                }
                _ => diags.push(wrong(entry, "\"STAGE.METRIC\", such as \"evaluate.f1\"")),
            },
            ("headline", _) => {
                diags.push(wrong(entry, "\"STAGE.METRIC\", such as \"evaluate.f1\""))
            }
            _ => diags.push(unknown_key(entry, "`[metrics]`", &["headline"])),
        }
    }
    headline
}

/// Objects to a metric that its stage never gives.
pub fn unknown_metric(kind: &dyn Stage, stage: &str, metric: &str, span: Span) -> Option<Diag> {
    let known = kind.metrics();
    if known.contains(&metric) {
        return None;
    }
    let message = match known.is_empty() {
        true => format!("`{stage}` gives no metrics"),
        false => format!("`{stage}` gives no metric `{metric}`"),
    };
    let diag = Diag::new("flow::metrics::unknown", message).label(span, "no such metric");
    Some(match closest(metric, known.iter().copied()) {
        _ if known.is_empty() => {
            diag.help("name a stage that scores predictions: use = \"evaluate\"")
        }
        Some(name) => diag.help(format!("did you mean \"{stage}.{name}\"?")),
        None => diag.help(format!("it gives {}", known.join(", "))),
    })
}

/// Checks that what `[variants]` and `[tune]` would replace is there.
pub fn overlays<'s>(
    root: &Table,
    targets: &Targets<'_>,
    spec: &impl Fn(usize) -> Option<&'s KindSpec>,
    diags: &mut Diags,
) {
    for variant in table(root, "variants", diags)
        .into_iter()
        .flat_map(Table::iter)
    {
        match &variant.node.item {
            Item::Table(paths) => {
                overlay(paths, targets, spec, diags);
                if let Some(grid) = table(paths, variants::GRID, &mut Vec::new()) {
                    overlay(grid, targets, spec, diags);
                }
            }
            _ => diags.push(wrong(variant, "a table from STAGE.PARAM to values")),
        }
    }
    // What else is wrong with `[tune]` is told by who reads it.
    let quiet = &mut Vec::new();
    let space = table(root, "tune", quiet).and_then(|tune| table(tune, "space", &mut Vec::new()));
    if let Some(paths) = space {
        overlay(paths, targets, spec, diags);
    }
}

/// Checks the stages and parameters that dotted paths name; they are tables here, see
/// [`crate::document`].
fn overlay<'s>(
    paths: &Table,
    targets: &Targets<'_>,
    spec: &impl Fn(usize) -> Option<&'s KindSpec>,
    diags: &mut Diags,
) {
    for entry in paths.iter().filter(|entry| !variants::is_key(&entry.key)) {
        let Item::Table(values) = &entry.node.item else {
            diags.push(
                Diag::new(
                    "flow::params::type",
                    format!("`{}` is not a path to a parameter", entry.key),
                )
                .label(entry.key_span, "no parameter")
                .help(format!("\"{}.PARAM\" = ...", entry.key)),
            );
            continue;
        };
        if entry.key == "pipeline" {
            let others = values.iter().filter(|value| value.key != "seed");
            diags.extend(
                others.map(|value| {
                    unknown_key(value, "`[pipeline]` that can be replaced", &["seed"])
                }),
            );
            continue;
        }
        let Some(stage) = targets.stage(&entry.key, entry.key_span, diags) else {
            continue;
        };
        // With another kind, other parameters hold; they are checked when the variant is built.
        let Some(spec) = spec(stage).filter(|_| values.get("use").is_none()) else {
            continue;
        };
        for value in values.iter() {
            let known = spec.params.iter().map(|param| param.name).chain(STAGE_KEYS);
            if known.clone().all(|name| name != value.key) {
                let diag = Diag::new(
                    "flow::pipeline::unknown_key",
                    format!("`{}` is not a parameter of `{}`", value.key, spec.name),
                )
                .label(value.key_span, "unknown parameter");
                diags.push(did_you_mean(diag, &value.key, known, "parameters"));
            }
        }
    }
}
