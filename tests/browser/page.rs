//! What every page must keep: no errors, no network, sections that can be reached, room on small screens.

use serde_json::json;

use super::{demo, demo_report, open_demo};

#[test]
fn a_report_opens_without_errors_in_both_themes_and_on_a_narrow_screen() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    for (dark, width) in [(false, 1280), (true, 1280), (true, 380), (false, 380)] {
        browser.dark(dark);
        browser.resize(width, 900);
        let room = browser.eval("document.documentElement.scrollWidth - innerWidth");
        assert!(room.as_i64() <= Some(0), "{width}: {room} pixels too wide");
        let text = browser.eval("getComputedStyle(document.body).color");
        let back = browser.eval("getComputedStyle(document.body).backgroundColor");
        assert_ne!(text, back);
    }
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn every_section_is_linked_and_named() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    let sections =
        browser.eval("[...document.querySelectorAll('main section')].map((s) => '#' + s.id)");
    let links =
        browser.eval("[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))");
    assert_eq!(sections, links);
    let unnamed = browser.eval(
        "[...document.querySelectorAll('[aria-labelledby]')]\
         .filter((e) => !document.getElementById(e.getAttribute('aria-labelledby'))).length",
    );
    assert_eq!(unnamed, 0);
    let twice = browser.eval(
        "(() => { const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); \
         return ids.filter((id, i) => ids.indexOf(id) !== i); })()",
    );
    assert_eq!(twice, json!([]));
}

#[test]
fn the_first_key_leads_past_the_navigation() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    browser.key("Tab");
    let focused = browser.eval("document.activeElement.getAttribute('href')");
    assert_eq!(focused, "#main");
}

#[test]
fn each_figure_has_marks_and_a_name() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    let empty = browser.eval(
        "[...document.querySelectorAll('figure.plot')].filter((figure) => \
         !figure.querySelector('svg g[aria-label] :is(path, circle, rect, line, text)') \
         || !figure.querySelector('figcaption strong')?.textContent).map((f) => f.textContent.slice(0, 80))",
    );
    assert_eq!(empty, json!([]));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let project = demo();
    let first = std::fs::read(demo_report()).expect("a report");
    project
        .flow(&["report", "last", "-o", "again.html"])
        .with(0);
    let again = std::fs::read(project.path("again.html")).expect("a report");
    assert!(first == again);
    assert!(first.len() < 3_000_000, "{} bytes", first.len());
}
