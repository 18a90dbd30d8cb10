//! Reports in a real browser: what is drawn, what keys do, what goes wrong. Without a Chromium the tests
//! skip, and say so.
//!
//! `UPDATE_DOCS=1 cargo test --test browser` also takes the pictures of `docs/pictures/`.

#![allow(clippy::print_stdout)] // a test that skips says so

mod chromium;
mod evaluation;
mod objects;
mod page;
mod provenance;
mod studies;

use std::path::PathBuf;
use std::sync::OnceLock;

use flow_testkit::Project;
use flow_testkit::files::repository;

use chromium::Browser;

/// A pipeline of physics features on a few hundred objects, which runs in seconds.
const PIPELINE: &str = r#"
[pipeline]
name = "demo"
seed = 42
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 400
unlabelled = 20
[stages.deredden]
use = "extinction"
inputs = { curves = "ingest" }
[stages.domain]
use = "domain"
inputs = { curves = "deredden" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
[stages.model]
use = "model"
inputs = { features = ["domain"], folds = "folds" }
target = "classes"
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
[metrics]
headline = "evaluate.f1"
"#;

/// A project that has run [`PIPELINE`]. All tests share it.
fn demo() -> &'static Project {
    static DEMO: OnceLock<Project> = OnceLock::new();
    DEMO.get_or_init(|| {
        let project = Project::with(PIPELINE);
        project.flow(&["run", "p.toml", "-q"]).with(0);
        project
    })
}

/// The report of [`demo`].
fn demo_report() -> PathBuf {
    static REPORT: OnceLock<PathBuf> = OnceLock::new();
    let report = REPORT.get_or_init(|| {
        let project = demo();
        project.flow(&["report", "last", "-o", "demo.html"]).with(0);
        project.path("demo.html")
    });
    report.clone()
}

/// A page of [`demo`]'s report in a browser, if there is one.
fn open_demo() -> Option<Browser> {
    let mut browser = Browser::start()?;
    browser.open(&demo_report());
    Some(browser)
}

/// Keeps a picture for the docs if the docs are to be updated. Fonts and rasterizers differ between
/// machines, so nothing compares it.
fn picture(browser: &mut Browser, selector: &str, name: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let png = browser.picture(Some(selector));
        let folder = repository().join("docs/pictures");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), png).expect("a picture");
    }
}
