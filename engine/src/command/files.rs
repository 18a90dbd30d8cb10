//! The project's files that a program gets: found when the pipeline is loaded, copied for each action.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flow_cache::Digest;

use super::template;
use crate::stage::SourceFile;

/// What is wrong with an entry of `files`: a message and a hint.
pub type Misfit = (String, String);

/// Finds what a pattern (an absolute path, perhaps with wildcards) stands for: source files by
/// their project-relative paths. Names in braces are replaced by `value`.
pub fn find<'a>(
    pattern: &str,
    root: &Path,
    value: impl Fn(&str) -> Option<Cow<'a, str>>,
    found: &mut BTreeMap<String, SourceFile>,
) -> Result<(), Misfit> {
    let plain = normal(Path::new(&template::fill(pattern, &value)));
    let Ok(text) = plain.strip_prefix(root) else {
        return Err((
            format!("`{pattern}` lies outside the project"),
            "what is outside may be read without being declared; to have it in the recipe, \
             link or copy it into the project"
                .into(),
        ));
    };
    let text = text.to_string_lossy();
    let paths = if plain.is_file() {
        vec![plain.clone()]
    } else {
        // What a name stands for is meant as it is, and so is the path of the project.
        let escaped = |name: &str| value(name).map(|v| Cow::Owned(glob::Pattern::escape(&v)));
        let wild = normal(Path::new(&template::fill(pattern, escaped)));
        let wild = wild.strip_prefix(root).unwrap_or(Path::new(""));
        let escaped = glob::Pattern::escape(&root.to_string_lossy());
        let all = glob::glob(&format!("{escaped}/{}", wild.display())).map_err(|error| {
            (
                format!("`{text}` is no pattern: {}", error.msg),
                "`*` stands for any name, `**` for any folders, `[ab]` for one of these letters"
                    .to_owned(),
            )
        })?;
        all.filter_map(Result::ok).filter(|p| p.is_file()).collect()
    };
    if paths.is_empty() {
        let help = if root.join(&*text).is_dir() {
            format!("it is a folder: \"{text}/**/*\" stands for all files below it")
        } else {
            format!(
                "patterns are relative to the project root, {}",
                root.display()
            )
        };
        return Err((format!("no file matches `{text}`"), help));
    }
    for path in paths {
        add(path, root, found);
    }
    Ok(())
}

/// Adds a file under its project-relative path.
pub fn add(path: PathBuf, root: &Path, found: &mut BTreeMap<String, SourceFile>) {
    let role = path.strip_prefix(root).unwrap_or(&path);
    let role = role.to_string_lossy().into_owned();
    found.insert(role.clone(), SourceFile { role, path });
}

/// A path without `.` and `..`, by its text alone.
pub fn normal(path: &Path) -> PathBuf {
    // Most are, and there may be one for every item.
    let bytes = path.as_os_str().as_bytes();
    let odd = |pair: &[u8]| pair == b"//" || pair == b"/.";
    if bytes.starts_with(b"/") && !bytes.ends_with(b"/") && !bytes.windows(2).any(odd) {
        return path.to_owned();
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

/// The program behind a name: in `PATH`, or below the project root where the name is a path.
pub fn program(name: &str, root: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        let path = root.join(name);
        return path.is_file().then_some(path);
    }
    let folders = std::env::var_os("PATH")?;
    let mut paths = std::env::split_paths(&folders).map(|folder| root.join(folder).join(name));
    paths.find(|path| {
        let file = fs::metadata(path);
        file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// A file of at most this size is kept in memory for the actions to come.
pub const SMALL: u64 = 1 << 20;
/// All kept files together.
const MOST: usize = 64 << 20;

/// Contents of source files, checked against their digests once, written for every action.
#[derive(Default)]
pub struct Copies(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    files: HashMap<(PathBuf, Digest), Arc<Content>>,
    bytes: usize,
}

struct Content {
    bytes: Vec<u8>,
    mode: u32,
}

impl Copies {
    /// Copies a file to `to`, over what is there. False where the copy would not have that digest.
    pub fn copy(&self, file: &SourceFile, digest: &Digest, to: &Path) -> io::Result<bool> {
        let key = (file.path.clone(), *digest);
        let known = self.lock().files.get(&key).cloned();
        let content = match known {
            Some(content) => content,
            None => {
                let mut from = fs::File::open(&file.path)?;
                let meta = from.metadata()?;
                if meta.len() > SMALL {
                    drop(from);
                    drop(write_over(to)?);
                    fs::copy(&file.path, to)?;
                    return Ok(Digest::of_file(to)?.0 == *digest);
                }
                let mut bytes = Vec::with_capacity(meta.len() as usize);
                from.read_to_end(&mut bytes)?;
                if Digest::of(&bytes) != *digest {
                    return Ok(false);
                }
                let mode = meta.permissions().mode() & 0o777;
                let content = Arc::new(Content { bytes, mode });
                let mut kept = self.lock();
                if kept.bytes + content.bytes.len() <= MOST {
                    kept.bytes += content.bytes.len();
                    kept.files.insert(key, Arc::clone(&content));
                }
                content
            }
        };
        let mut out = write_over(to)?;
        out.set_permissions(fs::Permissions::from_mode(content.mode))?;
        out.write_all(&content.bytes)?;
        Ok(true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // What a panic may have left is a map with or without an entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An empty file at `to`: what is there, emptied, or a new one. Links are not followed.
pub fn write_over(to: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let options = options.custom_flags(libc::O_NOFOLLOW);
    options.open(to).or_else(|_| {
        // It may not be writable, or is being executed.
        fs::remove_file(to)?;
        options.open(to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(pattern: &str, root: &Path) -> Result<Vec<String>, Misfit> {
        let mut found = BTreeMap::new();
        let value = |name: &str| (name == "i").then_some(Cow::Borrowed("[1]"));
        let pattern = root.join(pattern);
        find(&pattern.to_string_lossy(), root, value, &mut found)?;
        Ok(found.into_keys().collect())
    }

    #[test]
    fn patterns_find_files_below_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("a[b]");
        for file in [
            "x.py",
            "lib/y.py",
            "lib/deep/z.py",
            "d/p[1].txt",
            "d/p1.txt",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(roles("*.py", &root).unwrap(), ["x.py"]);
        let below = roles("**/*.py", &root).unwrap();
        assert_eq!(below, ["lib/deep/z.py", "lib/y.py", "x.py"]);
        assert_eq!(roles("d/p{i}.txt", &root).unwrap(), ["d/p[1].txt"]);
        assert_eq!(roles("d/p{i}.*", &root).unwrap(), ["d/p[1].txt"]);
        let (message, help) = roles("lib", &root).unwrap_err();
        assert!(message.contains("`lib`") && help.contains("lib/**/*"));
        assert!(roles("none.py", &root).unwrap_err().0.contains("no file"));
        assert!(roles("a***", &root).unwrap_err().0.contains("pattern"));
        assert!(
            roles("/etc/passwd", &root)
                .unwrap_err()
                .0
                .contains("outside")
        );
        assert!(
            roles("lib/../../x", &root)
                .unwrap_err()
                .0
                .contains("outside")
        );
        assert_eq!(roles("lib/../x.*", &root).unwrap(), ["x.py"]);
        assert!(roles("../x", &root).unwrap_err().0.contains("outside"));
    }

    #[test]
    fn copies_are_what_the_digest_says() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        let copies = Copies::default();
        for text in ["small".to_owned(), "large ".repeat(1 << 20)] {
            fs::write(&from, &text).unwrap();
            fs::set_permissions(&from, fs::Permissions::from_mode(0o755)).unwrap();
            let file = SourceFile {
                role: "from".into(),
                path: from.clone(),
            };
            let digest = Digest::of(text.as_bytes());
            for _ in 0..3 {
                assert!(copies.copy(&file, &digest, &to).unwrap());
                assert_eq!(fs::read_to_string(&to).unwrap(), text);
                let mode = fs::metadata(&to).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o755);
                // The next copy is written over what a program made of this one.
                fs::write(&to, text.repeat(2)).unwrap();
                fs::set_permissions(&to, fs::Permissions::from_mode(0o444)).unwrap();
            }
            assert!(!copies.copy(&file, &Digest::of(b"other"), &to).unwrap());
            let _ = fs::remove_file(&to);
        }
    }
}
