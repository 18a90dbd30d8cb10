//! The parameters that describe a survey.

use std::path::Path;

use flow_engine::kind::ParamWord;
use flow_engine::{ParamType, params, words};

use crate::physics::dust::LSST_BANDS;
use crate::simulation::{DemoSurvey, surveys};
use crate::table::Survey;

/// The format of a survey.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    Mallorn,
    Csv,
    Parquet,
    Demo,
}

words!(Format { Mallorn = "mallorn", Csv = "csv", Parquet = "parquet", Demo = "demo" });

/// What happens to an object that lacks a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnNull {
    Keep,
    Reject,
    Error,
}

words!(OnNull { Keep = "keep", Reject = "reject", Error = "error" });

const MAPPED: &[&str] = &["csv", "parquet"];
const DEMO: &[&str] = &["demo"];
const FILES: &[&str] = &["mallorn", "csv", "parquet"];

fn list(ty: ParamType) -> ParamType {
    ParamType::List(Box::new(ty))
}

fn map(ty: ParamType) -> ParamType {
    ParamType::Map(Box::new(ty))
}

fn paths() -> ParamType {
    ParamType::OneOf(vec![ParamType::Glob, list(ParamType::Glob)])
}

fn classes() -> ParamType {
    let patterns = ParamType::OneOf(vec![ParamType::Str, list(ParamType::Str)]);
    ParamType::Ordered(Box::new(patterns))
}

params! {
    #[derive(Clone)]
    pub(super) struct IngestParams<'a> {
        format: Format = new(ParamType::Choice(Format::WORDS), "What is read: MALLORN as it is published, any survey as CSV or Parquet, or the built-in simulated survey.");
        path: &'a Path = new(ParamType::Path, "The folder that holds train_log.csv, test_log.csv and split_01 to split_20.").only("format", &["mallorn"]).unkeyed();
        curves: Vec<&'a str> = new(paths(), "Light curves: a path, a glob or a list, one shard a file. One row an observation, or (Parquet) one an object with nested lists.").only("format", MAPPED).unkeyed();
        objects: Vec<&'a str> = new(paths(), "One row an object: a path, a glob or a list. Parquet with nested light curves may do without.").optional().only("format", MAPPED).unkeyed();
        bands: Vec<&'a str> = new(list(ParamType::Str), "Names of the bands, in the order that features use. Observations in others are dropped and counted.").only("format", MAPPED);
        wavelengths: Vec<(&'a str, f64)> = new(map(ParamType::Float { min: 900.0, max: 60_000.0 }), "Effective wavelength of each band, in angstrom; the LSST bands u, g, r, i, z, y are built in.").optional().only("format", FILES);
        positive: Option<&'a str> = new(ParamType::Str, "The class that binary metrics score; unless given, `TDE` for mallorn and the positive class of the survey for demo, which `plasticc_15` does not have. Without it, metrics are macro averages.").optional();
        columns: Vec<(&'a str, &'a str)> = new(map(ParamType::Str), "Names of the file's columns, by what they hold: object_id, time (days), band, flux, flux_err; lightcurve, the nested column (Parquet); of objects: label, redshift, redshift_err, ebv, split, group, and truth: the class where the label is hidden, for the output `truth` alone. The default is the same name, and `mjd` for time; truth has none.").optional().only("format", MAPPED);
        classes: Option<Vec<(&'a str, Vec<&'a str>)>> = new(classes(), "Regroups labels: class = patterns, the first match in the pipeline's order wins; a label that matches none stays its own class.").optional();
        nulls: Vec<(&'a str, OnNull)> = new(map(ParamType::Choice(OnNull::WORDS)), "What to do with an object whose label, redshift, redshift_err or ebv is empty, by column; `keep` unless given.").optional().only("format", FILES);
        max_rejected: f64 = float(0.1, 0.0, 1.0, "Largest share of a file's rows that may be dropped; more is an error.");
        survey: Option<&'a str> = new(ParamType::Choice(surveys::NAMES), "The survey that the demo is like, with its bands, cadence, depth and classes; `mallorn` unless given.").optional().only("format", DEMO);
        labelled: usize = int(3043, 0, 1_000_000, "Labelled objects of the demo.").only("format", DEMO);
        unlabelled: usize = int(1000, 0, 1_000_000, "Unlabelled objects of the demo.").only("format", DEMO);
        positives: Option<usize> = new(ParamType::Int { min: 0, max: 1_000_000 }, "Objects of the demo's positive class (`Ia` for spcc, `15` for plasticc, `15` for plasticc_15, otherwise `TDE`) among the labelled ones. Unless given, 148 for mallorn, and for the others the share that they have in the survey.").optional().only("format", DEMO);
        copies: Option<usize> = new(ParamType::Int { min: 1, max: 100 }, "How often the demo observes each physical source; copies share a group. Unless given, 3 for mallorn and 1 for the others.").optional().only("format", DEMO);
        difficulty: Option<f64> = new(ParamType::Float { min: 42.6, max: 44.8 }, "Mean log10 of the peak luminosity of the demo's TDE, in erg/s: lower is harder. Unless given, 43.45 for mallorn, 43.8 for plasticc, 43.8 for plasticc_15 and 43.9 for ztf; spcc has no TDE.").optional().only("format", DEMO);
    }
}

impl IngestParams<'_> {
    /// The survey that is simulated.
    pub(super) fn demo_survey(&self) -> &'static DemoSurvey {
        surveys::named(self.survey).unwrap_or(surveys::ALL[0])
    }

    /// The names of the survey's bands.
    pub(super) fn bands(&self) -> Vec<&str> {
        match self.format {
            Format::Csv | Format::Parquet => self.bands.clone(),
            Format::Mallorn => LSST_BANDS.to_vec(),
            Format::Demo => {
                let bands = self.demo_survey().bands.iter();
                bands.map(|band| band.name).collect()
            }
        }
    }

    /// The wavelengths of bands that are not LSST's, in the order of the bands.
    pub(super) fn band_wavelengths(&self) -> Vec<(String, f64)> {
        let given = |band: &&str| self.wavelengths.iter().find(|(name, _)| name == band);
        let known: Vec<(&str, f64)> = match self.format {
            Format::Demo => {
                let bands = self.demo_survey().bands.iter();
                let own = bands.map(|band| (band.name, band.wavelength));
                own.filter(|&(name, at)| Survey::default().wavelength(name) != Some(at))
                    .collect()
            }
            _ => self.bands().iter().filter_map(given).copied().collect(),
        };
        let known = known.into_iter();
        known.map(|(name, at)| (name.to_owned(), at)).collect()
    }

    /// The class that binary metrics score.
    pub(super) fn positive_class(&self) -> Option<&str> {
        match self.format {
            Format::Csv | Format::Parquet => self.positive,
            Format::Mallorn => self.positive.or(Some("TDE")),
            Format::Demo => self.positive.or(self.demo_survey().positive()),
        }
    }
}
