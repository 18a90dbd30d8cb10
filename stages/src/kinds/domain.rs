//! Kind `domain`: features that physics suggests, 20 for each band and 18 across bands, with redshift
//! and E(B-V). Each is defined in [`crate::features::domain`] and in `docs/features.md`. A feature that
//! the points do not support is NaN, never a made-up value.

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, params};

use crate::features::domain::{Band, DomainOptions, features, names};
use crate::rows::{self, Measured};
use crate::table::Curves;

/// The kind.
pub struct Domain;

params! {
    struct DomainParams {
        min_snr: f64 = float(DomainOptions::default().min_snr, 0.0, 1e6, "Signal to noise that a peak or a colour's flux must reach.");
        event_before: f64 = float(DomainOptions::default().event_before, 0.0, 1e6, "Days before the reference time at which the event begins.");
        event_after: f64 = float(DomainOptions::default().event_after, 0.0, 1e6, "Days after the reference time at which the event ends.");
        decay_days: f64 = float(DomainOptions::default().decay_days, 0.0, 1e6, "Days after a band's peak over which its decline is measured.");
        max_gap: f64 = float(DomainOptions::default().max_gap, 0.0, 1e6, "Longest gap, in days, that is bridged by a straight line.");
        rest_frame: bool = bool(DomainOptions::default().rest_frame, "Divide times by 1 + redshift where the redshift is known.");
        redshift_draws: Option<usize> = new(ParamType::Int { min: 1, max: rows::MOST_DRAWS }, rows::DRAWS).optional();
    }
}

impl Stage for Domain {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "domain",
            version: 1,
            about: "Physics features of light curves: peaks, moments, rise and decay, colours",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "the features of `docs/features.md`, `redshift` and `ebv`",
                )],
            },
            params: DomainParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = DomainParams::read(action.params);
        let options = DomainOptions {
            min_snr: p.min_snr,
            event_before: p.event_before,
            event_after: p.event_after,
            decay_days: p.decay_days,
            max_gap: p.max_gap,
            rest_frame: p.rest_frame,
        };
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let mut columns = names(&bands);
        let measured = columns.len();
        columns.extend(["redshift".to_owned(), "ebv".to_owned()]);
        rows::measure_objects(
            action,
            &curves,
            &columns,
            p.redshift_draws.unwrap_or(1),
            |object, out| {
                measure(object, bands.len(), &options, &mut out[..measured]);
                out[measured] = object.redshift.unwrap_or(f64::NAN);
                out[measured + 1] = object.ebv.unwrap_or(f64::NAN);
            },
        )
    }
}

fn measure(object: &Measured<'_>, n_bands: usize, options: &DomainOptions, out: &mut [f64]) {
    let curve = object.curve;
    let mut series = vec![(Vec::new(), Vec::new(), Vec::new()); n_bands];
    for j in 0..curve.time.len() {
        let (time, flux, err) = &mut series[usize::from(curve.band[j])];
        time.push(curve.time[j]);
        flux.push(curve.flux[j]);
        err.push(curve.flux_err[j]);
    }
    let bands: Vec<Band<'_>> = series
        .iter()
        .map(|(time, flux, err)| Band { time, flux, err })
        .collect();
    features(&bands, object.redshift, options, out);
}
