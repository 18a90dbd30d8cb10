//! What is told of the rows: a report for each shard, and one of the whole survey.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reject::{Tally, grouped};

/// The number of names that a list in the report shows.
const EXAMPLES: usize = 3;

/// The report of one shard.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ShardReport {
    /// The name of its file in messages.
    pub file: String,
    /// The number of objects in the output.
    pub objects: u64,
    /// Counts of observations.
    pub observations: Tally,
    /// The number of observations in the output, by band.
    pub bands: BTreeMap<String, u64>,
    /// The objects of the file that have no usable observation left.
    pub unusable: Vec<String>,
    /// Notes on the objects' columns, for a file that brings its own objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Tally>,
}

/// The report of an ingest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IngestReport {
    /// The essential results, one line each.
    pub notes: Vec<String>,
    /// The number of objects in the output.
    pub objects: u64,
    /// The number of labelled objects, by class.
    pub labels: BTreeMap<String, u64>,
    /// The number of objects without a label.
    pub unlabelled: u64,
    /// Counts of rows of the objects files.
    pub catalogue: Tally,
    /// Counts of observations of all files.
    pub observations: Tally,
    /// The number of observations in the output, by band.
    pub bands: BTreeMap<String, u64>,
    /// Objects of the catalogue without observations in any file.
    pub without_light_curve: Missing,
    /// Objects whose observations were all dropped.
    pub unusable: Missing,
    /// The files.
    pub files: Vec<FileReport>,
}

/// Objects that are not in the output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    /// The number of these objects.
    pub count: u64,
    /// The number by split, if splits are known.
    pub by_split: BTreeMap<String, u64>,
    /// The first few, in the order of their bytes.
    pub examples: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileReport {
    /// The name of the file.
    pub file: String,
    /// The number of objects in the output.
    pub objects: u64,
    /// The number of rows read.
    pub read: u64,
    /// The number of rows kept.
    pub kept: u64,
}

impl Missing {
    /// Counts an object, in any order.
    pub fn push(&mut self, id: &str, split: Option<&str>) {
        self.count += 1;
        if let Some(split) = split {
            *self.by_split.entry(split.into()).or_default() += 1;
        }
        let place = self.examples.partition_point(|other| other.as_str() < id);
        if place < EXAMPLES {
            self.examples.insert(place, id.into());
            self.examples.truncate(EXAMPLES);
        }
    }

    fn note(&self, what: &str) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let splits: Vec<String> = self
            .by_split
            .iter()
            .map(|(split, n)| format!("{split}: {n}"))
            .collect();
        let splits = if splits.is_empty() {
            String::new()
        } else {
            format!(" ({})", splits.join(", "))
        };
        Some(format!(
            "left out {} objects {what}{splits}, such as {}",
            grouped(self.count),
            self.examples.join(", ")
        ))
    }
}

/// The essential results of a report, one line each.
pub(super) fn notes(report: &IngestReport) -> Vec<String> {
    [
        report.observations.note("observations"),
        report.catalogue.note("objects"),
        report.catalogue.odd_note("objects"),
        report.catalogue.missing_note(),
        report.without_light_curve.note("without light curves"),
        report.unusable.note("without usable observations"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
