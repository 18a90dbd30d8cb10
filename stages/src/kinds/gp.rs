//! Kind `gp`: light curves as Gaussian processes in time and wavelength, and features of these. The
//! mathematics is in [`crate::features::gp`], the definitions are in `docs/gp.md`.

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::params;

use crate::features::event::Nights;
use crate::features::gp::{GpModel, GpOptions};
use crate::rows;
use crate::table::Curves;

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
        redshift_draws: usize = int(1, 1, 1000, "Redshifts at which an object is measured whose redshift has an error. Its features are the means over these.");
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
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "the features of `docs/gp.md`",
                )],
            },
            params: GpParams::specs(),
            steps: vec![
                Step::new("measure", Scope::Shard)
                    .port("curves")
                    .writes("features"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let params = GpParams::read(action.params);
        let model = GpModel::new(&curves.wavelengths()?, params.options());
        let bands: Vec<&str> = curves.bands().iter().map(String::as_str).collect();
        let columns = model.names(&bands);
        let draws = params.redshift_draws;
        rows::measure_objects(action, &curves, &columns, draws, |object, out| {
            let curve = &object.curve;
            let nights = Nights::merge(curve.time, curve.band, curve.flux, curve.flux_err);
            model.features(&nights, object.redshift, out);
        })
    }
}
