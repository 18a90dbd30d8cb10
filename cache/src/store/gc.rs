//! gc: removes records that nothing needs, and bytes that are cheap to make again.
//!
//! gc works only while no other process has the store open. It takes the `in-use` lock exclusively,
//! and if it cannot, it does nothing and says so. This is the simplest rule under which it can
//! never touch what a live run uses. Processes that start meanwhile wait until it is done. Where
//! locks do not work or reach no further than the machine, it cannot know of other processes. As no
//! other process is at work, it also removes the unfinished artifacts that other machines have left.
//!
//! It may die at any step. A removed artifact is an evicted one, and a segment that was rewritten
//! but not removed yet only repeats equal rows. Records are removed before their artifacts, so no
//! record is left whose artifacts are gone by accident.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::content::{ActionKey, Digest};
use crate::disk::file::{self, FileSteps, Lasting};
use crate::disk::look::{file_name, list_dir};
use crate::disk::names::Reach;
use crate::disk::stat::now_nanos;
use crate::disk::steps;
use crate::disk::work_dir;
use crate::error::StoreError;
use crate::records::index::{Index, RowSlot};
use crate::records::record::Record;
use crate::records::segment::FILE_MAGIC;
use crate::store::jobs::{self, JobDir};
use crate::store::pruned;
use crate::store::unfinished::Stale;
use crate::store::{Store, guard};

/// The steps of the segment that replaces all others.
const STEPS: FileSteps = ["gc.write-segment", "gc.publish-segment"];

/// What gc is asked to do.
#[derive(Clone, Debug, Default)]
pub struct GcPolicy {
    /// Evict bytes until the artifacts take no more than this.
    pub max_bytes: Option<u64>,
    /// Drop records that are older than this many days and not in [`GcPolicy::keep_records`].
    pub max_age_days: Option<f64>,
    /// Only report what gc would do.
    pub dry_run: bool,
    /// Records that pinned or recent runs name. They stay, however old they are.
    pub keep_records: HashSet<ActionKey>,
    /// Artifacts that pinned runs need at hand. They stay, however large they are.
    pub keep_bytes: HashSet<Digest>,
}

/// An artifact that gc removed because of its size.
#[derive(Clone, Debug)]
pub struct Evicted {
    /// The artifact.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// The stage that makes it.
    pub stage: String,
    /// Seconds to make it again (`Record::cost_s`).
    pub cost_s: f64,
}

/// What gc did, or would do.
#[derive(Clone, Debug, Default)]
pub struct GcReport {
    /// Another process has the store open, so nothing was removed.
    pub in_use: bool,
    /// The caller was told what would be removed and said no, so nothing was removed.
    pub refused: bool,
    /// Bytes of artifacts before.
    pub bytes_before: u64,
    /// Bytes of artifacts after.
    pub bytes_after: u64,
    /// Records removed because of the age goal.
    pub records_removed: u64,
    /// Artifacts removed because no record names them, and their bytes.
    pub orphans: (u64, u64),
    /// Artifacts removed because of the size goal, cheapest first.
    pub evicted: Vec<Evicted>,
    /// What the goals cost, by stage.
    pub stages: BTreeMap<String, Going>,
    /// Seconds that it takes to make everything again that was removed.
    pub recompute_s: f64,
    /// Quarantined files removed.
    pub quarantined: u64,
    /// Actions whose unfinished work is removed, and its bytes: those that have a record, and those
    /// that nobody went on with for a week.
    pub unfinished: (u64, u64),
}

/// What is removed of one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Going {
    /// Records that are too old.
    pub records: u64,
    /// Artifacts that only such records name, and those that the size goal takes.
    pub artifacts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds that it takes to make them again. Each action counts once.
    pub cost_s: f64,
}

/// The cheapest action that makes an artifact.
struct Maker {
    key: ActionKey,
    stage: String,
    cost_s: f64,
    /// Seconds for each byte of all outputs of the action.
    rate: f64,
    finished_unix: u64,
}

/// What is removed and what stays, by the records alone.
#[derive(Default)]
struct GcSurvey {
    /// Records that stay.
    kept: Vec<RowSlot>,
    /// Records that are too old.
    removed: Vec<ActionKey>,
    /// The actions that make the artifacts of records that stay.
    makers: HashMap<Digest, Maker>,
    /// The stages of artifacts of records that are too old.
    aged: HashMap<Digest, String>,
    /// What is removed of each stage because of its age.
    stages: BTreeMap<String, Going>,
}

impl GcSurvey {
    fn of(index: &mut Index, policy: &GcPolicy) -> Result<Self, StoreError> {
        let oldest = policy.max_age_days.map_or(0, |days| {
            let seconds = (days.max(0.0) * 86_400.0) as u64;
            (now_nanos() / 1_000_000_000).saturating_sub(seconds)
        });
        let mut survey = Self::default();
        index.for_each(|slot, record| {
            if record.finished_unix < oldest && !policy.keep_records.contains(&record.key) {
                survey.remove(&record);
            } else {
                survey.keep(slot, &record);
            }
        })?;
        Ok(survey)
    }

    fn remove(&mut self, record: &Record) {
        self.removed.push(record.key);
        let stage = record.stage().to_owned();
        let going = self.stages.entry(stage.clone()).or_default();
        going.records += 1;
        going.cost_s += record.cost_s();
        let artifacts = record.artifacts();
        self.aged
            .extend(artifacts.map(|a| (a.digest, stage.clone())));
    }

    fn keep(&mut self, slot: RowSlot, record: &Record) {
        self.kept.push(slot);
        let bytes: u64 = record.artifacts().map(|o| o.size).sum();
        for output in record.artifacts() {
            let maker = Maker {
                key: record.key,
                stage: record.stage().to_owned(),
                cost_s: record.cost_s(),
                rate: record.cost_s() / bytes.max(1) as f64,
                finished_unix: record.finished_unix,
            };
            match self.makers.get(&output.digest) {
                Some(known) if known.cost_s <= maker.cost_s => {}
                _ => drop(self.makers.insert(output.digest, maker)),
            }
        }
    }
}

/// Notes that an artifact of a stage is removed.
fn going(report: &mut GcReport, stage: &str, size: u64) {
    let going = report.stages.entry(stage.to_owned()).or_default();
    going.artifacts += 1;
    going.bytes += size;
}

/// The entries of a directory whose names start with a digest, as the names of all of flow's files
/// do.
fn named_by_digest(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = list_dir(dir)?;
    paths.retain(|path| {
        let name = file_name(path);
        let stem = name.split('.').next().unwrap_or_default();
        Digest::from_hex(stem).is_ok()
    });
    Ok(paths)
}

impl Store {
    /// Collects garbage. This process must not run actions on the store meanwhile.
    pub fn gc(&self, policy: &GcPolicy) -> Result<GcReport, StoreError> {
        self.gc_announced(policy, |_| true)
    }

    /// Does the same, and first calls `announce` with what will be removed. If it returns false,
    /// nothing is removed.
    pub fn gc_announced(
        &self,
        policy: &GcPolicy,
        announce: impl FnOnce(&GcReport) -> bool,
    ) -> Result<GcReport, StoreError> {
        if policy.dry_run {
            return self.collect(policy, announce);
        }
        self.require_writable("gc.remove-artifact")?;
        let Some(in_use) = &self.in_use else {
            return self.collect(policy, announce);
        };
        let collected = in_use.alone(|| self.collect(policy, announce))?;
        collected.unwrap_or_else(|| {
            Ok(GcReport {
                in_use: true,
                ..GcReport::default()
            })
        })
    }

    fn collect(
        &self,
        policy: &GcPolicy,
        announce: impl FnOnce(&GcReport) -> bool,
    ) -> Result<GcReport, StoreError> {
        let mut writer = guard(&self.segment);
        let mut index = guard(&self.index);
        index.refresh(&self.layout.records)?;
        let mut survey = GcSurvey::of(&mut index, policy)?;
        let mut report = GcReport {
            records_removed: survey.removed.len() as u64,
            stages: std::mem::take(&mut survey.stages),
            ..GcReport::default()
        };
        let doomed = self.choose(policy, &survey, &mut report)?;
        // Segments that an interrupted gc left half-written.
        let mut debris = list_dir(&self.layout.records)?;
        debris.retain(|path| {
            let name = file_name(path);
            name.contains(".seg.") && name.ends_with(".tmp")
        });
        let (old_jobs, jobs) = jobs::stale_and_live(&self.layout)?;
        if jobs.is_empty() {
            // No run and no batch is active, so these are left from runs that were killed.
            debris.extend(named_by_digest(&self.layout.manifests)?);
        }
        let quarantined = named_by_digest(&self.layout.quarantine)?;
        report.quarantined = quarantined.len() as u64;
        let stale = Stale::find(&self.layout, &index)?;
        report.unfinished = (stale.len() as u64, stale.iter().map(|left| left.size).sum());
        if !announce(&report) || policy.dry_run {
            report.refused = !policy.dry_run;
            return Ok(report);
        }
        pruned::note(&self.layout, &survey.removed)?;
        let one = index.segment_paths().len() <= 1;
        if report.records_removed > 0 || !one || index.sound_segments().is_empty() {
            self.compact(&mut index, &survey.kept)?;
            *writer = None;
        }
        let paths = doomed.iter().map(|digest| self.path(digest));
        for path in paths.chain(quarantined).chain(debris) {
            steps::remove("gc.remove-artifact", &path)?;
        }
        work_dir::sweep_all(&self.layout.tmp)?;
        stale.iter().for_each(Stale::remove);
        old_jobs.iter().for_each(JobDir::remove);
        Ok(report)
    }

    /// Chooses the artifacts to remove, and adds them up in the report.
    fn choose(
        &self,
        policy: &GcPolicy,
        survey: &GcSurvey,
        report: &mut GcReport,
    ) -> Result<Vec<Digest>, StoreError> {
        let (artifacts, _) = self.layout.list_artifacts()?;
        let mut doomed = Vec::new();
        let mut candidates: Vec<(Digest, u64, &Maker)> = Vec::new();
        for (digest, size) in artifacts {
            report.bytes_before += size;
            match survey.makers.get(&digest) {
                _ if policy.keep_bytes.contains(&digest) => {}
                Some(maker) => candidates.push((digest, size, maker)),
                None => {
                    match survey.aged.get(&digest) {
                        Some(stage) => going(report, stage, size),
                        None => {
                            report.orphans.0 += 1;
                            report.orphans.1 += size;
                        }
                    }
                    doomed.push((digest, size));
                }
            }
        }
        let gone: u64 = doomed.iter().map(|(_, size)| size).sum();
        report.bytes_after = report.bytes_before - gone;
        candidates.sort_by(|(a, _, x), (b, _, y)| {
            x.rate
                .total_cmp(&y.rate)
                .then(x.finished_unix.cmp(&y.finished_unix))
                .then(a.cmp(b))
        });
        let goal = policy.max_bytes.unwrap_or(u64::MAX);
        let mut counted: HashSet<ActionKey> = HashSet::new();
        for (digest, size, maker) in candidates {
            if report.bytes_after <= goal {
                break;
            }
            report.bytes_after -= size;
            going(report, &maker.stage, size);
            if counted.insert(maker.key)
                && let Some(going) = report.stages.get_mut(&maker.stage)
            {
                going.cost_s += maker.cost_s;
            }
            doomed.push((digest, size));
            report.evicted.push(Evicted {
                digest,
                size,
                stage: maker.stage.clone(),
                cost_s: maker.cost_s,
            });
        }
        let costs = report.stages.values().map(|going| going.cost_s);
        report.recompute_s = costs.fold(0.0, |sum, cost| sum + cost);
        Ok(doomed.into_iter().map(|(digest, _)| digest).collect())
    }

    /// Rewrites the rows that stay into one segment, then removes the old ones.
    fn compact(&self, index: &mut Index, kept: &[RowSlot]) -> Result<(), StoreError> {
        let old = index.segment_paths();
        let mut bytes = FILE_MAGIC.to_vec();
        for slot in kept {
            index.copy_row(slot, &mut bytes)?;
        }
        let records: &Path = &self.layout.records;
        let path = self.layout.new_segment(&Reach::of(records));
        file::replace(STEPS, &path, &bytes, Lasting::Now)?;
        steps::sync_dir("gc.sync-records-dir", records)?;
        for segment in old {
            steps::remove("gc.remove-segment", &segment)?;
        }
        let warnings = index.take_warnings();
        *index = Index::default();
        index.restore_warnings(warnings);
        index.refresh(records)
    }
}
