//! Why a fit ends without a network.

use std::error::Error;
use std::fmt;

/// The reason why a fit ended early.
#[derive(Debug)]
pub enum FitError {
    /// It was told to stop.
    Stopped,
    /// A loss or a weight was no finite number any more.
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
        /// What was not finite.
        what: &'static str,
    },
    /// The rows cannot be learned from.
    Rows {
        /// Why.
        reason: String,
        /// What to try.
        help: &'static str,
    },
    /// The state of the fit could not be read or written.
    Checkpoint(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the fit was told to stop"),
            Self::Diverged { epoch, what } => {
                write!(f, "{what} is no finite number any more in epoch {epoch}")
            }
            Self::Rows { reason, .. } => f.write_str(reason),
            Self::Checkpoint(error) => write!(f, "the state of the fit cannot be kept: {error}"),
        }
    }
}

impl Error for FitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Checkpoint(error) => Some(&**error),
            _ => None,
        }
    }
}
