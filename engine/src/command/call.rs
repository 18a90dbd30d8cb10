//! Makes the call of a program: names in braces become paths and texts.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flow_cache::{Recipe, Value};

use super::OUT;
use super::items;
use super::params::CommandParams;
use super::template::{self, Piece, pieces};
use crate::kind::action::Action;
use crate::kind::error::StageError;

/// One call of a program.
pub struct Call<'a> {
    action: &'a Action<'a>,
    params: CommandParams<'a>,
    out: &'a Path,
    tables: Vec<(&'static str, PathBuf)>,
}

impl<'a> Call<'a> {
    /// Makes a call whose outputs go below `out`.
    pub fn new(action: &'a Action<'a>, out: &'a Path) -> Self {
        Self {
            action,
            params: CommandParams::read(action.params),
            out,
            tables: Vec::new(),
        }
    }

    /// Gives a table a name.
    pub fn table(&mut self, name: &'static str, path: PathBuf) {
        self.tables.push((name, path));
    }

    /// The arguments after the program.
    pub fn arguments(&self) -> Result<Vec<OsString>, StageError> {
        let mut arguments = Vec::new();
        for text in self.params.run.iter().skip(1) {
            if let [Piece::Name(name)] = pieces(text).as_slice()
                && self.is_list(name)
            {
                let parts = self.action.input(name).iter();
                arguments.extend(parts.map(|part| part.path.clone().into_os_string()));
            } else {
                arguments.push(self.text(text)?);
            }
        }
        Ok(arguments)
    }

    /// The declared environment.
    pub fn environment(&self) -> Result<Vec<(&'a str, OsString)>, StageError> {
        let env = self.params.env.iter();
        env.map(|(name, text)| Ok((*name, self.text(text)?)))
            .collect()
    }

    /// Returns true for a port with several files or none.
    fn is_list(&self, name: &str) -> bool {
        self.is_port(name) && self.action.input(name).len() != 1
    }

    fn is_port(&self, name: &str) -> bool {
        self.action.ports().any(|port| port == name)
    }

    fn text(&self, text: &str) -> Result<OsString, StageError> {
        let mut filled = OsString::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(part) => filled.push(part),
                Piece::Name(name) => filled.push(&*self.value(name)?),
            }
        }
        Ok(filled)
    }

    fn value(&self, name: &str) -> Result<Cow<'_, OsStr>, StageError> {
        let action = self.action;
        if name == "seed" {
            return Ok(Cow::Owned(seed(action).to_string().into()));
        }
        let item = action.shard.and_then(|s| items::lookup(&s.item, name));
        let given = || items::lookup(self.params.params, name);
        if let Some(text) = item.or_else(given) {
            return Ok(Cow::Owned(text.into_owned().into()));
        }
        if let Some((_, path)) = self.tables.iter().find(|(table, _)| *table == name) {
            return Ok(Cow::Borrowed(path.as_os_str()));
        }
        let mut outputs = self.params.outputs.iter();
        if let Some((_, file)) = outputs.find(|(n, _)| *n == name) {
            return Ok(Cow::Owned(self.out.join(file_of(action, file)).into()));
        }
        if let Some(port) = name.strip_suffix(".list").filter(|p| self.is_port(p)) {
            return Ok(Cow::Owned(self.list(port)?.into()));
        }
        match action.input(name) {
            [part] => Ok(Cow::Borrowed(part.path.as_os_str())),
            _ => Err(several(name)),
        }
    }

    /// Writes a file with one path per line.
    fn list(&self, port: &str) -> io::Result<PathBuf> {
        let list = self.action.scratch.join(format!("{port}.list"));
        let mut lines = Vec::new();
        for part in self.action.input(port) {
            lines.extend_from_slice(part.path.as_os_str().as_bytes());
            lines.push(b'\n');
        }
        fs::File::create(&list)?.write_all(&lines)?;
        Ok(list)
    }
}

/// Returns the outputs with the paths to which the program writes them, below the action's folder.
pub fn outputs(action: &Action<'_>) -> Vec<(String, PathBuf)> {
    let outputs = CommandParams::read(action.params).outputs.into_iter();
    outputs
        .map(|(name, file)| (name.to_owned(), Path::new(OUT).join(file_of(action, file))))
        .collect()
}

fn file_of(action: &Action<'_>, file: &str) -> String {
    template::fill(file, |name| {
        action.shard.and_then(|s| items::lookup(&s.item, name))
    })
}

/// Returns the seed that a program gets. Each item has its own, and it is never negative, since not every
/// language could read that.
fn seed(action: &Action<'_>) -> u64 {
    let Some(shard) = action.shard else {
        return action.seed >> 1;
    };
    let mut recipe = Recipe::new();
    recipe.push("seed", Value::Int(action.seed.cast_signed()));
    recipe.push("item", shard.item.clone());
    let key = recipe.key();
    let mut first = [0; 8];
    first.copy_from_slice(&key.0.as_bytes()[..8]);
    u64::from_le_bytes(first) >> 1
}

fn several(name: &str) -> StageError {
    let message =
        format!("input `{name}` has several files, and `{{{name}}}` is part of a longer text");
    StageError::data("flow::command::several", message).help(format!(
        "give `{{{name}}}` as an argument of its own, or `{{{name}.list}}` for a file of paths"
    ))
}

/// The error for a program that could not be started.
pub fn not_started(shown: &str, error: io::Error) -> StageError {
    let message = format!("failed to start `{shown}`");
    let number = error.raw_os_error();
    let failed = StageError::failed("flow::command::start", message).because(error);
    match number {
        Some(libc::E2BIG) => failed.help(
            "too many arguments for the system: `{port.list}` is one argument, a file of paths",
        ),
        Some(libc::EACCES) => failed.help("is the program executable?"),
        Some(libc::ENOEXEC) => {
            failed.help("a script needs a first line that names its interpreter, such as #!/bin/sh")
        }
        _ => failed,
    }
}
