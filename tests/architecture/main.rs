//! The folders of every crate use each other only as the tables in `ARCHITECTURE.md` allow.
//!
//! The test reads the tables themselves, so that they cannot be out of date. Each names the folders
//! (and single files) of one crate, and which others each of them may use. Four things fail: an arrow
//! that the table does not allow, a row for nothing, a folder without a row, and a circle between
//! folders or between files. A file may use its parent, and a parent its children; that alone is not a
//! circle.

mod sources;
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use sources::{Arrow, Sources};
use table::Table;

/// The crates with the heading of their table.
const CRATES: [(&str, &str); 5] = [
    ("cache/src", "## Folders of the cache"),
    ("engine/src", "## Folders of the engine"),
    ("stages/src", "## Folders of stages"),
    ("neural/src", "## Folders of the crate of networks"),
    ("src", "## Folders of the command line"),
];

#[test]
fn folders_use_each_other_as_architecture_md_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut wrong = Vec::new();
    for (dir, heading) in CRATES {
        let found = match Table::read(&page, heading) {
            Some(table) => violations(&Sources::read(&root.join(dir)), &table),
            None => vec![format!("ARCHITECTURE.md has no table `{heading}`")],
        };
        wrong.extend(found.into_iter().map(|what| format!("{dir}: {what}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn crates_use_only_those_to_their_left() {
    let order = [
        "flow-cache",
        "flow-engine",
        "flow-stages",
        "flow-neural",
        "flow",
    ];
    let manifests = ["cache", "engine", "stages", "neural", "."];
    for (at, dir) in manifests.iter().enumerate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(dir)
            .join("Cargo.toml");
        let manifest: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        for name in manifest["dependencies"].as_table().unwrap().keys() {
            let of = order.iter().position(|known| known == name);
            assert!(of.is_none_or(|of| of < at), "{} uses {name}", order[at]);
        }
    }
}

/// Says how the sources of a crate break its table.
fn violations(sources: &Sources, table: &Table) -> Vec<String> {
    let mut wrong = table.circle().into_iter().collect::<Vec<_>>();
    let rooms: BTreeSet<&str> = sources.files.iter().filter_map(|f| f.room()).collect();
    wrong.extend(
        table
            .rooms()
            .filter(|room| !rooms.contains(room))
            .map(|room| {
                format!("the table has a row `{room}`, and there is no such folder or file")
            }),
    );
    wrong.extend(
        rooms
            .iter()
            .filter(|room| !table.has(room))
            .map(|room| format!("the table has no row `{room}`")),
    );
    for arrow in &sources.arrows {
        let (Some(from), Some(to)) = (sources.room(arrow.from), sources.room(arrow.to)) else {
            continue;
        };
        if from != to && table.has(from) && !table.allows(from, to) {
            wrong.push(format!(
                "{} uses `{}`, and `{from}` may not use `{to}`",
                sources.files[arrow.from].path, arrow.path
            ));
        }
    }
    wrong.extend(circles(sources));
    wrong
}

/// Files that use each other in a circle. A file that uses its parent does not make one.
fn circles(sources: &Sources) -> Vec<String> {
    let counts = |arrow: &&Arrow| {
        arrow.from != arrow.to && !sources.files[arrow.to].is_above(&sources.files[arrow.from])
    };
    let edges = sources.arrows.iter().filter(counts);
    let edges = edges.map(|arrow| (arrow.from as u32, arrow.to as u32));
    let graph = DiGraph::<(), ()>::from_edges(edges);
    let circles = tarjan_scc(&graph)
        .into_iter()
        .filter(|group| group.len() > 1);
    circles
        .map(|group| {
            let mut paths: Vec<&str> = group
                .iter()
                .map(|f| &*sources.files[f.index()].path)
                .collect();
            paths.sort_unstable();
            format!("a circle of files: {}", paths.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod planted {
    //! The checks find what they are for, in small crates written for that purpose.

    use super::*;

    const PAGE: &str = "## Folders\n\n| folder | holds | may use |\n|---|---|---|\n\
                        | `low/` | x | - |\n| `high/` | y | low |\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let dir = flow_testkit::files::folder_with(files);
        let table = Table::read(PAGE, "## Folders").unwrap();
        violations(&Sources::read(dir.path()), &table)
    }

    fn with(low: &str, high: &str) -> Vec<String> {
        found(&[
            ("lib.rs", "mod high;\nmod low;"),
            ("low/mod.rs", "pub mod a;\nmod b;\npub use b::B;"),
            ("low/a.rs", low),
            ("low/b.rs", "pub struct B;"),
            ("high/mod.rs", high),
        ])
    }

    #[test]
    fn an_arrow_down_is_allowed() {
        assert_eq!(
            with("use super::B;", "use crate::low::{a, B};"),
            Vec::<String>::new()
        );
        assert_eq!(
            with("", "fn f() { crate::low::a::g() }"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_arrow_up_is_noticed_in_whatever_form() {
        let forms = [
            "use crate::high::X;",
            "use crate::{high::X};",
            "use crate::high as h;",
            "pub use crate::high::*;",
            "use super::super::high::X;",
            "fn f(x: &crate::high::X) {}",
            "fn f() { assert!(crate::high::yes()); }",
        ];
        for form in forms {
            let wrong = with(form, "");
            let told = wrong.iter().any(|w| w.contains("`low` may not use `high`"));
            assert!(told, "{form}: {wrong:?}");
        }
        assert_eq!(
            with("#[cfg(test)] mod tests { use crate::high::X; }", ""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_circle_of_files_is_noticed_behind_a_re_export_as_well() {
        let files = |b| {
            found(&[
                ("low/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;"),
                ("low/a.rs", "use super::B;\npub struct A;"),
                ("low/b.rs", b),
                ("high/mod.rs", ""),
            ])
        };
        for b in ["use super::a::A;", "use crate::low::A;", "use super::A;"] {
            let wrong = files(b);
            assert!(
                wrong.iter().any(|w| w.starts_with("a circle of files")),
                "{b}: {wrong:?}"
            );
        }
        assert_eq!(files("pub struct B;"), Vec::<String>::new());
    }

    #[test]
    fn rows_and_folders_belong_together() {
        let wrong = found(&[("low/mod.rs", ""), ("other.rs", "")]);
        assert!(
            wrong[0].contains("a row `high`") && wrong[1].contains("no row `other`"),
            "{wrong:?}"
        );
        let circle = PAGE.replace("| - |", "| high |");
        assert!(
            Table::read(&circle, "## Folders")
                .unwrap()
                .circle()
                .is_some()
        );
    }
}
