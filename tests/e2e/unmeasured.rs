//! What is not measured does not pass: names that nothing bears, figures that change their meaning, and
//! figures that are undefined.

use serde_json::Value as Json;

use flow_testkit::survey::Survey;
use flow_testkit::{Ended, Project};

/// `flow check` with more arguments.
fn check(project: &Project, more: &[&str]) -> Ended {
    let args = ["check", "survey.toml", "--baseline", "b.toml"];
    project.flow(&[&args, more].concat())
}

fn expect(project: &Project, more: &[&str], code: i32, parts: &[&str]) {
    let text = check(project, more).with(code).words();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[test]
fn a_positive_class_that_nothing_bears_is_an_error_of_the_input() {
    let project = Survey::of("Ia").project();
    expect(&project, &["--update"], 0, &[]);
    let lost = ["flow::data::no_positive", "`KN`, `other`"];
    expect(
        &project,
        &["--set", "ingest.positive=\"ia\""],
        2,
        &[lost[0], "positive = \"Ia\""],
    );
    expect(&project, &["--set", "ingest.positive=\"TDE\""], 2, &lost);
    // A label that `classes` regroups is no class any more.
    expect(&project, &["--set", "ingest.positive=\"II-P\""], 2, &lost);
    // Another class than that of the baseline, though it occurs.
    let unmeasured = "flow::check::unmeasured";
    expect(
        &project,
        &["--set", "ingest.positive=\"KN\""],
        2,
        &[unmeasured, "class `Ia`", "class `KN`"],
    );
    // None at all: macro averages by the same names.
    project.replace("survey.toml", "positive = \"Ia\"\n", "");
    expect(
        &project,
        &[],
        2,
        &[unmeasured, "macro averages over Ia, KN, other"],
    );
}

#[test]
fn a_misspelt_pattern_of_classes_is_told() {
    let project = Survey::of("").project();
    project.replace("survey.toml", "KN = \"KN\"", "KN = \"KM\"");
    project.replace("survey.toml", "other = \"*\"", "II = \"II*\"");
    let ended = project.flow(&["run", "survey.toml"]).with(2);
    ended.says("flow::data::no_such_label").says("`KN`?");
}

#[test]
fn an_undefined_figure_is_not_zero_and_does_not_pass() {
    let project = Survey::of("Ia").project();
    expect(&project, &["--update"], 0, &[]);
    let one = ["--set", "folds.only=[\"0.1\"]"];
    expect(
        &project,
        &one,
        2,
        &[
            "flow::check::unmeasured",
            "f1, mcc, precision, recall, threshold",
        ],
    );

    let run = project.run(&[&["survey.toml"], &one[..]].concat());
    let metrics = &run.ok()["metrics"]["evaluate"];
    assert_eq!(metrics["f1"]["pooled"], Json::Null);
    assert_eq!(metrics["f1"]["folds"], serde_json::json!([null]));
    assert!(metrics["pr_auc"]["pooled"].is_f64());
    assert_eq!(metrics["confusion"]["counts"], Json::Null);

    // A baseline of it has what can be measured, and is passed with that.
    expect(&project, &[&["--update"], &one[..]].concat(), 0, &[]);
    let text = check(&project, &one).with(0).all();
    assert!(
        text.contains("evaluate AP") && !text.contains("evaluate F1"),
        "{text}"
    );
    assert!(
        text.contains("0.1 is the only fold that is scored"),
        "{text}"
    );
}

#[test]
fn without_a_positive_class_there_is_a_gate_too() {
    let project = Survey::of("").project();
    expect(&project, &["--update"], 0, &[]);
    let baseline = project.read("b.toml");
    let same = [
        "evaluate macro AP",
        "evaluate macro F1",
        "evaluate log-loss",
        "b.toml: ok",
    ];
    expect(&project, &[], 0, &same);
    let worse = [
        "--set",
        "model.rounds=1",
        "--set",
        "model.learning_rate=0.01",
    ];
    expect(
        &project,
        &worse,
        3,
        &["flow::check::regression", "log-loss of `evaluate` rose"],
    );
    // Both runs side by side: a loss has its direction, and objects their classes.
    project
        .flow(&["report", "last~1", "last", "-o", "pair.html"])
        .with(0);
    let page = project.read("pair.html");
    for part in [
        "log-loss",
        "\"loss\":true",
        "right in A",
        "most probable class",
    ] {
        assert!(page.contains(part), "no {part}");
    }

    // What an older flow wrote of such a pipeline measures nothing.
    let old = baseline.replace("format = 2", "format = 1");
    let scores = old.find("[evaluations.evaluate.noise]").unwrap();
    let stages = old.find("[stages.").unwrap();
    project.write("b.toml", format!("{}{}", &old[..scores], &old[stages..]));
    expect(
        &project,
        &[],
        2,
        &["flow::check::unmeasured", "--baseline b.toml --update"],
    );
}

#[test]
fn a_baseline_of_the_first_format_is_read() {
    let project = Survey::of("Ia").project();
    expect(&project, &["--update"], 0, &[]);
    let text = project.read("b.toml").replace("format = 2", "format = 1");
    let lines = text.lines().filter(|line| !line.starts_with("positive = "));
    project.write(
        "b.toml",
        lines.map(|line| format!("{line}\n")).collect::<String>(),
    );
    expect(&project, &[], 0, &["b.toml: ok"]);
    expect(&project, &["--update"], 0, &[]);
    assert!(project.read("b.toml").contains("\nformat = 2\n"));
}

#[test]
fn a_headline_is_a_metric_that_its_stage_gives() {
    let project = Survey::of("").project();
    let text = project.read("survey.toml");
    let told = |headline: &str| {
        project.write(
            "survey.toml",
            format!("{text}\n[metrics]\nheadline = \"{headline}\"\n"),
        );
        project.flow(&["run", "survey.toml"])
    };
    for (headline, hint) in [
        ("evaluate.f11", "did you mean \"evaluate.f1\"?"),
        ("evaluate.auc", "roc_auc"),
        ("model.f1", "did you mean \"evaluate.f1\"?"),
    ] {
        told(headline)
            .with(2)
            .says("flow::metrics::unknown")
            .says(hint);
        assert!(!project.path(".flow/store").exists());
    }
    // Only a run shows that there is no positive class.
    let ended = told("evaluate.mcc").with(2);
    ended.says("accuracy").says("positive = \"");
    assert!(!ended.stderr.contains("CLASS"), "{}", ended.stderr);
    told("evaluate.f1").with(0);
}

#[test]
fn the_script_that_changed_is_named() {
    let project = Project::new();
    project.write("fit.sh", "echo 1 > \"$1\"\n");
    project.write("lib/a.sh", "true\n");
    project.write(
        "survey.toml",
        "[stages.fit]\nuse = \"command\"\nrun = [\"sh\", \"fit.sh\", \"{out}\"]\nfiles = [\"fit.sh\", \"lib/*.sh\"]\noutputs = { out = \"x.txt\" }\n",
    );
    expect(&project, &["--update"], 0, &[]);
    project.write("fit.sh", "echo 2 > \"$1\"\n");
    expect(
        &project,
        &["--explain"],
        0,
        &["fit: sources: fit.sh has other contents"],
    );
    project.write("lib/b.sh", "true\n");
    expect(
        &project,
        &["--explain"],
        0,
        &["fit: sources: lib/b.sh is new"],
    );
}
