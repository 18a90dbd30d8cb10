//! The files of a survey: one shard for each light-curve file.

use std::path::{Path, PathBuf};

use flow_cache::Value;
use flow_engine::base::files::unescape;
use flow_engine::kind::{Layout, Links, Project, Shard, SourceFile};
use flow_engine::{Diag, Params};

use super::demo;
use super::params::{Format, IngestParams};

/// The role of light-curve files.
pub(super) const CURVES: &str = "curves";
/// The role of objects files of a mapped survey.
pub(super) const OBJECTS: &str = "objects";
/// The roles of MALLORN's logs.
pub(super) const LOGS: [&str; 2] = ["train_log", "test_log"];
/// MALLORN's two sets.
pub(super) const SETS: [&str; 2] = ["train", "test"];

/// Returns the layout of the survey that `params` describe.
pub(super) fn layout(params: &Params, project: &Project<'_>) -> Result<Layout, Vec<Diag>> {
    let survey = IngestParams::read(params);
    match survey.format {
        Format::Mallorn => mallorn(params, survey.path).map_err(|diag| vec![diag]),
        Format::Demo => demo_layout(params, &survey).map_err(|diag| vec![diag]),
        Format::Csv | Format::Parquet => mapped(params, &survey, project),
    }
}

fn at(diag: Diag, params: &Params, name: &str) -> Diag {
    match params.span(name) {
        Some(span) => diag.label(span, "given here"),
        None => diag,
    }
}

fn file(role: &str, path: PathBuf) -> SourceFile {
    SourceFile {
        role: role.into(),
        path,
    }
}

/// `train_log.csv`, `test_log.csv` and `split_NN/{train,test}_full_lightcurves.csv`. A light-curve file
/// may be missing; the report then counts the objects of its split as without light curves.
fn mallorn(params: &Params, root: &Path) -> Result<Layout, Diag> {
    let missing = |what: String| {
        at(Diag::new("flow::data::missing", what), params, "path").help(
            "the folder of MALLORN holds train_log.csv, test_log.csv and split_01/train_full_lightcurves.csv etc.; \
             it is on Kaggle as mallorn-astronomical-classification-challenge",
        )
    };
    let entries = std::fs::read_dir(root)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(|error| {
            missing(format!("cannot list {}: {error}", root.display())).with_source(error)
        })?;
    let names = entries.iter().map(|entry| entry.file_name().into_string());
    let mut splits: Vec<String> = names
        .filter_map(Result::ok)
        .filter(|name| name.starts_with("split_"))
        .collect();
    splits.sort();
    let mut layout = Layout::default();
    for split in &splits {
        for set in SETS {
            let path = root.join(split).join(format!("{set}_full_lightcurves.csv"));
            if path.is_file() {
                layout.shards.push(&Shard {
                    label: format!("{split}/{set}"),
                    item: Value::map([
                        ("set", Value::Str(set.into())),
                        ("split", Value::Str(split.clone())),
                    ]),
                    files: vec![file(CURVES, path)],
                });
            }
        }
    }
    if layout.shards.is_empty() {
        return Err(missing(format!(
            "{} has no light-curve file",
            root.display()
        )));
    }
    for log in LOGS {
        let path = root.join(format!("{log}.csv"));
        if !path.is_file() {
            return Err(missing(format!("{} is missing", path.display())));
        }
        layout.common.push(file(log, path));
    }
    Ok(layout)
}

/// One shard for each split of the demo survey.
fn demo_layout(params: &Params, survey: &IngestParams<'_>) -> Result<Layout, Diag> {
    let splits = demo::splits(survey).map_err(|error| {
        at(
            Diag::new("flow::params::demo", error.to_string()),
            params,
            "format",
        )
        .help(format!("set `{}`", error.remedy()))
        .with_source(error)
    })?;
    if splits.is_empty() {
        return Err(at(
            Diag::new("flow::params::demo", "a survey of no objects"),
            params,
            "labelled",
        ));
    }
    let shards = splits.into_iter().map(|split| Shard {
        label: split.clone(),
        item: Value::map([("split", Value::Str(split))]),
        files: Vec::new(),
    });
    Ok(Layout {
        shards: shards.collect(),
        ..Layout::default()
    })
}

/// Finds files by path, glob or list.
fn mapped(
    params: &Params,
    survey: &IngestParams<'_>,
    project: &Project<'_>,
) -> Result<Layout, Vec<Diag>> {
    let mut diags = Vec::new();
    let mut layout = Layout::default();
    let at_objects = |diag| at(diag, params, OBJECTS);
    for path in expand(OBJECTS, &survey.objects, project, &at_objects, &mut diags) {
        layout.common.push(file(OBJECTS, path));
    }
    let at_curves = |diag| at(diag, params, CURVES);
    for path in expand(CURVES, &survey.curves, project, &at_curves, &mut diags) {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        layout.shards.push(&Shard {
            label: name.clone(),
            // The report shows the name without folders, so that a project can move.
            item: Value::map([("file", Value::Str(name))]),
            files: vec![file(CURVES, path)],
        });
    }
    if diags.is_empty() {
        Ok(layout)
    } else {
        Err(diags)
    }
}

/// The files of a parameter, in the order of their paths.
fn expand(
    name: &str,
    patterns: &[&str],
    project: &Project<'_>,
    at: &dyn Fn(Diag) -> Diag,
    diags: &mut Vec<Diag>,
) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for pattern in patterns {
        match project.find(pattern, Links::Anywhere) {
            Ok(found) if found.is_empty() => {
                let text = project.show(Path::new(&unescape(pattern)));
                let diag = Diag::new("flow::data::missing", format!("no file `{text}`"));
                let root = project.root.display();
                diags
                    .push(at(diag).help(format!("paths are relative to the project root, {root}")));
            }
            Ok(found) => all.extend(found),
            Err(diag) => diags.push(at(*diag)),
        }
    }
    all.sort();
    if let Some(pair) = all.windows(2).find(|pair| pair[0] == pair[1]) {
        let text = format!("`{name}` names {} twice", project.show(&pair[0]));
        diags.push(at(Diag::new("flow::data::file_twice", text)));
    }
    all
}
