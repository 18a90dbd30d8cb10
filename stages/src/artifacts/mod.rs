//! Artifacts as the user meets them: files to take away, and files that should have been equal.
//!
//! - [`export`]: an artifact as Parquet, Arrow, CSV or JSON;
//! - [`difference`]: how far two artifacts of one output lie apart.
//!
//! Both work on any artifact, whichever kind wrote it. Formats themselves are described in `table`.

pub mod difference;
pub mod export;
