//! Metrics as evaluations report them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::ByName;
use crate::evaluation::Artifacts;

/// What evaluations report, by stage, in the order of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Metrics(ByName<StageMetrics>);

/// What one evaluation reports, by the name of the metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct StageMetrics(#[schemars(with = "Map<String, Json>")] Json);

/// The figures of one metric. A metric that is not one number for each fold, such as a confusion
/// matrix, has none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MetricFigures {
    /// The value on all objects together.
    pub pooled: Option<f64>,
    /// The lower end of the 95 % interval of `pooled`.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// The mean over folds.
    pub mean: Option<f64>,
    /// The standard deviation over folds.
    pub std: Option<f64>,
    /// The values in the folds, those that are undefined included.
    pub folds: Option<Vec<Option<f64>>>,
    /// What it is an average of, where it is not the metric of one class.
    pub average: Option<String>,
}

impl Metrics {
    /// The metrics of these stages.
    pub fn new(stages: ByName<StageMetrics>) -> Self {
        Self(stages)
    }

    /// The metrics of one stage.
    pub fn of(&self, stage: &str) -> Option<&StageMetrics> {
        self.0.get(stage)
    }

    /// The stages that report metrics.
    pub fn stages(&self) -> Vec<String> {
        self.0.iter().map(|(stage, _)| stage.clone()).collect()
    }

    /// All metrics: stage, metric and figures.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, MetricFigures)> {
        let stages = self.0.iter();
        stages.flat_map(|(stage, metrics)| {
            let metrics = metrics.iter();
            metrics.map(|(metric, figures)| (stage.as_str(), metric, figures))
        })
    }
}

impl StageMetrics {
    /// The metrics that a stage reports.
    pub fn reported(artifacts: &Artifacts<'_>, stage: usize) -> Option<Self> {
        artifacts
            .metrics(stage)
            .map(|reported| Self(reported.to_json()))
    }

    /// All metrics: name and figures.
    pub fn iter(&self) -> impl Iterator<Item = (&str, MetricFigures)> {
        let metrics = self.0.as_object().into_iter().flat_map(Map::iter);
        metrics.map(|(name, metric)| (name.as_str(), figures(metric)))
    }

    /// The figures of one metric, or `None` if there is no such metric.
    pub fn get(&self, metric: &str) -> Option<MetricFigures> {
        self.0.get(metric).map(figures)
    }

    /// The first of the classes that the confusion matrix counts.
    pub fn first_class(&self) -> Option<&str> {
        self.0.get("confusion")?.get("classes")?.get(0)?.as_str()
    }

    /// Returns true if the stage reported a set of metrics, even an empty one.
    pub fn is_known(&self) -> bool {
        self.0.is_object()
    }
}

fn figures(metric: &Json) -> MetricFigures {
    MetricFigures::deserialize(metric).unwrap_or_default()
}

impl MetricFigures {
    /// The pooled value, or else the mean over folds.
    pub fn value(&self) -> Option<f64> {
        self.pooled.or(self.mean)
    }

    /// The 95 % interval of the pooled value as people write it, where there is one.
    pub fn interval(&self) -> Option<String> {
        let (low, high) = (self.low?, self.high?);
        // A narrow interval needs a digit more to show its width.
        let digits = if high - low < 0.05 { 3 } else { 2 };
        Some(format!("[{low:.digits$}, {high:.digits$}]"))
    }

    /// What it is an average of, to be put after its name. It is empty for the metric of one class.
    pub fn of_what(&self) -> String {
        let average = self.average.as_deref();
        average.map_or(String::new(), |average| format!(" ({average})"))
    }
}
