//! What runs and what does not: the engine in-process, on tiny kinds over text files.

mod clock;
mod command;
mod damage;
mod edits;
mod faults;
mod harness;
mod kinds;
mod model;
mod oracle;
mod outputs;
mod process;
mod scale;
mod trace;
mod trouble;
mod views;

use harness::Project;

/// A source of three shards, one of them unlabelled, a row-wise stage, folds by group, a learner
/// and a gather.
const MAIN: &str = r#"
[pipeline]
seed = 1
[stages.read]
use = "source"
dir = "data"
[stages.clean]
use = "map"
op = "upper"
inputs = { rows = "read.rows" }
[stages.folds]
use = "folds"
inputs = { objects = "read" }
[stages.learn]
use = "learner"
inputs = { rows = "clean", folds = "folds" }
[stages.all]
use = "join"
inputs = { rows = ["clean"] }
[outputs]
"out/p.txt" = "learn"
"out/all.txt" = "all"
"#;

/// All actions of [`MAIN`].
const ALL: [&str; 16] = [
    "all: join",
    "clean: apply a",
    "clean: apply b",
    "clean: apply u",
    "folds: split",
    "learn: apply 0 a",
    "learn: apply 1 b",
    "learn: apply final u",
    "learn: fit 0",
    "learn: fit 1",
    "learn: fit final",
    "learn: gather",
    "read: collect",
    "read: read a",
    "read: read b",
    "read: read u",
];

/// The actions of [`MAIN`]'s learner.
const LEARN: [&str; 7] = [
    "learn: apply 0 a",
    "learn: apply 1 b",
    "learn: apply final u",
    "learn: fit 0",
    "learn: fit 1",
    "learn: fit final",
    "learn: gather",
];

/// [`MAIN`] before its first run.
fn fresh() -> Project {
    let project = Project::new(MAIN);
    project.write("data/a.txt", "a1 x apple\na2 y avocado\n");
    project.write("data/b.txt", "b1 x bean\nb2 y beet\n");
    project.write("data/u.txt", "u1 - udon\n");
    project
}

/// [`MAIN`] after its first run.
fn built() -> Project {
    let project = fresh();
    project.expect(&ALL);
    project
}
