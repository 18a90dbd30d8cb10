//! Where a path in a parameter leads.

use std::path::{Path, PathBuf};

use crate::base::files;
use crate::kind::params::ParamType;
use crate::text::node::{Item, Node};

/// Why a path could not be expanded.
pub(super) enum Unexpanded {
    /// A variable of the environment is not set: its name.
    Unset(String),
    /// A brace is not closed.
    Open,
}

/// Puts the values of variables of the environment in the place of `${env:NAME}`.
pub(super) fn expand(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Unexpanded> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${env:") {
        let (name, after) = after.split_once('}').ok_or(Unexpanded::Open)?;
        out.push_str(before);
        out.push_str(&env(name).ok_or_else(|| Unexpanded::Unset(name.into()))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Joins `path` to `base`, without `.` segments. `..` stays, since its meaning depends on symbolic links.
pub(super) fn absolute(base: &Path, path: &str) -> String {
    let joined: PathBuf = base.join(path).components().collect();
    joined.to_string_lossy().into_owned()
}

/// Makes those paths in the value of a parameter absolute that are relative to another folder than the project
/// root, because they were given with `--set` in `cwd`.
pub(crate) fn settle(ty: &ParamType, node: &mut Node, is_set: &dyn Fn(&Node) -> bool, cwd: &Path) {
    let set = is_set(node);
    match (ty, &mut node.item) {
        (ParamType::Path, Item::Str(path)) if set => *path = from(&cwd.to_string_lossy(), path),
        (ParamType::Glob, Item::Str(path)) if set => {
            *path = from(&files::escape(&cwd.to_string_lossy()), path);
        }
        (ParamType::List(inner), Item::List(nodes)) => {
            nodes
                .iter_mut()
                .for_each(|node| settle(inner, node, is_set, cwd));
        }
        (ParamType::Map(inner) | ParamType::Ordered(inner), Item::Table(table)) => {
            let entries = table.entries_mut();
            entries.for_each(|entry| settle(inner, &mut entry.node, is_set, cwd));
        }
        (ParamType::OneOf(types), _) => {
            for ty in types {
                settle(ty, node, is_set, cwd);
            }
        }
        _ => {}
    }
}

/// The value of a variable is usually a whole path, and is left to whoever reads the text.
fn from(base: &str, path: &str) -> String {
    match path.starts_with("${env:") {
        true => path.to_owned(),
        false => absolute(Path::new(base), path),
    }
}
