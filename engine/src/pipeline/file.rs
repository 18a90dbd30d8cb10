//! A pipeline file that is read but not yet interpreted. Its variants and the trials of a study replace
//! values in it.

use std::path::{Path, PathBuf};

use crate::base::diag::{Diag, Diags, SourceMap, Span};
use crate::base::suggest::did_you_mean;
use crate::kind::stage::Registry;
use crate::pipeline::Pipeline;
use crate::pipeline::load::{LoadOptions, build};
use crate::text::document::{self, Document, Level};
use crate::text::node::{Entry, Item, Node, Table};
use crate::text::variants::{self, BASE, Overlay};

/// Loads and checks the pipeline at `path` (relative to `options.cwd`).
///
/// # Errors
///
/// All that is wrong with it, in the order of its text, ready to be rendered.
pub fn load(path: &Path, options: &LoadOptions, registry: &Registry) -> Result<Pipeline, Diags> {
    PipelineFile::read(path, options)?.pipeline(registry)
}

/// A pipeline file with what it extends and the `--set` overlays.
pub struct PipelineFile {
    path: PathBuf,
    cwd: PathBuf,
    document: Document,
}

/// The pipeline with a variant's values in place.
pub struct Variant {
    /// Its name; [`BASE`] for the pipeline itself.
    pub name: String,
    /// What it replaces, as text: dotted paths and values.
    pub changes: Vec<(String, String)>,
    /// The pipeline.
    pub pipeline: Pipeline,
}

/// One value to replace, such as a study's proposal for a parameter.
#[derive(Clone, Debug)]
pub struct Replace {
    /// Dotted path: `STAGE.PARAM`, or `pipeline.seed`.
    pub path: String,
    /// The value.
    pub value: toml::Value,
    /// The place to which mistakes in it point, such as its line in `[tune.space]`.
    pub span: Span,
}

impl PipelineFile {
    /// Reads the file at `path` (relative to `options.cwd`).
    ///
    /// # Errors
    ///
    /// A file cannot be read, the syntax is wrong, or a `--set` fits nothing.
    pub fn read(path: &Path, options: &LoadOptions) -> Result<Self, Diags> {
        let mut diags = Vec::new();
        let document = document::read(path, &options.sets, &options.cwd, &mut diags);
        if !diags.is_empty() {
            return Err(in_order(diags, &document.sources));
        }
        Ok(Self {
            path: path.to_owned(),
            cwd: options.cwd.clone(),
            document,
        })
    }

    /// Returns the pipeline itself.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, in the order of its text, ready to be rendered.
    pub fn pipeline(&self, registry: &Registry) -> Result<Pipeline, Diags> {
        self.build(&self.document, registry)
            .map_err(|diags| in_order(diags, &self.document.sources))
    }

    /// Returns the base, then those of its variants whose names are `wanted`, in the order of the text.
    ///
    /// # Errors
    ///
    /// The mistakes of all of them, each once. Those that the base does not have say in which variants they
    /// are.
    pub fn variants(
        &self,
        registry: &Registry,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Variant>, Diags> {
        let mut found: Vec<(Diag, Vec<String>)> = Vec::new();
        let mut built = Vec::new();
        match self.build(&self.document, registry) {
            Ok(pipeline) => built.push(Variant {
                name: BASE.to_owned(),
                changes: Vec::new(),
                pipeline,
            }),
            Err(diags) => found.extend(diags.into_iter().map(|diag| (diag, Vec::new()))),
        }
        let of_base = found.len();
        // The base has reported what is wrong with names, inheritance and grids.
        let overlays = variants::expand(&self.document.root, &mut Vec::new());
        for overlay in overlays.into_iter().filter(|o| wanted(&o.name)) {
            match self.with_values(overlay.values.clone(), registry) {
                Ok(pipeline) => built.push(Variant {
                    changes: overlay.changes(),
                    name: overlay.name,
                    pipeline,
                }),
                Err(diags) => note(&mut found, of_base, &overlay.name, diags),
            }
        }
        if found.is_empty() {
            return Ok(built);
        }
        let found = found.into_iter().map(|(diag, names)| match names.len() {
            0 => diag,
            1 => diag.help(format!("in the variant `{}`", names[0])),
            n => diag.help(format!("in the variant `{}` and {} more", names[0], n - 1)),
        });
        Err(in_order(found.collect(), &self.document.sources))
    }

    /// Returns the variant called `name`.
    ///
    /// # Errors
    ///
    /// There is no variant of that name, or it has mistakes.
    pub fn variant(&self, name: &str, registry: &Registry) -> Result<Pipeline, Diags> {
        if name == BASE {
            return self.pipeline(registry);
        }
        let mut diags = Vec::new();
        let overlays = variants::expand(&self.document.root, &mut diags);
        if diags.is_empty() {
            match overlays.iter().find(|overlay| overlay.name == name) {
                Some(found) => match self.with_values(found.values.clone(), registry) {
                    Ok(pipeline) => return Ok(pipeline),
                    Err(mistakes) => diags = mistakes,
                },
                None => diags.push(unknown(name, &overlays)),
            }
        }
        Err(in_order(diags, &self.document.sources))
    }

    /// Returns the names of the variants, in the order of the text.
    ///
    /// # Errors
    ///
    /// What is wrong with names, inheritance and grids.
    pub fn names(&self) -> Result<Vec<String>, Diags> {
        let mut diags = Vec::new();
        let overlays = variants::expand(&self.document.root, &mut diags);
        if !diags.is_empty() {
            return Err(in_order(diags, &self.document.sources));
        }
        Ok(overlays.into_iter().map(|overlay| overlay.name).collect())
    }

    /// Returns the pipeline with some values replaced, as a variant replaces them.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, in the order of its text, ready to be rendered.
    pub fn with(&self, values: &[Replace], registry: &Registry) -> Result<Pipeline, Diags> {
        let mut over = Table::default();
        for replace in values {
            let node = node_of(&replace.value, replace.span);
            let one = variants::nested(&replace.path, replace.span, node);
            document::merge(&mut over, one, Level::Stages);
        }
        self.with_values(over, registry)
            .map_err(|diags| in_order(diags, &self.document.sources))
    }

    fn with_values(&self, values: Table, registry: &Registry) -> Result<Pipeline, Diags> {
        let mut document = self.document.clone();
        // What the variants replace was checked with the base.
        document.root.remove("variants");
        document.root.remove("tune");
        let mut diags = Vec::new();
        for entry in values.into_entries() {
            document::lay(&mut document.root, entry, &mut diags);
        }
        let built = self.build(&document, registry);
        if diags.is_empty() {
            return built;
        }
        diags.extend(built.err().unwrap_or_default());
        Err(diags)
    }

    fn build(&self, document: &Document, registry: &Registry) -> Result<Pipeline, Diags> {
        let mut diags = Vec::new();
        let built = build(&self.path, &self.cwd, registry, document, &mut diags);
        built.ok_or(diags)
    }
}

/// Adds the mistakes of one variant to those found. The base has the first `of_base` of these, too.
fn note(found: &mut Vec<(Diag, Vec<String>)>, of_base: usize, name: &str, diags: Diags) {
    for diag in diags {
        let same = found.iter().position(|(known, _)| {
            known.code == diag.code && known.message == diag.message && known.labels == diag.labels
        });
        match same {
            Some(at) if at < of_base => {}
            Some(at) => found[at].1.push(name.to_owned()),
            None => found.push((diag, vec![name.to_owned()])),
        }
    }
}

/// Sorts diagnostics into the order of the text. The sort is stable, so causes stay before consequences.
fn in_order(mut diags: Diags, sources: &SourceMap) -> Diags {
    diags.sort_by_key(|diag| {
        let first = diag.labels.first();
        first.map(|(span, _)| (span.source.0, span.start))
    });
    diags
        .into_iter()
        .map(|diag| diag.resolve(sources))
        .collect()
}

fn unknown(name: &str, overlays: &[Overlay]) -> Diag {
    let diag = Diag::new(
        "flow::variants::unknown",
        format!("there is no variant `{name}`"),
    );
    let names = overlays.iter().map(|overlay| overlay.name.as_str());
    did_you_mean(diag, name, names.chain([BASE]), "variants")
}

fn node_of(value: &toml::Value, span: Span) -> Node {
    let item = match value {
        toml::Value::Boolean(v) => Item::Bool(*v),
        toml::Value::Integer(v) => Item::Int(*v),
        toml::Value::Float(v) => Item::Float(*v),
        toml::Value::String(v) => Item::Str(v.clone()),
        toml::Value::Datetime(v) => Item::Datetime(v.to_string()),
        toml::Value::Array(items) => {
            Item::List(items.iter().map(|item| node_of(item, span)).collect())
        }
        toml::Value::Table(entries) => {
            let mut table = Table::default();
            for (key, value) in entries {
                let _ = table.add(Entry {
                    key: key.clone(),
                    key_span: span,
                    node: node_of(value, span),
                });
            }
            Item::Table(table)
        }
    };
    Node { item, span }
}
