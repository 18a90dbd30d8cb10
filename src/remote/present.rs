//! Opens the remote of a project, waits for what is written to it, and gives account of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow_cache::{
    PublicKey, Remote, RemoteError, RemoteFault, RemoteOptions, SigningKey, Store, Tier, Traffic,
    Trust,
};
use flow_engine::text::settings::{CacheSettings, Settings};
use flow_engine::{Diag, Span};
use indicatif::ProgressBar;

use super::bar::spinner;
use super::{FetchBar, Wanted};
use crate::args::StoreArgs;
use crate::error::{CliError, Exit};
use crate::event::RemoteFigures;
use crate::ui::Ui;
use crate::wording::{bytes, count};

/// What to do about a mistake in settings or in the environment.
const CONFIG_HELP: &str =
    "`docs/shared-cache.md` has all settings; `--remote none` goes on without the remote";
/// The variable that may hold the key that signs records.
const SIGNING_KEY: &str = "FLOW_SIGNING_KEY";

/// The remote behind the store of a project.
pub struct ProjectRemote {
    /// The remote.
    pub remote: Arc<Remote>,
    fail_unwritten: bool,
}

impl ProjectRemote {
    /// Puts the remote of the project in `root` behind its store, if it has one.
    ///
    /// # Errors
    /// The settings, an option or a key is wrong. A remote that cannot be reached is no error.
    pub fn put_behind(
        store: &Store,
        root: &Path,
        args: &StoreArgs,
    ) -> Result<Option<Self>, CliError> {
        let Some(wanted) = Wanted::find(root, args)? else {
            return Ok(None);
        };
        let wanted = Wanted {
            // What only looks at the store only looks at the remote.
            write: wanted.write && !store.is_read_only(),
            ..wanted
        };
        let opened = Self::open(&wanted, root)?;
        store.put_behind(opened.remote.clone());
        Ok(Some(opened))
    }

    /// Opens the remote of the project in `root` by itself.
    ///
    /// # Errors
    /// As [`put_behind`](Self::put_behind), or if there is none.
    pub fn require(root: &Path, args: &StoreArgs) -> Result<Self, CliError> {
        let wanted = Wanted::find(root, args)?.ok_or_else(no_remote)?;
        Self::open(&wanted, root)
    }

    fn open(wanted: &Wanted, root: &Path) -> Result<Self, CliError> {
        let Wanted {
            url,
            write,
            settings,
        } = wanted;
        let cache = &settings.cache;
        let options = RemoteOptions {
            url: url.clone(),
            write: *write,
            writer: cache.writer.clone().unwrap_or_else(writer),
            trust: trust(settings)?,
            // Who only reads need not have it, though the settings of the project name its file.
            key: if *write { signing_key(settings)? } else { None },
            ..RemoteOptions::default()
        };
        check_own_trust(&options)?;
        let set = cache.remote.as_ref().filter(|set| set.text == *url);
        let place = set.map(|set| set.span);
        let opened = Remote::open(options, root);
        Ok(Self {
            remote: Arc::new(opened.map_err(|e| misconfigured(&e, place, settings))?),
            fail_unwritten: cache.fail_unwritten,
        })
    }

    /// Waits until everything that ran is written. `cancel` ends the wait.
    ///
    /// # Errors
    /// Something was not written, and the project wants that to fail.
    pub fn finish(&self, ui: &Ui, cancel: &AtomicBool) -> Result<(), CliError> {
        let left = self.wait(ui, cancel);
        let unwritten = left + self.remote.traffic().failed_writes;
        if unwritten == 0 {
            return Ok(());
        }
        let records = count(unwritten as usize, "record");
        let message = format!(
            "{records} of this run could not be written to {}",
            self.remote.url()
        );
        if !self.fail_unwritten || left > 0 {
            ui.progress(&format!(
                "{message}: `flow cache push` writes what is missing"
            ));
            // Somebody ended the wait, so the run was not all that it was to be.
            return match left {
                0 => Ok(()),
                _ => Err(CliError {
                    exit: Exit::Interrupted,
                    diags: Vec::new(),
                }),
            };
        }
        let diag = Diag::new("flow::remote::unwritten", message);
        let diag = diag.help("what ran is in the store: `flow cache push` writes what is missing");
        Err(CliError::new(
            Exit::Environment,
            diag.help(
                "`on_write_failure = \"report\"` under `[cache]` in flow.toml lets such runs pass",
            ),
        ))
    }

    /// Waits until everything that was offered is written, or `cancel` is set. Returns the number of
    /// records that are left.
    pub fn wait(&self, ui: &Ui, cancel: &AtomicBool) -> u64 {
        let bar = waiting_bar(ui);
        let stop = || cancel.load(Ordering::Relaxed);
        let left = self.remote.finish(&stop, &mut |traffic| {
            bar.set_message(waiting_text(&traffic));
            bar.tick();
        });
        bar.finish_and_clear();
        left
    }

    /// Shows what is being fetched.
    pub fn fetch_bar(&self, ui: &Ui) -> FetchBar {
        let remote = Arc::clone(&self.remote);
        FetchBar::start(ui, move || remote.traffic())
    }

    /// What has gone on so far.
    pub fn figures(&self) -> RemoteFigures {
        RemoteFigures::new(self.remote.url(), &self.remote.traffic())
    }
}

/// Returns an error if somebody would write what the own project does not use.
fn check_own_trust(options: &RemoteOptions) -> Result<(), CliError> {
    let Trust::Signed(trusted) = &options.trust else {
        return Ok(());
    };
    let own = options.key.as_ref().map(SigningKey::public);
    let (message, help) = match own {
        _ if !options.write => return Ok(()),
        Some(own) if trusted.contains(&own) => return Ok(()),
        None => (
            "this project uses signed records only, and there is no key to sign what is written"
                .to_owned(),
            "give the key, by `signing_key` under `[cache]` in flow.toml or by FLOW_SIGNING_KEY, or only read: --remote-mode read",
        ),
        Some(own) => (
            format!("this project does not trust the key that would sign what is written: {own}"),
            "list it under `trusted` in flow.toml, sign with another key, or only read: --remote-mode read",
        ),
    };
    Err(CliError::usage(
        Diag::new("flow::remote::trust", message).help(help),
    ))
}

/// The error of a command that needs a remote.
pub fn no_remote() -> CliError {
    let diag = Diag::new("flow::remote::none", "this project has no remote");
    CliError::usage(diag.help(
        "name one: --remote URL, FLOW_REMOTE, or `remote = \"URL\"` under `[cache]` in flow.toml",
    ))
}

/// A line while a run waits for its uploads, if somebody watches.
fn waiting_bar(ui: &Ui) -> ProgressBar {
    match ui.live && !ui.quiet {
        true => spinner(),
        false => ProgressBar::hidden(),
    }
}

fn waiting_text(traffic: &Traffic) -> String {
    let records = count(traffic.waiting as usize, "record");
    let (written, sending) = (bytes(traffic.written_bytes), bytes(traffic.sending_bytes));
    format!("writing to the remote: {records} to go, {written} written, {sending} on the way")
}

/// Who writes: the user and the machine.
fn writer() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let user = user.unwrap_or_else(|_| "somebody".to_owned());
    match host {
        Ok(host) => format!("{user}@{}", host.trim()),
        Err(_) => user,
    }
}

fn trust(settings: &Settings) -> Result<Trust, CliError> {
    let CacheSettings {
        signed, trusted, ..
    } = &settings.cache;
    let mut keys = Vec::new();
    for key in trusted {
        let parsed = PublicKey::parse(&key.text);
        keys.push(parsed.map_err(|e| misconfigured(&e, Some(key.span), settings))?);
    }
    Ok(match signed {
        true => Trust::Signed(keys),
        false => Trust::Any,
    })
}

fn signing_key(settings: &Settings) -> Result<Option<SigningKey>, CliError> {
    // An empty variable is what a system for continuous integration makes of a secret that a job does not get.
    if let Some(text) = std::env::var(SIGNING_KEY)
        .ok()
        .filter(|text| !text.is_empty())
    {
        let key = SigningKey::parse(&text);
        return key.map(Some).map_err(|e| {
            let e = RemoteError {
                message: format!("{SIGNING_KEY}: {e}"),
                ..e
            };
            misconfigured(&e, None, settings)
        });
    }
    let Some((path, span)) = &settings.cache.signing_key else {
        return Ok(None);
    };
    let key = SigningKey::read(path);
    key.map(Some)
        .map_err(|e| misconfigured(&e, Some(*span), settings))
}

fn misconfigured(error: &RemoteError, place: Option<Span>, settings: &Settings) -> CliError {
    let diag = Diag::new("flow::remote::config", error.message.clone()).help(CONFIG_HELP);
    CliError::usage(match place {
        Some(span) => diag.label(span, "set here").resolve(&settings.sources),
        None => diag,
    })
}

/// A failure of a command that is about the remote itself.
pub fn remote_error(error: &RemoteError) -> CliError {
    let (exit, code, help) = match error.fault {
        RemoteFault::Config => (Exit::Usage, "flow::remote::config", CONFIG_HELP),
        RemoteFault::Absent => (
            Exit::Usage,
            "flow::remote::absent",
            "the first to write makes it: `flow cache push --remote URL`",
        ),
        RemoteFault::Newer => (
            Exit::Environment,
            "flow::remote::newer",
            "use the newer flow that wrote it, or another remote",
        ),
        RemoteFault::Refused => (
            Exit::Environment,
            "flow::remote::refused",
            "credentials come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FLOW_REMOTE_AUTHORIZATION",
        ),
        RemoteFault::Unavailable | RemoteFault::NoBytes | RemoteFault::Store => (
            Exit::Environment,
            "flow::remote::unreachable",
            "try again; a run goes on without the remote",
        ),
    };
    CliError::new(exit, Diag::new(code, error.message.clone()).help(help))
}
