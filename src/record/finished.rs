//! The last event of a run.

use serde::Serialize;

use super::{Headline, Metrics, StageFigures, Status, in_order};

/// The last event of a run, `run-finished`: the part of its record that says what it came to.
#[derive(Debug, Serialize)]
pub struct RunFinished<'a> {
    /// How the run ended.
    pub status: Status,
    /// The name of the pipeline.
    pub pipeline: &'a str,
    /// The id of the run.
    pub run: &'a str,
    /// Elapsed seconds.
    pub wall_s: f64,
    /// The figures of the stages by name, in the order of the pipeline.
    #[serde(serialize_with = "in_order::serialize")]
    pub stages: Vec<(&'a str, &'a StageFigures)>,
    /// The metric to quote, if the pipeline names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<&'a Headline>,
    /// What evaluations reported, by stage.
    pub metrics: &'a Metrics,
}
