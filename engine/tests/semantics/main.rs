//! What runs and what does not: the engine in-process, on tiny kinds over text files.
//!
//! The acceptance list, each row with the tests that tick it off. `cache/` and `e2e/` are the tests
//! of the store (`cache/tests`) and of the binary (`tests/e2e`); the rest is here.
//!
//! | row | tests |
//! |---|---|
//! | nothing changed | `edits::a_second_run_does_nothing` |
//! | root touched, project moved, other threads | `edits::moving_touching_and_threads_run_nothing` |
//! | root edited, identical output: cutoff | `edits::an_edit_that_leaves_bytes_equal_stops_there` |
//! | leaf A -> B -> A | `edits::an_edited_file_reaches_its_shard_and_not_the_fold_that_holds_it_out` |
//! | parameter, seed changed | `edits::{a_parameter_reaches_what_lies_below, the_seed_reaches_seeded_steps, a_stage_seed_tells_equals_apart}` |
//! | command, script, library file changed | `command::scripts_and_environment_are_in_the_recipe` |
//! | kind version changed | `edits::a_new_version_runs_the_kind_again` |
//! | artifact deleted | `damage::lost_bytes_are_made_again_only_where_needed` |
//! | artifact truncated, bit-flipped, replaced | `damage::corrupt_bytes_are_set_aside_and_made_again`, e2e `faults::a_damaged_artifact_is_set_aside_and_made_again` |
//! | record segment truncated, corrupted, gone | `faults::{damaged_records_cost_their_actions_and_no_others, records_that_are_gone_are_made_again}` |
//! | output in the work tree edited, removed | `outputs::an_edited_or_missing_file_is_written_again`, `damage::{a_lost_output_is_made_again_when_its_file_is_gone, a_corrupt_output_is_not_delivered_but_made_again}` |
//! | input edited while the stage runs | `damage::{a_source_edited_under_the_run_is_read_again, a_source_that_goes_on_changing_fails_the_run}`, `command::a_script_edited_under_the_run_runs_again` |
//! | kill -9 at every step of the commit protocol | `faults::a_kill_at_every_step_loses_nothing`, cache `crash::kill_at_every_point` |
//! | kill -9 at random times | e2e `kills`, `faults::twenty_kills_lose_nothing` |
//! | power loss: every prefix, 1,000 reorderings | cache `power_loss` |
//! | order of directory listings | `clock::the_order_of_a_listing_reaches_no_result` |
//! | two to four runs at once | `trouble::two_to_four_runs_at_once_run_each_action_once`, e2e `stores::two_to_four_processes_run_each_action_once` |
//! | gc during a run | `faults::gc_during_a_run_does_nothing`, e2e `stores::gc_waits_for_nobody_and_takes_nothing_from_a_live_run` |
//! | disk full at every write | `faults::a_full_disk_at_every_step_fails_the_run_and_nothing_else`, e2e `stores::a_full_disk_fails_the_run_and_spares_the_store` |
//! | read-only store | e2e `stores::a_read_only_store_answers_and_a_miss_says_what_to_do` |
//! | store on another file system | e2e `stores::a_store_on_another_file_system_is_as_good` |
//! | clock set back, times that lie | `clock`, cache `racy` and the unit tests of its stat cache |
//! | chain and fan of 100,000 | `scale::a_hundred_thousand` (by hand), `scale::{a_long_chain_and_a_wide_fan, a_fan_of_items}` |
//! | every miss has a reason and a cause; a run does what the plan says | `explain`, `model` |
//! | a remote behind the store | `tier`, cache `remote`, e2e `shared` |
//! | second runs for a comparison | `audit`, e2e `audit` |
//! | tasks of a cluster that die, vanish, are found again | `cluster` |
//! | random graphs, edits, damage, trouble | `model`, against the oracle of `oracle` |
//!
//! `tests/mutations.sh` shows that these tests can fail.

mod audit;
mod clock;
mod cluster;
mod command;
mod control;
mod damage;
mod edits;
mod epochs;
mod explain;
mod faults;
mod forged;
mod harness;
mod kinds;
mod loops;
mod model;
mod oracle;
mod outputs;
mod planned;
mod process;
mod rows;
mod scale;
mod tier;
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
