//! What flow keeps for itself: links in its place, files of somebody else's, waits for it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flow_cache::{GcPolicy, Store};
use flow_testkit::files::{entries, folder, wait_for, write};
use flow_testkit::program::signal;
use flow_testkit::store::artifacts;
use flow_testkit::{Ended, Project, Run};

pub const ONE: &str = r#"
[stages.a]
use = "command"
run = ["sh", "-c", "echo x > $1", "a", "{out}"]
outputs = { out = "o.txt" }
[outputs]
"res.txt" = "a.out"
"#;

pub fn project() -> Project {
    let project = Project::with(ONE);
    project.write("flow.toml", "");
    project
}

/// Commands that look for `.flow`, or for what lies in it.
const COMMANDS: [&[&str]; 6] = [
    &["plan", "p.toml"],
    &["run", "p.toml"],
    &["runs"],
    &["cache", "stat"],
    &["cache", "verify"],
    &["cache", "gc", "--max-size", "0"],
];

#[test]
fn nothing_is_removed_through_a_link_in_the_place_of_a_folder_of_flows() {
    let places = [
        "",
        "scratch",
        "runs",
        "runs/actions",
        "logs",
        "store",
        "store/tmp",
        "store/records",
        "store/artifacts",
        "store/locks",
        "store/manifests",
        "store/quarantine",
    ];
    for place in places {
        for args in COMMANDS {
            let project = project();
            project.run(&["p.toml"]).ok();
            project.write("p.toml", ONE.replace("echo x", "echo y"));
            let own = project.path(".flow").join(place);
            let victim = folder();
            let key = "ab".repeat(32);
            // Also names such as flow gives.
            let names = [
                "thesis",
                "2024",
                "18ec0408a6eea78a-c37ada8489f6586b-unknown",
            ];
            for name in names {
                write(&victim.path().join(name).join("t.tex"), "x");
            }
            for name in ["note.txt", "list.json", "old.seg", key.as_str()] {
                write(&victim.path().join(name), "x");
            }
            let _ = std::fs::remove_dir_all(&own);
            symlink(victim.path(), place_of_link(&own)).expect("a link");
            let ended = project.flow(args);
            let said = ended.words();
            let left = names
                .iter()
                .all(|name| victim.path().join(name).join("t.tex").exists());
            let files = ["note.txt", "list.json", "old.seg", key.as_str()];
            let left = left && files.iter().all(|name| victim.path().join(name).exists());
            assert!(left, "{place} {args:?}: {said}");
            if ended.code != 0 {
                assert_eq!(ended.code, 2, "{place} {args:?}: {said}");
                assert!(
                    said.contains("flow::cache::link"),
                    "{place} {args:?}: {said}"
                );
                assert!(said.contains("--store DIR"), "{said}");
            }
            if args[0] == "run" {
                assert!(ended.code != 0, "{place}: {said}");
            }
        }
    }
}

/// A path to make a link at: without the slash that an empty part leaves.
fn place_of_link(path: &Path) -> std::path::PathBuf {
    path.components().collect()
}

#[test]
fn a_link_is_no_segment_and_no_lock() {
    let project = project();
    project.run(&["p.toml"]).ok();
    let aside = folder();
    // An empty one would be the first to be appended to.
    for (name, victim) in [("records/a.seg", "empty"), ("locks/commit", "new")] {
        let link = project.path(".flow/store").join(name);
        let _ = std::fs::remove_file(&link);
        symlink(aside.path().join(victim), link).expect("a link");
    }
    write(&aside.path().join("empty"), "");
    project.write("p.toml", ONE.replace("echo x", "echo y"));
    let ended = project.flow(&["run", "p.toml"]);
    assert!(ended.words().contains("flow::cache::link"), "{ended:?}");
    assert!(!aside.path().join("new").exists());
    project.remove(".flow/store/locks/commit");
    project.run(&["p.toml"]).ok();
    let size = |name| {
        std::fs::metadata(aside.path().join(name))
            .expect("a file")
            .len()
    };
    assert_eq!(size("empty"), 0);
}

#[test]
fn nothing_is_put_behind_a_link_among_the_artifacts() {
    let project = project();
    project.run(&["p.toml"]).ok();
    let aside = folder();
    for n in 0..256 {
        let folder = project.path(&format!(".flow/store/artifacts/{n:02x}"));
        let _ = std::fs::remove_dir_all(&folder);
        symlink(aside.path(), folder).expect("a link");
    }
    project.write("p.toml", ONE.replace("echo x", "echo y"));
    let ended = project.flow(&["run", "p.toml"]).with(2);
    assert!(ended.words().contains("flow::cache::link"), "{ended:?}");
    project.flow(&["cache", "gc", "--max-size", "0"]).with(0);
    assert_eq!(entries(aside.path()).len(), 0);
}

#[test]
fn what_somebody_else_left_in_flows_folders_stays() {
    let project = project();
    project.run(&["p.toml"]).ok();
    let foreign = [
        ".flow/scratch/12345/thesis.tex",
        ".flow/scratch/photos/1.jpg",
        ".flow/store/tmp/notes/1.txt",
        ".flow/store/quarantine/why.txt",
        ".flow/store/manifests/readme",
        ".flow/store/records/list.txt",
        ".flow/.outputs.flow-1-0",
        ".res.txt.flow-1-0",
    ];
    for name in foreign {
        project.write(name, "mine");
    }
    // What a killed run of flow's own leaves goes.
    let dead = "18ec0408a6eea78a-c37ada8489f6586b-unknown";
    for folder in [".flow/scratch", ".flow/store/tmp"] {
        project.write(&format!("{folder}/{dead}/lock"), "");
        project.write(&format!("{folder}/{dead}/0/home/x"), "debris");
    }
    project.write("p.toml", ONE.replace("echo x", "echo y"));
    project.run(&["p.toml"]).ok();
    project.flow(&["cache", "gc", "--max-size", "0"]).with(0);
    for name in foreign {
        assert_eq!(project.read(name), "mine", "{name}");
    }
    for folder in [".flow/scratch", ".flow/store/tmp"] {
        assert!(!project.path(folder).join(dead).exists(), "{folder}");
    }
}

#[test]
fn scratch_and_store_can_lie_elsewhere() {
    let project = project();
    let aside = folder();
    symlink(aside.path(), project.path(".flow/scratch")).expect("a link");
    let place = aside.path().display().to_string();
    let see = "pwd > $1; ls -d $(dirname $(dirname $PWD))/* >> $1 2> /dev/null || true";
    project.write("p.toml", ONE.replace("echo x > $1", see));
    project.run(&["p.toml", "--scratch", &place]).ok();
    let seen = project.read("res.txt");
    assert!(seen.starts_with(&place), "{seen}");
    assert_eq!(entries(aside.path()).len(), 0);
    // A link that the user names is the user's own.
    let link = project.path("elsewhere");
    symlink(aside.path(), &link).expect("a link");
    let with = [
        "p.toml",
        "--scratch",
        "elsewhere",
        "--store",
        "elsewhere/store",
    ];
    let mut command = project.command(&["run"]);
    let ended = Ended::run(command.args(with));
    assert!(ended.code == 0, "{ended:?}");
    assert!(aside.path().join("store/format").exists());
}

#[test]
fn a_fresh_checkout_over_a_warm_store_works() {
    let (one, two) = (project(), project());
    let store = folder();
    let store = store.path().join("store").display().to_string();
    one.run(&["p.toml", "--store", &store]).ok();
    for before in ["nothing", "a look"] {
        let _ = std::fs::remove_dir_all(two.path(".flow"));
        let _ = std::fs::remove_file(two.path("res.txt"));
        if before == "a look" {
            two.flow(&["plan", "p.toml", "--store", &store]).with(0);
        }
        let run = two.run(&["p.toml", "--store", &store]);
        run.ok();
        assert_eq!(run.ran(), []);
        assert_eq!(two.read("res.txt"), "x\n");
        let again = two.run(&["p.toml", "--store", &store]);
        assert_eq!(again.all("output-written").count(), 0);
        let out = ["export", "last", "a", "-o", "e.txt", "--store", &store];
        two.flow(&out).with(0);
    }
}

#[test]
fn a_wait_for_gc_says_so_and_obeys_the_first_signal() {
    let project = project();
    project.run(&["p.toml"]).ok();
    let (done, wait) = mpsc::channel::<()>();
    let (taken, ready) = mpsc::channel();
    std::thread::scope(|scope| {
        let place = project.path(".flow/store");
        scope.spawn(move || {
            let store = Store::open(&place).expect("a store");
            let policy = GcPolicy::default();
            let hold = |_: &flow_cache::GcReport| {
                taken.send(()).expect("somebody waits");
                let _ = wait.recv();
                true
            };
            store.gc_announced(&policy, hold).expect("collects");
        });
        ready.recv().expect("gc has the store");
        let run = project.start(&["run", "p.toml"]);
        std::thread::sleep(Duration::from_millis(1_500));
        let asked = Instant::now();
        signal(&run, libc::SIGINT);
        let ended = Ended::wait(run).with(130);
        drop(done);
        assert!(asked.elapsed() < Duration::from_secs(5));
        let words = ended.words();
        assert!(words.contains("waiting for another process"), "{words}");
        assert!(words.contains("in-use"), "{words}");
    });
    project.run(&["p.toml"]).ok();
}

#[test]
fn a_wait_for_an_action_of_another_run_says_so() {
    let project = project();
    let aside = folder();
    let slow = format!("touch {}/started; sleep 2; echo x", aside.path().display());
    project.write("p.toml", ONE.replace("echo x", &slow));
    let first = project.start(&["run", "-q", "p.toml"]);
    wait_for(&aside.path().join("started"));
    let second = project.run(&["p.toml"]);
    second.ok();
    assert_eq!(second.ran(), []);
    let words = "waiting for another process, which runs `run` of stage `a`";
    assert_eq!(second.stderr.matches(words).count(), 1, "{}", second.stderr);
    Ended::wait(first).with(0);
}

#[test]
fn an_output_is_remembered_whatever_its_name() {
    let project = project();
    let names = [
        "out/new\\nline.txt",
        "out/cr\\rx.txt",
        "out/back\\\\nslash.txt",
        "out/ü x.txt",
    ];
    let outputs = names.map(|name| format!("\"{name}\" = \"a\"\n")).concat();
    project.write("p.toml", ONE.replace("\"res.txt\" = \"a.out\"\n", &outputs));
    let written = |run: &Run| run.all("output-written").count();
    let first = project.run(&["p.toml"]);
    first.ok();
    assert_eq!(written(&first), names.len());
    assert_eq!(written(&project.run(&["p.toml"])), 0);
}

#[test]
fn gc_asks_before_more_than_half_goes_and_sizes_have_units() {
    let project = project();
    project.run(&["p.toml"]).ok();
    let gc = |args: &[&str]| project.flow(&[&["cache", "gc"], args].concat());
    let bare = gc(&["--max-size", "500"]).with(2);
    assert!(bare.words().contains("500MB"), "{bare:?}");
    for goal in [["--max-size", "1B"], ["--max-age", "0"]] {
        // The record of the last run stays, and with it all that the age takes.
        if goal[0] == "--max-age" {
            std::thread::sleep(Duration::from_millis(1_100));
            project.remove(".flow/runs");
        }
        let asked = gc(&goal).with(2);
        let words = asked.words();
        assert!(
            words.contains("flow::cache::much") && words.contains("--yes"),
            "{words}"
        );
        assert!(words.contains("2 B of 2 B"), "{words}");
        gc(&[&goal[..], &["--dry-run"]].concat()).with(0);
        let verify = project.flow(&["cache", "verify"]);
        assert!(verify.words().contains("1 artifact "), "{verify:?}");
    }
    assert_eq!(artifacts(&project.store()).len(), 1);
    gc(&["--max-size", "1B", "--yes"]).with(0);
    let verify = project.flow(&["cache", "verify"]);
    assert!(verify.words().contains("0 artifacts "), "{verify:?}");
}
