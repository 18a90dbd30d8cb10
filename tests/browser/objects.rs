//! The objects of an evaluation: light curves, keys, links.

use flow_testkit::Project;
use serde_json::Value as Json;

use super::chromium::Browser;
use super::{demo, demo_report, open_demo, picture};

/// Everything that an object may have: fits, two models, two repeats, and reasons.
const WHOLE: &str = r#"
[pipeline]
name = "whole"
seed = 1
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 60
positives = 20
unlabelled = 5
[stages.domain]
use = "domain"
inputs = { curves = "ingest" }
[stages.fits]
use = "parametric_fit"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 2
repeats = 2
[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
rounds = 5
[stages.other]
use = "model"
inputs = { features = ["fits"], folds = "folds" }
rounds = 5
[stages.reasons]
use = "reasons"
inputs = { model = "model.model", features = ["domain"], folds = "folds" }
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
"#;

/// The name of the object that is shown.
fn shown(browser: &mut Browser) -> String {
    let name = browser.eval("document.querySelector('#object-name').firstChild.textContent");
    name.as_str().expect("a name").to_owned()
}

fn data(browser: &mut Browser) -> Json {
    browser.eval("JSON.parse(document.getElementById('data-objects').textContent)")
}

fn count(browser: &mut Browser, selector: &str) -> u64 {
    let found = browser.eval(&format!("document.querySelectorAll({selector:?}).length"));
    found.as_u64().expect("a number")
}

/// Presses the button with a text.
fn press(browser: &mut Browser, text: &str) {
    browser.eval(&format!(
        "[...document.querySelectorAll('#objects button')].find((b) => b.textContent === {text:?}).click()"
    ));
}

fn wait(browser: &mut Browser) {
    browser.eval("new Promise((done) => setTimeout(done, 50))");
}

/// The names of the first list.
fn first_list(data: &Json) -> Vec<&str> {
    let places = data["lists"][0]["objects"].as_array().expect("a list");
    let name = |place: &Json| data["objects"][place.as_u64()? as usize]["id"].as_str();
    places.iter().filter_map(name).collect()
}

#[test]
fn keys_go_through_a_list() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    browser.eval("document.querySelector('.viewer').scrollIntoView()");
    let data = data(&mut browser);
    let ids = first_list(&data);
    assert!(ids.len() > 2, "{ids:?}");
    assert_eq!(shown(&mut browser), ids[0]);
    let last = ids.len() - 1;
    for (key, at) in [
        ("ArrowRight", 1),
        ("j", 2),
        ("k", 1),
        ("ArrowLeft", 0),
        ("ArrowLeft", last),
        ("ArrowRight", 0),
    ] {
        browser.key(key);
        assert_eq!(shown(&mut browser), ids[at], "{key}");
        let link = browser.eval("location.hash");
        assert_eq!(link, format!("#object={}", ids[at]), "{key}");
    }
    // In the search, letters are letters.
    browser.key("/");
    assert_eq!(browser.eval("document.activeElement.type"), "search");
    browser.key("j");
    assert_eq!(shown(&mut browser), ids[0]);
    let spoken = browser.eval("document.querySelector('[aria-live=polite]').textContent");
    let spoken = spoken.as_str().expect("a text");
    assert!(
        spoken.starts_with(&format!("{}, class ", ids[0])),
        "{spoken}"
    );
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn a_link_opens_an_object_and_the_search_finds_one() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    let data = data(&mut browser);
    let objects = data["objects"].as_array().expect("objects");
    let name = |at: usize| objects[at]["id"].as_str().expect("a name");
    let (first, last) = (name(0), name(objects.len() - 1));
    browser.go(&format!("file://{}#object={last}", demo_report().display()));
    assert_eq!(shown(&mut browser), last);
    let top = browser.eval("document.querySelector('.viewer').getBoundingClientRect().top");
    assert!(top.as_f64().expect("a place").abs() < 200.0, "{top}");
    let search = |name: &str| {
        format!(
            "(() => {{ const s = document.querySelector('#objects input'); s.value = {name:?}; \
             s.dispatchEvent(new Event('change')); }})()"
        )
    };
    browser.eval(&search(first));
    assert_eq!(shown(&mut browser), first);
    browser.eval(&search("nobody"));
    let said = browser.eval("document.querySelector('#objects [role=status]').textContent");
    assert!(
        said.as_str().expect("a text").contains("--object nobody"),
        "{said}"
    );
    assert_eq!(shown(&mut browser), first);
    // A link on the same page, as the tables of the lists have them.
    browser.eval(&format!("location.hash = '#object={last}'"));
    wait(&mut browser);
    assert_eq!(shown(&mut browser), last);
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn the_light_curve_has_all_observations_in_every_unit() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    let data = data(&mut browser);
    let at = data["lists"][0]["objects"][0].as_u64().expect("a place") as usize;
    let bands = data["objects"][at]["curve"].as_array().expect("bands");
    let of_band = |band: &Json| band[0].as_array().expect("times").len() as u64;
    let points: u64 = bands.iter().map(of_band).sum();
    assert_eq!(data["objects"][at]["points"], points);
    let dots = "#objects article > figure g[aria-label=dot] :is(circle, path)";
    let limits = "#objects article > figure g[aria-label=text] text";
    assert_eq!(count(&mut browser, dots), points);
    press(&mut browser, "Magnitude");
    assert!(count(&mut browser, limits) > 0);
    assert_eq!(
        count(&mut browser, dots) + count(&mut browser, limits),
        points
    );
    press(&mut browser, "Rest-frame phase");
    let text = browser.eval("document.querySelector('#objects svg').textContent");
    assert!(
        text.as_str()
            .expect("a text")
            .contains("rest-frame days from the peak")
    );
    press(&mut browser, "Around the peak");
    assert!(count(&mut browser, dots) + count(&mut browser, limits) < points);
    // Without a band, its points are gone.
    press(&mut browser, "Flux");
    press(&mut browser, "All");
    press(&mut browser, "r");
    assert_eq!(count(&mut browser, dots), points - of_band(&bands[2]));
    browser.eval("document.querySelector('#objects article details').open = true");
    wait(&mut browser);
    assert_eq!(
        count(&mut browser, "#objects article table tbody tr"),
        points
    );
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn fits_models_and_reasons_are_drawn() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let project = Project::with(WHOLE);
    project.flow(&["run", "p.toml", "-q"]).with(0);
    project.flow(&["report", "-o", "whole.html"]).with(0);
    browser.open(&project.path("whole.html"));
    let said = browser.eval("document.querySelector('#objects p').textContent");
    let said = said.as_str().expect("a text");
    assert!(said.starts_with("All 65 objects of evaluate."), "{said}");
    let data = data(&mut browser);
    assert_eq!(data["objects"].as_array().expect("objects").len(), 65);
    let lines = "#objects article > figure g[aria-label=line] path";
    assert!(count(&mut browser, lines) > 0);
    browser.resize(1100, 900);
    press(&mut browser, "Around the peak");
    picture(&mut browser, "#objects .viewer", "report-objects.png");
    press(&mut browser, "No fit");
    assert_eq!(count(&mut browser, lines), 0);
    let titles = browser.eval("[...document.querySelectorAll('#objects .plots figcaption strong')].map((e) => e.textContent)");
    let expected = [
        "Probabilities",
        "All models of the run",
        "What moved the score",
        "Its features among its class",
    ];
    assert_eq!(titles, Json::from(expected.to_vec()));
    // Two models of two repeats.
    let dots = "#objects .plots figure:nth-child(2) g[aria-label=dot] circle";
    assert_eq!(count(&mut browser, dots), 4);
    let facts = browser.eval("document.querySelector('#objects dl').textContent");
    assert!(
        facts.as_str().expect("a text").contains("of 2 repeats"),
        "{facts}"
    );
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn a_button_keeps_the_focus() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    browser.eval("[...document.querySelectorAll('#objects article button')][1].focus()");
    browser.key("Enter");
    let focused = browser.eval("document.activeElement.getAttribute('aria-label')");
    assert_eq!(focused, "band g");
    browser.key("Tab");
    let focused = browser.eval("document.activeElement.getAttribute('aria-label')");
    assert_eq!(focused, "band r");
}

#[test]
fn an_object_is_shown_in_both_themes_and_on_a_narrow_screen() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    for (dark, width) in [(false, 1280), (true, 1280), (true, 380), (false, 380)] {
        browser.dark(dark);
        browser.resize(width, 900);
        browser.eval("document.querySelector('.viewer').scrollIntoView()");
        let before = shown(&mut browser);
        browser.key("ArrowRight");
        assert_ne!(shown(&mut browser), before);
        let wide = browser.eval(
            "[...document.querySelectorAll('#objects svg, #objects .controls, #objects dl')]\
             .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).length",
        );
        assert_eq!(wide, 0, "{width}");
    }
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn the_lists_are_tables_without_javascript() {
    let html = std::fs::read_to_string(demo_report()).expect("a page");
    let errors = demo().json(&["errors", "--top", "40"]).with(0);
    let lists = errors.event("errors-listed")["lists"].as_array();
    for list in lists.expect("lists") {
        for object in list["objects"].as_array().expect("objects") {
            let id = object["object_id"].as_str().expect("a name");
            let link = format!("<a href=\"#object={id}\">{id}</a>");
            assert!(html.contains(&link), "{id}");
        }
    }
}

#[test]
fn an_object_that_is_asked_for_is_there() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let project: &Project = demo();
    let asked = ["--object", "demo_00001", "--object", "none"];
    let report = ["report", "-o", "asked.html"];
    project.flow(&[&report[..], &asked].concat()).with(0);
    let page = project.path("asked.html");
    browser.go(&format!("file://{}#object=demo_00001", page.display()));
    assert_eq!(shown(&mut browser), "demo_00001");
    let said = browser.eval("document.querySelector('#objects .warning').textContent");
    assert_eq!(said, "The run has no object of the name none.");
}
