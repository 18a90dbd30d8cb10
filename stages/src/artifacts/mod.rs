//! Artifacts as the user meets them: files to take away, and comparisons of files that should be equal.
//!
//! - [`export`]: an artifact as Parquet, Arrow, CSV or JSON;
//! - [`difference`]: how far two artifacts of one output lie apart.
//!
//! Both work on any artifact, whatever kind wrote it. The formats themselves are described in `table`.

pub mod difference;
pub mod export;
