//! The section on where numbers come from: the graph, the timeline, and the recipes that links lead to.

use std::path::PathBuf;

use flow_testkit::Project;

use crate::chromium::Browser;
use crate::{PIPELINE, open_demo, picture};

/// The number of elements that a selector finds.
fn count(browser: &mut Browser, selector: &str) -> u64 {
    let found = browser.eval(&format!("document.querySelectorAll({selector:?}).length"));
    found.as_u64().expect("a number")
}

#[test]
fn the_graph_has_a_box_for_each_stage_that_leads_to_its_recipe() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    assert_eq!(count(&mut browser, "#provenance .graph .node.ran"), 6);
    assert!(count(&mut browser, "#provenance .graph .edges path") >= 6);
    browser.eval("document.querySelector('.node[href=\"#stage-model\"]').dispatchEvent(new MouseEvent('click', {bubbles: true}))");
    browser.eval("new Promise((done) => setTimeout(done, 100))");
    let open = browser.eval("document.getElementById('stage-model').open");
    assert_eq!(open, true);
    let text = browser.eval("document.getElementById('stage-model').innerText");
    let text = text.as_str().expect("a text");
    for part in [
        "rounds",
        "flow explain ",
        "flow export ",
        "b3:",
        "domain.features",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(browser.errors(), [""; 0]);
    picture(&mut browser, "#provenance .graph", "report-graph.png");
}

#[test]
fn actions_and_their_costs_are_drawn_over_time() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    for (width, dark) in [(1280, false), (380, true)] {
        browser.dark(dark);
        browser.resize(width, 900);
        let bars = count(&mut browser, "[data-figure=actions] [aria-label=bar] rect");
        assert!(bars >= 10, "{bars} bars at {width} pixels");
        assert!(count(&mut browser, "[data-figure=cpu] [aria-label=area] path") >= 3);
        // Nothing but what scrolls by itself is wider than the window.
        let over = browser.eval("document.documentElement.scrollWidth - innerWidth");
        assert!(
            over.as_i64() <= Some(0),
            "{over} pixels too wide at {width}"
        );
    }
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn a_link_to_a_stage_opens_it() {
    let Some(mut browser) = open_demo() else {
        return;
    };
    let page = crate::demo_report();
    browser.go(&format!("file://{}#stage-folds", page.display()));
    let open = browser.eval("document.getElementById('stage-folds').open");
    assert_eq!(open, true);
    assert_eq!(browser.errors(), [""; 0]);
}

/// The report of a second run, in which all actions are hits.
fn report_of_hits(project: &Project) -> PathBuf {
    for _ in 0..2 {
        project.flow(&["run", "p.toml", "-q"]).with(0);
    }
    project.flow(&["report", "last", "-o", "hits.html"]).with(0);
    project.path("hits.html")
}

#[test]
fn a_run_of_hits_says_that_nothing_ran() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let project = Project::with(&PIPELINE.replace("labelled = 400", "labelled = 160"));
    browser.open(&report_of_hits(&project));
    let text = browser.eval("document.getElementById('provenance').innerText");
    assert!(
        text.as_str().expect("a text").contains("Nothing ran"),
        "{text}"
    );
    assert_eq!(count(&mut browser, "#provenance .graph .node.hit"), 6);
    assert_eq!(count(&mut browser, "#provenance svg [aria-label=bar]"), 0);
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn a_failed_run_shows_where_it_failed() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let project = Project::with(
        "[stages.one]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"echo 1 > {out}\"]\noutputs = { out = \"a.txt\" }\n\
         [stages.two]\nuse = \"command\"\nrun = [\"false\"]\ninputs = { from = \"one\" }\noutputs = { out = \"b.txt\" }\n\
         [stages.three]\nuse = \"command\"\nrun = [\"true\"]\ninputs = { from = \"two\" }\noutputs = { out = \"c.txt\" }\n",
    );
    project.flow(&["run", "p.toml", "-q"]).with(1);
    project
        .flow(&["report", "last", "-o", "failed.html"])
        .with(0);
    browser.open(&project.path("failed.html"));
    for (verdict, stages) in [("ran", 1), ("failed", 1), ("skipped", 1)] {
        let selector = format!("#provenance .graph .node.{verdict}");
        assert_eq!(count(&mut browser, &selector), stages, "{verdict}");
    }
    assert_eq!(browser.errors(), [""; 0]);
}
