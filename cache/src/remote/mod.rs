//! A remote: a place outside this machine where stores share records and artifacts.
//!
//! ```text
//! <url>/flow-remote              "flow-remote 1", written before anything else
//! <url>/artifacts/ab/cdef...     an artifact under its digest, raw or compressed
//! <url>/records/ab/cdef...       a record under its key, with its writer and perhaps a signature
//! ```
//!
//! Objects are only ever created, artifacts before the record that names them, and the first record
//! of an action stays. A writer that dies therefore leaves artifacts without a record, which do no
//! harm. An object that was found damaged is replaced, and `gc.rs` removes old ones.
//!
//! Nothing that comes from a remote is believed: a record has to decode, to give the key that was
//! asked for and, where signatures are required, to be signed; an artifact has to have its digest.
//! What is wrong is not used, and counts in [`Traffic`].
//!
//! `objects.rs` has the names and what is done to single objects, `http.rs` the requests, their time
//! limits and repetitions, `folder.rs` the same for folders, `envelope.rs` the bytes, and `trust.rs` the
//! signatures. `fetch.rs` brings things here, and `push.rs` takes them there. Begin with [`Remote`].

mod account;
mod envelope;
mod error;
mod fetch;
mod folder;
mod gc;
mod http;
mod objects;
mod push;
mod trust;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;

pub use error::{RemoteError, RemoteFault};
pub use gc::{RemoteGc, RemoteStat};
pub use http::Limits;
pub use trust::{PublicKey, SigningKey, Trust};

use crate::content::{ActionKey, Digest};
use crate::error::StoreError;
use crate::records::index::Warning;
use crate::records::record::Record;
use crate::store::staging::Staged;
use crate::store::tier::{CreateArtifact, StoreReader, Tier, Traffic};
use account::Account;
use objects::Objects;
use push::Uploads;

/// How a remote is used.
#[derive(Default)]
pub struct RemoteOptions {
    /// Where it is: `file:`, `s3:`, `http:` or `https:`.
    pub url: String,
    /// Takes what runs here to the remote. Otherwise nothing there is changed.
    pub write: bool,
    /// Who writes, for people.
    pub writer: String,
    /// Whose records are used.
    pub trust: Trust,
    /// Signs the records that are written.
    pub key: Option<SigningKey>,
    /// How long it may take.
    pub limits: Limits,
}

/// A remote. Threads share it. Its methods wait for the network, within the time limits.
pub struct Remote {
    link: Arc<Link>,
    uploads: Uploads,
}

/// What all parts of a remote share.
struct Link {
    options: RemoteOptions,
    runtime: Option<Runtime>,
    objects: Result<Objects, RemoteError>,
    account: Account,
    /// Whether there is a remote to be read. It is found out once.
    readable: OnceLock<bool>,
    /// True once this is sure to be a remote that can be written to.
    begun: Mutex<bool>,
}

impl Remote {
    /// Opens a remote. A `file:` path that does not start with `/` starts at `root`. Nothing is asked
    /// of it before something is needed, so a remote that cannot be reached is no error here.
    ///
    /// # Errors
    /// The URL or the environment is wrong.
    pub fn open(options: RemoteOptions, root: &Path) -> Result<Self, RemoteError> {
        let objects = Objects::open(&options.url, root, options.write, options.limits);
        if let Err(error) = &objects
            && error.fault == RemoteFault::Config
        {
            return Err(error.clone());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| RemoteError::new(RemoteFault::Store, format!("no threads: {e}")))?;
        let link = Arc::new(Link {
            account: Account::new(&options.url),
            options,
            runtime: Some(runtime),
            objects,
            readable: OnceLock::new(),
            begun: Mutex::default(),
        });
        Ok(Self {
            uploads: Uploads::new(&link),
            link,
        })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.link.options.url
    }

    /// Returns true if what runs here is taken there.
    pub fn writes(&self) -> bool {
        self.link.options.write
    }

    /// Returns an error unless there is a remote at the URL that this program understands.
    ///
    /// # Errors
    /// It cannot be reached, is not there, or a later program wrote it.
    pub fn require(&self) -> Result<(), RemoteError> {
        self.link.require_format()
    }

    /// Waits until everything that was offered is written. Ends early if `stop` returns true, which
    /// it is asked several times a second. `tick` sees how far it is. Returns the number of records
    /// that are still to be written.
    pub fn finish(&self, stop: &dyn Fn() -> bool, tick: &mut dyn FnMut(Traffic)) -> u64 {
        const LOOK: Duration = Duration::from_millis(20);
        loop {
            let traffic = self.traffic();
            if traffic.waiting == 0 || stop() {
                return traffic.waiting;
            }
            tick(traffic);
            std::thread::sleep(LOOK);
        }
    }
}

impl Tier for Remote {
    fn records(&self, keys: &[ActionKey]) -> Vec<Record> {
        self.link.records(keys)
    }

    fn sizes(&self, digests: &[Digest]) -> HashMap<Digest, u64> {
        self.link.sizes(digests)
    }

    fn fetch(
        &self,
        digests: &[Digest],
        create: &CreateArtifact<'_>,
    ) -> Result<Vec<Staged>, StoreError> {
        self.link.fetch(digests, create)
    }

    fn offer(&self, from: &StoreReader, key: ActionKey) {
        if self.link.options.write {
            self.uploads.offer(from, key);
        }
    }

    fn traffic(&self) -> Traffic {
        self.link.account.traffic()
    }

    fn take_warnings(&self) -> Vec<Warning> {
        self.link.account.take_warnings()
    }
}

impl Link {
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            // It is there until this is dropped.
            None => unreachable!("a remote was used after its end"),
        }
    }

    fn objects(&self) -> Result<&Objects, RemoteError> {
        self.objects.as_ref().map_err(RemoteError::clone)
    }

    /// Returns an error unless there is a remote of a known format.
    fn require_format(&self) -> Result<(), RemoteError> {
        let url = &self.options.url;
        match self.wait(self.objects()?.get(objects::FORMAT))? {
            None => Err(RemoteError::new(
                RemoteFault::Absent,
                format!("nobody has written to {url} yet"),
            )),
            Some(text) => known_format(url, &text),
        }
    }
}

const FORMAT: &str = "flow-remote 1\n";

fn known_format(url: &str, text: &[u8]) -> Result<(), RemoteError> {
    if text == FORMAT.as_bytes() {
        return Ok(());
    }
    let (fault, what) = match text.starts_with(b"flow-remote ") {
        true => (RemoteFault::Newer, "was written by a later version of flow"),
        false => (RemoteFault::Config, "holds something else than a remote"),
    };
    Err(RemoteError::new(fault, format!("{url} {what}")))
}

impl Drop for Link {
    fn drop(&mut self) {
        // A request that hangs must not hold up the end of the process.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
