//! Records of actions, and the segments that hold them.
//!
//! `record.rs` has what a record says and its encoding; `segment.rs` has rows in files, which it
//! reads and scans; `index.rs` finds the row of a key among all segments. Nothing here writes to a
//! segment: that is a step of the commit protocol (`store/commit.rs`) and of gc. Begin with the
//! format at the head of `segment.rs`.

pub(crate) mod index;
pub(crate) mod record;
pub(crate) mod segment;
