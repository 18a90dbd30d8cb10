//! The main job on real MALLORN files, where they are: set FLOW_MALLORN to their folder.

use std::io::Write as _;
use std::path::Path;

use flow_testkit::Project;

#[test]
fn real_data_meets_the_published_figures() {
    let Some(data) = std::env::var_os("FLOW_MALLORN").filter(|d| Path::new(d).is_dir()) else {
        // Written past the harness, which hides what a passing test prints.
        let note = b"skipped: FLOW_MALLORN does not name the folder of train_log.csv\n";
        std::io::stderr().write_all(note).expect("stderr");
        return;
    };
    let project = Project::with_pipelines();
    let set = format!("ingest.path=\"{}\"", Path::new(&data).display());
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

/// Without the data: every variant of the study is a sound pipeline.
#[test]
fn variants_of_the_study_load() {
    let project = Project::with_pipelines();
    for file in [
        "train_log.csv",
        "test_log.csv",
        "split_01/train_full_lightcurves.csv",
    ] {
        project.write(&format!("data/mallorn/{file}"), "");
    }
    let path = "pipelines/mallorn/ablation.toml";
    let text = project.read(path);
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("[variants."));
    let names: Vec<&str> = names.filter_map(|name| name.strip_suffix(']')).collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        project.flow(&["graph", path, "--variant", name]).with(0);
    }
}
