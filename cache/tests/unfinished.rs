//! What an action leaves for its next attempt, in the store.

mod common;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{commit, key};
use flow_cache::testing::fault::{self, Strike};
use flow_cache::{GcPolicy, Store, StoreError, read_unfinished, write_unfinished};
use flow_testkit::files::{TempDir, entries, folder_in_memory as tempdir};
use flow_testkit::store::{arm, collect};

fn open() -> (TempDir, Store) {
    let dir = tempdir();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

/// Leaves work of action `n`.
fn leave(store: &Store, n: u32, bytes: &[u8]) -> PathBuf {
    let folder = store.unfinished(&key(n)).unwrap().expect("one's own");
    write_unfinished(&folder.join("state"), bytes).unwrap();
    folder
}

/// Makes a folder and all that is in it as old as this.
fn age(folder: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    for path in entries(folder).iter().chain([&folder.to_owned()]) {
        File::open(path).unwrap().set_modified(then).unwrap();
    }
}

#[test]
fn it_is_private_and_the_commit_removes_it() {
    let (_dir, store) = open();
    let folder = leave(&store, 1, b"half");
    let other = leave(&store, 2, b"half");
    assert_eq!(store.unfinished(&key(1)).unwrap(), Some(folder.clone()));
    for (path, mode) in [(folder.clone(), 0o700), (folder.join("state"), 0o600)] {
        let meta = fs::metadata(path).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, mode);
    }
    assert_eq!(
        read_unfinished(&folder.join("state")),
        Some(b"half".to_vec())
    );
    // Another process commits: it need not know that there is something.
    commit(&Store::open(store.dir()).unwrap(), &[1]).unwrap();
    assert!(!folder.exists() && other.exists());
    assert!(store.verify(|_| {}).unwrap().is_clean());
    assert_eq!(read_unfinished(&folder.join("state")), None);
    // A second commit of an action that has a record removes it, too.
    leave(&store, 1, b"more");
    commit(&store, &[1]).unwrap();
    assert!(!folder.exists());
}

#[test]
fn only_whole_files_are_read() {
    let dir = tempdir();
    let path = dir.path().join("state");
    for bytes in [&b""[..], b"x", &[7; 100_000]] {
        write_unfinished(&path, bytes).unwrap();
        assert_eq!(read_unfinished(&path).as_deref(), Some(bytes));
        let whole = fs::read(&path).unwrap();
        for torn in [&whole[..whole.len() - 1], &whole[..20], b""] {
            fs::write(&path, torn).unwrap();
            assert_eq!(read_unfinished(&path), None);
        }
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&path, flipped).unwrap();
        assert_eq!(read_unfinished(&path), None);
    }
    write_unfinished(&path, b"x").unwrap();
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(read_unfinished(&link), None);
    assert_eq!(read_unfinished(dir.path()), None);
}

#[test]
fn a_full_disk_leaves_the_state_of_before() {
    let (_dir, store) = open();
    let state = leave(&store, 1, b"before").join("state");
    for point in ["unfinished.write", "unfinished.publish"] {
        arm(store.dir(), point, 0, Strike::Error(libc::ENOSPC));
        let failed = write_unfinished(&state, b"after").unwrap_err();
        fault::disarm(store.dir());
        let full = io::ErrorKind::StorageFull;
        assert!(
            matches!(&failed, StoreError::Environment { source, .. } if source.kind() == full),
            "{failed:?}"
        );
        assert_eq!(read_unfinished(&state), Some(b"before".to_vec()));
        assert_eq!(entries(state.parent().unwrap()).len(), 1);
    }
}

#[test]
fn gc_removes_what_nobody_goes_on_with() {
    let (_dir, store) = open();
    commit(&store, &[1]).unwrap();
    // As if the process had died between the record and the removal.
    let recorded = leave(&store, 1, b"1234");
    let recent = leave(&store, 2, b"half");
    let resumed = leave(&store, 3, b"half");
    let old = leave(&store, 4, b"123456");
    age(&old, 8);
    age(&resumed, 8);
    leave(&store, 3, b"more");
    let foreign = store.dir().join("unfinished/notes");
    fs::create_dir(&foreign).unwrap();
    age(&foreign, 100);
    let link = store.dir().join("unfinished").join(key(5).to_string());
    symlink(&foreign, &link).unwrap();

    let live = Store::open(store.dir()).unwrap();
    assert!(live.gc(&GcPolicy::default()).unwrap().in_use);
    assert!(old.exists());
    drop(live);
    let only_looks = GcPolicy {
        dry_run: true,
        ..GcPolicy::default()
    };
    let bytes = 2 * 32 + 4 + 6;
    assert_eq!(store.gc(&only_looks).unwrap().unfinished, (2, bytes));
    assert!(old.exists() && recorded.exists());
    let report = collect(&store, &GcPolicy::default()).unwrap();
    assert_eq!(report.unfinished, (2, bytes));
    assert!(!old.exists() && !recorded.exists());
    assert!(recent.exists() && resumed.exists() && foreign.exists());
    assert!(link.is_symlink());
    assert_eq!(store.gc(&GcPolicy::default()).unwrap().unfinished, (0, 0));
}

#[test]
fn a_link_in_its_place_is_refused_and_a_read_only_store_has_none() {
    let (dir, store) = open();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(store.dir().join("unfinished")).unwrap();
    let place = store.dir().join("unfinished").join(key(1).to_string());
    symlink(&elsewhere, &place).unwrap();
    let refused = store.unfinished(&key(1)).unwrap_err();
    assert!(matches!(refused, StoreError::Link { .. }), "{refused:?}");
    store.remove_unfinished(&key(1));
    assert!(elsewhere.exists());
    let reader = Store::open_read_only(store.dir()).unwrap();
    assert!(reader.unfinished(&key(2)).is_err());
    fs::remove_dir_all(store.dir().join("unfinished")).unwrap();
    symlink(&elsewhere, store.dir().join("unfinished")).unwrap();
    assert!(matches!(
        Store::open(store.dir()),
        Err(StoreError::Link { .. })
    ));
}
