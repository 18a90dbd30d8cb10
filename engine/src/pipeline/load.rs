//! From a file to a [`Pipeline`], with everything that is wrong with it collected on the way.

use crate::pipeline::sections::STAGE_KEYS;
use crate::text::expect;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::diag::{Diag, Diags, SourceId, Span};
use crate::base::files::{Destination, Project, unescape};
use crate::base::suggest::{closest, did_you_mean};
use crate::kind::check::{self, Context};
use crate::kind::lineage::Lineage;
use crate::kind::params::Params;
use crate::kind::shards::{FileRef, Shards};
use crate::kind::spec::{KindSpec, Ports, Step};
use crate::kind::stage::{Layout, Registry, Stage};
use crate::pipeline::graph;
use crate::pipeline::lineage::{self};
use crate::pipeline::outputs;
use crate::pipeline::resolve::{self, Reader, Targets, Wanted};
use crate::pipeline::sections;
use crate::pipeline::study;
use crate::pipeline::{Binding, Pipeline, StageDecl};
use crate::text::document::Document;
use crate::text::node::{Entry, Item, Table};
use crate::text::variants;

/// How to load a pipeline.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `STAGE.PARAM=VALUE` overlays, applied in order.
    pub sets: Vec<String>,
    /// The working directory, absolute: paths on the command line are relative to it.
    pub cwd: PathBuf,
}

/// The project root of a pipeline file: the nearest ancestor that holds `flow.toml`, `.flow` or
/// `.git`, else the file's own directory.
pub fn project_root(file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(Path::new("/"));
    let marked = |dir: &&Path| {
        ["flow.toml", ".flow", ".git"]
            .iter()
            .any(|mark| dir.join(mark).exists())
    };
    own.ancestors().find(marked).unwrap_or(own).to_path_buf()
}

/// A stage on the way to a [`StageDecl`].
struct Draft {
    name: String,
    span: Span,
    /// None where `inputs` is not a table.
    wanted: Option<Vec<Wanted>>,
    /// None where the kind is not known.
    body: Option<Body>,
}

impl Draft {
    /// Where the stage names a file: a parameter if that says no more, else the stage.
    fn place_of(&self, path: &Path) -> Span {
        let mut named = self.body.iter().flat_map(|body| {
            let params = body.spec.params.iter().map(|param| param.name);
            let own = params.filter(|name| {
                let texts = body.params.strs(name).into_iter();
                texts.map(unescape).any(|text| path == Path::new(&text))
            });
            own.filter_map(|name| body.params.span(name))
        });
        named.next().unwrap_or(self.span)
    }

    /// The names of the input ports that the pipeline gives.
    fn ports(&self) -> Vec<String> {
        let wanted = self.wanted.iter().flatten();
        wanted.map(|want| want.port.clone()).collect()
    }
}

struct Body {
    kind: Arc<dyn Stage>,
    spec: KindSpec,
    params: Params,
    seed: Option<u64>,
    clean: bool,
    /// None where a mistake in the parameters hides it.
    shape: Option<(Ports, Vec<Step>)>,
}

/// Builds the pipeline of a document that was read from `path` in the working directory `cwd`.
/// None where there is a mistake; `diags`, empty before, says which.
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
    if let Some(odd) = [root.as_path(), cwd]
        .into_iter()
        .find(|path| path.to_str().is_none())
    {
        let message = format!("the path of the folder `{}` is not UTF-8", odd.display());
        diags.push(
            Diag::new("flow::pipeline::root", message)
                .help("rename the folder: paths in a pipeline are text, and are joined to it"),
        );
        return None;
    }
    let sections = [
        "pipeline", "stages", "outputs", "metrics", "variants", "tune",
    ];
    for entry in document.root.iter() {
        if !sections.contains(&entry.key.as_str()) {
            diags.push(expect::unknown_key(entry, "a pipeline", &sections));
        }
    }
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
    let targets = Targets::new(drafts.iter().map(|draft| {
        let shape = draft.body.as_ref().and_then(|body| body.shape.as_ref());
        (
            draft.name.as_str(),
            shape.map(|(ports, _)| ports.outputs.as_slice()),
        )
    }));
    let mut reads = Vec::with_capacity(drafts.len());
    let mut inputs = Vec::with_capacity(drafts.len());
    for draft in &drafts {
        let mut from = Vec::new();
        inputs.push(bind(draft, &targets, &mut from, diags));
        reads.push(from);
    }
    let names: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
    let order = graph::order(&reads, &names);
    let outputs = outputs::read(document, &targets, &root, header.outside, diags);
    let metrics = |stage: usize| {
        let body = drafts[stage].body.as_ref();
        body.map_or_else(Vec::new, |body| body.kind.metrics())
    };
    let headline = sections::headline(&document.root, &targets, &metrics, diags);
    if let Some((stage, metric, span)) = &headline
        && let Some(body) = &drafts[*stage].body
    {
        let unknown = sections::unknown_metric(&targets, &metrics, *stage, metric, *span);
        diags.extend(unknown);
        diags.extend(lineage::headline(
            &*body.kind,
            &drafts[*stage].name,
            metric,
            *span,
        ));
    }
    let known = |stage: usize| drafts[stage].body.as_ref().map(|body| &body.spec);
    variants::expand(&document.root, diags);
    sections::overlays(&document.root, &targets, &known, diags);
    let tune = study::read(&document.root, &targets, diags);
    if let Some(objective) = tune.as_ref().and_then(|tune| tune.objective.as_ref())
        && let Some(stage) = drafts.iter().position(|draft| draft.name == objective.stage)
        // That a stage has no metrics at all, the study says.
        && !metrics(stage).is_empty()
    {
        let (metric, span) = (&objective.metric, objective.span);
        let unknown = sections::unknown_metric(&targets, &metrics, stage, metric, span);
        diags.extend(unknown);
    }
    // In order, so that whoever pairs with the items of another stage finds them known.
    let mut layouts: Vec<Option<Layout>> = vec![None; drafts.len()];
    let mut pairs = vec![None; drafts.len()];
    let file_order = || (0..drafts.len()).collect();
    let project = Project {
        root: &root,
        outputs: &outputs.places,
    };
    for stage in order.as_ref().map_or_else(|_| file_order(), Vec::clone) {
        pairs[stage] = paired(&drafts[stage], &targets, &reads[stage], diags);
        let with = pairs[stage].and_then(|with| layouts[with].as_ref());
        let layout = layout(&drafts[stage], &project, with, diags);
        layouts[stage] = layout;
    }
    if !outputs.places.is_empty() {
        sources_are_kept(&outputs.places, &drafts, &layouts, &project, diags);
    }
    let order = order.map_err(|cycles| diags.extend(cycles)).ok()?;
    if !diags.is_empty() {
        return None;
    }

    let mut place = vec![0; order.len()];
    for (position, &stage) in order.iter().enumerate() {
        place[stage] = position;
    }
    let mut decls: Vec<Option<StageDecl>> = Vec::with_capacity(drafts.len());
    let found = drafts.into_iter().zip(inputs).zip(layouts).zip(pairs);
    for (((draft, mut inputs), layout), paired) in found {
        for reference in inputs.iter_mut().flat_map(|binding| &mut binding.from) {
            reference.stage = place[reference.stage];
        }
        let paired = paired.map(|with| place[with]);
        decls.push(declare(draft, header.seed, inputs, layout, paired));
    }
    let stages: Option<Vec<StageDecl>> = order.iter().map(|&stage| decls[stage].take()).collect();
    let mut pipeline = Pipeline {
        name: header.name,
        root,
        file,
        stages: stages?,
        outputs: outputs.decls,
        headline: headline.map(|(stage, metric, _)| (place[stage], metric)),
        tune,
        sources: document.sources.clone(),
    };
    for output in &mut pipeline.outputs {
        output.from.stage = place[output.from.stage];
    }
    diags.extend(graph::scopes(&mut pipeline));
    diags.extend(outputs::undeliverable(&pipeline));
    lineage::trace(&mut pipeline, diags);
    diags.is_empty().then_some(pipeline)
}

/// Holds the outputs against the files that the stages read.
fn sources_are_kept(
    places: &[Destination],
    drafts: &[Draft],
    layouts: &[Option<Layout>],
    project: &Project<'_>,
    diags: &mut Diags,
) {
    for (draft, layout) in drafts.iter().zip(layouts) {
        let Some(layout) = layout else {
            continue;
        };
        let common = layout.common.iter().map(FileRef::from);
        let of_shards = layout.shards.iter().flat_map(|shard| shard.files());
        let files = common.chain(of_shards);
        let said = |path: &Path| (project.show(path), draft.place_of(path));
        outputs::against_sources(places, files, said, diags);
    }
}

fn drafts(
    document: &Document,
    registry: &Registry,
    context: Context<'_>,
    diags: &mut Diags,
) -> Vec<Draft> {
    let Some(stages) = expect::table(&document.root, "stages", diags) else {
        if diags.is_empty() {
            let top = Span::new(SourceId(0), 0..0);
            diags.push(
                Diag::new("flow::pipeline::empty", "the pipeline has no stages")
                    .label(top, "no stages here")
                    .help("for a start, generated data:\n[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\""),
            );
        }
        return Vec::new();
    };
    let stages = stages.iter();
    stages
        .map(|entry| draft(entry, registry, context, diags))
        .collect()
}

fn draft(entry: &Entry, registry: &Registry, context: Context<'_>, diags: &mut Diags) -> Draft {
    let mut draft = Draft {
        name: entry.key.clone(),
        span: entry.key_span,
        wanted: Some(Vec::new()),
        body: None,
    };
    check_name(entry, diags);
    let Item::Table(table) = &entry.node.item else {
        diags.push(expect::wrong(
            entry,
            "a table with `use`, `inputs` and parameters",
        ));
        return draft;
    };
    if let Some(inputs) = table.get("inputs") {
        match &inputs.node.item {
            Item::Table(inputs) => draft.wanted = Some(resolve::read_inputs(inputs, diags)),
            _ => {
                draft.wanted = None;
                let wrong = expect::wrong(inputs, "a table from ports to stages");
                diags.push(match (&inputs.node.item, first_port(table, registry)) {
                    (Item::Str(stage), Some(port)) => {
                        wrong.help(format!("inputs = {{ {port} = {stage:?} }}"))
                    }
                    _ => wrong,
                });
            }
        }
    }
    let Some(kind) = kind(entry, table, registry, diags) else {
        return draft;
    };
    let spec = kind.spec();
    // A kind may have a parameter of that name; then it is that.
    let own_seed = spec.params.iter().any(|param| param.name == "seed");
    let seed_entry = table.get("seed").filter(|_| !own_seed);
    let seed = seed_entry.and_then(|entry| sections::seed(entry, diags));
    let given: Vec<&Entry> = table
        .iter()
        .filter(|e| !STAGE_KEYS.contains(&e.key.as_str()) || (own_seed && e.key == "seed"))
        .collect();
    let context = Context {
        keys: if spec.steps.iter().any(|step| step.seeded) {
            &STAGE_KEYS
        } else {
            &STAGE_KEYS[..2]
        },
        ..context
    };
    let checked = check::check(spec.name, &spec.params, &given, draft.span, context, diags);
    let shape = checked
        .usable
        .then(|| kind.shape(&checked.params, &draft.ports()));
    // Whether a stage draws random numbers can depend on its parameters, hence on its shape.
    let seeded = shape
        .as_ref()
        .is_none_or(|(_, steps)| steps.iter().any(|step| step.seeded));
    if let (Some(seed), false) = (seed_entry, seeded) {
        diags.push(
            Diag::new(
                "flow::pipeline::unknown_key",
                format!("`{}` draws no random numbers here", spec.name),
            )
            .label(seed.key_span, "has no effect")
            .help("remove `seed`"),
        );
    }
    draft.body = Some(Body {
        kind: Arc::clone(kind),
        spec,
        params: checked.params,
        seed,
        clean: checked.clean && draft.wanted.is_some(),
        shape,
    });
    draft
}

/// The input that a stage's kind names first.
fn first_port(table: &Table, registry: &Registry) -> Option<String> {
    let Item::Str(kind) = &table.get("use")?.node.item else {
        return None;
    };
    let ports = registry.get(kind)?.spec().ports;
    ports.inputs.into_iter().next().map(|port| port.name)
}

fn check_name(entry: &Entry, diags: &mut Diags) {
    let sound = !entry.key.is_empty()
        && entry.key != "pipeline"
        && entry
            .key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !sound {
        diags.push(
            Diag::new(
                "flow::pipeline::name",
                format!("a stage cannot be called {:?}", entry.key),
            )
            .label(entry.key_span, "this name")
            .help("a name has letters, digits, `_` and `-`; `pipeline` is taken"),
        );
    }
}

fn kind<'r>(
    entry: &Entry,
    table: &Table,
    registry: &'r Registry,
    diags: &mut Diags,
) -> Option<&'r Arc<dyn Stage>> {
    let Some(name) = table.get("use") else {
        // A stage is often called by its kind.
        let kind = closest(&entry.key, registry.iter().map(|(name, _)| name));
        diags.push(
            Diag::new(
                "flow::pipeline::missing_key",
                format!("the stage `{}` does not say what it runs", entry.key),
            )
            .label(entry.key_span, "`use` is missing")
            .help(match kind {
                Some(kind) => format!("use = {kind:?}"),
                None => "`flow stages` lists the kinds that `use` can name".to_owned(),
            }),
        );
        return None;
    };
    let Item::Str(word) = &name.node.item else {
        diags.push(expect::wrong(name, "the name of a kind"));
        return None;
    };
    let kind = registry.get(word);
    if kind.is_none() {
        let diag = Diag::new(
            "flow::pipeline::unknown_kind",
            format!("there is no kind `{word}`"),
        )
        .label(name.node.span, "unknown kind");
        let known = registry.iter().map(|(name, _)| name);
        let diag = did_you_mean(diag, word, known, "kinds");
        diags.push(diag.help("`flow stages` describes the kinds"));
    }
    kind
}

fn bind(
    draft: &Draft,
    targets: &Targets<'_>,
    reads: &mut Vec<(usize, Span)>,
    diags: &mut Diags,
) -> Vec<Binding> {
    let Some(wanted) = &draft.wanted else {
        return Vec::new();
    };
    let body = draft.body.as_ref();
    let ports = body
        .and_then(|body| body.shape.as_ref())
        .map(|(ports, _)| ports.inputs.as_slice());
    let kind = body.map_or("", |body| body.spec.name);
    let reader = Reader {
        name: &draft.name,
        kind,
        at: draft.span,
    };
    resolve::bind(reader, wanted, ports, targets, reads, diags)
}

/// The stage whose items a stage pairs with: one that it reads.
fn paired(
    draft: &Draft,
    targets: &Targets<'_>,
    reads: &[(usize, Span)],
    diags: &mut Diags,
) -> Option<usize> {
    let body = draft.body.as_ref().filter(|body| body.clean)?;
    let name = body.kind.paired(&body.params)?;
    let span = body.params.span("each").unwrap_or(draft.span);
    let stage = targets.stage(&name, span, diags)?;
    if reads.iter().any(|(read, _)| *read == stage) {
        return Some(stage);
    }
    let message = format!("`{}` pairs with `{name}`, but does not read it", draft.name);
    diags.push(
        Diag::new("flow::pipeline::pair", message)
            .label(span, "not among its inputs")
            .help(resolve::inputs_with(
                draft.wanted.as_deref().unwrap_or_default(),
                [(name.as_ref(), format!("{name:?}"))],
            )),
    );
    None
}

/// Asks the kind of a stage without mistakes for its own checks, then for its files.
fn layout(
    draft: &Draft,
    project: &Project<'_>,
    paired: Option<&Layout>,
    diags: &mut Diags,
) -> Option<Layout> {
    let body = draft.body.as_ref().filter(|body| body.clean)?;
    let none = Shards::default();
    let shards = paired.map_or(&none, |layout| &layout.shards);
    let mut found = body.kind.check_paired(&body.params, &draft.ports(), shards);
    if let (Some(name), Some(layout)) = (body.kind.paired(&body.params), paired)
        && !layout.items
    {
        let diag = Diag::new(
            "flow::pipeline::pair",
            format!("stage `{name}` has no items to pair with"),
        )
        .help("give that stage items: each = { i = { range = [0, 10] } }");
        found.push(match body.params.span("each") {
            Some(span) => diag.label(span, "has no items"),
            None => diag,
        });
    }
    let layout = if found.is_empty() {
        body.kind
            .layout(&body.params, project, shards)
            .map_err(|errors| found.extend(errors))
            .ok()
            .map(|mut layout| {
                layout.shards.shrink_to_fit();
                layout
            })
    } else {
        None
    };
    diags.extend(found.into_iter().map(|diag| {
        if diag.labels.is_empty() {
            diag.label(draft.span, "in this stage")
        } else {
            diag
        }
    }));
    layout
}

fn declare(
    draft: Draft,
    pipeline_seed: u64,
    inputs: Vec<Binding>,
    layout: Option<Layout>,
    paired: Option<usize>,
) -> Option<StageDecl> {
    let body = draft.body?;
    let (ports, steps) = body.shape?;
    Some(StageDecl {
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
        paired,
        fold_root: None,
        lineage: Lineage::default(),
        shard_root: None,
        step_dims: Vec::new(),
        dims: Vec::new(),
        span: draft.span,
    })
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
