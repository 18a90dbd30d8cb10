//! What very many short actions cost: a run of them, and a run with nothing to do.
//!
//! ```sh
//! cargo run --release -p flow-engine --example many_actions -- FOLDER SHARDS...
//! ```
//!
//! Each shard has two actions, which make or read a few bytes, and one action reads them all. The kinds do next to
//! nothing, so the figures are those of the engine and the store. Each run is a process of its own, because the most
//! memory that a process ever had cannot be reset.

#![allow(clippy::print_stdout, reason = "prints its table")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use flow_cache::Value;
use flow_engine::base::meter;
use flow_engine::kind::{Layout, ParamSpec, Registry, Scope, Shard, Step};
use flow_testkit::kinds::FakeKind;
use flow_testkit::{Project, local};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(folder) = args.next().map(PathBuf::from) else {
        println!("usage: many_actions FOLDER SHARDS...");
        return ExitCode::from(2);
    };
    let sizes = Vec::from_iter(args);
    if let [word, shards] = sizes.as_slice()
        && word == "run"
    {
        run(&folder, shards);
        return ExitCode::SUCCESS;
    }
    println!(
        "| actions | | CPU s | wall s | peak memory, MB | files | records, MB |\n|---:|---|---:|---:|---:|---:|---:|"
    );
    for shards in &sizes {
        let home = folder.join(shards);
        for _ in 0..2 {
            let program = std::env::current_exe().expect("this program has a path");
            let mut run = Command::new(program);
            let ended = run.arg(&home).args(["run", shards]).status();
            assert!(ended.expect("it starts").success());
        }
    }
    ExitCode::SUCCESS
}

/// Runs the pipeline, and prints a line of the table.
fn run(home: &Path, shards: &str) {
    let project = Project::at(home);
    project.write("flow.toml", "");
    let stages = "[stages.list]\nuse = \"list\"\n\
                  [stages.copies]\nuse = \"copy\"\ninputs = { rows = \"list\" }\n\
                  [stages.all]\nuse = \"join\"\ninputs = { rows = \"copies\" }\n";
    project.write("p.toml", stages);
    let what = match home.join(".flow/store").exists() {
        true => "nothing to do",
        false => "first run",
    };
    let (started, cpu) = (Instant::now(), meter::process_cpu());
    let set = format!("list.n={shards}");
    let pipeline = local::sound(&project, "p.toml", &[&set], &registry());
    let ran = local::run(&pipeline, &home.join(".flow"), 2).ok();
    let (cpu, wall) = (meter::process_cpu() - cpu, started.elapsed().as_secs_f64());
    let memory = meter::peak_rss() as f64 / 1e6;
    let (files, _) = size(ran.store.dir());
    let (_, records) = size(&ran.store.dir().join("records"));
    let (actions, records) = (ran.plan.len(), records as f64 / 1e6);
    println!(
        "| {actions} | {what} | {cpu:.2} | {wall:.1} | {memory:.0} | {files} | {records:.0} |"
    );
}

/// The number of files below a folder, and their bytes.
fn size(folder: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let meta = entry.metadata().expect("an entry");
        let (files, bytes) = match meta.is_dir() {
            true => size(&entry.path()),
            false => (1, meta.len()),
        };
        sum = (sum.0 + files, sum.1 + bytes);
    }
    sum
}

/// `list` makes a line for each shard, `copy` copies it, and `join` counts the copies.
fn registry() -> Registry {
    let list = FakeKind::new("list", vec![Step::new("make", Scope::Shard).writes("rows")])
        .takes(ParamSpec::int("n", 1, 1, 100_000_000, "Shards.").unkeyed())
        .laid_out(|params| {
            let shards = (0..params.read::<i64>("n")).map(|index| Shard {
                label: index.to_string(),
                item: Value::Int(index),
                files: Vec::new(),
            });
            Ok(Layout {
                shards: shards.collect(),
                items: true,
                ..Layout::default()
            })
        })
        .runs(|action| {
            let label = action.shard.map_or("", |shard| &shard.label).to_owned();
            action.write("rows", label.as_bytes(), Vec::new())
        });
    let step = |name, scope| Step::new(name, scope).port("rows").writes("rows");
    let copy = FakeKind::new("copy", vec![step("copy", Scope::Shard)]).runs(|action| {
        let text = std::fs::read_to_string(&action.one("rows")?.path)?;
        action.write("rows", format!("copy of {text}").as_bytes(), Vec::new())
    });
    let join = FakeKind::new("join", vec![step("join", Scope::Whole)]).runs(|action| {
        let parts = action.input("rows").len().to_string();
        action.write("rows", parts.as_bytes(), Vec::new())
    });
    let mut registry = Registry::default();
    registry.add(list.gives("rows", "rows", 0));
    for kind in [copy, join] {
        registry.add(kind.one("rows", "rows").gives("rows", "rows", 0));
    }
    registry
}
