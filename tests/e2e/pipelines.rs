//! Every pipeline in `pipelines/` runs, and runs nothing the second time.

use std::collections::BTreeSet;

use flow_testkit::files::{files, repository};
use flow_testkit::program::{SMALL, SMALL_ROCKET};
use flow_testkit::{Ended, Project, Run};

const DEMO: [(&str, &[&str]); 31] = [
    ("pipelines/augmented.toml", &SMALL),
    ("pipelines/pseudo_label.toml", &SMALL),
    ("pipelines/best.toml", &SMALL_BEST),
    ("pipelines/rocket_domain.toml", &SMALL_ROCKET),
    ("pipelines/rocket_2k.toml", &SMALL_ROCKET),
    ("pipelines/domain_only.toml", &SMALL),
    ("pipelines/domain_gbdt.toml", &SMALL),
    ("pipelines/stack.toml", &SMALL_ROCKET),
    ("pipelines/calibrated.toml", &SMALL_ROCKET),
    ("pipelines/tune.toml", &SMALL),
    ("pipelines/basic_stats.toml", &SMALL),
    ("pipelines/tsfresh_select.toml", &SMALL_SELECT),
    ("pipelines/tsfresh_colors.toml", &SMALL_SELECT),
    ("pipelines/tsfresh_robust_colors.toml", &SMALL_SELECT),
    ("pipelines/rocket_5k.toml", &SMALL_ROCKET),
    ("pipelines/rocket_domain_tuned.toml", &SMALL_ROCKET),
    ("pipelines/lightgbm_native.toml", &SMALL_ROCKET),
    ("pipelines/xgboost_native.toml", &SMALL_ROCKET),
    ("pipelines/surveys/spcc.toml", &SMALL_BEST),
    ("pipelines/surveys/plasticc.toml", &SMALL_BEST),
    ("pipelines/surveys/plasticc_15.toml", &SMALL_CLASSES),
    ("pipelines/surveys/ztf.toml", &SMALL_BEST),
    ("pipelines/cnn.toml", &SMALL_NETWORK),
    ("pipelines/transformer.toml", &SMALL_NETWORK),
    ("pipelines/gru_attention.toml", &SMALL_NETWORK),
    ("pipelines/multi_gru.toml", &SMALL_NETWORK),
    ("pipelines/network_best.toml", &SMALL_NETWORK),
    ("pipelines/network_stack.toml", &SMALL_BEST),
    ("pipelines/dense_nn.toml", &SMALL_DENSE),
    ("pipelines/gru_stack.toml", &SMALL_GRU_STACK),
    ("pipelines/vae_boost.toml", &SMALL_VAE),
];

/// Makes the demo pipelines with a network small.
const SMALL_NETWORK: [&str; 8] = [
    "--set",
    "ingest.labelled=100",
    "--set",
    "ingest.positives=30",
    "--set",
    "ingest.unlabelled=20",
    "--set",
    "model.epochs=2",
];

/// The same on PLAsTiCC's classes. Some of the unlabelled objects must be of class 99.
const SMALL_CLASSES: [&str; 6] = [
    "--set",
    "ingest.labelled=160",
    "--set",
    "ingest.unlabelled=120",
    "--set",
    "model.rounds=5",
];

/// The same with a network.
const SMALL_DENSE: [&str; 6] = [
    "--set",
    "ingest.labelled=160",
    "--set",
    "ingest.unlabelled=120",
    "--set",
    "model.epochs=2",
];

/// The same for two networks and one that stacks them.
const SMALL_GRU_STACK: [&str; 14] = [
    "--set",
    "folds.k=5",
    "--set",
    "ingest.labelled=160",
    "--set",
    "ingest.unlabelled=120",
    "--set",
    "dense.epochs=2",
    "--set",
    "recurrent.epochs=1",
    "--set",
    "recurrent.units=[16,8]",
    "--set",
    "model.epochs=2",
];

/// The same for trees on what an autoencoder gives.
const SMALL_VAE: [&str; 8] = [
    "--set",
    "ingest.labelled=160",
    "--set",
    "ingest.unlabelled=120",
    "--set",
    "autoencoder.epochs=2",
    "--set",
    "model.rounds=5",
];

/// The same for those with a selection: so few objects make no column significant.
const SMALL_SELECT: [&str; 10] = [
    "--set",
    "ingest.labelled=240",
    "--set",
    "ingest.positives=40",
    "--set",
    "ingest.unlabelled=40",
    "--set",
    "model.rounds=20",
    "--set",
    "select.fdr=1.0",
];

/// The same for those with two kinds of trees. Gaussian processes take time, so there are fewer objects.
const SMALL_BEST: [&str; 14] = [
    "--set",
    "ingest.labelled=160",
    "--set",
    "ingest.positives=30",
    "--set",
    "ingest.unlabelled=20",
    "--set",
    "trees.rounds=10",
    "--set",
    "random_trees.rounds=10",
    "--set",
    "trees_by_split.rounds=10",
    "--set",
    "random_trees_by_split.rounds=10",
];

/// What `SMALL_ROCKET` has to say of the second selection in `stack.toml`.
const STACK: [&str; 2] = ["--set", "select_rocket.fdr=1.0"];

/// What `SMALL_BEST` has to say of the network in `network_stack.toml`.
const NETWORK: [&str; 2] = ["--set", "network.epochs=2"];

/// Run by `ablate.rs` and `python/mod.rs`. `mallorn.rs` has all of `pipelines/mallorn/`.
const ELSEWHERE: [&str; 3] = [
    "pipelines/ablation.toml",
    "pipelines/lightgbm.toml",
    "pipelines/xgboost.toml",
];

#[test]
fn all_pipelines_are_tested() {
    let root = repository();
    let found = files(&root.join("pipelines")).into_iter().map(|path| {
        let name = path.strip_prefix(root).expect("inside");
        name.display().to_string()
    });
    let found = found.filter(|name| !name.starts_with("pipelines/mallorn/"));
    let tested = DEMO.iter().map(|(name, _)| *name).chain(ELSEWHERE);
    let tested: BTreeSet<String> = tested.map(str::to_owned).collect();
    assert_eq!(BTreeSet::from_iter(found), tested);
}

#[test]
fn every_demo_pipeline_runs_and_then_rests() {
    for (pipeline, sets) in DEMO {
        let project = Project::with_pipelines();
        let mut args = [&[pipeline], sets].concat();
        if pipeline == "pipelines/stack.toml" {
            args.extend_from_slice(&STACK);
        }
        if pipeline == "pipelines/network_stack.toml" {
            args.extend_from_slice(&NETWORK);
        }
        let first = project.run(&args);
        let last = first.ok();
        let f1 = &last["metrics"]["evaluate"]["f1"];
        assert!(
            f1["pooled"].as_f64().is_some_and(|v| v > 0.0),
            "{pipeline}: {f1}"
        );
        assert_eq!(f1["folds"].as_array().map(Vec::len), Some(5));
        assert_eq!(last["headline"]["metric"], "evaluate.f1");
        assert_eq!(last["headline"]["value"], f1["pooled"]);
        assert_eq!(last["status"], "ok");
        for stage in first.stages().values() {
            let count = |name: &str| stage[name].as_u64().expect("a number");
            assert_eq!(
                count("actions"),
                count("hit") + count("ran") + count("failed") + count("skipped")
            );
        }
        let second = project.run(&args);
        second.ok();
        assert_eq!(second.ran(), [], "{pipeline} ran again");
        assert_eq!(first.digests(), second.digests(), "{pipeline}");
        assert_eq!(second.last()["metrics"], last["metrics"], "{pipeline}");
    }
}

#[test]
fn the_submission_has_every_unlabelled_object() {
    let project = Project::with_pipelines();
    let args = [&["pipelines/rocket_domain.toml"], &SMALL_ROCKET[..]].concat();
    project.run(&args).ok();
    let submission = project.read("out/submission.csv");
    assert_eq!(submission.lines().next(), Some("object_id,prediction"));
    assert_eq!(submission.lines().count(), 1 + 40);
    assert!(project.read("out/metrics.md").contains("| f1 |"));
    assert!(project.read("out/report.html").contains("Purity"));
    assert!(
        project
            .read("out/importance.csv")
            .starts_with("feature,importance")
    );
    assert!(project.path("out/predictions.parquet").is_file());
}

#[test]
fn a_calibrated_submission_follows_its_threshold() {
    let project = Project::with_pipelines();
    let args = [&["pipelines/calibrated.toml"], &SMALL_ROCKET[..]].concat();
    let run = project.run(&args);
    let metrics = &run.ok()["metrics"];
    let decided = &metrics["threshold"];
    // The same rule on the same rows as that of the evaluation, with the same draws.
    for metric in ["f1", "precision", "recall"] {
        assert_eq!(
            decided[format!("{metric}_decided")],
            metrics["evaluate"][metric]
        );
    }
    assert!(decided["f1_decided"]["low"].as_f64() > Some(0.0));
    let decisions = project.read("out/decisions.csv");
    let header = "object_id,repeat,fold,label,score,threshold,positive";
    assert_eq!(decisions.lines().next(), Some(header));
    assert_eq!(decisions.lines().count(), 1 + 240 + 40);
    // By object: whether it is predicted positive.
    let new = decisions
        .lines()
        .filter(|line| line.split(',').nth(2) == Some(""));
    let new: BTreeSet<(&str, bool)> = new
        .filter_map(|line| Some((line.split(',').next()?, line.ends_with(",1.0"))))
        .collect();
    let submission = project.read("out/submission.csv");
    let submitted: BTreeSet<(&str, bool)> = (submission.lines().skip(1))
        .filter_map(|line| Some((line.split(',').next()?, line.split(',').nth(1)? == "1")))
        .collect();
    assert_eq!((new.len(), &new), (40, &submitted));
    assert!(project.read("out/calibration.json").contains("isotonic"));
}

#[test]
fn jobs_and_simd_levels_change_no_digest() {
    let sets = |project: &Project, jobs: &str, simd: Option<&str>| {
        let args = ["run", "pipelines/stack.toml", "--jobs", jobs];
        let mut command = project.json_command(&[&args[..], &SMALL_ROCKET, &STACK].concat());
        if let Some(simd) = simd {
            command.env("FLOW_SIMD", simd);
        }
        let run = Run::from(Ended::run(&mut command));
        run.ok();
        run.digests()
    };
    let reference = sets(&Project::with_pipelines(), "2", None);
    assert_eq!(
        reference,
        sets(&Project::with_pipelines(), "1", None),
        "--jobs 1"
    );
    for level in ["scalar", "avx2", "avx512"] {
        assert_eq!(
            reference,
            sets(&Project::with_pipelines(), "2", Some(level)),
            "{level}"
        );
    }
}
