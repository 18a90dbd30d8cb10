//! Bytes and what they are called: digests, values and their encoding, recipes and keys.
//!
//! Nothing here knows a store or a path in one. What is encoded here has one spelling for ever: a
//! digest of it is a key of somebody's store. Begin with `digest.rs`; `codec.rs` has the numbers
//! and strings that `value.rs` and `recipe.rs` are made of.

pub(crate) mod codec;
pub(crate) mod digest;
pub(crate) mod recipe;
pub(crate) mod value;

pub use codec::DecodeError;
pub use digest::{ActionKey, Digest, Digester, ParseDigestError};
pub use recipe::{Change, Encoder, Head, Recipe, unmatched};
pub use value::Value;
