//! Digests, values and their encoding, recipes and keys.
//!
//! Nothing here knows a store or a path. The encodings must not change: their digests are the keys
//! in the stores of all users. Begin with `digest.rs`. `codec.rs` has the numbers and strings from
//! which `value.rs` and `recipe.rs` are built.

pub(crate) mod codec;
pub(crate) mod digest;
pub(crate) mod recipe;
pub(crate) mod value;

pub use codec::DecodeError;
pub use digest::{ActionKey, Digest, Digester, ParseDigestError};
pub use recipe::{Change, Encoder, Head, Recipe, unmatched};
pub use value::Value;
