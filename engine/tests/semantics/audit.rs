//! Actions that run again for a comparison: on what their records were made from, with the store
//! consistent afterwards.

use flow_engine::explain::Reason;

use crate::harness::Project;
use crate::{ALL, built};

#[test]
fn second_runs_change_nothing() {
    let project = built();
    let before = project.run();
    let ran = project.audit(&ALL);
    assert_eq!(ran.ran, ALL);
    assert!(ran.reasons.values().all(|reason| *reason == Reason::Audit));
    assert!(ran.warnings.is_empty(), "{:?}", ran.warnings);
    assert_eq!((ran.digests, ran.keys), (before.digests, before.keys));
    project.assert_no_debris();
    project.expect(&[]);
}

/// `first` gives other bytes each time; `second` and `third` lie below it.
const MOODY: &str = r#"
[stages.first]
use = "tweak"
how = "random"
[stages.second]
use = "tweak"
inputs = { rows = "first" }
[stages.third]
use = "tweak"
tag = 3
inputs = { rows = "second" }
[outputs]
"third.txt" = "third"
"#;

const THREE: [&str; 3] = ["first: tweak", "second: tweak", "third: tweak"];

#[test]
fn every_action_is_compared_on_what_it_had_read() {
    let project = Project::new(MOODY);
    let before = project.expect(&THREE);
    let ran = project.audit(&THREE);
    // One is not deterministic. Those below ran again as they were, then on its new bytes.
    assert_eq!(ran.warnings.len(), 1, "{:?}", ran.warnings);
    assert!(ran.warnings[0].contains("`first` is not deterministic"));
    let times = |name: &&str| ran.ran.iter().filter(|ran| ran == name).count();
    assert_eq!(THREE.iter().map(times).collect::<Vec<_>>(), [1, 2, 2]);
    assert_eq!(ran.keys["first: tweak"], before.keys["first: tweak"]);
    for below in &THREE[1..] {
        assert_ne!(ran.keys[*below], before.keys[*below]);
    }
    // The bytes of before are still there to be compared.
    for name in before.digests.keys() {
        assert!(project.artifact(&before, name).is_file());
    }
    let again = project.expect(&[]);
    assert_eq!(again.digests, ran.digests);
    assert_eq!(again.written, ["third.txt"]);
}

#[test]
fn what_an_audit_reads_is_made_again() {
    let project = built();
    let before = project.run();
    std::fs::remove_file(project.artifact(&before, "clean: apply a rows")).unwrap();
    let ran = project.audit(&["all: join"]);
    assert_eq!(ran.ran, ["all: join", "clean: apply a"]);
    assert_eq!(ran.reasons["clean: apply a"], Reason::Lost);
    assert_eq!(ran.digests, before.digests);
    project.expect(&[]);
}

#[test]
fn where_earlier_bytes_are_gone_for_good_the_new_ones_count_at_once() {
    let project = Project::new(MOODY);
    let before = project.expect(&THREE);
    std::fs::remove_file(project.artifact(&before, "first: tweak rows")).unwrap();
    // It reads what `first` cannot make again, so it is no second run any more.
    let ran = project.audit(&["second: tweak"]);
    assert_eq!(ran.ran, THREE);
    assert_ne!(ran.keys["second: tweak"], before.keys["second: tweak"]);
    assert_eq!(project.expect(&[]).digests, ran.digests);
}
