//! The report as a file under `[outputs]`.

use flow_testkit::Project;

const PIPELINE: &str = r#"
[pipeline]
name = "reported"
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 120
positives = 30
unlabelled = 10
[stages.deredden]
use = "extinction"
inputs = { curves = "ingest" }
[stages.domain]
use = "domain"
inputs = { curves = "deredden" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
rounds = 10
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
[outputs]
"report.html" = "report"
[metrics]
headline = "evaluate.f1"
"#;

#[test]
fn equal_results_give_equal_reports_wherever_and_however_they_were_made() {
    let (here, there) = (Project::with(PIPELINE), Project::with(PIPELINE));
    here.run(&["p.toml", "--jobs", "1"]).ok();
    there.run(&["p.toml", "--jobs", "2", "--tag", "other"]).ok();
    let page = here.read("report.html");
    assert!(page == there.read("report.html"));
    assert!(page.contains("F1") && page.len() < 3_000_000);
    for private in [here.root.display().to_string(), "run 20".to_owned()] {
        assert!(!page.contains(&private), "{private}");
    }

    // Hits make the same, also if features, which no section needs, have been evicted.
    here.remove("report.html");
    here.run(&["p.toml"]).ok();
    assert!(page == here.read("report.html"));
    here.flow(&["cache", "gc", "--max-size", "0"]).with(0);
    here.remove("report.html");
    here.run(&["p.toml"]).ok();
    assert!(page == here.read("report.html"));
}

#[test]
fn a_report_follows_the_results() {
    let project = Project::with(PIPELINE);
    project.run(&["p.toml"]).ok();
    let before = project.read("report.html");
    let again = project.run(&["p.toml"]);
    assert_eq!(again.all("output-written").count(), 0);
    project.edit("rounds = 10", "rounds = 20");
    project.run(&["p.toml"]).ok();
    assert!(before != project.read("report.html"));
}
