//! Fault points: places where a test makes the program die or the disk fail.
//!
//! Every step that changes the disk passes its point *before* it acts (see `disk/steps.rs`). A test
//! that ends the process at each point in turn therefore visits every state that a crash can leave.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;

/// What happens at an armed point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strike {
    /// The process dies as by `kill -9`, without destructors and without flushing.
    Kill,
    /// The step fails once with this error number of the system. `libc::ENOSPC` is a full disk.
    Error(i32),
}

/// A fault to be armed.
#[derive(Clone, Debug)]
pub struct ArmedFault {
    /// The point's name, one of [`POINTS`].
    pub point: String,
    /// Only steps on paths below this directory count. If it is empty, all steps count.
    pub under: PathBuf,
    /// How often the point is passed before it strikes.
    pub skip: u32,
    /// What happens then.
    pub strike: Strike,
}

/// Every fault point of the store, in the order in which a first commit and then gc pass them.
pub const POINTS: &[&str] = &[
    "open.layout",
    "open.format",
    "open.publish-format",
    "open.sync-layout",
    "writer.register",
    "stage.create",
    "stage.write",
    "stage.seal",
    "commit.sync-output",
    "commit.mkdir",
    "commit.link",
    "commit.sync-dir",
    "commit.create-segment",
    "commit.cut-tail",
    "commit.append",
    "commit.append-half",
    "commit.sync-records",
    "commit.sync-records-dir",
    "commit.unstage",
    "stage-exec.write",
    "stage-exec.publish",
    "stage-exec.remove",
    "unfinished.make",
    "unfinished.write",
    "unfinished.publish",
    "store.quarantine",
    "gc.write-pruned",
    "gc.publish-pruned",
    "gc.write-segment",
    "gc.publish-segment",
    "gc.sync-records-dir",
    "gc.remove-segment",
    "gc.remove-artifact",
];

static ARMED: AtomicBool = AtomicBool::new(false);
static FAULTS: Mutex<Vec<ArmedFault>> = Mutex::new(Vec::new());

fn faults() -> MutexGuard<'static, Vec<ArmedFault>> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Arms a fault for the whole process.
pub fn arm(fault: ArmedFault) {
    faults().push(fault);
    ARMED.store(true, Ordering::Release);
}

/// Disarms all faults below a directory.
pub fn disarm(under: &Path) {
    faults().retain(|fault| fault.under != under);
}

/// Returns true if a fault was armed in this process.
pub(crate) fn any_armed() -> bool {
    ARMED.load(Ordering::Relaxed)
}

/// Passes the point `name` on the way to a step on `path`.
pub(crate) fn point(name: &'static str, path: &Path) -> Result<(), StoreError> {
    if !any_armed() {
        return Ok(());
    }
    strike(name, path).map_err(|source| StoreError::env(name, path, source))
}

fn strike(name: &str, path: &Path) -> io::Result<()> {
    let mut faults = faults();
    let mut fits = faults
        .iter_mut()
        .enumerate()
        .filter(|(_, fault)| fault.point == name && path.starts_with(&fault.under));
    let Some((index, fault)) = fits.next() else {
        return Ok(());
    };
    if fault.skip > 0 {
        fault.skip -= 1;
        return Ok(());
    }
    match fault.strike {
        Strike::Kill => {
            // SAFETY: kill and getpid have no memory effects.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            std::process::abort()
        }
        Strike::Error(code) => {
            faults.remove(index);
            Err(io::Error::from_raw_os_error(code))
        }
    }
}
