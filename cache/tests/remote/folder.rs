//! Two stores and a folder.

use std::io::Read;
use std::time::{Duration, Instant};

use super::common::{action, contents, key};
use super::{Member, Team, change, objects, writing};
use flow_cache::{Digest, RemoteOptions, Store};
use flow_testkit::files::entries;

fn artifact(team: &Team, n: u32) -> std::path::PathBuf {
    let hex = Digest::of(&contents(n)).hex();
    team.remote()
        .join("artifacts")
        .join(&hex[..2])
        .join(&hex[2..])
}

fn record(team: &Team, n: u32) -> std::path::PathBuf {
    let hex = key(n).0.hex();
    team.remote()
        .join("records")
        .join(&hex[..2])
        .join(&hex[2..])
}

#[test]
fn a_second_store_takes_records_and_fetches_only_the_bytes_that_are_read() {
    let team = Team::new();
    team.writer("a").run(&[1, 2, 3]);
    let b = team.reader("b");
    assert_eq!(b.learn(&[1, 2, 3, 4]), [1, 2, 3]);
    assert_eq!(b.traffic().hits, 3);
    assert_eq!(b.traffic().fetched, 0);
    let two = Digest::of(&contents(2));
    let sizes = b.store.elsewhere(&[two, Digest::of(b"none")]);
    // Text repeats itself, so it is sent compressed.
    let size = std::fs::metadata(artifact(&team, 2)).unwrap().len();
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [(two, size)]);
    assert!(size < contents(2).len() as u64);
    assert_eq!(b.bytes(2).unwrap(), contents(2));
    let traffic = b.traffic();
    assert_eq!((traffic.fetched, traffic.fetched_bytes), (1, size));
    assert_eq!(traffic.wanted_bytes, size);
    assert!(!b.store.has(&Digest::of(&contents(1))));
    let labels = b.store.lookup(&key(1)).unwrap().unwrap();
    assert_eq!((labels.stage(), labels.action()), ("stage", "item 1"));
    assert!(b.store.verify(|_| {}).unwrap().is_clean());
    // What was learned stays without the remote.
    drop(b);
    let alone = Store::open(&team.dir.path().join("b")).unwrap();
    assert!(alone.find(&key(3)).unwrap().is_some());
}

#[test]
fn reading_changes_nothing_there_and_a_store_that_is_only_read_changes_nothing_here() {
    let team = Team::new();
    team.writer("a").run(&[1]);
    let before = entries(&team.remote());
    let b = team.reader("b");
    b.run(&[2]);
    assert_eq!(b.learn(&[1, 2]), [1, 2]);
    assert_eq!(entries(&team.remote()), before);
    assert_eq!(b.traffic().written, 0);

    let place = team.dir.path().join("c");
    let c = team.with(Store::open_for_reading(&place).unwrap(), writing());
    assert_eq!(c.learn(&[1]), [1]);
    assert!(c.store.lookup(&key(1)).unwrap().is_some());
    assert_eq!(
        c.bytes(1),
        None,
        "nothing is fetched into a store that is only read"
    );
    assert!(!place.exists());
}

#[test]
fn damaged_objects_are_never_used_are_said_and_are_replaced() {
    for (what, spoil) in [
        (
            "cut",
            (|bytes| bytes.truncate(bytes.len() / 2)) as fn(&mut Vec<u8>),
        ),
        ("empty", Vec::clear),
        ("flipped", |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
        }),
        ("header", |bytes| bytes[3] ^= 1),
        ("longer", |bytes| bytes.extend(b"more")),
    ] {
        let team = Team::new();
        team.writer("a").run(&[1, 2]);
        change(&artifact(&team, 1), spoil);
        change(&record(&team, 2), spoil);
        let b = team.writer("b");
        assert_eq!(b.learn(&[1, 2]), [1], "{what}");
        assert_eq!(b.bytes(1), None, "{what}");
        assert_eq!(b.traffic().damaged, 2, "{what}");
        assert_eq!(
            b.warnings().matches("is damaged there").count(),
            2,
            "{what}"
        );
        // It makes them itself, and so repairs the remote.
        b.run(&[1, 2]);
        let c = team.reader("c");
        assert_eq!(c.learn(&[1, 2]), [1, 2], "{what}");
        assert_eq!(c.bytes(1).unwrap(), contents(1), "{what}");
        assert_eq!(c.traffic().damaged, 0, "{what}");
    }
}

#[test]
fn a_record_of_another_key_and_one_whose_bytes_are_gone_are_no_results() {
    let team = Team::new();
    team.writer("a").run(&[1, 2]);
    std::fs::copy(record(&team, 1), record(&team, 2)).unwrap();
    std::fs::remove_file(artifact(&team, 1)).unwrap();
    let b = team.reader("b");
    assert_eq!(b.learn(&[1, 2]), [1]);
    assert_eq!(b.bytes(1), None);
    // Absent bytes are asked for once.
    assert_eq!(b.bytes(1), None);
    assert_eq!(b.traffic().failed_reads, 0);
}

#[test]
fn bytes_that_are_lost_or_damaged_here_come_back_from_there() {
    let team = Team::new();
    let a = team.writer("a");
    a.run(&[1, 2]);
    let path = |n: u32| a.store.path(&Digest::of(&contents(n)));
    std::fs::remove_file(path(1)).unwrap();
    change(&path(2), |bytes| bytes[0] ^= 1);
    assert_eq!(a.bytes(1).unwrap(), contents(1));
    assert_eq!(a.bytes(2).unwrap(), contents(2));
    assert_eq!(a.traffic().fetched, 2);
    assert_eq!(entries(&a.store.dir().join("quarantine")).len(), 1);
    let warnings = a.warnings();
    assert!(
        warnings.contains("was corrupt: set aside, fetched again"),
        "{warnings}"
    );
}

#[test]
fn the_first_record_stays_and_other_bytes_are_said() {
    let team = Team::new();
    team.writer("a").run(&[1]);
    let b = team.writer("b");
    b.make(1, b"something else");
    b.settle();
    assert_eq!(b.traffic().different, 1);
    let warnings = b.warnings();
    assert!(
        warnings.contains("stage `stage` is not deterministic"),
        "{warnings}"
    );
    let c = team.reader("c");
    assert_eq!(c.learn(&[1]), [1]);
    assert_eq!(c.bytes(1).unwrap(), contents(1));
}

#[test]
fn what_a_killed_upload_leaves_does_no_harm() {
    let team = Team::new();
    team.writer("a").run(&[1, 2]);
    // It was killed before the record; another was killed while it wrote the artifact.
    std::fs::remove_file(record(&team, 1)).unwrap();
    let mut half = artifact(&team, 2).into_os_string();
    half.push("#1");
    std::fs::write(&half, b"flow-art").unwrap();
    let b = team.writer("b");
    assert_eq!(b.learn(&[1, 2]), [2]);
    b.run(&[1]);
    assert_eq!(b.traffic().failed_writes, 0);
    let c = team.reader("c");
    assert_eq!(c.learn(&[1, 2]), [1, 2]);
    assert_eq!(c.bytes(1).unwrap(), contents(1));
}

#[test]
fn a_hundred_writers_of_equal_and_of_other_keys_leave_whole_objects() {
    let team = Team::new();
    let members: Vec<Member> = (0..100).map(|n| team.writer(&format!("w{n}"))).collect();
    std::thread::scope(|scope| {
        for (n, member) in members.iter().enumerate() {
            scope.spawn(move || member.run(&[0, 1, 1000 + n as u32]));
        }
    });
    for member in &members {
        assert_eq!(member.traffic().failed_writes, 0, "{}", member.warnings());
        assert_eq!(member.traffic().different, 0);
    }
    assert_eq!(objects(&team.remote(), "records").len(), 102);
    assert_eq!(objects(&team.remote(), "artifacts").len(), 102);
    let all: Vec<u32> = [0, 1].into_iter().chain(1000..1100).collect();
    let reader = team.reader("reader");
    assert_eq!(reader.learn(&all), all);
    for n in all {
        assert_eq!(reader.bytes(n).unwrap(), contents(n));
    }
}

#[test]
fn a_reader_says_once_that_there_is_nothing_and_asks_no_more() {
    for exists in [false, true] {
        let team = Team::new();
        if exists {
            std::fs::create_dir(team.remote()).unwrap();
        }
        let b = team.reader("b");
        assert!(b.learn(&[1, 2]).is_empty());
        assert!(b.learn(&[3]).is_empty());
        let warnings = b.warnings();
        assert_eq!(warnings.lines().count(), 1, "{warnings}");
        assert!(
            warnings.contains("nothing more is read from it"),
            "{warnings}"
        );
        assert_eq!(b.traffic().failed_reads, 1);
    }
}

#[test]
fn a_folder_of_something_else_or_of_a_later_version_is_left_alone() {
    for (text, why) in [
        ("flow-remote 2\n", "later version"),
        ("what is this", "something else"),
    ] {
        let team = Team::new();
        std::fs::create_dir(team.remote()).unwrap();
        std::fs::write(team.remote().join("flow-remote"), text).unwrap();
        let b = team.writer("b");
        b.run(&[1]);
        assert_eq!(b.traffic().failed_writes, 1);
        let warnings = b.warnings();
        assert!(warnings.contains(why), "{warnings}");
        assert_eq!(entries(&team.remote()).len(), 1);
        assert!(b.learn(&[2]).is_empty());
    }
}

#[test]
fn gc_removes_old_records_and_then_what_no_record_names() {
    let team = Team::new();
    let a = team.writer("a");
    a.run(&[1, 2]);
    let day = Duration::from_secs(24 * 3600);
    let before = entries(&team.remote());
    let nothing = a.remote.gc(30 * day, false).unwrap();
    assert_eq!((nothing.records, nothing.artifacts), (0, 0));
    age(&record(&team, 1), 40);
    age(&artifact(&team, 1), 40);
    age(&artifact(&team, 2), 40);
    change(&record(&team, 2), |bytes| bytes.truncate(9));
    let dry = a.remote.gc(30 * day, true).unwrap();
    assert_eq!(entries(&team.remote()), before);
    let done = a.remote.gc(30 * day, false).unwrap();
    assert_eq!(done, dry);
    assert_eq!(
        (done.records_before, done.records, done.artifacts),
        (2, 2, 2)
    );
    assert!(done.bytes > 0);
    assert!(objects(&team.remote(), "records").is_empty());
    assert!(objects(&team.remote(), "artifacts").is_empty());
}

#[test]
fn gc_removes_what_killed_writes_have_left() {
    let team = Team::new();
    let a = team.writer("a");
    a.run(&[1]);
    let left = |path: std::path::PathBuf, number: u32| {
        let path = format!("{}#{number}", path.display());
        std::fs::write(&path, "half").unwrap();
        std::path::PathBuf::from(path)
    };
    let old = [left(artifact(&team, 1), 1), left(record(&team, 1), 12)];
    old.iter().for_each(|path| age(path, 2));
    // One whose write may go on, and one that is somebody else's.
    let young = left(artifact(&team, 1), 2);
    let foreign = team.remote().join("records/notes#1");
    std::fs::write(&foreign, "mine").unwrap();
    age(&foreign, 2);
    let day = Duration::from_secs(24 * 3600);
    let dry = a.remote.gc(30 * day, true).unwrap();
    assert!(old.iter().all(|path| path.exists()));
    let done = a.remote.gc(30 * day, false).unwrap();
    assert_eq!(done, dry);
    assert_eq!((done.unfinished, done.bytes, done.records), (2, 8, 0));
    assert!(!old.iter().any(|path| path.exists()));
    assert!(young.exists() && foreign.exists());
    assert_eq!(team.reader("b").learn(&[1]), [1]);
}

#[test]
fn a_folder_that_hangs_is_given_up_with_one_warning() {
    let team = Team::new();
    team.writer("a").run(&[1, 2, 3, 4]);
    for n in [1, 2, 3] {
        // Whoever opens it waits for a writer that never comes.
        let path = record(&team, n);
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
    }
    let b = team.reader("b");
    for n in [1, 2, 3, 4] {
        assert!(b.learn(&[n]).is_empty());
    }
    assert_eq!(b.traffic().failed_reads, 3);
    let warnings = b.warnings();
    assert!(
        warnings.lines().count() == 1 && warnings.contains("there was no answer"),
        "{warnings}"
    );
}

#[test]
fn an_artifact_that_gc_takes_from_a_writer_at_work_is_made_again() {
    let team = Team::new();
    team.writer("a").run(&[1]);
    // An old artifact without a record: what a killed writer left, say.
    std::fs::remove_file(record(&team, 1)).unwrap();
    age(&artifact(&team, 1), 40);
    let b = team.writer("b");
    // A fetch tells this writer that the artifact is there, so it does not send it again.
    assert!(
        b.store
            .ensure([Digest::of(&contents(1))])
            .unwrap()
            .is_empty()
    );
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(b.remote.gc(30 * day, false).unwrap().artifacts, 1);
    b.run(&[1]);
    // Its record names bytes that are gone. A reader makes them again, which brings them back.
    let c = team.writer("c");
    assert_eq!(c.learn(&[1]), [1]);
    assert_eq!(c.bytes(1), None);
    c.run(&[1]);
    let d = team.reader("d");
    assert_eq!(d.learn(&[1]), [1]);
    assert_eq!(d.bytes(1).unwrap(), contents(1));
}

#[test]
fn a_record_without_its_outputs_is_replaced() {
    let team = Team::new();
    let mallory = team.writer("mallory");
    let mut made_up = action(&mallory.store, 1, &contents(1)).unwrap().0;
    made_up.outputs.clear();
    mallory.store.commit(vec![(made_up, Vec::new())]).unwrap();
    mallory.store.offer(key(1));
    mallory.settle();
    let a = team.writer("a");
    a.run(&[1]);
    assert_eq!((a.traffic().written, a.traffic().different), (1, 0));
    let b = team.reader("b");
    assert_eq!(b.learn(&[1]), [1]);
    assert_eq!(b.bytes(1).unwrap(), contents(1));
}

#[test]
fn an_artifact_that_grows_beyond_its_record_is_not_unpacked() {
    let team = Team::new();
    team.writer("a").run(&[1]);
    let bomb = |bytes: u64| {
        let zeros = std::io::repeat(0).take(bytes);
        let packed = zstd::stream::encode_all(zeros, 1).unwrap();
        [b"flow-artifact 1 zstd\n".as_slice(), &packed].concat()
    };
    change(&artifact(&team, 1), |bytes| *bytes = bomb(1 << 32));
    let b = team.reader("b");
    assert_eq!(b.learn(&[1]), [1]);
    let begin = Instant::now();
    assert!(b.bytes(1).is_none());
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!((b.traffic().damaged, b.traffic().failed_reads), (1, 0));
}

#[test]
fn names_of_writers_are_harmless() {
    let team = Team::new();
    let options = RemoteOptions {
        writer: "eve\u{1b}[2J\n::error::x".to_owned(),
        ..writing()
    };
    team.member("eve", options).run(&[1]);
    let stat = team.reader("b").remote.stat().unwrap();
    let names: Vec<_> = stat.writers.into_keys().collect();
    assert_eq!(names, ["eve?[2J?::error::x"]);
}

#[test]
fn stat_counts_records_by_writer() {
    let team = Team::new();
    team.writer("a").run(&[1, 2]);
    let other = RemoteOptions {
        writer: "other".to_owned(),
        ..writing()
    };
    let b = team.member("b", other);
    b.run(&[2, 3]);
    change(&record(&team, 1), |bytes| bytes.truncate(5));
    let stat = b.remote.stat().unwrap();
    assert_eq!((stat.records, stat.damaged, stat.artifacts), (3, 1, 3));
    let writers: Vec<_> = stat.writers.into_iter().collect();
    assert_eq!(
        writers,
        [("ci@test".to_owned(), 1), ("other".to_owned(), 1)]
    );
    let keys = b.remote.keys().unwrap();
    assert!(keys.len() == 3 && keys.contains(&key(3)));
}

/// Makes a file some days older.
fn age(path: &std::path::Path, days: u64) {
    let then = std::time::SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    let file = std::fs::File::open(path).unwrap();
    file.set_modified(then).unwrap();
}
