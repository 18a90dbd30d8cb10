//! What flow keeps for itself: links in its place, files of somebody else's, permissions, limits.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use flow_cache::{GcPolicy, Store};

use crate::harness::{Project, Run};

/// Nobody in particular, as whom root runs what permissions are to stop.
const NOBODY: u32 = 65_534;

const ONE: &str = r#"
[stages.a]
use = "command"
run = ["sh", "-c", "echo x > $1", "a", "{out}"]
outputs = { out = "o.txt" }
[outputs]
"res.txt" = "a.out"
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("flow.toml", "");
    project.write("p.toml", ONE);
    project
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    // Long lines are folded, in a frame.
    let text = String::from_utf8_lossy(&all).replace('│', " ");
    Vec::from_iter(text.split_whitespace()).join(" ")
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("permissions");
}

/// Runs a shell script in the project as a user for whom permissions count. None: that cannot be.
fn as_nobody(project: &Project, script: &str) -> Option<Output> {
    let flow = env!("CARGO_BIN_EXE_flow");
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .env("FLOW", flow)
        .env_remove("FLOW_STORE")
        .current_dir(project.path(""));
    if std::fs::metadata("/proc/self").expect("a process").uid() == 0 {
        let mut chown = Command::new("chown");
        chown
            .args(["-R", &NOBODY.to_string()])
            .arg(project.path(""));
        assert!(chown.status().expect("chown starts").success());
        command.uid(NOBODY).gid(NOBODY);
        let mut version = Command::new(flow);
        version.arg("--version").uid(NOBODY).gid(NOBODY);
        if version.output().is_err() {
            println!("skipped: another user cannot run the binary where it lies");
            return None;
        }
    }
    Some(command.output().expect("a shell"))
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
            let victim = tempfile::tempdir().expect("a folder");
            let key = "ab".repeat(32);
            // Also names such as flow gives.
            let names = [
                "thesis",
                "2024",
                "18ec0408a6eea78a-c37ada8489f6586b-unknown",
            ];
            for name in names {
                std::fs::create_dir(victim.path().join(name)).expect("a folder");
                std::fs::write(victim.path().join(name).join("t.tex"), "x").expect("writes");
            }
            for name in ["note.txt", "list.json", "old.seg", key.as_str()] {
                std::fs::write(victim.path().join(name), "x").expect("writes");
            }
            let _ = std::fs::remove_dir_all(&own);
            symlink(victim.path(), place_of_link(&own)).expect("a link");
            let ended = project.flow(args);
            let said = said(&ended);
            let left = names
                .iter()
                .all(|name| victim.path().join(name).join("t.tex").exists());
            let files = ["note.txt", "list.json", "old.seg", key.as_str()];
            let left = left && files.iter().all(|name| victim.path().join(name).exists());
            assert!(left, "{place} {args:?}: {said}");
            if !ended.status.success() {
                assert_eq!(ended.status.code(), Some(2), "{place} {args:?}: {said}");
                assert!(
                    said.contains("flow::cache::link"),
                    "{place} {args:?}: {said}"
                );
                assert!(said.contains("--store DIR"), "{said}");
            }
            if args[0] == "run" {
                assert!(!ended.status.success(), "{place}: {said}");
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
    let aside = tempfile::tempdir().expect("a folder");
    // An empty one would be the first to be appended to.
    for (name, victim) in [("records/a.seg", "empty"), ("locks/commit", "new")] {
        let link = project.path(".flow/store").join(name);
        let _ = std::fs::remove_file(&link);
        symlink(aside.path().join(victim), link).expect("a link");
    }
    std::fs::write(aside.path().join("empty"), "").expect("writes");
    project.write("p.toml", ONE.replace("echo x", "echo y"));
    let ended = project.flow(&["run", "p.toml"]);
    assert!(said(&ended).contains("flow::cache::link"), "{ended:?}");
    assert!(!aside.path().join("new").exists());
    std::fs::remove_file(project.path(".flow/store/locks/commit")).expect("removes");
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
    let aside = tempfile::tempdir().expect("a folder");
    for n in 0..256 {
        let folder = project.path(&format!(".flow/store/artifacts/{n:02x}"));
        let _ = std::fs::remove_dir_all(&folder);
        symlink(aside.path(), folder).expect("a link");
    }
    project.write("p.toml", ONE.replace("echo x", "echo y"));
    let ended = project.flow(&["run", "p.toml"]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(said(&ended).contains("flow::cache::link"), "{ended:?}");
    let gc = project.flow(&["cache", "gc", "--max-size", "0"]);
    assert!(gc.status.success(), "{gc:?}");
    let mut left = std::fs::read_dir(aside.path()).expect("a listing");
    assert!(left.next().is_none());
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
    let gc = project.flow(&["cache", "gc", "--max-size", "0"]);
    assert!(gc.status.success(), "{gc:?}");
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
    let aside = tempfile::tempdir().expect("a folder");
    symlink(aside.path(), project.path(".flow/scratch")).expect("a link");
    let place = aside.path().display().to_string();
    let see = "pwd > $1; ls -d $(dirname $(dirname $PWD))/* >> $1 2> /dev/null || true";
    project.write("p.toml", ONE.replace("echo x > $1", see));
    project.run(&["p.toml", "--scratch", &place]).ok();
    let seen = project.read("res.txt");
    assert!(seen.starts_with(&place), "{seen}");
    assert!(
        std::fs::read_dir(aside.path())
            .expect("a listing")
            .next()
            .is_none()
    );
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
    let ended = command.args(with).output().expect("flow starts");
    assert!(ended.status.success(), "{ended:?}");
    assert!(aside.path().join("store/format").exists());
}

#[test]
fn a_fresh_checkout_over_a_warm_store_works() {
    let (one, two) = (project(), project());
    let store = tempfile::tempdir().expect("a folder");
    let store = store.path().join("store").display().to_string();
    one.run(&["p.toml", "--store", &store]).ok();
    for before in ["nothing", "a look"] {
        let _ = std::fs::remove_dir_all(two.path(".flow"));
        let _ = std::fs::remove_file(two.path("res.txt"));
        if before == "a look" {
            let plan = two.flow(&["plan", "p.toml", "--store", &store]);
            assert!(plan.status.success(), "{plan:?}");
        }
        let run = two.run(&["p.toml", "--store", &store]);
        run.ok();
        assert_eq!(run.ran(), []);
        assert_eq!(two.read("res.txt"), "x\n");
        let again = two.run(&["p.toml", "--store", &store]);
        assert!(!again.events.iter().any(|e| e["event"] == "output-written"));
        let out = ["export", "last", "a", "-o", "e.txt", "--store", &store];
        let export = two.flow(&out);
        assert!(export.status.success(), "{export:?}");
    }
}

#[test]
fn a_read_only_project_runs_but_for_its_outputs() {
    let project = project();
    let store = tempfile::tempdir().expect("a folder");
    set_mode(store.path(), 0o777);
    project.write("q.toml", ONE.split("[outputs]").next().expect("text"));
    let script = format!(
        r#"rm -rf .flow; chmod a-w .; S={0}/store; X={0}/scratch
        "$FLOW" plan p.toml; echo "plan $?"
        "$FLOW" explain p.toml a > /dev/null; echo "explain $?"
        "$FLOW" run q.toml --store $S; echo "no scratch $?"
        "$FLOW" run q.toml --store $S --scratch $X; echo "ran $?"
        "$FLOW" run q.toml --store $S; echo "hit $?"
        "$FLOW" run p.toml --store $S; echo "outputs $?"
        chmod u+w ."#,
        store.path().display()
    );
    let Some(ended) = as_nobody(&project, &script) else {
        return;
    };
    let (out, err) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    for line in [
        "plan 0",
        "explain 0",
        "no scratch 4",
        "ran 0",
        "hit 0",
        "outputs 4",
    ] {
        assert!(out.lines().any(|l| l == line), "no `{line}`:\n{out}\n{err}");
    }
    // Once a run, and none that a store would help.
    assert_eq!(err.matches("leaves no note").count(), 4, "{err}");
    assert!(err.contains("--scratch DIR"), "{err}");
    assert!(!err.contains("--store DIR"), "{err}");
}

#[test]
fn rights_that_a_program_took_away_are_given_back() {
    for what in ["artifacts/*/*", "artifacts/*", "records/*.seg"] {
        let project = project();
        let script = format!(
            r#""$FLOW" run -q p.toml || exit 1; rm res.txt; chmod 000 .flow/store/{what}
            "$FLOW" cache verify || exit 2; chmod 000 .flow/store/{what}
            "$FLOW" run p.toml || exit 3
            chmod 000 .flow/store/{what}; "$FLOW" cache gc --max-size 0 || exit 4
            "$FLOW" run p.toml || exit 5"#
        );
        let Some(ended) = as_nobody(&project, &script) else {
            return;
        };
        assert!(ended.status.success(), "{what}: {ended:?}");
        assert_eq!(project.read("res.txt"), "x\n");
    }
}

#[test]
fn who_may_not_read_a_source_may_not_read_what_is_made_of_it() {
    let project = project();
    project.write("in.csv", "secret\n");
    project.write(
        "p.toml",
        r#"
        [stages.result]
        use = "command"
        run = ["sh", "-c", "echo private > $1; chmod 600 $1", "-", "{out}"]
        outputs = { out = "o" }
        [stages.below]
        use = "command"
        run = ["sh", "-c", "cat $1 > $2; echo below >> $2", "-", "{result}", "{out}"]
        inputs = { result = "result" }
        outputs = { out = "o" }
        [stages.source]
        use = "command"
        run = ["cp", "in.csv", "{out}"]
        files = ["in.csv"]
        outputs = { out = "o" }
        [stages.public]
        use = "command"
        run = ["sh", "-c", "echo public > $1", "-", "{out}"]
        outputs = { out = "o" }
        [outputs]
        "result.txt" = "result"
        "below.txt" = "below"
        "source.txt" = "source"
        "public.txt" = "public"
        "#,
    );
    set_mode(&project.path("in.csv"), 0o640);
    let script = r#"umask 022; "$FLOW" run p.toml"#;
    let run = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(project.path(""));
        command
            .env("FLOW", env!("CARGO_BIN_EXE_flow"))
            .env_remove("FLOW_STORE");
        let ended = command.output().expect("a shell");
        assert!(ended.status.success(), "{ended:?}");
    };
    run(script);
    let modes = |names: [&str; 4]| names.map(|name| mode(&project.path(name)));
    let names = ["result.txt", "below.txt", "source.txt", "public.txt"];
    assert_eq!(modes(names), [0o600, 0o600, 0o640, 0o644]);
    let artifacts = project.path(".flow/store/artifacts");
    let mut all: Vec<u32> = std::fs::read_dir(artifacts)
        .expect("a listing")
        .flat_map(|folder| std::fs::read_dir(folder.expect("a folder").path()).expect("a listing"))
        .map(|file| mode(&file.expect("a file").path()))
        .collect();
    all.sort_unstable();
    assert_eq!(all, [0o400, 0o400, 0o440, 0o444]);
    // A umask that lets nobody else read holds for all.
    std::fs::remove_dir_all(project.path(".flow")).expect("removes");
    run(r#"umask 077; rm -f *.txt; "$FLOW" run p.toml"#);
    assert_eq!(modes(names), [0o600; 4]);
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
        let run = project
            .command(&["run", "p.toml"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("flow starts");
        std::thread::sleep(Duration::from_millis(1_500));
        let asked = Instant::now();
        let mut kill = Command::new("kill");
        let asks = kill.args(["-INT", &run.id().to_string()]).status();
        assert!(asks.expect("kill starts").success());
        let ended = run.wait_with_output().expect("ends");
        drop(done);
        assert!(asked.elapsed() < Duration::from_secs(5));
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        let words = said(&ended);
        assert!(words.contains("waiting for another process"), "{words}");
        assert!(words.contains("in-use"), "{words}");
    });
    project.run(&["p.toml"]).ok();
}

#[test]
fn a_wait_for_an_action_of_another_run_says_so() {
    let project = project();
    let aside = tempfile::tempdir().expect("a folder");
    let slow = format!("touch {}/started; sleep 2; echo x", aside.path().display());
    project.write("p.toml", ONE.replace("echo x", &slow));
    let mut first = project
        .command(&["run", "-q", "p.toml"])
        .spawn()
        .expect("flow starts");
    while !aside.path().join("started").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = project.run(&["p.toml"]);
    second.ok();
    assert_eq!(second.ran(), []);
    let words = "waiting for another process, which runs `run` of stage `a`";
    assert_eq!(second.stderr.matches(words).count(), 1, "{}", second.stderr);
    assert!(first.wait().expect("ends").success());
}

#[test]
fn the_log_of_what_read_a_private_file_is_private() {
    let project = project();
    project.write("in.csv", "secret\n");
    project.write(
        "p.toml",
        r#"
        [stages.a]
        use = "command"
        run = ["sh", "-c", "cat in.csv; exit 1"]
        files = ["in.csv"]
        outputs = { out = "o" }
        "#,
    );
    for (source, expected) in [(0o600, 0o600), (0o640, 0o640), (0o644, 0o644)] {
        set_mode(&project.path("in.csv"), source);
        let mut command = Command::new("sh");
        command.args(["-c", r#"umask 022; "$FLOW" run p.toml"#]);
        command
            .current_dir(project.path(""))
            .env_remove("FLOW_STORE");
        command.env("FLOW", env!("CARGO_BIN_EXE_flow"));
        let ended = command.output().expect("a shell");
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let log = std::fs::read_dir(project.path(".flow/logs"))
            .expect("a listing")
            .next();
        let log = log.expect("a log").expect("a log").path();
        assert_eq!(mode(&log), expected, "{source:o}");
    }
}

#[test]
fn what_a_dead_run_left_closed_is_swept() {
    let project = project();
    let dead = ".flow/scratch/18ec0408a6eea78a-c37ada8489f6586b-unknown";
    project.write(&format!("{dead}/lock"), "");
    project.write(&format!("{dead}/0/home/closed/x/y"), "debris");
    project.write(&format!("{dead}/0/home/shut/x/y"), "debris");
    let script = format!(
        r#"chmod 555 {dead}/0/home/closed/x; chmod 500 {dead}/0/home/closed
        chmod 000 {dead}/0/home/shut; "$FLOW" run -q p.toml; r=$?; ls {dead} 2>/dev/null; exit $r"#
    );
    let Some(ended) = as_nobody(&project, &script) else {
        return;
    };
    assert!(ended.status.success(), "{ended:?}");
    assert!(!project.path(dead).exists(), "{ended:?}");
}

#[test]
fn a_limit_of_file_sizes_is_an_error_of_the_environment() {
    let project = project();
    project.write(
        "big.toml",
        "[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\nlabelled = 200\npositives = 20\n\
         unlabelled = 0\n",
    );
    let big = ONE.replace("echo x", "head -c 100000 /dev/zero");
    project.write("p.toml", big);
    let limited = |pipeline: &str| {
        let script = format!("ulimit -f 20; \"$FLOW\" run -q {pipeline}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(project.path(""));
        command
            .env("FLOW", env!("CARGO_BIN_EXE_flow"))
            .env_remove("FLOW_STORE");
        command.output().expect("a shell")
    };
    let own = limited("big.toml");
    assert_eq!(own.status.code(), Some(4), "{own:?}");
    assert!(said(&own).contains("File too large"), "{own:?}");
    // A program has the signal as everywhere.
    let program = limited("p.toml");
    assert_eq!(program.status.code(), Some(1), "{program:?}");
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
    let written = |run: &Run| {
        let events = run.events.iter();
        events
            .filter(|event| event["event"] == "output-written")
            .count()
    };
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
    let bare = gc(&["--max-size", "500"]);
    assert_eq!(bare.status.code(), Some(2), "{bare:?}");
    assert!(said(&bare).contains("500MB"), "{bare:?}");
    let artifacts = || {
        project
            .path(".flow/store/artifacts")
            .read_dir()
            .expect("a folder")
            .count()
    };
    for goal in [["--max-size", "1B"], ["--max-age", "0"]] {
        // The record of the last run stays, and with it all that the age takes.
        if goal[0] == "--max-age" {
            std::thread::sleep(Duration::from_millis(1_100));
            std::fs::remove_dir_all(project.path(".flow/runs")).expect("removes");
        }
        let asked = gc(&goal);
        assert_eq!(asked.status.code(), Some(2), "{asked:?}");
        let words = said(&asked);
        assert!(
            words.contains("flow::cache::much") && words.contains("--yes"),
            "{words}"
        );
        assert!(words.contains("2 B of 2 B"), "{words}");
        let dry = gc(&[&goal[..], &["--dry-run"]].concat());
        assert!(dry.status.success(), "{dry:?}");
        let verify = project.flow(&["cache", "verify"]);
        assert!(said(&verify).contains("1 artifact "), "{verify:?}");
    }
    assert_eq!(artifacts(), 1);
    let meant = gc(&["--max-size", "1B", "--yes"]);
    assert!(meant.status.success(), "{meant:?}");
    let verify = project.flow(&["cache", "verify"]);
    assert!(said(&verify).contains("0 artifacts "), "{verify:?}");
}
