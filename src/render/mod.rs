//! What several commands show: reasons, verdicts and tables. What one command alone
//! shows is in its folder.
//!
//! Nothing here reads a store or decides anything: it is given what is to be shown. Where output goes is
//! the matter of `ui/`, and figures and lists of names in words are in `wording.rs`.
//!
//! Begin with [`table`], or with [`reason`] for why an action runs.

pub mod reason;
pub mod table;
pub mod verdict;
