//! However flow ends, its programs end with it.

use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use flow_testkit::Project;
use flow_testkit::files::{self, TempDir};
use flow_testkit::program::{is_over, signal};

/// A project whose program takes for ever, together with a child that left it; both leave their numbers in a
/// folder that they may write to.
fn project() -> (Project, TempDir) {
    let folder = files::folder();
    let script = format!(
        "cd {}; (trap '' TERM; setsid sh -c 'echo $$ > child; sleep 98 ; sleep 98' &); \
         trap '' TERM; echo $$ > program; sleep 99; sleep 99; echo > $0",
        folder.path().display()
    );
    let toml = format!(
        "[stages.a]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"\"\"{script}\"\"\", \"{{out}}\"]\n\
         outputs = {{ out = \"o\" }}\n"
    );
    (Project::with(&toml), folder)
}

/// Starts a run, and waits for its programs.
fn start(project: &Project, folder: &TempDir, args: &[&str]) -> (Child, Vec<String>) {
    let paths = ["program", "child"].map(|name| folder.path().join(name));
    for path in &paths {
        let _ = std::fs::remove_file(path);
    }
    let mut command = project.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // These tests may themselves have been started by `nohup`.
    // SAFETY: a plain system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        });
    }
    let child = command.spawn().expect("flow starts");
    let pids = paths.map(|path| files::wait_for_line(&path));
    (child, pids.to_vec())
}

/// Whether a process is gone, or will be in a second.
fn ends(pid: &str) -> bool {
    (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_over(pid)
    })
}

#[test]
fn every_signal_ends_the_programs_of_a_run() {
    let (project, folder) = project();
    let caught = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGUSR1,
    ];
    for executor in ["local", "process"] {
        for sent in caught.into_iter().chain([libc::SIGKILL, libc::SIGABRT]) {
            let (mut child, pids) = start(
                &project,
                &folder,
                &["run", "-q", "--executor", executor, "p.toml"],
            );
            let started = Instant::now();
            signal(&child, sent);
            let status = child.wait().expect("a status");
            // The machine of a test may be busy.
            assert!(
                started.elapsed() < Duration::from_secs(6),
                "{executor} {sent}"
            );
            if caught.contains(&sent) {
                assert_eq!(status.code(), Some(130), "{executor} {sent}: {status}");
            }
            // The process of an executor ends in its own good time.
            assert!(
                pids.iter().all(|pid| ends(pid) || ends(pid) || ends(pid)),
                "{executor} {sent}: a program is left"
            );
        }
    }
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    let (project, folder) = project();
    let (mut child, pids) = start(&project, &folder, &["run", "-q", "p.toml"]);
    let started = Instant::now();
    signal(&child, libc::SIGINT);
    std::thread::sleep(Duration::from_millis(50));
    signal(&child, libc::SIGTERM);
    assert_eq!(child.wait().expect("a status").code(), Some(130));
    assert!(started.elapsed() < Duration::from_millis(900), "it waited");
    assert!(pids.iter().all(|pid| ends(pid)));
}
