//! A kind that works in epochs: what it reports of its progress, and what it leaves for its next attempt if it
//! is ended.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flow_cache::{Store, write_unfinished};
use flow_engine::command::claims_type;
use flow_engine::kind::{
    Action, Fault, Layout, ParamSpec, ParamType, Scope, SourceFile, Sources, StageError, Step,
};
use flow_engine::run::options::Executor;
use flow_testkit::files::{entries, read, wait_until};
use flow_testkit::kinds::FakeKind;

use crate::harness::{Project, Ran};
use crate::process::{end, executor};

/// What befalls an attempt at its second epoch, once it has saved its state.
const MOODS: &[&str] = &[
    "go_on", "wait", "die", "data", "fail", "panic", "busy", "meet",
];

/// `epochs`: adds the numbers from 1 to `epochs`, and notes at the start how far an earlier attempt came.
pub fn kind() -> FakeKind {
    let step = Step::new("fit", Scope::Whole).sources(Sources::Common);
    FakeKind::new("epochs", vec![step.writes("rows")])
        .gives("rows", "rows", 0)
        .takes(ParamSpec::int("epochs", 3, 1, 1000, "How far it counts."))
        .takes(ParamSpec::choice("how", "go_on", MOODS, "What befalls it.").unkeyed())
        .takes(
            ParamSpec::new(
                "began",
                ParamType::Path,
                "Gets the epoch that it begins with.",
            )
            .or("began".into())
            .unkeyed(),
        )
        .takes(
            ParamSpec::new("file", ParamType::Path, "A source file.")
                .optional()
                .unkeyed(),
        )
        .takes(
            ParamSpec::new("resources", claims_type(), "What it claims.")
                .optional()
                .unkeyed(),
        )
        .laid_out(|params| {
            let file = params.read::<Option<&str>>("file");
            let common = file.map(|path| SourceFile {
                role: "rows".into(),
                path: path.into(),
            });
            Ok(Layout {
                common: common.into_iter().collect(),
                ..Layout::default()
            })
        })
        .runs(fit)
}

fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let epochs = action.params.read::<i64>("epochs") as u64;
    let saved = action.saved("state")?;
    let (mut epoch, mut sum) = state(saved.as_deref()).unwrap_or_default();
    let began = Path::new(action.params.read::<&str>("began"));
    let before = std::fs::read_to_string(began).unwrap_or_default();
    std::fs::write(began, format!("{before}{epoch} "))?;
    action.progress(epoch, epochs);
    let went_on = epoch > 0;
    while epoch < epochs {
        action.checkpoint()?;
        epoch += 1;
        sum += epoch;
        action.save("state", format!("{epoch} {sum}").as_bytes())?;
        let loss = 1.0 / epoch as f64;
        let figures = [("loss", loss), ("a \"name\"", f64::INFINITY)];
        action.progress_with(epoch, epochs, &figures);
        if epoch == 2 && !went_on {
            befall(action)?;
        }
    }
    action.write("rows", format!("{sum}\n").as_bytes(), Vec::new())
}

fn state(saved: Option<&[u8]>) -> Option<(u64, u64)> {
    let (epoch, sum) = std::str::from_utf8(saved?).ok()?.split_once(' ')?;
    Some((epoch.parse().ok()?, sum.parse().ok()?))
}

fn befall(action: &Action<'_>) -> Result<(), StageError> {
    match action.params.read::<&str>("how") {
        "wait" => loop {
            action.checkpoint()?;
            action.progress_with(2, 3, &[("loss", 0.5)]);
            std::thread::sleep(Duration::from_millis(1));
        },
        // Whoever meets another one at work fails, and in the other mood whoever meets nobody.
        "busy" => {
            let busy = beside(action, "busy");
            std::fs::create_dir(&busy)?;
            for _ in 0..50 {
                action.checkpoint()?;
                action.progress_with(2, 3, &[("loss", 0.5)]);
                std::thread::sleep(Duration::from_millis(2));
            }
            std::fs::remove_dir(busy)?;
        }
        "meet" => {
            let both = ["began_a", "began_b"].map(|name| beside(action, name));
            wait_until(|| both.iter().all(|path| path.exists()));
        }
        "die" => end(libc::SIGKILL),
        "data" => return Err(StageError::data("flow::test::data", "a row is bad")),
        "fail" => return Err(StageError::failed("flow::test::told", "told to fail")),
        "panic" => panic!("told to panic"),
        _ => {}
    }
    Ok(())
}

fn beside(action: &Action<'_>, name: &str) -> PathBuf {
    Path::new(action.params.read::<&str>("began")).with_file_name(name)
}

fn project(how: &str, executor: Executor) -> Project {
    let toml = format!("[stages.fit]\nuse = \"epochs\"\nhow = \"{how}\"\n");
    let mut project = Project::new(&toml);
    project.executor = executor;
    project
}

/// The folders of unfinished work in the store.
fn left(project: &Project) -> Vec<PathBuf> {
    entries(&project.store().join("unfinished"))
}

/// Waits until an attempt has saved its state after the second epoch.
fn wait_for_state(store: &Path) {
    let unfinished = store.join("unfinished");
    let second = |folder: &PathBuf| {
        std::fs::read(folder.join("state")).is_ok_and(|bytes| bytes.ends_with(b"2 3"))
    };
    wait_until(|| entries(&unfinished).iter().any(second));
}

/// The run ended well, its attempts began with these epochs, and nothing is left.
#[track_caller]
fn assert_done(project: &Project, ran: &Ran, began: &str) {
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(project.read("began").trim(), began);
    assert_eq!(read(&project.artifact(ran, "fit: fit rows")), "6\n");
    assert_eq!(left(project), Vec::<PathBuf>::new());
    let store = Store::open(&project.store()).unwrap();
    assert!(store.verify(|_| {}).unwrap().is_clean());
}

/// A run of a project by threads, in a process of its own.
fn elsewhere(project: &Project) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["epochs::child", "--exact", "--nocapture"])
        .env("FLOW_TEST_EPOCHS", &project.root)
        .spawn()
        .unwrap()
}

/// The process of [`elsewhere`].
#[test]
fn child() {
    if let Some(root) = std::env::var_os("FLOW_TEST_EPOCHS") {
        Project::at(Path::new(&root)).run();
    }
}

#[test]
fn figures_of_the_progress_reach_the_run() {
    for executor in [Executor::Local, executor()] {
        let ran = project("go_on", executor).expect(&["fit: fit"]);
        let [first, .., last] = ran.progress.as_slice() else {
            panic!("{:?}", ran.progress)
        };
        assert_eq!((first.done, first.total, first.figures.len()), (0, 3, 0));
        assert_eq!((last.done, last.total), (3, 3));
        let [(loss, third), (name, infinite)] = last.figures.as_slice() else {
            panic!("{last:?}")
        };
        assert_eq!((loss.as_str(), *third), ("loss", 1.0 / 3.0));
        assert_eq!((name.as_str(), infinite.is_nan()), ("a \"name\"", true));
    }
}

#[test]
fn a_run_goes_on_with_what_a_killed_one_left() {
    let project = project("die", Executor::Local);
    let status = elsewhere(&project).wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert_eq!(left(&project).len(), 1);
    let ran = project.expect(&["fit: fit"]);
    assert_done(&project, &ran, "0 2");
}

#[test]
fn a_process_that_is_started_once_more_goes_on() {
    let project = project("die", executor());
    let ran = project.run();
    assert_eq!(ran.warnings.len(), 1, "{:?}", ran.warnings);
    assert_done(&project, &ran, "0 2");
}

#[test]
fn a_torn_file_counts_for_nothing() {
    let project = project("die", Executor::Local);
    elsewhere(&project).wait().unwrap();
    let state = left(&project)[0].join("state");
    let whole = std::fs::read(&state).unwrap();
    std::fs::write(&state, &whole[..whole.len() - 1]).unwrap();
    project.edit("die", "go_on");
    let ran = project.expect(&["fit: fit"]);
    assert_done(&project, &ran, "0 0");
}

#[test]
fn an_interrupted_attempt_ends_within_a_second_and_is_gone_on_with() {
    for executor in [Executor::Local, executor()] {
        let project = project("wait", executor);
        let (cancel, store) = (Arc::clone(&project.cancel), project.store());
        let watcher = std::thread::spawn(move || {
            wait_for_state(&store);
            cancel.store(true, Ordering::SeqCst);
            Instant::now()
        });
        let ran = project.run();
        let took = watcher.join().unwrap().elapsed();
        assert!(ran.interrupted && ran.failures.is_empty());
        assert!(took < Duration::from_secs(1), "{took:?}");
        project.cancel.store(false, Ordering::SeqCst);
        let ran = project.expect(&["fit: fit"]);
        assert_done(&project, &ran, "0 2");
    }
}

#[test]
fn a_failure_leaves_nothing() {
    for executor in [Executor::Local, executor()] {
        for (how, fault) in [
            ("data", Fault::Data),
            ("fail", Fault::Stage),
            ("panic", Fault::Bug),
        ] {
            let project = project(how, executor.clone());
            let ran = project.run();
            assert_eq!(ran.failures[0].1.fault, fault);
            assert_eq!(left(&project), Vec::<PathBuf>::new(), "{how}");
            project.edit(how, "go_on");
            let ran = project.run();
            assert_done(&project, &ran, "0 0");
        }
    }
}

#[test]
fn a_second_run_for_a_comparison_computes_everything() {
    for executor in [Executor::Local, executor()] {
        let project = project("go_on", executor);
        let ran = project.expect(&["fit: fit"]);
        // As if a process had died between the record and the removal. What it says is wrong.
        let store = Store::open(&project.store()).unwrap();
        let key = ran.keys["fit: fit"];
        let folder = store.unfinished(&key).unwrap().unwrap();
        write_unfinished(&folder.join("state"), b"2 77").unwrap();
        let again = project.audit(&["fit: fit"]);
        assert_done(&project, &again, "0 0");
        assert!(again.warnings.is_empty(), "{:?}", again.warnings);
        std::fs::remove_file(project.artifact(&ran, "fit: fit rows")).unwrap();
        write_unfinished(
            &store.unfinished(&key).unwrap().unwrap().join("state"),
            b"2 77",
        )
        .unwrap();
        let toml = project.read("p.toml");
        project.write(
            "p.toml",
            format!("{toml}[outputs]\n\"sum.txt\" = \"fit\"\n"),
        );
        let ran = project.expect(&["fit: fit"]);
        assert_done(&project, &ran, "0 0 0");
    }
}

#[test]
fn an_action_that_reads_source_files_begins_anew() {
    let project = project("die", executor());
    project.write("source", "a\n");
    project.edit("use = \"epochs\"", "use = \"epochs\"\nfile = \"source\"");
    let ran = project.run();
    let error = &ran.failures[0].1;
    assert_eq!(error.code.as_str(), "flow::executor::signal");
    assert_eq!(project.read("began"), "0 0 ");
    assert_eq!(left(&project), Vec::<PathBuf>::new());
}

#[test]
fn a_run_that_waits_for_one_that_is_killed_goes_on_with_its_work() {
    let project = project("wait", Executor::Local);
    let mut other = elsewhere(&project);
    wait_for_state(&project.store());
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| project.run());
        // It waits for the lock, and has no attempt of its own.
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(project.read("began"), "0 ");
        other.kill().unwrap();
        run.join().unwrap()
    });
    other.wait().unwrap();
    assert_done(&project, &ran, "0 2");
}

#[test]
fn what_is_claimed_of_memory_is_kept_to() {
    // The machine of these tests has 1 GiB.
    for executor in [Executor::Local, executor()] {
        for (how, memory) in [("busy", "600MiB"), ("meet", "500MiB")] {
            let stage = |name: &str, epochs: u32| {
                format!(
                    "[stages.{name}]\nuse = \"epochs\"\nhow = \"{how}\"\nepochs = {epochs}\n\
                     began = \"began_{name}\"\nresources = {{ memory = \"{memory}\" }}\n"
                )
            };
            let mut project = Project::new(&(stage("a", 3) + &stage("b", 4)));
            project.executor = executor.clone();
            let ran = project.run();
            assert!(ran.failures.is_empty(), "{how}: {:?}", ran.failures);
            assert_eq!(ran.ran, ["a: fit", "b: fit"]);
        }
    }
}
