//! Permissions and limits: what flow may not do, what it must not let others do, and what it gives back.

use flow_testkit::files::{entries, folder, mode, set_mode};
use flow_testkit::store::artifacts;
use flow_testkit::{Ended, Project, program};

use crate::own_folders::{ONE, project};

/// Runs a shell script in the project as a user for whom permissions count. None: that cannot be.
fn as_nobody(project: &Project, script: &str) -> Option<Ended> {
    program::as_nobody(project, project.shell(script)).map(|mut shell| Ended::run(&mut shell))
}

#[test]
fn a_read_only_project_runs_but_for_its_outputs() {
    let project = project();
    let store = folder();
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
    let (out, err) = (ended.stdout, ended.stderr);
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
        assert!(ended.code == 0, "{what}: {ended:?}");
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
    let run = |script: &str| Ended::run(&mut project.shell(script)).with(0);
    run(script);
    let modes = |names: [&str; 4]| names.map(|name| mode(&project.path(name)));
    let names = ["result.txt", "below.txt", "source.txt", "public.txt"];
    assert_eq!(modes(names), [0o600, 0o600, 0o640, 0o644]);
    let all = artifacts(&project.store());
    let mut all = Vec::from_iter(all.iter().map(|path| mode(path)));
    all.sort_unstable();
    assert_eq!(all, [0o400, 0o400, 0o440, 0o444]);
    // A umask that lets nobody else read holds for all.
    project.remove(".flow");
    run(r#"umask 077; rm -f *.txt; "$FLOW" run p.toml"#);
    assert_eq!(modes(names), [0o600; 4]);
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
        let mut shell = project.shell(r#"umask 022; "$FLOW" run p.toml"#);
        Ended::run(&mut shell).with(1);
        let log = &entries(&project.path(".flow/logs"))[0];
        assert_eq!(mode(log), expected, "{source:o}");
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
    assert!(ended.code == 0, "{ended:?}");
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
        Ended::run(&mut project.shell(&script))
    };
    let own = limited("big.toml").with(4);
    assert!(own.words().contains("File too large"), "{own:?}");
    // A program has the signal as everywhere.
    limited("p.toml").with(1);
}
