//! A stage as it is in the text, checked against its kind alone.

use std::path::Path;
use std::sync::Arc;

use crate::base::diag::{Diag, Diags, SourceId, Span};
use crate::base::files::unescape;
use crate::base::suggest::{closest, did_you_mean};
use crate::kind::check::{self, Context};
use crate::kind::params::Params;
use crate::kind::spec::{KindSpec, Ports, Step};
use crate::kind::stage::{Registry, Stage};
use crate::pipeline::resolve::{self, Wanted};
use crate::pipeline::sections::{self, STAGE_KEYS};
use crate::text::document::Document;
use crate::text::expect;
use crate::text::node::{Entry, Item, Table};

/// A stage that is to become a [`StageDecl`](crate::pipeline::StageDecl).
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) span: Span,
    /// None if `inputs` is not a table.
    pub(super) wanted: Option<Vec<Wanted>>,
    /// None if the kind is not known.
    pub(super) body: Option<Body>,
}

impl Draft {
    /// Returns where the stage names a file: the parameter that stands for exactly this file, or else the
    /// stage.
    pub(super) fn place_of(&self, path: &Path) -> Span {
        let mut named = self.body.iter().flat_map(|body| {
            let params = body.spec.params.iter().map(|param| param.name);
            let own = params.filter(|name| {
                let texts = body.params.read::<Vec<&str>>(name).into_iter();
                texts.map(unescape).any(|text| path == Path::new(&text))
            });
            own.filter_map(|name| body.params.span(name))
        });
        named.next().unwrap_or(self.span)
    }

    /// Returns the names of the input ports that the pipeline gives.
    pub(super) fn ports(&self) -> Vec<String> {
        let wanted = self.wanted.iter().flatten();
        wanted.map(|want| want.port.clone()).collect()
    }
}

/// What a stage says, checked against its kind.
pub(super) struct Body {
    pub(super) kind: Arc<dyn Stage>,
    pub(super) spec: KindSpec,
    pub(super) params: Params,
    pub(super) seed: Option<u64>,
    pub(super) clean: bool,
    /// None if a mistake in the parameters hides it.
    pub(super) shape: Option<(Ports, Vec<Step>)>,
}

/// Reads `[stages]`.
pub(super) fn drafts(
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
    draft.wanted = wanted(table, registry, diags);
    if let Some(kind) = kind(entry, table, registry, diags) {
        draft.body = Some(body(kind, &draft, table, context, diags));
    }
    draft
}

/// Returns what a stage reads, or none if `inputs` is not a table.
fn wanted(table: &Table, registry: &Registry, diags: &mut Diags) -> Option<Vec<Wanted>> {
    let Some(inputs) = table.get("inputs") else {
        return Some(Vec::new());
    };
    if let Item::Table(inputs) = &inputs.node.item {
        return Some(resolve::read_inputs(inputs, diags));
    }
    let wrong = expect::wrong(inputs, "a table from ports to stages");
    diags.push(match (&inputs.node.item, first_port(table, registry)) {
        (Item::Str(stage), Some(port)) => wrong.help(format!("inputs = {{ {port} = {stage:?} }}")),
        _ => wrong,
    });
    None
}

/// Checks the parameters of a stage against its kind.
fn body(
    kind: &Arc<dyn Stage>,
    draft: &Draft,
    table: &Table,
    context: Context<'_>,
    diags: &mut Diags,
) -> Body {
    let spec = kind.spec();
    // A kind may have its own parameter of that name. It then takes precedence.
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
    let checked = check::check(&spec, &given, draft.span, context, diags);
    let shape = checked
        .usable
        .then(|| kind.shape(&checked.params, &draft.ports()));
    // Whether a stage draws random numbers can depend on its parameters, and so on its shape.
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
    Body {
        kind: Arc::clone(kind),
        spec,
        params: checked.params,
        seed,
        clean: checked.clean && draft.wanted.is_some(),
        shape,
    }
}

/// Returns the input that a stage's kind names first.
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
        // A stage is often named after its kind.
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
