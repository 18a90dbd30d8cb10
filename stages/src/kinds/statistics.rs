//! Kind `statistics`: moments, quantiles, slopes and other figures that need no model of what is observed. They are
//! defined in [`crate::features::statistics`] and in `docs/light-curve-statistics.md`. A feature that the points do
//! not support is NaN.

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Params, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Diag, ParamType, params, words};

use crate::features::statistics::{
    Bands, Derived, Metadata, Observations, StatisticPlan, StatisticSet,
};
use crate::physics::cosmology::FlatLambdaCdm;
use crate::rows::{self, Measured};
use crate::table::Curves;

/// The kind.
pub struct Statistics;

words!(StatisticSet { LightCurve = "light_curve", Basic = "basic", Plasticc156 = "plasticc_156", Engineered = "engineered", Metadata = "metadata" });
words!(Bands { Each = "each", All = "all", Both = "both" });

const SERIES: [&str; Derived::ALL.len()] = words(&Derived::ALL);
const METADATA: [&str; Metadata::ALL.len()] = words(&Metadata::ALL);

/// The names of a table.
const fn words<T, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut i = 0;
    while i < N {
        words[i] = table[i].0;
        i += 1;
    }
    words
}

/// The values that are named.
fn named<T: Copy, const N: usize>(table: &[(&'static str, T); N], names: &[&str]) -> Vec<T> {
    let place = |name: &&str| table.iter().find(|(known, _)| known == name);
    names.iter().filter_map(place).map(|row| row.1).collect()
}

params! {
    struct StatisticsParams<'a> {
        set: StatisticSet = word(StatisticSet::LightCurve, "The features: the 39 of the package light-curve, `basic` moments and extremes, the 156 of Chaini and Kumar (2020) for PLAsTiCC, some 150 `engineered` ones with rolling means, differences and ratios, or redshift and E(B-V) alone as `metadata`.");
        series: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Choice(&SERIES))), "What the features are of: fluxes, their errors, flux over error, its square, fluxes times this square, whether an observation is detected, its time, its band, or means of three fluxes in a row.").or(Value::List(vec![Value::Str("flux".into())])).only("set", &["light_curve"]);
        bands: Bands = word(Bands::Each, "Whether they are taken in each band, in `all` bands together, or both.").only("set", &["light_curve"]);
        metadata: Option<Vec<&'a str>> = new(ParamType::List(Box::new(ParamType::Choice(&METADATA))), "Columns of what is known of an object besides, in place of those of the set.").optional();
        least_distance: Option<f64> = new(ParamType::Float { min: 1e-5, max: 1e5 }, "Distance in Mpc that nearer objects get for their distance modulus, those of redshift 0 too. If it is left out, there is no distance modulus at redshift 0.").optional();
        prefix: &'a str = new(ParamType::Str, "Put before every column name.").or("".into());
    }
}

impl StatisticsParams<'_> {
    /// The columns for a survey with these bands.
    fn plan(&self, bands: &[&str]) -> StatisticPlan {
        let series = named(&Derived::ALL, &self.series);
        let metadata = self.metadata.as_ref();
        let metadata = metadata.map(|names| named(&Metadata::ALL, names));
        StatisticPlan::new(self.set, (&series, self.bands), metadata.as_deref(), bands)
    }

    /// What is wrong with the parameters together: the parameter, an error and a hint.
    fn mistakes(&self) -> Vec<(&'static str, String, String)> {
        let mut found = Vec::new();
        let metadata = self.metadata.as_deref().unwrap_or_default();
        for (name, list) in [("series", &self.series[..]), ("metadata", metadata)] {
            for (i, item) in list.iter().enumerate() {
                if list[..i].contains(item) {
                    let text = format!("`{name}` lists `{item}` twice");
                    found.push((name, text, "name each once".into()));
                }
            }
        }
        if self.set == StatisticSet::LightCurve && self.series.is_empty() {
            let help = format!("they are: {}", SERIES.join(", "));
            found.push(("series", "`series` is empty".into(), help));
        }
        if self.least_distance.is_some() && !self.plan(&[]).has(Metadata::DistanceModulus) {
            found.push((
                "least_distance",
                "`least_distance` has no effect without a distance modulus".into(),
                "add \"distance_modulus\" to `metadata`, or remove it".into(),
            ));
        }
        found
    }
}

impl Stage for Statistics {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "statistics",
            version: 1,
            about: "Statistics of light curves: moments, quantiles, slopes, in named sets",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "`<band>_<series>_<statistic>` as in `docs/light-curve-statistics.md`; the band `all` is all of them",
                )],
            },
            params: StatisticsParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let mistakes = StatisticsParams::read(params).mistakes().into_iter();
        mistakes
            .map(|(name, text, help)| {
                let diag = Diag::new("flow::params::statistics", text).help(help);
                match params.span(name) {
                    Some(span) => diag.label(span, "here"),
                    None => diag,
                }
            })
            .collect()
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = StatisticsParams::read(action.params);
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let plan = p.plan(&bands);
        let columns: Vec<String> = plan
            .names()
            .iter()
            .map(|name| format!("{}{name}", p.prefix))
            .collect();
        rows::measure_objects(action, &curves, &columns, 1, |object, out| {
            let known = |metadata| match metadata {
                Metadata::Redshift => object.redshift,
                Metadata::RedshiftErr => curves.objects.redshift_err[object.index],
                Metadata::Ebv => object.ebv,
                Metadata::DistanceModulus => distance_modulus(object.redshift, p.least_distance),
            };
            let known = |metadata| known(metadata).unwrap_or(f64::NAN);
            plan.measure(observations(object), known, out);
        })
    }
}

fn observations(object: &Measured<'_>) -> Observations {
    let curve = object.curve;
    Observations {
        time: curve.time.to_vec(),
        band: curve.band.iter().copied().map(f64::from).collect(),
        flux: curve.flux.to_vec(),
        err: curve.flux_err.to_vec(),
    }
}

/// The distance modulus of a redshift, in magnitudes, no less than that of the least distance in Mpc. There is none
/// without a redshift, nor at redshift 0 unless there is a least distance.
fn distance_modulus(redshift: Option<f64>, least: Option<f64>) -> Option<f64> {
    let distance = FlatLambdaCdm::WMAP9.luminosity_distance(redshift?);
    let distance = distance.max(least.unwrap_or(0.0));
    (distance > 0.0).then(|| 5.0 * libm::log10(distance) + 25.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_one_name_each() {
        use flow_engine::kind::ParamWord;
        let names = StatisticSet::ALL.map(|(name, _)| name);
        assert_eq!(names.as_slice(), StatisticSet::WORDS);
        for (name, set) in StatisticSet::ALL {
            assert_eq!(set.word(), name);
        }
    }

    #[test]
    fn a_distance_modulus_needs_a_distance() {
        let near = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-3;
        // astropy's WMAP9 has 1572.542 Mpc at redshift 0.3, with radiation.
        assert!(near(distance_modulus(Some(0.3), None), 40.983));
        assert_eq!(distance_modulus(Some(0.0), None), None);
        assert_eq!(distance_modulus(None, Some(10.0)), None);
        // 10 Mpc are 30 magnitudes.
        for redshift in [-0.01, 0.0, 0.001] {
            assert!(near(distance_modulus(Some(redshift), Some(10.0)), 30.0));
        }
        assert!(near(distance_modulus(Some(0.3), Some(10.0)), 40.983));
    }

    fn mistakes(change: impl FnOnce(&mut StatisticsParams<'_>)) -> Vec<String> {
        let mut params = StatisticsParams {
            set: StatisticSet::LightCurve,
            series: vec!["flux"],
            bands: Bands::Each,
            metadata: None,
            least_distance: None,
            prefix: "",
        };
        change(&mut params);
        let texts = params.mistakes().into_iter().map(|(_, text, _)| text);
        texts.collect()
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert_eq!(mistakes(|_| ()), Vec::<String>::new());
        assert_eq!(mistakes(|p| p.series.clear()), ["`series` is empty"]);
        assert_eq!(
            mistakes(|p| p.series = vec!["snr", "flux", "snr"]),
            ["`series` lists `snr` twice"]
        );
        assert_eq!(
            mistakes(|p| p.metadata = Some(vec!["ebv", "ebv"])),
            ["`metadata` lists `ebv` twice"]
        );
        let unused = "`least_distance` has no effect without a distance modulus";
        assert_eq!(mistakes(|p| p.least_distance = Some(10.0)), [unused]);
        let used = mistakes(|p| {
            (p.set, p.least_distance) = (StatisticSet::Plasticc156, Some(10.0));
        });
        assert_eq!(used, Vec::<String>::new());
    }
}
