//! Helpers of the store's tests.
#![allow(dead_code)] // each test binary uses some of them

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flow_cache::{ActionKey, Committed, Recipe, Record, Staged, Store, StoreError, Value};

pub fn recipe(n: u32) -> Recipe {
    let mut recipe = Recipe::new();
    recipe.push("kind", "test");
    recipe.push("n", n);
    recipe
}

pub fn key(n: u32) -> ActionKey {
    recipe(n).key()
}

pub fn contents(n: u32) -> Vec<u8> {
    format!("contents of {n}\n").repeat(200).into_bytes()
}

/// An artifact and a record that names it as the output of action `n`.
pub fn action(store: &Store, n: u32, bytes: &[u8]) -> Result<(Record, Vec<Staged>), StoreError> {
    let mut writer = store.create()?;
    writer
        .write_all(bytes)
        .map_err(|source| StoreError::Environment {
            step: "stage.write",
            path: store.dir().to_path_buf(),
            source,
        })?;
    let staged = writer.finish()?;
    let record = Record {
        key: key(n),
        provenance: Some(Box::new(flow_cache::Provenance {
            recipe: recipe(n),
            stage: "stage".to_owned(),
            action: format!("item {n}"),
            pipeline: "p".to_owned(),
        })),
        outputs: vec![flow_cache::Output {
            name: "out".to_owned(),
            digest: staged.digest,
            size: staged.size,
            attrs: Value::map([("rows", 200)]),
        }],
        wall_s: 1.0,
        cpu_s: f64::from(n),
        peak_rss: 0,
        read_bytes: 0,
        finished_unix: 1_000_000 * u64::from(n),
        log: None,
    };
    Ok((record, vec![staged]))
}

pub fn commit(store: &Store, numbers: &[u32]) -> Result<Vec<Committed>, StoreError> {
    let batch = numbers.iter().map(|&n| action(store, n, &contents(n)));
    store.commit(batch.collect::<Result<_, _>>()?)
}

/// Runs the test `child` of this binary in a process of its own, with `args` in its environment.
pub fn spawn(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env("FLOW_CACHE_CHILD", args)
        .env("FLOW_CACHE_DIR", dir);
    command
}

/// The arguments and directory if this process is such a child.
pub fn child_args() -> Option<(String, PathBuf)> {
    let args = std::env::var("FLOW_CACHE_CHILD").ok()?;
    Some((args, std::env::var_os("FLOW_CACHE_DIR")?.into()))
}
