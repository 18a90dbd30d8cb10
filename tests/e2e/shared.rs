//! A remote that projects share, through the program.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_cache::{Record, Remote, RemoteOptions, Store, Tier};
use flow_testkit::files::{TempDir, entries, folder, read, tree};
use flow_testkit::program::signal;
use flow_testkit::{Ended, Project, Run};

/// Three commands in a row, and two files that the last one makes.
const THREE: &str = r#"
[stages.one]
use = "command"
run = ["sh", "-c", "cat in.txt > $1; sleep 0", "one", "{out}"]
files = ["in.txt"]
outputs = { out = "o.txt" }
[stages.two]
use = "command"
run = ["sh", "-c", "seq 1 5000 > $1; cat $2 >> $1", "two", "{out}", "{a}"]
inputs = { a = "one" }
outputs = { out = "o.txt" }
[stages.three]
use = "command"
run = ["sh", "-c", "tail -3 $2 > $1", "three", "{out}", "{a}"]
inputs = { a = "two" }
outputs = { out = "o.txt" }
[outputs]
"result.txt" = "three"
"#;

/// A team: a folder for the remote, and what `--remote` says of it.
struct Team {
    dir: TempDir,
    url: String,
}

impl Team {
    fn new() -> Self {
        let dir = folder();
        let url = format!("file://{}/cache", dir.path().display());
        Self { dir, url }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn write<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let more = ["--remote", &self.url, "--remote-mode", "read_write"];
        [args, &more].concat()
    }

    fn read<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--remote", &self.url]].concat()
    }
}

fn project() -> Project {
    let project = Project::with(THREE);
    project.write("in.txt", "something\n");
    project
}

#[test]
fn a_second_project_runs_nothing_and_fetches_only_what_it_delivers() {
    let team = Team::new();
    let first = project();
    let ran = first.run(&team.write(&["p.toml"]));
    assert_eq!(ran.ok()["remote"]["written"], 3);
    assert_eq!(ran.last()["remote"]["failed_writes"], 0);
    let second = project();

    let before = tree(&second.root);
    let plan = second.flow(&team.read(&["plan", "p.toml"])).with(0);
    assert!(
        plan.words().contains("three hit remote, "),
        "{}",
        plan.stdout
    );
    assert!(
        plan.words().contains("a run would fetch"),
        "{}",
        plan.stdout
    );
    let json = second.json(&team.read(&["plan", "p.toml"])).with(0);
    let end = json.event("plan-finished");
    assert_eq!(
        (&end["hit"], &end["run"], &end["remote"]),
        (&3.into(), &0.into(), &3.into())
    );
    let planned = end["fetch_bytes"].as_u64().unwrap();
    let mut after = tree(&second.root);
    after.retain(|path| !path.ends_with("stat") && !path.ends_with("versions"));
    assert_eq!(
        after, before,
        "a plan writes nothing besides what it knows of source files"
    );

    let again = second.run(&team.read(&["p.toml"]));
    assert_eq!(again.ok()["remote"]["hits"], 3);
    assert_eq!(again.last()["remote"]["fetched"], 1);
    assert_eq!(again.last()["remote"]["fetched_bytes"], planned);
    assert!(again.ran().is_empty());
    assert_eq!(again.digests(), ran.digests());
    assert_eq!(second.read("result.txt"), first.read("result.txt"));
    again.says("remote: 3 hits");
    // From now on, nothing is asked.
    let third = second.run(&team.read(&["p.toml"]));
    assert_eq!(third.ok()["remote"]["hits"], 0);
}

#[test]
fn what_runs_reads_what_others_made_with_every_executor() {
    for executor in ["local", "process"] {
        let team = Team::new();
        let first = project();
        first
            .run(&team.write(&["p.toml", "--executor", executor]))
            .ok();
        let second = project();
        second.edit("tail -3", "tail -2");
        let ran = second.run(&team.write(&["p.toml", "--executor", executor]));
        ran.ok();
        assert_eq!(ran.stages_that_ran(), ["three"]);
        assert_eq!(ran.last()["remote"]["written"], 1);
        assert_eq!(second.read("result.txt"), "5000\nsomething\n");
        // A third project has both.
        let third = project();
        third.edit("tail -3", "tail -2");
        let audit = ["p.toml", "--executor", executor, "--audit=3"];
        let audited = third.run(&team.read(&audit));
        audited.ok();
        assert_eq!(audited.last()["remote"]["hits"], 3);
    }
}

#[test]
fn settings_name_the_remote_and_reading_changes_nothing_there() {
    let team = Team::new();
    let first = project();
    first.run(&team.write(&["p.toml"])).ok();
    let before = tree(&team.folder());
    let second = project();
    second.write("flow.toml", format!("[cache]\nremote = {:?}\n", team.url));
    second.edit("tail -3", "tail -1");
    let ran = second.run(&["p.toml"]);
    assert_eq!(ran.ok()["remote"]["hits"], 2);
    assert_eq!(tree(&team.folder()), before);
    let without = second.run(&["p.toml", "--remote", "none"]);
    assert!(without.ok()["remote"].is_null());
    // What was made without it is written later.
    let pushed = second.json(&["cache", "push", "p.toml"]).with(0);
    assert_eq!(pushed.event("remote-pushed")["written"], 3);
    let third = project();
    third.write("flow.toml", format!("[cache]\nremote = {:?}\n", team.url));
    third.edit("tail -3", "tail -1");
    let pulled = third.json(&["cache", "pull", "p.toml"]).with(0);
    let pulled = pulled.event("remote-pulled");
    assert_eq!(
        (&pulled["hits"], &pulled["fetched"]),
        (&3.into(), &1.into())
    );
    third.write("flow.toml", "");
    assert!(third.run(&["p.toml"]).ran().is_empty());
    let all = third.json(&team.read(&["cache", "pull", "--all"])).with(0);
    assert_eq!(all.event("remote-pulled")["hits"], 1);
    let stat = second.json(&["cache", "stat", "--remote"]).with(0);
    assert_eq!(stat.event("remote-stat")["records"], 4);
    let other = project();
    let stat = other
        .json(&["cache", "stat", "--remote", &team.url])
        .with(0);
    assert_eq!(stat.event("remote-stat")["records"], 4);
    let dry = ["cache", "gc", "--remote", "--max-age", "0", "--dry-run"];
    let gone = second.json(&dry).with(0);
    assert_eq!(gone.event("remote-collected")["records"], 4);
    let gone = second.json(&dry[..5]).with(0);
    assert_eq!(gone.event("remote-collected")["records"], 4);
    // The artifacts are too young to go.
    assert_eq!(gone.event("remote-collected")["artifacts"], 0);
    let lonely = project();
    lonely.flow(&["cache", "push"]).with(2);
}

#[test]
fn signed_records_are_required_if_the_project_says_so() {
    let team = Team::new();
    let first = project();
    let made = first.json(&["cache", "keygen", "ci.key"]).with(0);
    let public = made.event("key-made")["public_key"]
        .as_str()
        .unwrap()
        .to_owned();
    first
        .flow(&["cache", "keygen", "ci.key"])
        .with(2)
        .says("ci.key");
    first.run(&team.write(&["p.toml"])).ok();
    let second = project();
    let settings = format!(
        "[cache]\nremote = {:?}\ntrust = \"signed\"\ntrusted = [\"{public} CI\"]\n",
        team.url
    );
    second.write("flow.toml", &settings);
    let ran = second.run(&["p.toml"]);
    assert_eq!(ran.total("ran"), 3);
    assert_eq!(ran.ok()["remote"]["refused"], 3);
    ran.says("is not signed");

    let secret = read(&first.path("ci.key"));
    let third = project();
    third.write("flow.toml", &settings);
    let writing = ["run", "p.toml", "--remote-mode", "read_write"];
    third.flow(&writing).with(2).says("FLOW_SIGNING_KEY");
    let mut signing = third.json_command(&writing);
    let signed: Run = Ended::run(signing.env("FLOW_SIGNING_KEY", &secret)).into();
    signed.ok();
    assert!(!format!("{signed:?}").contains(secret.trim().rsplit(':').next().unwrap()));
    let fourth = project();
    fourth.write("flow.toml", &settings);
    let ran = fourth.run(&["p.toml"]);
    assert_eq!(ran.ok()["remote"]["hits"], 3);

    // Who only reads need not have the key.
    fourth.write(
        "flow.toml",
        settings.replace("trust = ", "signing_key = \"no\"\ntrust = "),
    );
    fourth.flow(&["plan", "p.toml"]).with(0);
    let keyless = fourth.flow(&writing).with(2);
    keyless.says("flow::remote::config").says("flow.toml:3");
    // Nobody writes what the own project would not use.
    fourth.flow(&["cache", "keygen", "other.key"]).with(0);
    fourth.write(
        "flow.toml",
        settings.replace("trust = ", "signing_key = \"other.key\"\ntrust = "),
    );
    let untrusted = fourth.flow(&writing).with(2);
    untrusted.says("flow::remote::trust").says("does not trust");
    let mut wrong = fourth.command(&["plan", "p.toml", "--remote", "none"]);
    assert_eq!(Ended::run(&mut wrong).code, 0);
}

#[test]
fn a_made_up_record_without_outputs_costs_a_run_and_no_more() {
    for executor in ["local", "process"] {
        let team = Team::new();
        let first = project();
        let ran = first.run(&["p.toml"]);
        put_empty_records(&first, &team.url);
        let second = project();
        let plan = second.flow(&team.read(&["plan", "p.toml"])).with(0);
        assert!(plan.words().contains("one run"), "{}", plan.stdout);
        second.flow(&team.read(&["cache", "pull", "--all"])).with(0);
        let run = ["p.toml", "--executor", executor];
        let again = second.run(&team.write(&run));
        again.ok();
        assert_eq!(again.digests(), ran.digests());
        assert_eq!(again.ran().len(), 3);
        // From now on, there is nothing wrong any more, neither here nor there.
        assert!(second.run(&["p.toml"]).ran().is_empty());
        assert!(project().run(&team.read(&["p.toml"])).ran().is_empty());
    }
}

/// Writes records without outputs under the keys that a project has.
fn put_empty_records(project: &Project, url: &str) {
    let dir = folder();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let options = RemoteOptions {
        url: url.to_owned(),
        write: true,
        writer: "mallory".to_owned(),
        ..RemoteOptions::default()
    };
    let remote = Arc::new(Remote::open(options, dir.path()).unwrap());
    store.put_behind(remote.clone());
    let true_ones = Store::open(&project.store()).unwrap();
    let put = |record: &Record| {
        let made_up = Record {
            outputs: Vec::new(),
            log: None,
            ..record.clone()
        };
        store.commit(vec![(made_up, Vec::new())]).unwrap();
        store.offer(record.key);
    };
    true_ones.for_each_record(put).unwrap();
    assert_eq!(remote.finish(&|| false, &mut |_| {}), 0);
    assert_eq!(remote.traffic().written, 3);
}

#[test]
fn secrets_that_a_job_does_not_get_are_none() {
    let team = Team::new();
    project().run(&team.write(&["p.toml"])).ok();
    let empty = [
        "FLOW_SIGNING_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ];
    let reader = project();
    let mut plan = reader.command(&team.read(&["plan", "p.toml"]));
    let plan = Ended::run(plan.envs(empty.map(|name| (name, ""))));
    assert!(plan.with(0).words().contains("three hit remote"));
    // A whole key has two parts, and an endpoint is an address.
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_ENDPOINT", "minio.example"),
    ] {
        let mut plan = reader.command(&["plan", "p.toml", "--remote", "s3://bucket/x"]);
        let plan = Ended::run(plan.env("AWS_SKIP_SIGNATURE", "true").env(name, value));
        plan.with(2).says("flow::remote::config").says(name);
    }
}

#[test]
fn mistakes_in_settings_and_urls_are_shown_with_their_place() {
    let project = project();
    project.write("flow.toml", "[cache]\nremot = \"file:x\"\n");
    let said = project.flow(&["plan", "p.toml"]).with(2);
    said.says("flow.toml:2").says("did you mean `remote`");
    let wrong = [
        "ftp://x/y",
        "https://me:secret@x/y",
        "https://x/y?token=z",
        "nowhere",
    ];
    for url in wrong {
        project.write("flow.toml", format!("[cache]\nremote = {url:?}\n"));
        let said = project.flow(&["run", "p.toml"]).with(2);
        said.says("flow::remote::config").says("flow.toml:2");
    }
    project.write("flow.toml", "");
    let said = project.flow(&["cache", "stat", "--remote"]).with(2);
    said.says("flow::remote::none");
    let said = project
        .flow(&["cache", "pull", "--all", "--remote", "file:no"])
        .with(2);
    said.says("flow::remote::absent").says("this project alone");
}

/// A server that refuses all that is written, and has nothing.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut bytes) {
                    let status = match bytes[..n].starts_with(b"PUT") {
                        true => "403 Forbidden",
                        false => "404 Not Found",
                    };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn failed_writes_are_in_the_summary_and_in_the_exit_code_where_asked() {
    let url = refusing();
    let project = project();
    let writing = ["p.toml", "--remote", &url, "--remote-mode", "read_write"];
    let ran = project.run(&writing);
    assert_eq!(ran.ok()["remote"]["failed_writes"], 3);
    ran.says("3 NOT WRITTEN")
        .says("flow cache push")
        .says("nothing more is written");
    let strict = self::project();
    strict.write("flow.toml", "[cache]\non_write_failure = \"fail\"\n");
    let ran = strict.run(&writing).with(4);
    assert_eq!(ran.last()["remote"]["failed_writes"], 3);
    ran.says("flow::remote::unwritten");
    assert!(strict.path("result.txt").is_file());
    let pushed = strict.flow(&["cache", "push", "--remote", &url]).with(4);
    pushed.says("flow::remote::unwritten");
}

#[test]
fn a_remote_that_hangs_holds_up_no_run_and_no_end() {
    // Nobody accepts, so that every request waits for its answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let project = project();
    let begin = Instant::now();
    let child = project.start(&[
        "run",
        "p.toml",
        "--remote",
        &url,
        "--remote-mode",
        "read_write",
    ]);
    while !project.path("result.txt").is_file() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "it goes on without the remote"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    let stopped = Instant::now();
    signal(&child, libc::SIGINT);
    let ran = Run::wait(child);
    assert!(
        stopped.elapsed() < Duration::from_secs(2),
        "{:?}",
        stopped.elapsed()
    );
    ran.says("could not be written");
    assert!(entries(Path::new(&project.store())).len() > 3);
}
