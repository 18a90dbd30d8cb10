//! A table of folders in `ARCHITECTURE.md`.

use std::collections::BTreeMap;

use petgraph::algo::toposort;
use petgraph::graph::DiGraph;

/// What each folder, or single file, may use, by name.
pub struct Table {
    rows: BTreeMap<String, Vec<String>>,
}

impl Table {
    /// The table under `heading`, whose columns are `folder | holds | may use`.
    pub fn read(page: &str, heading: &str) -> Option<Self> {
        let lines = page.lines().skip_while(|line| *line != heading).skip(1);
        let lines = lines.take_while(|line| !line.starts_with("## "));
        let rows = lines.filter(|line| line.starts_with("| `")).map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [name, _, uses] = cells[..] else {
                panic!("a row of {heading} has not three columns: {line}");
            };
            let names = uses.split(',').map(plain).filter(|name| *name != "-");
            (plain(name).to_owned(), names.map(str::to_owned).collect())
        });
        let rows: BTreeMap<_, _> = rows.collect();
        (!rows.is_empty()).then_some(Self { rows })
    }

    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    pub fn has(&self, room: &str) -> bool {
        self.rows.contains_key(room)
    }

    pub fn allows(&self, from: &str, to: &str) -> bool {
        self.rows
            .get(from)
            .is_some_and(|uses| uses.iter().any(|name| name == to))
    }

    /// What is wrong with the table itself: folders that it allows to use each other, names without a
    /// row.
    pub fn circle(&self) -> Option<String> {
        let names: Vec<&str> = self.rooms().collect();
        let mut edges = Vec::new();
        for (from, uses) in self.rows.values().enumerate() {
            for name in uses {
                match names.iter().position(|known| known == name) {
                    Some(to) => edges.push((from as u32, to as u32)),
                    None => return Some(format!("`{name}` may be used, and has no row")),
                }
            }
        }
        let circle = toposort(&DiGraph::<(), ()>::from_edges(edges), None).err()?;
        let name = names[circle.node_id().index()];
        Some(format!("the table has a circle at `{name}`"))
    }
}

/// The name of a folder or file in the code: `table/` and `table.rs` are the module `table`.
fn plain(cell: &str) -> &str {
    let name = cell.trim().trim_matches('`');
    name.strip_suffix('/')
        .or_else(|| name.strip_suffix(".rs"))
        .unwrap_or(name)
}
