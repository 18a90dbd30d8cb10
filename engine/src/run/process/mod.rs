//! The executor whose actions are processes: `flow stage-exec` runs each one from its manifest in the store,
//! and commits what it makes.
//!
//! What a child says explains; what counts is the store. A child that has left a record did its work, even if
//! it is gone. One that reports success and has left no record did not. A death that has its cause outside of
//! flow (a signal, the kernel out of memory) is tried once more.
//!
//! This file is the side of the run: it starts children, follows and ends them. `child` is `flow stage-exec`
//! itself, and `run::report` is the JSON line between the two. How an action is run is not decided here, since
//! `run::perform` is the same for both executors. Begin with [`StageExec`], then read `Parent`.

mod child;

use crate::run::job::Gone;
use crate::run::options::ProcessOptions;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flow_cache::{ActionKey, Store};

use crate::base::code::Code;
use crate::base::folder::remove;
use crate::base::trace::Track;
use crate::kind::action::HOME;
use crate::kind::error::{Fault, StageError};
use crate::kind::progress::Progress;
use crate::run::job::Done;
use crate::run::made::{Before, made};
use crate::run::manifest;
use crate::run::report::{self, Report};
use crate::run::scratch::clear;
use crate::run::work::Work;

pub use child::StageExec;

/// How long a child that was asked to stop may take to do so.
const GRACE: Duration = Duration::from_millis(1600);

/// A worker whose actions run in child processes.
pub(crate) struct Parent<'a> {
    pub(crate) options: &'a ProcessOptions,
    pub(crate) store: &'a Store,
    pub(crate) cancel: &'a AtomicBool,
    pub(crate) track: Track<'a>,
    pub(crate) progress: &'a dyn Fn(Progress),
    pub(crate) warn: &'a dyn Fn(String),
    /// Finds the actions that make lost bytes.
    pub(crate) lost: &'a dyn Fn(&[Gone]) -> Done,
}

/// How a child ended.
struct ChildEnd {
    status: ExitStatus,
    /// What it said last.
    report: Option<Report>,
    /// The kernel ran out of memory in the meantime.
    out_of_memory: bool,
    /// The last lines of what it printed as errors.
    errors: String,
}

impl Parent<'_> {
    /// Has an action run by a child. The caller holds its lock.
    pub(crate) fn run(&self, work: &Work<'_>) -> Result<Done, StageError> {
        let key = work.prepared.key;
        manifest::put(work, self.store)?;
        let _manifest = Left(self.store, key);
        let before = Before::of(work, self.store)?;
        let mut again = true;
        loop {
            let ended = self.child(work, &key)?;
            // A child that was killed could not clear it. It may not even have made it.
            let _ = clear(&work.scratch);
            let _ = remove(&work.scratch.join(HOME));
            self.store.refresh()?;
            if let Some(done) = made(self.store, &key, before.as_ref(), ended.report.as_ref())? {
                return Ok(done);
            }
            if self.cancel.load(Ordering::Relaxed) {
                return Err(StageError::interrupted());
            }
            let error = match ended.report {
                Some(Report::Lost(lost)) => return Ok((self.lost)(&lost)),
                Some(Report::Tainted(paths)) => return Ok(Done::Tainted(paths)),
                Some(Report::Failed(error)) if error.fault != Fault::Interrupted => {
                    return Err(error);
                }
                _ => ended.infrastructure(),
            };
            if error.code == Code::NoRecord || !std::mem::take(&mut again) {
                if error.fault == Fault::Bug {
                    // It may have crashed on what an earlier attempt left.
                    self.store.remove_unfinished(&key);
                }
                return Err(error);
            }
            (self.warn)(format!(
                "`{}` of stage `{}`: {}; it is started once more",
                work.action, work.stage, error.message
            ));
        }
    }

    /// Starts a child and waits for its end.
    fn child(&self, work: &Work<'_>, key: &ActionKey) -> Result<ChildEnd, StageError> {
        let mut span = self.track.span("run", || "process".to_owned());
        let errors = work.scratch.with_extension("stderr");
        if let Some(folder) = errors.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let killed = oom_kills();
        let mut child = self.start(work, key, File::create(&errors)?)?;
        span.arg("pid", || child.id());
        let followed = self.follow(&mut child, work);
        if followed.is_err() {
            // Nothing watches it any more.
            signal_group(&child, libc::SIGKILL);
            let _ = child.wait();
        }
        let text = last_lines(&errors);
        let _ = std::fs::remove_file(&errors);
        let (status, report) = followed?;
        Ok(ChildEnd {
            status,
            report,
            out_of_memory: oom_kills() > killed,
            errors: text,
        })
    }

    fn start(&self, work: &Work<'_>, key: &ActionKey, errors: File) -> Result<Child, StageError> {
        let Some((program, args)) = self.options.command.split_first() else {
            return Err(start_error("no program is named"));
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .arg("--store")
            .arg(self.store.dir())
            .args(["--jobs", &work.threads.to_string(), &key.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-C reaches only this process, which passes it on.
            .process_group(0);
        #[cfg(target_os = "linux")]
        // SAFETY: between fork and exec, one system call that touches no memory.
        unsafe {
            command.pre_exec(|| {
                // A run that is killed takes its children with it, as it does its threads.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        command.spawn().map_err(|error| {
            let message = format!("failed to start `{}`", program.to_string_lossy());
            start_error(&message).because(error)
        })
    }

    /// Waits for a child. Passes on what it says, and a request to stop.
    fn follow(
        &self,
        child: &mut Child,
        work: &Work<'_>,
    ) -> Result<(ExitStatus, Option<Report>), StageError> {
        let mut said = ChildLine::new(child)?;
        let mut asked: Option<Instant> = None;
        loop {
            let ended = child.try_wait()?;
            // This comes after the look at the process, so that its last words are not missed.
            said.read(work, self.progress)?;
            if let Some(status) = ended {
                return Ok((status, said.report));
            }
            match asked {
                None if self.cancel.load(Ordering::Relaxed) => {
                    signal_group(child, libc::SIGTERM);
                    asked = Some(Instant::now());
                }
                Some(at) if at.elapsed() > GRACE => signal_group(child, libc::SIGKILL),
                _ => {}
            }
            said.wait();
        }
    }
}

impl ChildEnd {
    /// The error for a child that ended without saying anything useful.
    fn infrastructure(&self) -> StageError {
        let environment = |code: Code, message| StageError::new(Fault::Environment, code, message);
        let told_to_stop = matches!(&self.report, Some(Report::Failed(_)));
        let error = match self.status.signal() {
            Some(libc::SIGKILL) if self.out_of_memory => environment(
                OUT_OF_MEMORY.into(),
                "the kernel ended its process, since memory ran out".to_owned(),
            )
            .help("let fewer actions run at a time: --jobs 1"),
            Some(signal) => {
                let message = format!("its process died ({})", self.status);
                let crash = [
                    libc::SIGSEGV,
                    libc::SIGBUS,
                    libc::SIGILL,
                    libc::SIGABRT,
                    libc::SIGFPE,
                ];
                let fault = if crash.contains(&signal) {
                    Fault::Bug
                } else {
                    Fault::Environment
                };
                StageError::new(fault, SIGNAL, message)
            }
            None if told_to_stop => environment(
                SIGNAL.into(),
                "its process was told to stop, though the run was not".to_owned(),
            ),
            None => environment(
                Code::NoRecord,
                format!("its process ended ({}) and left no record", self.status),
            ),
        };
        match self.errors.as_str() {
            "" => error,
            text => error.help(format!("its last words:\n{text}")),
        }
    }
}

/// The code of an action that was ended since memory ran out.
pub(super) const OUT_OF_MEMORY: &str = "flow::executor::out_of_memory";
const SIGNAL: &str = "flow::executor::signal";

fn start_error(message: &str) -> StageError {
    StageError::new(Fault::Environment, "flow::executor::start", message)
        .help("`--executor local` runs actions without other processes")
}

/// The manifest of a running action. It is removed when this is dropped.
struct Left<'s>(&'s Store, ActionKey);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        // If it cannot be removed, gc will do it.
        let _ = self.0.remove_manifest(&self.1);
    }
}

/// What a child says on its standard output: JSON lines, perhaps with other lines among them.
struct ChildLine {
    /// The pipe, or none once it is closed.
    pipe: Option<std::process::ChildStdout>,
    unread: Vec<u8>,
    report: Option<Report>,
}

impl ChildLine {
    fn new(child: &mut Child) -> io::Result<Self> {
        let pipe = child.stdout.take();
        if let Some(pipe) = &pipe {
            // SAFETY: the descriptor is open, and the calls touch no memory.
            let set = unsafe {
                let flags = libc::fcntl(pipe.as_raw_fd(), libc::F_GETFL);
                libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)
            };
            if set < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self {
            pipe,
            unread: Vec::new(),
            report: None,
        })
    }

    /// Reads what is there.
    fn read(&mut self, work: &Work<'_>, progress: &dyn Fn(Progress)) -> io::Result<()> {
        let mut block = [0; 4096];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut block) {
                Ok(0) => self.pipe = None,
                Ok(n) => self.unread.extend_from_slice(&block[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let Ok(json) = serde_json::from_slice(&line) else {
                continue;
            };
            if let Some(at) = report::progress_of(&json) {
                progress(at);
            } else if let Some(report) = Report::from_json(&json, work) {
                self.report = Some(report);
            }
        }
        Ok(())
    }

    /// Waits for more, or for the end, for at most a moment.
    fn wait(&self) {
        const MOMENT: i32 = 20;
        let Some(pipe) = &self.pipe else {
            return std::thread::sleep(Duration::from_millis(1));
        };
        let mut poll = libc::pollfd {
            fd: pipe.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd; an interruption only ends the wait.
        unsafe { libc::poll(&raw mut poll, 1, MOMENT) };
    }
}

fn signal_group(child: &Child, signal: libc::c_int) {
    // SAFETY: a plain system call on the child's own process group, made at its start.
    unsafe { libc::kill(-child.id().cast_signed(), signal) };
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Returns how often the kernel has killed a process because memory ran out: in this control group (v2), or
/// on this machine if the group does not say.
pub(super) fn oom_kills() -> u64 {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let events = group.and_then(|group| {
        std::fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.events")).ok()
    });
    let counters = events.or_else(|| std::fs::read_to_string("/proc/vmstat").ok());
    counter(&counters.unwrap_or_default(), "oom_kill").unwrap_or(0)
}

/// Reads a counter from lines of a name and a number.
fn counter(lines: &str, name: &str) -> Option<u64> {
    lines.lines().find_map(|line| {
        let (key, number) = line.split_once(' ')?;
        (key == name).then(|| number.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let events = "low 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(counter(events, "oom_kill"), Some(1));
        assert_eq!(
            counter("oom_kill_disable 0\noom_kill 12", "oom_kill"),
            Some(12)
        );
        assert_eq!(counter("", "oom_kill"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_kill_for_want_of_memory_is_told_from_another() {
        use std::os::unix::process::ExitStatusExt;
        let ended = |signal, out_of_memory| ChildEnd {
            status: ExitStatus::from_raw(signal),
            report: None,
            out_of_memory,
            errors: String::new(),
        };
        let code = |ended: ChildEnd| ended.infrastructure().code;
        assert_eq!(code(ended(libc::SIGKILL, true)), OUT_OF_MEMORY.into());
        assert_eq!(code(ended(libc::SIGKILL, false)), SIGNAL.into());
        assert_eq!(code(ended(libc::SIGSEGV, true)), SIGNAL.into());
        assert_eq!(code(ended(0, false)), Code::NoRecord);
    }
}
