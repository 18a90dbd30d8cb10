//! Reads the files of one action: those of a shard, or the objects of the whole survey.
//!
//! The ids of a shard's light curves are read first. Of the objects files, which list the whole survey, only rows of
//! those ids are held, so what an action holds grows with its shard. Beside that, it holds 8 bytes for each object.

use std::path::{Path, PathBuf};

use flow_cache::Value;
use flow_engine::{Action, Params, StageError};

use crate::table::{Curves, Survey, is_parquet};

use super::build::Builder;
use super::catalogue::{Catalogue, CatalogueSums, TakeObject};
use super::columns::Mapping;
use super::ids::{Doubtful, told_apart};
use super::known::{self, Known, Wanted};
use super::layout::{CURVES, LOGS, OBJECTS, SETS};
use super::params::{Format, IngestParams};
use super::reject::{self, Tally};
use super::report::ShardReport;
use super::{csv, demo, parquet};

/// The columns of MALLORN. See its data description.
const MALLORN: [(&str, &str); 9] = [
    ("time", "Time (MJD)"),
    ("band", "Filter"),
    ("flux", "Flux"),
    ("flux_err", "Flux_err"),
    ("label", "SpecType"),
    ("redshift", "Z"),
    ("redshift_err", "Z_err"),
    ("ebv", "EBV"),
    ("split", "split"),
];

/// Reads the files of a shard, by role, and returns the number of their objects.
///
/// # Errors
/// As for the step that reads.
pub fn read_files(
    params: &Params,
    item: &Value,
    sources: Vec<(String, PathBuf)>,
) -> Result<usize, StageError> {
    let request = Request {
        params: IngestParams::read(params),
        item,
        sources,
        seed: 0,
        checkpoint: &|| Ok(()),
    };
    let (curves, _) = request.read()?;
    Ok(curves.objects.object_id.len())
}

/// A file that lists objects.
pub(super) struct ObjectsFile<'a> {
    /// What messages call it.
    name: String,
    path: &'a Path,
    is_parquet: bool,
}

/// What the objects files list of a shard's objects.
struct Listed<'w> {
    known: Known<'w>,
    /// Counts of all rows of the files.
    tally: Tally,
    /// The classes of the whole survey.
    classes: Vec<String>,
}

/// The request of one action.
pub(super) struct Request<'a> {
    pub(super) params: IngestParams<'a>,
    pub(super) item: &'a Value,
    /// The role and path of each file.
    pub(super) sources: Vec<(String, PathBuf)>,
    pub(super) seed: u64,
    pub(super) checkpoint: &'a dyn Fn() -> Result<(), StageError>,
}

impl<'a> Request<'a> {
    /// Takes the request of an action that reads a shard, or all objects.
    pub(super) fn of(
        action: &'a Action<'_>,
        checkpoint: &'a dyn Fn() -> Result<(), StageError>,
    ) -> Self {
        let sources = action.all_sources().iter();
        Self {
            params: IngestParams::read(action.params),
            item: action.shard.map_or(&Value::Null, |shard| &shard.item),
            sources: sources
                .map(|(file, _)| (file.role.clone(), file.path.clone()))
                .collect(),
            seed: action.seed,
            checkpoint,
        }
    }

    /// Reads one shard.
    pub(super) fn read(&self) -> Result<(Curves, ShardReport), StageError> {
        let format = self.params.format;
        let bands = self.params.bands();
        let survey = Survey {
            bands: bands.iter().map(|&band| band.into()).collect(),
            wavelengths: self.params.band_wavelengths(),
            classes: Vec::new(),
            positive: self.params.positive_class().map(str::to_owned),
        };
        if format == Format::Demo {
            return self.simulate(survey);
        }
        let mapping = self.mapping();
        let file = match format {
            Format::Mallorn => format!(
                "{}/{}_full_lightcurves.csv",
                self.text("split"),
                self.text("set")
            ),
            _ => self.text("file").to_string(),
        };
        let path = self
            .paths(CURVES)
            .next()
            .ok_or_else(|| StageError::environment("a shard without its file"))?;
        let mut wanted = Wanted::default();
        let ids = self.ids((path, &file), &mapping, &mut wanted);
        (self.checkpoint)()?;
        let listed = self.listed((path, &file), &wanted)?;
        let mut builder = Builder::new(&file, &listed.known, &survey.bands);
        match format {
            Format::Parquet => {
                parquet::observations(path, &mapping, &mut builder, self.checkpoint)?
            }
            _ => csv::observations(path, &mapping, &mut builder, self.checkpoint)?,
        }
        // What is wrong with the file is told by now, unless it could be read the second time only.
        ids?;
        let survey = Survey {
            classes: listed.classes.clone(),
            ..survey.clone()
        };
        let bands = survey.bands.join(", ");
        let (curves, unusable, tally) = builder.finish(survey);
        self.check(&tally, &listed, &file, &bands)?;
        let mut part = part(file.clone(), &curves, tally, unusable);
        if self.lists_no_objects() && listed.tally.is_notable() {
            part.catalogue = Some(listed.tally);
        }
        Ok((curves, part))
    }

    /// Reads one split of the demo.
    fn simulate(&self, survey: Survey) -> Result<(Curves, ShardReport), StageError> {
        let split = self.text("split");
        let (curves, tally) = demo::read(&self.params, split, self.seed, survey, self.checkpoint)?;
        let part = part(split.into(), &curves, tally, Vec::new());
        Ok((curves, part))
    }

    /// Checks whether so many rows of a file were dropped that something is wrong with it.
    fn check(
        &self,
        tally: &Tally,
        listed: &Listed<'_>,
        file: &str,
        bands: &str,
    ) -> Result<(), StageError> {
        let limit = self.params.max_rejected;
        if let Err(mut error) = tally.check("observations", file, limit) {
            // The first cause comes first: objects that were dropped take their observations with them.
            listed.tally.check("objects", "the objects table", limit)?;
            if tally.dropped.contains_key(known::DROPPED) {
                error.help.splice(..0, listed.tally.places());
            }
            if tally.dropped.contains_key(reject::UNKNOWN_BAND) {
                error = error.help(format!("the bands of the pipeline are: {bands}"));
            }
            if let Some(count) = tally.dropped.get(known::SPELLED)
                && let Some(example) = count.examples.first()
                && let Some(other) = listed.known.other_spelling(&example.value)
            {
                error = error.help(format!(
                    "`{}` is `{other}` in the objects table: a data frame makes floats of whole numbers \
                     where one is missing, and drops leading zeros. Write ids as texts, in pandas with \
                     `.astype(\"Int64\").astype(str)`",
                    example.value
                ));
            }
            return Err(error);
        }
        Ok(())
    }

    /// Returns true if each light-curve file brings its own objects.
    fn lists_no_objects(&self) -> bool {
        LOGS.into_iter()
            .chain([OBJECTS])
            .all(|role| self.paths(role).next().is_none())
    }

    fn mapping(&self) -> Mapping {
        Mapping::of(match self.params.format {
            Format::Mallorn => &MALLORN,
            _ => &self.params.columns,
        })
    }

    /// Reads the ids of a shard's light curves, unless they come with all that is known of their objects.
    fn ids(
        &self,
        curves: (&Path, &str),
        mapping: &Mapping,
        wanted: &mut Wanted,
    ) -> Result<(), StageError> {
        if self.lists_no_objects() {
            return Ok(());
        }
        match self.params.format {
            Format::Parquet => parquet::ids(curves, mapping, wanted, self.checkpoint),
            _ => csv::ids(curves, mapping, wanted, self.checkpoint),
        }
    }

    /// Returns what the objects files list of a shard's objects, and the classes of the whole survey.
    fn listed<'w>(
        &self,
        (path, file): (&'w Path, &str),
        wanted: &'w Wanted,
    ) -> Result<Listed<'w>, StageError> {
        let mapping = self.mapping();
        let mut files = self.objects_files()?;
        let mut classes = None;
        let mut wanted = Some(wanted);
        if self.params.format == Format::Mallorn {
            let train = self.set_files(0);
            let sums = told_apart(|doubtful| self.list(&train, doubtful, &mut |_, _| {}))?;
            classes = Some(sums.classes(mapping.name("label"))?);
            files = self.set_files(usize::from(self.text("set") != SETS[0]));
        } else if files.is_empty() {
            wanted = None;
            files.push(ObjectsFile {
                name: file.to_owned(),
                path,
                is_parquet: true,
            });
        }
        let (known, sums) = told_apart(|doubtful| {
            let mut known = Known::new(wanted);
            let (sums, twice) =
                self.list(&files, doubtful, &mut |id, object| known.take(id, object));
            (sums.map(|sums| (known, sums)), twice)
        })?;
        Ok(Listed {
            known,
            classes: match classes {
                Some(classes) => classes,
                None => sums.classes(mapping.name("label"))?,
            },
            tally: sums.tally,
        })
    }

    /// Reads objects files, and passes on what they list. Beside the sums, returns the hashes of ids that
    /// occurred twice and are not doubtful yet: see [`told_apart`].
    pub(super) fn list(
        &self,
        files: &[ObjectsFile<'_>],
        doubtful: &Doubtful,
        take: &mut TakeObject<'_>,
    ) -> (Result<CatalogueSums, StageError>, Vec<u64>) {
        let mapping = self.mapping();
        let mut catalogue = match Catalogue::new(&self.params, doubtful, take, self.checkpoint) {
            Ok(catalogue) => catalogue,
            Err(error) => return (Err(error), Vec::new()),
        };
        let read = files.iter().try_for_each(|file| match file.is_parquet {
            true => parquet::objects(file.path, &file.name, &mapping, &mut catalogue),
            false => csv::objects(file.path, &file.name, &mapping, &mut catalogue),
        });
        let twice = catalogue.ids.sort();
        (read.map(|()| catalogue.sums), twice)
    }

    /// The files that list the objects of the whole survey, if it has such files.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(super) fn objects_files(&self) -> Result<Vec<ObjectsFile<'_>>, StageError> {
        let mut files: Vec<_> = (0..LOGS.len())
            .flat_map(|set| self.set_files(set))
            .collect();
        for path in self.paths(OBJECTS) {
            files.push(ObjectsFile {
                name: "the objects table".to_owned(),
                path,
                is_parquet: is_parquet(path)?,
            });
        }
        Ok(files)
    }

    /// The log of one of MALLORN's sets.
    fn set_files(&self, set: usize) -> Vec<ObjectsFile<'_>> {
        let log = |path| ObjectsFile {
            name: format!("{}.csv", LOGS[set]),
            path,
            is_parquet: false,
        };
        self.paths(LOGS[set]).map(log).collect()
    }

    fn paths<'s>(&'s self, role: &'s str) -> impl Iterator<Item = &'s Path> {
        self.sources
            .iter()
            .filter(move |(r, _)| r == role)
            .map(|(_, path)| path.as_path())
    }

    /// Returns a text of the shard's item.
    fn text(&self, name: &str) -> &str {
        self.item
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

fn part(file: String, curves: &Curves, observations: Tally, unusable: Vec<String>) -> ShardReport {
    let mut bands = vec![0; curves.bands().len()];
    for &band in &curves.band {
        bands[usize::from(band)] += 1;
    }
    let bands = curves.bands().iter().cloned().zip(bands).collect();
    ShardReport {
        file,
        objects: curves.len() as u64,
        observations,
        bands,
        unusable,
        catalogue: None,
    }
}
