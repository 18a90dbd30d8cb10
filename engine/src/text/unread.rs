//! The diagnostic for a pipeline that cannot be read, with those that may have been meant.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::diag::{Diag, SourceId, Span};
use crate::base::files;
use crate::base::suggest::did_you_mean;
use crate::text::node;

/// Says why the pipeline cannot be read, and which pipelines are near.
pub fn diag(path: &Path, cwd: &Path, from: Option<Span>, error: io::Error) -> Diag {
    let shown = match path.strip_prefix(cwd) {
        Ok(below) if below.as_os_str().is_empty() => Path::new("."),
        Ok(below) => below,
        Err(_) => path,
    };
    let message = if path.is_dir() {
        format!("`{}` is a folder, not a pipeline", shown.display())
    } else {
        let why = files::cause(&error);
        format!("cannot read the pipeline `{}`: {why}", shown.display())
    };
    let diag = Diag::new("flow::pipeline::file", message).with_source(error);
    if let Some(span) = from {
        return diag
            .label(span, "extended here")
            .help("the path in `extends` is relative to the file it stands in");
    }
    // The pipeline that was meant may lie in this folder, or beside a name that is misspelt.
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    let near = pipelines_in(folder);
    let near: Vec<String> = near
        .iter()
        .map(|file| file.strip_prefix(cwd).unwrap_or(file).display().to_string())
        .collect();
    match near.as_slice() {
        [] => diag.help("`flow init` writes a pipeline that works"),
        [one] => diag.help(format!("did you mean `{one}`?")),
        near => {
            let given = path.strip_prefix(cwd).unwrap_or(path).display().to_string();
            did_you_mean(
                diag,
                &given,
                near.iter().map(String::as_str),
                "pipelines there",
            )
        }
    }
}

/// The pipelines in a folder, by name.
fn pipelines_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path());
    let mut found: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter(|path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let table = node::parse(SourceId(0), &text, &mut Vec::new());
            table.get("stages").is_some() || table.get("pipeline").is_some()
        })
        .collect();
    found.sort();
    found
}
