//! Runs every fenced block of a page in order: files are written, and commands run in one folder for
//! the page, with this `flow` on the path. A comment in the line before a fence says what is special:
//! - `<!-- file: PATH -->`: the block is that file;
//! - `<!-- exit 2 -->`: its commands end with that code;
//! - `<!-- not run: REASON -->`: the block is left alone, for one of the [`REASONS`].
//!
//! Pipelines get fewer objects, so that all of this takes seconds. Figures are not compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flow_testkit::files::{copy_tree, folder, read, script};
use flow_testkit::program::flow;
use flow_testkit::{Ended, Project};

use crate::{files, pages, root, write};

/// The reasons that may keep a block from being run.
const REASONS: [&str; 9] = [
    "it needs a server",
    "it needs data that is not in the repository",
    "it needs a cluster",
    "it installs packages of Python",
    "it measures, for minutes",
    "it builds this repository",
    "it shows several ways to write a line",
    "it shows a mistake",
    "a part of a file that a test compiles",
];

/// Values in pipelines that decide how long they take, and what they become here.
const SMALL: [(&str, &str); 10] = [
    ("labelled", "60"),
    ("positives", "20"),
    ("unlabelled", "20"),
    ("kernels", "20"),
    ("\"rocket.kernels\"", "[5, 10]"),
    ("rounds", "5"),
    ("\"model.rounds\"", "{ int = [2, 5] }"),
    ("trials", "3"),
    ("repeats", "1"),
    ("k", "3"),
];

/// A fenced block.
struct Fence {
    line: usize,
    language: String,
    /// What the comment before the fence says.
    mark: String,
    text: String,
}

impl Fence {
    fn mark(&self, what: &str) -> Option<&str> {
        self.mark.strip_prefix(what).map(str::trim)
    }
}

fn fences(page: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let (mut open, mut before) = (false, "");
    for (at, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(language), false) => {
                let mark = before
                    .strip_prefix("<!--")
                    .and_then(|m| m.strip_suffix("-->"));
                found.push(Fence {
                    line: at + 1,
                    language: language.to_owned(),
                    mark: mark.unwrap_or_default().trim().to_owned(),
                    text: String::new(),
                });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some(fence) = found.last_mut() {
                    fence.text.push_str(line);
                    fence.text.push('\n');
                }
            }
            (None, false) => {}
        }
        before = line;
    }
    found
}

/// A pipeline that takes only a moment.
fn small(text: &str) -> String {
    let line = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        match SMALL.iter().find(|(known, _)| *known == name) {
            Some((name, value)) => format!("{name} = {value}\n"),
            None if line.trim() == "format = \"demo\"" && !text.contains("\npositives") => {
                format!("{line}\npositives = 20\n")
            }
            // With so few objects nothing is significant, but some columns have to be left.
            None if line.trim() == "use = \"select\"" && !text.contains("\nfdr") => {
                format!("{line}\nfdr = 1.0\n")
            }
            None => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// Programs for the path: this `flow`, and a `cargo` that pretends to build it.
fn programs(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    std::os::unix::fs::symlink(flow(), folder.join("flow")).expect("a link");
    script(
        &folder.join("cargo"),
        "case \"$1 $2\" in\n'build --release') exit 0;;\n\
         'run --release') shift 3; exec flow \"$@\";;\nesac\necho \"cargo $*\" >&2; exit 1",
    );
}

/// The file that a page shows under this name.
pub fn file_of(page: &str, name: &str) -> String {
    let fences = fences(&read(&root().join(page)));
    let mut shown = fences
        .into_iter()
        .filter(|fence| fence.mark("file:") == Some(name));
    let file = shown
        .next()
        .unwrap_or_else(|| panic!("{page} does not show {name}"));
    file.text
}

/// Runs the blocks of a page.
fn run(page: &str) {
    let text = read(&root().join(page));
    let bin = folder();
    programs(bin.path());
    let project = Project::with_pipelines();
    project.write("flow.toml", "");
    for pipeline in files(&project.root, "toml") {
        write(&pipeline, small(&read(&pipeline)));
    }
    let examples = "docs/examples";
    copy_tree(&root().join(examples), &project.path(examples));
    let old = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{old}", bin.path().display());
    for fence in fences(&text) {
        let place = format!("{page}:{}", fence.line);
        if fence.mark("not run:").is_some() {
            continue;
        }
        if let Some(name) = fence.mark("file:") {
            let whole = match name.ends_with(".toml") {
                true => small(&fence.text),
                false => fence.text.clone(),
            };
            project.write(name, whole);
            continue;
        }
        match fence.language.as_str() {
            "sh" | "console" => run_shell(&project, &path, &fence, &place),
            // Another test loads whole pipelines.
            "toml" => {
                let read = toml::from_str::<toml::Table>(&fence.text);
                assert!(read.is_ok(), "{place}: {}", read.unwrap_err());
            }
            "json" => {
                let read = serde_json::from_str::<serde_json::Value>(&fence.text);
                assert!(read.is_ok(), "{place}: {}", read.unwrap_err());
            }
            "text" => {}
            other => panic!("{place}: what is to be done with `{other}`?"),
        }
    }
}

fn run_shell(project: &Project, path: &str, fence: &Fence, place: &str) {
    let code = fence.mark("exit");
    let wanted = code.map_or(0, |code| code.parse().expect("an exit code"));
    let mut shell = project.shell(&format!("set -eu\n{}", fence.text));
    let ended = Ended::run(shell.env("PATH", path));
    let (found, said) = (ended.code, ended.all());
    assert_eq!(found, wanted, "{place}:\n{}\n{said}", fence.text);
}

macro_rules! pages_that_run {
    ($($test:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page,)*];
        $(
            #[test]
            fn $test() {
                run($page);
            }
        )*
    };
}

pages_that_run! {
    readme: "README.md",
    ablation: "docs/ablation.md",
    after_the_model: "docs/after-the-model.md",
    benchmarks: "docs/benchmarks.md",
    cache: "docs/cache.md",
    ci: "docs/ci.md",
    cluster: "docs/cluster.md",
    commands: "docs/commands.md",
    data: "docs/data.md",
    errors: "docs/errors.md",
    estimators: "docs/estimators.md",
    events: "docs/events.md",
    explain: "docs/explain.md",
    best: "docs/best.md",
    fits: "docs/fits.md",
    gp: "docs/gp.md",
    learners: "docs/learners.md",
    install: "docs/install.md",
    light_curve_statistics: "docs/light-curve-statistics.md",
    photo_z: "docs/photo-z.md",
    metrics: "docs/metrics.md",
    networks: "docs/networks.md",
    novelty: "docs/novelty.md",
    objects: "docs/objects.md",
    reference: "docs/reference.md",
    report: "docs/report.md",
    results: "docs/results.md",
    semi_supervised: "docs/semi-supervised.md",
    sequences: "docs/sequences.md",
    shared_cache: "docs/shared-cache.md",
    statistics: "docs/statistics.md",
    transforms: "docs/transforms.md",
    tuning: "docs/tuning.md",
    tsfresh: "docs/tsfresh.md",
    tutorial: "docs/tutorial.md",
    variability: "docs/variability.md",
    writing_a_stage: "docs/writing-a-stage.md",
}

#[test]
fn no_page_and_no_reason_is_forgotten() {
    let mut reasons = BTreeSet::new();
    for (page, text) in pages() {
        let fences = fences(&text);
        let shown = page == "README.md" || page.starts_with("docs/");
        if shown && !fences.is_empty() {
            assert!(PAGES.contains(&&*page), "{page} has no test");
        }
        for fence in &fences {
            let place = format!("{page}:{}", fence.line);
            if let Some(reason) = fence.mark("not run:") {
                assert!(REASONS.contains(&reason), "{place}: {reason}");
                reasons.insert(reason.to_owned());
            }
        }
    }
    let known: BTreeSet<String> = REASONS.map(str::to_owned).into();
    assert_eq!(reasons, known, "a reason that no block has");
    for page in PAGES {
        assert!(root().join(page).is_file(), "{page} is gone");
    }
}
