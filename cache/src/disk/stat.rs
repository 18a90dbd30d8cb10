//! What shows that a file changed, and how far the times of a file can be trusted.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is compared to see whether a file changed. Times are in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) ctime: i64,
    pub(crate) inode: u64,
}

impl Stat {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.size(),
            mtime: mtime_nanos(meta),
            ctime: nanos(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        }
    }
}

/// Nanoseconds since 1970, or 0 if the clock shows an earlier time.
pub(crate) fn now_nanos() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// The modification time of a file in nanoseconds since 1970.
pub(crate) fn mtime_nanos(meta: &Metadata) -> i64 {
    nanos(meta.mtime(), meta.mtime_nsec())
}

/// Seconds and nanoseconds as one number.
pub(crate) fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Returns true if a change after the look `at` must show in the `time` of a file, both in
/// nanoseconds. This holds if the time is older than the look by more than the granularity of file
/// times.
pub(crate) fn is_settled(time: i64, at: u64) -> bool {
    /// Kernels stamp files with the time of the last tick, which is up to 10 ms old.
    const TICK: i64 = 20_000_000;
    /// Some file systems keep only whole or even seconds.
    const COARSE: i64 = 2_000_000_000;
    let granule = if time % 1_000_000_000 == 0 {
        COARSE
    } else {
        TICK
    };
    time.saturating_add(granule) < i64::try_from(at).unwrap_or(i64::MAX)
}
