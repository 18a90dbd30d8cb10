//! Signals that ask a run to stop, and the time that it has for that.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flow_cache::Watcher;

use crate::error::{CliError, Exit};

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
