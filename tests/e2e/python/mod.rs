//! Kinds `estimator` and `transformer`. What needs packages of Python is skipped where `FLOW_PYTHON`, or else
//! `python3`, does not have them.

use std::process::Command;

use flow_testkit::files::repository;
use flow_testkit::program::{SMALL_ROCKET, python};
use flow_testkit::{Ended, Project, Run};

mod mistakes;
mod model_files;

const PIPELINE: &str = r#"
[pipeline]
seed = 3
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 150
positives = 40
unlabelled = 20
[stages.domain]
use = "domain"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
[stages.model]
use = "estimator"
inputs = { features = "domain", folds = "folds" }
class = "classes.py:Sound"
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
[outputs]
"out/features.parquet" = "domain"
"out/folds.parquet" = "folds"
"out/predictions.parquet" = "model.predictions"
"out/importance.csv" = "model.importance"
"#;

const TRANSFORMER: &str = r#"
[stages.turned]
use = "transformer"
inputs = { features = "domain", folds = "folds" }
class = "classes.py:Counted"
"#;

/// A project with classes of its own, `more` behind its pipeline, and the interpreter in every stage.
fn project(python: &str, more: &str) -> Project {
    let text =
        format!("{PIPELINE}{more}").replace("class =", &format!("python = {python:?}\nclass ="));
    let project = Project::with(&text);
    project.write("classes.py", include_str!("classes.py"));
    project
}

fn run(project: &Project, sets: &[&str]) -> Run {
    let sets = sets.iter().flat_map(|set| ["--set", *set]);
    let args: Vec<&str> = std::iter::once("p.toml").chain(sets).collect();
    project.run(&args)
}

/// Runs with `sets`, which must fail with this exit code, a code, and words.
#[track_caller]
fn fails(project: &Project, sets: &[&str], exit: i32, code: &str, words: &[&str]) {
    let run = run(project, sets).with(exit);
    run.says(&format!("flow::python::{code}"));
    for part in words {
        run.says(part);
    }
}

/// The same for a class of `classes.py`.
#[track_caller]
fn fails_with(project: &Project, class: &str, exit: i32, code: &str, words: &[&str]) {
    let set = format!("model.class=\"classes.py:{class}\"");
    fails(project, &[&set], exit, code, words);
}

#[test]
fn lightgbm_predicts_what_a_plain_script_does_for_any_number_of_threads() {
    let Some(python) = python(&["lightgbm", "sklearn", "pandas", "pyarrow"]) else {
        return;
    };
    let sets = [
        "model.class=\"lightgbm.LGBMClassifier\"",
        "model.class_weight=\"balanced\"",
        "model.params={ n_estimators = 40, num_leaves = 7, random_state = 11, deterministic = true, \
         force_row_wise = true, subsample = 0.8, subsample_freq = 1 }",
    ];
    let digests = ["1", "2"].map(|cpus| {
        let project = project(&python, "");
        let claim = format!("model.resources={{ cpus = {cpus} }}");
        let run = run(&project, &[&sets[..], &[&claim]].concat());
        run.ok();
        let out = |name: &str| project.path(&format!("out/{name}.parquet"));
        let mut plain = Command::new(&python);
        plain
            .arg(repository().join("tests/e2e/python/plain.py"))
            .args([out("features"), out("folds"), out("predictions")]);
        let plain = Ended::run(&mut plain);
        assert_eq!(plain.code, 0, "{}", plain.all());
        assert!(plain.stdout.starts_with("170 rows"), "{}", plain.stdout);
        run.digests()
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn an_estimator_of_the_project_is_a_model() {
    let Some(python) = python(&["numpy", "pyarrow"]) else {
        return;
    };
    let project = project(&python, "");
    let first = run(&project, &[]);
    let auc = &first.ok()["metrics"]["evaluate"]["roc_auc"]["pooled"];
    assert!(auc.as_f64() > Some(0.6), "{auc}");
    assert_eq!(run(&project, &[]).ran(), []);
    let importance = project.read("out/importance.csv");
    let shares = importance
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(1));
    let shares: Vec<f64> = shares.filter_map(|share| share.parse().ok()).collect();
    assert!(shares.len() > 100 && shares.is_sorted_by(|a, b| a >= b));
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);

    // A function that makes one, a parameter, and classes in another order.
    let same = |sets: &[&str]| {
        let run = run(&project, sets);
        run.ok();
        let digest = |run: &Run| run.digests()["model"]["predictions"].clone();
        assert!(digest(&run).is_string());
        digest(&run) == digest(&first)
    };
    assert!(same(&["model.class=\"classes.py:made\""]));
    assert!(same(&[
        "model.class=\"classes.Sound\"",
        "model.files=[\"classes.py\"]"
    ]));
    assert!(same(&["model.class=\"classes.py:Turned\""]));
    assert!(same(&["model.params={ columns = [\"a\", \"b\"] }"]));
    assert!(!same(&["model.params={ power = 0.5 }"]));
    assert!(!same(&["model.dtype=\"float32\""]));
    assert!(!same(&[
        "model.class_weight=\"balanced\"",
        "model.target=\"classes\""
    ]));
    assert!(
        same(&["model.class_weight={ TDE = 3 }"]),
        "means of a class do not change"
    );
}

#[test]
fn what_decides_a_result_is_in_the_recipe() {
    let Some(python) = python(&["numpy", "pyarrow"]) else {
        return;
    };
    let project = project(&python, "");
    project.write("requirements.txt", "numpy\n");
    project.edit("class =", "requirements = \"requirements.txt\"\nclass =");
    project.write("other.py", "");
    run(&project, &[]).ok();
    project.write("other.py", "import numpy\n");
    assert_eq!(run(&project, &[]).ran(), []);
    let fits = |what: &str| {
        let ran = run(&project, &[]);
        ran.ok();
        assert!(
            ran.stages_that_ran().contains(&"model".to_owned()),
            "{what}"
        );
    };
    project.append("requirements.txt", "pyarrow\n");
    fits("a pin");
    project.append("classes.py", "import other\n");
    fits("the class");
    project.write("other.py", "import numpy, json\n");
    fits("what it imports");
    let said = project
        .flow(&["explain", "p.toml", "model", "run 0.0"])
        .with(0);
    for part in ["host.version", "cpython 3.", "numpy ", "program:"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    // Before a run has asked for the versions, it is not known which actions run.
    let other = [
        "explain",
        "p.toml",
        "model",
        "run 0.0",
        "--set",
        "model.table=\"frame\"",
    ];
    let pending = project.flow(&other).with(0);
    let asks = format!("asks its `version`: `{python}`");
    assert!(pending.stdout.contains(&asks), "{}", pending.stdout);
}

#[test]
fn the_final_estimator_is_saved() {
    let Some(python) = python(&["numpy", "pyarrow"]) else {
        return;
    };
    let project = project(&python, "");
    project.edit("class =", "save = true\nclass =");
    project.append("p.toml", "\"out/model.pickle\" = \"model.model\"\n");
    run(&project, &[]).ok();
    let load = "import pickle; print(len(pickle.load(open('out/model.pickle', 'rb')).means))";
    let mut loaded = Command::new(&python);
    loaded.current_dir(&project.root).args(["-c", load]);
    let loaded = Ended::run(&mut loaded);
    assert_eq!(
        (loaded.code, loaded.stdout.trim()),
        (0, "2"),
        "{}",
        loaded.all()
    );
    // Without rows to predict there is no fit on all that are labelled.
    let run = run(&project, &["ingest.unlabelled=0"]).with(2);
    run.says("flow::python::no_final");
}

#[test]
fn a_transformer_is_fitted_on_the_rows_of_its_fold() {
    let Some(python) = python(&["numpy", "pyarrow"]) else {
        return;
    };
    let project = project(&python, TRANSFORMER);
    let sets = [
        "model.inputs.features=\"turned\"",
        "model.class=\"classes.py:Checks\"",
    ];
    run(&project, &sets).ok();
    let importance = project.read("out/importance.csv");
    let mut names: Vec<&str> = importance
        .lines()
        .skip(1)
        .filter_map(|l| l.split(',').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["0", "1", "2"]);
    let prefix = [&sets[..], &["turned.prefix=\"t_\""]].concat();
    run(&project, &prefix).ok();
    assert!(project.read("out/importance.csv").contains("t_1,"));
    let turned = |class: &str| format!("turned.class=\"classes.py:{class}\"");
    for (class, exit, code, words) in [
        ("Fewer", 1, "shape", "(99, 140) for 100 rows"),
        (
            "Infinite",
            1,
            "not_finite",
            "infinite values for 100 of 100 rows",
        ),
        ("Label", 1, "shape", "`object_id` and `label` are taken"),
        ("Labels", 2, "method", "no method `transform`"),
    ] {
        fails(&project, &[sets[0], &turned(class)], exit, code, &[words]);
    }
}

#[test]
fn a_transformer_may_get_names_and_classes() {
    let Some(python) = python(&["numpy", "pyarrow", "pandas"]) else {
        return;
    };
    let project = project(&python, TRANSFORMER);
    let sets = [
        "model.inputs.features=\"turned\"",
        "turned.class=\"classes.py:Named\"",
        "turned.table=\"frame\"",
        "turned.target=\"binary\"",
    ];
    run(&project, &sets).ok();
    let importance = project.read("out/importance.csv");
    let names: Vec<&str> = importance
        .lines()
        .skip(1)
        .filter_map(|l| l.split(',').next())
        .collect();
    assert!(
        !names.is_empty() && names.iter().all(|n| *n == n.to_uppercase()),
        "{names:?}"
    );
}

#[test]
fn the_usual_estimators_run_on_all_classes() {
    let Some(python) = python(&["lightgbm", "xgboost", "catboost", "sklearn", "pyarrow"]) else {
        return;
    };
    let project = project(&python, "");
    for (class, params) in [
        ("lightgbm.LGBMClassifier", "n_estimators = 20"),
        ("xgboost.XGBClassifier", "n_estimators = 20"),
        ("catboost.CatBoostClassifier", "iterations = 20"),
        ("sklearn.ensemble.ExtraTreesClassifier", "n_estimators = 20"),
        (
            "sklearn.ensemble.HistGradientBoostingClassifier",
            "max_iter = 20",
        ),
    ] {
        let class = format!("model.class={class:?}");
        let params = format!("model.params={{ {params} }}");
        let sets = [
            &class,
            &params,
            "model.target=\"classes\"",
            "model.class_weight=\"balanced\"",
        ];
        let run = run(&project, &sets);
        let auc = &run.ok()["metrics"]["evaluate"]["roc_auc"]["pooled"];
        assert!(auc.as_f64() > Some(0.7), "{class}: {auc}");
        let importance = project.read("out/importance.csv").lines().count();
        // Histograms of scikit-learn say nothing of it.
        assert_eq!(
            importance > 10,
            !class.contains("Hist"),
            "{class}: {importance}"
        );
    }
    let set = "model.class=\"sklearn.linear_model.LogisticRegression\"";
    fails(
        &project,
        &[set],
        1,
        "raised",
        &["NaN", "fill them in a stage before"],
    );
    let sets = [
        "model.class=\"sklearn.ensemble.ExtraTreesClassifier\"",
        "model.params={ n_estimators = -3 }",
    ];
    fails(&project, &sets, 2, "parameter", &["refuses its `params`"]);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let Some(python) = python(&["xgboost", "catboost", "sklearn", "pyarrow"]) else {
        return;
    };
    let projects = ["1", "3"].map(|cpus| (project(&python, ""), cpus));
    for (class, params) in [
        ("xgboost.XGBClassifier", "n_estimators = 20"),
        ("catboost.CatBoostClassifier", "iterations = 20"),
        ("sklearn.ensemble.ExtraTreesClassifier", "n_estimators = 30"),
    ] {
        let digests = projects.each_ref().map(|(project, cpus)| {
            let sets = [
                format!("model.class={class:?}"),
                format!("model.params={{ {params} }}"),
                format!("model.resources={{ cpus = {cpus} }}"),
                "folds.k=2".to_owned(),
            ];
            let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
            let run = project.run(&[&["p.toml", "--jobs", "3"], &sets[..]].concat());
            run.ok();
            run.digests()["model"].clone()
        });
        assert!(digests[0]["predictions"].is_string(), "{digests:?}");
        assert_eq!(digests[0], digests[1], "{class}");
    }
}

#[test]
fn the_pipelines_with_boosters_run() {
    let Some(python) = python(&["lightgbm", "xgboost", "sklearn", "pyarrow"]) else {
        return;
    };
    for pipeline in ["pipelines/lightgbm.toml", "pipelines/xgboost.toml"] {
        let project = Project::with_pipelines();
        let python = format!("model.python={python:?}");
        let mut args = vec![
            pipeline,
            "--set",
            &python,
            "--set",
            "model.params.n_estimators=20",
        ];
        let sets = SMALL_ROCKET
            .chunks(2)
            .filter(|pair| !pair[1].contains("rounds"));
        args.extend(sets.flatten());
        let run = project.run(&args);
        let f1 = &run.ok()["metrics"]["evaluate"]["f1"]["pooled"];
        assert!(f1.as_f64() > Some(0.0), "{pipeline}: {f1}");
        assert_eq!(project.run(&args).ran(), [], "{pipeline}");
    }
}
