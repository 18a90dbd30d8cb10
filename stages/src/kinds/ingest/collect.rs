//! Joins the reports of the shards, which are read one at a time, and finds what only the whole survey shows.
//!
//! Of each object, 8 bytes are held for the shard that has it, and 8 for its row in the objects files.

use std::collections::BTreeSet;

use flow_engine::StageError;

use crate::table::Objects;

use super::ids::{Doubtful, Ids, told_apart};
use super::reject::Tally;
use super::report::{FileReport, IngestReport, Missing, ShardReport, notes};
use super::request::Request;

/// Reads the report of a shard, and its objects with their labels.
pub(super) type ReadShard<'a> = dyn Fn(usize) -> Result<(ShardReport, Objects), StageError> + 'a;

/// What an ingest came to.
pub(super) struct Collected {
    /// The report.
    pub report: IngestReport,
    /// The labels as they are in the files that list objects.
    pub labels: BTreeSet<String>,
}

/// Joins the reports of so many shards, and reads the files that list all objects.
///
/// # Errors
/// If a file cannot be read, an object is listed twice or is in two shards, too many objects were dropped, or
/// nothing is left.
pub(super) fn collect(
    request: &Request<'_>,
    shards: usize,
    read: &ReadShard<'_>,
) -> Result<Collected, StageError> {
    told_apart(|doubtful| {
        let mut joined = Joined::new(doubtful);
        for shard in 0..shards {
            match read(shard) {
                Ok((part, objects)) => joined.add(shard, &part, &objects),
                Err(error) => return (Err(error), Vec::new()),
            }
        }
        let mut twice = joined.sort();
        let (collected, more) = joined.with_catalogue(request, doubtful);
        twice.extend(more);
        (collected, twice)
    })
}

/// The reports of some shards together.
struct Joined<'d> {
    report: IngestReport,
    /// Counts of the objects in files that bring their own objects.
    own: Tally,
    /// The objects of all shards, with their shards.
    home: Ids<'d>,
    /// The objects that have no usable observation in a shard.
    unusable: Ids<'d>,
    /// The first object that is in two shards, with these.
    in_two: Option<(String, usize, usize)>,
    doubtful: &'d Doubtful,
}

impl<'d> Joined<'d> {
    fn new(doubtful: &'d Doubtful) -> Self {
        Self {
            report: IngestReport::default(),
            own: Tally::default(),
            home: Ids::new(doubtful),
            unusable: Ids::new(doubtful),
            in_two: None,
            doubtful,
        }
    }

    fn add(&mut self, shard: usize, part: &ShardReport, objects: &Objects) {
        for id in &objects.object_id {
            if let Some(other) = self.home.add(id, shard) {
                let first = || (id.clone(), other, shard);
                self.in_two.get_or_insert_with(first);
            }
        }
        for id in &part.unusable {
            self.unusable.add(id, shard);
            // A doubtful one may be in another shard.
            if !self.doubtful.has(id) {
                self.report.unusable.push(id, None);
            }
        }
        for label in &objects.label {
            match label {
                Some(label) => *self.report.labels.entry(label.clone()).or_default() += 1,
                None => self.report.unlabelled += 1,
            }
        }
        self.report.observations.add(&part.observations);
        for (band, n) in &part.bands {
            *self.report.bands.entry(band.clone()).or_default() += n;
        }
        if let Some(own) = &part.catalogue {
            self.own.add(own);
        }
        self.report.files.push(FileReport {
            file: part.file.clone(),
            objects: part.objects,
            read: part.observations.read,
            kept: part.observations.kept,
        });
    }

    /// Ends the list of shards. Returns the hashes of ids that occurred twice.
    fn sort(&mut self) -> Vec<u64> {
        let mut twice = self.home.sort();
        twice.extend(self.unusable.sort());
        twice.extend(self.unusable.shared(&self.home));
        for id in self.unusable.texts().filter(|id| !self.home.has(id)) {
            self.report.unusable.push(id, None);
        }
        self.report.objects = self.home.len() as u64;
        twice
    }

    /// Reads the files that list all objects and completes the report. Returns as well the hashes of ids that
    /// occurred twice in the files.
    fn with_catalogue(
        self,
        request: &Request<'_>,
        doubtful: &Doubtful,
    ) -> (Result<Collected, StageError>, Vec<u64>) {
        let mut labels = BTreeSet::new();
        let mut missing = Missing::default();
        let files = match request.objects_files() {
            Ok(files) => files,
            Err(error) => return (Err(error), Vec::new()),
        };
        let (sums, twice) = request.list(&files, doubtful, &mut |id, object| {
            let Some(object) = object else { return };
            if let Some(label) = object.label.filter(|label| !labels.contains(*label)) {
                labels.insert(label.to_owned());
            }
            if !self.home.has(id) && !self.unusable.has(id) {
                missing.push(id, object.split);
            }
        });
        let report = sums.and_then(|sums| self.finish(sums.tally, missing, request));
        (report.map(|report| Collected { report, labels }), twice)
    }

    fn finish(
        self,
        catalogue: Tally,
        without_light_curve: Missing,
        request: &Request<'_>,
    ) -> Result<IngestReport, StageError> {
        let mut report = self.report;
        if let Some((id, first, second)) = self.in_two {
            let text = format!(
                "object `{id}` has observations in {} and in {}",
                report.files[first].file, report.files[second].file
            );
            return Err(StageError::data("flow::data::object_split", text)
                .help("put all observations of an object into one file"));
        }
        report.catalogue = catalogue;
        report.catalogue.add(&self.own);
        let limit = request.params.max_rejected;
        report
            .catalogue
            .check("objects", "the objects table", limit)?;
        if report.objects == 0 {
            let mut error =
                StageError::data("flow::data::empty", "no object has a usable light curve");
            error.help = report.catalogue.places();
            error.help.extend(report.observations.places());
            return Err(error);
        }
        report.without_light_curve = without_light_curve;
        report.notes = notes(&report);
        Ok(report)
    }
}
