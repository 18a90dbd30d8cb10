//! What can go wrong in the store, told apart by who must act.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::content::Digest;

/// A failure of the store.
#[derive(Debug)]
pub enum StoreError {
    /// The machine said no: disk full, permission, I/O error. The user's remedy is outside the store.
    Environment {
        /// The step of the protocol that failed. Tests know the step's fault point by the same
        /// name.
        step: &'static str,
        /// The file or directory it worked on.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Bytes in the store that cannot be understood.
    Corrupt {
        /// The file that holds them.
        path: PathBuf,
        /// What is wrong with them.
        detail: String,
        /// What the reader of such bytes says, whose words are in `detail`.
        source: Option<serde_json::Error>,
    },
    /// A later version of the program wrote the store.
    NewerFormat {
        /// The store's directory.
        path: PathBuf,
        /// The version found there.
        found: u32,
        /// The latest version that this program understands.
        supported: u32,
    },
    /// The place for a store holds something else.
    NotAStore {
        /// The place.
        path: PathBuf,
        /// What shows that it is no store.
        detail: String,
    },
    /// A folder or file that flow keeps for itself is a link.
    Link {
        /// The link.
        path: PathBuf,
    },
    /// This process was told to stop while it waited for another one.
    Stopped {
        /// The lock that the other process holds.
        path: PathBuf,
    },
    /// A record names an output whose bytes were neither staged with it nor are in the store.
    MissingOutput {
        /// The record's stage label.
        stage: String,
        /// The output's name.
        output: String,
        /// The digest it claims.
        digest: Digest,
    },
    /// A run id or prefix that fits several runs.
    AmbiguousRun {
        /// What was asked for.
        prefix: String,
        /// The ids that fit, newest first.
        matches: Vec<String>,
    },
}

impl StoreError {
    /// Wraps a system error with the step and path it belongs to.
    pub(crate) fn env(step: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Environment {
            step,
            path: path.to_path_buf(),
            source,
        }
    }

    /// A link in the place of something that flow keeps for itself.
    pub(crate) fn link(path: &Path) -> Self {
        Self::Link {
            path: path.to_path_buf(),
        }
    }

    /// Returns true if this user may not write there, whatever the state of the disk.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Environment { source, .. } if is_refused(source))
    }

    /// A write to a store that was opened only for reading.
    pub(crate) fn read_only(step: &'static str, path: &Path) -> Self {
        Self::env(step, path, io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// Returns true if the environment failed (exit code 4) rather than the contents of the store.
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Environment { .. })
    }

    /// Returns true if the disk, a quota or a limit on file sizes was exhausted.
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Self::Environment { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
            }
            _ => false,
        }
    }
}

/// Returns true if the system refused a write to this user, whatever the state of the disk.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment { step, path, source } => {
                write!(f, "{}: {source} (at step {step})", path.display())
            }
            Self::Corrupt { path, detail, .. } => write!(f, "{}: {detail}", path.display()),
            Self::NewerFormat {
                path,
                found,
                supported,
            } => write!(
                f,
                "{}: the store has format {found}, this program understands formats up to {supported}",
                path.display()
            ),
            Self::NotAStore { path, detail } => {
                write!(f, "{} is not a store: {detail}", path.display())
            }
            Self::Link { path } => write!(
                f,
                "{} is a link, and flow keeps nothing of its own behind links",
                path.display()
            ),
            Self::Stopped { path } => {
                write!(f, "stopped while another process has {}", path.display())
            }
            Self::MissingOutput {
                stage,
                output,
                digest,
            } => write!(
                f,
                "stage {stage}: output {output} ({digest}) was recorded, but its bytes are not in the store"
            ),
            Self::AmbiguousRun { prefix, matches } => {
                write!(f, "run {prefix} could be any of {}", matches.join(", "))
            }
        }
    }
}

/// The failure of a step inside an `io::Write`. The kind of the error, such as a full disk, is
/// kept.
impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Environment { source, .. } => source,
            other => Self::other(other),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Environment { source, .. } => Some(source),
            Self::Corrupt { source, .. } => Some(source.as_ref()?),
            _ => None,
        }
    }
}
