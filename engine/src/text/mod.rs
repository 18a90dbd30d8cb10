//! The text of a pipeline before it is interpreted: TOML with the place of every key and value.
//!
//! [`document`] reads a file, what it `extends` and the `--set` overlays into one tree of `node`s;
//! [`variants`] works out inheritance and grids on that tree; `write` makes text of a tree; `expect` holds what
//! every reader of a table asks of it; [`settings`] reads what is set for a whole project. Nothing here knows what a stage is: that a key names a parameter is decided in `kind/` and
//! `pipeline/`. Begin with `node`.

pub mod document;
pub(crate) mod expect;
pub(crate) mod node;
pub mod settings;
pub(crate) mod unread;
pub mod variants;
pub(crate) mod write;
