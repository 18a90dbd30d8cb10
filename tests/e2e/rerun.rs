//! What reruns when, on the main pipeline over a survey in CSV files.

use flow_testkit::program::SMALL_ROCKET;
use flow_testkit::survey::Survey;
use flow_testkit::{Project, Run};

fn run_main(project: &Project, more: &[&str]) -> Run {
    let run = project.run(&[&["pipelines/rocket_domain.toml"], &SMALL_ROCKET[..], more].concat());
    run.ok();
    run
}

#[test]
fn comments_order_names_and_jobs_run_nothing() {
    let project = Project::with_pipelines();
    run_main(&project, &[]);
    let path = "pipelines/rocket_domain.toml";
    let text = project.read(path);

    project.write(path, format!("# a comment\n{text}\n# another\n"));
    assert_eq!(run_main(&project, &[]).ran(), []);

    let (before, after) = text.split_once("[stages.domain]").expect("the stage");
    let (domain, rest) = after.split_once("[stages.folds]").expect("the stage");
    project.write(
        path,
        format!("{before}[stages.folds]{rest}\n[stages.domain]{domain}"),
    );
    assert_eq!(run_main(&project, &[]).ran(), []);

    let renamed = text
        .replace("[stages.domain]", "[stages.physics]")
        .replace("\"domain\"]", "\"physics\"]");
    project.write(path, renamed);
    assert_eq!(run_main(&project, &[]).ran(), []);
    assert_eq!(run_main(&project, &["--jobs", "1"]).ran(), []);
}

#[test]
fn more_kernels_rerun_rocket_and_below_only() {
    let project = Project::with_pipelines();
    run_main(&project, &[]);
    let run = run_main(&project, &["--set", "rocket.kernels=50"]);
    let mut stages = run.stages_that_ran();
    stages.sort();
    assert_eq!(
        stages,
        ["evaluate", "model", "rocket", "select", "submission"]
    );
}

#[test]
fn a_moved_project_and_a_touched_file_run_nothing() {
    let project = Survey::default().project();
    project.run(&["survey.toml"]).ok();
    let file = std::fs::File::open(project.path("data/curves_0.csv")).expect("the file");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    file.set_modified(later).expect("touches");
    assert_eq!(project.run(&["survey.toml"]).ran(), []);

    let moved = Project::new();
    for name in ["data", "survey.toml", ".flow/store"] {
        std::fs::rename(project.path(name), moved.path(name)).expect("moves");
    }
    assert_eq!(moved.run(&["survey.toml"]).ran(), []);
}

#[test]
fn an_edited_file_reruns_its_shard_and_what_it_reaches() {
    let project = Survey::default().project();
    let first = project.run(&["survey.toml"]);
    let fits = first.ok()["stages"]["model"]["ran"]
        .as_u64()
        .expect("a number");
    assert!(fits > 6, "{fits}");
    let path = "data/curves_0.csv";
    let text = project.read(path);
    let edited = text.replacen(",1.0\n", ",1.5\n", 1);
    assert_ne!(text, edited);
    project.write(path, edited);
    let run = project.run(&["survey.toml"]);
    let ran: std::collections::BTreeMap<String, u64> = run.ran().into_iter().collect();
    run.ok();
    // The shard's own read, and the collect step, since the objects' bytes stay: no folds.
    assert_eq!(ran.get("domain"), Some(&1), "{ran:?}");
    assert_eq!(ran.get("ingest"), Some(&1), "{ran:?}");
    assert_eq!(ran.get("folds"), None, "{ran:?}");

    project.write(path, text);
    assert_eq!(project.run(&["survey.toml"]).ran(), [], "reverted");
}

#[test]
fn a_new_file_of_unlabelled_objects_refits_nothing() {
    let project = Survey::default().project();
    project.run(&["survey.toml"]).ok();
    let larger = Survey {
        extra_unlabelled: 12,
        ..Survey::default()
    };
    larger.write(&project);
    let run = project.run(&["survey.toml"]);
    run.ok();
    let started: Vec<String> = run
        .all("action-started")
        .map(|e| format!("{} {}", e["stage"], e["action"]))
        .collect();
    assert!(!started.is_empty(), "{:?}", run.events.first());
    let refits: Vec<&String> = started
        .iter()
        .filter(|s| s.contains("\"model\" \"fit"))
        .collect();
    assert!(refits.is_empty(), "{refits:?}");
    let measured = started.iter().filter(|s| s.contains("\"domain\"")).count();
    assert_eq!(measured, 1, "{started:?}");
    let submission = project.read("out/submission.csv");
    assert_eq!(submission.lines().count(), 1 + 12 + 20);
}

/// A model that labels unlabelled objects is fitted on them; one that has copies of labelled objects is not.
#[test]
fn a_new_file_of_unlabelled_objects_refits_what_labels_them() {
    let project = Survey::default().project();
    project.write(
        "more.toml",
        r#"[pipeline]
name = "more"
extends = "survey.toml"

[stages.copies]
use = "augment"
inputs = { curves = "deredden" }

[stages.domain_copies]
use = "domain"
inputs = { curves = "copies" }

[stages.model]
inputs = { features = "domain", augmented = ["domain_copies"], folds = "folds" }

[stages.pseudo]
use = "model"
inputs = { features = "domain", unlabelled = ["domain"], folds = "folds" }
rounds = 5
"#,
    );
    project.run(&["more.toml"]).ok();
    let larger = Survey {
        extra_unlabelled: 12,
        ..Survey::default()
    };
    larger.write(&project);
    let run = project.run(&["more.toml"]);
    run.ok();
    let fits = |stage: &str| {
        let started = run.all("action-started");
        let of_stage = started.filter(|e| e["stage"] == stage);
        let action = |e: &serde_json::Value| e["action"].as_str().map(str::to_owned);
        let mut fits: Vec<String> = of_stage.filter_map(action).collect();
        fits.retain(|action| action.starts_with("fit "));
        fits.sort();
        fits
    };
    assert_eq!(fits("model"), [""; 0]);
    assert_eq!(
        fits("pseudo"),
        ["fit 0.0", "fit 0.1", "fit 0.2", "fit final"]
    );
    assert_eq!(project.run(&["more.toml"]).ran(), []);
}
