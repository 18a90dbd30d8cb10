//! From a file to a [`Pipeline`], with everything that is wrong with it collected on the way.
//!
//! [`build`] goes through the phases in order. `draft` checks each stage against its kind alone, `layout`
//! asks the kinds for files, shards and folds, and `resolved` writes the whole as one text. The rules about
//! references, the graph, folds and single sections lie in the files of the folder above, and are only called
//! from here. As many phases as possible run in spite of mistakes, so that the user sees them all at once. Begin
//! with [`build`].

mod draft;
mod layout;
mod resolved;

use std::path::{Path, PathBuf};

use crate::base::diag::{Diag, Diags, Span};
use crate::base::files::Project;
use crate::kind::check::Context;
use crate::kind::lineage::Lineage;
use crate::kind::stage::Registry;
use crate::pipeline::resolve::{self, Reader, Targets};
use crate::pipeline::sections::{self, STAGE_KEYS};
use crate::pipeline::study::{self, Tune};
use crate::pipeline::{Binding, OutputSource, Pipeline, StageDecl, graph, lineage, outputs};
use crate::text::document::Document;
use crate::text::variants;

use draft::{Draft, drafts};
use layout::{Layouts, lay_out};

/// How to load a pipeline.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `STAGE.PARAM=VALUE` overlays, applied in order.
    pub sets: Vec<String>,
    /// The working directory as an absolute path. Paths on the command line are relative to it.
    pub cwd: PathBuf,
}

/// Returns the project root of a pipeline file: the nearest ancestor that holds `flow.toml`, `.flow` or
/// `.git`, or else the file's own directory.
pub fn project_root(file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(Path::new("/"));
    let marked = |dir: &&Path| {
        ["flow.toml", ".flow", ".git"]
            .iter()
            .any(|mark| dir.join(mark).exists())
    };
    own.ancestors().find(marked).unwrap_or(own).to_path_buf()
}

/// Builds the pipeline of a document that was read from `path` in the working directory `cwd`. Returns none
/// if there is a mistake, and `diags`, which is empty at first, says which.
pub fn build(
    path: &Path,
    cwd: &Path,
    registry: &Registry,
    document: &Document,
    diags: &mut Diags,
) -> Option<Pipeline> {
    let file = cwd.join(path);
    let file = file.canonicalize().unwrap_or(file);
    let root = project_root(&file);
    if let Some(diag) = not_text([root.as_path(), cwd]) {
        diags.push(diag);
        return None;
    }
    sections::known(&document.root, diags);
    let header = sections::header(&document.root, &file, diags);
    let is_set = |span| document.is_set(span);
    let env = |name: &str| std::env::var(name).ok();
    let context = Context {
        root: &root,
        cwd,
        is_set: &is_set,
        keys: &STAGE_KEYS,
        env: &env,
    };
    let drafts = drafts(document, registry, context, diags);
    let targets = targets(&drafts);
    let bind_one = |draft| bind(draft, &targets, diags);
    let (inputs, reads): (Vec<_>, Vec<_>) = drafts.iter().map(bind_one).unzip();
    let names: Vec<&str> = drafts.iter().map(|draft| &*draft.name).collect();
    let order = graph::order(&reads, &names);
    let outputs = outputs::read(document, &targets, &root, header.outside, diags);
    let (headline, study) = looked_at(document, &drafts, &targets, diags);
    let project = Project {
        root: &root,
        outputs: &outputs.places,
    };
    let in_file = || (0..drafts.len()).collect();
    let in_order = order.as_ref().map_or_else(|_| in_file(), Vec::clone);
    let (layouts, wrong) = lay_out(&drafts, &targets, &reads, in_order.into_iter(), &project);
    diags.extend(wrong);
    let order = order.map_err(|cycles| diags.extend(cycles)).ok()?;
    let text = resolved::text(document, &header.name, &drafts, context);
    let place = diags.is_empty().then(|| places(&order))?;
    let mut pipeline = Pipeline {
        name: header.name,
        root,
        file,
        stages: declare(drafts, inputs, layouts, &order, header.seed)?,
        outputs: outputs.decls,
        headline: headline.map(|(stage, metric)| (place[stage], metric)),
        tune: study,
        sources: document.sources.clone(),
        text,
    };
    for output in &mut pipeline.outputs {
        if let OutputSource::Port(from) = &mut output.from {
            from.stage = place[from.stage];
        }
    }
    sound(pipeline, diags)
}

/// Works out scopes and lineage, and returns the pipeline if nothing is wrong with them.
fn sound(mut pipeline: Pipeline, diags: &mut Diags) -> Option<Pipeline> {
    diags.extend(graph::scopes(&mut pipeline));
    diags.extend(outputs::undeliverable(&pipeline));
    lineage::trace(&mut pipeline, diags);
    diags.is_empty().then_some(pipeline)
}

/// What references can hit.
fn targets(drafts: &[Draft]) -> Targets<'_> {
    Targets::new(drafts.iter().map(|draft| {
        let shape = draft.body.as_ref().and_then(|body| body.shape.as_ref());
        let outputs = shape.map(|(ports, _)| ports.outputs.as_slice());
        (draft.name.as_str(), outputs)
    }))
}

/// The diagnostic for a folder whose path is not valid text.
fn not_text(folders: [&Path; 2]) -> Option<Diag> {
    let odd = folders.into_iter().find(|path| path.to_str().is_none())?;
    let message = format!("the path of the folder `{}` is not UTF-8", odd.display());
    Some(
        Diag::new("flow::pipeline::root", message)
            .help("rename the folder: paths in a pipeline are text, and are joined to it"),
    )
}

/// Reads what the pipeline is judged by: its headline and its study.
fn looked_at(
    document: &Document,
    drafts: &[Draft],
    targets: &Targets<'_>,
    diags: &mut Diags,
) -> (Option<(usize, String)>, Option<Tune>) {
    let metrics = |stage: usize| {
        let body = drafts[stage].body.as_ref();
        body.map_or_else(Vec::new, |body| body.kind.metrics())
    };
    let unknown =
        |stage, metric, span| sections::unknown_metric(targets, &metrics, stage, metric, span);
    let headline = sections::headline(&document.root, targets, &metrics, diags);
    if let Some((stage, metric, span)) = &headline
        && let Some(body) = &drafts[*stage].body
    {
        let name = &drafts[*stage].name;
        diags.extend(unknown(*stage, metric, *span));
        diags.extend(lineage::headline(&*body.kind, name, metric, *span));
    }
    let known = |stage: usize| drafts[stage].body.as_ref().map(|body| &body.spec);
    variants::expand(&document.root, diags);
    sections::overlays(&document.root, targets, &known, diags);
    let study = study::read(&document.root, targets, diags);
    if let Some(objective) = study.as_ref().and_then(|study| study.objective.as_ref())
        && let Some(stage) = drafts.iter().position(|draft| draft.name == objective.stage)
        // The study reports a stage that has no metrics at all.
        && !metrics(stage).is_empty()
    {
        diags.extend(unknown(stage, &objective.metric, objective.span));
    }
    let headline = headline.map(|(stage, metric, _)| (stage, metric));
    (headline, study)
}

/// Returns, by stage of the file, its place in the pipeline.
fn places(order: &[usize]) -> Vec<usize> {
    let mut place = vec![0; order.len()];
    for (position, &stage) in order.iter().enumerate() {
        place[stage] = position;
    }
    place
}

/// Binds the inputs of a stage. The second list has every stage that it names, with the place.
fn bind(
    draft: &Draft,
    targets: &Targets<'_>,
    diags: &mut Diags,
) -> (Vec<Binding>, Vec<(usize, Span)>) {
    let mut reads = Vec::new();
    let Some(wanted) = &draft.wanted else {
        return (Vec::new(), reads);
    };
    let body = draft.body.as_ref();
    let ports = body
        .and_then(|body| body.shape.as_ref())
        .map(|(ports, _)| ports.inputs.as_slice());
    let reader = Reader {
        name: &draft.name,
        kind: body.map_or("", |body| body.spec.name),
        at: draft.span,
        ports,
    };
    let bindings = resolve::bind(reader, wanted, targets, &mut reads, diags);
    (bindings, reads)
}

/// Returns the stages in order. Each refers to the stages that it reads by their place in this order.
fn declare(
    drafts: Vec<Draft>,
    inputs: Vec<Vec<Binding>>,
    found: Layouts,
    order: &[usize],
    pipeline_seed: u64,
) -> Option<Vec<StageDecl>> {
    let place = places(order);
    let mut decls: Vec<Option<StageDecl>> = Vec::with_capacity(drafts.len());
    let found = found.layouts.into_iter().zip(found.pairs);
    for ((draft, mut inputs), (layout, paired)) in drafts.into_iter().zip(inputs).zip(found) {
        for reference in inputs.iter_mut().flat_map(|binding| &mut binding.from) {
            reference.stage = place[reference.stage];
        }
        let body = draft.body?;
        let (ports, steps) = body.shape?;
        decls.push(Some(StageDecl {
            name: draft.name,
            kind: body.kind,
            spec: body.spec,
            ports,
            steps,
            params: body.params,
            pipeline_seed,
            seed: body.seed,
            inputs,
            layout: layout?,
            paired: paired.map(|with| place[with]),
            fold_root: None,
            lineage: Lineage::default(),
            shard_root: None,
            step_dims: Vec::new(),
            dims: Vec::new(),
            span: draft.span,
        }));
    }
    order.iter().map(|&stage| decls[stage].take()).collect()
}

#[cfg(test)]
mod tests;
