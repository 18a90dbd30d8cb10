//! The documentation says what the code does: pipelines in it load, links lead somewhere, and codes and
//! pipelines are described.
//!
//! - `fences` runs every fenced block of every page;
//! - `generated` holds pages and tables against the code that they come from, and
//!   `UPDATE_DOCS=1 cargo test --test docs` writes them;
//! - `facts` compares what pages say by hand with the program;
//! - `schedulers` runs the scripts of the page on clusters on what schedulers print;
//! - `words` holds pages to the glossary.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;

use flow_engine::Registry;
use flow_neural::kinds;
use flow_testkit::files::{files_with as files, read, repository as root, write};
use flow_testkit::program::{flow, plain};
use flow_testkit::{Ended, Project, local};

mod events;
mod facts;
mod fences;
mod generated;
#[path = "../../docs/examples/quality_cut.rs"]
mod quality_cut;
mod schedulers;
mod words;

/// Files that pipelines in the documentation read. They only have to exist.
const STAND_INS: [&str; 10] = [
    "data/mallorn/train_log.csv",
    "data/mallorn/test_log.csv",
    "data/mallorn/split_01/train_full_lightcurves.csv",
    "data/my_survey/objects.csv",
    "data/my_survey/objects.parquet",
    "data/my_survey/curves.parquet",
    "data/my_survey/lightcurves_1.csv",
    "data/my_survey/features.parquet",
    "scripts/clean.py",
    "out/model.json",
];

/// Every page: its path from the root, and its text.
fn pages() -> Vec<(String, String)> {
    let mut pages = files(&root().join("docs"), "md");
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        pages.push(root().join(name));
    }
    let page = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root");
        let text = read(&path);
        (name.to_string_lossy().into_owned(), text)
    };
    pages.into_iter().map(page).collect()
}

/// The fenced blocks of a language, each with the number of its first line.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    let mut other = false;
    for (at, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some("") if other => other = false,
            Some("") => blocks.extend(block.take()),
            Some(word) if word == language => block = Some((at + 2, String::new())),
            Some(_) => other = true,
            None => {
                if let Some((_, text)) = &mut block {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    blocks
}

/// All kinds, and the one that `docs/writing-a-stage.md` adds.
fn registry() -> Registry {
    let mut registry = kinds::registry();
    registry.add(quality_cut::QualityCut);
    registry
}

#[test]
fn pipelines_in_the_documentation_load() {
    let project = Project::with_pipelines();
    for name in STAND_INS {
        project.write(name, "");
    }
    let registry = registry();
    let mut tried = 0;
    for (page, text) in pages() {
        for (line, block) in blocks(&text, "toml") {
            if !(block.contains("[pipeline]") && block.contains("[stages.")) {
                continue;
            }
            tried += 1;
            let example = "pipelines/example.toml";
            project.write(example, &block);
            if let Err(diags) = local::load(&project, example, &[], &registry) {
                let diags: Vec<_> = diags
                    .iter()
                    .map(|d| format!("{}: {}", d.code, d.message))
                    .collect();
                panic!("{page}:{line}:\n{}", diags.join("\n"));
            }
        }
    }
    assert!(
        tried >= 4,
        "only {tried} pipelines in the documentation: are they found?"
    );
}

#[test]
fn every_pipeline_is_described() {
    let pages = pages();
    for pipeline in files(&root().join("pipelines"), "toml") {
        let name = pipeline.strip_prefix(root()).expect("below the root");
        let name = name.to_string_lossy();
        let known = pages
            .iter()
            .any(|(page, text)| page != "CHANGELOG.md" && text.contains(&*name));
        assert!(known, "neither README.md nor docs/ mention {name}");
    }
}

#[test]
fn every_code_has_a_section() {
    let page = read(&root().join("docs/errors.md"));
    let sections: HashSet<&str> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect();
    let mut codes = BTreeSet::new();
    for folder in ["src", "engine/src", "stages/src", "neural/src"] {
        for path in files(&root().join(folder), "rs") {
            let text = read(&path);
            let code = |piece: &str| -> Option<String> {
                let code = piece.split('"').next()?;
                let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c == ':';
                let sound = code.chars().all(plain) && code.matches("::").count() == 1;
                sound.then(|| format!("flow::{code}"))
            };
            codes.extend(text.split("\"flow::").skip(1).filter_map(code));
        }
    }
    assert!(
        codes.len() > 50,
        "only {} codes: are they found?",
        codes.len()
    );
    // All bugs share one section.
    let missing: Vec<_> = codes
        .iter()
        .filter(|code| !code.starts_with("flow::bug::") && !sections.contains(code.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/errors.md has no section for {missing:#?}"
    );
}

/// The commands of `flow` in a text, each as its words. A line that ends in a backslash continues.
fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let command = |line: &str| -> Option<Vec<String>> {
        let line = line.trim_start_matches(['-', ' ']);
        let line = line.strip_prefix("run: ").unwrap_or(line);
        let words = line.strip_prefix("flow ")?.split_whitespace();
        let words = words.take_while(|word| !word.starts_with(['#', '|', '>', '&']));
        Some(words.map(str::to_owned).collect())
    };
    text.lines().filter_map(command).collect()
}

/// Commands that are only shown for people to copy: their subcommands and options exist.
#[test]
fn commands_of_the_workflow_exist() {
    let workflow = fs::read_to_string(root().join("docs/examples/github-actions.yml"));
    let page = read(&root().join("docs/ci.md"));
    let shared = read(&root().join("docs/shared-cache.md"));
    let workflow = workflow.expect("the workflow");
    let mut found = commands(&workflow);
    assert_eq!(found.len(), 3, "{found:?}");
    for (_, block) in blocks(&shared, "yaml") {
        found.extend(commands(&block));
    }
    assert_eq!(found.len(), 4, "{found:?}");
    for (_, block) in blocks(&page, "sh") {
        found.extend(commands(&block));
    }
    assert!(found.len() >= 6, "{found:?}");
    for words in found {
        let subcommands = words
            .iter()
            .take_while(|w| w.chars().all(char::is_lowercase));
        let subcommands: Vec<&String> = subcommands.collect();
        assert!(!subcommands.is_empty(), "{words:?}");
        let mut help = plain(flow());
        let help = Ended::run(help.args(&subcommands).arg("--help"));
        let help = help.with(0).stdout;
        let known: HashSet<&str> = help
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .collect();
        for word in words.iter().filter(|word| word.starts_with("--")) {
            let option = word.split('=').next().unwrap_or_default();
            assert!(
                known.contains(option),
                "`{option}` of {words:?} is in no help"
            );
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for (page, text) in pages() {
        let folder = root().join(&page);
        let folder = folder.parent().expect("a folder");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            let inside = !path.is_empty() && !path.contains("://");
            assert!(
                !inside || folder.join(path).exists(),
                "{page} links to {link}"
            );
        }
    }
}

#[test]
fn the_example_of_a_kind_is_the_one_in_its_page_and_runs() {
    let page = read(&root().join("docs/writing-a-stage.md"));
    let code = read(&root().join("docs/examples/quality_cut.rs"));
    assert!(
        blocks(&page, "rust")
            .iter()
            .any(|(_, block)| *block == code),
        "docs/writing-a-stage.md does not show docs/examples/quality_cut.rs"
    );

    let project = Project::with(
        "[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\nlabelled = 30\npositives = 3\nunlabelled = 0\n\
         [stages.cut]\nuse = \"quality_cut\"\ninputs = { curves = \"ingest\" }\nmax_err = 2.0\n\
         [stages.domain]\nuse = \"domain\"\ninputs = { curves = \"cut\" }\n",
    );
    let pipeline = local::sound(&project, "p.toml", &[], &registry());
    local::run(&pipeline, &project.root, 2).ok();
}
