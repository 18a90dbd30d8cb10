//! Reports of ablations, studies, checks, pairs of runs, and training curves.

use std::sync::OnceLock;

use flow_testkit::Project;
use serde_json::json;

use super::chromium::Browser;
use super::picture;

/// A pipeline with variants and a study, which runs in seconds, and a stage that writes training curves.
const PIPELINE: &str = r#"
[pipeline]
name = "study"
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
[stages.network]
use = "command"
run = ["sh", "-c", "for e in 1 2 3 4; do echo $e,train,0.$((9 - e)); echo $e,valid,0.$((9 - e % 3)); done | sed '1i epoch,split,loss' > {history}"]
inputs = { objects = "ingest.objects" }
outputs = { history = "history.csv" }
[stages.folded]
use = "command"
run = ["sh", "fits.sh", "{history}"]
files = ["fits.sh"]
inputs = { objects = "ingest.objects" }
outputs = { history = "history.csv" }
[metrics]
headline = "evaluate.f1"
[tune]
trials = 12
parallel = 4
[tune.space]
"model.learning_rate" = { log = [0.01, 0.5] }
"model.rounds" = { int = [2, 30] }
"model.scale_pos_weight" = { choice = ["none", "auto"] }
[variants.stumps]
"model.rounds" = 1
"model.max_depth" = 1
[variants.depth.grid]
"model.max_depth" = [2, 3]
[variants.same]
"model.max_depth" = 4
"#;

/// Writes the curves of six fits of folds and of the final one as one table. The last fold stops at its third epoch.
const FITS: &str = r#"
echo fold,bag,epoch,split,loss,score > "$1"
for fold in 0.0 0.1 0.2 1.0 1.1 1.2 final; do
  for epoch in 1 2 3 4 5 6 7 8; do
    if [ $fold = 1.2 ] && [ $epoch -gt 3 ]; then continue; fi
    spread=${fold#*.}
    [ $fold = final ] && spread=7
    awk -v e=$epoch -v s=$spread -v f=$fold 'BEGIN {
      printf "%s,0,%d,train,%.4f,\n", f, e, 0.2 + 0.1 * s + 1 / e
      printf "%s,0,%d,validation,%.4f,%.4f\n", f, e, 0.4 + 0.1 * s + 1 / e + 0.03 * e * e / 2, 0.9 - 0.5 / e
    }' >> "$1"
  done
done
"#;

/// A project in which all commands have run whose reports are looked at.
fn project() -> &'static Project {
    static PROJECT: OnceLock<Project> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let project = Project::with(PIPELINE);
        project.write("fits.sh", FITS);
        let check = ["check", "p.toml", "--baseline", "check.toml"];
        let stumps = ["--set", "model.rounds=1", "--set", "model.max_depth=1"];
        project.flow(&[&check[..], &["--update"]].concat()).with(0);
        project.flow(&check).with(0);
        let failing = [&check[..], &stumps, &["--html", "check.html"]].concat();
        project.flow(&failing).with(3);
        let pair = ["report", "last~1", "last", "-o", "pair.html"];
        project.flow(&pair).with(0);
        project
            .flow(&["ablate", "p.toml", "-o", "ablation"])
            .with(0);
        project.flow(&["tune", "p.toml", "-o", "tune"]).with(0);
        project.flow(&["run", "p.toml"]).with(0);
        project.flow(&["report", "-o", "run.html"]).with(0);
        project
    })
}

/// Opens a page in both themes and on a narrow screen, and expects no errors and no sideways scrolling.
fn open(file: &str) -> Option<Browser> {
    let mut browser = Browser::start()?;
    browser.open(&project().path(file));
    for (dark, width) in [(false, 1280), (true, 380), (false, 380), (false, 1280)] {
        browser.dark(dark);
        browser.resize(width, 900);
        let room = browser.eval("document.documentElement.scrollWidth - innerWidth");
        assert!(
            room.as_i64() <= Some(0),
            "{file} at {width}: {room} pixels too wide"
        );
    }
    let empty = browser.eval(
        "[...document.querySelectorAll('figure.plot')].filter((figure) => \
         !figure.querySelector('svg :is(path, circle, rect, line)') \
         || !figure.querySelector('figcaption strong').textContent).length",
    );
    assert_eq!(empty, 0, "{file}");
    assert_eq!(browser.errors(), [""; 0], "{file}");
    Some(browser)
}

/// The number of elements that a CSS selector finds.
fn count(browser: &mut Browser, selector: &str) -> u64 {
    let number = browser.eval(&format!("document.querySelectorAll({selector:?}).length"));
    number.as_u64().expect("a number")
}

fn text(browser: &mut Browser, selector: &str) -> String {
    let text = browser.eval(&format!("document.querySelector({selector:?}).innerText"));
    text.as_str().expect("a text").to_owned()
}

#[test]
fn an_ablation_has_forests_of_every_metric_and_costs() {
    let Some(mut browser) = open("ablation/report.html") else {
        return;
    };
    // Five metrics of four variants.
    assert_eq!(count(&mut browser, "#ablation .forests figure.plot"), 5);
    assert_eq!(
        count(&mut browser, "#ablation .forests svg .interval line"),
        20
    );
    assert_eq!(
        count(&mut browser, "#ablation .forests svg .value path"),
        20
    );
    // The base and four variants, alone and in this run.
    assert_eq!(count(&mut browser, "#ablation .costs svg .cold rect"), 5);
    assert_eq!(count(&mut browser, "#ablation .costs svg .now rect"), 5);
    let lead = text(&mut browser, "#ablation .headline");
    assert!(
        lead.contains(" worse") && lead.contains("equivalent"),
        "{lead}"
    );
    let table = text(&mut browser, "#ablation table");
    assert!(
        table.contains("stumps") && table.contains("worse"),
        "{table}"
    );
    // What is folded opens by key.
    let last = "#ablation > details";
    assert_eq!(
        browser.eval(&format!("document.querySelector('{last}').open")),
        false
    );
    browser.eval(&format!("document.querySelector('{last} summary').focus()"));
    browser.key(" ");
    assert_eq!(
        browser.eval(&format!("document.querySelector('{last}').open")),
        true
    );
    // The tip of a row says what it stands for.
    let tip = browser.eval(
        "(() => { const svg = document.querySelector('#ablation .forests svg'); const box = svg.getBoundingClientRect(); \
         svg.dispatchEvent(new PointerEvent('pointermove', { clientX: box.x + box.width / 2, clientY: box.y + 24, \
         pointerType: 'mouse', bubbles: true })); \
         return new Promise((done) => setTimeout(() => done(svg.textContent), 200)); })()",
    );
    assert!(
        tip.as_str().is_some_and(|text| text.contains("difference")),
        "{tip}"
    );
    picture(
        &mut browser,
        "#ablation .forests figure",
        "report-ablation.png",
    );
}

#[test]
fn a_study_has_its_history_its_parameters_and_the_best_values() {
    let Some(mut browser) = open("tune/report.html") else {
        return;
    };
    let marks = [
        ("#study .history svg .complete circle", 12),
        ("#study .history svg .best-so-far path", 1),
        ("#study .parameters figure.plot", 3),
        ("#study .importance svg .importance rect", 3),
        ("#study .parallel svg .trial path", 12),
    ];
    for (selector, number) in marks {
        assert_eq!(count(&mut browser, selector), number, "{selector}");
    }
    let best = text(&mut browser, "#study pre");
    assert!(
        best.starts_with("[stages.model]") && best.contains("learning_rate = "),
        "{best}"
    );
    let (min, max) = (
        browser.eval("Math.min(...[...document.querySelectorAll('#study .best circle')].map((c) => c.getBoundingClientRect().y))"),
        browser.eval("Math.min(...[...document.querySelectorAll('#study .history .complete circle')].map((c) => c.getBoundingClientRect().y))"),
    );
    assert!(
        min.as_f64() <= max.as_f64(),
        "the best trial is the highest: {min}, {max}"
    );
    picture(&mut browser, "#study .history", "report-study.png");
}

#[test]
fn a_check_says_why_it_failed_and_how_earlier_ones_came_out() {
    let Some(mut browser) = open("check.html") else {
        return;
    };
    assert!(text(&mut browser, "#check .headline").starts_with("Regression"));
    let why = text(&mut browser, "#check .warning");
    assert!(
        why.contains("average precision") || why.contains("AP of `evaluate` fell"),
        "{why}"
    );
    assert_eq!(count(&mut browser, "#check .forests svg .interval line"), 2);
    assert_eq!(count(&mut browser, "#check .forests svg .limit line"), 2);
    // This check and the one before it, for two metrics.
    assert_eq!(count(&mut browser, "#check .past figure.plot"), 2);
    assert_eq!(count(&mut browser, "#check .past svg .now path"), 4);
    assert!(text(&mut browser, "#check").contains("params.max_depth: 4 -> 1"));
    // Below it is the report of the run.
    assert_eq!(count(&mut browser, "#summary"), 1);
    picture(&mut browser, "#check .past", "report-check.png");
}

#[test]
fn two_runs_differ_in_settings_recipes_metrics_and_objects() {
    let Some(mut browser) = open("pair.html") else {
        return;
    };
    let all = text(&mut browser, "#pair");
    for part in [
        "model.max_depth",
        "params.rounds",
        "Objects that changed sides",
        "B less A",
    ] {
        assert!(all.contains(part), "no {part} in {all}");
    }
    assert_eq!(count(&mut browser, "#pair .forests svg .interval line"), 5);
    let drawn = count(&mut browser, "#pair .changed svg .object path");
    let listed = browser.eval(
        "[...document.querySelectorAll('#pair table')].find((t) => t.textContent.includes('right in A') \
         && t.tBodies[0].rows.length === 2).querySelectorAll('.good, .bad').values().map((td) => Number(td.textContent)).reduce((a, b) => a + b, 0)",
    );
    assert!(drawn > 0);
    assert_eq!(listed, json!(drawn));
    picture(&mut browser, "#pair .forests figure", "report-pair.png");
}

#[test]
fn a_stage_that_writes_its_history_has_training_curves() {
    let Some(mut browser) = open("run.html") else {
        return;
    };
    let of = |stage: &str, rest: &str| format!("#training .curves[data-stage='{stage}'] {rest}");
    let mut stages =
        browser.eval("[...document.querySelectorAll('#training h3')].map((h) => h.textContent)");
    let stages = stages.as_array_mut().expect("the stages");
    let place = |name: &str| {
        stages
            .iter()
            .position(|stage| stage == name)
            .expect("a stage")
            .to_string()
    };
    let (one, many) = (place("network"), place("folded"));
    // A single fit: a line for each set of rows, and a dot where it was best on rows that it has not seen.
    for (rest, expected) in [
        ("svg .curve path", 2),
        ("svg .mean path", 0),
        ("svg .lowest circle", 1),
    ] {
        assert_eq!(count(&mut browser, &of(&one, rest)), expected, "{rest}");
    }
    let table = text(&mut browser, "#training table");
    assert!(
        table.contains("train") && table.contains("valid"),
        "{table}"
    );
    // Seven fits with a score: two plots.
    for (rest, expected) in [
        ("> figure", 2),
        ("> figure:nth-of-type(1) svg .curve path", 14),
        ("> figure:nth-of-type(1) svg .mean path", 2),
        ("> figure:nth-of-type(1) svg .lowest circle", 7),
        ("> figure:nth-of-type(2) svg .curve path", 7),
        ("> figure:nth-of-type(2) svg .mean path", 1),
        ("> figure:nth-of-type(2) svg .lowest circle", 0),
    ] {
        assert_eq!(count(&mut browser, &of(&many, rest)), expected, "{rest}");
    }
    // The mean goes on to the last epoch of most fits.
    let mean = browser.eval(&format!(
        "[...document.querySelectorAll({:?})].map((p) => p.getAttribute('d').split('L').length)",
        of(&many, "> figure:nth-of-type(1) svg .mean path")
    ));
    assert_eq!(mean, json!([8, 8]));
    let summary = text(
        &mut browser,
        &format!("#training .curves[data-stage='{many}'] + .wide table"),
    );
    assert!(
        summary.contains("7") && summary.contains("8 [3, 8]"),
        "{summary}"
    );
    assert_eq!(count(&mut browser, "#training details tbody tr"), 14);
    picture(&mut browser, "#training", "report-training.png");
}
