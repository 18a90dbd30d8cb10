//! Times of files, which lie, and the order of listings, which is nobody's: neither reaches a result.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::{ALL, built, fresh};

fn set_modified(path: &Path, time: SystemTime) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

/// What a file of a.txt's length, and of another content, reaches.
const EDITED: &str = "a1 x grape\na2 y avocado\n";

#[test]
fn an_edit_that_puts_size_and_time_back_is_noticed() {
    let project = built();
    let path = project.root.join("data/a.txt");
    let before = path.metadata().unwrap();
    project.write("data/a.txt", EDITED);
    set_modified(&path, before.modified().unwrap());
    let after = path.metadata().unwrap();
    assert_eq!(after.len(), before.len());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert!(project.run().ran.contains(&"read: read a".to_owned()));
    assert!(project.read("out/all.txt").contains("GRAPE"));
}

#[test]
fn an_output_edited_with_its_size_and_time_put_back_is_written_again() {
    let project = built();
    let path = project.root.join("out/all.txt");
    let (text, time) = (project.read("out/all.txt"), path.metadata().unwrap());
    project.write("out/all.txt", text.replace("APPLE", "OTHER"));
    set_modified(&path, time.modified().unwrap());
    assert_eq!(project.expect(&[]).written, ["all.txt"]);
    assert_eq!(project.read("out/all.txt"), text);
}

#[test]
fn files_from_the_future_and_the_past_are_files() {
    let year = Duration::from_secs(365 * 86_400);
    let now = SystemTime::now();
    for time in [now + 10 * year, now - year, SystemTime::UNIX_EPOCH] {
        let project = built();
        let path = project.root.join("data/a.txt");
        // As the clock goes back or forth between two runs.
        set_modified(&path, time);
        project.expect(&[]);
        project.write("data/a.txt", EDITED);
        set_modified(&path, time);
        assert!(project.run().ran.contains(&"read: read a".to_owned()));
        assert!(project.read("out/all.txt").contains("GRAPE"));
        project.expect(&[]);
        project.write("data/a.txt", "a1 x apple\na2 y avocado\n");
        project.expect(&[]);
        assert!(project.read("out/all.txt").contains("APPLE"));
    }
}

#[test]
fn the_order_of_a_listing_reaches_no_result() {
    let expected = built().run().digests;
    for shuffle in 1..=6 {
        let project = built();
        project.control.shuffle.store(shuffle, Ordering::SeqCst);
        assert_eq!(project.expect(&[]).digests, expected);
        let project = fresh();
        project.control.shuffle.store(shuffle, Ordering::SeqCst);
        assert_eq!(project.expect(&ALL).digests, expected);
    }
}
