//! What pages copy from the code: whole pages, and blocks between `<!-- generated: NAME -->` and `<!--
//! end -->`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flow_neural::kinds;
use flow_stages::features::columns::markdown;
use flow_stages::features::domain::catalogue_markdown;
use flow_stages::features::parametric::columns_markdown;
use flow_stages::features::{drw, gp, lomb_scargle, statistics, tsfresh};

use crate::{events, files, pages, read, root, write};

/// In `docs/reference.md`, what follows this line is generated.
const GENERATED: &str = "<!-- generated: UPDATE_DOCS=1 cargo test --test docs -->\n";

/// How a generated block of a page begins and ends.
const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// Writes the page if asked to, and compares it with what it should be.
fn is_up_to_date(path: &Path, wanted: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        write(path, wanted);
    }
    let text = read(path);
    assert!(
        text == wanted,
        "{} is out of date: UPDATE_DOCS=1 cargo test --test docs",
        path.display()
    );
}

#[test]
fn generated_pages_are_what_the_code_generates() {
    let reference = root().join("docs/reference.md");
    let text = fs::read_to_string(&reference).expect("docs/reference.md");
    let (by_hand, _) = text
        .split_once(GENERATED)
        .expect("docs/reference.md has the mark");
    let by_hand = with_blocks("docs/reference.md", by_hand);
    let kinds = flow_engine::kind::reference::all(&kinds::registry());
    is_up_to_date(&reference, &format!("{by_hand}{GENERATED}\n{kinds}"));
    let bands = ["u", "g", "r", "i", "z", "y"];
    is_up_to_date(
        &root().join("docs/features.md"),
        &catalogue_markdown(&bands),
    );
    is_up_to_date(
        &root().join("docs/events.schema.json"),
        &events::schema_text(),
    );
}

#[test]
fn generated_blocks_are_what_the_code_says() {
    let mut found = BTreeSet::new();
    for (page, text) in pages() {
        let has_blocks = names(&text).next().is_some();
        found.extend(names(&text).map(str::to_owned));
        // Another test writes that page.
        if has_blocks && page != "docs/reference.md" {
            is_up_to_date(&root().join(&page), &with_blocks(&page, &text));
        }
    }
    let known: BTreeSet<String> = blocks().into_keys().map(str::to_owned).collect();
    assert_eq!(found, known, "blocks that pages have, and those there are");
}

/// The names of the generated blocks of a page.
fn names(page: &str) -> impl Iterator<Item = &str> {
    let marks = page.lines().filter(|line| *line != GENERATED.trim_end());
    marks.filter_map(|line| line.strip_prefix(BEGIN)?.strip_suffix(" -->"))
}

/// A page with its blocks as they should be.
fn with_blocks(page: &str, text: &str) -> String {
    let blocks = blocks();
    let mut whole = text.to_owned();
    for name in names(text) {
        let mark = format!("{BEGIN}{name} -->\n");
        let block = blocks.get(name);
        let block = block.unwrap_or_else(|| panic!("{page} has an unknown block `{name}`"));
        let (before, rest) = whole.split_once(&mark).expect("the mark");
        let after = rest.split_once(END).map(|(_, after)| after);
        let after = after.unwrap_or_else(|| panic!("the block `{name}` of {page} has no end"));
        whole = format!("{before}{mark}{block}{END}{after}");
    }
    whole
}

/// All blocks by name.
fn blocks() -> BTreeMap<&'static str, String> {
    let keys = module_docs("keys/mod.rs");
    let store = module_docs("cache/src/lib.rs");
    let help = help();
    BTreeMap::from([
        ("the fits", columns_markdown()),
        ("the statistics", statistics::markdown()),
        ("the recipe", between(&keys, "| field |", "#")),
        ("the columns of drw", markdown(&drw::COLUMNS)),
        (
            "the columns of lomb_scargle",
            markdown(&lomb_scargle::COLUMNS),
        ),
        ("the calculators of tsfresh", tsfresh::catalogue::markdown()),
        ("the events", events::reference()),
        (
            "the features of gp",
            gp::catalogue_markdown(&["u", "g", "r", "i", "z", "y"]),
        ),
        ("the store", between(&store, "```text", "A process that")),
        ("the commit protocol", between(&store, "1. ", "#")),
        (
            "exit codes",
            table(&help, "Exit codes:", ["exit code", "means"]),
        ),
        (
            "environment variables",
            table(&help, "Environment:", ["variable", "is"]),
        ),
    ])
}

/// The documentation at the head of a source file, which is named by the end of its path.
fn module_docs(path: &str) -> String {
    let folders = ["cache/src", "engine/src"];
    let sources = folders.map(|folder| files(&root().join(folder), "rs"));
    let found: Vec<PathBuf> = sources.into_iter().flatten().collect();
    let file = found.iter().find(|file| file.ends_with(path));
    let text = fs::read_to_string(file.expect("the source file")).expect("a source file");
    let docs = text.lines().map_while(|line| line.strip_prefix("//!"));
    let docs = docs.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    docs.map(|line| format!("{line}\n")).collect()
}

/// The lines from the one that begins with `from` up to the one that begins with `to`, or to the end,
/// without empty lines around them.
fn between(text: &str, from: &str, to: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with(from));
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with(to)).collect();
    assert!(!lines.is_empty(), "nothing begins with `{from}`");
    format!("{}\n", lines.join("\n").trim_end())
}

/// A section of the help as a table of two columns.
fn table(help: &str, section: &str, header: [&str; 2]) -> String {
    let [first, second] = header;
    let lines = help.lines().skip_while(|line| *line != section).skip(1);
    let row = |line: &str| {
        let (name, text) = line.trim().split_once("  ").expect("two columns");
        format!("| `{name}` | {} |\n", text.trim())
    };
    let rows: String = lines.take_while(|line| !line.is_empty()).map(row).collect();
    format!("| {first} | {second} |\n|---|---|\n{rows}")
}

fn help() -> String {
    let mut flow = Command::new(env!("CARGO_BIN_EXE_flow"));
    let output = flow.arg("--help").output().expect("flow starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}
