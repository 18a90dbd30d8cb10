//! Finds the files that a path or a pattern of a pipeline stands for.
//!
//! Only a text that somebody wrote as a pattern is one. The project's own path and the values of
//! `${env:...}` are escaped before they are joined to it ([`escape`]), and leading names that exist as they
//! are written are taken literally. What cannot be looked at is an error and is never left out in silence:
//! a folder that cannot be listed, a name that is not UTF-8, a link that points nowhere.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::base::diag::{Diag, Span};

/// As in a shell, only a dot matches a leading dot.
const RULES: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Folders that no pattern looks into: flow's own, and that of git.
const CLOSED: [&str; 2] = [".flow", ".git"];

/// The names in a folder by which a store is recognized.
const STORE: [&str; 3] = ["format", "artifacts", "records"];

/// Characters that mean something in a pattern, or in a pattern with names in braces.
const SPECIAL: [char; 5] = ['*', '?', '[', ']', '{'];

/// The project in which a stage looks for its files.
#[derive(Clone, Copy, Debug)]
pub struct Project<'a> {
    /// Its root, absolute and without links.
    pub root: &'a Path,
    /// What the pipeline itself writes there.
    pub outputs: &'a [Destination],
}

/// A file that a pipeline writes: an entry of `[outputs]`.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its path with links resolved, as far as the folders on the way exist.
    pub real: PathBuf,
    /// Where the pipeline names it.
    pub span: Span,
}

/// Where the links that a pattern finds may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Anywhere.
    Anywhere,
    /// To files of the project.
    Within,
}

/// Turns a text into a pattern that matches this text alone.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if SPECIAL.contains(&c) {
            out.extend(['[', c, ']']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns the text that [`escape`] made into a pattern.
pub fn unescape(pattern: &str) -> String {
    if !pattern.contains('[') {
        return pattern.to_owned();
    }
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let mut class = rest.chars().skip(1);
        let escaped = match (c, class.next(), class.next()) {
            ('[', Some(c), Some(']')) if SPECIAL.contains(&c) => Some(c),
            _ => None,
        };
        out.push(escaped.unwrap_or(c));
        rest = &rest[escaped.map_or(c.len_utf8(), |c| c.len_utf8() + 2)..];
    }
    out
}

/// One part of a pattern between slashes.
enum NamePart {
    Name(String),
    Wild(Pattern),
    /// `**`: any number of folders.
    Deep,
}

impl NamePart {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Wild(pattern) => pattern.matches_with(name, RULES),
            Self::Deep => !name.starts_with('.'),
        }
    }
}

/// Returns whether a path fits the rest of a pattern.
fn fits(parts: &[NamePart], names: &[&str]) -> bool {
    match (parts, names) {
        ([], []) => true,
        ([NamePart::Deep, rest @ ..], names) => {
            fits(rest, names)
                || matches!(names, [first, others @ ..]
                    if NamePart::Deep.matches(first) && fits(parts, others))
        }
        ([part, rest @ ..], [name, others @ ..]) => part.matches(name) && fits(rest, others),
        _ => false,
    }
}

impl<'a> Project<'a> {
    /// Returns the project at `root`, for a pipeline that writes nothing.
    pub fn at(root: &'a Path) -> Self {
        Self { root, outputs: &[] }
    }

    /// Returns a path as it is shown: relative to the project root if it lies below it.
    pub fn show(&self, path: &Path) -> String {
        let shown = path.strip_prefix(self.root).unwrap_or(path);
        shown.display().to_string()
    }

    /// Returns the files that an absolute pattern stands for, ordered by path; a plain path stands for one
    /// file. `*`, `?` and `[ab]` stand for characters of a name, `**` for any folders except hidden ones
    /// and links.
    ///
    /// # Errors
    ///
    /// The text is not a pattern, something cannot be looked at, or the pipeline itself writes a file that
    /// the pattern stands for. The error does not say where the pattern is.
    pub fn find(&self, pattern: &str, links: Links) -> Result<Vec<PathBuf>, Box<Diag>> {
        let (base, parts) = split(pattern)?;
        if parts.is_empty() {
            return Ok(self.plain(base)?.into_iter().collect());
        }
        let own = self.own(pattern, &base, &parts)?;
        let mut search = Search {
            project: self,
            parts: &parts,
            links,
            found: Vec::new(),
            left: vec![FoundPlace {
                folder: base,
                part: 0,
                out: None,
            }],
        };
        while let Some(place) = search.left.pop() {
            search.look(&place)?;
        }
        let mut found = search.found;
        found.sort();
        found.dedup();
        found.retain(|path| own.iter().all(|target| !is_at(path, target)));
        Ok(found)
    }

    /// Returns a path without wildcards, if there is a file.
    fn plain(&self, path: PathBuf) -> Result<Option<PathBuf>, Box<Diag>> {
        if path.is_file() {
            return Ok(Some(path));
        }
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => match fs::metadata(&path) {
                Ok(_) => Ok(None),
                Err(error) => Err(self.broken(&path, error)),
            },
            Err(error) if !is_absence(&error) => Err(self.unreadable("look at", &path, error)),
            _ => Ok(None),
        }
    }

    /// Finds the pipeline's own outputs among what a pattern stands for. `**` leaves them out, as it does
    /// flow's own folder. Any other pattern must not stand for one.
    fn own(
        &self,
        pattern: &str,
        base: &Path,
        parts: &[NamePart],
    ) -> Result<Vec<&'a Destination>, Box<Diag>> {
        if self.outputs.is_empty() {
            return Ok(Vec::new());
        }
        let base = real(base);
        let outputs = self.outputs.iter();
        let own: Vec<&Destination> = outputs
            .filter(|target| {
                let Ok(rest) = target.real.strip_prefix(&base) else {
                    return false;
                };
                let names: Vec<_> = rest.iter().map(|name| name.to_string_lossy()).collect();
                let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
                fits(parts, &names)
            })
            .collect();
        let deep = parts.iter().any(|part| matches!(part, NamePart::Deep));
        match own.first() {
            Some(target) if !deep => {
                let shown = self.show(Path::new(&unescape(pattern)));
                let output = self.show(&target.real);
                Err(Box::new(
                    Diag::new(
                        "flow::outputs::source",
                        format!("the output `{output}` is among what `{shown}` stands for"),
                    )
                    .label(target.span, "would be read by the next run")
                    .help(elsewhere(&target.real)),
                ))
            }
            _ => Ok(own),
        }
    }

    fn unreadable(&self, what: &str, path: &Path, error: io::Error) -> Box<Diag> {
        let message = format!("cannot {what} `{}`: {}", self.show(path), cause(&error));
        let diag = Diag::new("flow::files::unreadable", message).with_source(error);
        Box::new(diag.help(
            "nobody can tell which files it holds: make it readable, or write a narrower pattern",
        ))
    }

    fn broken(&self, link: &Path, error: io::Error) -> Box<Diag> {
        if error.kind() != ErrorKind::NotFound {
            return self.unreadable("follow the link", link, error);
        }
        let to = fs::read_link(link).unwrap_or_default();
        let message = format!(
            "`{}` is a link to `{}`, and nothing is there",
            self.show(link),
            to.display()
        );
        let diag = Diag::new("flow::files::link", message);
        Box::new(
            diag.help(
                "get the file (git annex get, dvc checkout, git lfs pull), or remove the link",
            ),
        )
    }

    fn outside(&self, link: &Path) -> Box<Diag> {
        let to = link.canonicalize().unwrap_or_default();
        let shown = self.show(link);
        let message = format!(
            "`{shown}` is a link out of the project, to `{}`",
            to.display()
        );
        let help = format!(
            "a pattern finds files of the project; name the link itself to have it followed: \"{}\"",
            escape(&shown)
        );
        Box::new(Diag::new("flow::files::outside", message).help(help))
    }
}

/// A folder on the way, and the part of the pattern that its entries are compared with.
struct FoundPlace {
    folder: PathBuf,
    part: usize,
    /// The link on the way that leads out of the project, if there is one.
    out: Option<PathBuf>,
}

struct Search<'s> {
    project: &'s Project<'s>,
    parts: &'s [NamePart],
    links: Links,
    found: Vec<PathBuf>,
    left: Vec<FoundPlace>,
}

impl Search<'_> {
    fn look(&mut self, place: &FoundPlace) -> Result<(), Box<Diag>> {
        let part = &self.parts[place.part];
        if let NamePart::Name(name) = part {
            return self.named(place, name);
        }
        let deep = matches!(part, NamePart::Deep);
        let mut names = Vec::new();
        let entries = match fs::read_dir(&place.folder) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => return Ok(()),
            Err(error) => return Err(self.project.unreadable("list", &place.folder, error)),
        };
        for entry in entries {
            let entry = entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?)));
            let entry = entry.map_err(|e| self.project.unreadable("list", &place.folder, e))?;
            names.push(entry);
        }
        if deep {
            // A store may lie anywhere, and no file in it belongs to the project.
            if STORE
                .iter()
                .all(|part| names.iter().any(|(name, _)| name == part))
            {
                return Ok(());
            }
            self.left.push(FoundPlace {
                folder: place.folder.clone(),
                part: place.part + 1,
                out: place.out.clone(),
            });
        }
        for (name, ty) in names {
            let shown = name.to_string_lossy();
            if CLOSED.contains(&shown.as_ref()) || !part.matches(&shown) {
                continue;
            }
            let path = place.folder.join(&name);
            let wanted = if deep { ty.is_dir() } else { true };
            if wanted && name.to_str().is_none() {
                let message = format!("the name of `{}` is not UTF-8", self.project.show(&path));
                let diag = Diag::new("flow::files::name", message);
                return Err(Box::new(diag.help("rename it, or move it elsewhere")));
            }
            if deep && ty.is_dir() {
                self.left.push(FoundPlace {
                    folder: path,
                    part: place.part,
                    out: place.out.clone(),
                });
            } else if !deep {
                self.take(path, ty.is_symlink(), place)?;
            }
        }
        Ok(())
    }

    /// Looks at an entry whose name follows a wildcard. It need not be in every folder.
    fn named(&mut self, place: &FoundPlace, name: &str) -> Result<(), Box<Diag>> {
        let path = place.folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) => self.take(path, meta.is_symlink(), place),
            Err(error) if is_absence(&error) => Ok(()),
            Err(error) => Err(self.project.unreadable("look at", &path, error)),
        }
    }

    /// Takes an entry that fits a part: a file if the part is the last one, otherwise a folder.
    fn take(&mut self, path: PathBuf, is_link: bool, place: &FoundPlace) -> Result<(), Box<Diag>> {
        let meta = fs::metadata(&path);
        let meta = match meta {
            Ok(meta) => meta,
            Err(error) if is_link => return Err(self.project.broken(&path, error)),
            // It was removed in the meantime.
            Err(error) if is_absence(&error) => return Ok(()),
            Err(error) => return Err(self.project.unreadable("look at", &path, error)),
        };
        let mut out = place.out.clone();
        if is_link && self.links == Links::Within {
            let to = path.canonicalize();
            if !to.is_ok_and(|to| to.starts_with(self.project.root)) {
                out = Some(path.clone());
            }
        }
        let last = place.part + 1 == self.parts.len();
        if !last && meta.is_dir() {
            self.left.push(FoundPlace {
                folder: path,
                part: place.part + 1,
                out,
            });
        } else if last && meta.is_file() {
            match out {
                Some(link) => return Err(self.project.outside(&link)),
                None => self.found.push(path),
            }
        }
        Ok(())
    }
}

/// Splits a pattern into its leading names, which are taken literally, and the rest.
fn split(pattern: &str) -> Result<(PathBuf, Vec<NamePart>), Box<Diag>> {
    let mut base = PathBuf::from("/");
    let mut parts: Vec<NamePart> = Vec::new();
    for text in pattern.split('/').filter(|text| !text.is_empty()) {
        let name = unescape(text);
        let wild = escape(&name) != text && text.contains(['*', '?', '[']);
        if parts.is_empty() && (!wild || base.join(&name).symlink_metadata().is_ok()) {
            base.push(name);
        } else if !wild {
            parts.push(NamePart::Name(name));
        } else if text == "**" {
            // Two in a row mean the same as one.
            if !matches!(parts.last(), Some(NamePart::Deep)) {
                parts.push(NamePart::Deep);
            }
        } else {
            let compiled = Pattern::new(text).map_err(|error| {
                let message = format!("`{text}` is no pattern: {}", error.msg);
                Box::new(Diag::new("flow::files::pattern", message).help(
                    "`*` stands for any name, `**` for any folders, `[ab]` for one of these letters",
                ))
            })?;
            parts.push(NamePart::Wild(compiled));
        }
    }
    if matches!(parts.last(), Some(NamePart::Deep)) {
        let all = Pattern::new("*").map(NamePart::Wild);
        parts.extend(all);
    }
    Ok((base, parts))
}

/// Removes `.` and `..` from a path, by its text alone.
pub fn normal(path: PathBuf) -> PathBuf {
    // Most paths have none, and there may be one path for every item.
    let bytes = path.as_os_str().as_bytes();
    let odd = |pair: &[u8]| pair == b"//" || pair == b"/.";
    if bytes.starts_with(b"/") && !bytes.ends_with(b"/") && !bytes.windows(2).any(odd) {
        return path;
    }
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// Resolves links and `..` in the folders of a path, as far as they exist. The file itself may be a link,
/// since a write would replace the link rather than the file that it leads to.
pub fn real(path: &Path) -> PathBuf {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else {
        return path.to_path_buf();
    };
    let mut missing = Vec::new();
    let mut there = folder;
    loop {
        if let Ok(mut real) = there.canonicalize() {
            real.extend(missing.into_iter().rev());
            real.push(name);
            return real;
        }
        let (Some(up), Some(last)) = (there.parent(), there.file_name()) else {
            return path.to_path_buf();
        };
        missing.push(last);
        there = up;
    }
}

/// Returns true if a file that was found is one that the pipeline writes.
fn is_at(path: &Path, target: &Destination) -> bool {
    path.file_name() == target.real.file_name() && real(path) == target.real
}

/// Returns true if an error means that there is nothing, rather than something that may not be looked at.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Returns what went wrong, without the system's number for it.
pub fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_lowercase(),
        None => text,
    }
}

/// Advice for an output that cannot stay where it is.
pub fn elsewhere(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name);
    let other = if folder.is_some_and(|folder| folder == "out") {
        "results"
    } else {
        "out"
    };
    format!("write it to another folder, such as \"{other}/{name}\"")
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
