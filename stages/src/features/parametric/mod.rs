//! Parametric models fitted to all bands of an object at once: a shape in time, times the spectrum of a black
//! body whose temperature changes.
//!
//! - `model`: the tables of models and unknowns. A new model needs a row there;
//! - `shape`: the shapes in time. A new shape needs a type there;
//! - `light`: the light of a model at the points, and its derivatives;
//! - `fit`: the best fit of one model; `curve`: its light curve;
//! - `frame`: days, wavelengths and distance of an object;
//! - `residuals`: what a fit leaves, and what the survey shows outside the event;
//! - `columns`: the catalogue of columns, from which `docs/fits.md` comes; `values`: their values.
//!
//! Begin with [`Fitter`].

mod columns;
mod curve;
mod fit;
mod frame;
mod light;
mod model;
#[cfg(test)]
mod oracles;
mod residuals;
mod shape;
#[cfg(test)]
mod tests;
mod values;

pub use columns::{FitColumn, columns_markdown};
pub use curve::ModelCurve;
pub use model::{
    DEFAULT_MODELS, MODEL_NAMES, MODELS, Model, QUANTITIES, Quantity, QuantityEntry, ShapeKind,
};

use crate::features::event::Nights;
use crate::numeric::least_squares::{Prior, Stopping};

use fit::{ModelFit, Room, Search, Window};
use frame::Observed;
use light::Points;
use model::{ALL, SLOTS};
use values::Values;

/// The gain in cost, relative to 1 plus the cost, that no search goes on for.
const TOLERANCE: f64 = 1e-6;

/// Settings that the models leave open. Days are at rest if the redshift is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// Days before the reference time at which the window begins.
    pub window_before: f64,
    /// Days after the reference time at which the window ends.
    pub window_after: f64,
    /// The fewest points in the window with which models are fitted.
    pub min_points: usize,
    /// A share of the flux that is added to the error in quadrature, since no model is exact.
    pub error_floor: f64,
    /// The searches for the optimum of each model, besides one from the optimum of a model like it.
    pub starts: usize,
    /// The most evaluations of each search.
    pub evaluations: usize,
    /// Whether there are columns with the errors of the unknowns and with what the searches did.
    pub uncertainties: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            window_before: 70.0,
            window_after: 250.0,
            min_points: 6,
            error_floor: 0.05,
            starts: 7,
            evaluations: 30,
            uncertainties: false,
        }
    }
}

/// Models with all that they need to be fitted to objects of one survey.
#[derive(Clone, Debug)]
pub struct Fitter {
    models: Vec<&'static Model>,
    /// The order in which models are fitted: places in `models`, predecessors first.
    order: Vec<usize>,
    priors: [Prior; ALL],
    wavelengths: Vec<f64>,
    options: FitOptions,
    columns: Vec<FitColumn>,
}

/// What was fitted to one object.
#[derive(Clone, Debug)]
pub struct ObjectFit {
    reference: f64,
    stretch: f64,
    unit: f64,
    fits: Vec<Option<ModelFit>>,
}

impl Fitter {
    /// For these models, of which the first has more columns, and bands of these wavelengths in angstrom.
    /// `priors` replaces the center, in the unit of the quantity, and the width of some priors.
    pub fn new(
        models: Vec<&'static Model>,
        priors: &[(Quantity, (f64, f64))],
        wavelengths: Vec<f64>,
        options: FitOptions,
    ) -> Self {
        let of_all = QUANTITIES.each_ref().map(|entry| {
            let given = priors.iter().find(|(q, _)| *q == entry.quantity);
            entry.prior(given.map_or(entry.prior, |(_, prior)| *prior))
        });
        let mut order: Vec<usize> = (0..models.len()).collect();
        let place = |model: &Model| MODELS.iter().position(|other| other.name == model.name);
        order.sort_by_key(|&i| place(models[i]));
        let columns = columns::columns(&models, &options);
        Self {
            models,
            order,
            priors: of_all,
            wavelengths,
            options,
            columns,
        }
    }

    /// The columns, in the order of the values of [`Fitter::measure`].
    pub fn columns(&self) -> &[FitColumn] {
        &self.columns
    }

    /// Fits the models to an object and writes the values of its columns. Values that the points do not
    /// support are left as they are. Returns the fits, or `None` if there are too few points.
    ///
    /// A redshift that is not finite or not above -1 counts as unknown. Days and wavelengths are then those
    /// of the observer.
    ///
    /// # Panics
    /// If `out` is not as long as the columns, or a band has no wavelength.
    pub fn measure(
        &self,
        nights: &Nights,
        redshift: Option<f64>,
        out: &mut [f64],
    ) -> Option<ObjectFit> {
        assert_eq!(out.len(), self.columns.len(), "one value a column");
        let (of_fits, of_survey) = out.split_at_mut(out.len() - columns::OF_SURVEY.len());
        let seen = Observed::of(nights, redshift, &self.options)?;
        let enough = seen.inside.len() >= self.options.min_points.max(1);
        let window = enough.then(|| self.window(&seen));
        let signal = window.as_ref().map(|w| w.square / w.len as f64);
        of_survey.copy_from_slice(&residuals::survey(&seen, signal));
        let window = window?;
        let mut room = Room::of(&window.points);
        let fit = ObjectFit {
            reference: seen.reference,
            stretch: seen.stretch,
            unit: window.unit,
            fits: self.fit_all(&window, &mut room),
        };
        let values = Values {
            fitter: self,
            seen: &seen,
            window: &window,
            fits: &fit.fits,
        };
        values.write(&mut room.light, of_fits);
        Some(fit)
    }

    fn window(&self, seen: &Observed) -> Window {
        let at = |&i: &usize| (seen.x[i], self.wavelength(seen, i));
        let of = |column: &[f64]| -> Vec<f64> { seen.inside.iter().map(|&i| column[i]).collect() };
        Window::new(
            Points::of(seen.inside.iter().map(at)),
            &of(&seen.nights.flux),
            &of(&seen.nights.err),
            self.options.error_floor,
        )
    }

    /// The wavelength of point `i` at rest.
    fn wavelength(&self, seen: &Observed, i: usize) -> f64 {
        self.wavelengths[usize::from(seen.nights.band[i])] / seen.stretch
    }

    fn fit_all(&self, window: &Window, room: &mut Room) -> Vec<Option<ModelFit>> {
        let mut fits: Vec<Option<ModelFit>> = vec![None; self.models.len()];
        if !window.square.is_finite() {
            return fits;
        }
        for &i in &self.order {
            let model = self.models[i];
            let search = Search {
                model,
                priors: &self.priors,
                window,
                stopping: Stopping {
                    evaluations: self.options.evaluations,
                    tolerance: TOLERANCE,
                },
            };
            let before = model.starts_from.and_then(|name| {
                let place = self.models.iter().position(|other| other.name == name)?;
                fits[place]
                    .as_ref()
                    .map(|fit| carried(self.models[place], fit, model))
            });
            let mut first = search.means();
            for (place, _) in model.free() {
                if let Some(value) = before.as_ref().and_then(|values| values[place]) {
                    first[place] = value;
                }
            }
            let mut starts = search.starts(self.options.starts, room);
            starts.push(first);
            fits[i] = search.best(&starts, room);
        }
        fits
    }
}

/// The values that `fit` found for the unknowns of another model, in the places of that model.
fn carried(from: &Model, fit: &ModelFit, to: &Model) -> [Option<f64>; SLOTS] {
    let mut values = [None; SLOTS];
    for (value, quantity) in values.iter_mut().zip(to.slots()) {
        let place = from.slots().position(|slot| slot == quantity);
        *value = place.map(|place| fit.slots[place]);
    }
    values
}
