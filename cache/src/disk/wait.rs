//! Waits for other processes, which say so and can be ended.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// Who is told of waits for other processes, and can end them.
#[derive(Clone, Copy, Debug)]
pub struct Watcher {
    /// Is told, once in a wait, what the other process does or has.
    pub say: fn(&str),
    /// Whether this process is to stop.
    pub stop: fn() -> bool,
}

static WATCHER: OnceLock<Watcher> = OnceLock::new();

/// Has waits watched. Without that, they last as long as it takes, in silence.
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
    /// From when on a wait is worth a word.
    const LONG: Duration = Duration::from_secs(1);

    /// Waits for a moment. False: this process is to stop.
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

/// Tries until something comes of it, or this process is to stop.
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
