//! Files that a run leaves for the user: `[outputs]` and `flow export`.
//!
//! [`ports`] finds what stands behind an output port. [`delivery`] decides which of them must be written and writes them; `written` remembers, per project,
//! what was written last, so that a run in which nothing changed reads no file. What `[outputs]` may say
//! is read in `pipeline/`. Begin with [`delivery`].

pub mod delivery;
pub mod ports;
pub(crate) mod written;
