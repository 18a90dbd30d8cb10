//! The parameters that describe a survey.

use std::path::Path;

use flow_engine::kind::ParamWord;
use flow_engine::{ParamType, params, words};

use crate::physics::dust::LSST_BANDS;

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
        positive: Option<&'a str> = new(ParamType::Str, "The class that binary metrics score; `TDE` for mallorn and demo. Without it, metrics are macro averages.").optional();
        columns: Vec<(&'a str, &'a str)> = new(map(ParamType::Str), "Names of the file's columns, by what they hold: object_id, time (days), band, flux, flux_err; lightcurve, the nested column (Parquet); of objects: label, redshift, redshift_err, ebv, split, group. The default is the same name, and `mjd` for time.").optional().only("format", MAPPED);
        classes: Option<Vec<(&'a str, Vec<&'a str>)>> = new(classes(), "Regroups labels: class = patterns, the first match in the pipeline's order wins; a label that matches none stays its own class.").optional().only("format", FILES);
        nulls: Vec<(&'a str, OnNull)> = new(map(ParamType::Choice(OnNull::WORDS)), "What to do with an object whose label, redshift, redshift_err or ebv is empty, by column; `keep` unless given.").optional().only("format", FILES);
        max_rejected: f64 = float(0.1, 0.0, 1.0, "Largest share of a file's rows that may be dropped; more is an error.");
        labelled: usize = int(3043, 0, 1_000_000, "Labelled objects of the demo.").only("format", DEMO);
        positives: usize = int(148, 0, 1_000_000, "TDE among the labelled objects of the demo.").only("format", DEMO);
        unlabelled: usize = int(1000, 0, 1_000_000, "Unlabelled objects of the demo.").only("format", DEMO);
        copies: usize = int(3, 1, 100, "How often the demo observes each physical source; copies share a group.").only("format", DEMO);
        difficulty: f64 = float(43.45, 42.6, 44.8, "Mean log10 of the peak luminosity of the demo's TDE, in erg/s: lower is harder.").only("format", DEMO);
    }
}

impl IngestParams<'_> {
    /// The names of the survey's bands.
    pub(super) fn bands(&self) -> &[&str] {
        match self.format {
            Format::Csv | Format::Parquet => &self.bands,
            Format::Mallorn | Format::Demo => &LSST_BANDS,
        }
    }

    /// The class that binary metrics score.
    pub(super) fn positive_class(&self) -> Option<&str> {
        match self.format {
            Format::Csv | Format::Parquet => self.positive,
            Format::Mallorn | Format::Demo => self.positive.or(Some("TDE")),
        }
    }
}
