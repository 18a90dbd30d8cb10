//! Why a program failed, in words that help: how it ended, what it said last, and which file it
//! missed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::params::CommandParams;
use super::sources::{in_path, is_started};
use crate::base::files::{escape, normal};
use crate::kind::action::Action;
use crate::kind::action::HOME;
use crate::kind::error::{KILLED, StageError};

/// The number of last lines that are shown.
const LINES: usize = 20;
/// The most characters of each line that are shown.
const LINE: usize = 500;
/// The number of bytes at the end of a log that are looked at.
const TAIL: usize = 64 << 10;

/// The error for a program that ended badly. What it said itself comes before what can be said of it.
pub fn failure(
    action: &Action<'_>,
    shown: &str,
    status: ExitStatus,
    peak_rss: u64,
    log: &[u8],
) -> StageError {
    let (code, message) = match status.signal() {
        Some(libc::SIGKILL) => (KILLED, format!("`{shown}` was killed (SIGKILL)")),
        Some(signal) => (
            "flow::command::failed",
            format!("`{shown}` was ended by {}", name_of(signal)),
        ),
        None => (
            // A shell passes on in this way that its program was killed.
            match status.code() {
                Some(137) => KILLED,
                _ => "flow::command::failed",
            },
            format!("`{shown}` failed: {status}"),
        ),
    };
    let text = tail(log);
    let mut error = with_words(StageError::failed(code, message), &text);
    match (status.signal(), status.code()) {
        (Some(libc::SIGKILL), _) | (_, Some(137)) => error = error.help(memory(peak_rss)),
        (_, Some(code)) if code > 128 && code < 160 => {
            let signal = name_of(code - 128);
            error = error.help(format!("a shell gives this status for {signal}"));
        }
        _ => {}
    }
    match Sight::of(action).hint(&text) {
        Some(hint) => error.help(hint),
        None => error,
    }
}

/// Adds the last lines of a log to an error.
pub fn with_log(error: StageError, log: &[u8]) -> StageError {
    with_words(error, &tail(log))
}

/// Adds the last lines of what a program said.
pub fn with_words(error: StageError, text: &str) -> StageError {
    let lines: Vec<String> = text.lines().map(line).collect();
    if lines.is_empty() {
        return error;
    }
    let last = &lines[lines.len().saturating_sub(LINES)..];
    error.help(format!("the last it said:\n{}", last.join("\n")))
}

/// A line as a terminal shows it: what was written over is gone, and it has an end.
fn line(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or_default();
    match text.char_indices().nth(LINE) {
        Some((end, _)) => {
            let more = text[end..].chars().count();
            format!("{} ... and {more} characters more", &text[..end])
        }
        None => text.to_owned(),
    }
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

/// The end of a text.
fn tail(log: &[u8]) -> String {
    let start = log.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&log[start..]).into_owned()
}

/// Words for a file that is not there or not to be read.
const MISSED: [&str; 16] = [
    "no such file",
    "not found",
    "does not exist",
    "permission denied",
    "not permitted",
    "enoent",
    "eacces",
    "errno 2",
    "errno 13",
    "cannot open",
    "can't open",
    "could not open",
    "unable to open",
    "failed to open",
    "cannot access",
    "cannot read",
];
/// Those for one that is there.
const REFUSED: [&str; 4] = ["permission denied", "not permitted", "eacces", "errno 13"];

/// What a program saw of the project.
struct Sight {
    root: PathBuf,
    home: PathBuf,
    scratch: PathBuf,
    /// Entries of `files` as written.
    files: Vec<String>,
    /// Entries of `tools` as written.
    tools: Vec<String>,
    /// Where it found other programs.
    path: OsString,
    /// Project-relative paths that it had.
    had: BTreeSet<String>,
}

impl Sight {
    fn of(action: &Action<'_>) -> Self {
        let root = escape(&action.root.to_string_lossy());
        let params = CommandParams::read(action.params);
        let files = params.files.iter();
        let files = files.map(|file| {
            let file = Path::new(file);
            let file = file.strip_prefix(&root).unwrap_or(file);
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
            path: params.path().into(),
            tools: params.tools.into_iter().map(str::to_owned).collect(),
            had: had.filter(|role| !is_started(role)).collect(),
        }
    }

    /// Returns what to declare, if that is certain: the program says that it missed something, and that
    /// exists. Otherwise says which folder is closed, if the program was refused something that may lie
    /// there.
    fn hint(&self, text: &str) -> Option<String> {
        let mut files: BTreeSet<String> = self.modules(text).into_iter().collect();
        let mut tools = BTreeSet::new();
        let mut refused = false;
        for line in text.lines() {
            let lower = line.to_lowercase();
            let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
            if says(&MISSED) {
                files.extend(words(line).filter_map(|word| self.undeclared(word)));
                tools.extend(programs(line).filter(|name| self.is_tool(name)));
            }
            refused |= says(&REFUSED) && !words(line).any(|word| self.is_elsewhere(word));
        }
        let entries = |known: &[String], more: Vec<&str>| {
            let known = known.iter().map(String::as_str);
            let entries = known.chain(more).map(|entry| format!("{entry:?}"));
            entries.collect::<Vec<_>>().join(", ")
        };
        if !files.is_empty() {
            let more = files.iter().map(String::as_str).collect();
            return Some(format!(
                "a program sees the files of the project that are declared:\nfiles = [{}]",
                entries(&self.files, more)
            ));
        }
        if !tools.is_empty() {
            let path = self.path.to_string_lossy();
            return Some(format!(
                "a program finds others in {path}, and those that are declared:\ntools = [{}]",
                entries(&self.tools, tools.into_iter().collect())
            ));
        }
        refused.then(|| {
            format!(
                "the project's folder {} is closed to the program, but for its `files` and `.venv`",
                self.root.display()
            )
        })
    }

    /// True for a program that the user has and this one did not find.
    fn is_tool(&self, name: &str) -> bool {
        let there = |path: &OsStr| in_path(name, &self.root, path).is_some();
        let known = self.tools.iter().any(|tool| tool == name);
        !known && !there(&self.path) && std::env::var_os("PATH").is_some_and(|path| there(&path))
    }

    /// True for a path that is there, outside of the project.
    fn is_elsewhere(&self, word: &str) -> bool {
        word.starts_with('/') && !Path::new(word).starts_with(&self.root) && {
            std::fs::symlink_metadata(word).is_ok()
        }
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
        if relative.as_os_str().is_empty() || self.is_no_source(&relative) {
            return None;
        }
        let text = relative.to_str()?;
        let there = std::fs::metadata(self.root.join(&relative)).ok()?;
        if there.is_dir() {
            // A bare word may be an ordinary word rather than a path.
            let below = format!("{text}/");
            let known = self.had.iter().any(|had| had.starts_with(&below));
            return (word.contains('/') && !known).then(|| format!("{text}/**/*"));
        }
        (!self.had.contains(text)).then(|| text.to_owned())
    }

    /// Returns true for files that nobody declares: state, and what is installed in an environment.
    fn is_no_source(&self, relative: &Path) -> bool {
        let state = [".flow", ".git", ".venv"];
        let mut folders = relative.ancestors().skip(1);
        state.iter().any(|name| relative.starts_with(name))
            || folders.any(|folder| self.root.join(folder).join("pyvenv.cfg").is_file())
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
                } else if !path.is_empty() && has_modules(&self.root.join(&package)) {
                    files.push(package.join("**/*.py").to_string_lossy().into_owned());
                }
            }
        }
        files
    }
}

/// True for a folder with Python files in it.
fn has_modules(package: &Path) -> bool {
    let entries = std::fs::read_dir(package).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| Path::new(&name).extension().is_some_and(|e| e == "py"))
}

/// Names that a line says were not found: `sh: 1: NAME: not found`, `No such file or directory: 'NAME'`.
fn programs(line: &str) -> impl Iterator<Item = &str> {
    let lower = line.to_ascii_lowercase();
    let phrases = [
        "command not found",
        "not found",
        "no such file or directory",
    ];
    let found = phrases.into_iter().find_map(|phrase| {
        let at = lower.find(phrase)?;
        Some((at, at + phrase.len()))
    });
    let quotes = ['\'', '"', '`', '‘', '’', '“', '”'];
    let sides = found.into_iter().flat_map(move |(from, to)| {
        let before = line[..from].trim_end().strip_suffix(':');
        let before = before.and_then(|text| text.rsplit([' ', ':']).next());
        let after = line[to..].strip_prefix(':');
        let after = after.and_then(|text| text.split_whitespace().next());
        [before, after].into_iter().flatten()
    });
    let names = sides.map(move |name| name.trim_matches(quotes));
    names.filter(|name| !name.is_empty() && !name.contains('/'))
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
    use flow_testkit::files::{folder, write};

    fn sight(root: &Path) -> Sight {
        for file in [
            "data/x y.csv",
            "data/z.csv",
            "scripts/fit.py",
            "scripts/lib.py",
            "pkg/m.py",
        ] {
            write(&root.join(file), "");
        }
        let scratch = root.join(".flow/scratch/1/0");
        Sight {
            root: root.to_owned(),
            home: scratch.join(HOME),
            scratch,
            files: vec!["scripts/f*.py".into()],
            tools: vec!["known".into()],
            path: "/nowhere".into(),
            had: BTreeSet::from(["scripts/fit.py".into()]),
        }
    }

    #[test]
    fn the_line_to_add_is_found_in_messages() {
        let temp = folder();
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
            (
                "open(../../../../../data/z.csv): Permission denied",
                "data/z.csv",
            ),
            ("ls: cannot access data/.", "data/**/*"),
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
        let temp = folder();
        let sight = sight(temp.path());
        let root = temp.path().display().to_string();
        for file in [
            ".venv/lib/m.py",
            "env/lib/m.py",
            "env/pyvenv.cfg",
            "numpy/x.txt",
        ] {
            write(&temp.path().join(file), "");
        }
        let in_environment = [
            "ROOT/.venv/lib/m.py: not found",
            "ROOT/env/lib/m.py: not found",
        ];
        for text in in_environment {
            assert_eq!(sight.hint(&text.replace("ROOT", &root)), None, "{text}");
        }
        for text in [
            // A stack names files that are there and were read.
            "Traceback (most recent call last):\n  File \"data/z.csv\", line 3\nKeyError: 'b'",
            "PermissionError: [Errno 13] Permission denied: '/etc/passwd'",
            "known: not found",
            "no-such-program: not found",
            "File \"scripts/fit.py\", line 3",
            "No such file or directory: 'data/none.csv'",
            "the data is wrong",
            "No module named 'numpy'",
            "",
        ] {
            assert_eq!(sight.hint(text), None, "{text}");
        }
        // The user's PATH has it, and the program's does not.
        for text in [
            "sh: 1: ls: not found",
            "bash: line 1: ls: command not found",
            "FileNotFoundError: [Errno 2] No such file or directory: 'ls'",
            "env: ‘ls’: No such file or directory",
        ] {
            let hint = sight.hint(text).unwrap_or_default();
            assert!(
                hint.contains("tools = [\"known\", \"ls\"]"),
                "{text}: {hint}"
            );
        }
        let closed = sight.hint("PermissionError: [Errno 13] something").unwrap();
        assert!(
            closed.contains(&temp.path().display().to_string()),
            "{closed}"
        );
    }

    #[test]
    fn lines_are_as_a_terminal_shows_them_and_have_an_end() {
        assert_eq!(line("10 %\r50 %\rdone\r"), "done");
        let long = "ü".repeat(LINE + 3);
        let cut = line(&long);
        assert!(
            cut.starts_with(&"ü".repeat(LINE)) && cut.ends_with(" 3 characters more"),
            "{cut}"
        );
        assert_eq!(line(&long[..2 * LINE]), long[..2 * LINE]);
    }
}
