//! The disk as the store needs it. Nothing here knows what a store holds.
//!
//! Every change goes through a function of `steps.rs`, which has a name for errors and tests.
//! `file.rs` is the one writer of whole files, which all crates use. `work_dir.rs` makes folders
//! for unfinished work, which other processes sweep once their maker is dead. `lock.rs` and
//! `names.rs` tell whether it is, and `wait.rs` waits for other processes. `look.rs` and `stat.rs`
//! only read. Begin with `steps.rs`, then `file.rs`.

pub(crate) mod file;
pub(crate) mod lock;
pub(crate) mod look;
pub(crate) mod names;
pub(crate) mod stat;
pub(crate) mod steps;
pub(crate) mod wait;
pub(crate) mod work_dir;
