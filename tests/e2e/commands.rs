//! External programs below folds: a model of one's own, and features that are fitted.
//!
//! The program is this test binary itself, started for the one ignored test below: that needs
//! nothing on the machine, and no target that is built for tests alone.

use std::path::Path;

use flow_stages::table::{Curves, FeatureTable, FeatureWriter, Objects, Predictions};
use flow_testkit::files::{copy_tree, repository};
use flow_testkit::program::works;
use flow_testkit::survey::Survey;
use flow_testkit::{Project, Run};

const PROGRAM: &str = "commands::program";

/// Rows as the program sees them.
struct Table {
    ids: Vec<String>,
    labels: Vec<Option<String>>,
    columns: Vec<String>,
    rows: Vec<Vec<f32>>,
}

impl Table {
    fn read(mode: &str, path: &str) -> Self {
        let path = Path::new(path);
        let objects = Objects::read(path).expect("objects");
        let mut table = Self {
            ids: objects.object_id,
            labels: objects.label,
            columns: Vec::new(),
            rows: Vec::new(),
        };
        if mode == "curves" {
            let curves = Curves::read(path).expect("light curves");
            let mean = |flux: &[f64]| flux.iter().sum::<f64>() / flux.len() as f64;
            table.rows = (0..curves.len())
                .map(|i| vec![mean(curves.get(i).flux) as f32])
                .collect();
            assert_eq!(curves.bands(), ["g", "r", "i", "z"]);
        } else {
            let features = FeatureTable::from_parquet(path, "rows", |c| c != "label");
            let features = features.expect("features");
            assert_eq!(features.object_ids(), table.ids);
            table.columns = features.columns().to_vec();
            table.rows = (0..features.rows())
                .map(|i| features.row(i).to_vec())
                .collect();
        }
        table
    }
}

/// Mean and spread of each column over rows, and the rows in these units, missing values at 0.
fn scale(train: &Table, apply: &Table) -> [Vec<Vec<f32>>; 2] {
    let width = train.rows[0].len();
    let units: Vec<(f32, f32)> = (0..width)
        .map(|j| {
            let known = train.rows.iter().map(|row| row[j]);
            let known: Vec<f32> = known.filter(|v| !v.is_nan()).collect();
            let n = known.len().max(1) as f32;
            let mean = known.iter().sum::<f32>() / n;
            let square = known.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>();
            (mean, (square / n).sqrt().max(1e-6))
        })
        .collect();
    [train, apply].map(|table| {
        let one = |(v, (mean, spread)): (&f32, &(f32, f32))| {
            let z = ((v - mean) / spread).clamp(-3.0, 3.0);
            if z.is_nan() { 0.0 } else { z }
        };
        let row = |row: &Vec<f32>| row.iter().zip(&units).map(one).collect();
        table.rows.iter().map(row).collect()
    })
}

/// Nearest class mean, with probabilities.
fn predict(train: &Table, apply: &Table) -> Predictions {
    let labels: Vec<&String> = train
        .labels
        .iter()
        .map(|l| l.as_ref().expect("a label"))
        .collect();
    let mut classes: Vec<String> = labels.iter().map(|l| (*l).clone()).collect();
    classes.sort();
    classes.dedup();
    let [known, asked] = scale(train, apply);
    let means: Vec<Vec<f32>> = classes
        .iter()
        .map(|class| {
            let rows = known.iter().zip(&labels).filter(|(_, l)| **l == class);
            let rows: Vec<&Vec<f32>> = rows.map(|(row, _)| row).collect();
            (0..known[0].len())
                .map(|j| rows.iter().map(|row| row[j]).sum::<f32>() / rows.len() as f32)
                .collect()
        })
        .collect();
    let mut probability = vec![Vec::new(); classes.len()];
    for row in &asked {
        let near = |mean: &Vec<f32>| {
            let square = row
                .iter()
                .zip(mean)
                .map(|(a, b)| (a - b) * (a - b))
                .sum::<f32>();
            (-f64::from(square.sqrt())).exp()
        };
        let near: Vec<f64> = means.iter().map(near).collect();
        let sum: f64 = near.iter().sum();
        for (column, near) in probability.iter_mut().zip(near) {
            column.push(near / sum);
        }
    }
    Predictions {
        classes,
        positive: None,
        repeat: vec![0; asked.len()],
        fold: vec![None; asked.len()],
        label: vec![None; asked.len()],
        object_id: apply.ids.clone(),
        probability,
    }
}

#[test]
#[ignore = "the program that the other tests start as a stage"]
fn program() {
    let args: Vec<String> = std::env::args().collect();
    let Some(at) = args.iter().position(|arg| arg == "as") else {
        return;
    };
    let [mode, train, apply, out] = &args[at + 1..] else {
        panic!("{args:?}");
    };
    let [train, apply] = [train, apply].map(|path| Table::read(mode, path));
    assert!(train.labels.iter().all(Option::is_some));
    assert!(apply.labels.iter().all(Option::is_none), "a label in apply");
    assert_eq!(train.columns, apply.columns);
    assert!(apply.ids.iter().all(|id| !train.ids.contains(id)));
    if mode == "scale" {
        let mut rows: Vec<(&String, &Vec<f32>)> = Vec::new();
        let scaled = scale(&train, &apply);
        rows.extend(train.ids.iter().zip(&scaled[0]));
        rows.extend(apply.ids.iter().zip(&scaled[1]));
        rows.sort_by_key(|(id, _)| *id);
        let file = std::fs::File::create(out).expect("creates");
        let mut writer = FeatureWriter::new(file, &train.columns).expect("a writer");
        for (id, row) in rows {
            writer.push(&[id], row).expect("writes");
        }
        writer.finish().expect("finishes");
        return;
    }
    let mut predictions = predict(&train, &apply);
    let mut again = predictions.clone();
    match mode.as_str() {
        "drop" => {
            let row = 0;
            predictions.object_id.remove(row);
            predictions.repeat.remove(row);
            predictions.fold.remove(row);
            predictions.label.remove(row);
            for column in &mut predictions.probability {
                column.remove(row);
            }
        }
        "repeat" => predictions.append(&again).expect("appends"),
        "add" => {
            again.object_id.iter_mut().for_each(|id| id.push('x'));
            predictions.append(&again).expect("appends");
        }
        "halve" => {
            let all = predictions.probability.iter_mut().flatten();
            all.for_each(|p| *p /= 2.0);
        }
        _ => {}
    }
    let file = std::fs::File::create(out).expect("creates");
    predictions.write(file).expect("writes");
}

/// The list of arguments that starts the program.
fn run(mode: &str, output: &str) -> String {
    let exe = std::env::current_exe().expect("a path");
    format!(
        "[{exe:?}, \"--exact\", \"{PROGRAM}\", \"--ignored\", \"as\", \"{mode}\", \"{{train}}\", \"{{apply}}\", \"{{{output}}}\"]"
    )
}

/// The survey's pipeline with the program as its model.
fn project(mode: &str) -> Project {
    let project = Survey::default().project();
    let input = if mode == "curves" {
        "curves = \"ingest.curves\""
    } else {
        "features = \"domain\""
    };
    project.write(
        "own.toml",
        format!(
            r#"[pipeline]
name = "own"
extends = "survey.toml"

[stages.model]
use = "command"
scope = "fold"
run = {}
inputs = {{ {input}, folds = "folds" }}
outputs = {{ predictions = "p.parquet" }}
"#,
            run(mode, "predictions")
        ),
    );
    project
}

/// Starts of the stage `model`, each with its action.
fn fits(run: &Run) -> Vec<String> {
    let model = run.all("action-started").filter(|e| e["stage"] == "model");
    model
        .map(|e| e["action"].as_str().expect("a text").to_owned())
        .filter(|action| !action.starts_with("gather"))
        .collect()
}

#[test]
fn a_program_is_a_model_like_any_other() {
    for mode in ["features", "curves"] {
        let project = project(mode);
        let run = project.run(&["own.toml"]);
        let metrics = &run.ok()["metrics"]["evaluate"];
        assert!(
            metrics["f1"]["pooled"].as_f64().is_some_and(|v| v > 0.5),
            "{mode}: {metrics}"
        );
        assert_eq!(metrics["f1"]["folds"].as_array().map(Vec::len), Some(3));
        assert_eq!(fits(&run).len(), 4, "{:?}", fits(&run));
        let submission = project.read("out/submission.csv");
        assert_eq!(submission.lines().count(), 1 + 20);
        assert_eq!(project.run(&["own.toml"]).ran(), []);
    }
}

#[test]
fn a_new_file_of_unlabelled_objects_refits_only_the_final_model() {
    let project = project("features");
    project.run(&["own.toml"]).ok();
    let larger = Survey {
        extra_unlabelled: 12,
        ..Survey::default()
    };
    larger.write(&project);
    let run = project.run(&["own.toml"]);
    run.ok();
    let fits = fits(&run);
    assert!(fits.len() == 1 && fits[0].contains("final"), "{fits:?}");
    let submission = project.read("out/submission.csv");
    assert_eq!(submission.lines().count(), 1 + 12 + 20);
}

#[test]
fn every_row_must_come_back_once_and_no_other() {
    for (mode, code, says) in [
        ("drop", "flow::command::rows", "lacks 1 object (`obj"),
        ("repeat", "flow::command::rows", "more than once"),
        (
            "add",
            "flow::command::rows",
            "that the program was not given",
        ),
        ("halve", "flow::data::schema", "sum to 0.5"),
    ] {
        let project = project(mode);
        let said = project.flow(&["run", "own.toml"]).with(1).words();
        assert!(said.contains(code), "{mode}: {said}");
        assert!(said.contains(says), "{mode}: {said}");
    }
}

#[test]
fn features_that_a_program_fits_feed_a_model() {
    let project = Survey::default().project();
    let scale = run("scale", "scaled");
    project.write(
        "scaled.toml",
        format!(
            r#"[pipeline]
name = "scaled"
extends = "survey.toml"

[stages.scale]
use = "command"
scope = "fold"
run = {scale}
inputs = {{ features = "domain", folds = "folds" }}
outputs = {{ scaled = "scaled.arrow" }}

[stages.model]
inputs = {{ features = "scale" }}
"#
        ),
    );
    let run = project.run(&["scaled.toml"]);
    let metrics = &run.ok()["metrics"]["evaluate"];
    assert!(
        metrics["f1"]["pooled"].as_f64().is_some_and(|v| v > 0.8),
        "{metrics}"
    );
}

#[test]
fn a_program_below_something_fitted_must_say_so() {
    let project = project("features");
    let text = project.read("own.toml");
    let select = "\n[stages.select]\nuse = \"select\"\nfdr = 1.0\ninputs = { features = \"domain\", folds = \"folds\" }\n";
    let text = text.replace(
        "features = \"domain\", folds",
        "features = \"select\", folds",
    );
    project.write("own.toml", format!("{text}{select}"));
    project.run(&["own.toml"]).ok();
    let whole = text
        .replace("scope = \"fold\"\n", "")
        .replace("\"{train}\", \"{apply}\"", "\"{features}\", \"{folds}\"");
    project.write("own.toml", format!("{whole}{select}"));
    project.run(&["own.toml"]).with(2).says("fold_scope");
}

/// Where Python lacks its libraries, the example's pipeline runs with the program of these tests.
#[test]
fn the_example_in_python_runs() {
    let project = Project::new();
    let folder = repository().join("docs/examples/python_model");
    copy_tree(&folder, &project.root);
    let own = format!("model.run={}", run("features", "predictions"));
    let mut args = vec!["pipeline.toml"];
    if !works("python3", &["-c", "import numpy, pyarrow"]) {
        args.extend(["--set", &own, "--set", "model.version=[\"true\"]"]);
    }
    let run = project.run(&args);
    let metrics = &run.ok()["metrics"]["evaluate"];
    assert!(
        metrics["roc_auc"]["pooled"]
            .as_f64()
            .is_some_and(|v| v > 0.7),
        "{metrics}"
    );
}
