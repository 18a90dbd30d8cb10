//! Stores that share a remote: what they get from it, and what they do not take.

#[path = "../common/mod.rs"]
mod common;
mod folder;
mod network;
mod s3;
mod server;
mod trust;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{action, contents, key};
use flow_cache::{Digest, Limits, Remote, RemoteOptions, Store, Tier, Traffic};
use flow_testkit::files::{TempDir, folder_in_memory as tempdir};

/// A remote in a folder or behind a server, and the stores that share it.
struct Team {
    dir: TempDir,
    url: String,
}

/// A store with a remote behind it.
struct Member {
    store: Store,
    remote: Arc<Remote>,
}

/// Limits that make a test quick.
const QUICK: Limits = Limits {
    connect: Duration::from_millis(500),
    answer: Duration::from_millis(500),
    pause: Duration::from_millis(5),
};

impl Team {
    /// A team whose remote is a folder.
    fn new() -> Self {
        Self {
            dir: tempdir(),
            url: "file:remote".to_owned(),
        }
    }

    /// A team whose remote is at a URL.
    fn at(url: String) -> Self {
        Self {
            dir: tempdir(),
            url,
        }
    }

    /// The folder of the remote.
    fn remote(&self) -> std::path::PathBuf {
        self.dir.path().join("remote")
    }

    /// A member with a store of its own.
    fn member(&self, name: &str, options: RemoteOptions) -> Member {
        let store = Store::open(&self.dir.path().join(name)).unwrap();
        self.with(store, options)
    }

    fn with(&self, store: Store, options: RemoteOptions) -> Member {
        self.open(store, options, QUICK)
    }

    /// A member that is patient with its remote.
    fn with_limits(&self, name: &str, options: RemoteOptions, limits: Limits) -> Member {
        let store = Store::open(&self.dir.path().join(name)).unwrap();
        self.open(store, options, limits)
    }

    fn open(&self, store: Store, options: RemoteOptions, limits: Limits) -> Member {
        let options = RemoteOptions {
            url: self.url.clone(),
            limits,
            ..options
        };
        let remote = Arc::new(Remote::open(options, self.dir.path()).unwrap());
        store.put_behind(remote.clone());
        Member { store, remote }
    }

    fn writer(&self, name: &str) -> Member {
        self.member(name, writing())
    }

    fn reader(&self, name: &str) -> Member {
        self.member(name, RemoteOptions::default())
    }
}

fn writing() -> RemoteOptions {
    RemoteOptions {
        write: true,
        writer: "ci@test".to_owned(),
        ..RemoteOptions::default()
    }
}

impl Member {
    /// Runs actions: commits what they make, and offers it.
    fn run(&self, numbers: &[u32]) {
        for &n in numbers {
            self.make(n, &contents(n));
        }
        self.settle();
    }

    /// Commits bytes as the result of an action, and offers them.
    fn make(&self, n: u32, bytes: &[u8]) -> Digest {
        let made = action(&self.store, n, bytes).unwrap();
        let digest = made.1[0].digest;
        self.store.commit(vec![made]).unwrap();
        self.store.offer(key(n));
        digest
    }

    /// Waits for everything that was offered.
    fn settle(&self) {
        assert_eq!(self.remote.finish(&|| false, &mut |_| {}), 0);
    }

    /// Asks the remote for actions. Returns those that have a record then.
    fn learn(&self, numbers: &[u32]) -> Vec<u32> {
        let keys: Vec<_> = numbers.iter().map(|&n| key(n)).collect();
        self.store.learn(&keys).unwrap();
        let known = |n: &u32| self.store.find(&key(*n)).unwrap().is_some();
        numbers.iter().copied().filter(known).collect()
    }

    /// The bytes of an action, if they are here or can be fetched.
    fn bytes(&self, n: u32) -> Option<Vec<u8>> {
        let record = self.store.find(&key(n)).unwrap()?;
        let digest = record.outputs[0].digest;
        let lost = self.store.ensure([digest]).unwrap();
        lost.is_empty()
            .then(|| std::fs::read(self.store.path(&digest)).unwrap())
    }

    fn traffic(&self) -> Traffic {
        self.remote.traffic()
    }

    fn warnings(&self) -> String {
        let warnings = self.store.take_warnings();
        let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }
}

/// The files of a folder whose names are digests, by folder of the remote.
fn objects(remote: &Path, folder: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for shard in std::fs::read_dir(remote.join(folder)).into_iter().flatten() {
        for file in std::fs::read_dir(shard.unwrap().path()).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    found.sort();
    found
}

/// Changes a file that may be read-only.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}
