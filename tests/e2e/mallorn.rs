//! The main job on real MALLORN files, where they are: set FLOW_MALLORN to their folder.

use std::io::Write as _;
use std::path::Path;

use crate::harness::Project;

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
}
