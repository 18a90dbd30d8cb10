//! The texts of a pipeline as one tree: the file, what it `extends`, and the `--set` overlays.
//!
//! Tables are merged and everything else is replaced. A stage that restates `use` replaces the whole stage.
//! Quoted and bare dotted keys mean the same wherever a key is a path: under `stages` (`"rocket.kernels"`),
//! in a variant, and in `tune.space`.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::diag::{Diag, Diags, SourceMap, Span};
use crate::base::suggest::did_you_mean;
use crate::text::expect;
use crate::text::node::{self, Entry, Item, Node, Table};
use crate::text::unread;

/// The key of a variant that holds lists of values to combine.
pub const GRID: &str = "grid";

/// The most segments that a dotted key may have. This keeps the tree shallow whatever the text says.
const MAX_SEGMENTS: usize = 16;

/// A pipeline's tree, merged, before anything in it is understood.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The merged tree.
    pub root: Table,
    /// The texts that it came from.
    pub sources: SourceMap,
    /// The files among them, without links: the pipeline's own first, then those that it extends.
    pub files: Vec<PathBuf>,
    /// Names of the outputs that come from files that it extends.
    pub inherited_outputs: Vec<String>,
    /// Number of the first text that is a `--set`. Those before it are files.
    first_set: u32,
}

impl Document {
    /// Returns true if the value was given with `--set`.
    pub fn is_set(&self, span: Span) -> bool {
        span.source.0 >= self.first_set
    }

    /// Returns the file that a place is in, if it is one that the pipeline extends.
    pub fn base_of(&self, span: Span) -> Option<&str> {
        let base = span.source.0 > 0 && !self.is_set(span);
        let source = self.sources.get(span.source).filter(|_| base)?;
        Some(source.name())
    }
}

/// Reads `path`, follows `extends`, and applies `sets` in order.
///
/// Diagnostics are added to `diags`. A tree with syntax errors is not worth checking further.
pub fn read(path: &Path, sets: &[String], cwd: &Path, diags: &mut Diags) -> Document {
    let mut document = Document::default();
    let layers = read_files(path, cwd, &mut document, diags);
    for layer in layers.into_iter().rev() {
        if let Some(outputs) = table_of(&document.root, "outputs") {
            document.inherited_outputs = outputs.iter().map(|entry| entry.key.clone()).collect();
        }
        merge(&mut document.root, layer, Level::Root);
    }
    document.first_set = document.sources.len();
    if diags.is_empty() {
        for set in sets {
            apply_set(&mut document, set, diags);
        }
    }
    document
}

/// Reads the trees of the file and of those that it extends, the file first.
fn read_files(path: &Path, cwd: &Path, document: &mut Document, diags: &mut Diags) -> Vec<Table> {
    let mut layers = Vec::new();
    let mut seen: Vec<(PathBuf, Option<Span>)> = Vec::new();
    let mut next = Some((cwd.join(path), None::<Span>));
    while let Some((path, from)) = next.take() {
        let name = path
            .strip_prefix(cwd)
            .unwrap_or(&path)
            .display()
            .to_string();
        let text = std::fs::read(&path).and_then(|bytes| {
            let broken = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
            String::from_utf8(bytes).map_err(broken)
        });
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                diags.push(unread::diag(&path, cwd, from, error));
                break;
            }
        };
        let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
        document.files.push(identity.clone());
        seen.push((identity, from));
        let source = document.sources.add(name, text.clone());
        let mut table = node::parse(source, &text, diags);
        split_dotted(&mut table, diags);
        if from.is_some() {
            // A pipeline that extends another has a name of its own.
            take_header(&mut table, "name");
        }
        if let Some(entry) = take_header(&mut table, "extends") {
            match &entry.node.item {
                Item::Str(target) => {
                    let target = path.parent().unwrap_or(Path::new("")).join(target);
                    let identity = target.canonicalize().unwrap_or_else(|_| target.clone());
                    if let Some(first) = seen.iter().position(|(p, _)| *p == identity) {
                        diags.push(extends_cycle(&seen[first..], entry.node.span));
                    } else {
                        next = Some((target, Some(entry.node.span)));
                    }
                }
                other => diags.push(
                    Diag::new(
                        "flow::params::type",
                        format!(
                            "`extends` must be the path of a pipeline, not {}",
                            other.describe()
                        ),
                    )
                    .label(entry.node.span, "not a path"),
                ),
            }
        }
        layers.push(table);
    }
    layers
}

fn extends_cycle(seen: &[(PathBuf, Option<Span>)], last: Span) -> Diag {
    let mut names: Vec<String> = seen.iter().map(|(path, _)| file_name(path)).collect();
    names.push(names[0].clone());
    Diag::new(
        "flow::pipeline::extends_cycle",
        format!("`extends` goes round in a circle: {}", names.join(" -> ")),
    )
    .label(last, "leads back")
    .help("remove one of these `extends`")
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |n| n.to_string_lossy().into_owned(),
    )
}

/// Takes a key out of `[pipeline]`.
fn take_header(root: &mut Table, key: &str) -> Option<Entry> {
    table_mut(root, "pipeline")?.remove(key)
}

/// Where in the tree a merge takes place. Stages and outputs have rules of their own.
#[derive(Clone, Copy, PartialEq)]
pub enum Level {
    /// At the top.
    Root,
    /// Among the stages. The values of a variant have this shape as well.
    Stages,
    /// Within a stage.
    Stage,
    /// Within a parameter of a stage.
    Param,
    /// Among the outputs, where `false` removes one.
    Outputs,
    /// Anywhere else.
    Other,
}

/// Merges `over` into `base`.
///
/// Within a parameter, the entries of `over` come first. In the rules of `classes`, where the first match
/// wins, they are thus looked at before those that they are laid on.
pub fn merge(base: &mut Table, over: Table, level: Level) {
    let first: Vec<String> = match level {
        Level::Param => over.iter().map(|entry| entry.key.clone()).collect(),
        _ => Vec::new(),
    };
    merge_entries(base, over, level);
    if !first.is_empty() {
        let mut rest = std::mem::take(base);
        let ahead: Vec<Entry> = first.iter().filter_map(|key| rest.remove(key)).collect();
        for entry in ahead.into_iter().chain(rest.into_entries()) {
            let _ = base.add(entry);
        }
    }
}

fn merge_entries(base: &mut Table, over: Table, level: Level) {
    for entry in over.into_entries() {
        let below = match level {
            Level::Root if entry.key == "stages" => Level::Stages,
            Level::Root if entry.key == "outputs" => Level::Outputs,
            Level::Stages => Level::Stage,
            Level::Stage => Level::Param,
            _ => Level::Other,
        };
        match base.get_mut(&entry.key) {
            None => {
                // The key is free: this cannot fail.
                let _ = base.add(entry);
            }
            Some(old) if drops(level, old, &entry) => {
                base.remove(&entry.key);
            }
            Some(old) => merge_entry(old, entry, below),
        }
    }
}

/// Returns whether an entry removes the one that it is laid on.
fn drops(level: Level, old: &Entry, new: &Entry) -> bool {
    let is_false = |entry: &Entry| entry.node.item == Item::Bool(false);
    level == Level::Outputs && is_false(new) && !is_false(old)
}

fn merge_entry(old: &mut Entry, new: Entry, level: Level) {
    match (&mut old.node.item, new.node.item) {
        (Item::Table(base), Item::Table(over))
            if !(level == Level::Stage && over.get("use").is_some()) =>
        {
            merge(base, over, level);
        }
        (slot, item) => {
            *slot = item;
            old.key_span = new.key_span;
            old.node.span = new.node.span;
        }
    }
}

/// Splits quoted dotted keys where keys are paths, so that they equal bare ones. Joins bare dotted keys
/// under `outputs`, where a key is a file name.
pub fn split_dotted(root: &mut Table, diags: &mut Diags) {
    if let Some(stages) = table_mut(root, "stages") {
        split_paths(stages, diags);
    }
    if let Some(variants) = table_mut(root, "variants") {
        for variant in variants.entries_mut() {
            if let Item::Table(paths) = &mut variant.node.item {
                split_paths(paths, diags);
                if let Some(grid) = table_mut(paths, GRID) {
                    split_paths(grid, diags);
                }
            }
        }
    }
    if let Some(space) = table_mut(root, "tune").and_then(|tune| table_mut(tune, "space")) {
        split_paths(space, diags);
    }
    if let Some(outputs) = table_mut(root, "outputs") {
        *outputs = join_keys(std::mem::take(outputs), diags);
    }
}

fn table_of<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    match &table.get(key)?.node.item {
        Item::Table(table) => Some(table),
        _ => None,
    }
}

fn table_mut<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Table> {
    match &mut table.get_mut(key)?.node.item {
        Item::Table(table) => Some(table),
        _ => None,
    }
}

/// Splits the keys of `table` (stages) and of the tables in it (parameters), since neither name can contain
/// a dot. Deeper keys are data.
fn split_paths(table: &mut Table, diags: &mut Diags) {
    *table = split_keys(std::mem::take(table), diags);
    for stage in table.entries_mut() {
        if let Item::Table(params) = &mut stage.node.item {
            *params = split_keys(std::mem::take(params), diags);
        }
    }
}

fn split_keys(table: Table, diags: &mut Diags) -> Table {
    if table.iter().all(|entry| !entry.key.contains('.')) {
        return table;
    }
    let mut out = Table::default();
    for entry in table.into_entries() {
        if entry.key.split('.').count() > MAX_SEGMENTS {
            diags.push(
                Diag::new(
                    "flow::toml::syntax",
                    format!("a dotted key has more than {MAX_SEGMENTS} parts"),
                )
                .label(entry.key_span, "this key"),
            );
            continue;
        }
        let mut segments: Vec<String> = entry.key.split('.').map(str::to_owned).collect();
        let (key_span, mut node) = (entry.key_span, entry.node);
        while segments.len() > 1 {
            let mut inner = Table::default();
            let key = segments.pop().unwrap_or_default();
            let span = node.span;
            let _ = inner.add(Entry {
                key,
                key_span,
                node,
            });
            node = Node {
                item: Item::Table(inner),
                span,
            };
        }
        let key = segments.pop().unwrap_or_default();
        unite(
            &mut out,
            Entry {
                key,
                key_span,
                node,
            },
            diags,
        );
    }
    out
}

/// Adds an entry of the same text. Tables are united; anything else that is given twice is an error.
fn unite(table: &mut Table, entry: Entry, diags: &mut Diags) {
    let Some(entry) = table.add(entry) else {
        return;
    };
    let Some(old) = table.get_mut(&entry.key) else {
        return;
    };
    match (&mut old.node.item, entry.node.item) {
        (Item::Table(base), Item::Table(over)) => {
            for inner in over.into_entries() {
                unite(base, inner, diags);
            }
        }
        _ => diags.push(
            Diag::new(
                "flow::toml::syntax",
                format!("`{}` is given twice", entry.key),
            )
            .label(entry.key_span, "again here")
            .label(old.key_span, "first here"),
        ),
    }
}

fn join_keys(table: Table, diags: &mut Diags) -> Table {
    let mut out = Table::default();
    let mut left: Vec<Entry> = table.into_entries();
    left.reverse();
    while let Some(entry) = left.pop() {
        match entry.node.item {
            Item::Table(inner) => {
                let mut inner = inner.into_entries();
                inner.reverse();
                left.extend(inner.into_iter().map(|e| Entry {
                    key: format!("{}.{}", entry.key, e.key),
                    ..e
                }));
            }
            item => {
                let node = Node {
                    item,
                    span: entry.node.span,
                };
                unite(&mut out, Entry { node, ..entry }, diags);
            }
        }
    }
    out
}

/// Applies one `STAGE.PARAM=VALUE` to the tree.
fn apply_set(document: &mut Document, set: &str, diags: &mut Diags) {
    let source = document.sources.add("--set", set.to_owned());
    let whole = Span::new(source, 0..set.len());
    let before = diags.len();
    let table = split_keys(node::parse(source, set, diags), diags);
    if diags.len() > before {
        diags.truncate(before);
        diags.push(bad_set(set, whole, &document.root));
        return;
    }
    if table.is_empty() {
        diags.push(bad_set(set, whole, &document.root));
    }
    for mut entry in table.into_entries() {
        let inner = match entry.node.item {
            Item::Table(inner) if !inner.is_empty() => inner,
            _ => {
                diags.push(bad_set(set, whole, &document.root));
                continue;
            }
        };
        entry.node.item = Item::Table(split_keys(inner, diags));
        let late = entry.key == "pipeline"
            && matches!(&entry.node.item, Item::Table(t) if t.get("extends").is_some());
        if late {
            diags.push(
                Diag::new(
                    "flow::pipeline::set",
                    "`extends` cannot be given with `--set`",
                )
                .label(entry.key_span, "too late here"),
            );
            continue;
        }
        lay(&mut document.root, entry, diags);
    }
}

/// Applies the values of one stage, or of `[pipeline]`, to a pipeline's tree.
pub fn lay(root: &mut Table, entry: Entry, diags: &mut Diags) {
    let (under, level) = if entry.key == "pipeline" {
        (Some(root), Level::Root)
    } else {
        let stages = table_mut(root, "stages");
        if let Some(unknown) = unknown_stage(stages.as_deref(), &entry) {
            diags.push(unknown);
            return;
        }
        (stages, Level::Stages)
    };
    if let Some(under) = under {
        let mut over = Table::default();
        let _ = over.add(entry);
        merge(under, over, level);
    }
}

fn unknown_stage(stages: Option<&Table>, entry: &Entry) -> Option<Diag> {
    if stages.is_some_and(|t| t.get(&entry.key).is_some()) {
        return None;
    }
    let names = stages
        .into_iter()
        .flat_map(Table::iter)
        .map(|e| e.key.as_str());
    let diag = Diag::new(
        "flow::pipeline::unknown_stage",
        format!("there is no stage `{}`", entry.key),
    )
    .label(entry.key_span, "unknown stage");
    Some(did_you_mean(
        diag,
        &entry.key,
        names.chain(["pipeline"]),
        "stages",
    ))
}

fn bad_set(set: &str, span: Span, root: &Table) -> Diag {
    let diag = Diag::new(
        "flow::pipeline::set",
        format!("`--set {set}` is not STAGE.PARAM=VALUE"),
    );
    let Some((key, value)) = set.split_once('=') else {
        let diag = diag.label(span, "no `=` here");
        return match expect::example(root) {
            Some((path, value)) => diag.help(format!("for example: --set {path}={value}")),
            None => diag,
        };
    };
    if !key.trim().contains('.') {
        let (key, value) = (key.trim(), value.trim());
        let stages = table_of(root, "stages").into_iter().flat_map(Table::iter);
        let (with, without): (Vec<&Entry>, Vec<&Entry>) = stages.partition(
            |stage| matches!(&stage.node.item, Item::Table(params) if params.get(key).is_some()),
        );
        let stage = with.first().or(without.first());
        let stage = stage.map_or("pipeline", |stage| &stage.key);
        return diag.label(span, "no stage here").help(format!(
            "say whose parameter it is: --set {stage}.{key}={value}"
        ));
    }
    let start = (key.len() + 1) as u32;
    let at = Span { start, ..span };
    let value = value.trim();
    if value.is_empty() {
        return diag.label(span, "no value here");
    }
    if value.contains(['"', '\'', '[', '{']) {
        return diag.label(at, "not a TOML value");
    }
    let assignment = format!("{}={:?}", key.trim(), value);
    diag.label(at, "not a TOML value: a text needs quotes")
        .help(format!("type: --set '{assignment}'"))
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
