//! What is in a remote, and how old parts of it are removed.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream;

use super::envelope;
use super::error::{RemoteError, harmless};
use super::fetch::WAVE;
use super::objects::{ARTIFACTS, Objects, RECORDS, artifact_name, record_name};
use super::{Link, Remote};
use crate::content::ActionKey;
use crate::records::record::Record;

/// An artifact that no record names is kept this long, because the record may be on its way. So is the file of a write,
/// which may be going on.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// What is in a remote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteStat {
    /// Records.
    pub records: u64,
    /// Records that cannot be read.
    pub damaged: u64,
    /// Records that carry a signature, whoever made it.
    pub signed: u64,
    /// Artifacts.
    pub artifacts: u64,
    /// The bytes of records and artifacts as they are there.
    pub bytes: u64,
    /// Records by who wrote them, as they say: a name is cut, and has no control characters.
    pub writers: BTreeMap<String, u64>,
}

/// What gc removed from a remote, or would remove.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RemoteGc {
    /// Records before.
    pub records_before: u64,
    /// Records that were removed.
    pub records: u64,
    /// Artifacts that were removed.
    pub artifacts: u64,
    /// Files that were removed because the writes to them never ended. Only a folder has any.
    pub unfinished: u64,
    /// Bytes of all of these.
    pub bytes: u64,
}

impl Remote {
    /// The keys of all records.
    ///
    /// # Errors
    /// The remote cannot be listed.
    pub fn keys(&self) -> Result<Vec<ActionKey>, RemoteError> {
        self.require()?;
        let listed = self.link.wait(self.link.objects()?.list(RECORDS))?;
        Ok(listed.into_iter().map(|(key, _)| ActionKey(key)).collect())
    }

    /// Takes stock. This reads every record.
    ///
    /// # Errors
    /// The remote cannot be listed or read.
    pub fn stat(&self) -> Result<RemoteStat, RemoteError> {
        self.require()?;
        let objects = self.link.objects()?;
        let records = self.link.wait(objects.list(RECORDS))?;
        let artifacts = self.link.wait(objects.list(ARTIFACTS))?;
        let all = records.iter().chain(&artifacts);
        let mut stat = RemoteStat {
            records: records.len() as u64,
            artifacts: artifacts.len() as u64,
            bytes: all.map(|(_, meta)| meta.size).sum(),
            ..RemoteStat::default()
        };
        let keys = records.iter().map(|(key, _)| ActionKey(*key));
        self.link.each_record(keys, |read| match read {
            None => stat.damaged += 1,
            Some(read) => {
                stat.signed += u64::from(read.signed);
                *stat.writers.entry(harmless(&read.writer)).or_default() += 1;
            }
        })?;
        Ok(stat)
    }

    /// Removes records that were written longer ago than `age`, and those that cannot be read. Then
    /// removes artifacts that no record names any more, and files of writes that never ended, unless
    /// they are younger than a day. With `dry`, only says what would go.
    ///
    /// A writer that is at work meanwhile may find an artifact and not send it, just before it is
    /// removed here. Its record then names bytes that are gone, and whoever needs them makes them
    /// again.
    ///
    /// # Errors
    /// The remote cannot be listed, read or changed.
    pub fn gc(&self, age: Duration, dry: bool) -> Result<RemoteGc, RemoteError> {
        self.gc_at(SystemTime::now(), age, dry)
    }

    /// Does the same as if it were another time.
    pub(super) fn gc_at(
        &self,
        now: SystemTime,
        age: Duration,
        dry: bool,
    ) -> Result<RemoteGc, RemoteError> {
        self.require()?;
        let objects = self.link.objects()?;
        // The artifacts come first. One that is sent after this is not looked at.
        let artifacts = self.link.wait(objects.list(ARTIFACTS))?;
        let records = self.link.wait(objects.list(RECORDS))?;
        let mut done = RemoteGc {
            records_before: records.len() as u64,
            ..RemoteGc::default()
        };
        let is_old =
            |modified: SystemTime, age| now.duration_since(modified).is_ok_and(|lived| lived > age);
        let (old, kept): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|(_, meta)| is_old(meta.last_modified.into(), age));
        let mut going = Vec::new();
        for (key, meta) in old {
            (done.records, done.bytes) = (done.records + 1, done.bytes + meta.size);
            going.push(record_name(&ActionKey(key)));
        }
        let mut named = HashSet::new();
        let keys = kept.iter().map(|(key, _)| ActionKey(*key));
        let (mut at, mut unreadable) = (0, Vec::new());
        self.link.each_record(keys, |read| {
            match read {
                Some(read) => named.extend(read.record.artifacts().map(|a| a.digest)),
                None => unreadable.push(at),
            }
            at += 1;
        })?;
        for (key, meta) in unreadable.into_iter().map(|at| &kept[at]) {
            (done.records, done.bytes) = (done.records + 1, done.bytes + meta.size);
            going.push(record_name(&ActionKey(*key)));
        }
        for (digest, meta) in artifacts {
            if !named.contains(&digest) && is_old(meta.last_modified.into(), GRACE) {
                (done.artifacts, done.bytes) = (done.artifacts + 1, done.bytes + meta.size);
                going.push(artifact_name(&digest));
            }
        }
        let mut unfinished = objects.unfinished()?;
        unfinished.retain(|file| is_old(file.modified, GRACE));
        done.unfinished = unfinished.len() as u64;
        done.bytes += unfinished.iter().map(|file| file.bytes).sum::<u64>();
        if !dry {
            self.link.remove_all(objects, &going)?;
            objects.remove_unfinished(unfinished)?;
        }
        Ok(done)
    }
}

/// A record of a remote with what its envelope says.
struct Read {
    record: Record,
    writer: String,
    signed: bool,
}

impl Link {
    /// Reads records and hands each to `each`, in order: `None` if it cannot be understood, or is gone
    /// by now.
    fn each_record(
        &self,
        keys: impl Iterator<Item = ActionKey>,
        mut each: impl FnMut(Option<Read>),
    ) -> Result<(), RemoteError> {
        let objects = self.objects()?;
        self.wait(async {
            let requests = keys.map(|key| async move {
                let bytes = objects.get(&record_name(&key)).await;
                (key, bytes)
            });
            let mut answers = std::pin::pin!(stream::iter(requests).buffered(WAVE));
            while let Some((key, bytes)) = answers.next().await {
                let bytes = bytes?;
                let read = bytes.as_deref().and_then(|bytes| {
                    let envelope = envelope::open(bytes).ok()?;
                    Some(Read {
                        record: envelope.record(key).ok()?,
                        writer: envelope.writer.to_owned(),
                        signed: envelope.signature.is_some(),
                    })
                });
                each(read);
            }
            Ok(())
        })
    }

    /// Removes objects in this order as far as their kinds go: records come before artifacts.
    fn remove_all(&self, objects: &Objects, names: &[String]) -> Result<(), RemoteError> {
        let records = names.iter().filter(|name| name.starts_with(RECORDS));
        let artifacts = names.iter().filter(|name| name.starts_with(ARTIFACTS));
        for kind in [Vec::from_iter(records), Vec::from_iter(artifacts)] {
            self.wait(async {
                let requests = kind.into_iter().map(|name| objects.remove(name));
                let mut answers = std::pin::pin!(stream::iter(requests).buffer_unordered(WAVE));
                while let Some(removed) = answers.next().await {
                    removed?;
                }
                Ok::<(), RemoteError>(())
            })?;
        }
        Ok(())
    }
}
