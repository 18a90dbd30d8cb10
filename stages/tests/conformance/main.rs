//! What every kind must keep: the same bytes on every run, for any number of threads and any SIMD
//! level, and a `VERSION` that changes when the bytes do.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flow_cache::{StatCache, Store};
use flow_engine::outputs::delivery::port;
use flow_engine::pipeline::PortRef;
use flow_engine::pipeline::file::load;
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::plan::Plan;
use flow_engine::{Pipeline, Span, run};
use flow_stages::features::rocket::SimdLevel;
use flow_stages::kinds::registry;

/// The digests of all output ports: `stage kind version port digest`, one a line.
const GOLDEN: &str = include_str!("golden.txt");

struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join(".flow")).expect("a project root");
        std::fs::write(dir.path().join("kinds.toml"), include_str!("kinds.toml")).expect("writes");
        let mut extra = String::from("object_id,extra\n");
        for i in 0..200 {
            let _ = writeln!(extra, "demo_{i:05},{}", (i * 37) % 11);
        }
        std::fs::write(dir.path().join("extra.csv"), extra).expect("writes");
        Self { dir }
    }

    fn load(&self, sets: &[&str]) -> Pipeline {
        let options = LoadOptions {
            sets: sets.iter().map(|s| (*s).to_owned()).collect(),
            cwd: self.dir.path().to_owned(),
        };
        load(&self.dir.path().join("kinds.toml"), &options, &registry())
            .unwrap_or_else(|diags| panic!("{diags:?}"))
    }

    /// Runs in a store of its own and gives the digest of every output port.
    fn digests(&self, store: &str, jobs: usize, sets: &[&str]) -> BTreeMap<String, String> {
        let pipeline = self.load(sets);
        let store_dir: PathBuf = self.dir.path().join(".flow").join(store);
        let store = Store::open(&store_dir).expect("a store");
        let stat = StatCache::open(&store_dir.join("stat"));
        let plan = Plan::new(&pipeline);
        let cancel = AtomicBool::new(false);
        let options = run::options::Options {
            jobs,
            audit: false,
            gpus: Some(0),
            memory: Some(u64::MAX),
            keep_going: true,
            cancel: &cancel,
            scratch: store_dir.join("scratch"),
            logs: store_dir.join("logs"),
            executor: run::options::Executor::Local,
            trace: None,
        };
        let finished = run::run(&plan, &store, &stat, &options, HashSet::new(), &mut |_| {})
            .expect("the run ends");
        assert!(finished.failures.is_empty(), "{:?}", finished.failures);
        let mut digests = BTreeMap::new();
        for (index, stage) in pipeline.stages.iter().enumerate() {
            for (at, output) in stage.ports.outputs.iter().enumerate() {
                let reference = PortRef {
                    stage: index,
                    port: at,
                    span: Span::default(),
                };
                let port = port(&plan, &finished.slots, &store, reference).expect("a settled port");
                let digest = port.digest().expect("an artifact");
                let (kind, version) = (stage.spec.name, stage.spec.version);
                let key = format!("{} {kind} {version} {}", stage.name, output.name);
                digests.insert(key, digest.to_string());
            }
        }
        digests
    }
}

/// True when the test is to write the golden digests rather than compare them.
#[allow(
    clippy::disallowed_methods,
    reason = "a switch of the test, not of a stage"
)]
fn update_golden() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

#[test]
fn versions_are_pinned_to_golden_digests() {
    let found = Project::new().digests("golden", 2, &[]);
    let text: String = found
        .iter()
        .map(|(key, digest)| format!("{key} {digest}\n"))
        .collect();
    if update_golden() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/golden.txt");
        std::fs::write(path, text).expect("writes the golden digests");
        return;
    }
    let changed: Vec<&str> = text
        .lines()
        .filter(|line| !GOLDEN.lines().any(|g| g == *line))
        .collect();
    assert!(
        changed.is_empty() && text.lines().count() == GOLDEN.lines().count(),
        "outputs changed: raise the kind's `version`, then run this test with UPDATE_GOLDEN=1:\n{}",
        changed.join("\n")
    );
}

#[test]
fn threads_and_simd_levels_change_no_byte() {
    let project = Project::new();
    let reference = project.digests("two", 2, &[]);
    assert_eq!(
        reference,
        project.digests("one", 1, &[]),
        "1 and 2 jobs differ"
    );
    assert_eq!(
        reference,
        project.digests("five", 5, &[]),
        "5 and 2 jobs differ"
    );
    for level in SimdLevel::available() {
        SimdLevel::set_cap(level);
        let found = project.digests(&level.to_string(), 2, &[]);
        assert_eq!(reference, found, "{level} differs");
    }
    SimdLevel::set_cap(SimdLevel::detect());
}

#[test]
fn another_seed_changes_what_is_random_and_nothing_else() {
    let project = Project::new();
    let reference = project.digests("seven", 2, &[]);
    let other = project.digests("eight", 2, &["ingest.seed=7", "pipeline.seed=8"]);
    assert_eq!(
        reference.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    let same = |key: &str| reference[key] == other[key];
    assert!(!same("rocket rocket 1 features"));
    assert!(!same("folds folds 1 folds"));
    assert!(same("table table 1 features"));
}
