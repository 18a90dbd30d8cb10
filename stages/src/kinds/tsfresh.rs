//! Kind `tsfresh`: the features of the package tsfresh for each band, under its names. They are defined in
//! [`crate::features::tsfresh`] and in `docs/tsfresh.md`.

use flow_cache::Value;
use flow_engine::base::diag::Diag;
use flow_engine::base::suggest::closest;
use flow_engine::kind::{
    Action, FromParam, InputPort, KindSpec, OutputPort, Params, Ports, Scope, Stage, StageError,
    Step,
};
use flow_engine::{ParamType, params, words};

use crate::features::tsfresh::catalogue::CALCULATORS;
use crate::features::tsfresh::{Selection, names};
use crate::rows::{self, Measured};
use crate::table::Curves;

/// The kind.
pub struct Tsfresh;

/// Which features are measured.
enum Set<'a> {
    Minimal,
    Efficient,
    /// Calculators and columns by name, with or without the name of a series before them.
    Named(Vec<&'a str>),
}

/// What the series of a band consist of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Flux,
    Err,
    Snr,
}

words!(Quantity { Flux = "flux", Err = "err", Snr = "snr" });

params! {
    struct TsfreshParams<'a> {
        set: Set<'a> = new(set_type(), "`efficient` for all 777 columns of tsfresh's EfficientFCParameters, `minimal` for the ten of MinimalFCParameters, or a list of calculators (`abs_energy`), columns (`quantile__q_0.1`), or either of them in one band (`r__abs_energy`).").or("efficient".into());
        value: Quantity = word(Quantity::Flux, "What is measured of each band: the flux, its error, or the flux over its error. Columns are called `r__...`, `r_err__...` or `r_snr__...` in band `r`.");
    }
}

const SETS: &[&str] = &["minimal", "efficient"];

fn set_type() -> ParamType {
    let names = ParamType::List(Box::new(ParamType::Str));
    ParamType::OneOf(vec![ParamType::Choice(SETS), names])
}

impl<'a> FromParam<'a> for Set<'a> {
    fn absent() -> Self {
        Self::Efficient
    }

    fn fits(ty: &ParamType) -> bool {
        *ty == set_type()
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        match value.as_str() {
            Some("minimal") => Some(Self::Minimal),
            Some("efficient") => Some(Self::Efficient),
            _ => <Vec<&str>>::from_value(value).map(Self::Named),
        }
    }
}

impl Quantity {
    /// Returns what the series of a band is called.
    fn series(self, band: &str) -> String {
        match self {
            Self::Flux => band.to_owned(),
            Self::Err => format!("{band}_err"),
            Self::Snr => format!("{band}_snr"),
        }
    }
}

impl Set<'_> {
    fn selection(&self, series: &str) -> Selection {
        Selection::new(|calculator, column| match self {
            Self::Minimal => calculator.minimal,
            Self::Efficient => true,
            Self::Named(names) => names.iter().any(|name| {
                let of_series = name.strip_prefix(series).and_then(|n| n.strip_prefix("__"));
                [Some(*name), of_series].contains(&Some(calculator.name))
                    || [Some(*name), of_series].contains(&Some(column))
            }),
        })
    }
}

/// Returns true if a calculator or column has this name.
fn is_known(name: &str) -> bool {
    CALCULATORS.iter().any(|c| c.name == name) || names().iter().any(|column| column == name)
}

/// Returns the series that an entry of `set` is about, if it names one.
fn series_of(name: &str) -> Option<&str> {
    let (series, rest) = name.split_once("__")?;
    (!is_known(name) && is_known(rest)).then_some(series)
}

impl Stage for Tsfresh {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "tsfresh",
            version: 1,
            about: "The features of tsfresh: 777 columns for each band, with the package's names and values",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "the features of `docs/tsfresh.md`, called `BAND__CALCULATOR__PARAMETERS`",
                )],
            },
            params: TsfreshParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let Set::Named(named) = TsfreshParams::read(params).set else {
            return Vec::new();
        };
        let wrong = |text: String, help: String| {
            let diag = Diag::new("flow::params::tsfresh", text).help(help);
            match params.span("set") {
                Some(span) => diag.label(span, "here"),
                None => diag,
            }
        };
        if named.is_empty() {
            let help = "leave `set` out for all columns".to_owned();
            return vec![wrong("`set` is an empty list".to_owned(), help)];
        }
        let all = names();
        let known = || CALCULATORS.iter().map(|c| c.name);
        let unknown = named
            .iter()
            .filter(|name| !is_known(name) && series_of(name).is_none());
        unknown
            .map(|name| {
                let columns = all.iter().map(String::as_str);
                let help = match closest(name, known().chain(columns)) {
                    Some(near) => format!("is it `{near}`?"),
                    None => "`docs/tsfresh.md` lists the calculators".to_owned(),
                };
                wrong(format!("tsfresh has no `{name}`"), help)
            })
            .collect()
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = TsfreshParams::read(action.params);
        let series: Vec<String> = curves.bands().iter().map(|b| p.value.series(b)).collect();
        if let Set::Named(names) = &p.set {
            every_series_is_there(names, &series)?;
        }
        let selections: Vec<Selection> = series.iter().map(|s| p.set.selection(s)).collect();
        let (all, mut columns) = (names(), Vec::new());
        for (series, selection) in series.iter().zip(&selections) {
            let places = selection.columns().iter();
            columns.extend(places.map(|place| format!("{series}__{}", all[*place])));
        }
        rows::measure_objects(action, &curves, &columns, 1, |object, mut out| {
            let values = by_band(object, selections.len(), p.value);
            for (values, selection) in values.iter().zip(&selections) {
                let (here, rest) = out.split_at_mut(selection.columns().len());
                selection.measure(values, here);
                out = rest;
            }
        })
    }
}

/// Refuses names of series that the survey does not have.
fn every_series_is_there(names: &[&str], series: &[String]) -> Result<(), StageError> {
    let missing = names.iter().find_map(|name| {
        let of = series_of(name)?;
        (!series.iter().any(|s| s == of)).then_some((name, of))
    });
    let Some((name, of)) = missing else {
        return Ok(());
    };
    let message = format!("`set` asks for `{name}`, and there is no series `{of}`");
    let known = series.join("`, `");
    Err(
        StageError::data("flow::data::no_series", message).help(format!(
            "the series are `{known}`; without the part before `__` the name is about all of them"
        )),
    )
}

/// Returns the values of each band in the order of their times.
fn by_band(object: &Measured<'_>, bands: usize, value: Quantity) -> Vec<Vec<f64>> {
    let curve = object.curve;
    let mut series = vec![Vec::new(); bands];
    for (j, band) in curve.band.iter().enumerate() {
        let (flux, err) = (curve.flux[j], curve.flux_err[j]);
        series[usize::from(*band)].push(match value {
            Quantity::Flux => flux,
            Quantity::Err => err,
            Quantity::Snr => flux / err,
        });
    }
    series
}
