//! Machines that see the files of other machines late, as on NFS.

use std::time::Duration;

use flow_engine::run::cluster::options::ClusterOptions;

use super::{Cluster, on};
use crate::harness::Project;
use crate::process::moody;

/// Runs a task on a copy of the store. What the task says is seen at once, and what it has made is seen DELAY later, after
/// its end.
const LATE: &str = r#"
store="$(realpath "$2/../..")" copy="$(realpath "$2/../../..")/copy-$$"
cp -a "$store" "$copy"
FLOW_TEST_BATCH="$copy/jobs/$(basename "$2")" FLOW_TEST_TASK="$3" "$0" --quiet --exact cluster::task --nocapture
end=$?
cat "$copy/jobs/$(basename "$2")/$3.jsonl" >> "$2/$3.jsonl"
(sleep DELAY; cp -a "$copy/artifacts" "$store"; mv "$copy"/records/*.seg "$store/records"; rm -r "$copy") &
exit $end
"#;

fn options(cluster: &Cluster, delay_s: &str) -> ClusterOptions {
    let mut options = cluster.options();
    options.command[2] = LATE.replace("DELAY", delay_s).into();
    options
}

#[test]
fn a_record_that_was_announced_is_waited_for() {
    let cluster = Cluster::new();
    let mut options = options(&cluster, "0.7");
    options.visible_within = Duration::from_secs(30);
    let mut project = moody("calm", "count = \"count\"");
    project.executor = on(options);
    let ran = project.expect(&["moody: be"]);
    assert!(ran.warnings.is_empty(), "{:?}", ran.warnings);
    assert_eq!(project.read("count"), "run\n");
}

#[test]
fn a_record_that_is_not_seen_in_time_is_made_again() {
    let cluster = Cluster::new();
    let mut options = options(&cluster, "1.5");
    options.visible_within = Duration::from_millis(100);
    options.retry.failed = 99;
    let mut project = moody("calm", "count = \"count\"");
    project.executor = on(options);
    // In the end it runs, or a task finds the record of an earlier one.
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert!(
        ran.warnings[0].contains("left no record"),
        "{:?}",
        ran.warnings
    );
    assert!(project.read("count").starts_with("run\nrun\n"));
}

#[test]
fn a_task_waits_until_it_sees_what_an_action_reads() {
    let cluster = Cluster::new();
    let mut options = cluster.options();
    options.visible_within = Duration::from_secs(30);
    // The task of the second stage sees no artifact at first.
    options.before = vec![
        "store=\"$(dirname \"$0\")/../..\"".to_owned(),
        "move() { find \"$store/artifacts\" -type f | while read -r f; do mv \"$f\" \"$(echo \"$f\" | sed \"$1\")\"; done; }".to_owned(),
        "if grep -q s1 \"$(dirname \"$0\")/batch\"; then move 's/$/.late/'; (sleep 0.7; move 's/.late$//') & fi".to_owned(),
    ];
    let two = "[stages.s0]\nuse = \"tweak\"\n[stages.s1]\nuse = \"tweak\"\ninputs = { rows = [\"s0\"] }\n";
    let mut project = Project::new(two);
    project.executor = on(options);
    let ran = project.expect(&["s0: tweak", "s1: tweak"]);
    assert_eq!(ran.started.len(), 2, "each once");
    assert!(ran.warnings.is_empty(), "{:?}", ran.warnings);
}
