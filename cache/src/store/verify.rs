//! Verifies everything in a store, and counts what is there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::content::Digest;
use crate::disk::look::open_own;
use crate::error::{StoreError, is_refused};
use crate::records::index::Warning;
use crate::store::{Store, guard};
use crate::threads::with_pool;

/// How far a verification has come.
#[derive(Clone, Copy, Debug)]
pub struct VerifyProgress {
    /// Bytes hashed.
    pub bytes: u64,
    /// Bytes to hash.
    pub total_bytes: u64,
    /// Artifacts hashed.
    pub artifacts: u64,
    /// Artifacts to hash.
    pub total_artifacts: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Artifacts that were hashed.
    pub artifacts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Artifacts whose bytes do not have their digests. They are left where they are.
    pub corrupt: Vec<Digest>,
    /// Files in the folder of artifacts that are not artifacts.
    pub strays: Vec<PathBuf>,
    /// Records that could be read.
    pub records: u64,
    /// Damage in the segments.
    pub damaged: Vec<Warning>,
    /// Outputs and logs of records whose bytes are not there. This is no fault: gc evicts bytes,
    /// and they are made again when they are needed.
    pub evicted: u64,
}

impl VerifyReport {
    /// Returns true if everything that is there is right.
    pub fn is_clean(&self) -> bool {
        self.corrupt.is_empty() && self.damaged.is_empty()
    }
}

/// The contents of a store in figures.
#[derive(Clone, Debug, Default)]
pub struct StoreStat {
    /// Artifacts.
    pub artifacts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// Figures by stage label.
    pub stages: BTreeMap<String, StageStat>,
}

/// The part of one stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageStat {
    /// Actions with a record.
    pub records: u64,
    /// Bytes of their outputs and logs. Evicted ones count too, and equal ones count each time.
    pub output_bytes: u64,
    /// Bytes of those that are there.
    pub present_bytes: u64,
    /// Seconds of CPU time that they took.
    pub cpu_s: f64,
    /// Seconds that they took by the clock, one after the other.
    pub wall_s: f64,
}

impl Store {
    /// Hashes every artifact on rayon's pool and reads every record. `progress` is called from
    /// several threads, after each artifact.
    pub fn verify(
        &self,
        progress: impl Fn(VerifyProgress) + Sync,
    ) -> Result<VerifyReport, StoreError> {
        let (artifacts, strays) = self.layout.list_artifacts()?;
        let total_bytes = artifacts.iter().map(|(_, size)| size).sum();
        let (bytes, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let look = |(digest, _): &(Digest, u64)| {
            let path = self.path(digest);
            let (actual, size) = match open_own(&path).and_then(|f| Digest::of_open_file(&f)) {
                Ok((actual, size)) => (Some(actual), size),
                // Another process has quarantined it since the listing.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                // Somebody took away the permission to read it.
                Err(e) if is_refused(&e) => (None, 0),
                Err(e) => return Err(StoreError::env("store.verify", &path, e)),
            };
            progress(VerifyProgress {
                bytes: bytes.fetch_add(size, Ordering::Relaxed) + size,
                total_bytes,
                artifacts: done.fetch_add(1, Ordering::Relaxed) + 1,
                total_artifacts: artifacts.len() as u64,
            });
            Ok((actual != Some(*digest)).then_some(*digest))
        };
        let verdicts = with_pool(|| artifacts.par_iter().map(&look).collect());
        let verdicts: Result<Vec<Option<Digest>>, StoreError> = match verdicts {
            Some(verdicts) => verdicts,
            // No thread can be started.
            None => artifacts.iter().map(&look).collect(),
        };
        let verdicts = verdicts?;

        let mut report = VerifyReport {
            artifacts: done.into_inner(),
            bytes: bytes.into_inner(),
            corrupt: verdicts.into_iter().flatten().collect(),
            strays,
            ..VerifyReport::default()
        };
        self.refresh()?;
        let mut index = guard(&self.index);
        index.for_each(|_, record| {
            report.records += 1;
            let gone = record.artifacts().filter(|o| !self.has(&o.digest));
            report.evicted += gone.count() as u64;
        })?;
        report.damaged = index.take_warnings();
        Ok(report)
    }

    /// Counts what is in the store.
    pub fn stat(&self) -> Result<StoreStat, StoreError> {
        let (artifacts, _) = self.layout.list_artifacts()?;
        let mut stat = StoreStat {
            artifacts: artifacts.len() as u64,
            bytes: artifacts.iter().map(|(_, size)| size).sum(),
            ..StoreStat::default()
        };
        self.refresh()?;
        self.for_each_record(|record| {
            stat.records += 1;
            let stage = stat.stages.entry(record.stage().to_owned()).or_default();
            stage.records += 1;
            for artifact in record.artifacts() {
                stage.output_bytes += artifact.size;
                let there = artifacts.binary_search_by_key(&artifact.digest, |(d, _)| *d);
                stage.present_bytes += there.map_or(0, |_| artifact.size);
            }
            stage.cpu_s += record.cpu_s;
            stage.wall_s += record.wall_s;
        })?;
        Ok(stat)
    }
}
