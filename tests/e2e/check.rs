//! `flow check`: what passes, what fails with which exit code, and what the reports say.

use serde_json::Value as Json;

use flow_testkit::{Ended, Project};

/// A small survey with two repeats.
const PIPELINE: &str = r#"
[pipeline]
name = "small"

[stages.ingest]
use = "ingest"
format = "demo"
labelled = 240
positives = 40
unlabelled = 0

[stages.domain]
use = "domain"
inputs = { curves = "ingest" }

[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
repeats = 2

[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
rounds = 20

[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
"#;

const CHECK: [&str; 4] = ["check", "p.toml", "--baseline", "checks/small.toml"];

/// A project whose baseline is fresh.
fn project() -> Project {
    let project = Project::with(PIPELINE);
    check(&project, &["--update"], 0);
    project
}

/// What a check says that ends with this code.
fn check(project: &Project, more: &[&str], code: i32) -> Ended {
    project.flow(&[&CHECK, more].concat()).with(code)
}

/// The last event of a check that ended with this code.
fn finished(project: &Project, more: &[&str], code: i32) -> Json {
    let run = project.json(&[&CHECK, more].concat()).with(code);
    run.event("check-finished").clone()
}

/// What comes after the tables of the run.
fn report(stdout: &str) -> String {
    let at = stdout.rfind("metric ").expect("a table of metrics");
    stdout[at..].to_owned()
}

/// A threshold has metrics, and is no evaluation that comparisons are made of.
#[test]
fn a_threshold_is_not_compared() {
    let more = "[stages.threshold]\nuse = \"threshold\"\ninputs = { predictions = \"model\" }\n\
                [metrics]\nheadline = \"threshold.f1_decided\"\n";
    let project = Project::with(&format!("{PIPELINE}{more}"));
    check(&project, &["--update"], 0);
    let baseline = project.read("checks/small.toml");
    assert!(baseline.contains("[evaluations.evaluate"), "{baseline}");
    assert!(!baseline.contains("[evaluations.threshold"), "{baseline}");
    let stdout = check(&project, &[], 0).stdout;
    assert!(stdout.contains("threshold.f1_decided = 0."), "{stdout}");
}

#[test]
fn nothing_has_changed_and_everything_passes() {
    let project = project();
    let stdout = check(&project, &[], 0).stdout;
    insta::assert_snapshot!("unchanged", report(&stdout));

    let event = finished(&project, &[], 0);
    assert_eq!(event["verdict"], "ok");
    assert_eq!(event["stages"]["model"]["standing"], "same");
    let ap = &event["evaluations"]["evaluate"]["metrics"]["pr_auc"];
    assert_eq!(ap["difference"]["value"], 0.0);
    assert!(ap["noise"].as_f64().expect("a number") > 0.0);
    assert!(ap["limit"].as_f64().expect("a number") > 0.0);

    // An empty store, as in continuous integration: computed anew, with the same bytes.
    let event = finished(&project, &["--store", "another"], 0);
    assert_eq!(event["stages"]["model"]["standing"], "same");

    // Renamed stages have the recipes of the baseline.
    let text = project.read("p.toml");
    let text = text.replace("stages.domain", "stages.physics");
    project.write("p.toml", text.replace("\"domain\"]", "\"physics\"]"));
    let event = finished(&project, &[], 0);
    assert_eq!(event["stages"]["physics"]["standing"], "same");
    assert_eq!(event["stages"]["domain"], Json::Null);
}

#[test]
fn another_seed_passes_and_says_that_the_folds_differ() {
    let project = project();
    let set = ["--set", "folds.seed=7", "--explain"];
    let stdout = check(&project, &set, 0).stdout;
    for part in [
        "the folds are not those of the baseline",
        "folds: seed.stage: new, 7",
        "model: inputs: other results of earlier stages",
        "checks/small.toml: ok",
    ] {
        assert!(stdout.contains(part), "`{part}` is not in\n{stdout}");
    }
    assert!(!stdout.contains("ingest:  "), "{stdout}");
}

#[test]
fn a_worse_model_is_a_regression() {
    let project = project();
    let worse = [
        "--set",
        "model.rounds=1",
        "--set",
        "model.max_depth=1",
        "--explain",
        "--junit",
        "reports/junit.xml",
        "--markdown",
        "reports/summary.md",
        "--html",
        "reports/check.html",
    ];
    let Ended { stdout, stderr, .. } = check(&project, &worse, 3);
    insta::assert_snapshot!("worse", report(&stdout));
    assert!(stderr.contains("flow::check::regression"), "{stderr}");
    insta::assert_snapshot!("worse_junit", project.read("reports/junit.xml"));
    insta::assert_snapshot!("worse_markdown", project.read("reports/summary.md"));
    let page = project.read("reports/check.html");
    assert!(
        page.contains("Regression") && page.contains("regression: AP of"),
        "{page}"
    );
    assert!(page.contains("params.max_depth: 4 -&gt; 1") && page.contains("What ran"));
    project.flow(&["report", "last", "-o", "last.html"]).with(0);
    assert_eq!(
        project.read("last.html"),
        page,
        "the record of the run has all of it"
    );
    let event = finished(&project, &worse, 3);
    assert_eq!(event["verdict"], "regression");

    // A tolerance that covers the drop, and an update that accepts it.
    let tolerant: Vec<&str> = worse
        .iter()
        .chain(&["--tolerance", "0.9"])
        .copied()
        .collect();
    assert_eq!(finished(&project, &tolerant, 0)["verdict"], "ok");
    let update = [
        "--update",
        "--set",
        "model.rounds=1",
        "--set",
        "model.max_depth=1",
    ];
    let stdout = check(&project, &update, 0).stdout;
    assert!(stdout.contains("model: another recipe\n"), "{stdout}");
    assert!(stdout.contains("evaluate.pr_auc: 0."), "{stdout}");
    assert_eq!(finished(&project, &worse, 0)["verdict"], "ok");
    // And the way back is no failure either.
    let event = finished(&project, &[], 0);
    let metrics = &event["evaluations"]["evaluate"]["metrics"];
    assert_eq!(metrics["pr_auc"]["verdict"], "better");
}

#[test]
fn an_update_of_what_is_the_same_writes_nothing() {
    let project = project();
    let before = project.read("checks/small.toml");
    let stdout = check(&project, &["--update"], 0).stdout;
    assert!(
        stdout.ends_with("checks/small.toml is up to date\n"),
        "{stdout}"
    );
    assert_eq!(project.read("checks/small.toml"), before);
    // Neither the place of the project nor its store are in it.
    let other = Project::with(PIPELINE);
    check(&other, &["--update", "--store", "elsewhere"], 0);
    assert_eq!(other.read("checks/small.toml"), before);
    // One line an object, positives first.
    let (_, scores) = before.split_once("scores.positive]\n").expect("scores");
    let (positive, rest) = scores.split_once("\n\n").expect("a table");
    let (_, negative) = rest.split_once("scores.negative]\n").expect("scores");
    let (negative, _) = negative.split_once("\n\n").expect("a table");
    assert_eq!(
        (positive.lines().count(), negative.lines().count()),
        (40, 200)
    );
}

#[test]
fn objects_that_are_gone_are_said_and_too_few_refused() {
    let project = project();
    // Baselines are not edited by hand, other than here: a tenth of the objects is renamed.
    let text = project.read("checks/small.toml");
    let (head, scores) = text.split_once("scores.negative]\n").expect("scores");
    let rename = |every: usize| {
        let lines = scores.split_inclusive('\n').enumerate();
        let line =
            |(i, line): (usize, &str)| match i % every == 0 && line.contains(" = ") && i < 150 {
                true => format!("other-{i} = 5\n"),
                false => line.to_owned(),
            };
        let lines: String = lines.map(line).collect();
        format!("{head}scores.negative]\n{lines}")
    };
    project.write("checks/small.toml", rename(10));
    let stdout = check(&project, &[], 0).stdout;
    assert!(
        stdout.contains("15 objects not in the baseline: left out"),
        "{stdout}"
    );
    assert!(
        stdout.contains("15 objects only in the baseline: left out"),
        "{stdout}"
    );
    project.write("checks/small.toml", rename(1));
    let stderr = check(&project, &[], 2).stderr;
    assert!(stderr.contains("flow::check::objects"), "{stderr}");
}

/// Programs only: quick, and without evaluation. One of them is not deterministic.
const RANDOM: &str = r#"
[pipeline]
name = "random"

[stages.steady]
use = "command"
run = ["sh", "-c", "echo 1 > {out}"]
outputs = { out = "one.txt" }

[stages.dice]
use = "command"
run = ["sh", "-c", "head -c 16 /dev/urandom > {out}"]
inputs = { from = "steady" }
outputs = { out = "dice.bin" }

[stages.below]
use = "command"
run = ["sh", "-c", "cat {from} > {out}"]
inputs = { from = "dice" }
outputs = { out = "below.bin" }
"#;

fn random() -> Project {
    let project = Project::with(RANDOM);
    check(&project, &["--update"], 0);
    project
}

#[test]
fn other_bytes_by_the_same_recipe_are_nondeterminism() {
    let project = random();
    // The store answers: nothing differs.
    assert_eq!(finished(&project, &[], 0)["verdict"], "ok");
    let Ended { stdout, stderr, .. } = check(&project, &["--store", "another"], 3);
    assert!(stderr.contains("flow::check::nondeterminism"), "{stderr}");
    assert!(stderr.contains("stage `dice`"), "{stderr}");
    // What lies below is not to blame.
    assert!(!stderr.contains("`below`"), "{stderr}");
    assert!(
        stdout.contains("1 with its recipe and other bytes: dice"),
        "{stdout}"
    );
    let event = finished(&project, &["--store", "another"], 3);
    assert_eq!(event["verdict"], "nondeterminism");
    assert_eq!(event["stages"]["dice"]["standing"], "nondeterministic");
    assert_eq!(event["stages"]["below"]["standing"], "changed");

    // An audit runs what the store answers again.
    let stderr = check(&project, &["--audit=9"], 3).stderr;
    assert!(stderr.contains("flow::run::audit"), "{stderr}");
}

#[test]
fn a_wrong_baseline_is_a_mistake_with_a_remedy() {
    let project = random();
    let good = project.read("checks/small.toml");
    let update = "flow check p.toml --baseline checks/small.toml --update";
    let conflict = good.replacen("[stages.", "<<<<<<< ours\n[stages.", 1);
    let cases = [
        (
            good.replace("inputs = ", "input = "),
            "flow::check::baseline",
        ),
        (good[..good.len() / 2].to_owned(), "flow::check::baseline"),
        (String::new(), "flow::check::baseline"),
        (conflict, "flow::check::baseline"),
        (
            good.replace("pipeline = \"random\"", "pipeline = \"other\""),
            "flow::check::foreign",
        ),
        (
            good.replace("format = 2", "format = 3"),
            "flow::check::newer",
        ),
    ];
    for (text, code) in cases {
        project.write("checks/small.toml", &text);
        let ended = check(&project, &[], 2);
        let said = ended.words();
        assert!(said.contains(code) && said.contains(update), "{said}");
        // Nothing was run for it.
        assert_eq!(ended.stdout, "");
        check(&project, &["--update"], 0);
        assert_eq!(project.read("checks/small.toml"), good);
    }
    // A file that is something else stays what it is.
    let stderr = project
        .flow(&["check", "p.toml", "--baseline", "p.toml", "--update"])
        .with(2)
        .stderr;
    assert!(stderr.contains("flow::check::not_a_baseline"), "{stderr}");
    assert_eq!(project.read("p.toml"), RANDOM);
    // And none at all.
    let stderr = project
        .flow(&["check", "p.toml", "--baseline", "checks/none.toml"])
        .with(2)
        .stderr;
    insta::assert_snapshot!("no_baseline", stderr);
}

#[test]
fn an_evaluation_that_is_gone_is_a_wrong_baseline() {
    let project = project();
    project.write(
        "p.toml",
        PIPELINE.replace("stages.evaluate", "stages.score"),
    );
    let stderr = check(&project, &[], 2).stderr;
    assert!(stderr.contains("flow::check::foreign"), "{stderr}");
}
