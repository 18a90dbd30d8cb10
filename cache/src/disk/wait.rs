//! Waits for other processes, which a watcher is told of and can end.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// Functions that are told of waits for other processes and can end them.
#[derive(Clone, Copy, Debug)]
pub struct Watcher {
    /// Is told what the other process does or has, once in a wait.
    pub say: fn(&str),
    /// Returns true if this process is to stop.
    pub stop: fn() -> bool,
}

static WATCHER: OnceLock<Watcher> = OnceLock::new();

/// Sets the watcher of all waits. Without one, waits last as long as they take, in silence.
pub fn watch_waits(watcher: Watcher) {
    // The first one stays.
    let _ = WATCHER.set(watcher);
}

/// A wait for another process.
#[derive(Debug)]
pub struct WatchedWait {
    since: Instant,
    pause: Duration,
    said: bool,
}

impl Default for WatchedWait {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            pause: Duration::from_micros(100),
            said: false,
        }
    }
}

impl WatchedWait {
    /// The time after which the watcher is told of a wait.
    const LONG: Duration = Duration::from_secs(1);

    /// Waits for a moment. Returns false if this process is to stop.
    pub fn a_moment(&mut self, what: impl FnOnce() -> String) -> bool {
        const LONGEST: Duration = Duration::from_millis(20);
        if let Some(watcher) = WATCHER.get() {
            if (watcher.stop)() {
                return false;
            }
            if !self.said && self.since.elapsed() > Self::LONG {
                self.said = true;
                (watcher.say)(&what());
            }
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
        true
    }
}

/// Tries until `attempt` returns something or this process is to stop.
pub(crate) fn wait<T>(
    path: &Path,
    mut attempt: impl FnMut() -> Result<Option<T>, StoreError>,
) -> Result<T, StoreError> {
    let mut wait = WatchedWait::default();
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        if !wait.a_moment(|| format!("has {}", path.display())) {
            return Err(StoreError::Stopped {
                path: path.to_path_buf(),
            });
        }
    }
}
