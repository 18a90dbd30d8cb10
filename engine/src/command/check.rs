//! Checks what the parameter list cannot express about a command.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::params::CommandParams;
use super::{FOLDS, claims, items, template};
use crate::base::diag::Diag;
use crate::base::suggest::did_you_mean;
use crate::kind::params::Params;
use crate::kind::shards::Shards;

/// The tables that a program below folds gets.
pub const TABLES: [&str; 2] = ["train", "apply"];

/// Checks everything that can be checked without looking at files.
pub fn check(params: &Params, inputs: &[String], paired: &Shards) -> Vec<Diag> {
    let mut diags = Vec::new();
    let command = CommandParams::read(params);
    let axes = items::axes(params).map_err(|wrong| diags.extend(wrong));
    // Values that cannot be known, because they are wrong or are in another stage, are not asked for.
    let first = paired.get(0).map(|shard| shard.item());
    let items: Option<Vec<&str>> = match (&first, items::paired(params)) {
        (Some(item), _) => Some(items::names(item).collect()),
        (None, Some(_)) => None,
        (None, None) => axes.ok().map(|axes| axes.iter().map(|a| a.name).collect()),
    };
    let names = Names {
        params,
        inputs,
        folds: command.in_folds(),
        command,
        items,
    };
    diags.extend(claims::read(params).1);
    if names.folds && names.command.each.is_some() {
        let diag = at(params, "each", "flow::command::each", "items below folds");
        diags.push(diag.help(
            "a stage works once a fold or once an item: loop over the items in the program, or \
             write a stage for each",
        ));
    }
    diags.extend(names.program());
    diags.extend(names.clashes());
    diags.extend(names.params());
    diags.extend(names.placeholders());
    names.files_of_outputs(paired, &mut diags);
    diags
}

/// A diagnostic at a parameter.
pub fn at(params: &Params, param: &str, code: &'static str, message: impl Into<String>) -> Diag {
    let diag = Diag::new(code, message);
    match params.span(param) {
        Some(span) => diag.label(span, "here"),
        None => diag,
    }
}

struct Names<'a> {
    params: &'a Params,
    command: CommandParams<'a>,
    inputs: &'a [String],
    /// None if they are not known.
    items: Option<Vec<&'a str>>,
    folds: bool,
}

impl<'a> Names<'a> {
    fn outputs(&self) -> impl Iterator<Item = &'a str> {
        self.command.outputs.iter().map(|(name, _)| *name)
    }

    /// The names of `params`.
    fn given(&self) -> impl Iterator<Item = &'a str> {
        items::names(self.command.params)
    }

    /// Checks that a parameter has a name that can be used in a text, and is used in one. Otherwise a
    /// search for its best value would compare runs that are all the same.
    fn params(&self) -> Vec<Diag> {
        let mut diags = Vec::new();
        for name in self.given() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                let message = format!("a parameter cannot be called {name:?}");
                let diag = at(self.params, "params", "flow::command::name", message);
                diags.push(diag.help("a name has letters, digits and `_`"));
            } else if !self.command.uses(name) {
                let message = format!("the parameter `{name}` is used nowhere");
                let diag = at(self.params, "params", "flow::command::placeholder", message);
                diags.push(diag.help(format!("write `{{{name}}}` in `run` or `env`")));
            }
        }
        diags
    }

    fn program(&self) -> Option<Diag> {
        let code = "flow::command::empty";
        let Some(first) = self.command.run.first() else {
            return Some(at(self.params, "run", code, "`run` names no program"));
        };
        let items = self.items.as_deref()?;
        let other = template::names(first).find(|name| !items.contains(name))?;
        let message = format!("the program is `{{{other}}}`, which is known only when it runs");
        let diag = at(self.params, "run", code, message);
        Some(diag.help("the first text of `run` is a program: run = [\"python3\", ...]"))
    }

    fn clashes(&self) -> Vec<Diag> {
        let inputs = self.inputs.iter().map(String::as_str);
        let tables = TABLES.iter().filter(|_| self.folds).copied();
        let mut all: Vec<&str> = inputs.chain(self.outputs()).chain(tables).collect();
        all.extend(self.items.iter().flatten());
        all.extend(self.given());
        all.push("seed");
        all.sort_unstable();
        let twice: BTreeSet<&str> = all
            .windows(2)
            .filter(|w| w[0] == w[1])
            .map(|w| w[0])
            .collect();
        let code = "flow::command::name";
        let diag = |name| {
            at(
                self.params,
                "run",
                code,
                format!("`{name}` names two things"),
            )
        };
        let kinds = if self.folds {
            "inputs, outputs, parameters, `train`, `apply` and `seed` may not share a name"
        } else {
            "inputs, outputs, parameters, items and `seed` may not share a name"
        };
        twice
            .into_iter()
            .map(|name| diag(name).help(kinds))
            .collect()
    }

    /// Checks that every `{name}` is known where it is used.
    fn placeholders(&self) -> Vec<Diag> {
        let mut diags = Vec::new();
        let Some(items) = &self.items else {
            return diags;
        };
        let mut known: Vec<Cow<'_, str>> = items.iter().map(|i| Cow::Borrowed(*i)).collect();
        known.extend(self.outputs().map(Cow::Borrowed));
        known.push(Cow::Borrowed("seed"));
        known.extend(self.given().map(Cow::Borrowed));
        if self.folds {
            known.extend(TABLES.map(Cow::Borrowed));
        } else {
            known.extend(self.inputs.iter().map(|i| Cow::Borrowed(i.as_str())));
            known.extend(self.inputs.iter().map(|i| Cow::Owned(format!("{i}.list"))));
        }
        let mut look = |param, text, known| self.text(param, text, known, &mut diags);
        let command = &self.command;
        command
            .run
            .iter()
            .for_each(|text| look("run", text, &known));
        for (_, text) in &command.env {
            look("env", text, &known);
        }
        let known = &known[..items.len()];
        command
            .files
            .iter()
            .for_each(|text| look("files", text, known));
        for (_, text) in &command.outputs {
            look("outputs", text, known);
        }
        diags
    }

    fn text(&self, param: &str, text: &str, known: &[Cow<'_, str>], diags: &mut Vec<Diag>) {
        for name in template::names(text) {
            if known.iter().any(|k| k == name) {
                continue;
            }
            let port = name.strip_suffix(".list").unwrap_or(name);
            if self.folds && self.inputs.iter().any(|input| input == port) {
                let code = "flow::command::fold_rows";
                let message = format!("`{{{name}}}` holds the rows of all folds");
                let rows = if port == FOLDS {
                    ""
                } else {
                    ", with all inputs side by side"
                };
                diags.push(at(self.params, param, code, message).help(format!(
                    "`{{train}}` is a file of the training rows, `{{apply}}` one of the others{rows}"
                )));
                continue;
            }
            let message = match param {
                "run" | "env" => format!("nothing here is called `{{{name}}}`"),
                _ => format!("`{{{name}}}` in `{param}` is no item of `each`"),
            };
            let diag = at(self.params, param, "flow::command::placeholder", message);
            // A name that two things have is reported elsewhere.
            let words: BTreeSet<&str> = known.iter().map(Cow::as_ref).collect();
            let diag = did_you_mean(diag, name, words, "names");
            diags.push(diag.help("a brace that is no name is written `{{`"));
        }
    }

    /// Outputs are plain names, and no two are the same, for any item.
    fn files_of_outputs(&self, paired: &Shards, diags: &mut Vec<Diag>) {
        let mut files: Vec<&str> = self.command.outputs.iter().map(|(_, file)| *file).collect();
        let code = "flow::command::output_name";
        let wrong = |message: String| at(self.params, "outputs", code, message);
        let simple = |name: &str| {
            let mut parts = Path::new(name).components();
            let plain = matches!(parts.next(), Some(std::path::Component::Normal(_)));
            plain && parts.next().is_none() && !name.ends_with('/')
        };
        files.sort_unstable();
        for pair in files.windows(2).filter(|pair| pair[0] == pair[1]) {
            diags.push(wrong(format!("two outputs are the file `{}`", pair[0])));
        }
        let varied = files.iter().any(|file| template::has_names(file));
        if !varied {
            let bad = files.into_iter().filter(|file| !simple(file));
            diags.extend(bad.map(|file| wrong(not_plain(file))));
            return;
        }
        if !diags.is_empty() {
            return;
        }
        let axes = items::axes(self.params).unwrap_or_default();
        let theirs = paired.iter().map(|s| (s.label().to_owned(), s.item()));
        for (label, item) in items::product(&axes).chain(theirs) {
            let mut seen = HashSet::new();
            for file in &files {
                let name = template::fill(file, |name| items::lookup(&item, name));
                let what = if !simple(&name) {
                    not_plain(&name)
                } else if !seen.insert(name.clone()) {
                    format!("two outputs are the file `{name}`")
                } else {
                    continue;
                };
                diags.push(wrong(format!("for {label}, {what}")));
                return;
            }
        }
    }
}

fn not_plain(file: &str) -> String {
    format!("the output file `{file}` is not a plain file name")
}
