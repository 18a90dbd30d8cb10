//! What comes from a remote: records in waves, artifacts in parallel.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream;

use super::Link;
use super::envelope::{self, Unpack};
use super::error::{RemoteError, RemoteFault};
use super::http::Pace;
use super::objects::{Arriving, Objects, artifact_name, record_name};
use crate::content::{ActionKey, Digest};
use crate::error::StoreError;
use crate::records::record::Record;
use crate::store::guard;
use crate::store::staging::Staged;
use crate::store::tier::CreateArtifact;

/// The most requests for small objects that are under way at a time.
pub(super) const WAVE: usize = 64;
/// The most artifacts that are fetched at a time.
const FETCHES: usize = 8;
/// How often a transfer that makes no progress is taken up again.
const RESUMES: u32 = 3;

/// How the transfer of one artifact ended.
enum Transfer {
    Came(Box<Staged>),
    /// The remote does not have it.
    Absent,
    /// It has something else under its name.
    Damaged,
}

impl Link {
    /// Returns true if the remote is there to be read. This asks it once.
    fn is_readable(&self) -> bool {
        let reads = &self.account.reads;
        if reads.is_over() {
            return false;
        }
        let known = self.readable.get_or_init(|| {
            match self.require_format() {
                Ok(()) => true,
                // Whoever may write is the first to do so.
                Err(error) if error.fault == RemoteFault::Absent && self.options.write => false,
                Err(error) => {
                    reads.skip();
                    self.account.give_up(reads, &error);
                    false
                }
            }
        });
        *known
    }

    /// The records of those keys that the remote has a good one of.
    pub(super) fn records(&self, keys: &[ActionKey]) -> Vec<Record> {
        if !self.is_readable() {
            return Vec::new();
        }
        let Ok(objects) = self.objects() else {
            return Vec::new();
        };
        let requests = keys.iter().map(|key| self.record(objects, *key));
        let answers = stream::iter(requests).buffered(WAVE);
        let answers: Vec<Option<Record>> = self.wait(answers.collect());
        let found: Vec<Record> = answers.into_iter().flatten().collect();
        self.account
            .count(|counts| counts.hits += found.len() as u64);
        found
    }

    async fn record(&self, objects: &Objects, key: ActionKey) -> Option<Record> {
        let reads = &self.account.reads;
        if reads.is_over() {
            return None;
        }
        let name = record_name(&key);
        let bytes = self.account.judge(reads, objects.get(&name).await)??;
        self.examine(&name, key, &bytes)
    }

    /// The record in an object, if it is sound and somebody whom we trust has written it.
    pub(super) fn examine(&self, name: &str, key: ActionKey, bytes: &[u8]) -> Option<Record> {
        let Ok(envelope) = envelope::open(bytes) else {
            self.account.damage(name);
            return None;
        };
        let trust = &self.options.trust;
        if let Some(why) = trust.refuses(envelope.body, envelope.signature.as_ref()) {
            self.account.refuse(name, why);
            return None;
        }
        let record = envelope.record(key);
        if record.is_err() {
            self.account.damage(name);
        }
        record.ok()
    }

    /// The sizes of those artifacts that the remote has, in bytes on their way.
    pub(super) fn sizes(&self, digests: &[Digest]) -> HashMap<Digest, u64> {
        if !self.is_readable() {
            return HashMap::new();
        }
        let Ok(objects) = self.objects() else {
            return HashMap::new();
        };
        let requests = digests.iter().map(|digest| self.size(objects, *digest));
        let answers = stream::iter(requests).buffered(WAVE);
        let answers: Vec<Option<(Digest, u64)>> = self.wait(answers.collect());
        answers.into_iter().flatten().collect()
    }

    async fn size(&self, objects: &Objects, digest: Digest) -> Option<(Digest, u64)> {
        let reads = &self.account.reads;
        if reads.is_over() {
            return None;
        }
        let size = objects.size(&artifact_name(&digest)).await;
        Some((digest, self.account.judge(reads, size)??))
    }

    /// Fetches those artifacts that the remote has.
    pub(super) fn fetch(
        &self,
        digests: &[Digest],
        create: &CreateArtifact<'_>,
    ) -> Result<Vec<Staged>, StoreError> {
        if !self.is_readable() {
            return Ok(Vec::new());
        }
        let next = AtomicUsize::new(0);
        let came = Mutex::new(Vec::new());
        let failed: Mutex<Option<StoreError>> = Mutex::new(None);
        let work = || {
            while let Some(digest) = digests.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.fetch_one(digest, create) {
                    Ok(staged) => guard(&came).extend(staged),
                    Err(error) => {
                        guard(&failed).get_or_insert(error);
                        return;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            // If the system gives no more threads, those that are there do the work.
            for _ in 1..FETCHES.min(digests.len()) {
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        match failed.into_inner().unwrap_or_default() {
            Some(error) => Err(error),
            None => Ok(came.into_inner().unwrap_or_default()),
        }
    }

    fn fetch_one(
        &self,
        digest: &Digest,
        create: &CreateArtifact<'_>,
    ) -> Result<Option<Staged>, StoreError> {
        let reads = &self.account.reads;
        if reads.is_over() {
            return Ok(None);
        }
        let name = artifact_name(digest);
        let result = self.transfer(&name, digest, create)?;
        match self.account.judge(reads, result) {
            Some(Transfer::Came(staged)) => {
                self.account.count(|counts| counts.fetched += 1);
                guard(&self.account.present).insert(name);
                Ok(Some(*staged))
            }
            Some(Transfer::Damaged) => {
                self.account.damage(&name);
                Ok(None)
            }
            Some(Transfer::Absent) | None => Ok(None),
        }
    }

    /// Transfers one artifact. A transfer that breaks is taken up where it broke.
    fn transfer(
        &self,
        name: &str,
        digest: &Digest,
        create: &CreateArtifact<'_>,
    ) -> Result<Result<Transfer, RemoteError>, StoreError> {
        let mut unpack = Unpack::new(create(digest)?);
        let objects = match self.objects() {
            Ok(objects) => objects,
            Err(error) => return Ok(Err(error)),
        };
        let pace = objects.pace();
        let (mut at, mut wanted, mut broken) = (0, 0, 0);
        loop {
            let begun = at;
            let ended = self.wait(async {
                let Some(mut arriving) = objects.get_from(name, at).await? else {
                    return Ok(Some(Transfer::Absent));
                };
                self.expect(&mut wanted, arriving.size);
                self.receive(&mut arriving, &mut unpack, &mut at, &pace)
                    .await
            });
            match ended {
                Ok(None) => break,
                Ok(Some(other)) => return Ok(Ok(other)),
                Err(error) if error.fault != RemoteFault::Unavailable => return Ok(Err(error)),
                Err(error) => {
                    broken = if at > begun { 0 } else { broken + 1 };
                    // Nothing has come: the request itself was tried again already.
                    if at == 0 || broken >= RESUMES || pace.keeps_up(at).is_err() {
                        return Ok(Err(error));
                    }
                }
            }
        }
        Ok(Ok(match unpack.finish()? {
            Some(staged) if staged.digest == *digest => Transfer::Came(Box::new(staged)),
            _ => Transfer::Damaged,
        }))
    }

    /// Notes how many bytes are to come.
    fn expect(&self, wanted: &mut u64, size: u64) {
        if *wanted == 0 {
            *wanted = size;
            self.account.count(|counts| counts.wanted_bytes += size);
        }
    }

    async fn receive(
        &self,
        arriving: &mut Arriving,
        unpack: &mut Unpack,
        at: &mut u64,
        pace: &Pace,
    ) -> Result<Option<Transfer>, RemoteError> {
        while let Some(piece) = arriving.next().await? {
            match unpack.put(&piece) {
                Ok(()) => {}
                Err(error) if is_ours(&error) => {
                    return Err(RemoteError::new(RemoteFault::Store, error.to_string()));
                }
                Err(_) => return Ok(Some(Transfer::Damaged)),
            }
            *at += piece.len() as u64;
            let came = piece.len() as u64;
            self.account.count(|counts| counts.fetched_bytes += came);
            pace.keeps_up(*at)?;
        }
        // A server that closes a connection too early looks like one that is done.
        if *at < arriving.size {
            let message = "the connection ended too early";
            return Err(RemoteError::new(RemoteFault::Unavailable, message));
        }
        Ok(None)
    }
}

/// Returns true if this machine failed to write, rather than that the bytes are no artifact.
fn is_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{
        FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    matches!(
        error.kind(),
        FileTooLarge | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull
    )
}
