//! The store of a project as bytes on disk.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "faults")]
use flow_cache::testing::fault::{self, ArmedFault, Strike};

use flow_cache::{GcPolicy, GcReport, Store, StoreError};

use crate::Project;
use crate::files::entries;

/// Collects garbage once nobody uses the store. That may take a moment: a process that another test is
/// about to start has the open files of this one until it has started its program.
///
/// # Errors
/// A step failed.
pub fn collect(store: &Store, policy: &GcPolicy) -> Result<GcReport, StoreError> {
    loop {
        let report = store.gc(policy)?;
        if !report.in_use {
            return Ok(report);
        }
        std::thread::yield_now();
    }
}

/// Has the steps below a directory fail or kill at a point, once it was passed `skip` times.
#[cfg(feature = "faults")]
pub fn arm(under: &Path, point: &str, skip: u32, strike: Strike) {
    fault::arm(ArmedFault {
        point: point.to_owned(),
        under: under.to_owned(),
        skip,
        strike,
    });
}

/// The segments of a store.
pub fn segments(store: &Path) -> Vec<PathBuf> {
    let mut found = entries(&store.join("records"));
    found.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    found
}

/// The artifacts of a store.
pub fn artifacts(store: &Path) -> Vec<PathBuf> {
    let folders = entries(&store.join("artifacts"));
    folders.iter().flat_map(|folder| entries(folder)).collect()
}

/// Where the artifact of a digest, in the words of an event, lies in the project's own store.
#[track_caller]
pub fn artifact(project: &Project, digest: &serde_json::Value) -> PathBuf {
    let hex = digest.as_str().and_then(|text| text.strip_prefix("b3:"));
    let (folder, name) = hex.expect("a digest").split_at(2);
    project.store().join("artifacts").join(folder).join(name)
}

/// Puts other bytes in the place of an artifact, which itself may not be written to.
pub fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).expect("removes");
    fs::write(path, bytes).expect("writes");
}

/// Turns one bit of a file in its middle over; false for an empty one.
pub fn flip(path: &Path) -> bool {
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    let Some(byte) = bytes.get_mut(middle) else {
        return false;
    };
    *byte ^= 1;
    replace(path, &bytes);
    true
}

/// Leaves the first half of a file.
pub fn truncate(path: &Path) {
    let bytes = fs::read(path).expect("a file");
    replace(path, &bytes[..bytes.len() / 2]);
}
