//! The disk as the store needs it: nothing here knows what a store holds.
//!
//! Every change goes through a function of `steps.rs`, which has a name for errors and tests. Whole
//! files are written by [`file`], the one writer that all crates use. [`work_dir`] makes
//! directories of unfinished work, which others sweep when their maker is dead; that is told by
//! `lock.rs` and by the names of `names.rs`, and waits for others by `wait.rs`. `look.rs` and
//! `stat.rs` only read. Begin with `steps.rs`, then `file.rs`.

pub(crate) mod file;
pub(crate) mod lock;
pub(crate) mod look;
pub(crate) mod names;
pub(crate) mod stat;
pub(crate) mod steps;
pub(crate) mod wait;
pub(crate) mod work_dir;
