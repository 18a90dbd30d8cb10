//! Reports what happened to the rows: a part for each shard, and their sum.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flow_engine::StageError;
use serde::{Deserialize, Serialize};

use crate::table::Objects;

use super::catalogue::Catalogue;
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Missing {
    /// The number of these objects.
    pub count: u64,
    /// The number by split, if splits are known.
    pub by_split: BTreeMap<String, u64>,
    /// The first few.
    pub examples: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// Joins the parts. `shards` are their objects, in the same order, and `catalogue` holds all known
/// objects, if there is a list of them.
///
/// # Errors
/// If an object is in two files, a class is unknown, too many objects were dropped, or nothing is left.
pub(super) fn collect(
    parts: &[ShardReport],
    shards: &[Objects],
    catalogue: Option<&Catalogue>,
    max_rejected: f64,
) -> Result<IngestReport, StageError> {
    let home = homes(parts, shards)?;
    let mut report = IngestReport {
        notes: Vec::new(),
        objects: home.len() as u64,
        labels: BTreeMap::new(),
        unlabelled: 0,
        catalogue: catalogue.map(|c| c.tally.clone()).unwrap_or_default(),
        observations: Tally::default(),
        bands: BTreeMap::new(),
        without_light_curve: Missing::default(),
        unusable: Missing::default(),
        files: Vec::new(),
    };
    for own in parts.iter().filter_map(|part| part.catalogue.as_ref()) {
        report.catalogue.add(own);
    }
    report
        .catalogue
        .check("objects", "the objects table", max_rejected)?;
    report.count_labels(shards);
    parts.iter().for_each(|part| report.add(part));
    if report.objects == 0 {
        let mut error = StageError::data("flow::data::empty", "no object has a usable light curve");
        error.help = report.catalogue.places();
        error.help.extend(report.observations.places());
        return Err(error);
    }
    let unusable = parts.iter().flat_map(|part| &part.unusable);
    let unusable = unusable.map(String::as_str);
    let unusable: BTreeSet<&str> = unusable.filter(|id| !home.contains_key(id)).collect();
    for id in &unusable {
        report.unusable.push(id, None);
    }
    if let Some(catalogue) = catalogue {
        let objects = &catalogue.objects;
        let mut rows: Vec<usize> = (0..objects.len()).collect();
        rows.sort_by(|&a, &b| objects.object_id[a].cmp(&objects.object_id[b]));
        for row in rows {
            let id = objects.object_id[row].as_str();
            if !home.contains_key(id) && !unusable.contains(id) {
                report
                    .without_light_curve
                    .push(id, objects.split[row].as_deref());
            }
        }
    }
    report.notes = notes(&report);
    Ok(report)
}

impl IngestReport {
    fn count_labels(&mut self, shards: &[Objects]) {
        for label in shards.iter().flat_map(|objects| &objects.label) {
            match label {
                Some(label) => *self.labels.entry(label.clone()).or_default() += 1,
                None => self.unlabelled += 1,
            }
        }
    }

    /// Adds the counts of a file.
    fn add(&mut self, part: &ShardReport) {
        self.observations.add(&part.observations);
        for (band, n) in &part.bands {
            *self.bands.entry(band.clone()).or_default() += n;
        }
        self.files.push(FileReport {
            file: part.file.clone(),
            objects: part.objects,
            read: part.observations.read,
            kept: part.observations.kept,
        });
    }
}

/// The shard of each object.
fn homes<'a>(
    parts: &[ShardReport],
    shards: &'a [Objects],
) -> Result<HashMap<&'a str, usize>, StageError> {
    let mut home = HashMap::new();
    for (i, objects) in shards.iter().enumerate() {
        for id in &objects.object_id {
            if let Some(other) = home.insert(id.as_str(), i) {
                return Err(StageError::data(
                    "flow::data::object_split",
                    format!(
                        "object `{id}` has observations in {} and in {}",
                        parts[other].file, parts[i].file
                    ),
                )
                .help("put all observations of an object into one file"));
            }
        }
    }
    Ok(home)
}

impl Missing {
    fn push(&mut self, id: &str, split: Option<&str>) {
        self.count += 1;
        if let Some(split) = split {
            *self.by_split.entry(split.into()).or_default() += 1;
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push(id.into());
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

fn notes(report: &IngestReport) -> Vec<String> {
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
