//! The light curve of a fitted model.

use crate::numeric::simd::SimdLevel;

use super::light::{Light, Points, Shine};
use super::{Fitter, ObjectFit};

/// The light curve of a fitted model, in the order of time and then band.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelCurve {
    /// The name of the model.
    pub model: &'static str,
    /// Modified Julian dates, days.
    pub time: Vec<f64>,
    /// The places of the bands.
    pub band: Vec<u16>,
    /// Flux in microjansky.
    pub flux: Vec<f64>,
}

impl Fitter {
    /// The light curve of one model, or of the one with the least cost if `model` is `None`, in all bands from
    /// the beginning to the end of the window. `None` if it was not fitted.
    pub fn curve(&self, fit: &ObjectFit, model: Option<&str>) -> Option<ModelCurve> {
        let fitted = self.models.iter().zip(&fit.fits);
        let fitted = fitted.filter_map(|(model, fit)| Some((*model, fit.as_ref()?)));
        let (model, found) = match model {
            Some(name) => fitted.into_iter().find(|(model, _)| model.name == name)?,
            None => fitted.reduce(|a, b| if b.1.cost < a.1.cost { b } else { a })?,
        };
        let mut curve = ModelCurve {
            model: model.name,
            ..ModelCurve::default()
        };
        let peak = found.slots[0];
        let times = curve_times(self.options.window_before, self.options.window_after);
        let mut at = Vec::new();
        for y in times {
            for (band, wavelength) in self.wavelengths.iter().enumerate() {
                at.push((peak + y, wavelength / fit.stretch));
                curve.time.push(fit.reference + (peak + y) * fit.stretch);
                curve.band.push(band as u16);
            }
        }
        let points = Points::of(at.into_iter());
        let mut light = Light::room(&points);
        SimdLevel::active().run(Shine {
            model,
            slots: &found.slots,
            light: &mut light,
            points: &points,
        });
        let scale = found.amplitude * fit.unit;
        let values = light.value.iter().take(curve.time.len());
        curve.flux = values.map(|m| scale * m).collect();
        Some(curve)
    }
}

/// The days since the peak at which a curve has points: close together near it.
fn curve_times(before: f64, after: f64) -> Vec<f64> {
    const STEPS: [(f64, f64); 3] = [(30.0, 3.0), (80.0, 5.0), (f64::INFINITY, 15.0)];
    let side = |until: f64| {
        let mut times = Vec::new();
        let mut y = 0.0;
        while times.len() < MOST_TIMES {
            let step = STEPS.iter().find(|(end, _)| y < *end).map_or(15.0, |s| s.1);
            y += step;
            if y >= until {
                break;
            }
            times.push(y);
        }
        times
    };
    let mut times: Vec<f64> = side(before).into_iter().rev().map(|y| -y).collect();
    times.push(0.0);
    times.extend(side(after));
    times
}

/// The most points in time of a curve on either side of the peak.
const MOST_TIMES: usize = 100;
