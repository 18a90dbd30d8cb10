//! A pipeline as one text: with what it extends, what was set, and the values of a variant in their places.

use std::path::Path;

use crate::base::diag::Span;
use crate::kind::check::Context;
use crate::kind::place::settle;
use crate::text::document::Document;
use crate::text::node::{Entry, Item, Node, Table};
use crate::text::write;

use super::draft::Draft;

/// Returns the text of a document. In the project root it loads as the same pipeline, whatever its file is
/// called and wherever the user stands.
pub(super) fn text(
    document: &Document,
    name: &str,
    drafts: &[Draft],
    context: Context<'_>,
) -> String {
    let mut root = Table::default();
    let _ = root.add(header(&document.root, name));
    let rest = document.root.iter().filter(|entry| entry.key != "pipeline");
    rest.cloned().for_each(|entry| drop(root.add(entry)));
    if context.cwd != context.root {
        settle_paths(&mut root, drafts, context);
    }
    write::text(&root)
}

/// Returns `[pipeline]` with the name, which is that of the file where the text has none.
fn header(root: &Table, name: &str) -> Entry {
    let span = Span::default();
    let entry = |key: &str, item: Item| Entry {
        key: key.to_owned(),
        key_span: span,
        node: Node { item, span },
    };
    let mut table = Table::default();
    let _ = table.add(entry("name", Item::Str(name.to_owned())));
    if let Some(Item::Table(given)) = root.get("pipeline").map(|entry| &entry.node.item) {
        // The name is there already.
        given
            .iter()
            .cloned()
            .for_each(|entry| drop(table.add(entry)));
    }
    entry("pipeline", Item::Table(table))
}

/// Makes the paths absolute that were given with `--set`: they are relative to the working directory.
fn settle_paths(root: &mut Table, drafts: &[Draft], context: Context<'_>) {
    let is_set = |node: &Node| (context.is_set)(node.span);
    let cwd: &Path = context.cwd;
    for draft in drafts {
        let Some(body) = &draft.body else { continue };
        for param in &body.spec.params {
            let node = root.get_mut("stages");
            let stage = node.and_then(|entry| entry.node.entry_mut(&draft.name));
            if let Some(given) = stage.and_then(|entry| entry.node.entry_mut(param.name)) {
                settle(&param.ty, &mut given.node, &is_set, cwd);
            }
        }
    }
}
