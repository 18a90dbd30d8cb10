//! Kind `command`: external programs as stages.

mod basics;
mod code;
mod ends;
mod folds;
mod home;
mod items;
mod params;
mod sandbox;
mod tools;
mod version;

use std::path::{Path, PathBuf};

use flow_engine::base::diag::Diag;
use flow_engine::kind::StageError;
use flow_engine::pipeline::file::load;
use flow_engine::pipeline::load::LoadOptions;

use crate::harness::{Project, Ran};
use crate::kinds::registry;

/// A source of two shards and a command that runs `script.sh` with `args` after its name.
fn project(args: &str, more: &str, script: &str) -> Project {
    let project = Project::new(&format!(
        r#"
[pipeline]
seed = 3
[stages.read]
use = "source"
dir = "data"
[stages.all]
use = "join"
inputs = {{ rows = ["read.rows"] }}
[stages.run]
use = "command"
run = ["/bin/sh", "scripts/script.sh", {args}]
files = ["scripts/*.sh"]
inputs = {{ rows = "read.rows", all = "all" }}
outputs = {{ out = "o.txt" }}
{more}
[outputs]
"result.txt" = "run"
"#
    ));
    project.write("data/a.txt", "a1 x apple\n");
    project.write("data/b.txt", "b1 x bean\n");
    project.write("scripts/script.sh", script);
    project
}

/// A pipeline of one command without inputs that runs a text. Its output is `result.txt`, but for
/// items: what is no table and has several parts cannot be one file ([`of_items`]).
fn alone(script: &str, more: &str) -> Project {
    let outputs = match more.contains("each =") {
        true => "",
        false => "[outputs]\n\"result.txt\" = \"run\"\n",
    };
    Project::new(&format!(
        r#"
[pipeline]
seed = 3
[stages.run]
use = "command"
run = ["/bin/sh", "-c", '''{script}''']
outputs = {{ out = "o.txt" }}
{more}
{outputs}"#
    ))
}

/// What each item `i` of `run` wrote, one after the other.
fn of_items(project: &Project, ran: &Ran, items: std::ops::Range<u32>) -> String {
    let paths = items.map(|i| project.artifact(ran, &format!("run: run i={i} out")));
    paths
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// A folder that programs may write to: it is neither the project's nor on the way to it.
pub fn outside(project: &Project) -> PathBuf {
    let folder = project.root.parent().unwrap().join("outside");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The only failure.
fn failure(ran: &Ran) -> &StageError {
    assert_eq!(ran.failures.len(), 1, "{:?}", ran.failures);
    &ran.failures[0].1
}

/// What is wrong with a pipeline.
fn mistakes(project: &Project) -> Vec<Diag> {
    let options = LoadOptions {
        sets: Vec::new(),
        cwd: project.root.clone(),
    };
    match load(Path::new("p.toml"), &options, &registry(&project.control)) {
        Ok(_) => Vec::new(),
        Err(diags) => diags,
    }
}

/// Expects one mistake with a code and a text in its message or its hints.
fn expect_mistake(project: &Project, code: &str, text: &str) {
    let diags = mistakes(project);
    assert_eq!(diags.len(), 1, "{diags:?}");
    let said = format!("{} {}", diags[0].message, diags[0].help.join(" "));
    assert!(diags[0].code == code && said.contains(text), "{diags:?}");
    assert!(!diags[0].labels.is_empty(), "{diags:?}");
}
