//! Models that come from elsewhere or go there, why they predict what they do, and presets.

use std::collections::BTreeMap;

use flow_testkit::Project;

const BASE: &str = r#"
[pipeline]
name = "base"
extends = "pipelines/domain_only.toml"

[stages.ingest]
labelled = 80
positives = 20
unlabelled = 20

[stages.folds]
k = 3

[stages.model]
target = "binary"
rounds = 12

"#;

const MORE: &str = r#"
[pipeline]
name = "models"
extends = "base.toml"

[stages.reasons]
use = "reasons"
inputs = { model = "model.model", features = ["domain"], folds = "folds" }
groups = { all = ["*"], none = ["redshift"] }

[outputs]
"out/model.json" = "model.model"
"out/predictions.csv" = "model.predictions"
"out/reasons.csv" = "reasons.reasons"
"out/permutation.csv" = "reasons.permutation"
"#;

const BOUGHT: &str = r#"
[pipeline]
name = "bought"
extends = "base.toml"

[stages.bought]
use = "pretrained"
inputs = { features = ["domain"], folds = "folds" }
path = "out/model.json"
classes = ["TDE"]

[stages.judged]
use = "evaluate"
inputs = { predictions = "bought" }

[outputs]
"out/bought.csv" = "bought"
"out/judged.md" = "judged.report"
"#;

fn project() -> Project {
    let project = Project::with_pipelines();
    project.write("base.toml", BASE);
    project.write("models.toml", MORE);
    project.write("bought.toml", BOUGHT);
    project
}

/// The lines of a CSV file without the header, split at commas.
fn table(project: &Project, name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(project.path(name)).expect("a table");
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

/// The probability of each object in rows of this fold.
fn final_fit(rows: &[Vec<String>]) -> BTreeMap<&str, &str> {
    let rows = rows.iter().filter(|row| row[2].is_empty());
    rows.map(|row| (&*row[0], &*row[4])).collect()
}

#[test]
fn a_model_that_was_written_for_xgboost_predicts_the_same_when_it_comes_back() {
    let project = project();
    project.flow(&["run", "models.toml"]).with(0);
    project.flow(&["run", "bought.toml"]).with(0);
    let (ours, theirs) = (
        table(&project, "out/predictions.csv"),
        table(&project, "out/bought.csv"),
    );
    assert_eq!(final_fit(&ours).len(), 20);
    assert_eq!(final_fit(&ours), final_fit(&theirs));
    assert_eq!(ours.len(), theirs.len());
    let report = std::fs::read_to_string(project.path("out/judged.md")).expect("a report");
    assert!(report.contains("`pretrained` used no label"), "{report}");
}

#[test]
fn reasons_name_features_and_groups() {
    let project = project();
    project.flow(&["run", "models.toml"]).with(0);
    let reasons = table(&project, "out/reasons.csv");
    assert_eq!(reasons.len(), 100, "a row a prediction");
    for row in &reasons {
        assert_eq!((row.len(), &*row[3]), (4 + 3 * 3, "TDE"));
        let size = |k: usize| row[5 + 3 * k].parse::<f64>().map_or(0.0, f64::abs);
        assert!(
            size(0) > 0.0 && size(0) >= size(1) && size(1) >= size(2),
            "{row:?}"
        );
    }
    let permutation = table(&project, "out/permutation.csv");
    let drop = |group: &str| {
        let row = permutation
            .iter()
            .find(|row| row[0] == group)
            .expect("a group");
        (
            row[1].parse::<usize>().unwrap(),
            row[2].parse::<f64>().unwrap(),
        )
    };
    let ((all, everything), (one, little)) = (drop("all"), drop("none"));
    assert!(all > 100 && one == 1, "{permutation:?}");
    assert!(everything > 0.1 && everything > little, "{permutation:?}");
    // A model that cannot be explained, and a group of nothing.
    let gbdt = ["run", "models.toml", "--set", "model.learner=\"gbdt\""];
    project.flow(&gbdt).with(2).says("flow::reasons::learner");
    let group = "reasons.groups={ lost = [\"no such column\"] }";
    let ended = project
        .flow(&["run", "models.toml", "--set", group])
        .with(2);
    ended.says("flow::reasons::group").says("`lost`");
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let project = project();
    project.flow(&["run", "models.toml"]).with(0);
    let refused = |set: &str, code: &str| {
        project
            .flow(&["run", "bought.toml", "--set", set])
            .with(2)
            .says(code);
    };
    refused(
        "bought.classes=[\"AGN\", \"TDE\"]",
        "flow::pretrained::classes",
    );
    refused(
        "bought.classes=[\"TDE\", \"TDE\"]",
        "flow::pretrained::classes",
    );
    refused("bought.path=\"gone.txt\"", "flow::data::missing");
    refused("bought.path=\"models.toml\"", "flow::pretrained::model");
    project.write(
        "names.txt",
        include_str!("../../stages/tests/conformance/trees.txt"),
    );
    refused("bought.path=\"names.txt\"", "`extra`");
    let order = [
        "--set",
        "bought.columns=\"order\"",
        "--set",
        "bought.path=\"names.txt\"",
    ];
    let args = [&["run", "bought.toml"][..], &order].concat();
    project
        .flow(&args)
        .with(2)
        .says("flow::pretrained::columns");
}

#[test]
fn a_preset_is_the_same_as_its_values() {
    let project = project();
    let run = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        let args: Vec<&str> = ["models.toml"].into_iter().chain(sets).collect();
        let run = project.run(&args);
        run.ok();
        run
    };
    run(&["model.preset=\"xgboost\""]);
    let by_hand = run(&[
        "model.learning_rate=0.3",
        "model.max_depth=6",
        "model.max_bin=256",
    ]);
    assert_eq!(by_hand.ran(), []);
    let other = run(&["model.preset=\"lightgbm\""]);
    assert!(other.stages_that_ran().contains(&"model".to_owned()));
    let other = project.flow(&["run", "models.toml", "--set", "model.learner=\"ridge\""]);
    other
        .with(2)
        .says("flow::params::not_applicable")
        .says("`rounds`");
}
