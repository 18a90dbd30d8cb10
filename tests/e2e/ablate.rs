//! `flow ablate`: shared work, isolated failures, digests equal to those of single runs.

use serde_json::Value as Json;

use flow_testkit::store::artifacts;
use flow_testkit::{Project, Run};

/// Physics features and a small model, scored in two kinds of folds.
const STUDY: &str = r#"
[pipeline]
name = "study"
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 150
positives = 30
unlabelled = 0
[stages.domain]
use = "domain"
inputs = { curves = "ingest" }
[stages.unused]
use = "interpolate"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
repeats = 2
[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
rounds = 8
subsample = 0.8
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
[stages.folds_grouped]
use = "folds"
inputs = { objects = "ingest" }
k = 3
group_by = "group"
[stages.model_grouped]
use = "model"
inputs = { features = ["domain"], folds = "folds_grouped" }
rounds = 8
[stages.evaluate_grouped]
use = "evaluate"
inputs = { predictions = "model_grouped" }
[outputs]
"out/metrics.json" = "evaluate.metrics"

[variants.seed]
"model.seed" = 1
[variants.depth.grid]
"model.max_depth" = [2, 3]
[variants.raw]
"domain.rest_frame" = false
[variants.same]
"model.max_depth" = 4
"#;

/// The stages of [`STUDY`] that its evaluations need.
const NEEDED: u64 = 8;

/// A study whose third variant cannot work.
fn with_failure() -> String {
    format!(
        "{STUDY}\n[variants.broken.domain]\nuse = \"command\"\nrun = [\"false\"]\n\
         inputs = {{ curves = \"ingest.curves\" }}\noutputs = {{ features = \"f.parquet\" }}\n"
    )
}

fn project(text: &str) -> Project {
    let project = Project::new();
    project.write("study.toml", text);
    project
}

fn ablate(project: &Project, more: &[&str]) -> Run {
    project.json(&[&["ablate", "study.toml"], more].concat())
}

fn finished(run: &Run) -> &Json {
    let last = run.events.last().expect("an event");
    assert_eq!(last["event"], "ablation-finished", "{}", run.stderr);
    last
}

fn row<'r>(last: &'r Json, scheme: &str, variant: &str) -> &'r Json {
    let find = |list: &'r Json, key: &str, name: &str| -> &'r Json {
        let mut items = list.as_array().expect("a list").iter();
        items
            .find(|item| item[key] == name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    find(
        &find(&last["schemes"], "name", scheme)["rows"],
        "variant",
        variant,
    )
}

#[test]
fn shared_work_runs_once_and_a_second_study_runs_nothing() {
    let project = project(STUDY);
    let first = ablate(&project, &[]).with(0);
    let last = finished(&first);
    // Six pipelines of eight stages. `seed` and the depths add a model and an evaluation; `raw` adds
    // features, two models and two evaluations; `same` adds nothing.
    let cost = &last["cost"];
    assert_eq!(cost["stages"], NEEDED + 3 * 2 + 5);
    assert_eq!(cost["shared_stages"], 6 * NEEDED - (NEEDED + 3 * 2 + 5));
    assert!(!first.stages().contains_key("unused"));
    assert_eq!(first.total("failed"), 0);
    // Actions of equal keys are one: `ran` counts what was executed.
    assert_eq!(cost["actions"].as_u64(), Some(first.total("ran")));
    let ratio = cost["ratio"].as_f64().expect("a ratio");
    assert!(ratio > 0.0 && ratio < 1.0, "{ratio}");

    for scheme in ["evaluate", "evaluate_grouped"] {
        let base = row(last, scheme, "base");
        assert_eq!(base["summary"]["objects"], 150);
        assert_eq!(base["comparison"], Json::Null);
        let same = row(last, scheme, "same");
        assert_eq!(
            same["comparison"]["metrics"]["pr_auc"]["difference"]["value"],
            0.0
        );
        assert_eq!(
            same["comparison"]["metrics"]["pr_auc"]["verdict"],
            "equivalent"
        );
        let raw = row(last, scheme, "raw");
        assert_eq!(raw["status"], "ok");
        assert!(raw["comparison"]["metrics"]["f1"]["p_holm"].is_number());
    }
    assert_eq!(row(last, "evaluate", "base")["summary"]["repeats"], 2);
    assert_eq!(row(last, "evaluate", "base")["summary"]["unit"], "object");
    assert_eq!(
        row(last, "evaluate_grouped", "base")["summary"]["unit"],
        "group"
    );
    // Base, seed, two depths and raw; `same` is the base. The grouped model was changed by `raw` only.
    assert_eq!(last["schemes"][0]["configurations_tried"], 5);
    assert_eq!(last["schemes"][1]["configurations_tried"], 2);

    let second = ablate(&project, &[]).with(0);
    assert_eq!(second.total("ran"), 0);
    assert_eq!(finished(&second)["schemes"], last["schemes"]);
    assert_eq!(finished(&second)["cost"]["cpu_now_s"], 0.0);
    assert_eq!(finished(&second)["cost"]["cpu_cold_s"], cost["cpu_cold_s"]);
}

#[test]
fn a_variant_alone_has_the_digests_it_has_among_all() {
    let project = project(STUDY);
    let study = ablate(&project, &[]).with(0);
    let stages = study.stages();
    for (variant, stage) in [
        ("base", "model"),
        ("seed", "seed/model"),
        ("depth[max_depth=2]", "depth[max_depth=2]/model"),
        ("raw", "raw/model"),
        ("same", "model"),
    ] {
        let alone = project.run(&["study.toml", "--variant", variant, "--to", "evaluate"]);
        alone.ok();
        assert_eq!(alone.ran(), [], "{variant}");
        assert_eq!(
            alone.last()["stages"]["model"]["outputs"],
            stages[stage]["outputs"]
        );
    }
    // In a store of its own, too.
    let other = self::project(STUDY);
    let alone = other.run(&["study.toml", "--variant", "raw"]);
    assert_eq!(
        alone.ok()["stages"]["evaluate"]["outputs"],
        stages["raw/evaluate"]["outputs"]
    );
}

#[test]
fn a_failure_stays_in_its_variant() {
    let project = project(&with_failure());
    let study = ablate(&project, &["--only", "broken", "--only", "se?d"]).with(1);
    let last = finished(&study);
    assert_eq!(last["status"], "failed");
    let broken = row(last, "evaluate", "broken");
    assert_eq!(broken["status"], "failed");
    let note = broken["note"].as_str().expect("a note");
    assert!(note.contains("`broken/domain` failed"), "{note}");
    let seed = row(last, "evaluate", "seed");
    assert_eq!(seed["status"], "ok");
    assert!(seed["comparison"].is_object());
    study.says("broken");
    let summary = project.read("out/ablation/study/summary.md");
    assert!(
        summary.contains("**broken**") && summary.contains("failed"),
        "{summary}"
    );
}

#[test]
fn lost_predictions_are_made_again() {
    let project = project(STUDY);
    let first = ablate(&project, &["--only", "seed"]).with(0);
    // Everything that the store holds, predictions and folds among it.
    for artifact in artifacts(&project.store()) {
        std::fs::remove_file(artifact).expect("an artifact");
    }
    let second = ablate(&project, &["--only", "seed"]).with(0);
    assert!(second.total("ran") > 0);
    assert_eq!(finished(&second)["schemes"], finished(&first)["schemes"]);
}

#[test]
fn the_table_fits_and_the_files_are_there() {
    let project = project(STUDY);
    let args = ["ablate", "study.toml", "-o", "here", "--jobs", "2"];
    let text = project.flow(&args).with(0).stdout;
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    for word in [
        "AP - base",
        "verdict",
        "CPU cold",
        "saved",
        "tried on these folds",
    ] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
    let json: Json = serde_json::from_str(&project.read("here/ablation.json")).expect("JSON");
    assert_eq!(json["variants"].as_array().map(Vec::len), Some(6));
    assert_eq!(json["variants"][2]["changes"]["model.max_depth"], "2");
    let page = project.read("here/report.html");
    assert!(page.contains("What the parts are worth") && page.contains("depth[max_depth=2]"));
    let summary = project.read("here/summary.md");
    assert!(summary.contains("# Ablation of study"), "{summary}");
    let parquet = std::fs::read(project.path("here/ablation.parquet")).expect("a table");
    assert_eq!(&parquet[..4], b"PAR1");
    // The report of the run is the file that it has left.
    project.flow(&["report", "last", "-o", "last.html"]).with(0);
    assert_eq!(project.read("last.html"), page);
    // The same figures give the same page. Where nothing runs, the costs are the same too.
    for folder in ["again", "third"] {
        let file = format!("{folder}.html");
        project
            .flow(&["ablate", "study.toml", "-o", folder])
            .with(0);
        project.flow(&["report", folder, "-o", &file]).with(0);
    }
    let again = project.read("again.html");
    assert_eq!(again, project.read("third.html"));
    assert!(again.contains("What the parts are worth") && !again.contains("What ran"));
    // A folder that holds something else is not shown as an ablation.
    project.write("third/ablation.json", "{\"pipeline\": 1}");
    let stderr = project.flow(&["report", "third"]).with(2).stderr;
    assert!(stderr.contains("flow::report::folder"), "{stderr}");
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let project = project(STUDY);
    for (args, code) in [
        (
            vec!["ablate", "study.toml", "--only", "sed"],
            "flow::variants::unknown",
        ),
        (
            vec!["run", "study.toml", "--variant", "sed"],
            "flow::variants::unknown",
        ),
    ] {
        let text = project.flow(&args).with(2).stderr;
        assert!(text.contains(code) && text.contains("seed"), "{text}");
    }
    let (without, _) = STUDY.split_once("[variants").expect("variants");
    project.write("study.toml", without);
    assert_eq!(ablate(&project, &[]).code, 2);
    let nothing = "[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\n[variants.a]\n\"ingest.labelled\" = 900\n";
    project.write("study.toml", nothing);
    let run = ablate(&project, &[]).with(2);
    run.says("flow::ablate::no_evaluation");
}

#[test]
fn the_demo_study_runs() {
    let project = Project::with_pipelines();
    let args = [
        "ablate",
        "pipelines/ablation.toml",
        "--set",
        "ingest.labelled=240",
        "--set",
        "ingest.positives=40",
        "--set",
        "rocket.kernels=40",
        "--set",
        "model.rounds=10",
        "--set",
        "model_by_source.rounds=10",
        "--set",
        "folds.repeats=1",
        "--set",
        "folds_by_source.repeats=1",
        // So few objects make no column significant; all of them do for a test.
        "--set",
        "select.fdr=1.0",
        "--set",
        "select_by_source.fdr=1.0",
        "--only",
        "no_*",
        "--only",
        "binary",
    ];
    let run = project.json(&args).with(0);
    let last = finished(&run);
    assert_eq!(last["schemes"].as_array().map(Vec::len), Some(2));
    for variant in ["no_rocket", "no_domain", "no_test", "binary"] {
        assert_eq!(row(last, "evaluate_by_source", variant)["status"], "ok");
    }
    assert!(project.path("out/ablation/ablation/report.html").is_file());
}
