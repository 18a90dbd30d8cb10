//! Where a path in a parameter leads.

use std::path::{Path, PathBuf};

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
