//! Kind `gp`: light curves as Gaussian processes in time and wavelength, and features of these. The
//! mathematics is in [`crate::features::gp`], the definitions are in `docs/gp.md`.

use std::sync::OnceLock;

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::params;

use super::interpolate::grid_writer;
use crate::features::event::Nights;
use crate::features::gp::{GpModel, GpOptions, GpPoint};
use crate::features::interpolate::Normalise;
use crate::rows;
use crate::table::{Curves, FittedCurves, row_attrs};

/// The kind.
pub struct Gp;

params! {
    struct GpParams {
        time_scale: f64 = float(60.0, 2.0, 1500.0, "Median of the prior of the length scale in time, observer days.");
        time_width: f64 = float(1.0, 0.0, 10.0, "Standard deviation of the logarithm of that length scale in its prior; 0 keeps it at the median.");
        wavelength_scale: f64 = float(6000.0, 800.0, 60_000.0, "Median of the prior of the length scale in wavelength, angstrom in the observer's frame.");
        wavelength_width: f64 = float(0.7, 0.0, 10.0, "Standard deviation of the logarithm of that length scale in its prior; 0 keeps it at the median.");
        amplitude_width: f64 = float(1.0, 0.0, 10.0, "Standard deviation of ln(amplitude / brightest flux) in its prior, whose mean is 0; 0 keeps it there.");
        event_before: f64 = float(60.0, 0.0, 1e6, "Days before the peak at which the event begins, in the rest frame if the redshift is known.");
        event_after: f64 = float(220.0, 0.0, 1e6, "Days after the peak at which the event ends, in the same frame.");
        points: usize = int(100, 2, 10_000, "Points of the grid in each band, from the object's first night to its last.");
        normalise: Normalise = word(Normalise::MaxAbs, "Scale of an object's grid: as it is, or by its observed fluxes over all bands together: divided by the largest absolute value, or to mean 0 and standard deviation 1.");
        redshift_draws: usize = int(1, 1, rows::MOST_DRAWS, rows::DRAWS);
    }
}

impl GpParams {
    fn options(&self) -> GpOptions {
        GpOptions {
            time_scale: self.time_scale,
            time_width: self.time_width,
            wavelength_scale: self.wavelength_scale,
            wavelength_width: self.wavelength_width,
            amplitude_width: self.amplitude_width,
            event_before: self.event_before,
            event_after: self.event_after,
        }
    }
}

impl Stage for Gp {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "gp",
            version: 1,
            about: "Gaussian processes in time and wavelength: peaks, widths, colors, temperatures",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![
                    OutputPort::of("features", "features", 0, "the features of `docs/gp.md`"),
                    OutputPort::of(
                        "grid",
                        "grid",
                        0,
                        "a tensor [bands, points] an object, as `interpolate` gives",
                    ),
                    OutputPort::of(
                        "fitted",
                        "fitted",
                        0,
                        "the event's light curves in all bands, with errors, dereddened if those that came in are",
                    ),
                ],
            },
            params: GpParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features")
                    .writes("grid")
                    .writes("fitted"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let params = GpParams::read(action.params);
        let model = GpModel::new(&curves.wavelengths()?, params.options());
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let columns = model.names(&bands);
        let slots: Vec<OnceLock<Option<Predicted>>> = vec![OnceLock::new(); curves.len()];
        let draws = params.redshift_draws;
        rows::measure_objects(action, &curves, &columns, draws, |object, out| {
            let curve = &object.curve;
            let nights = Nights::merge(curve.time, curve.band, curve.flux, curve.flux_err);
            let fit = model.features(&nights, object.redshift, out);
            // The process of the whole light curve is the same at every redshift that is drawn.
            slots[object.index].get_or_init(|| {
                let (fit, redshift) = (fit?, curves.objects.redshift[object.index]);
                Some(Predicted {
                    grid: model.grid(&fit, &nights, params.points, params.normalise),
                    curve: model.curve(&fit, redshift),
                })
            });
        })?;
        let predicted: Vec<Option<&Predicted>> = slots
            .iter()
            .map(|slot| slot.get().and_then(Option::as_ref))
            .collect();
        write_grid(action, &curves, params.points, &predicted)?;
        write_fitted(action, &curves, &predicted)
    }
}

/// What the process of an object predicts.
#[derive(Clone)]
struct Predicted {
    grid: Vec<f32>,
    curve: Vec<GpPoint>,
}

/// Writes the grids. An object without a process has zeros.
fn write_grid(
    action: &mut Action<'_>,
    curves: &Curves,
    points: usize,
    predicted: &[Option<&Predicted>],
) -> Result<(), StageError> {
    let bands = curves.bands();
    let mut writer = grid_writer(action.create()?, bands, points)?;
    let none = vec![0.0; bands.len() * points];
    for (id, predicted) in curves.objects.object_id.iter().zip(predicted) {
        let grid = predicted.map_or(&none, |predicted| &predicted.grid);
        writer.push(&[id], grid)?;
    }
    let attrs = row_attrs(&curves.objects.object_id);
    action.finish("grid", writer.finish()?, attrs)
}

/// Writes the curves, without points whose flux or error an f32 cannot hold.
fn write_fitted(
    action: &mut Action<'_>,
    curves: &Curves,
    predicted: &[Option<&Predicted>],
) -> Result<(), StageError> {
    let mut fitted = FittedCurves::new(curves.objects.survey.clone());
    for (id, predicted) in curves.objects.object_id.iter().zip(predicted) {
        for point in predicted.iter().flat_map(|predicted| &predicted.curve) {
            let (flux, err) = (point.flux as f32, point.err as f32);
            if flux.is_finite() && err.is_finite() {
                fitted.push_point(point.time, point.band, flux, err);
            }
        }
        fitted.push_object(id, predicted.map(|_| "gp"));
    }
    let mut writer = action.create()?;
    fitted.write(&mut writer)?;
    action.finish("fitted", writer, row_attrs(&curves.objects.object_id))
}
