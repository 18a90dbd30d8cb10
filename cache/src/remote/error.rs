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

/// The most characters of somebody else's text that are shown.
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
/// may have written it, so only its first line counts, or what S3 says in its XML.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    let text = text.trim_start_matches("Server returned non-2xx status code: ");
    let message = |text: &str| {
        let (_, rest) = text.split_once("<Message>")?;
        Some(rest.split_once("</Message>")?.0.to_owned())
    };
    match text.split_once(": <") {
        None => harmless(text.lines().next().unwrap_or_default()),
        Some((status, _)) => match message(text) {
            Some(message) => harmless(&format!("{status}: {message}")),
            None => harmless(status),
        },
    }
}

/// Somebody else's text as a terminal or a log may see it: not too long, and in one line without
/// characters that mean something to them.
pub(super) fn harmless(text: &str) -> String {
    let shown = text.trim().chars().take(MOST);
    let shown = shown.map(|c| if c.is_control() { '?' } else { c });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let source = std::io::Error::other(text.to_owned());
        innermost(&RemoteErrorAbove(source))
    }

    #[derive(Debug)]
    struct RemoteErrorAbove(std::io::Error);

    impl fmt::Display for RemoteErrorAbove {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("above")
        }
    }

    impl StdError for RemoteErrorAbove {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn what_a_server_says_is_short_plain_and_in_one_line() {
        let xml = "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
        let wanted = "404 Not Found: The specified bucket does not exist";
        assert_eq!(said(xml), wanted);
        assert_eq!(
            said("501 Not Implemented: <!DOCTYPE HTML>\n<p>"),
            "501 Not Implemented"
        );
        assert_eq!(said("a\u{1b}[31m\u{7}\n::error::b"), "a?[31m?");
        assert_eq!(said(&"é".repeat(500)), "é".repeat(MOST));
        assert_eq!(
            said("400: <Message>a\n::error::b</Message>"),
            "400: a?::error::b"
        );
    }
}
