//! Programs on a terminal: what is shown there, and what somebody types.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::Ended;
use crate::files::wait_until;

/// What the key Ctrl-C sends. The terminal makes it a signal to the program in the foreground.
pub const CTRL_C: &str = "\x03";

/// A program that is alone on a terminal of 24 lines of 80 characters.
pub struct Terminal {
    child: Child,
    keys: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts a program on a new terminal.
    pub fn start(mut command: Command) -> Self {
        let (ours, theirs) = pair();
        let another = || theirs.try_clone().expect("a descriptor");
        command.env("TERM", "xterm");
        command.stdin(another()).stdout(another()).stderr(another());
        // SAFETY: plain system calls, which are allowed between fork and exec.
        unsafe { command.pre_exec(take_terminal) };
        let child = command.spawn().expect("the program starts");
        // The terminal is closed once the program and all that it has started have closed it.
        drop((command, theirs));
        let keys = File::from(ours);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut screen, all) = (keys.try_clone().expect("a descriptor"), shown.clone());
        let reader = std::thread::spawn(move || {
            let mut block = [0; 4096];
            // Linux says EIO, and not that this is the end.
            while let Ok(n @ 1..) = screen.read(&mut block) {
                all.lock().expect("no panic").extend(&block[..n]);
            }
        });
        Self {
            child,
            keys,
            shown,
            reader,
        }
    }

    /// Types something.
    pub fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).expect("a terminal");
    }

    /// All that has been shown so far, with what was typed.
    pub fn shown(&self) -> String {
        let shown = self.shown.lock().expect("no panic");
        String::from_utf8_lossy(&shown).replace('\r', "")
    }

    /// Waits until something is shown.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait_until(|| self.shown().contains(text));
    }

    /// Waits for the end. All that was shown counts as told to people.
    pub fn end(mut self) -> Ended {
        let status = self.child.wait().expect("a status");
        // What it has started on the terminal must have ended as well.
        wait_until(|| self.reader.is_finished());
        Ended {
            code: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: self.shown(),
        }
    }
}

/// Makes a terminal. Returns our end of it and that of the program.
fn pair() -> (OwnedFd, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let mut size = libc::winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the pointers are to values that outlive the call; the name and the settings may be null.
    let made = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw mut size,
        )
    };
    assert_eq!(made, 0, "a terminal: {}", io::Error::last_os_error());
    // SAFETY: both are open and belong to nobody else.
    unsafe {
        // The program must not have our end, or the terminal would stay open with it.
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(theirs, libc::F_SETFD, libc::FD_CLOEXEC);
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    }
}

/// Makes standard input the terminal of this process, whose session is a new one.
fn take_terminal() -> io::Result<()> {
    // SAFETY: plain system calls.
    let taken = unsafe { libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY as _, 0) >= 0 };
    match taken {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}
