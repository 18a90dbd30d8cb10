//! Kind `drw`: is it a flare or a damped random walk? The features are defined in [`crate::features::drw`] and in
//! `docs/variability.md`.

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::params;

use crate::features::columns::names;
use crate::features::drw::{COLUMNS, DrwOptions, features};
use crate::features::event::Nights;
use crate::rows;
use crate::table::Curves;

/// The kind.
pub struct Drw;

params! {
    struct DrwParams {
        flux_error: f64 = float(DrwOptions::default().flux_error, 0.0, 1.0, "Share of each flux that is added to its error in quadrature.");
        tau: f64 = float(DrwOptions::default().tau, 1.0, 1e4, "Days at which the prior of the walk's time scale tau is largest.");
        tau_width: f64 = float(DrwOptions::default().tau_width, 1e-3, 100.0, "Standard deviation of the prior of ln tau.");
        evaluations: usize = int(12, 2, 1000, "The most passes over the points from each start of a fit.");
        rest_frame: bool = bool(DrwOptions::default().rest_frame, "Divide times by 1 + redshift where the redshift is known.");
        redshift_draws: usize = int(1, 1, rows::MOST_DRAWS, rows::DRAWS);
    }
}

impl Stage for Drw {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "drw",
            version: 1,
            about: "How well a damped random walk, a flare, or both describe each light curve",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "the features of `docs/variability.md`, called `drw_...`",
                )],
            },
            params: DrwParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = DrwParams::read(action.params);
        let options = DrwOptions {
            flux_error: p.flux_error,
            tau: p.tau,
            tau_width: p.tau_width,
            evaluations: p.evaluations,
            rest_frame: p.rest_frame,
        };
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let columns = names(&COLUMNS, &bands);
        rows::measure_objects(
            action,
            &curves,
            &columns,
            p.redshift_draws,
            |object, out| {
                let curve = object.curve;
                let nights = Nights::merge(curve.time, curve.band, curve.flux, curve.flux_err);
                features(&nights, object.redshift, &options, out);
            },
        )
    }
}
