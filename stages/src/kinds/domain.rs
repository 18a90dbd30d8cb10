//! Kind `domain`: features that physics suggests, 20 a band and 18 across bands, with redshift and
//! E(B-V). Each is defined in [`crate::features::domain`] and in `docs/features.md`; where the points
//! do not support one it is NaN, never a made-up value.

use flow_engine::ParamSpec;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use rayon::prelude::*;

use crate::features::domain::{Band, DomainOptions, features, names};
use crate::table::{Curves, FeatureWriter, row_attrs};

/// The kind.
pub struct Domain;

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
            params: params(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = action.params;
        let options = DomainOptions {
            min_snr: p.float("min_snr"),
            event_before: p.float("event_before"),
            event_after: p.float("event_after"),
            decay_days: p.float("decay_days"),
            max_gap: p.float("max_gap"),
            rest_frame: p.bool("rest_frame"),
        };
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let mut columns = names(&bands);
        let measured = columns.len();
        columns.extend(["redshift".to_owned(), "ebv".to_owned()]);
        let width = columns.len();
        let mut rows = vec![f32::NAN; curves.len() * width];
        let stop = action.stop();
        let each = rows.par_chunks_mut(width).enumerate();
        each.try_for_each(|(i, row)| {
            if stop() {
                return Err(StageError::interrupted());
            }
            let mut values = vec![f64::NAN; measured];
            measure(&curves, i, bands.len(), &options, &mut values);
            for (to, from) in row.iter_mut().zip(&values) {
                let value = *from as f32;
                *to = if value.is_finite() { value } else { f32::NAN };
            }
            row[measured] = curves.objects.redshift[i].map_or(f32::NAN, |v| v as f32);
            row[measured + 1] = curves.objects.ebv[i].map_or(f32::NAN, |v| v as f32);
            Ok(())
        })?;
        let mut writer = FeatureWriter::new(action.create()?, &columns)?;
        writer.push(&curves.objects.object_id, &rows)?;
        let attrs = row_attrs(&curves.objects.object_id);
        action.finish("features", writer.finish()?, attrs)
    }
}

fn measure(curves: &Curves, i: usize, n_bands: usize, options: &DomainOptions, out: &mut [f64]) {
    let curve = curves.get(i);
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
    features(&bands, curves.objects.redshift[i], options, out);
}

fn params() -> Vec<ParamSpec> {
    let defaults = DomainOptions::default();
    vec![
        ParamSpec::float(
            "min_snr",
            defaults.min_snr,
            0.0,
            1e6,
            "Signal to noise that a peak or a colour's flux must reach.",
        ),
        ParamSpec::float(
            "event_before",
            defaults.event_before,
            0.0,
            1e6,
            "Days before the reference time at which the event begins.",
        ),
        ParamSpec::float(
            "event_after",
            defaults.event_after,
            0.0,
            1e6,
            "Days after the reference time at which the event ends.",
        ),
        ParamSpec::float(
            "decay_days",
            defaults.decay_days,
            0.0,
            1e6,
            "Days after a band's peak over which its decline is measured.",
        ),
        ParamSpec::float(
            "max_gap",
            defaults.max_gap,
            0.0,
            1e6,
            "Longest gap, in days, that is bridged by a straight line.",
        ),
        ParamSpec::bool(
            "rest_frame",
            defaults.rest_frame,
            "Divide times by 1 + redshift where the redshift is known.",
        ),
    ]
}
