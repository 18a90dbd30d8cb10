//! The values of the columns of one object, in the order of the catalogue.

use crate::numeric::simd::SimdLevel;

use super::Fitter;
use super::columns;
use super::fit::{ModelFit, Window};
use super::frame::{LEAST_AMPLITUDE, Observed};
use super::light::{Light, Shine};
use super::model::{Model, Quantity};
use super::residuals::{self, BLOCKS, OUTSIDE, Residual};

/// What the values come from.
pub(super) struct Values<'a> {
    pub fitter: &'a Fitter,
    pub seen: &'a Observed<'a>,
    pub window: &'a Window,
    pub fits: &'a [Option<ModelFit>],
}

impl Values<'_> {
    /// Writes all values but those of the survey. `light` has room for the points of the window.
    pub fn write(&self, light: &mut Light, out: &mut [f64]) {
        let models = &self.fitter.models;
        let mut rest = out;
        for (model, found) in models.iter().zip(self.fits) {
            let width = columns::width(model, self.fitter.options.uncertainties);
            let (own, after) = rest.split_at_mut(width);
            if let Some(found) = found {
                own.copy_from_slice(&self.of_model(model, found));
            }
            rest = after;
        }
        let first = models.len().min(1) * (columns::OF_FIRST.len() + BLOCKS + OUTSIDE);
        let (own, of_pairs) = rest.split_at_mut(first);
        if let (Some(model), Some(Some(found))) = (models.first(), self.fits.first()) {
            self.write_first(model, found, light, own);
        }
        self.write_pairs(of_pairs);
    }

    fn of_model(&self, model: &Model, found: &ModelFit) -> Vec<f64> {
        let amplitude = found.amplitude * self.window.unit;
        let mut values = vec![
            found.chi2 / self.window.len as f64,
            1.0 - found.chi2 / self.window.square,
            self.seen.distance.absolute_magnitude(amplitude),
        ];
        let uncertainties = self.fitter.options.uncertainties;
        for (place, quantity) in model.free() {
            let entry = quantity.entry();
            let value = entry.outer(found.slots[place]);
            let slope = if entry.logarithmic { value } else { 1.0 };
            values.push(value);
            values.extend(uncertainties.then_some(slope * found.errors[place]));
        }
        if uncertainties {
            values.push(if found.converged { 1.0 } else { 0.0 });
            values.push(found.evaluations as f64);
        }
        values
    }

    fn write_first(&self, model: &Model, found: &ModelFit, light: &mut Light, out: &mut [f64]) {
        let (of_first, rest) = out.split_at_mut(columns::OF_FIRST.len());
        let (of_blocks, of_outside) = rest.split_at_mut(BLOCKS);
        let slot = |quantity: Quantity| {
            let place = model.slots().position(|slot| slot == quantity);
            place.map_or(f64::NAN, |place| found.slots[place])
        };
        let amplitude = (found.amplitude * self.window.unit).max(LEAST_AMPLITUDE);
        let temperature = libm::exp(slot(Quantity::Temperature));
        let source = self.seen.distance.source(amplitude, temperature);
        let luminosity = source.map_or(f64::NAN, |source| source.log_luminosity());
        let decay = libm::log10(86_400.0) + slot(Quantity::Decay) / std::f64::consts::LN_10;
        of_first.copy_from_slice(&[
            slot(Quantity::Rise) - slot(Quantity::Decay),
            luminosity,
            source.map_or(f64::NAN, |source| source.log_radius()),
            luminosity + decay,
        ]);
        SimdLevel::active().run(Shine {
            model,
            slots: &found.slots,
            light,
            points: &self.window.points,
        });
        let peak = slot(Quantity::PeakTime);
        let residuals: Vec<Residual> = (self.seen.inside.iter().enumerate())
            .map(|(k, &i)| Residual {
                y: self.seen.x[i] - peak,
                wavelength: self.fitter.wavelength(self.seen, i),
                rest: self.window.unit * (self.window.flux[k] - found.amplitude * light.value[k]),
                weight: self.window.weight[k] / (self.window.unit * self.window.unit),
            })
            .collect();
        residuals::blocks(&residuals, amplitude, of_blocks);
        let end = peak + self.fitter.options.window_after;
        let event = (peak - columns::DAYS_BEFORE, end);
        residuals::outside(self.seen, event, amplitude, of_outside);
    }

    fn write_pairs(&self, out: &mut [f64]) {
        let pairs = columns::pairs(&self.fitter.models);
        for ((i, j), out) in pairs.into_iter().zip(out.chunks_exact_mut(2)) {
            if let (Some(a), Some(b)) = (&self.fits[i], &self.fits[j]) {
                let difference = a.cost - b.cost;
                out[0] = libm::asinh(difference);
                out[1] = difference / b.cost.max(self.window.len as f64);
            }
        }
    }
}
