//! The section of evaluations: which figures there are, that their numbers are those that `evaluate` reports, and
//! what the controls do.

use std::path::PathBuf;
use std::sync::OnceLock;

use flow_testkit::Project;
use serde_json::{Value as Json, json};

use super::chromium::Browser;
use super::{demo, demo_report, open_demo, picture};

/// Two evaluations of the same objects, one over two repeats and with groups of features.
const TWO: &str = r#"
[pipeline]
name = "two"
seed = 7
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 400
positives = 60
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
target = "classes"
rounds = 20
[stages.reasons]
use = "reasons"
inputs = { model = "model", features = "domain", folds = "folds" }
groups = { color = ["*color*"], redshift = ["redshift"] }
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
[stages.logistic]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
learner = "logistic"
[stages.evaluate_logistic]
use = "evaluate"
inputs = { predictions = "logistic" }
"#;

/// The same light curves without a positive class.
const CLASSES: &str = r#"
[pipeline]
name = "classes"
seed = 7
[stages.ingest]
use = "ingest"
format = "parquet"
curves = "curves.parquet"
bands = ["u", "g", "r", "i", "z", "y"]
classes = { TDE = "TDE", AGN = "AGN", other = "*" }
[stages.domain]
use = "domain"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
target = "classes"
rounds = 20
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
"#;

/// A project that has run both pipelines, and left a report of each.
fn project() -> &'static Project {
    static PROJECT: OnceLock<Project> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let project = Project::with(TWO);
        project.flow(&["run", "p.toml", "-q"]).with(0);
        project.flow(&["report", "last", "-o", "two.html"]).with(0);
        project
            .flow(&["export", "last", "ingest.curves", "-o", "curves.parquet"])
            .with(0);
        project.write("classes.toml", CLASSES);
        project.flow(&["run", "classes.toml", "-q"]).with(0);
        project
            .flow(&["report", "last", "-o", "classes.html"])
            .with(0);
        project
    })
}

/// The data of the section in a report.
fn data(report: &PathBuf) -> Json {
    let html = std::fs::read_to_string(report).expect("a report");
    let (_, rest) = html
        .split_once("id=\"data-evaluation\">")
        .expect("the data");
    let (data, _) = rest.split_once("</script>").expect("an end");
    serde_json::from_str(data).expect("JSON")
}

fn numbers(list: &Json) -> Vec<f64> {
    let items = list.as_array().expect("a list").iter();
    items.filter_map(Json::as_f64).collect()
}

#[test]
fn curves_have_the_areas_that_the_evaluation_reports() {
    let project = demo();
    project
        .flow(&["export", "last", "evaluate.metrics", "-o", "metrics.json"])
        .with(0);
    let metrics: Json = serde_json::from_str(&project.read("metrics.json")).expect("JSON");
    let data = data(&demo_report());
    let one = &data["evaluations"][0];
    let curves = &one["classes"][0]["curves"];
    let precision = numbers(&curves["precision"]["y"]);
    let ap = precision.iter().sum::<f64>() / precision.len() as f64;
    let close = |value: f64, name: &str, within: f64| {
        let reported = metrics[name]["pooled"].as_f64().expect("a number");
        assert!(
            (value - reported).abs() < within,
            "{name}: {value} {reported}"
        );
    };
    close(ap, "pr_auc", 2e-4);
    let (x, y) = (numbers(&curves["roc"]["x"]), numbers(&curves["roc"]["y"]));
    let trapezoids = (1..x.len()).map(|i| (x[i] - x[i - 1]) * (y[i] + y[i - 1]) / 2.0);
    close(trapezoids.sum(), "roc_auc", 0.005);
    // The matrix by true class adds up to that of the evaluation.
    let counts = &metrics["confusion"]["counts"];
    let by_label = one["by_label"]["classes"].as_array().expect("classes");
    assert_eq!(by_label[0][0], "TDE");
    assert_eq!(
        [&by_label[0][1], &by_label[0][2]],
        [&counts[1][1], &counts[1][0]]
    );
    let rest = |at: usize| {
        by_label[1..]
            .iter()
            .filter_map(|row| row[at].as_u64())
            .sum::<u64>()
    };
    assert_eq!(json!([rest(2), rest(1)]), counts[0]);
    let html = std::fs::read_to_string(demo_report()).expect("a report");
    let f1 = metrics["f1"]["pooled"].as_f64().expect("a number");
    assert!(html.contains(&format!("<td>F1</td><td class=\"number\">{f1:.3}</td>")));
}

/// The titles of the figures of an element.
fn titles(browser: &mut Browser, selector: &str) -> Vec<String> {
    let found = browser.eval(&format!(
        "[...document.querySelectorAll('{selector} figure.plot figcaption strong')].map((e) => e.textContent)"
    ));
    serde_json::from_value(found).expect("texts")
}

#[test]
fn all_figures_of_an_evaluation_are_drawn() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    let titles = titles(&mut browser, "#evaluation");
    for part in [
        "Purity against completeness",
        "ROC curve",
        "Purity and completeness by threshold",
        "Purity and completeness among the highest scores",
        "Scores by true class",
        "Reliability",
        "By fold",
        "the 25 features that matter most",
    ] {
        assert!(
            titles.iter().any(|title| title.contains(part)),
            "{part}: {titles:?}"
        );
    }
    // A band, its line, and the threshold: areas, lines and dots.
    for mark in ["area", "line", "dot"] {
        let drawn = browser.eval(&format!(
            "document.querySelectorAll('#evaluation figure.plot:first-of-type g[aria-label=\"{mark}\"] > *').length"
        ));
        assert!(drawn.as_u64() > Some(0), "{mark}");
    }
    let links = browser.eval(
        "[...document.querySelectorAll('#evaluation a')].map((a) => !!document.getElementById(a.hash.slice(1)))",
    );
    assert_eq!(links, json!([true, true]));
    picture(&mut browser, "#evaluation .plots", "report-evaluation.png");
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn a_pointer_on_a_curve_gets_its_values() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    let tip = browser.eval(
        "(() => { const svg = [...document.querySelectorAll('#evaluation figure.plot')]\
         .find((f) => f.textContent.includes('ROC curve')).querySelector('svg'); \
         const box = svg.getBoundingClientRect(); \
         const at = { clientX: box.x + 0.9 * box.width, clientY: box.y + 0.1 * box.height, pointerType: 'mouse' }; \
         svg.dispatchEvent(new PointerEvent('pointermove', at)); \
         return svg.querySelector('g[aria-label=tip]').textContent; })()",
    );
    let tip = tip.as_str().expect("a text");
    assert!(
        tip.contains("TDE") && tip.contains("completeness 1"),
        "{tip}"
    );
}

#[test]
fn buttons_choose_the_metric_of_slices() {
    let report = project().path("two.html");
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.open(&report);
    let slices = "[data-evaluation=\"evaluate\"] [data-plots=\"slices\"]";
    assert_eq!(
        titles(&mut browser, slices),
        [
            "By redshift",
            "By magnitude at peak",
            "By number of observations",
            "By fold",
            "By repeat"
        ]
    );
    let state = format!(
        "(() => {{ const part = document.querySelector('{slices}'); return [\
         part.querySelector('[aria-pressed=true]').textContent, \
         part.querySelector('figure.plot svg').textContent.includes('ROC-AUC'), \
         part.querySelector('figure.plot g[aria-label=dot]').innerHTML]; }})()"
    );
    let before = browser.eval(&state);
    assert_eq!((&before[0], &before[1]), (&json!("F1"), &json!(false)));
    browser.eval(&format!(
        "[...document.querySelectorAll('{slices} button')].find((b) => b.textContent === 'ROC-AUC').click()"
    ));
    let after = browser.eval(&state);
    assert_eq!((&after[0], &after[1]), (&json!("ROC-AUC"), &json!(true)));
    assert_ne!(before[2], after[2]);
    let other = browser.eval(
        "document.querySelector('[data-evaluation=\"evaluate_logistic\"] [aria-pressed=true]').textContent",
    );
    assert_eq!(other, "F1");
    let worth = titles(&mut browser, "[data-model=\"model\"]");
    assert!(
        worth.contains(&"reasons: what groups of features are worth".to_owned()),
        "{worth:?}"
    );
    for width in [1280, 380] {
        browser.resize(width, 900);
        let room = browser.eval("document.documentElement.scrollWidth - innerWidth");
        assert!(room.as_i64() <= Some(0), "{width}: {room} pixels too wide");
    }
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn without_a_positive_class_one_is_chosen() {
    let report = project().path("classes.html");
    let found = data(&report);
    let one = &found["evaluations"][0];
    assert_eq!(one["positive"], Json::Null);
    let names: Vec<&Json> = (one["classes"].as_array().expect("classes").iter())
        .map(|class| &class["name"])
        .collect();
    assert_eq!(names, ["AGN", "TDE", "other"]);
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.open(&report);
    let label = "[...document.querySelectorAll('#evaluation figure.plot')]\
                 .find((f) => f.textContent.includes('Scores by true class')).textContent";
    let before = browser.eval(label);
    assert!(
        before.as_str().is_some_and(|text| text.contains("P(AGN)")),
        "{before}"
    );
    browser.eval(
        "(() => { const select = document.querySelector('#evaluation select'); select.value = 'TDE'; \
         select.dispatchEvent(new Event('change')); })()",
    );
    let after = browser.eval(label);
    assert!(
        after.as_str().is_some_and(|text| text.contains("P(TDE)")),
        "{after}"
    );
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn tables_can_be_read_without_scripts() {
    project();
    let html = std::fs::read_to_string(project().path("two.html")).expect("a report");
    let (_, section) = html
        .split_once("<section id=\"evaluation\"")
        .expect("the section");
    let (section, _) = section.split_once("</section>").expect("an end");
    for part in [
        "60 of them TDE",
        "in 2 repeats",
        "all but TDE",
        "By magnitude at peak",
        "Purity and completeness of TDE, as tables",
        "Reliability, as a table",
        "Importance by the stage that made the features",
        "What groups of features are worth (reasons)",
        "By the most probable class",
    ] {
        assert!(section.contains(part), "{part}");
    }
}

#[test]
fn a_class_of_few_objects_has_no_curves() {
    let project = Project::with(
        &TWO.replace("positives = 60", "positives = 4")
            .replace("labelled = 400", "labelled = 60"),
    );
    project
        .flow(&["run", "p.toml", "--to", "evaluate", "-q"])
        .with(0);
    project.flow(&["report", "last", "-o", "few.html"]).with(0);
    let html = std::fs::read_to_string(project.path("few.html")).expect("a report");
    assert!(
        html.contains("TDE has 4 of the 60 objects that are scored. Its curves would be noise")
    );
    assert!(html.contains("too few to say anything"));
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.open(&project.path("few.html"));
    let drawn = titles(&mut browser, "#evaluation");
    assert!(
        !drawn.iter().any(|title| title.contains("ROC")),
        "{drawn:?}"
    );
    assert!(
        drawn.contains(&"Scores by true class".to_owned()),
        "{drawn:?}"
    );
    assert_eq!(browser.errors(), [""; 0]);
}
