//! Finds the files that a path or a pattern of a pipeline stands for.
//!
//! Only what somebody wrote as a pattern is one: the project's own path and the values of `${env:...}` are
//! escaped before they are joined to it ([`escape`]), and leading names that are there as they are written are
//! meant so. What cannot be looked at is an error, never a file less: a folder that cannot be listed, a name
//! that is not UTF-8, a link that points nowhere.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::base::diag::{Diag, Span};

/// As in a shell: a leading dot is matched only by a dot.
const RULES: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Folders that no pattern looks into: flow's own, and that of git.
const CLOSED: [&str; 2] = [".flow", ".git"];

/// What tells a store from other folders.
const STORE: [&str; 3] = ["format", "artifacts", "records"];

/// Characters that mean something in a pattern, or in one that has names in braces.
const SPECIAL: [char; 5] = ['*', '?', '[', ']', '{'];

/// The project that a stage looks for its files in.
#[derive(Clone, Copy, Debug)]
pub struct Project<'a> {
    /// Its root, absolute and without links.
    pub root: &'a Path,
    /// What the pipeline writes there itself.
    pub outputs: &'a [Destination],
}

/// A file that a pipeline writes: an entry of `[outputs]`.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its place without links, as far as there are folders on the way.
    pub real: PathBuf,
    /// Where the pipeline names it.
    pub span: Span,
}

/// Where links may lead that a pattern finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Anywhere.
    Anywhere,
    /// To files of the project.
    Within,
}

/// Makes a text a pattern that stands for this text alone.
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

/// What [`escape`] made a pattern of.
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

/// One name of a pattern.
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

/// Whether a path fits what is left of a pattern.
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
    /// The project at `root` of a pipeline that writes nothing.
    pub fn at(root: &'a Path) -> Self {
        Self { root, outputs: &[] }
    }

    /// How a path is shown: relative to the project root where it lies below.
    pub fn show(&self, path: &Path) -> String {
        let shown = path.strip_prefix(self.root).unwrap_or(path);
        shown.display().to_string()
    }

    /// The files that an absolute pattern stands for, in the order of their paths; of a plain path, that file.
    /// `*`, `?` and `[ab]` stand for characters of a name, `**` for any folders but hidden ones and links.
    ///
    /// # Errors
    ///
    /// It is no pattern, something cannot be looked at, or the pipeline writes what it stands for; without the
    /// place of the pattern.
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

    /// A path without wildcards, if a file is there.
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

    /// The pipeline's own outputs that a pattern stands for. `**` leaves them out, as it does flow's own folder;
    /// what is read by any other pattern may not be written.
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

/// A folder on the way, and the part of the pattern that its entries are held against.
struct FoundPlace {
    folder: PathBuf,
    part: usize,
    /// A link on the way that leads out of the project.
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
            // A store may lie anywhere, and what is in it is no file of the project.
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

    /// An entry that is named after a wildcard: it may not be in every folder.
    fn named(&mut self, place: &FoundPlace, name: &str) -> Result<(), Box<Diag>> {
        let path = place.folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) => self.take(path, meta.is_symlink(), place),
            Err(error) if is_absence(&error) => Ok(()),
            Err(error) => Err(self.project.unreadable("look at", &path, error)),
        }
    }

    /// Takes in what fits a part: a file at the end, a folder before.
    fn take(&mut self, path: PathBuf, is_link: bool, place: &FoundPlace) -> Result<(), Box<Diag>> {
        let meta = fs::metadata(&path);
        let meta = match meta {
            Ok(meta) => meta,
            Err(error) if is_link => return Err(self.project.broken(&path, error)),
            // It was removed meanwhile.
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

/// The leading names of a pattern that are meant as they are, and the rest of it.
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
            // Two of them mean no more than one.
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

/// A path without `.` and `..`, by its text alone.
pub fn normal(path: PathBuf) -> PathBuf {
    // Most are, and there may be one for every item.
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

/// A path without links and `..`, as far as there is something on the way to the file; the file itself may be a
/// link, since it would be replaced rather than what it leads to.
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

/// True where a file that was found is one that the pipeline writes.
fn is_at(path: &Path, target: &Destination) -> bool {
    path.file_name() == target.real.file_name() && real(path) == target.real
}

/// Nothing is there, rather than something that may not be looked at.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// What went wrong, without the number that the system has for it.
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
