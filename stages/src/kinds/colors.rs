//! Kind `colors`: differences and ratios of the fluxes in two bands, over time or of robust aggregates. They are
//! defined in [`crate::features::colors`] and in `docs/light-curve-statistics.md`.

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Params, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Diag, ParamType, params, words};

use super::interpolate::by_band;
use crate::features::colors::{BandCurve, ColorMeter, ColorMethod};
use crate::rows;
use crate::table::Curves;

/// The kind.
pub struct Colors;

words!(ColorMethod { Interpolated = "interpolated", Robust = "robust" });

params! {
    struct ColorsParams<'a> {
        method: ColorMethod = word(ColorMethod::Robust, "Statistics over time of fluxes interpolated to the times of either band, or comparisons of medians, high quantiles and spreads of each band, for which nothing is interpolated.");
        pairs: Option<&'a Value> = new(ParamType::List(Box::new(ParamType::List(Box::new(ParamType::Str)))), "Pairs of bands, as in `[[\"g\", \"r\"], [\"g\", \"i\"]]`, instead of all pairs of adjacent bands.").optional();
        max_gap: f64 = float(1e6, 0.0, 1e6, "Longest time in days between two observations of a band over which fluxes are interpolated.").only("method", &["interpolated"]);
        prefix: &'a str = new(ParamType::Str, "Put before every column name.").or("".into());
    }
}

/// The code of what is wrong with pairs.
const PAIRS: &str = "flow::params::pairs";

impl Stage for Colors {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "colors",
            version: 1,
            about: "Differences and ratios of the fluxes in two bands, interpolated or robust",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "`color_<band>_<band>_...` as in `docs/light-curve-statistics.md`",
                )],
            },
            params: ColorsParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let given = ColorsParams::read(params).pairs;
        let Some(Err((text, help))) = given.map(named_pairs) else {
            return Vec::new();
        };
        let diag = Diag::new(PAIRS, text).help(help);
        vec![match params.span("pairs") {
            Some(span) => diag.label(span, "here"),
            None => diag,
        }]
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = ColorsParams::read(action.params);
        let pairs = places(p.pairs, curves.bands())?;
        let meter = ColorMeter::new(p.method, pairs, p.max_gap);
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let columns: Vec<String> = meter
            .names(&bands)
            .iter()
            .map(|name| format!("{}{name}", p.prefix))
            .collect();
        rows::measure_objects(action, &curves, &columns, 1, |object, out| {
            let series = by_band(&object.curve, bands.len());
            let curves: Vec<BandCurve> = series
                .into_iter()
                .map(|(time, flux)| time.into_iter().zip(flux).collect())
                .collect();
            meter.measure(&curves, out);
        })
    }
}

/// Reads pairs of names.
///
/// # Errors
/// With a message and a hint, if an entry is no pair of two bands, or a pair comes twice.
fn named_pairs(given: &Value) -> Result<Vec<[&str; 2]>, (String, String)> {
    let help = || "for instance `pairs = [[\"g\", \"r\"], [\"r\", \"i\"]]`".to_owned();
    let Value::List(items) = given else {
        return Err(("`pairs` is no list".into(), help()));
    };
    let mut pairs: Vec<[&str; 2]> = Vec::new();
    for item in items {
        let names: Option<Vec<&str>> = match item {
            Value::List(names) => names.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let pair = match names.as_deref() {
            Some(&[first, second]) if first != second => [first, second],
            _ => return Err(("`pairs` has an entry that is not two bands".into(), help())),
        };
        if pairs.contains(&pair) {
            let text = format!("`pairs` lists `{}` and `{}` twice", pair[0], pair[1]);
            return Err((text, "name each pair once".into()));
        }
        pairs.push(pair);
    }
    match pairs.is_empty() {
        true => Err(("`pairs` is empty".into(), help())),
        false => Ok(pairs),
    }
}

/// Returns the places of the bands of each pair; without pairs, those of adjacent bands.
///
/// # Errors
/// If the survey has no band of a name, or has one band only.
fn places(given: Option<&Value>, bands: &[String]) -> Result<Vec<(usize, usize)>, StageError> {
    let Some(given) = given else {
        if bands.len() < 2 {
            let text = "a survey of one band has no colors";
            return Err(StageError::data(PAIRS, text).help("remove the `colors` stage"));
        }
        return Ok((1..bands.len()).map(|i| (i - 1, i)).collect());
    };
    let place = |name: &str| {
        let found = bands.iter().position(|band| band == name);
        found.ok_or_else(|| {
            let text = format!("`pairs` names `{name}`, which is no band of the survey");
            StageError::data(PAIRS, text).help(format!("they are: {}", bands.join(", ")))
        })
    };
    let pairs = named_pairs(given).map_err(|(text, help)| StageError::data(PAIRS, text).help(help));
    let places = pairs?.into_iter();
    places
        .map(|[first, second]| Ok((place(first)?, place(second)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[&[&str]]) -> Value {
        let texts = |pair: &&[&str]| Value::List(pair.iter().map(|b| Value::from(*b)).collect());
        Value::List(pairs.iter().map(texts).collect())
    }

    #[test]
    fn pairs_are_adjacent_bands_unless_they_are_named() {
        let bands = ["g", "r", "i"].map(String::from);
        assert_eq!(places(None, &bands).unwrap(), [(0, 1), (1, 2)]);
        let given = list(&[&["g", "i"], &["i", "g"]]);
        assert_eq!(places(Some(&given), &bands).unwrap(), [(0, 2), (2, 0)]);
        let error = places(Some(&list(&[&["g", "z"]])), &bands).unwrap_err();
        assert!(error.message.contains("`z`, which is no band"), "{error}");
        assert_eq!(error.help, ["they are: g, r, i"]);
        let error = places(None, &bands[..1]).unwrap_err();
        assert!(error.message.contains("one band"), "{error}");
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for (given, wanted) in [
            (list(&[]), "is empty"),
            (list(&[&["g"]]), "not two bands"),
            (list(&[&["g", "g"]]), "not two bands"),
            (list(&[&["g", "r", "i"]]), "not two bands"),
            (list(&[&["g", "r"], &["g", "r"]]), "twice"),
        ] {
            let (text, _) = named_pairs(&given).unwrap_err();
            assert!(text.contains(wanted), "{text}");
        }
    }
}
