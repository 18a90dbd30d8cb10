//! The main job on real MALLORN files, where they are: set FLOW_MALLORN to their folder.

use std::io::Write as _;
use std::path::Path;

use flow_testkit::Project;
use flow_testkit::files::{files, repository};

/// What `--set` says of the real files; `None`, and a note, if they are not there.
fn real_data() -> Option<String> {
    let named = std::env::var_os("FLOW_MALLORN").filter(|d| Path::new(d).is_dir());
    if named.is_none() {
        // Written past the harness, which hides what a passing test prints.
        let note = b"skipped: FLOW_MALLORN does not name the folder of train_log.csv\n";
        std::io::stderr().write_all(note).expect("stderr");
    }
    named.map(|data| format!("ingest.path=\"{}\"", Path::new(&data).display()))
}

/// The trees have fewer rounds than in the pipeline, and still do better than anything without fits.
#[test]
fn the_best_recipe_is_good_on_real_data() {
    let Some(set) = real_data() else {
        return;
    };
    let project = Project::with_pipelines();
    let mut args = vec!["pipelines/mallorn/best.toml", "--set", &set];
    let rounds = ["trees", "random_trees"]
        .map(|stage| ["", "_by_split"].map(|scheme| format!("{stage}{scheme}.rounds=60")));
    for rounds in rounds.as_flattened() {
        args.extend_from_slice(&["--set", rounds]);
    }
    let run = project.run(&args);
    let metrics = &run.ok()["metrics"];
    let ap = |stage: &str| metrics[stage]["pr_auc"]["pooled"].as_f64();
    assert!(ap("evaluate") >= Some(0.78), "{:?}", ap("evaluate"));
    assert!(
        ap("evaluate_by_split") >= Some(0.7),
        "{:?}",
        ap("evaluate_by_split")
    );
    assert_eq!(project.read("out/submission.csv").lines().count(), 1 + 7135);
}

#[test]
fn real_data_meets_the_published_figures() {
    let Some(set) = real_data() else {
        return;
    };
    let project = Project::with_pipelines();
    // Fewer kernels than the pipeline has: this test guards the way, not the figure's last digit.
    let sets = ["--set", &set, "--set", "rocket.kernels=200"];
    let mut args = vec!["pipelines/mallorn/rocket_domain.toml"];
    args.extend_from_slice(&sets);
    let run = project.run(&args);
    let metrics = &run.ok()["metrics"];
    let f1 = |stage: &str| metrics[stage]["f1"]["pooled"].as_f64().expect("a figure");
    assert!(f1("evaluate") >= 0.55, "{}", metrics["evaluate"]["f1"]);
    assert!(
        f1("evaluate_by_split") >= 0.5,
        "{}",
        metrics["evaluate_by_split"]["f1"]
    );
    let submission = project.read("out/submission.csv");
    assert_eq!(submission.lines().count(), 1 + 7135);
    assert_eq!(project.run(&args).ran(), []);

    // The study of parts, small: two of its variants, one repeat.
    let mut args = vec!["ablate", "pipelines/mallorn/ablation.toml"];
    args.extend_from_slice(&sets);
    for set in [
        "folds.repeats=1",
        "folds_by_split.repeats=1",
        "model.rounds=30",
    ] {
        args.extend_from_slice(&["--set", set]);
    }
    args.extend_from_slice(&["--only", "binary", "--only", "no_rocket"]);
    project.flow(&args).with(0);
    let json = project.read("out/ablation/mallorn_ablation/ablation.json");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rows = &json["schemes"][0]["rows"];
    assert_eq!(rows[0]["summary"]["objects"], 2125);
    assert!(rows[2]["comparison"].is_object());
}

/// Without the data: every pipeline for real files is sound, and so are variants.
#[test]
fn all_pipelines_and_variants_load() {
    let project = Project::with_pipelines();
    for file in [
        "train_log.csv",
        "test_log.csv",
        "split_01/train_full_lightcurves.csv",
    ] {
        project.write(&format!("data/mallorn/{file}"), "");
    }
    for (path, least) in [
        ("pipelines/mallorn/ablation.toml", 9),
        ("pipelines/mallorn/best_study.toml", 9),
        ("pipelines/mallorn/network_study.toml", 1),
        ("pipelines/mallorn/semi_supervised.toml", 9),
        ("pipelines/vae_boost.toml", 1),
    ] {
        let text = project.read(path);
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("[variants."));
        let names: Vec<&str> = names.filter_map(|name| name.strip_suffix(']')).collect();
        assert!(names.len() >= least, "{names:?}");
        for name in names {
            project.flow(&["graph", path, "--variant", name]).with(0);
        }
    }
    let folder = repository().join("pipelines/mallorn");
    for path in files(&folder) {
        let path = path.strip_prefix(repository()).expect("inside");
        project
            .flow(&["graph", &path.display().to_string()])
            .with(0);
    }
}
