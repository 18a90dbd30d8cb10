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

use flow_engine::base::diag::Diag;
use flow_engine::kind::StageError;
use flow_testkit::files::read;
use flow_testkit::local;

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
    paths.map(|path| read(&path)).collect()
}

/// The only failure.
fn failure(ran: &Ran) -> &StageError {
    assert_eq!(ran.failures.len(), 1, "{:?}", ran.failures);
    &ran.failures[0].1
}

/// What is wrong with a pipeline.
fn mistakes(project: &Project) -> Vec<Diag> {
    let loaded = local::load(project, "p.toml", &[], &registry(&project.control));
    loaded.err().unwrap_or_default()
}

/// Expects one mistake with a code and a text in its message or its hints.
fn expect_mistake(project: &Project, code: &str, text: &str) {
    let diags = mistakes(project);
    assert_eq!(diags.len(), 1, "{diags:?}");
    let said = format!("{} {}", diags[0].message, diags[0].help.join(" "));
    assert!(
        diags[0].code.as_str() == code && said.contains(text),
        "{diags:?}"
    );
    assert!(!diags[0].labels.is_empty(), "{diags:?}");
}
