//! The terminal that bars are drawn on.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;
use terminal_size::terminal_size_of;

/// The number of columns of `^C`, which a terminal writes when Ctrl-C is typed.
const ECHO: u16 = 2;

/// Stderr, made narrower so that the echo of Ctrl-C fits behind a bar. A bar that fills its line would
/// send the echo to the next one, and clearing the bar would then clear that line instead.
#[derive(Debug, Default)]
pub struct Screen {
    /// What is not written yet. A drawing comes in many pieces, and should appear whole.
    pending: Mutex<Vec<u8>>,
}

impl Screen {
    /// Locks the pieces. A poisoned lock is fine, because each piece is added by one call.
    fn pending(&self) -> MutexGuard<'_, Vec<u8>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn steps(&self, n: usize, direction: char) -> io::Result<()> {
        match n {
            0 => Ok(()),
            n => write!(self.pending(), "\x1b[{n}{direction}"),
        }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        let width = terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
        width.saturating_sub(ECHO + 1).max(1)
    }

    fn height(&self) -> u16 {
        terminal_size_of(io::stderr()).map_or(24, |(_, height)| height.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        writeln!(self.pending(), "{text}")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        write!(self.pending(), "{text}")
    }

    fn clear_line(&self) -> io::Result<()> {
        write!(self.pending(), "\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let pending = std::mem::take(&mut *self.pending());
        io::stderr().lock().write_all(&pending)
    }
}
