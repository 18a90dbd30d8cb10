//! What `flow cache` says.

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::ByName;

/// `flow cache stat` gives the figures of the store.
#[derive(Serialize, JsonSchema)]
pub struct CacheStat {
    /// The folder of the store.
    pub store: String,
    /// Artifacts.
    pub artifacts: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Records: actions whose results are known.
    pub records: u64,
    /// Figures by stage, that of the pipeline that ran an action first.
    pub stages: ByName<CachedStage>,
}

/// What the store has of one stage.
#[derive(Serialize, JsonSchema)]
pub struct CachedStage {
    /// Records of its actions.
    pub records: u64,
    /// Their outputs, in bytes, evicted ones included, equal ones counted each time.
    pub bytes: u64,
    /// Those of these outputs that are there, in bytes.
    pub present_bytes: u64,
    /// What the actions took of processors, in seconds.
    pub cpu_s: f64,
    /// What they took by the clock, one after the other, in seconds.
    pub wall_s: f64,
}

/// `flow cache verify` has read the whole store.
#[derive(Serialize, JsonSchema)]
pub struct CacheVerified {
    /// Whether all that is there is right.
    pub clean: bool,
    /// Artifacts that were hashed.
    pub artifacts: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// How fast they were hashed, in bytes a second.
    pub bytes_per_s: f64,
    /// Records that could be read.
    pub records: u64,
    /// Outputs of records whose bytes are not there, which is no fault.
    pub evicted: u64,
    /// Digests of artifacts that have other bytes.
    pub corrupt: Vec<String>,
    /// Damage in the records, in words.
    pub damaged: Vec<String>,
}

/// `flow cache gc` is about to remove this.
#[derive(Serialize, JsonSchema)]
pub struct CacheCollecting {
    /// What goes.
    #[serde(flatten)]
    pub going: GcFigures,
}

/// `flow cache gc` has removed this, or would have with `--dry-run`.
#[derive(Serialize, JsonSchema)]
pub struct CacheCollected {
    /// What went.
    #[serde(flatten)]
    pub gone: GcFigures,
}

/// What a collection removes.
#[derive(Serialize, JsonSchema)]
pub struct GcFigures {
    /// Nothing is removed: it is only shown.
    pub dry_run: bool,
    /// Artifacts before, in bytes.
    pub bytes_before: u64,
    /// Artifacts after, in bytes.
    pub bytes_after: u64,
    /// Records that go since they are too old.
    pub records_removed: u64,
    /// Artifacts that go since no record names them.
    pub orphans: u64,
    /// Artifacts that go to reach the size.
    pub evicted: usize,
    /// What goes of each stage for the sake of size or age.
    pub stages: ByName<CollectedStage>,
    /// What it would take to make all of that again, in seconds.
    pub recompute_s: f64,
    /// Files that go since they were set aside as corrupt.
    pub quarantined: u64,
    /// Actions whose unfinished work goes: they have a record, or nobody went on with it for a week.
    pub unfinished: u64,
    /// Its size, in bytes. The artifacts do not count it.
    pub unfinished_bytes: u64,
}

/// What goes of one stage.
#[derive(Serialize, JsonSchema)]
pub struct CollectedStage {
    /// Records that are too old.
    pub records: u64,
    /// Artifacts: those of such records alone, and those that go to reach the size.
    pub artifacts: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// What it would take to make them again, in seconds.
    pub recompute_s: f64,
}

/// `flow cache stat --remote` gives the figures of the remote.
#[derive(Serialize, JsonSchema)]
pub struct RemoteStatEvent {
    /// Its URL.
    pub url: String,
    /// Records.
    pub records: u64,
    /// Records that cannot be read.
    pub damaged: u64,
    /// Records that somebody has signed, trusted or not.
    pub signed: u64,
    /// Artifacts.
    pub artifacts: u64,
    /// The bytes of records and artifacts as they are there, where artifacts may be compressed.
    pub bytes: u64,
    /// Records by who wrote them, as the writers say.
    pub writers: ByName<u64>,
}

/// `flow cache gc --remote` has removed this, or would remove it.
#[derive(Serialize, JsonSchema)]
pub struct RemoteCollected {
    /// Its URL.
    pub url: String,
    /// Whether this only says what would go.
    pub dry_run: bool,
    /// Records before.
    pub records_before: u64,
    /// Records that went.
    pub records: u64,
    /// Artifacts that went.
    pub artifacts: u64,
    /// Files of writes that never ended.
    pub unfinished: u64,
    /// The bytes of all that went.
    pub bytes: u64,
}

/// `flow cache push` has written what the remote did not have.
#[derive(Serialize, JsonSchema)]
pub struct RemotePushed {
    /// Its URL.
    pub url: String,
    /// Records that were offered.
    pub offered: u64,
    /// Records that the remote has now.
    pub written: u64,
    /// The bytes that were sent.
    pub written_bytes: u64,
    /// Records that were left out, because their bytes are neither here nor there.
    pub without_bytes: u64,
    /// Records that could not be written.
    pub failed_writes: u64,
}

/// `flow cache pull` has fetched what the store did not have.
#[derive(Serialize, JsonSchema)]
pub struct RemotePulled {
    /// Its URL.
    pub url: String,
    /// Records that the store did not have.
    pub hits: u64,
    /// Artifacts that were fetched.
    pub fetched: u64,
    /// Their bytes as they were sent.
    pub fetched_bytes: u64,
    /// Artifacts that are wanted, and that neither has.
    pub missing: u64,
}

/// `flow cache keygen` has made a key pair.
#[derive(Serialize, JsonSchema)]
pub struct KeyMade {
    /// The file with the secret half.
    pub path: String,
    /// The public half, as `trusted` takes it.
    pub public_key: String,
}
