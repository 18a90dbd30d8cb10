//! The files under `[outputs]`.

use std::os::unix::fs::MetadataExt;

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
