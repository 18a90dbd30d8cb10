//! Programs: started, waited for, ended.
//!
//! There is no `pre_exec`, so that the standard library starts a program by `posix_spawn`: to fork a
//! process with much memory is slow. The waiting thread sleeps in the kernel until the program ends.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::sandbox::Sandbox;
use crate::stage::Usage;

/// How often a stop of the run or the end of the time is looked for.
const SLICE: Duration = Duration::from_millis(100);
/// From the polite request to end to the end.
const GRACE: Duration = Duration::from_secs(2);

/// Why a program is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended.
    Exited(ExitStatus),
    /// It was ended: its time was up.
    TimedOut,
    /// It was ended: the run is to stop.
    Stopped,
}

/// Starts programs in a sandbox. What a thread starts inherits its restrictions, which it cannot put
/// off, so there is a thread for each sandbox, as long as this lives.
pub struct Starter(mpsc::Sender<Order>);

/// A program to start, and where to tell of it.
type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

impl Starter {
    /// Shuts a new thread in.
    pub fn new(sandbox: Sandbox) -> io::Result<Self> {
        let (sender, orders) = mpsc::channel::<Order>();
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        thread.spawn(move || {
            let entered = sandbox.enter();
            for (mut command, reply) in orders {
                let started = match &entered {
                    Ok(()) => command.spawn(),
                    Err(error) => Err(io::Error::other(format!("Landlock failed: {error}"))),
                };
                // Our own ends of its output are closed before anybody waits for it.
                drop(command);
                // Who ordered it waits.
                let _ = reply.send(started);
            }
        })?;
        Ok(Self(sender))
    }

    /// Starts a program.
    pub fn start(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts programs is gone");
        let (reply, started) = mpsc::sync_channel(1);
        self.0.send((command, reply)).map_err(|_| gone())?;
        started.recv().map_err(|_| gone())?
    }
}

/// Waits for a program that leads a process group, and says what it used. Whatever happens, nothing
/// of its group is left.
pub fn wait(
    child: &Child,
    limit: Option<Duration>,
    stop: impl Fn() -> bool,
) -> io::Result<(End, Usage)> {
    let pid = child.id().cast_signed();
    let watch = Watch::new(pid);
    let started = Instant::now();
    let end = loop {
        let left = limit.map_or(SLICE, |limit| limit.saturating_sub(started.elapsed()));
        if watch.ends_within(left.min(SLICE))? {
            break None;
        }
        if stop() {
            break Some(End::Stopped);
        }
        if left.is_zero() {
            break Some(End::TimedOut);
        }
    };
    if end.is_some() {
        signal_group(pid, libc::SIGTERM);
        watch.ends_within(GRACE)?;
    }
    // What it left in the background must not go on writing. Its number is not taken by another
    // before it is reaped.
    signal_group(pid, libc::SIGKILL);
    let (status, usage) = reap(pid)?;
    Ok((end.unwrap_or(End::Exited(status)), usage))
}

fn signal_group(pid: libc::pid_t, signal: libc::c_int) {
    // SAFETY: a plain system call on the process group that the child was made the leader of.
    unsafe { libc::kill(-pid, signal) };
}

/// Collects an ended child.
fn reap(pid: libc::pid_t) -> io::Result<(ExitStatus, Usage)> {
    let mut status = 0;
    // SAFETY: all-zero is a valid `rusage`.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to values that live longer than the call.
        if unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) } == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    let unit = if cfg!(target_os = "linux") { 1024 } else { 1 };
    let usage = Usage {
        cpu_s: seconds(used.ru_utime) + seconds(used.ru_stime),
        peak_rss: u64::try_from(used.ru_maxrss).unwrap_or(0) * unit,
    };
    Ok((ExitStatus::from_raw(status), usage))
}

/// Tells when a child has ended, without collecting it.
enum Watch {
    #[cfg(target_os = "linux")]
    Descriptor(std::os::fd::OwnedFd),
    /// Asked for over and over: another system, or an old kernel.
    Number(libc::pid_t),
}

impl Watch {
    #[cfg(target_os = "linux")]
    fn new(pid: libc::pid_t) -> Self {
        use std::os::fd::FromRawFd;
        // SAFETY: a plain system call; what it gives is a descriptor of our own, or negative.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match i32::try_from(fd) {
            // SAFETY: the descriptor was made just now and belongs to nobody else.
            Ok(fd) if fd >= 0 => Self::Descriptor(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }),
            _ => Self::Number(pid),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn new(pid: libc::pid_t) -> Self {
        Self::Number(pid)
    }

    fn ends_within(&self, time: Duration) -> io::Result<bool> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Descriptor(fd) => poll(fd, time),
            Self::Number(pid) => {
                let until = Instant::now() + time;
                let mut pause = Duration::from_millis(1);
                loop {
                    if has_ended(*pid)? {
                        return Ok(true);
                    }
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(false);
                    }
                    std::thread::sleep(pause.min(left));
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn poll(fd: &std::os::fd::OwnedFd, time: Duration) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // Rounded up: a time of less than a millisecond must not become a busy loop.
    let ms = i32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: the pointer is to one `pollfd`, as the count says.
    match unsafe { libc::poll(&raw mut poll, 1, ms) } {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
        ready => Ok(ready > 0),
    }
}

/// Whether a child has ended; it stays to be collected.
fn has_ended(pid: libc::pid_t) -> io::Result<bool> {
    // SAFETY: all-zero is a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a value that lives longer than the call.
    let result = unsafe { libc::waitid(libc::P_PID, pid.cast_unsigned(), &raw mut info, options) };
    match result {
        // Without an ended child it succeeds and names no signal.
        0 => Ok(info.si_signo == libc::SIGCHLD),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

#[cfg(test)]
#[allow(clippy::zombie_processes)] // `wait` and `reap` collect them
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    fn sh(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).process_group(0);
        command.spawn().unwrap()
    }

    #[test]
    fn the_status_and_the_usage_are_told() {
        let child = sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 7");
        let (end, usage) = wait(&child, None, || false).unwrap();
        let End::Exited(status) = end else {
            panic!("{end:?}")
        };
        assert_eq!(status.code(), Some(7));
        assert!(usage.cpu_s > 0.0 && usage.peak_rss > 100_000, "{usage:?}");
    }

    #[test]
    fn a_limit_and_a_stop_end_it() {
        let child = sh("sleep 60");
        let limit = Some(Duration::from_millis(50));
        assert_eq!(wait(&child, limit, || false).unwrap().0, End::TimedOut);
        assert_eq!(
            wait(&sh("sleep 60"), None, || true).unwrap().0,
            End::Stopped
        );
    }

    #[test]
    fn a_kernel_without_descriptors_of_processes_will_do() {
        let child = sh("sleep 0.05");
        let pid = child.id().cast_signed();
        let watch = Watch::Number(pid);
        assert!(!watch.ends_within(Duration::ZERO).unwrap());
        assert!(watch.ends_within(Duration::from_secs(60)).unwrap());
        assert!(has_ended(pid).unwrap(), "it is not collected by the look");
        assert!(reap(pid).unwrap().0.success());
    }
}
