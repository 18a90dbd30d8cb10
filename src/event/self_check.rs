//! What `flow self-check` says.

use schemars::JsonSchema;
use serde::Serialize;

/// `flow self-check` has compared the digests of this machine with the published ones.
#[derive(Serialize, JsonSchema)]
pub struct SelfCheckFinished {
    /// Whether all are equal.
    pub ok: bool,
    /// What it took by the clock, in seconds.
    pub wall_s: f64,
    /// The numbers of actions at a time with which the pipeline ran at each level.
    pub jobs: Vec<usize>,
    /// The SIMD levels that there are, lowest first.
    pub levels: Vec<CheckedLevel>,
    /// The outputs with other digests.
    pub differing: Vec<DifferingOutput>,
}

/// A SIMD level.
#[derive(Serialize, JsonSchema)]
pub struct CheckedLevel {
    /// Its name, as `FLOW_SIMD` takes it.
    pub level: String,
    /// Whether the pipeline ran at it: the processor has it, and `FLOW_SIMD` allows it.
    pub tried: bool,
    /// Outputs that were compared, counted for each number of actions at a time.
    pub outputs: usize,
    /// Those of them that have other digests.
    pub differing: usize,
}

/// An output whose digest is not the published one.
#[derive(Clone, Serialize, JsonSchema)]
pub struct DifferingOutput {
    /// Name of the stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// The output port.
    pub port: String,
    /// The SIMD level.
    pub level: String,
    /// Actions that ran at a time.
    pub jobs: usize,
    /// The published digest.
    pub published: String,
    /// The digest on this machine.
    pub found: String,
}
