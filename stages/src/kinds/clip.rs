//! Kind `clip`: light curves without the observations that lie far from the others of their band.
//!
//! In each band of an object, observations more than `outlier` standard deviations from the mean are dropped first,
//! and then, in cycles, those that are more than `sigma` standard deviations from the center of what is left
//! ([`crate::numeric::sigma_clip`]). Times and errors play no part. A flare is far from the rest of its light curve,
//! too, so clipping suits variables whose flux stays within a range, and takes the peaks off transients.

use std::collections::BTreeMap;

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Params, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{params, words};
use serde::{Deserialize, Serialize};

use crate::numeric::sigma_clip::{ClipCenter, ClipOptions, clip};
use crate::table::{Curves, row_attrs};

/// The kind.
pub struct Clip;

words!(ClipCenter { Mean = "mean", Median = "median" });

params! {
    struct ClipParams {
        outlier: f64 = float(7.0, 1.5, 1e6, "Standard deviations from the mean of its band beyond which an observation is dropped first.");
        sigma: f64 = float(3.0, 1.5, 1e6, "Standard deviations from the center beyond which observations are dropped in each cycle.");
        cycles: usize = int(5, 0, 1000, "Most cycles; they end when nothing is dropped.");
        center: ClipCenter = word(ClipCenter::Mean, "The center of the cycles. The spread is always the standard deviation.");
    }
}

const CLIP: usize = 0;

impl Stage for Clip {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "clip",
            version: 1,
            about: "Drops observations far from the others of their band (sigma clipping)",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![
                    OutputPort::of("curves", "curves", CLIP, "the light curves that are left"),
                    OutputPort::of("report", "report", 1, "JSON: what was dropped, by band"),
                ],
            },
            params: ClipParams::specs(),
            steps: vec![
                Step::new("clip", Scope::Shard)
                    .port("curves")
                    .writes("curves")
                    .writes("counts"),
                Step::new("collect", Scope::Whole)
                    .after(CLIP, "counts")
                    .writes("report"),
            ],
        }
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "report"
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        if action.step != CLIP {
            return collect(action);
        }
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = ClipParams::read(action.params);
        let options = ClipOptions {
            outlier: p.outlier,
            sigma: p.sigma,
            cycles: p.cycles,
            center: p.center,
        };
        let (left, counts) = clipped(&curves, &options, &|| action.checkpoint())?;
        let attrs = row_attrs(&left.objects.object_id);
        let mut writer = action.create()?;
        left.write(&mut writer)?;
        action.finish("curves", writer, attrs)?;
        action.write("counts", &json(&counts)?, Vec::new())
    }
}

/// What was dropped of a band.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ClipCounts {
    /// Observations that came in.
    observations: usize,
    /// Observations dropped first.
    outliers: usize,
    /// Observations dropped in the cycles.
    in_cycles: usize,
}

/// The counts by band.
type ClipReport = BTreeMap<String, ClipCounts>;

/// Clips all light curves of a shard.
fn clipped(
    curves: &Curves,
    options: &ClipOptions,
    go_on: &dyn Fn() -> Result<(), StageError>,
) -> Result<(Curves, ClipReport), StageError> {
    let mut left = Curves::new(curves.objects.survey.clone());
    let mut counts = vec![ClipCounts::default(); curves.bands().len()];
    for i in 0..curves.len() {
        go_on()?;
        left.objects.push_from(&curves.objects, i);
        let observed = curves.offsets[i]..curves.offsets[i + 1];
        let mut kept = vec![true; observed.len()];
        for (band, counts) in counts.iter_mut().enumerate() {
            let of_band = |j: &usize| usize::from(curves.band[*j]) == band;
            let places: Vec<usize> = observed.clone().filter(of_band).collect();
            let flux: Vec<f64> = places.iter().map(|&j| curves.flux[j]).collect();
            let found = clip(&flux, options);
            counts.observations += flux.len();
            counts.outliers += found.outliers;
            counts.in_cycles += found.in_cycles;
            for (place, keep) in places.into_iter().zip(found.kept) {
                kept[place - observed.start] = keep;
            }
        }
        for j in observed.clone().filter(|j| kept[j - observed.start]) {
            left.time.push(curves.time[j]);
            left.band.push(curves.band[j]);
            left.flux.push(curves.flux[j]);
            left.flux_err.push(curves.flux_err[j]);
        }
        left.offsets.push(left.time.len());
    }
    let names = curves.bands().iter().cloned();
    Ok((left, names.zip(counts).collect()))
}

fn collect(action: &mut Action<'_>) -> Result<(), StageError> {
    let mut report = ClipReport::new();
    for part in action.input("counts") {
        let read = serde_json::from_slice::<ClipReport>(&std::fs::read(&part.path)?);
        let part =
            read.map_err(|error| StageError::environment("the counts of a shard").because(error))?;
        for (band, part) in part {
            let all = report.entry(band).or_default();
            all.observations += part.observations;
            all.outliers += part.outliers;
            all.in_cycles += part.in_cycles;
        }
    }
    let note = Value::Str(note(&report));
    let attrs = vec![("notes".to_owned(), Value::List(vec![note]))];
    action.write("report", &json(&report)?, attrs)
}

/// The line at the end of a run.
fn note(report: &ClipReport) -> String {
    let sum = |of: fn(&ClipCounts) -> usize| report.values().map(of).sum::<usize>();
    format!(
        "{} of {} observations were dropped: {} first, {} in the cycles",
        sum(|c| c.outliers + c.in_cycles),
        sum(|c| c.observations),
        sum(|c| c.outliers),
        sum(|c| c.in_cycles)
    )
}

fn json(report: &ClipReport) -> Result<Vec<u8>, StageError> {
    let mut bytes = serde_json::to_vec_pretty(report)
        .map_err(|error| StageError::environment("cannot write a report").because(error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Survey;

    const OPTIONS: ClipOptions = ClipOptions {
        outlier: 7.0,
        sigma: 3.0,
        cycles: 5,
        center: ClipCenter::Mean,
    };

    #[test]
    fn each_band_of_each_object_is_clipped_by_itself() {
        let mut curves = Curves::new(Survey {
            bands: vec!["g".into(), "r".into()],
            ..Survey::default()
        });
        let objects = &mut curves.objects;
        objects.object_id = vec!["a".into(), "b".into(), "c".into()];
        (objects.label, objects.raw_label) = (vec![None; 3], vec![None; 3]);
        (objects.split, objects.group) = (vec![None; 3], vec![None; 3]);
        (objects.redshift, objects.redshift_err) = (vec![None; 3], vec![None; 3]);
        objects.ebv = vec![Some(0.1); 3];
        // Object a: g around 0 with one point at 50, r around 50. Object b has one point, c none.
        for i in 0..40 {
            curves.time.push(f64::from(i));
            curves.band.push(i as u16 % 2);
            let wave = f64::from(i % 4) - 1.5;
            let flux = if i == 20 {
                50.0
            } else {
                f64::from(i % 2) * 50.0 + wave
            };
            curves.flux.push(flux);
            curves.flux_err.push(1.0);
        }
        curves.offsets.push(40);
        curves.time.push(3.0);
        curves.band.push(0);
        curves.flux.push(1e9);
        curves.flux_err.push(0.5);
        curves.offsets.extend([41, 41]);

        let (left, counts) = clipped(&curves, &OPTIONS, &|| Ok(())).unwrap();
        assert_eq!(left.objects, curves.objects);
        assert_eq!(left.offsets, [0, 39, 40, 40]);
        assert!(!left.time[..39].contains(&20.0));
        assert_eq!(left.flux[39], 1e9);
        let of = |observations, outliers, in_cycles| ClipCounts {
            observations,
            outliers,
            in_cycles,
        };
        assert_eq!(counts["g"], of(21, 0, 1));
        assert_eq!(counts["r"], of(20, 0, 0));
        assert_eq!(
            note(&counts),
            "1 of 41 observations were dropped: 0 first, 1 in the cycles"
        );
        let mut bytes = Vec::new();
        left.write(&mut bytes).unwrap();
    }
}
