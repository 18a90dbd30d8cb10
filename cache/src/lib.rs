//! Digests, recipes and the content-addressed store of `flow`: bytes and paths only.
//!
//! # Layout on disk
//!
//! ```text
//! <store>/format                 "flow-store 2"; the last thing that creating a store writes
//! <store>/artifacts/ab/cdef...   immutable bytes under their BLAKE3 digest, read-only
//! <store>/records/<name>.seg     append-only rows, shared by writers (see segment.rs)
//! <store>/tmp/<writer>/          unfinished work; swept when the writer's lock is free
//! <store>/manifests/<key>         what another process needs to run an action, while it runs
//! <store>/locks/actions          one byte locked for each running action
//! <store>/locks/commit           held while records are appended
//! <store>/locks/in-use           shared by all who have the store open, exclusive for gc; the only
//!                                lock that those who may not write can open
//! <store>/quarantine/            artifacts that were not what their digests say
//! <store>/pruned                 keys of records that gc removed, and when: for explanations only
//! ```
//!
//! The stat cache and the records of runs lie outside the store; the caller says where.
//!
//! None of these folders may be a link, and only what has a name that the store gives is swept or
//! collected: a store may have come with somebody's files.
//!
//! # The commit protocol
//!
//! For a batch of finished actions, in this order; each step is a function of `disk.rs` and a
//! fault point:
//!
//! 1. every output, complete and hashed in `tmp/`, is synced;
//! 2. each is linked to its name unless that is taken (then what is there is verified);
//! 3. the directories of those names are synced, and where this process first uses one, the name of
//!    the directory itself: they are made at the first need;
//! 4. the temporary names are removed;
//! 5. under the `commit` lock: other writers' records are taken in, a torn tail that a dead writer
//!    left is cut off the segment, records of actions that have none are appended to it in one
//!    write, and it is synced.
//!
//! # Why a crash cannot lie
//!
//! - *Before 2*: only `tmp/` changed, which nobody reads.
//! - *Between 2 and 5*: artifacts without a record. They are whole (synced before they got their
//!   name), so they are no error; gc removes them.
//! - *During 5*: a row counts only if it is whole and its checks hold, so a torn append is no row.
//!   A whole row implies that steps 1 to 3 were over when it was written, so its outputs are
//!   durable, even if the row became durable by chance before its sync.
//! - Losing a record costs a recompute. Whole rows are never changed or moved, so a crash cannot
//!   damage older ones; what is cut off was never a row.
//! - *Two processes at once*: the action lock lets one run and the other wait. Where locks do not
//!   work both commit, and readers agree on one row: of the highest generation, the earliest.
//!
//! Reads are checked too ([`Store::check`]): what the disk damaged later is moved to `quarantine/`
//! and recomputed. A damaged row is skipped, reported and outranked by its successor.

mod adopt;
mod codec;
mod commit;
mod digest;
pub mod disk;
mod error;
pub mod fault;
mod folder;
#[doc(hidden)]
pub mod fuzzing;
mod gc;
mod index;
mod layout;
mod lock;
mod manifests;
mod nearest;
mod pruned;
mod recipe;
mod record;
mod runs;
mod segment;
mod stat_cache;
mod store;
mod threads;
mod value;
mod verify;
mod work_dir;
mod writer;

pub use adopt::NotAdopted;
pub use codec::DecodeError;
pub use commit::{Committed, Published};
pub use digest::{ActionKey, Digest, Digester, ParseDigestError};
pub use error::StoreError;
pub use folder::Folder;
pub use gc::{Evicted, GcPolicy, GcReport, Going};
pub use index::{Place, Warning};
pub use layout::{require_no_link, unique_name};
pub use lock::{ActionLock, Wait, Watcher, watch_waits};
pub use nearest::Nearness;
pub use recipe::{Change, Encoder, Head, Recipe, unmatched};
pub use record::{Attrs, Output, Provenance, Record};
pub use runs::{Runs, utc};
pub use stat_cache::StatCache;
pub use store::{Health, Store};
pub use threads::thread_pool;
pub use value::Value;
pub use verify::{Progress, StageStat, StoreStat, VerifyReport};
pub use work_dir::{Beside, WorkDir};
pub use writer::{ArtifactWriter, Scratch, Staged};
