//! Folders and files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use tempfile::{NamedTempFile, TempDir, tempdir_in};

/// The root of this repository.
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("a workspace")
}

/// A temporary folder on disk.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A temporary folder in memory, where there is one: most tests show nothing about a disk, and some
/// sync thousands of times.
pub fn folder_in_memory() -> TempDir {
    tempdir_in("/dev/shm").unwrap_or_else(|_| folder())
}

/// A temporary folder with these files, each a path and a text.
pub fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = folder();
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    folder
}

/// A temporary file that holds these bytes.
pub fn file_of(bytes: impl AsRef<[u8]>) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("a temporary file");
    file
}

/// Writes a file, and the folders above it.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, contents).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Reads a text.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What lies in a folder, in order of name; nothing for a folder that is not there.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    found.sort();
    found
}

/// A folder with all files and folders below it, itself first; nothing for one that is not there. Links
/// are not followed.
pub fn tree(folder: &Path) -> Vec<PathBuf> {
    let there = folder.exists().then(|| folder.to_owned());
    let mut found = Vec::from_iter(there);
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() && !path.is_symlink() {
            found.extend(entries(&path));
        }
    }
    found
}

/// All files below a folder, in order of path.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = tree(folder);
    found.retain(|path| !path.is_dir());
    found.sort();
    found
}

/// The files below a folder with an extension, in order of path.
pub fn files_with(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|path| path.extension().is_some_and(|e| e == extension));
    found
}

/// The bytes of all files below a folder, by their path in it.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let below = |path: &Path| path.strip_prefix(folder).expect("below").to_owned();
    let files = files(folder).into_iter();
    files
        .map(|path| (below(&path), fs::read(&path).expect("a file")))
        .collect()
}

/// Copies all files below a folder, but for what runs in it have left.
pub fn copy_tree(from: &Path, to: &Path) {
    let is_left = |part: &OsStr| {
        [".flow", "out", "__pycache__"]
            .iter()
            .any(|left| part == *left)
    };
    for path in files(from) {
        let below = path.strip_prefix(from).expect("below");
        if !below.iter().any(is_left) {
            write(&to.join(below), fs::read(&path).expect("a file"));
        }
    }
}

/// The rights of a file: the lowest nine bits.
pub fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").permissions().mode() & 0o777
}

/// Sets them.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("permissions");
}

/// Writes a program: a script for the shell.
pub fn script(path: &Path, text: &str) {
    write(path, format!("#!/bin/sh\n{text}\n"));
    set_mode(path, 0o755);
}

/// Waits for something, looking every few milliseconds; a minute is too long.
#[track_caller]
pub fn wait_until(mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "waited in vain"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until there is a file or a folder.
#[track_caller]
pub fn wait_for(path: &Path) {
    wait_until(|| path.exists());
}

/// Waits until a file has a whole line, and gives it.
#[track_caller]
pub fn wait_for_line(path: &Path) -> String {
    let text = || fs::read_to_string(path).unwrap_or_default();
    wait_until(|| text().ends_with('\n'));
    text().trim().to_owned()
}
