//! Kind `interpolate`: light curves on a regular grid of times, one row of points for each band.
//!
//! The grid spans an object's first to last observation in any band. On sparse surveys most points of a
//! fine grid are invented between observations. Features that see the raw light curves (`domain`) do
//! not have that problem.

use std::io::Write;

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{params, words};

use crate::features::interpolate::{Normalise, Outside, grid};
use crate::table::{Curves, LightCurve, TensorWriter, row_attrs};

/// The kind.
pub struct Interpolate;

words!(Normalise { None = "none", MaxAbs = "max_abs", ZScore = "z_score" });
words!(Outside { Hold = "hold", Zero = "zero", Nan = "nan" });

params! {
    struct InterpolateParams {
        points: usize = int(100, 2, 100_000, "Points of the grid, from the object's first observation to its last.");
        normalise: Normalise = word(Normalise::MaxAbs, "Scale of an object's fluxes, over all bands together: as they are, divided by the largest absolute value, or to mean 0 and standard deviation 1.");
        outside: Outside = word(Outside::Hold, "What a band has before its first and after its last observation: the nearest value, zero, or NaN (which `rocket` refuses). A band with fewer than two observations is zero throughout.");
    }
}

impl Stage for Interpolate {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "interpolate",
            version: 1,
            about: "Interpolates each band linearly on a regular grid of times",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "grid",
                    "grid",
                    0,
                    "a tensor [bands, points] an object",
                )],
            },
            params: InterpolateParams::specs(),
            steps: vec![
                Step::new("resample", Scope::Shard)
                    .port("curves")
                    .writes("grid"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let InterpolateParams {
            points,
            normalise,
            outside,
        } = InterpolateParams::read(action.params);
        let bands = curves.bands();
        let mut writer = grid_writer(action.create()?, bands, points)?;
        for i in 0..curves.len() {
            action.checkpoint()?;
            let series = by_band(&curves.get(i), bands.len());
            let series: Vec<(&[f64], &[f64])> =
                series.iter().map(|(t, f)| (&t[..], &f[..])).collect();
            let values = grid(&series, points, outside, normalise);
            writer.push(&curves.objects.object_id[i..=i], &values)?;
        }
        let attrs = row_attrs(&curves.objects.object_id);
        action.finish("grid", writer.finish()?, attrs)
    }
}

/// Returns the writer of a grid that has a row of `points` values for each band.
pub(super) fn grid_writer<W: Write>(
    writer: W,
    bands: &[String],
    points: usize,
) -> Result<TensorWriter<W>, StageError> {
    let names = serde_json::to_string(bands).map_err(std::io::Error::from)?;
    let metadata = vec![("flow.bands".to_owned(), names)];
    TensorWriter::new(writer, "grid", &[bands.len(), points], metadata)
}

/// The times and fluxes of each band.
pub(super) fn by_band(curve: &LightCurve<'_>, bands: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut series = vec![(Vec::new(), Vec::new()); bands];
    for ((&time, &band), &flux) in curve.time.iter().zip(curve.band).zip(curve.flux) {
        let (times, fluxes) = &mut series[usize::from(band)];
        times.push(time);
        fluxes.push(flux);
    }
    series
}
