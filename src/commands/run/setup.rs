//! What a command that runs actions needs besides its plan.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flow_cache::{StatCache, Watcher};
use flow_engine::Diag;
use flow_engine::base::trace::Trace;
use flow_engine::run::options::{Executor, Options};

use super::cluster;
use crate::args::{ExecArgs, StoreArgs};
use crate::error::{CliError, Exit};
use crate::project::{ProjectState, working_dir};
use crate::ui::Ui;

/// Store, local state, and how to run.
pub struct Setup {
    /// The local state with the store.
    pub state: ProjectState,
    /// Digests of source files.
    pub stat: StatCache,
    /// Where the time goes, and the file to write it to.
    pub trace: Option<(PathBuf, Trace)>,
    cancel: Arc<AtomicBool>,
    scratch: PathBuf,
    jobs: usize,
    gpus: Option<usize>,
    memory: Option<u64>,
    executor: Executor,
}

impl Setup {
    /// Opens the project in `root`. From here on, a signal stops runs cleanly.
    pub fn new(root: &Path, store: &StoreArgs, args: &ExecArgs) -> Result<Self, CliError> {
        let trace = args.trace.as_deref().map(trace_file).transpose()?;
        let cancel = stop_on_signals()?;
        let state = ProjectState::open(root, store)?;
        Ok(Self {
            scratch: state.scratch(args.scratch.as_deref())?,
            stat: state.stat(),
            state,
            trace,
            cancel,
            jobs: jobs(args.jobs),
            gpus: args.gpus,
            memory: args.memory,
            executor: cluster::executor(root, args)?,
        })
    }

    /// Waits until everything that ran is written to the remote, if that is wanted.
    ///
    /// # Errors
    /// Something was not written, and the project wants that to fail.
    pub fn finish_remote(&self, ui: &Ui) -> Result<(), CliError> {
        match &self.state.remote {
            Some(remote) => remote.finish(ui, &self.cancel),
            None => Ok(()),
        }
    }

    /// How to run.
    pub fn options(&self, keep_going: bool) -> Options<'_> {
        Options {
            jobs: self.jobs,
            gpus: self.gpus,
            memory: self.memory,
            keep_going,
            audit: false,
            cancel: &self.cancel,
            scratch: self.scratch.clone(),
            logs: self.state.logs(),
            executor: self.executor.clone(),
            trace: self.trace.as_ref().map(|(_, trace)| trace),
        }
    }
}

/// A trace and its file. The folder must exist, because nobody wants to hear after the run that the
/// file cannot be written.
fn trace_file(path: &Path) -> Result<(PathBuf, Trace), CliError> {
    let path = working_dir()?.join(path);
    if path.is_dir() || !path.parent().is_some_and(Path::is_dir) {
        let message = format!("no file can be written at {}", path.display());
        let diag = Diag::new("flow::cli::trace", message);
        return Err(CliError::usage(
            diag.help("name a file in a folder that exists: --trace trace.json"),
        ));
    }
    Ok((path, Trace::new()))
}

/// The number of actions that run at a time.
pub fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}

/// The signals that ask a run to stop. SIGKILL cannot be caught.
const STOPPING: [libc::c_int; 5] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
];

/// A run has 1.8 s after the first signal to end cleanly. This is the part in microseconds.
const PATIENCE_US: libc::suseconds_t = 800_000;
const PATIENCE_S: libc::time_t = 1;

/// Sets the returned flag at the first signal to stop. At a second signal, or when stopping has taken
/// too long, the process ends at once. Its programs end with it, and what was committed is whole.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in STOPPING {
        // Someone who starts flow with `nohup` wants it to go on.
        if signal == libc::SIGHUP && is_ignored(signal) {
            continue;
        }
        let asked = Arc::clone(&stop);
        let act = move || {
            if asked.swap(true, Ordering::SeqCst) {
                end_at_once();
            }
            be_patient();
        };
        catch(signal, act)?;
    }
    catch(libc::SIGALRM, end_at_once)?;
    Ok(stop)
}

fn catch(signal: libc::c_int, act: impl Fn() + Sync + Send + 'static) -> Result<(), CliError> {
    // SAFETY: the actions of this file are plain system calls and an atomic swap.
    let caught = unsafe { signal_hook::low_level::register(signal, act) };
    caught
        .map(drop)
        .map_err(|e| CliError::environment("failed to catch signals", e))
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: reads the present action into a value that outlives the call.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

/// Gives a run that is to stop as long as it takes, since it asks somebody what to do.
pub fn take_time() {
    set_timer(0, 0);
}

/// Sets a timer that sends this process SIGALRM when a run has had its time to end.
fn be_patient() {
    set_timer(PATIENCE_S, PATIENCE_US);
}

/// Sets the timer of this process, or stops it if it is set to 0.
fn set_timer(seconds: libc::time_t, microseconds: libc::suseconds_t) {
    let once = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: seconds,
            tv_usec: microseconds,
        },
    };
    // SAFETY: a plain system call on a value that outlives it.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const once, std::ptr::null_mut()) };
}

/// Ends this process, and leaves the terminal clean: no half-drawn bar, and the cursor shown.
fn end_at_once() {
    const CLEAN: &[u8] = b"\r\x1b[J\x1b[?25h";
    // SAFETY: plain system calls; the bytes are constant.
    unsafe {
        if libc::isatty(libc::STDERR_FILENO) == 1 {
            libc::write(libc::STDERR_FILENO, CLEAN.as_ptr().cast(), CLEAN.len());
        }
        libc::_exit(i32::from(Exit::Interrupted.code()));
    }
}

/// Set when the process is to stop.
static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Says what this process waits for, and ends the wait if the process is to stop.
pub const WATCHER: Watcher = Watcher {
    say: |what| {
        // It is one write, because other threads may be writing too.
        let text = format!("waiting for another process, which {what}\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
    },
    stop: || STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed)),
};
