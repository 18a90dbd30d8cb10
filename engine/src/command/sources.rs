//! The source files of a stage, found when the pipeline is loaded: those that all its actions share,
//! and those of single items, whose names hold the item's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flow_cache::Value;

use super::params::CommandParams;
use super::template::Template;
use super::{check, imports, items, shell};
use crate::base::diag::Diag;
use crate::base::files::{Links, Project, escape, normal, unescape};
use crate::kind::params::Params;
use crate::kind::shards::SourceFile;

/// Code of the diagnostic for an entry of `files` that stands for no file of the project.
const CODE: &str = "flow::command::files";

/// Role of the program among an action's sources, before its name.
pub const PROGRAM: &str = "program:";
/// Role of a program that the program may start, before its name.
pub const TOOL: &str = "tool:";

/// True for the role of what is started where it lies, rather than copied.
pub fn is_started(role: &str) -> bool {
    role.starts_with(PROGRAM) || role.starts_with(TOOL)
}

/// Programs that were looked for in `PATH`, by the project's root and their names.
pub type Programs = Mutex<HashMap<(PathBuf, String), Option<PathBuf>>>;

/// Finds the source files of one stage.
pub struct Finder<'p> {
    given: &'p Params,
    params: CommandParams<'p>,
    project: &'p Project<'p>,
    programs: &'p Programs,
    program: Option<Template<'p>>,
    files: Vec<Template<'p>>,
    looks: Looks,
}

impl<'p> Finder<'p> {
    /// Nothing found yet.
    pub fn new(given: &'p Params, project: &'p Project<'p>, programs: &'p Programs) -> Self {
        let params = CommandParams::read(given);
        Self {
            given,
            project,
            programs,
            program: params.run.first().copied().map(Template::new),
            files: params.files.iter().copied().map(Template::new).collect(),
            params,
            looks: Looks::default(),
        }
    }

    /// The files that all actions share.
    pub fn common(&mut self) -> Result<Vec<SourceFile>, Vec<Diag>> {
        let mut programs = Vec::from_iter(self.program(false, |_| None)?);
        programs.extend(self.tools()?);
        let mut files = self.files(false, |_| None)?;
        if self.params.code.is_some() {
            for script in self.scripts(&files) {
                let modules = imports::closure(&script, self.project.root).into_iter();
                files.extend(modules.map(|module| source(module, self.project.root)));
            }
        }
        Ok(in_order(programs, files))
    }

    /// The files of one item besides.
    pub fn of_item(&mut self, item: &Value) -> Result<Vec<SourceFile>, Vec<Diag>> {
        let value = |name: &str| items::lookup(item, name);
        let program = self.program(true, value)?;
        Ok(in_order(
            program.into_iter().collect(),
            self.files(true, value)?,
        ))
    }

    /// The program, if its name holds an item's, or if it does not.
    fn program<'v>(
        &self,
        of_item: bool,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Option<SourceFile>, Vec<Diag>> {
        let Some(name) = self.program.as_ref().filter(|p| p.has_names() == of_item) else {
            return Ok(None);
        };
        let name = name.fill(value);
        let path = self.find("run", &name)?;
        let role = format!("{PROGRAM}{name}");
        Ok(Some(SourceFile { role, path }))
    }

    /// The programs that the program may start besides those of the system, by the names under which it
    /// finds them: `tools`, and what a shell line starts that the system does not have.
    fn tools(&self) -> Result<Vec<SourceFile>, Vec<Diag>> {
        let mut tools = BTreeMap::new();
        for &text in &self.params.tools {
            let name = text.rsplit('/').next().unwrap_or(text);
            let path = self.find("tools", text)?;
            if tools.insert(name, path).is_some() {
                let message = format!("two tools are called `{name}`");
                let diag = check::at(self.given, "tools", "flow::command::name", message);
                return Err(vec![
                    diag.help("a program finds a tool by its file name alone"),
                ]);
            }
        }
        let system = self.params.path();
        for name in shell::started(&self.params.run) {
            if !tools.contains_key(name)
                && in_path(name, self.project.root, OsStr::new(system)).is_none()
                && let Ok(path) = self.find("run", name)
            {
                tools.insert(name, path);
            }
        }
        let tools = tools.into_iter().map(|(name, path)| SourceFile {
            role: format!("{TOOL}{name}"),
            path,
        });
        Ok(tools.collect())
    }

    /// The program of a name that stands in a parameter.
    fn find(&self, param: &str, name: &str) -> Result<PathBuf, Vec<Diag>> {
        let path = if name.contains('/') {
            program(name, self.project.root)
        } else {
            // `PATH` is searched once for each.
            let mut known = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
            let found = known.entry((self.project.root.to_owned(), name.to_owned()));
            found
                .or_insert_with(|| program(name, self.project.root))
                .clone()
        };
        path.ok_or_else(|| {
            let message = if name.contains('/') {
                format!("there is no program `{name}`")
            } else {
                format!("the program `{name}` is not in PATH")
            };
            let code = "flow::command::program";
            vec![check::at(self.given, param, code, message)]
        })
    }

    /// Finds what the entries of `files` stand for: those that hold names of an item, or the others.
    fn files<'v>(
        &mut self,
        of_item: bool,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Vec<SourceFile>, Vec<Diag>> {
        let mut found = Vec::new();
        for pattern in self.files.iter().filter(|p| p.has_names() == of_item) {
            let files = find(pattern, self.project, &value, &mut self.looks, &mut found);
            files.map_err(|diag| match self.given.span("files") {
                Some(span) => vec![diag.label(span, "here")],
                None => vec![*diag],
            })?;
        }
        Ok(found)
    }

    /// The Python scripts among files and arguments.
    fn scripts(&self, files: &[SourceFile]) -> Vec<PathBuf> {
        let run = &self.params.run;
        let python = |path: &Path| path.extension().is_some_and(|e| e == "py");
        let declared = files.iter().map(|file| file.path.clone());
        let named = run
            .iter()
            .skip(1)
            .map(|argument| normal(self.project.root.join(argument)));
        let named = named.filter(|path| path.starts_with(self.project.root) && path.is_file());
        let mut scripts: Vec<PathBuf> = declared.chain(named).filter(|p| python(p)).collect();
        if let Some(at) = run.iter().position(|argument| *argument == "-m") {
            let name = run.get(at + 1).copied().unwrap_or_default();
            scripts.extend(imports::module(name, self.project.root));
        }
        scripts
    }
}

/// The programs, then the files by their roles, each once.
fn in_order(programs: Vec<SourceFile>, mut files: Vec<SourceFile>) -> Vec<SourceFile> {
    files.sort_by(|a, b| a.role.cmp(&b.role));
    files.dedup_by(|a, b| a.role == b.role);
    programs.into_iter().chain(files).collect()
}

/// A file under its project-relative path.
fn source(path: PathBuf, root: &Path) -> SourceFile {
    let role = below(&path, root).unwrap_or(&path);
    let role = role.to_string_lossy().into_owned();
    SourceFile { role, path }
}

/// The part of a path below `root`, if it lies there; both are without `.` and `..`. By bytes:
/// there may be a path for every item, and taking one apart costs more than all else here.
fn below<'p>(path: &'p Path, root: &Path) -> Option<&'p Path> {
    let (path, root) = (path.as_os_str().as_bytes(), root.as_os_str().as_bytes());
    let rest = path.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    Some(Path::new(OsStr::from_bytes(rest.strip_prefix(b"/")?)))
}

/// How often a folder is looked into before it is listed.
const LOOKS: usize = 100;
/// The most names that are read when a folder is listed.
const LISTED: usize = 100_000;

/// Finds out which files exist. If each item has a file, there may be very many in one folder, and listing
/// it takes a fraction of the time of asking for each.
#[derive(Default)]
struct Looks {
    folder: Vec<u8>,
    looks: usize,
    /// In order.
    files: Vec<OsString>,
    /// The one after the last that was found: many are asked for in that order.
    next: usize,
}

impl Looks {
    fn is_file(&mut self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else {
            return false;
        };
        let (folder, name) = (&bytes[..=slash], OsStr::from_bytes(&bytes[slash + 1..]));
        if folder != self.folder {
            *self = Self {
                folder: folder.to_owned(),
                ..Self::default()
            };
        }
        self.looks += 1;
        if self.looks == LOOKS {
            let entries = fs::read_dir(OsStr::from_bytes(folder)).into_iter();
            let entries = entries.flatten().flatten().take(LISTED);
            let files = entries.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_file()));
            self.files = files.map(|entry| entry.file_name()).collect();
            self.files.sort_unstable();
        }
        let found = match self.files.get(self.next) {
            Some(next) if next == name => Ok(self.next),
            _ => self
                .files
                .binary_search_by(|file| file.as_os_str().cmp(name)),
        };
        self.next = found.map_or(self.next, |at| at + 1);
        // A link is no file, but may lead to one.
        found.is_ok() || path.is_file()
    }
}

/// Finds what a pattern (absolute, perhaps with wildcards) stands for. Names in braces are replaced by
/// `value`.
fn find<'v>(
    pattern: &Template<'_>,
    project: &Project<'_>,
    value: impl Fn(&str) -> Option<Cow<'v, str>>,
    looks: &mut Looks,
    found: &mut Vec<SourceFile>,
) -> Result<(), Box<Diag>> {
    // The value of a name is taken literally.
    let literal = |name: &str| value(name).map(escaped);
    let pattern = normal(pattern.fill(literal).into());
    let pattern = pattern.to_string_lossy();
    let plain = PathBuf::from(unescape(&pattern));
    let Some(text) = below(&plain, project.root) else {
        let message = format!("`{}` lies outside the project", plain.display());
        return Err(Box::new(Diag::new(CODE, message).help(
            "what is outside may be read without being declared; to have it in the recipe, \
             link or copy it into the project",
        )));
    };
    let text = text.to_string_lossy();
    if text.split('/').next() == Some(".flow") {
        let message = format!("`{text}` is flow's own, and changes with every run");
        return Err(Box::new(Diag::new(CODE, message).help(
            "to read what a stage made, give it to an input: inputs = { NAME = \"STAGE.OUTPUT\" }",
        )));
    }
    if looks.is_file(&plain) {
        found.push(source(plain, project.root));
        return Ok(());
    }
    let files = project.find(&pattern, Links::Within)?;
    if files.is_empty() {
        let help = if plain.is_dir() {
            format!("it is a folder: \"{text}/**/*\" stands for all files below it")
        } else {
            format!(
                "patterns are relative to the project root, {}",
                project.root.display()
            )
        };
        let diag = Diag::new(CODE, format!("no file matches `{text}`"));
        return Err(Box::new(diag.help(help)));
    }
    found.extend(files.into_iter().map(|path| source(path, project.root)));
    Ok(())
}

/// [`escape`], of which most have no need.
fn escaped(text: Cow<'_, str>) -> Cow<'_, str> {
    match escape(&text) {
        same if same == text => text,
        other => Cow::Owned(other),
    }
}

/// The program behind a name: in the user's `PATH`, or below the project root where the name is a path.
pub fn program(name: &str, root: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        let path = root.join(name);
        return path.is_file().then_some(path);
    }
    in_path(name, root, &std::env::var_os("PATH")?)
}

/// The program of a name in a list of folders, those that are relative below `root`.
pub fn in_path(name: &str, root: &Path, folders: &OsStr) -> Option<PathBuf> {
    let mut paths = std::env::split_paths(folders).map(|folder| root.join(folder).join(name));
    paths.find(|path| {
        let file = fs::metadata(path);
        file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::{folder, folder_with, write};

    fn roles(pattern: &str, root: &Path) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let value = |name: &str| (name == "i").then_some(Cow::Borrowed("[1]"));
        let pattern = Path::new(&escape(root.to_str().unwrap())).join(pattern);
        let pattern = Template::new(pattern.to_str().unwrap());
        find(
            &pattern,
            &Project::at(root),
            value,
            &mut Looks::default(),
            &mut found,
        )
        .map_err(|diag| format!("{} ({})", diag.message, diag.help.join(", ")))?;
        let files = in_order(Vec::new(), found).into_iter();
        Ok(files.map(|file| file.role).collect())
    }

    #[test]
    fn patterns_find_files_below_the_root() {
        let temp = folder();
        // Neither brackets nor braces of the project's own path mean anything.
        for root in ["a[b]", "{i}*"].map(|name| temp.path().join(name)) {
            for file in [
                "x.py",
                "lib/y.py",
                "lib/deep/z.py",
                "d/p[1].txt",
                "d/p1.txt",
            ] {
                write(&root.join(file), "");
            }
            let roles = |pattern: &str| roles(pattern, &root);
            assert_eq!(roles("*.py").unwrap(), ["x.py"]);
            let below = roles("**/*.py").unwrap();
            assert_eq!(below, ["lib/deep/z.py", "lib/y.py", "x.py"]);
            assert_eq!(roles("d/p{i}.txt").unwrap(), ["d/p[1].txt"]);
            assert_eq!(roles("d/p{i}.*").unwrap(), ["d/p[1].txt"]);
            assert!(roles("lib").unwrap_err().contains("\"lib/**/*\""));
            assert!(roles("none.py").unwrap_err().contains("no file"));
            assert!(roles("a***").unwrap_err().contains("pattern"));
            for outside in ["/etc/passwd", "lib/../../x", "../x"] {
                assert!(roles(outside).unwrap_err().contains("outside"));
            }
            assert_eq!(roles("lib/../x.*").unwrap(), ["x.py"]);
            fs::create_dir_all(root.join(".flow/store")).unwrap();
            assert!(
                roles(".flow/store/**/*")
                    .unwrap_err()
                    .contains("flow's own")
            );
        }
    }

    #[test]
    fn a_listed_folder_has_the_same_files() {
        let temp = folder_with(&[("file", ""), ("folder/file", "")]);
        let path = |name: &str| temp.path().join(name);
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        std::os::unix::fs::symlink("none", path("broken")).unwrap();
        let mut looks = Looks::default();
        for _ in 0..=LOOKS {
            let files = ["file", "folder", "link", "broken", "none"];
            let found = files.map(|name| looks.is_file(&path(name)));
            assert_eq!(found, [true, false, true, false, false]);
        }
        assert_eq!(looks.files, ["file"]);
        assert!(looks.is_file(&path("folder/file")));
    }

    #[test]
    fn paths_lie_below_whole_folders() {
        let part = |path, root| below(Path::new(path), Path::new(root));
        assert_eq!(part("/a/b/c", "/a"), Some(Path::new("b/c")));
        assert_eq!(part("/a/b", "/"), Some(Path::new("a/b")));
        assert_eq!(part("/ab/c", "/a"), None);
        assert_eq!(part("/a", "/a"), None);
    }
}
