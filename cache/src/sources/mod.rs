//! Files of the user's that actions read: their digests, remembered as long as nothing touched them.
//!
//! Nothing here knows the store: the cache is a file of its own, and losing it costs hashing. Begin
//! with the rule of trust at the head of `stat_cache.rs`; `folder.rs` makes the looks cheap.

pub(crate) mod folder;
pub(crate) mod stat_cache;
