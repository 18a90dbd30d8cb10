//! Why a program failed, in words that help: how it ended, what it said last, and which file it
//! missed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::sources::{is_started, normal};
use crate::stage::{Action, StageError};
use crate::worker::HOME;

/// So many last lines are shown.
const LINES: usize = 20;
/// So much of the end of a log is looked at.
const TAIL: u64 = 64 << 10;

/// The error for a program that ended badly.
pub fn failure(
    action: &Action<'_>,
    shown: &str,
    status: ExitStatus,
    peak_rss: u64,
    log: &Path,
) -> StageError {
    let mut error = match status.signal() {
        Some(libc::SIGKILL) => {
            let message = format!("`{shown}` was killed (SIGKILL)");
            StageError::failed("flow::command::killed", message).help(memory(peak_rss))
        }
        Some(signal) => {
            let message = format!("`{shown}` was ended by {}", name_of(signal));
            StageError::failed("flow::command::failed", message)
        }
        None => {
            let message = format!("`{shown}` failed: {status}");
            StageError::failed("flow::command::failed", message)
        }
    };
    // A shell passes on how its program ended in this way.
    match status.code() {
        Some(137) => error = error.help(memory(peak_rss)),
        Some(code) if code > 128 && code < 160 => {
            let signal = name_of(code - 128);
            error = error.help(format!("a shell gives this status for {signal}"));
        }
        _ => {}
    }
    let text = tail(log).unwrap_or_default();
    let sight = Sight::of(action);
    if let Some(hint) = sight.hint(&text) {
        error = error.help(hint);
    }
    with_words(error, &text)
}

/// Adds the last lines of a log to an error.
pub fn with_log(error: StageError, log: &Path) -> StageError {
    let text = tail(log).unwrap_or_default();
    with_words(error, &text)
}

/// Adds the last lines of what a program said.
pub fn with_words(error: StageError, text: &str) -> StageError {
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return error;
    }
    let last = &lines[lines.len().saturating_sub(LINES)..];
    error.help(format!("the last it said:\n{}", last.join("\n")))
}

fn memory(peak_rss: u64) -> String {
    format!(
        "nobody asked for that here: most often it is the kernel, out of memory (it held {} MiB). \
         Say what it needs, so that fewer run at once: resources = {{ memory = \"4GiB\" }}",
        peak_rss >> 20
    )
}

fn name_of(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP (its terminal is gone)",
        libc::SIGINT => "SIGINT (interrupted)",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL (illegal instruction)",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT (it gave up, perhaps over a failed assertion)",
        libc::SIGBUS => "SIGBUS (bad memory access, or a mapped file became shorter)",
        libc::SIGFPE => "SIGFPE (arithmetic error)",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV (bad memory access)",
        libc::SIGPIPE => "SIGPIPE (nobody reads what it writes)",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM (asked to end)",
        libc::SIGXCPU => "SIGXCPU (limit of CPU time)",
        libc::SIGXFSZ => "SIGXFSZ (limit of file size)",
        libc::SIGSYS => "SIGSYS (bad system call)",
        _ => return format!("signal {signal}"),
    };
    name.into()
}

/// The end of a text file.
fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a program saw of the project.
struct Sight {
    root: PathBuf,
    home: PathBuf,
    scratch: PathBuf,
    /// Entries of `files` as written.
    files: Vec<String>,
    /// Project-relative paths that it had.
    had: BTreeSet<String>,
}

impl Sight {
    fn of(action: &Action<'_>) -> Self {
        let files = action.params.strs("files").into_iter();
        let files = files.map(|file| {
            let file = Path::new(file)
                .strip_prefix(action.root)
                .unwrap_or(Path::new(file));
            file.to_string_lossy().into_owned()
        });
        let had = action
            .all_sources()
            .iter()
            .map(|(file, _)| file.role.clone());
        Self {
            root: action.root.to_owned(),
            home: action.scratch.join(HOME),
            scratch: action.scratch.to_owned(),
            files: files.collect(),
            had: had.filter(|role| !is_started(role)).collect(),
        }
    }

    /// The line to add where a message names a file of the project that was not declared, else which
    /// folder is closed where it was refused something.
    fn hint(&self, text: &str) -> Option<String> {
        let mut missed = BTreeSet::new();
        for word in words(text) {
            missed.extend(self.undeclared(word));
        }
        missed.extend(self.modules(text));
        if !missed.is_empty() {
            let entries = self.files.iter().chain(&missed);
            let entries: Vec<String> = entries.map(|entry| format!("{entry:?}")).collect();
            return Some(format!(
                "a program sees the files of the project that are declared:\nfiles = [{}]",
                entries.join(", ")
            ));
        }
        let lower = text.to_lowercase();
        let refused = ["permission denied", "eacces", "errno 13", "not permitted"];
        refused.iter().any(|word| lower.contains(word)).then(|| {
            format!(
                "the project's folder {} is closed to the program, but for its `files` and `.venv`",
                self.root.display()
            )
        })
    }

    /// The pattern that would declare what a word names, if it is a path in the project that the
    /// program did not have.
    fn undeclared(&self, word: &str) -> Option<String> {
        if word.is_empty() || word.len() > 4096 {
            return None;
        }
        let path = normal(self.home.join(word));
        // Relative to where it ran is relative to the project as the program sees it.
        let relative = match path.strip_prefix(&self.home) {
            Ok(below) => below.to_owned(),
            Err(_) if path.starts_with(&self.scratch) => return None,
            Err(_) => path.strip_prefix(&self.root).ok()?.to_owned(),
        };
        let state = relative.starts_with(".flow") || relative.starts_with(".git");
        if relative.as_os_str().is_empty() || state {
            return None;
        }
        let text = relative.to_str()?;
        let there = std::fs::metadata(self.root.join(&relative)).ok()?;
        if there.is_dir() {
            // A bare word may well be a word.
            let below = format!("{text}/");
            let known = self.had.iter().any(|had| had.starts_with(&below));
            return (word.contains('/') && !known).then(|| format!("{text}/**/*"));
        }
        (!self.had.contains(text)).then(|| text.to_owned())
    }

    /// Files of Python modules that were not found.
    fn modules(&self, text: &str) -> Vec<String> {
        let mut files = Vec::new();
        for (at, before) in text.match_indices("No module named ") {
            let name = &text[at + before.len()..];
            let name = name.trim_start_matches('\'');
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
            let path = name[..end.unwrap_or(name.len())].replace('.', "/");
            let folders = self.had.iter().filter_map(|had| Path::new(had).parent());
            let folders: BTreeSet<&Path> = folders.chain([Path::new("")]).collect();
            for folder in folders {
                let module = folder.join(format!("{path}.py"));
                let package = folder.join(&path);
                if self.root.join(&module).is_file() {
                    files.push(module.to_string_lossy().into_owned());
                } else if !path.is_empty() && self.root.join(&package).is_dir() {
                    files.push(package.join("**/*.py").to_string_lossy().into_owned());
                }
            }
        }
        files
    }
}

/// Stretches of a text that may be paths: what stands between quotes, and between spaces and
/// punctuation.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text
        .lines()
        .flat_map(|line| line.split(['\'', '"', '`', '‘', '’']));
    let bare = text.split(|c: char| c.is_whitespace() || "'\"`‘’“”()[]{}<>,;:=".contains(c));
    quoted.chain(bare).map(|word| word.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(root: &Path) -> Sight {
        for file in [
            "data/x y.csv",
            "data/z.csv",
            "scripts/fit.py",
            "scripts/lib.py",
            "pkg/m.py",
        ] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let scratch = root.join(".flow/scratch/1/0");
        Sight {
            root: root.to_owned(),
            home: scratch.join(HOME),
            scratch,
            files: vec!["scripts/f*.py".into()],
            had: BTreeSet::from(["scripts/fit.py".into()]),
        }
    }

    #[test]
    fn the_line_to_add_is_found_in_messages() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let sight = sight(root);
        let line = |more: &str| format!("files = [\"scripts/f*.py\", \"{more}\"]");
        let absolute = format!(
            "cat: {}: Permission denied",
            root.join("data/z.csv").display()
        );
        let cases = [
            ("No such file or directory: 'data/x y.csv'", "data/x y.csv"),
            ("cat: ./data/z.csv: No such file", "data/z.csv"),
            (absolute.as_str(), "data/z.csv"),
            ("open(../../../../../data/z.csv)", "data/z.csv"),
            ("cannot list data/.", "data/**/*"),
            (
                "ModuleNotFoundError: No module named 'lib'",
                "scripts/lib.py",
            ),
            ("ModuleNotFoundError: No module named 'pkg.m'", "pkg/m.py"),
            ("ModuleNotFoundError: No module named 'pkg'", "pkg/**/*.py"),
        ];
        for (text, file) in cases {
            let hint = sight.hint(text).unwrap_or_default();
            assert!(hint.contains(&line(file)), "{text}: {hint}");
        }
    }

    #[test]
    fn other_messages_give_no_line() {
        let temp = tempfile::tempdir().unwrap();
        let sight = sight(temp.path());
        for text in [
            "File \"scripts/fit.py\", line 3",
            "No such file or directory: 'data/none.csv'",
            "the data is wrong",
            "No module named 'numpy'",
            "",
        ] {
            assert_eq!(sight.hint(text), None, "{text}");
        }
        let closed = sight.hint("PermissionError: [Errno 13] something").unwrap();
        assert!(
            closed.contains(&temp.path().display().to_string()),
            "{closed}"
        );
    }
}
