//! `[variants]`: works out what each variant replaces, with inheritance and grids.
//!
//! ```toml
//! [variants.no_rocket]
//! "select.inputs.features" = ["domain"]
//!
//! [variants.no_rocket_4_class]
//! extends = "no_rocket"              # or a list; later ones and the variant itself win
//! "model.target" = "classes"
//!
//! [variants.size.grid]               # every combination: size[kernels=2000,k=5], ...
//! "rocket.kernels" = [2000, 5000]
//! "folds.k" = [5, 10]
//! ```

use crate::text::document::GRID;
use crate::text::node::value;
use std::collections::{HashMap, HashSet};

use crate::base::diag::{Diag, Diags, Span};
use crate::base::suggest::did_you_mean;
use crate::text::document::{Level, merge};
use crate::text::expect;
use crate::text::node::{Entry, Item, Node, Table};

/// The name that the pipeline itself has among its variants.
pub const BASE: &str = "base";

/// The key of a variant that names the variants it starts from.
pub const EXTENDS: &str = "extends";

/// The most variants that a pipeline may have. A grid could ask for any number.
const MOST: usize = 1_000;

/// Returns true for the keys of a variant that are not stages.
pub fn is_key(key: &str) -> bool {
    key == EXTENDS || key == GRID
}

/// What one variant replaces.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// The name.
    pub name: String,
    /// The values that it replaces, by stage (or `pipeline`).
    pub values: Table,
}

impl Overlay {
    /// Returns the dotted path and the value of everything that it replaces, as text.
    pub fn changes(&self) -> Vec<(String, String)> {
        leaves(&self.values)
            .into_iter()
            .map(|(path, node)| (path, text(&node.item)))
            .collect()
    }
}

/// Works out the variants of a pipeline's tree, in the order of the text. Among the points of a grid, the
/// first key varies slowest. Whether the values that they replace exist is not checked here.
pub fn expand(root: &Table, diags: &mut Diags) -> Vec<Overlay> {
    let Some(variants) = table_of(root, "variants").filter(|variants| !variants.is_empty()) else {
        return Vec::new();
    };
    for entry in table_of(root, "stages").into_iter().flat_map(Table::iter) {
        if is_key(&entry.key) {
            let message = format!("`{}` is a key of variants, not a stage", entry.key);
            diags.push(
                Diag::new("flow::variants::name", message)
                    .label(
                        entry.key_span,
                        "a stage of that name cannot be told from the key",
                    )
                    .help("rename the stage"),
            );
        }
    }
    let mut inherited = inherit(variants, diags);
    let mut overlays: Vec<Overlay> = Vec::new();
    let mut too_many: Option<Span> = None;
    for entry in variants.iter() {
        check_name(entry, diags);
        let Some(values) = inherited.remove(&entry.key) else {
            continue;
        };
        match table_of_entry(entry).and_then(|own| own.get(GRID)) {
            None => overlays.push(Overlay {
                name: entry.key.clone(),
                values,
            }),
            Some(grid) => {
                let axes = axes(grid, root, diags);
                let points = axes.iter().map(|axis| axis.values.len());
                let points = points.fold(1, usize::saturating_mul);
                if overlays.len().saturating_add(points) > MOST {
                    too_many = too_many.or(Some(grid.key_span));
                    continue;
                }
                if !axes.is_empty() {
                    overlays.extend(points_of(&entry.key, &values, &axes));
                }
            }
        }
    }
    if let Some(span) = too_many {
        let message = format!("the grids come to more than {MOST} variants");
        diags.push(
            Diag::new("flow::variants::grid", message)
                .label(span, "with this one")
                .help("list fewer values, or let `flow tune` search"),
        );
    }
    overlays
}

/// Returns true if the name of a variant fits a pattern, in which `*` stands for any characters and `?` for
/// one. Brackets stand for themselves, since the names of grid points have them.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.replace('[', "[[]");
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    glob::Pattern::new(&pattern).is_ok_and(|pattern| pattern.matches(name))
}

fn table_of<'t>(parent: &'t Table, key: &str) -> Option<&'t Table> {
    parent.get(key).and_then(table_of_entry)
}

fn table_of_entry(entry: &Entry) -> Option<&Table> {
    match &entry.node.item {
        Item::Table(table) => Some(table),
        _ => None,
    }
}

fn check_name(entry: &Entry, diags: &mut Diags) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if entry.key == BASE {
        diags.push(
            Diag::new(
                "flow::variants::name",
                "`base` is the pipeline itself, not a variant",
            )
            .label(entry.key_span, "this name")
            .help("give the variant another name"),
        );
    } else if entry.key.is_empty() || !entry.key.chars().all(plain) {
        let message = format!("a variant cannot be called {:?}", entry.key);
        diags.push(
            Diag::new("flow::variants::name", message)
                .label(entry.key_span, "this name")
                .help("a name has letters, digits, `_` and `-`"),
        );
    }
}

/// Returns the values of each variant by name, with the inherited ones below its own. The search is depth
/// first without recursion, so a chain may have any length.
fn inherit(variants: &Table, diags: &mut Diags) -> HashMap<String, Table> {
    let mut done: HashMap<String, Table> = HashMap::new();
    for first in variants.iter() {
        // The variants on the current path, each with those that it extends. Those not yet done come next.
        let mut path: Vec<(&Entry, Vec<(&str, Span)>)> = Vec::new();
        let mut next = (!done.contains_key(&first.key)).then_some(first);
        loop {
            if let Some(entry) = next.take() {
                path.push((entry, parents(entry, variants, diags)));
            }
            let Some((entry, parents)) = path.last() else {
                break;
            };
            let open = parents.iter().find(|(name, _)| !done.contains_key(*name));
            let Some(&(name, span)) = open else {
                let mut values = Table::default();
                for (name, _) in parents {
                    merge(&mut values, done[*name].clone(), Level::Stages);
                }
                if let Some(own) = table_of_entry(entry) {
                    merge(&mut values, own_values(own), Level::Stages);
                }
                done.insert(entry.key.clone(), values);
                path.pop();
                continue;
            };
            match path.iter().position(|(on, _)| on.key == name) {
                Some(at) => {
                    diags.push(circle(
                        path[at..].iter().map(|(on, _)| on.key.as_str()),
                        span,
                    ));
                    // Goes on without the parent, so that one mistake gives one diagnostic.
                    if let Some((_, parents)) = path.last_mut() {
                        parents.retain(|(parent, _)| *parent != name);
                    }
                }
                None => next = variants.get(name),
            }
        }
    }
    done
}

/// Returns the variants that a variant extends. Unknown ones are reported and left out.
fn parents<'t>(entry: &'t Entry, variants: &Table, diags: &mut Diags) -> Vec<(&'t str, Span)> {
    let Some(extends) = table_of_entry(entry).and_then(|own| own.get(EXTENDS)) else {
        return Vec::new();
    };
    let nodes = match &extends.node.item {
        Item::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&extends.node),
    };
    let mut parents = Vec::new();
    for node in nodes {
        let Item::Str(name) = &node.item else {
            let given = node.item.describe();
            diags.push(
                Diag::new(
                    "flow::params::type",
                    format!(
                        "`extends` takes the name of a variant or a list of names, not {given}"
                    ),
                )
                .label(node.span, format!("is {given}")),
            );
            continue;
        };
        if variants.get(name).is_some() {
            parents.push((name.as_str(), node.span));
            continue;
        }
        let diag = Diag::new(
            "flow::variants::unknown",
            format!("there is no variant `{name}`"),
        )
        .label(node.span, "unknown variant");
        let others = variants.iter().map(|other| other.key.as_str());
        let others = others.filter(|other| *other != entry.key);
        diags.push(did_you_mean(diag, name, others, "variants"));
    }
    parents
}

fn circle<'n>(names: impl Iterator<Item = &'n str>, last: Span) -> Diag {
    let mut names: Vec<&str> = names.collect();
    names.push(names[0]);
    Diag::new(
        "flow::variants::extends_cycle",
        format!(
            "variants extend each other in a circle: {}",
            names.join(" -> ")
        ),
    )
    .label(last, "leads back")
    .help("remove one of these `extends`")
}

/// Returns what a variant itself says about stages. Values that are not tables are reported elsewhere.
fn own_values(own: &Table) -> Table {
    let mut values = Table::default();
    for entry in own.iter() {
        if !is_key(&entry.key) && table_of_entry(entry).is_some() {
            let _ = values.add(entry.clone());
        }
    }
    values
}

/// One parameter of a grid.
struct GridAxis<'t> {
    path: String,
    /// What the names of variants call it: the last part of the path, or the whole path if that part is not
    /// unique.
    name: String,
    values: &'t [Node],
    span: Span,
}

impl GridAxis<'_> {
    /// Returns what the names of variants call a value. For a table, such as a grouping of classes, these
    /// are its keys, unless another value has the same ones.
    fn word(&self, value: &Node) -> String {
        let keys = keys_of(&value.item);
        let alike = self.values.iter().filter(|v| keys_of(&v.item) == keys);
        match keys {
            Some(keys) if alike.count() == 1 => keys,
            _ => text(&value.item),
        }
    }
}

fn keys_of(item: &Item) -> Option<String> {
    match item {
        Item::Table(table) => {
            let keys: Vec<&str> = table.iter().map(|entry| entry.key.as_str()).collect();
            Some(keys.join("+"))
        }
        _ => None,
    }
}

fn axes<'t>(grid: &'t Entry, root: &Table, diags: &mut Diags) -> Vec<GridAxis<'t>> {
    let Some(table) = table_of_entry(grid) else {
        diags.push(expect::wrong(
            grid,
            "a table from STAGE.PARAM to lists of values",
        ));
        return Vec::new();
    };
    let leaves = leaves(table).into_iter();
    let mut axes: Vec<GridAxis<'_>> = leaves
        .filter_map(|(path, node)| axis(path, node, diags))
        .collect();
    if axes.is_empty() && table.is_empty() {
        diags.push(
            Diag::new("flow::variants::grid", "the grid has no values to combine")
                .label(grid.key_span, "empty")
                .help(match expect::example(root) {
                    Some((path, value)) => {
                        format!("list values to combine:\n\"{path}\" = [{value}]")
                    }
                    None => "remove `grid`, or list values to combine".to_owned(),
                }),
        );
    }
    for at in 0..axes.len() {
        let alike = |axis: &GridAxis<'_>| axis.path.ends_with(&format!(".{}", axes[at].name));
        if axes.iter().filter(|axis| alike(axis)).count() > 1 {
            axes[at].name = axes[at].path.clone();
        }
    }
    axes
}

/// Reads one line of a grid.
fn axis<'t>(path: String, node: &'t Node, diags: &mut Diags) -> Option<GridAxis<'t>> {
    let values = match &node.item {
        Item::List(values) => values.as_slice(),
        _ => &[],
    };
    if values.is_empty() {
        let message = format!("`{path}` needs a list of values to try");
        diags.push(
            Diag::new("flow::variants::grid", message)
                .label(node.span, "no values here")
                .help(match &node.item {
                    Item::List(_) => "list the values between the brackets".to_owned(),
                    _ => format!("\"{path}\" = [{}]", value(node)),
                }),
        );
        return None;
    }
    let mut seen = HashSet::new();
    if let Some(twice) = values.iter().find(|value| !seen.insert(text(&value.item))) {
        let message = format!("`{path}` has the value {} twice", text(&twice.item));
        diags.push(
            Diag::new("flow::variants::grid", message)
                .label(twice.span, "again here")
                .help("remove it"),
        );
        return None;
    }
    Some(GridAxis {
        name: path.rsplit('.').next().unwrap_or_default().to_owned(),
        path,
        values,
        span: node.span,
    })
}

/// Returns every combination. The first axis varies slowest.
fn points_of(name: &str, values: &Table, axes: &[GridAxis<'_>]) -> Vec<Overlay> {
    let count: usize = axes.iter().map(|axis| axis.values.len()).product();
    let mut overlays = Vec::with_capacity(count);
    for point in 0..count {
        let mut rest = point;
        let mut chosen: Vec<&Node> = Vec::with_capacity(axes.len());
        for axis in axes.iter().rev() {
            chosen.push(&axis.values[rest % axis.values.len()]);
            rest /= axis.values.len();
        }
        chosen.reverse();
        let mut values = values.clone();
        let mut words = Vec::with_capacity(axes.len());
        for (axis, node) in axes.iter().zip(chosen) {
            words.push(format!("{}={}", axis.name, axis.word(node)));
            let over = nested(&axis.path, axis.span, node.clone());
            merge(&mut values, over, Level::Stages);
        }
        overlays.push(Overlay {
            name: format!("{name}[{}]", words.join(",")),
            values,
        });
    }
    overlays
}

/// Turns `a.b.c = node` into tables within tables.
pub fn nested(path: &str, span: Span, mut node: Node) -> Table {
    let mut table = Table::default();
    for key in path.rsplit('.') {
        let mut outer = Table::default();
        let _ = outer.add(Entry {
            key: key.to_owned(),
            key_span: span,
            node,
        });
        table = outer.clone();
        node = Node {
            item: Item::Table(outer),
            span,
        };
    }
    table
}

/// Returns every value in a table that is not itself a table, in order, with its dotted path.
pub fn leaves(table: &Table) -> Vec<(String, &Node)> {
    let mut found = Vec::new();
    let mut left = below("", table);
    while let Some((path, node)) = left.pop() {
        match &node.item {
            Item::Table(inner) => left.extend(below(&format!("{path}."), inner)),
            _ => found.push((path, node)),
        }
    }
    found
}

/// Returns the entries of a table with their dotted paths, from last to first.
fn below<'t>(prefix: &str, table: &'t Table) -> Vec<(String, &'t Node)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|entry| (format!("{prefix}{}", entry.key), &entry.node))
        .collect();
    entries.reverse();
    entries
}

/// Shortens a value for use in a name: `0.5`, `rocket+domain`.
fn text(item: &Item) -> String {
    match item {
        Item::Bool(v) => v.to_string(),
        Item::Int(v) => v.to_string(),
        Item::Float(v) => v.to_string(),
        Item::Str(v) | Item::Datetime(v) => v.clone(),
        Item::List(nodes) => {
            let words: Vec<String> = nodes.iter().map(|node| text(&node.item)).collect();
            words.join("+")
        }
        Item::Table(table) => {
            let entries = table.iter();
            let words: Vec<String> = entries
                .map(|entry| format!("{}={}", entry.key, text(&entry.node.item)))
                .collect();
            format!("{{{}}}", words.join(","))
        }
    }
}

#[cfg(test)]
#[path = "variants_tests.rs"]
mod tests;
