//! Compares what pages say by hand with the program: options, environment variables, codes, defaults
//! and the fields of recipes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flow_testkit::{Project, local};
use serde_json::Value as Json;

use crate::{blocks, files, pages, read, registry, root};

/// The text of all source files of the product.
fn sources() -> String {
    let folders = ["src", "engine/src", "stages/src", "neural/src", "cache/src"];
    let sources = folders.iter().flat_map(|f| files(&root().join(f), "rs"));
    let sources = sources.chain([root().join("build.rs")]);
    sources.map(|path| read(&path)).collect()
}

/// What users read: README.md and docs/.
fn pages_for_users() -> Vec<(String, String)> {
    let mut pages = pages();
    pages.retain(|(page, _)| page == "README.md" || page.starts_with("docs/"));
    pages
}

/// What a page has in `code`, outside fences.
fn code_spans(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut spans = Vec::new();
    for line in page.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}

/// The words of a text that begin with `start` and continue with letters that `is_part` accepts.
fn words<'t>(text: &'t str, start: &str, is_part: fn(char) -> bool) -> BTreeSet<&'t str> {
    let word = |(at, _): (usize, &str)| {
        let end = text[at + start.len()..].find(|c| !is_part(c));
        &text[at..end.map_or(text.len(), |end| at + start.len() + end)]
    };
    text.match_indices(start).map(word).collect()
}

fn flow(args: &[&str], folder: &Path) -> String {
    Project::at(folder).flow(args).with(0).stdout
}

/// The help of a command and of those below it.
fn help(command: &[&str]) -> String {
    let mut text = flow(&[command, &["--help"]].concat(), root());
    let below = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let below = below.take_while(|line| !line.is_empty());
    let names = below.filter_map(|line| line.split_whitespace().next());
    let names: Vec<String> = names.map(str::to_owned).collect();
    for name in &names {
        text.push_str(&help(&[command, &[name.as_str()]].concat()));
    }
    text
}

#[test]
fn options_in_pages_exist() {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let help = help(&[]);
    let known = words(&help, "--", is_part);
    assert!(known.len() > 30, "are the options found? {known:?}");
    for (page, text) in pages_for_users() {
        // That page has options of other programs.
        for span in code_spans(&text)
            .into_iter()
            .filter(|_| page != "docs/benchmarks.md")
        {
            let shown = span.starts_with("--") || span.starts_with("flow ");
            for option in words(span, "--", is_part).into_iter().filter(|_| shown) {
                assert!(known.contains(option), "`{option}` of {page} is in no help");
            }
        }
    }
}

#[test]
fn environment_variables_in_pages_and_code_are_the_same() {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let sources = sources();
    let read = words(&sources, "\"FLOW_", is_part);
    let read: BTreeSet<&str> = read.iter().map(|name| &name[1..]).collect();
    let pages: String = pages_for_users()
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    let told = words(&pages, "FLOW_", is_part);
    assert_eq!(read, told, "variables of the code, and those of the pages");
}

#[test]
fn every_section_of_errors_has_a_code() {
    let page = read(&root().join("docs/errors.md"));
    let sources = sources();
    let sections = page.lines().filter_map(|line| line.strip_prefix("### `"));
    for code in sections.filter_map(|line| line.split('`').next()) {
        let known = sources.contains(&format!("\"{code}\"")) || code.starts_with("flow::bug");
        assert!(known, "no code is `{code}`");
    }
}

#[test]
fn every_page_is_in_the_index() {
    let index = read(&root().join("README.md"));
    for (page, _) in pages() {
        let linked = index.contains(&format!("]({page})"));
        assert!(
            linked || page == "README.md" || page == "CHANGELOG.md",
            "README.md does not link {page}"
        );
    }
}

/// All words that a part of a JSON Schema allows as a text.
fn constants(schema: &Json, found: &mut BTreeSet<String>) {
    match schema {
        Json::Object(fields) => {
            let one = fields.get("const").into_iter();
            let several = fields.get("enum").and_then(Json::as_array);
            let words = one.chain(several.into_iter().flatten());
            found.extend(words.filter_map(Json::as_str).map(str::to_owned));
            fields.values().for_each(|value| constants(value, found));
        }
        Json::Array(values) => values.iter().for_each(|value| constants(value, found)),
        _ => {}
    }
}

#[test]
fn events_and_reasons_in_pages_are_those_of_the_schema() {
    let schema = flow(&["schema", "--events"], root());
    let schema: Json = serde_json::from_str(&schema).expect("JSON");
    let (mut known, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    constants(&schema, &mut known);
    constants(&schema["$defs"]["ReasonWord"], &mut reasons);
    let ends: BTreeSet<&str> = known.iter().filter_map(|e| e.split('-').nth(1)).collect();
    let plain = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut found = 0;
    for (page, text) in pages() {
        for span in code_spans(&text) {
            let end = span.split('-').nth(1).filter(|_| span.chars().all(plain));
            if end.is_some_and(|end| ends.contains(end)) {
                found += 1;
                assert!(known.contains(span), "{page} names the event `{span}`");
            }
        }
    }
    assert!(found > 5, "only {found} events: are they found?");

    let page = read(&root().join("docs/explain.md"));
    let (_, table) = page.split_once("(JSON: `why`)").expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let told = rows.filter_map(|line| line.split('`').nth(1));
    let told: BTreeSet<String> = told.map(str::to_owned).collect();
    assert_eq!(
        told, reasons,
        "reasons of docs/explain.md, and those there are"
    );
}

/// What the first block of TOML on a page says after `default: `, by key.
fn defaults(page: &str) -> BTreeMap<String, String> {
    let page = read(&root().join(page));
    let (_, block) = blocks(&page, "toml").swap_remove(0);
    let default = |line: &str| {
        let (key, value) = line.split_once(" = ")?;
        let (_, default) = value.split_once("default: ")?;
        let default = default.split([';', ',']).next()?;
        Some((key.to_owned(), default.to_owned()))
    };
    block.lines().filter_map(default).collect()
}

/// The pipeline here sets only what has no default.
#[test]
fn defaults_are_those_of_the_pages() {
    let (general, told) = (defaults("docs/reference.md"), defaults("docs/tuning.md"));
    let project = Project::with(
        "[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\n\
         [tune.space]\n\"ingest.labelled\" = { int = [100, 200] }\n",
    );
    let pipeline = local::sound(&project, "p.toml", &[], &registry());
    assert_eq!(general["name"], "the name of the file without .toml");
    assert_eq!(pipeline.name, "p");
    let seed = pipeline.stages[0].pipeline_seed;
    assert_eq!(general["seed"], seed.to_string());
    let study = pipeline.tune.expect("a study");
    assert_eq!((study.trials, &*told["trials"]), (None, "20"));
    assert_eq!((study.seed, &*told["seed"]), (None, "the pipeline's"));
    assert_eq!(told["sampler"], study.sampler.name());
    assert_eq!(told["parallel"], study.parallel.to_string());
    assert_eq!(told["prune"], study.prune.to_string());
    assert_eq!(told["nested"], study.nested.to_string());
    assert!(study.objective.is_none() && told["objective"].starts_with("pr_auc"));
}

/// A pipeline whose recipes have every field that exists.
const EVERY_FIELD: &str = r#"
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 40
positives = 10
unlabelled = 0
[stages.mine]
use = "table"
path = "mine.csv"
[stages.program]
use = "command"
run = ["sh", "-c", "echo > {out}"]
outputs = { out = "out.txt" }
[stages.domain]
use = "domain"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 2
[stages.model]
use = "model"
inputs = { features = "domain", folds = "folds" }
rounds = 2
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
"#;

#[test]
fn the_fields_of_recipes_are_those_of_the_table() {
    let page = read(&root().join("docs/cache.md"));
    let (_, table) = page.split_once("| field |").expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|line| line.split('|').nth(1));
    let told: BTreeSet<String> = cells.flat_map(code_spans).map(str::to_owned).collect();

    let project = Project::with(EVERY_FIELD);
    project.write("mine.csv", "object_id,x\na,1\nb,2\n");
    project.flow(&["run", "p.toml", "-q"]).with(0);
    let mut fields = BTreeSet::new();
    for stage in ["ingest", "mine", "program", "domain", "model", "evaluate"] {
        let told = project.flow(&["explain", "p.toml", stage, "--all"]).with(0);
        for line in told.stdout.lines() {
            if let Some((path, _)) = line.trim().split_once(" = ") {
                let field = path.split(['.', '[']).next().unwrap_or_default();
                // The key is made from the recipe.
                fields.extend((field != "key").then(|| field.to_owned()));
            }
        }
    }
    assert_eq!(fields, told, "fields of recipes, and those of the table");
}

/// Folders of the repository in which pages name files.
const FOLDERS: [&str; 12] = [
    ".ci/",
    "benches/",
    "cache/",
    "docs/",
    "engine/",
    "fuzz/",
    "neural/",
    "pipelines/",
    "src/",
    "stages/",
    "testkit/",
    "tests/",
];

#[test]
fn paths_in_pages_exist() {
    let is_part = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let mut found = 0;
    for (page, text) in pages() {
        // These are files that the page itself makes.
        let made = text.split("<!-- file: ").skip(1);
        let made: Vec<&str> = made.filter_map(|rest| rest.split(" -->").next()).collect();
        for path in text.split(|c| !is_part(c)) {
            let named = FOLDERS.iter().any(|folder| path.starts_with(folder));
            let made = made.contains(&path) || text.contains(&format!("--apply {path}"));
            if named && !made {
                found += 1;
                let there = root().join(path.trim_end_matches('.')).exists();
                assert!(there, "{page} names {path}, which does not exist");
            }
        }
    }
    assert!(found > 100, "only {found} paths: are they found?");
}
