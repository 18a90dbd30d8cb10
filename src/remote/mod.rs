//! The remote behind the store of a project: which one it is, and how it is used.
//!
//! What `flow.toml` says is the default. The options and the environment come before it. Secrets come
//! from the environment or from files, and nothing of all this is in any recipe.

#[cfg(not(feature = "remote"))]
mod absent;
#[cfg(feature = "remote")]
mod bar;
#[cfg(feature = "remote")]
mod present;

use std::path::Path;

use flow_engine::text::settings::Settings;

use crate::args::{RemoteMode, StoreArgs};
use crate::error::CliError;

#[cfg(not(feature = "remote"))]
pub use absent::ProjectRemote;
#[cfg(feature = "remote")]
pub use bar::FetchBar;
#[cfg(feature = "remote")]
pub use present::{ProjectRemote, no_remote, remote_error};

/// The remote that somebody wants.
struct Wanted {
    url: String,
    write: bool,
    settings: Settings,
}

/// What switches a remote off.
const NONE: &str = "none";

impl Wanted {
    /// Reads the options and the settings of the project in `root`.
    fn find(root: &Path, args: &StoreArgs) -> Result<Option<Self>, CliError> {
        let settings = Settings::read(root)?;
        let asked = args.remote.as_deref().filter(|url| !url.is_empty());
        let set = settings.cache.remote.as_ref().map(|url| url.text.as_str());
        let Some(url) = asked.or(set).filter(|url| *url != NONE) else {
            return Ok(None);
        };
        Ok(Some(Self {
            url: url.to_owned(),
            write: match args.remote_mode {
                Some(mode) => mode == RemoteMode::ReadWrite,
                None => settings.cache.write,
            },
            settings,
        }))
    }
}
