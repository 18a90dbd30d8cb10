//! What every kind must keep: the same bytes on every run, for any number of threads and any SIMD
//! level, and a `VERSION` that changes when the bytes do.

use std::collections::BTreeMap;
use std::path::Path;

use flow_stages::kinds::registry;
use flow_stages::numeric::simd::SimdLevel;
use flow_testkit::survey::csv;
use flow_testkit::{Project, local};

/// The digests of all output ports: `stage kind version port digest`, one a line.
const GOLDEN: &str = include_str!("golden.txt");

fn project() -> Project {
    let project = Project::with(include_str!("kinds.toml"));
    let rows = (0..200).map(|i| format!("demo_{i:05},{}", (i * 37) % 11));
    project.write("extra.csv", csv("object_id,extra", rows));
    project.write("trees.txt", include_str!("trees.txt"));
    project
}

/// Runs in a store of its own and gives the digest of every output port.
fn digests(project: &Project, store: &str, jobs: usize, sets: &[&str]) -> BTreeMap<String, String> {
    let pipeline = local::sound(project, "p.toml", sets, &registry());
    let run = local::run(&pipeline, &project.path(".flow").join(store), jobs).ok();
    let mut digests = BTreeMap::new();
    for (index, stage) in pipeline.stages.iter().enumerate() {
        for (at, output) in stage.ports.outputs.iter().enumerate() {
            let port = run.port(index, at).expect("a settled port");
            let digest = port.digest().expect("an artifact");
            let (kind, version) = (stage.spec.name, stage.spec.version);
            let key = format!("{} {kind} {version} {}", stage.name, output.name);
            digests.insert(key, digest.to_string());
        }
    }
    digests
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
    let found = digests(&project(), "golden", 2, &[]);
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
    let project = project();
    let reference = digests(&project, "two", 2, &[]);
    assert_eq!(
        reference,
        digests(&project, "one", 1, &[]),
        "1 and 2 jobs differ"
    );
    assert_eq!(
        reference,
        digests(&project, "five", 5, &[]),
        "5 and 2 jobs differ"
    );
    for level in SimdLevel::available() {
        SimdLevel::set_cap(level);
        let found = digests(&project, &level.to_string(), 2, &[]);
        assert_eq!(reference, found, "{level} differs");
    }
    SimdLevel::set_cap(SimdLevel::detect());
}

#[test]
fn another_seed_changes_what_is_random_and_nothing_else() {
    let project = project();
    let reference = digests(&project, "seven", 2, &[]);
    let other = digests(&project, "eight", 2, &["ingest.seed=7", "pipeline.seed=8"]);
    assert_eq!(
        reference.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    let same = |key: &str| reference[key] == other[key];
    assert!(!same("rocket rocket 1 features"));
    assert!(!same("folds folds 3 folds"));
    assert!(same("table table 1 features"));
}
