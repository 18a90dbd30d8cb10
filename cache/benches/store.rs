//! What a run over 10,000 actions asks of the store when nothing has changed.
#![allow(missing_docs)] // criterion's macros

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use flow_cache::{ActionKey, Digest, Output, Provenance, Recipe, Record, StatCache, Store, Value};

const ACTIONS: u32 = 10_000;

/// Seconds of CPU, which is what the budgets of a run are in and does not depend on the neighbours.
struct CpuTime(WallTime);

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `now` is a valid timespec to write to.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

/// A recipe of the size of a fit's: parameters, and a handful of inputs with their training rows.
fn recipe(n: u32) -> Recipe {
    let mut recipe = Recipe::new();
    recipe.push("format", 1);
    recipe.push("kind", "model");
    recipe.push("version", 3);
    recipe.push("step", "fit");
    let params = (0..12).map(|i| (format!("parameter_{i}"), Value::Int(i)));
    recipe.push("params", Value::map(params));
    recipe.push("seed", Value::map([("pipeline", n)]));
    let part = |i: u32| {
        let digest = |what: u32| Value::Digest(Digest::of(&(n, i, what).0.to_le_bytes()));
        Value::map([("digest", digest(1)), ("rows", digest(2))])
    };
    let parts = Value::List((0..4).map(part).collect());
    recipe.push("inputs", Value::map([("features", parts)]));
    recipe
}

/// A store with a record for each action; all have the same bytes.
fn fill(dir: &Path) -> Vec<ActionKey> {
    let store = Store::open(dir).unwrap();
    let mut writer = store.create().unwrap();
    writer.write_all(b"bytes").unwrap();
    let mut staged = vec![writer.finish().unwrap()];
    let (digest, size) = (staged[0].digest, staged[0].size);
    let batch = (0..ACTIONS).map(|n| {
        let recipe = recipe(n);
        let record = Record {
            key: recipe.key(),
            provenance: Some(Box::new(Provenance {
                recipe,
                stage: "model".to_owned(),
                action: format!("fit {n}"),
                pipeline: "pipeline".to_owned(),
            })),
            outputs: vec![Output {
                name: "model".to_owned(),
                digest,
                size,
                attrs: Value::map([("rows", n), ("columns", 500)]),
            }],
            wall_s: 1.0,
            cpu_s: 1.0,
            peak_rss: 1 << 20,
            read_bytes: 1 << 20,
            finished_unix: 1_700_000_000,
            log: None,
        };
        (record, std::mem::take(&mut staged))
    });
    let batch: Vec<_> = batch.collect();
    let keys = batch.iter().map(|(record, _)| record.key).collect();
    store.commit(batch).unwrap();
    keys
}

fn store(c: &mut Criterion<CpuTime>) {
    let dir = tempfile::tempdir().unwrap();
    let keys = fill(dir.path());
    // Actions finish side by side: near their place in the plan, but not in its order.
    let mut shuffled = keys.clone();
    shuffled.chunks_mut(64).for_each(|chunk| chunk.reverse());
    // A stage at a time, where records lie in the order of folds or the other way round.
    let strided: Vec<ActionKey> = (0..100)
        .flat_map(|first| keys[first..].iter().step_by(100).copied())
        .collect();

    let mut group = c.benchmark_group("10,000 records");
    group.measurement_time(Duration::from_secs(3));
    group.bench_function("open", |b| b.iter(|| Store::open(dir.path()).unwrap()));
    for (name, keys) in [
        ("in order", &keys),
        ("nearly", &shuffled),
        ("strided", &strided),
    ] {
        group.bench_function(format!("open and find {name}"), |b| {
            b.iter(|| {
                let store = Store::open(dir.path()).unwrap();
                for key in keys {
                    black_box(store.find(key).unwrap().unwrap());
                }
            });
        });
    }
    group.finish();
}

fn stat_cache(c: &mut Criterion<CpuTime>) {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..ACTIONS)
        .map(|n| dir.path().join(format!("light_curves_{n:05}.csv")))
        .collect();
    for file in &files {
        std::fs::write(file, "contents").unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    let path = dir.path().join("stat");
    let cache = StatCache::open(&path);
    for file in &files {
        cache.digest(file).unwrap();
    }
    cache.save().unwrap();

    let mut group = c.benchmark_group("10,000 files");
    group.measurement_time(Duration::from_secs(3));
    group.bench_function("stat", |b| {
        b.iter(|| {
            for file in &files {
                black_box(std::fs::metadata(file).unwrap());
            }
        });
    });
    group.bench_function("open, hit all and save", |b| {
        b.iter(|| {
            let cache = StatCache::open(&path);
            for file in &files {
                black_box(cache.digest(file).unwrap());
            }
            cache.save().unwrap();
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime(WallTime)).sample_size(20);
    targets = store, stat_cache
}
criterion_main!(benches);
