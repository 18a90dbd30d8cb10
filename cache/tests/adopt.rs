//! Files of programs become artifacts: those files, and nobody writes to them any more.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use flow_cache::{Digest, NotAdopted, Staged, Store};
use tempfile::TempDir;

/// A store, and a folder of an action with a folder for outputs.
fn open() -> (TempDir, Store, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let scratch = dir.path().join("scratch");
    fs::create_dir_all(scratch.join("out")).unwrap();
    (dir, store, scratch)
}

fn adopt(store: &Store, scratch: &Path, path: &str) -> Result<Staged, NotAdopted> {
    store.adopt(scratch, Path::new(path), &|| true)
}

fn unfit(store: &Store, scratch: &Path, path: &str) -> String {
    match adopt(store, scratch, path) {
        Err(NotAdopted::Unfit(what)) => what,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_file_is_moved() {
    let (_dir, store, scratch) = open();
    let path = scratch.join("out/a");
    fs::write(&path, "a").unwrap();
    let before = inode(&path);
    let staged = adopt(&store, &scratch, "out/a").unwrap();
    assert_eq!((staged.digest, staged.size), (Digest::of(b"a"), 1));
    assert!(!path.exists());
    assert_eq!(inode(staged.path()), before);
    let missing = adopt(&store, &scratch, "out/a");
    assert!(matches!(missing, Err(NotAdopted::Missing)));
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
}

#[test]
fn who_still_has_it_open_writes_elsewhere() {
    let (_dir, store, scratch) = open();
    for size in [1, 3 << 20] {
        let text = vec![b'x'; size];
        let mut late = fs::File::create(scratch.join("out/a")).unwrap();
        late.write_all(&text).unwrap();
        let staged = adopt(&store, &scratch, "out/a").unwrap();
        late.write_all(b"LATE").unwrap();
        late.set_len(0).unwrap();
        assert_eq!(staged.digest, Digest::of(&text));
        assert_eq!(fs::read(staged.path()).unwrap(), text);
    }
    // A reader does no harm.
    let path = scratch.join("out/b");
    fs::write(&path, "b").unwrap();
    let (before, _reader) = (inode(&path), fs::File::open(&path).unwrap());
    assert_eq!(
        inode(adopt(&store, &scratch, "out/b").unwrap().path()),
        before
    );
}

#[test]
fn only_files_are_taken_and_what_else_it_is_is_told() {
    let (dir, store, scratch) = open();
    let precious = dir.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("o"), "precious").unwrap();
    symlink(precious.join("o"), scratch.join("out/link")).unwrap();
    symlink("nowhere", scratch.join("out/nowhere")).unwrap();
    symlink(&precious, scratch.join("linked")).unwrap();
    fs::create_dir(scratch.join("out/folder")).unwrap();
    let _socket = UnixListener::bind(scratch.join("out/socket")).unwrap();
    let pipe = std::ffi::CString::new(scratch.join("out/pipe").to_str().unwrap()).unwrap();
    // SAFETY: the name ends in a zero and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    fs::hard_link(precious.join("o"), scratch.join("out/second")).unwrap();
    for (path, what) in [
        ("out/link", "is a link"),
        ("out/nowhere", "is a link"),
        ("linked/o", "is a link"),
        ("out/folder", "is a folder"),
        ("out/socket", "is a socket"),
        ("out/pipe", "is a pipe"),
        ("out/second", "second name"),
    ] {
        let said = unfit(&store, &scratch, path);
        assert!(said.contains(what), "{path}: {said}");
    }
    assert_eq!(fs::read(precious.join("o")).unwrap(), b"precious");
    assert!(adopt(&store, &scratch, "../precious/o").is_err());
}

#[test]
fn a_file_with_two_names_in_the_folder_is_copied() {
    let (_dir, store, scratch) = open();
    let other = scratch.join("other");
    fs::write(&other, "b").unwrap();
    fs::hard_link(&other, scratch.join("out/b")).unwrap();
    let staged = adopt(&store, &scratch, "out/b").unwrap();
    fs::write(&other, "changed").unwrap();
    assert_eq!(fs::read(staged.path()).unwrap(), b"b");
}

#[test]
fn a_file_that_is_closed_to_its_user_is_opened() {
    let (_dir, store, scratch) = open();
    let path = scratch.join("out/a");
    fs::write(&path, "a").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    let staged = adopt(&store, &scratch, "out/a").unwrap();
    assert_eq!(staged.digest, Digest::of(b"a"));
}

#[test]
fn hashing_and_copying_stop_when_they_are_not_wanted() {
    let (_dir, store, scratch) = open();
    for open in [false, true] {
        let path = scratch.join("out/large");
        let file = fs::File::create(&path).unwrap();
        file.set_len(200 << 30).unwrap();
        let held = open.then_some(file);
        let asked = AtomicU32::new(0);
        let go_on = || asked.fetch_add(1, Ordering::Relaxed) < 2;
        let adopted = store.adopt(&scratch, Path::new("out/large"), &go_on);
        assert!(matches!(adopted, Err(NotAdopted::Stopped)), "{adopted:?}");
        drop(held);
    }
}
