//! Actions in processes of their own: everything is as with threads, and deaths are survived.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow_cache::{GcPolicy, Store};
use flow_engine::explain::Reason;
use flow_engine::kind::{
    Action, Fault, KindSpec, OutputPort, Ports, Resources, Scope, Stage, StageError, Step, Usage,
};
use flow_engine::kind::{ParamSpec, ParamType};
use flow_engine::run::options::Executor;
use flow_engine::run::options::ProcessOptions;
use flow_engine::run::process::StageExec;
use flow_engine::run::report::progress_json;

use crate::harness::{Project, Ran};
use crate::kinds::{Control, registry};
use crate::{ALL, LEARN, fresh, model};
use flow_testkit::files::{entries, read, wait_for, wait_until, write};
use flow_testkit::store;

/// This test binary, asked to run [`child`] alone.
pub fn executor() -> Executor {
    let script = "FLOW_TEST_STORE=\"$2\" FLOW_TEST_JOBS=\"$4\" FLOW_TEST_KEY=\"$5\" \
                  exec \"$0\" --quiet --exact process::child --nocapture";
    let program = std::env::current_exe().unwrap();
    Executor::Process(ProcessOptions {
        command: vec!["/bin/sh".into(), "-c".into(), script.into(), program.into()],
    })
}

/// What `flow stage-exec` is to `flow`; no test of its own.
#[test]
#[allow(clippy::print_stdout)] // its report is read by who called it
fn child() {
    let Ok(store) = std::env::var("FLOW_TEST_STORE") else {
        return;
    };
    let key = std::env::var("FLOW_TEST_KEY").unwrap().parse().unwrap();
    let jobs = std::env::var("FLOW_TEST_JOBS").unwrap().parse().unwrap();
    let store = Store::open(Path::new(&store)).unwrap();
    let control = Control::new();
    // A test that changes the version leaves word of it.
    if let Ok(version) = std::fs::read_to_string(store.dir().join("../version")) {
        control
            .version
            .store(version.parse().unwrap(), Ordering::SeqCst);
    }
    let registry = registry(&control);
    let never = AtomicBool::new(false);
    let report = StageExec {
        store: &store,
        registry: &registry,
        jobs,
        cancel: &never,
        progress: &|progress| println!("{}", progress_json(progress)),
        scratch: None,
        gpus: &[],
    }
    .run(&key);
    println!("{}", report.to_json(&key));
    std::process::exit(0);
}

/// A stage whose moods befall a whole process.
pub struct Moody;

const MOODS: &[&str] = &[
    "calm",
    "data",
    "die",
    "die_once",
    "starve_once",
    "crash",
    "exit",
    "log",
    "log_fail",
    "log_panic",
    "greedy",
];

impl Stage for Moody {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "moody",
            version: 1,
            about: "A kind for tests.",
            ports: Ports {
                inputs: Vec::new(),
                outputs: vec![OutputPort::of("rows", "rows", 0, "An output.")],
            },
            params: vec![
                ParamSpec::choice("how", "calm", MOODS, "What it does."),
                ParamSpec::new("count", ParamType::Path, "Gets a line a run.")
                    .optional()
                    .unkeyed(),
                ParamSpec::int("retries", 0, 0, 9, "How often it is tried again.").unkeyed(),
            ],
            steps: vec![Step::new("be", Scope::Whole).writes("rows")],
        }
    }

    fn resources(&self, params: &flow_engine::Params) -> Resources {
        Resources {
            retries: params.read::<i64>("retries") as u32,
            ..Resources::default()
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let mut before = String::new();
        if let Some(path) = action.params.read::<Option<&str>>("count") {
            before = std::fs::read_to_string(path).unwrap_or_default();
            std::fs::write(path, format!("{before}run\n"))?;
        }
        let how = action.params.read::<&str>("how");
        if how.starts_with("log") {
            action.log(b"a long story\n".to_vec());
        }
        match how {
            "data" => {
                let error = StageError::data("flow::test::data", "a row is \"bad\"\n");
                return Err(error.help("mend it").help("or leave it out"));
            }
            "die" => end(libc::SIGKILL),
            "die_once" if before.is_empty() => end(libc::SIGKILL),
            "starve_once" if before.is_empty() => {
                let code = "flow::executor::out_of_memory";
                return Err(StageError::new(Fault::Environment, code, "told to starve"));
            }
            "crash" => std::process::abort(),
            "exit" => std::process::exit(0),
            "log_fail" => return Err(StageError::failed("flow::test::told", "told to fail")),
            "log_panic" => panic!("told to panic"),
            "greedy" => action.used(Usage {
                cpu_s: 1000.0,
                peak_rss: 77 << 40,
            }),
            _ => {}
        }
        action.write("rows", b"calm\n", Vec::new())
    }
}

pub fn end(signal: libc::c_int) {
    // SAFETY: a system call on this process, which it ends.
    unsafe { libc::kill(libc::getpid(), signal) };
    std::thread::sleep(Duration::from_secs(60));
}

pub fn moody(how: &str, more: &str) -> Project {
    let mut project = Project::new(&format!(
        "[stages.moody]\nuse = \"moody\"\nhow = \"{how}\"\n{more}\n"
    ));
    project.executor = executor();
    project
}

pub fn failure(ran: &Ran) -> &StageError {
    assert_eq!(ran.failures.len(), 1, "{:?}", ran.failures);
    &ran.failures[0].1
}

#[test]
fn results_are_those_of_threads() {
    let local = fresh().expect(&ALL);
    let mut project = fresh();
    project.executor = executor();
    let ran = project.expect(&ALL);
    assert_eq!(ran.digests, local.digests);
    assert_eq!(ran.counts, local.counts);
    assert_eq!(ran.keys, local.keys);
    for (name, record) in &ran.records {
        assert!(record.cpu_s > 0.0 && record.wall_s > 0.0, "{name}");
        assert_eq!(record.read_bytes, local.records[name].read_bytes, "{name}");
    }
    assert!(local.records["read: read a"].read_bytes == "a1 x apple\na2 y avocado\n".len() as u64);
    project.assert_no_debris();
    project.expect(&[]);
    project.executor = Executor::Local;
    project.expect(&[]);
}

#[test]
fn random_pipelines_under_random_edits_and_damage() {
    for seed in 0..4 {
        model::case(seed, 3, executor());
    }
}

#[test]
fn failures_are_those_of_threads() {
    for how in ["data", "log_fail", "log_panic"] {
        let mut project = moody(how, "");
        let process = project.run();
        project.executor = Executor::Local;
        let local = project.run();
        let (process, local) = (failure(&process), failure(&local));
        assert_eq!(process.fault, local.fault);
        assert_eq!(process.code, local.code);
        assert_eq!(process.message, local.message);
        assert_eq!((&process.help, &process.log), (&local.help, &local.log));
        assert!(local.hints().next().is_some());
        project.assert_no_debris();
    }
}

#[test]
fn the_log_of_a_failure_is_kept_beside_and_that_of_a_success_with_the_record() {
    for executor in [Executor::Local, executor()] {
        let mut project = moody("log_fail", "");
        project.executor = executor;
        let ran = project.run();
        let path = project.root.join(".flow/logs/moody-be.log");
        let error = failure(&ran);
        assert_eq!((error.help.len(), error.log.as_ref()), (0, Some(&path)));
        let line = format!("the whole log: {}", path.display());
        assert!(error.hints().eq([line]));
        assert_eq!(read(&path), "a long story\n");
        project.edit("log_fail", "log");
        let ran = project.expect(&["moody: be"]);
        let log = ran.records["moody: be"].log.clone().unwrap();
        let store = Store::open(&project.store()).unwrap();
        let text = read(&store.path(&log.digest));
        assert_eq!((text.as_str(), log.size), ("a long story\n", 13));
    }
}

#[test]
fn what_a_program_used_counts() {
    for executor in [Executor::Local, executor()] {
        let mut project = moody("greedy", "");
        project.executor = executor;
        let ran = project.expect(&["moody: be"]);
        let record = &ran.records["moody: be"];
        assert!(record.cpu_s >= 1000.0 && record.cpu_s < 1010.0);
        assert_eq!(record.peak_rss, 77 << 40);
    }
    let ran = moody("calm", "").expect(&["moody: be"]);
    assert!(ran.records["moody: be"].peak_rss > 1 << 20);
}

#[test]
fn a_death_is_tried_once_more_and_then_reported() {
    let project = moody("die", "count = \"count\"");
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::executor::signal");
    assert_eq!(failure(&ran).fault, Fault::Environment);
    assert!(
        failure(&ran).message.contains("SIGKILL"),
        "{ran:?}",
        ran = failure(&ran)
    );
    assert_eq!(ran.warnings.len(), 1, "{:?}", ran.warnings);
    assert!(ran.warnings[0].contains("once more"));
    assert_eq!(project.read("count"), "run\nrun\n");
    project.assert_no_debris();
    let ran = moody("crash", "").run();
    assert_eq!(failure(&ran).code.as_str(), "flow::executor::signal");
    assert_eq!(failure(&ran).fault, Fault::Bug);
}

#[test]
fn a_death_is_survived() {
    let project = moody("die_once", "count = \"count\"");
    let ran = project.expect(&["moody: be"]);
    assert_eq!(ran.warnings.len(), 1, "{:?}", ran.warnings);
    assert_eq!(project.read("count"), "run\nrun\n");
    project.assert_no_debris();
    project.expect(&[]);
}

#[test]
fn only_what_retries_allow_is_tried_again() {
    let project = moody("log_fail", "count = \"count\"\nretries = 2");
    assert_eq!(failure(&project.run()).code.as_str(), "flow::test::told");
    assert_eq!(project.read("count"), "run\nrun\nrun\n");
    let project = moody("data", "count = \"count\"\nretries = 2");
    assert_eq!(failure(&project.run()).code.as_str(), "flow::test::data");
    assert_eq!(project.read("count"), "run\n");
}

#[test]
fn an_end_without_a_record_is_a_failure() {
    let project = moody("exit", "count = \"count\"");
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::executor::no_record");
    assert_eq!(project.read("count"), "run\n");
    project.assert_no_debris();
    let mut project = moody("calm", "");
    let talk = "echo '{\"event\": \"stage-exec-finished\", \"outcome\": \"ran\"}'; echo why >&2";
    project.executor = Executor::Process(ProcessOptions {
        command: vec!["/bin/sh".into(), "-c".into(), talk.into()],
    });
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::executor::no_record");
    assert!(failure(&ran).help.concat().contains("why"));
    project.executor = Executor::Process(ProcessOptions {
        command: vec!["/no/such/program".into()],
    });
    assert_eq!(
        failure(&project.run()).code.as_str(),
        "flow::executor::start"
    );
}

#[test]
fn a_child_that_left_its_record_did_its_work() {
    // It commits, says nothing, and dies.
    let mut project = moody("calm", "");
    let Executor::Process(options) = executor() else {
        unreachable!()
    };
    let mut command = options.command;
    command[2] = format!(
        "( {} ) >/dev/null; kill -9 $$",
        command[2].to_string_lossy()
    )
    .into();
    project.executor = Executor::Process(ProcessOptions { command });
    let ran = project.expect(&["moody: be"]);
    assert!(ran.warnings.is_empty(), "{:?}", ran.warnings);
}

#[test]
fn another_version_of_a_kind_is_refused() {
    let mut project = fresh();
    project.executor = executor();
    project.control.version.store(2, Ordering::SeqCst);
    let ran = project.run();
    let error = &ran.failures[0].1;
    assert_eq!(error.code.as_str(), "flow::executor::manifest");
    assert_eq!(error.fault, Fault::Environment);
}

#[test]
fn lost_and_corrupt_bytes_are_made_again() {
    let mut project = fresh();
    project.executor = executor();
    let ran = project.expect(&ALL);
    std::fs::remove_file(project.artifact(&ran, "read: read b rows")).unwrap();
    std::fs::remove_file(project.artifact(&ran, "clean: apply b rows")).unwrap();
    store::replace(&project.artifact(&ran, "clean: apply a rows"), b"nonsense");
    project.edit("use = \"learner\"", "use = \"learner\"\ndepth = 4");
    let mut expected = vec!["clean: apply a", "clean: apply b", "read: read b"];
    expected.extend(LEARN);
    expected.sort_unstable();
    let again = project.expect(&expected);
    assert_eq!(again.reasons["clean: apply a"], Reason::Lost);
    assert_eq!(again.warnings.len(), 1, "{:?}", again.warnings);
    assert!(again.warnings[0].contains("corrupt"));
    for (path, text) in project.uncached() {
        assert_eq!(read(&path), text);
    }
    project.expect(&[]);
}

#[test]
fn other_bytes_on_a_second_run_are_flagged() {
    let mut project = Project::new(
        r#"
        [stages.noise]
        use = "tweak"
        how = "random"
        [stages.after]
        use = "map"
        inputs = { rows = "noise" }
        "#,
    );
    project.executor = executor();
    let ran = project.expect(&["after: apply", "noise: tweak"]);
    std::fs::remove_file(project.artifact(&ran, "noise: tweak rows")).unwrap();
    project.edit("use = \"map\"", "use = \"map\"\nop = \"upper\"");
    let again = project.expect(&["after: apply", "noise: tweak"]);
    assert_eq!(again.warnings.len(), 1, "{:?}", again.warnings);
    assert!(again.warnings[0].contains("not deterministic"));
    let rows = "noise: tweak rows";
    assert_ne!(again.digests[rows], ran.digests[rows]);
    project.expect(&[]);
}

/// A command over one script.
fn script(more: &str, text: &str) -> Project {
    let mut project = Project::new(&format!(
        "[stages.run]\nuse = \"command\"\nrun = [\"/bin/sh\", \"script.sh\", \"{{out}}\"]\n\
         files = [\"script.sh\"]\noutputs = {{ out = \"o.txt\" }}\n{more}\n\
         [outputs]\n\"result.txt\" = \"run\"\n"
    ));
    project.write("script.sh", text);
    project.executor = executor();
    project
}

#[test]
fn a_source_edited_under_the_run_is_read_again() {
    let project = script("", "");
    let outside = project.outside();
    let (started, go) = (outside.join("started"), outside.join("go"));
    let waiting = format!(
        "echo 1 > $1; : > {0}; until test -e {1}; do sleep 0.01; done; rm {0} {1}\n",
        started.display(),
        go.display()
    );
    // The project is closed to the script, so it is somebody else who edits it, once a run.
    let run = |edits: &[&str]| {
        project.write("script.sh", &waiting);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for edit in edits {
                    wait_for(&started);
                    project.write("script.sh", edit);
                    write(&go, "");
                    wait_until(|| !go.exists());
                }
            });
            project.run()
        })
    };
    let ran = run(&["echo 2 > $1"]);
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.reasons["run: run"], Reason::Tainted);
    assert_eq!(project.read("result.txt"), "2\n");
    project.expect(&[]);
    let again = [1, 2].map(|n| format!("{waiting}# {n}\n"));
    let ran = run(&[&again[0], &again[1]]);
    assert_eq!(failure(&ran).code.as_str(), "flow::run::source_changing");
    assert_eq!(failure(&ran).fault, Fault::Stage);
}

#[test]
fn a_program_that_fails_says_why() {
    let project = script("", "echo reason >&2; exit 3");
    let ran = project.run();
    assert_eq!(failure(&ran).code.as_str(), "flow::command::failed");
    assert!(failure(&ran).message.contains("exit status: 3"));
    assert!(failure(&ran).help.concat().contains("reason"));
}

#[test]
fn an_interruption_reaches_the_child() {
    let mut project = Project::new("[stages.slow]\nuse = \"tweak\"\nhow = \"sleep\"\n");
    project.executor = executor();
    let cancel = Arc::clone(&project.cancel);
    let manifests = project.store().join("manifests");
    let watcher = std::thread::spawn(move || {
        wait_until(|| !entries(&manifests).is_empty());
        cancel.store(true, Ordering::SeqCst);
    });
    let ran = project.run();
    watcher.join().unwrap();
    assert!(
        ran.interrupted && ran.failures.is_empty(),
        "{:?}",
        ran.failures
    );
    assert_eq!(ran.counts, [0, 0, 0, 1]);
    project.assert_no_debris();
    project.cancel.store(false, Ordering::SeqCst);
    project.expect(&["slow: tweak"]);
}

#[test]
fn manifests_of_killed_runs_are_swept() {
    let project = moody("calm", "");
    project.expect(&["moody: be"]);
    let left = project.store().join("manifests").join("ab".repeat(32));
    write(&left, "");
    let store = Store::open(&project.store()).unwrap();
    store::collect(&store, &GcPolicy::default()).unwrap();
    assert!(!left.exists());
}
