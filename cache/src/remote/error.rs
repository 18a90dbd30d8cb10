//! What can go wrong with a remote.

use std::error::Error as StdError;
use std::fmt;

/// Who must act after a failure of a remote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteFault {
    /// The address, a key or an option is wrong.
    Config,
    /// The server did not let us: credentials are missing, wrong, or not enough.
    Refused,
    /// The server was not reached, was too slow, or failed.
    Unavailable,
    /// A later version of the program wrote the remote.
    Newer,
    /// There is no remote at this address.
    Absent,
    /// The bytes of an artifact are neither here nor there, so that nothing can be written.
    NoBytes,
    /// The store on this machine failed.
    Store,
}

/// A failure of a remote.
#[derive(Clone, Debug)]
pub struct RemoteError {
    /// Who must act.
    pub fault: RemoteFault,
    /// What happened, in one line.
    pub message: String,
}

/// The most bytes of somebody else's message that are shown.
const MOST: usize = 300;

impl RemoteError {
    pub(super) fn new(fault: RemoteFault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
        }
    }

    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(RemoteFault::Config, message)
    }

    pub(super) fn slow(seconds: u64) -> Self {
        let message = format!("there was no answer within {seconds} s");
        Self::new(RemoteFault::Unavailable, message)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for RemoteError {}

impl From<crate::StoreError> for RemoteError {
    fn from(error: crate::StoreError) -> Self {
        Self::new(RemoteFault::Store, error.to_string())
    }
}

impl From<object_store::Error> for RemoteError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error::{PermissionDenied, Unauthenticated};
        let fault = match &error {
            PermissionDenied { .. } | Unauthenticated { .. } => RemoteFault::Refused,
            _ => RemoteFault::Unavailable,
        };
        Self::new(fault, innermost(&error))
    }
}

/// The text of the error at the bottom, which says what happened. Those above it say where. A server
/// may have written it, so it is cut, and only its first line counts.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    let line = text.lines().next().unwrap_or_default();
    let end = (0..=line.len().min(MOST))
        .rev()
        .find(|&at| line.is_char_boundary(at));
    line[..end.unwrap_or(0)].trim().to_owned()
}
