//! Digests, recipes and the content-addressed store of `flow`: bytes and paths only.
//!
//! Nothing here knows stages, pipelines or tables. `content/` has digests, values and recipes,
//! `disk/` has the steps that change the disk, `records/` has records and their segments, and
//! `store/` has everything that is done to a store, and `remote/` has what stores share. `sources/` and `runs.rs` have what is kept
//! outside it, and `testing/` has the faults that tests cause. Begin with `store/mod.rs`.
//!
//! # Layout on disk
//!
//! ```text
//! <store>/format                 "flow-store 2", which is written last when a store is created
//! <store>/artifacts/ab/cdef...   immutable bytes under their BLAKE3 digest, read-only
//! <store>/records/<name>.seg     append-only rows, shared by all writers
//! <store>/tmp/<writer>/          unfinished artifacts, removed once the writer's lock is free
//! <store>/manifests/<key>        what another process needs to run an action, while it runs
//! <store>/unfinished/<key>/      what an action leaves if it is killed, for its next attempt
//! <store>/jobs/<batch>/          what a scheduler was given, and what its tasks say
//! <store>/jobs/<batch>.<file>    what a scheduler itself says of the batch
//! <store>/locks/actions          one byte is locked for each running action
//! <store>/locks/commit           held while records are appended
//! <store>/locks/in-use           shared by all processes that have the store open, exclusive for gc
//! <store>/quarantine/            artifacts that were not what their digests say
//! <store>/pruned                 keys of records that gc removed, so that a miss can be explained
//! ```
//!
//! A process that may not write to the store can open only the lock `in-use`. The stat cache and the
//! records of runs lie outside the store, where the caller says.
//!
//! None of these folders may be a link, and only files with names that the store gives are removed: a
//! store may have come with somebody else's files.
//!
//! # The commit protocol
//!
//! These steps commit a batch of finished actions, in this order. Each step is a function of
//! `disk/steps.rs`.
//!
//! 1. Every output, complete and hashed, is synced under a temporary name.
//! 2. Each output is linked to its final name, which is its digest. If the name is taken, the bytes
//!    that are there are verified instead.
//! 3. The folders of those names are synced. If this process uses a folder for the first time, the
//!    folder's own name is synced too.
//! 4. The temporary names are removed.
//! 5. Under the commit lock, the records are appended in one write to the segment that all writers
//!    share, and the segment is synced. If a dead writer left half a row at the end, it is cut off
//!    first. An action that already has a record gets no second one.
//!
//! # Why a crash cannot lie
//!
//! - *Before step 2*, only `tmp/` has changed, and nothing reads it.
//! - *Between steps 2 and 5*, there are artifacts without a record. They are whole, because they were
//!   synced before they got their names. They do no harm, and gc removes them.
//! - *During step 5*, a row counts only if it is whole and its checks hold, so a torn append is no
//!   row. A whole row implies that steps 1 to 3 were over when it was written. Its outputs are
//!   therefore durable, even if the row itself became durable by chance before its sync.
//! - *If a record is lost*, its action runs again. Whole rows are never changed or moved, so a crash
//!   cannot damage older ones. What is cut off was never a row.
//! - *If two processes run the same action*, the action lock lets one of them run while the other
//!   waits. Where locks do not work, both commit, and readers agree on one row: the earliest of the
//!   highest generation.
//!
//! Reads are checked too ([`Store::check`]). An artifact that the disk damaged later is moved to
//! `quarantine/` and made again. A damaged row is skipped, reported and outranked by its successor.

mod content;
mod disk;
mod error;
#[cfg(feature = "testing")]
pub mod fuzzing;
mod records;
#[cfg(feature = "remote")]
mod remote;
mod runs;
mod sources;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod threads;

pub use content::{
    ActionKey, Change, DecodeError, Digest, Digester, Encoder, Head, ParseDigestError, Recipe,
    Value, unmatched,
};
pub use disk::file::{FileSteps, Lasting, NewFile, PLAIN, write_file, write_new_file};
pub use disk::look::require_no_link;
pub use disk::wait::{WatchedWait, Watcher, watch_waits};
pub use disk::work_dir::WorkDir;
pub use error::StoreError;
pub use records::index::{RecordPlace, Warning};
pub use records::record::{Attrs, Output, Provenance, Record};
#[cfg(feature = "remote")]
pub use remote::{
    Limits, PublicKey, Remote, RemoteError, RemoteFault, RemoteGc, RemoteOptions, RemoteStat,
    SigningKey, Trust,
};
pub use runs::{Runs, utc};
pub use sources::folder::Folder;
pub use sources::stat_cache::StatCache;
pub use store::action_lock::ActionLock;
pub use store::adopt::NotAdopted;
pub use store::commit::{Committed, Published};
pub use store::gc::{Evicted, GcPolicy, GcReport, Going};
pub use store::jobs::JobDir;
pub use store::nearest::Nearness;
pub use store::staging::{ArtifactWriter, AttemptDir, Staged};
pub use store::tier::{CreateArtifact, StoreReader, Tier, Traffic};
pub use store::unfinished::{read_unfinished, write_unfinished};
pub use store::verify::{StageStat, StoreStat, VerifyProgress, VerifyReport};
pub use store::{Health, Store};
pub use threads::thread_pool;
