//! What several commands show: reasons, verdicts and tables. What a single command shows is in the
//! folder of that command.
//!
//! Nothing here reads a store or decides anything: it is given what it shows. `ui/` decides where
//! output goes, and `wording.rs` puts figures and lists of names into words.
//!
//! Begin with [`table`], or with [`reason`] for why an action runs.

pub mod reason;
pub mod table;
pub mod verdict;
