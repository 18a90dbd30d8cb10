//! Records of actions, and the segments that hold them.
//!
//! `record.rs` has what a record says and how it is encoded. `segment.rs` reads and scans rows in
//! files. `index.rs` finds the row of a key among all segments. Nothing here writes to a segment:
//! the commit protocol (`store/commit.rs`) and gc do. Begin with the format at the head of
//! `segment.rs`.

pub(crate) mod index;
pub(crate) mod record;
pub(crate) mod segment;
