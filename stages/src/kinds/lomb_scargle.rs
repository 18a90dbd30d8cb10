//! Kind `lomb_scargle`: periods. The features are defined in [`crate::features::lomb_scargle`] and in
//! `docs/variability.md`.

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::params;

use crate::features::columns::names;
use crate::features::lomb_scargle::{COLUMNS, Observed, PeriodOptions, features};
use crate::rows;
use crate::table::Curves;

/// The kind.
pub struct LombScargle;

params! {
    struct LombScargleParams {
        min_period: f64 = float(PeriodOptions::default().min_period, 1e-3, 1e6, "The shortest period in days.");
        oversampling: f64 = float(PeriodOptions::default().oversampling, 1.0, 100.0, "Frequencies for each width of a peak, which is one over the length of the light curve.");
        frequencies: usize = int(20_000, 1, 1_000_000, "The most frequencies, from the lowest up, whatever the shortest period.");
    }
}

impl Stage for LombScargle {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "lomb_scargle",
            version: 1,
            about: "Periods of light curves, from the periodogram of all bands",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "the features of `docs/variability.md`, called `ls_...`",
                )],
            },
            params: LombScargleParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = LombScargleParams::read(action.params);
        let options = PeriodOptions {
            min_period: p.min_period,
            oversampling: p.oversampling,
            frequencies: p.frequencies,
        };
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let columns = names(&COLUMNS, &bands);
        rows::measure_objects(action, &curves, &columns, 1, |object, out| {
            let observed = Observed {
                time: object.curve.time,
                band: object.curve.band,
                flux: object.curve.flux,
                err: object.curve.flux_err,
            };
            features(&observed, bands.len(), &options, out);
        })
    }
}
