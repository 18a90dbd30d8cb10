//! Source files of the user: their digests, which are remembered until something touches the files.
//!
//! Nothing here knows the store. The cache is a file of its own, and if it is lost, files are
//! hashed again. Begin with the rule of trust at the head of `stat_cache.rs`. `folder.rs` makes
//! looks at many files cheap.

pub(crate) mod folder;
pub(crate) mod stat_cache;
