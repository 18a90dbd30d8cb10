//! The files under `[outputs]`.

use std::os::unix::fs::MetadataExt;

use flow_testkit::local;

use crate::harness::Project;
use crate::kinds::registry;
use crate::{ALL, built, fresh};

#[test]
fn files_are_written_once() {
    let project = fresh();
    let ran = project.expect(&ALL);
    assert_eq!(ran.written, ["p.txt", "all.txt"]);
    let all = "a1 x APPLE 0\na2 y AVOCADO 0\nb1 x BEAN 0\nb2 y BEET 0\nu1 - UDON 0\n";
    assert_eq!(project.read("out/all.txt"), all);
    let inode = |name: &str| project.root.join(name).metadata().unwrap().ino();
    let before = inode("out/all.txt");
    assert!(project.expect(&[]).written.is_empty());
    assert_eq!(inode("out/all.txt"), before);
}

#[test]
fn an_edited_or_missing_file_is_written_again() {
    let project = built();
    let before = project.read("out/all.txt");
    project.write("out/all.txt", "scribbles");
    assert_eq!(project.expect(&[]).written, ["all.txt"]);
    assert_eq!(project.read("out/all.txt"), before);
    project.remove("out/p.txt");
    assert_eq!(project.expect(&[]).written, ["p.txt"]);
}

#[test]
fn only_what_changed_is_written() {
    let project = built();
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    assert_eq!(project.run().written, ["p.txt"]);
    project.edit("depth = 4", "depth = 3");
    assert_eq!(project.expect(&[]).written, ["p.txt"]);
}

#[test]
fn files_of_a_failed_stage_stay_as_they_are() {
    let mut project = built();
    project.keep_going = true;
    let before = project.read("out/all.txt");
    project.edit(
        "inputs = { rows = [\"clean\"] }",
        "inputs = { rows = [\"clean\", \"bad\"] }\n[stages.bad]\nuse = \"tweak\"\nhow = \"fail\"",
    );
    let ran = project.run();
    assert_eq!(ran.failures.len(), 1);
    assert!(ran.written.is_empty());
    assert_eq!(project.read("out/all.txt"), before);
}

/// The same with a report of all stages.
fn reported() -> Project {
    let project = fresh();
    project.edit("[outputs]\n", "[outputs]\n\"out/page.html\" = \"report\"\n");
    project
}

#[test]
fn a_report_is_written_again_when_any_result_changes_or_its_bytes_are_lost() {
    let project = reported();
    let ran = project.expect(&ALL);
    assert!(ran.written.contains(&"page.html".to_owned()));
    let page = project.read("out/page.html");
    assert!(project.expect(&[]).written.is_empty());

    project.write("out/page.html", "scribbles");
    assert_eq!(project.expect(&[]).written, ["page.html"]);
    assert_eq!(project.read("out/page.html"), page);

    // A stage of which no other file is made counts as well.
    project.edit(
        "[outputs]",
        "[stages.more]\nuse = \"tweak\"\ntag = 5\n[outputs]",
    );
    assert_eq!(project.expect(&["more: tweak"]).written, ["page.html"]);

    let lost = project.artifact(&ran, "clean: apply a rows");
    std::fs::remove_file(lost).unwrap();
    project.remove("out/page.html");
    assert_eq!(project.run().written, ["page.html"]);
}

#[test]
fn a_report_waits_for_all_stages() {
    let mut project = reported();
    project.keep_going = true;
    project.edit(
        "[outputs]",
        "[stages.bad]\nuse = \"tweak\"\nhow = \"fail\"\n[outputs]",
    );
    let ran = project.run();
    assert_eq!(ran.failures.len(), 1);
    assert_eq!(ran.written, ["p.txt", "all.txt"]);
}

#[test]
fn a_report_is_a_page_and_a_stage_of_its_name_goes_before_it() {
    let project = reported();
    project.edit("page.html", "page.pdf");
    let diags = local::load(&project, "p.toml", &[], &registry(&project.control));
    let diags = diags.err().expect("a mistake");
    assert!(diags[0].message.contains("is an HTML page"), "{diags:?}");
    project.edit("page.pdf", "page.txt");
    project.edit(
        "[stages.all]",
        "[stages.report]\nuse = \"tweak\"\n[stages.all]",
    );
    assert!(project.run().written.contains(&"page.txt".to_owned()));
}
