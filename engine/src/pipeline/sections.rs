//! Sections of a pipeline besides its stages: `pipeline`, `metrics`, `variants` and `tune`.

use crate::pipeline::DEFAULT_SEED;
use crate::text::document::GRID;
use crate::text::expect::{table, unknown_key, wrong};
use crate::text::node::value;
use std::path::Path;

use crate::base::diag::{Diag, Diags, Span};
use crate::base::suggest::{closest, did_you_mean};
use crate::kind::spec::KindSpec;
use crate::pipeline::outputs;
use crate::pipeline::resolve::Targets;
use crate::text::node::{Entry, Item, Table};
use crate::text::variants;

/// Keys of a stage that are not parameters.
pub const STAGE_KEYS: [&str; 3] = ["use", "inputs", "seed"];

/// The sections that a pipeline may have.
const SECTIONS: [&str; 6] = [
    "pipeline", "stages", "outputs", "metrics", "variants", "tune",
];

/// Reports sections that no pipeline has.
pub fn known(root: &Table, diags: &mut Diags) {
    let known = |entry: &&Entry| SECTIONS.contains(&entry.key.as_str());
    let unknown = root.iter().filter(|entry| !known(entry));
    diags.extend(unknown.map(|entry| unknown_key(entry, "a pipeline", &SECTIONS)));
}

/// What `[pipeline]` says.
pub struct Header {
    /// The name.
    pub name: String,
    /// The seed from which all others derive.
    pub seed: u64,
    /// Outputs may lie outside of the project.
    pub outside: bool,
}

/// Reads `[pipeline]`.
pub fn header(root: &Table, file: &Path, diags: &mut Diags) -> Header {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let mut header = Header {
        name: stem.unwrap_or_default(),
        seed: DEFAULT_SEED,
        outside: false,
    };
    let Some(table) = table(root, "pipeline", diags) else {
        return header;
    };
    for entry in table.iter() {
        match (entry.key.as_str(), &entry.node.item) {
            ("name", Item::Str(v)) if !v.is_empty() => header.name.clone_from(v),
            ("name", _) => diags.push(wrong(entry, "a text")),
            ("seed", _) => header.seed = seed(entry, diags).unwrap_or(header.seed),
            (outputs::OUTSIDE, Item::Bool(v)) => header.outside = *v,
            (outputs::OUTSIDE, _) => diags.push(wrong(entry, "true or false")),
            _ => diags.push(unknown_key(
                entry,
                "`[pipeline]`",
                &["name", "seed", "extends", outputs::OUTSIDE],
            )),
        }
    }
    header
}

/// Reads a seed.
pub fn seed(entry: &Entry, diags: &mut Diags) -> Option<u64> {
    let seed = match entry.node.item {
        Item::Int(v) => u64::try_from(v).ok(),
        _ => None,
    };
    if seed.is_none() {
        diags.push(wrong(entry, "a whole number, at least 0"));
    }
    seed
}

/// Reads `[metrics]`: the stage and the metric to quote, and the place that names them.
pub fn headline(
    root: &Table,
    targets: &Targets<'_>,
    metrics: &impl Fn(usize) -> Vec<&'static str>,
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
                _ => {
                    let diag = wrong(entry, "\"STAGE.METRIC\", such as \"evaluate.f1\"");
                    let metric = text.trim_matches('.');
                    let gives = (0..).zip(targets.names());
                    let gives = gives.filter(|(stage, _)| metrics(*stage).contains(&metric));
                    diags.push(gives.fold(diag, |diag, (_, stage)| {
                        diag.help(format!("headline = \"{stage}.{metric}\""))
                    }));
                }
            },
            ("headline", _) => {
                diags.push(wrong(entry, "\"STAGE.METRIC\", such as \"evaluate.f1\""))
            }
            _ => diags.push(unknown_key(entry, "`[metrics]`", &["headline"])),
        }
    }
    headline
}

/// Reports a metric that its stage never gives.
pub fn unknown_metric(
    targets: &Targets<'_>,
    metrics: &impl Fn(usize) -> Vec<&'static str>,
    stage: usize,
    metric: &str,
    span: Span,
) -> Option<Diag> {
    let known = metrics(stage);
    if known.contains(&metric) {
        return None;
    }
    let name = |stage: usize| targets.names().nth(stage).unwrap_or_default();
    let own = name(stage);
    let message = match known.is_empty() {
        true => format!("`{own}` gives no metrics"),
        false => format!("`{own}` gives no metric `{metric}`"),
    };
    let diag = Diag::new("flow::metrics::unknown", message).label(span, "no such metric");
    if known.is_empty() {
        let mut others = (0..targets.names().count()).filter(|other| !metrics(*other).is_empty());
        return Some(match others.next() {
            Some(other) if metrics(other).contains(&metric) => {
                diag.help(format!("did you mean \"{}.{metric}\"?", name(other)))
            }
            Some(other) => diag.help(format!(
                "`{}` gives {}",
                name(other),
                metrics(other).join(", ")
            )),
            None => diag.help("a stage that scores predictions is of the kind `evaluate`"),
        });
    }
    Some(match closest(metric, known.iter().copied()) {
        Some(name) => diag.help(format!("did you mean \"{own}.{name}\"?")),
        None => diag.help(format!("it gives {}", known.join(", "))),
    })
}

/// Checks that what `[variants]` and `[tune]` would replace exists.
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
                if let Some(grid) = table(paths, GRID, &mut Vec::new()) {
                    overlay(grid, targets, spec, diags);
                }
            }
            _ => diags.push(wrong(variant, "a table from STAGE.PARAM to values")),
        }
    }
    // Other mistakes in `[tune]` are reported by the code that reads it.
    let quiet = &mut Vec::new();
    let space = table(root, "tune", quiet).and_then(|tune| table(tune, "space", &mut Vec::new()));
    if let Some(paths) = space {
        overlay(paths, targets, spec, diags);
    }
}

/// Says which stage may be meant by a parameter that is named without one, or else what a path looks like.
fn whose<'s>(
    entry: &Entry,
    targets: &Targets<'_>,
    spec: &impl Fn(usize) -> Option<&'s KindSpec>,
) -> String {
    let has = |spec: &KindSpec| spec.params.iter().any(|param| param.name == entry.key);
    let value = value(&entry.node);
    let lines: Vec<String> = (targets.names().enumerate())
        .filter(|(stage, _)| spec(*stage).is_some_and(has))
        .map(|(_, stage)| format!("\"{stage}.{}\" = {value}", entry.key))
        .collect();
    match lines.len() {
        0 => "a path has two parts, the name of a stage and a parameter of it".to_owned(),
        1 => lines.concat(),
        _ => format!("say of which stage:\n{}", lines.join("\n")),
    }
}

/// Checks the stages and parameters that dotted paths name. The paths are tables here, see
/// [`crate::text::document`].
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
                .help(whose(entry, targets, spec)),
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
        // Another kind has other parameters. They are checked when the variant is built.
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
                let diag = did_you_mean(diag, &value.key, known, "parameters");
                let kind = spec.name;
                diags.push(diag.help(format!("`flow stages {kind}` lists the parameters")));
            }
        }
    }
}
