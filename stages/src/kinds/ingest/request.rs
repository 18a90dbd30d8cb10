//! Reads the files of one action: those of a shard, or the objects of the whole survey.

use std::path::{Path, PathBuf};

use flow_cache::Value;
use flow_engine::{Action, Params, StageError};

use crate::table::{Curves, Survey, is_parquet};

use super::build::Builder;
use super::catalogue::{self, Catalogue};
use super::columns::Mapping;
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
        let (catalogue, classes) = self.catalogue(path, &file)?;
        let mut builder = Builder::new(&file, &catalogue, &survey.bands);
        match format {
            Format::Parquet => {
                parquet::observations(path, &mapping, &mut builder, self.checkpoint)?
            }
            _ => csv::observations(path, &mapping, &mut builder, self.checkpoint)?,
        }
        let survey = Survey {
            classes,
            ..survey.clone()
        };
        let bands = survey.bands.join(", ");
        let (curves, unusable, tally) = builder.finish(survey);
        self.check(&tally, &catalogue, &file, &bands)?;
        let mut part = part(file.clone(), &curves, tally, unusable);
        if self.lists_no_objects() && catalogue.tally.is_notable() {
            part.catalogue = Some(catalogue.tally);
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
        catalogue: &Catalogue,
        file: &str,
        bands: &str,
    ) -> Result<(), StageError> {
        let limit = self.params.max_rejected;
        if let Err(mut error) = tally.check("observations", file, limit) {
            // The first cause comes first: objects that were dropped take their observations with them.
            catalogue
                .tally
                .check("objects", "the objects table", limit)?;
            if tally.dropped.contains_key(catalogue::DROPPED) {
                error.help.splice(..0, catalogue.tally.places());
            }
            if tally.dropped.contains_key(reject::UNKNOWN_BAND) {
                error = error.help(format!("the bands of the pipeline are: {bands}"));
            }
            if let Some(count) = tally.dropped.get(catalogue::SPELLED)
                && let Some(example) = count.examples.first()
                && let Some(other) = catalogue.other_spelling(&example.value)
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

    /// Returns the objects that a shard's file may hold, and the classes of the whole survey.
    fn catalogue(&self, path: &Path, file: &str) -> Result<(Catalogue, Vec<String>), StageError> {
        let mapping = self.mapping();
        if self.params.format == Format::Mallorn {
            let log = |set: usize| -> Result<Catalogue, StageError> {
                let mut catalogue = Catalogue::new(&self.params)?;
                for path in self.paths(LOGS[set]) {
                    csv::objects(
                        path,
                        &format!("{}.csv", LOGS[set]),
                        &mapping,
                        &mut catalogue,
                    )?;
                }
                Ok(catalogue)
            };
            let train = log(0)?;
            let classes = train.classes(mapping.name("label"))?;
            let own = if self.text("set") == SETS[0] {
                train
            } else {
                log(1)?
            };
            return Ok((own, classes));
        }
        let catalogue = match self.everybody()? {
            Some(catalogue) => catalogue,
            None => {
                let mut own = Catalogue::new(&self.params)?;
                parquet::objects(path, file, &mapping, &mut own)?;
                own
            }
        };
        let classes = catalogue.classes(mapping.name("label"))?;
        Ok((catalogue, classes))
    }

    /// Returns all objects that the survey lists, if it lists them.
    pub(super) fn everybody(&self) -> Result<Option<Catalogue>, StageError> {
        let mapping = self.mapping();
        let mut catalogue = Catalogue::new(&self.params)?;
        let mut any = false;
        for role in LOGS.into_iter().chain([OBJECTS]) {
            for path in self.paths(role) {
                any = true;
                let name = if role == OBJECTS {
                    "the objects table".to_string()
                } else {
                    format!("{role}.csv")
                };
                match is_parquet(path)? {
                    true => parquet::objects(path, &name, &mapping, &mut catalogue)?,
                    false => csv::objects(path, &name, &mapping, &mut catalogue)?,
                }
            }
        }
        Ok(any.then_some(catalogue))
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
