//! Parametric models fitted to all bands of an object at once: a shape in time, times the spectrum of a black
//! body whose temperature changes.
//!
//! - `model`: the tables of models and unknowns. A new model needs a row there;
//! - `shape`: the shapes in time. A new shape needs a type there;
//! - `light`: the light of a model at the points, and its derivatives;
//! - `fit`: the best fit of one model;
//! - `residuals`: what a fit leaves, and what the survey shows outside the event;
//! - `columns`: the catalogue of columns, from which `docs/fits.md` comes.
//!
//! Begin with [`Fitter`].

mod columns;
mod fit;
mod light;
mod model;
mod residuals;
mod shape;
#[cfg(test)]
mod tests;

pub use columns::{FitColumn, columns_markdown};
pub use model::{
    DEFAULT_MODELS, MODEL_NAMES, MODELS, Model, QUANTITIES, Quantity, QuantityEntry, ShapeKind,
};

use crate::features::event::Nights;
use crate::numeric::least_squares::{Prior, Stopping};
use crate::numeric::simd::SimdLevel;
use crate::physics::black_body::{ThermalSource, Wavelength};
use crate::physics::cosmology::FlatLambdaCdm;

use fit::{ModelFit, Room, Search, Window};
use light::{Light, PIVOT, Points, Shine};
use model::{ALL, SLOTS};
use residuals::{BLOCKS, LEAST_AMPLITUDE, OUTSIDE, Residual};

/// The days at rest before the peak that count as the event. Points before them are outside it.
const DAYS_BEFORE: f64 = 50.0;
/// The magnitude of a flux of one microjansky in the AB system.
const MICROJANSKY_MAG: f64 = 23.9;
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
    /// The most evaluations of each search; there are two for each model.
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

/// An object's merged points in its own frame.
struct Observed<'a> {
    nights: &'a Nights,
    /// One plus the redshift, or one if that is unknown.
    stretch: f64,
    /// Days at rest since the reference time.
    x: Vec<f64>,
}

/// What was fitted to one object.
#[derive(Clone, Debug)]
pub struct ObjectFit {
    reference: f64,
    stretch: f64,
    unit: f64,
    fits: Vec<Option<ModelFit>>,
}

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
        let redshift = redshift.filter(|z| z.is_finite() && *z > -1.0);
        let reference = nights.reference_time()?;
        let stretch = 1.0 + redshift.unwrap_or(0.0);
        let x = nights.time.iter().map(|t| (t - reference) / stretch);
        let seen = Observed {
            nights,
            stretch,
            x: x.collect(),
        };
        let (others, survey) = out.split_at_mut(out.len() - columns::OF_SURVEY.len());
        let inside: Vec<usize> = (0..nights.len())
            .filter(|&i| {
                -self.options.window_before < seen.x[i] && seen.x[i] < self.options.window_after
            })
            .collect();
        let snr = |i: &usize| nights.flux[*i] / nights.err[*i];
        let square: f64 = inside.iter().map(|i| snr(i) * snr(i)).sum();
        if inside.len() < self.options.min_points.max(1) {
            survey.copy_from_slice(&residuals::survey(nights, square, None));
            return None;
        }
        let window = self.window(&seen, &inside);
        let signal = window.square / window.len as f64;
        survey.copy_from_slice(&residuals::survey(nights, square, Some(signal)));
        let mut room = Room::of(&window.points);
        let fit = ObjectFit {
            reference,
            stretch,
            unit: window.unit,
            fits: self.fit_all(&window, &mut room),
        };
        let frame = Frame::at(redshift);
        let mut rest = others;
        for (model, found) in self.models.iter().zip(&fit.fits) {
            let width = columns::OF_MODEL.len()
                + model.free().count() * if self.options.uncertainties { 2 } else { 1 }
                + if self.options.uncertainties { 2 } else { 0 };
            let (own, after) = rest.split_at_mut(width);
            if let Some(found) = found {
                self.write_model(model, found, &window, &frame, own);
            }
            rest = after;
        }
        let first = self.models.len().min(1) * (columns::OF_FIRST.len() + BLOCKS + OUTSIDE);
        let (own, pairs) = rest.split_at_mut(first);
        if let (Some(model), Some(Some(found))) = (self.models.first(), fit.fits.first()) {
            let room = &mut room.light;
            self.write_first(
                &First {
                    model,
                    found,
                    window: &window,
                    frame: &frame,
                    seen: &seen,
                    inside: &inside,
                },
                room,
                own,
            );
        }
        self.write_pairs(&fit, window.len, pairs);
        Some(fit)
    }

    fn window(&self, seen: &Observed, inside: &[usize]) -> Window {
        let points = Points::of(
            inside
                .iter()
                .map(|&i| (seen.x[i], self.wavelength(seen, i))),
        );
        let of = |column: &[f64]| -> Vec<f64> { inside.iter().map(|&i| column[i]).collect() };
        Window::new(
            points,
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
            let mut second = first;
            for (place, quantity) in model.free() {
                if let Some(value) = before.as_ref().and_then(|values| values[place]) {
                    first[place] = value;
                }
                let entry = quantity.entry();
                second[place] = entry.inner(entry.second_start);
            }
            fits[i] = search.best(&[first, second], room);
        }
        fits
    }

    fn write_model(
        &self,
        model: &Model,
        found: &ModelFit,
        window: &Window,
        frame: &Frame,
        out: &mut [f64],
    ) {
        let mut values = vec![
            found.chi2 / window.len as f64,
            1.0 - found.chi2 / window.square,
            frame.absolute_magnitude(found.amplitude * window.unit),
        ];
        for (place, quantity) in model.free() {
            let (entry, inner) = (quantity.entry(), found.slots[place]);
            values.push(entry.outer(inner));
            if self.options.uncertainties {
                let slope = if entry.logarithmic {
                    entry.outer(inner)
                } else {
                    1.0
                };
                values.push(slope * found.errors[place]);
            }
        }
        if self.options.uncertainties {
            values.push(if found.converged { 1.0 } else { 0.0 });
            values.push(found.evaluations as f64);
        }
        out.copy_from_slice(&values);
    }

    fn write_first(&self, first: &First, light: &mut Light, out: &mut [f64]) {
        let First {
            model,
            found,
            window,
            frame,
            seen,
            inside,
        } = first;
        let (of_first, rest) = out.split_at_mut(columns::OF_FIRST.len());
        let (of_blocks, of_outside) = rest.split_at_mut(BLOCKS);
        let slot = |quantity: Quantity| {
            let place = model.slots().position(|slot| slot == quantity);
            place.map_or(f64::NAN, |place| found.slots[place])
        };
        let amplitude = (found.amplitude * window.unit).max(LEAST_AMPLITUDE);
        let source = frame.source(amplitude, libm::exp(slot(Quantity::Temperature)));
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
            points: &window.points,
        });
        let peak = slot(Quantity::PeakTime);
        let residuals: Vec<Residual> = inside
            .iter()
            .enumerate()
            .map(|(k, &i)| Residual {
                y: seen.x[i] - peak,
                wavelength: self.wavelength(seen, i),
                rest: window.unit * (window.flux[k] - found.amplitude * light.value[k]),
                weight: window.weight[k] / (window.unit * window.unit),
            })
            .collect();
        residuals::blocks(&residuals, amplitude, of_blocks);
        let event = (peak - DAYS_BEFORE, peak + self.options.window_after);
        residuals::outside(seen, event, amplitude, of_outside);
    }

    fn write_pairs(&self, fit: &ObjectFit, points: usize, out: &mut [f64]) {
        let pairs = columns::pairs(&self.models);
        for ((i, j), out) in pairs.into_iter().zip(out.chunks_exact_mut(2)) {
            if let (Some(a), Some(b)) = (&fit.fits[i], &fit.fits[j]) {
                let difference = a.cost - b.cost;
                out[0] = libm::asinh(difference);
                out[1] = difference / b.cost.max(points as f64);
            }
        }
    }

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

/// The first model with what its further columns need.
struct First<'a> {
    model: &'a Model,
    found: &'a ModelFit,
    window: &'a Window,
    frame: &'a Frame,
    seen: &'a Observed<'a>,
    inside: &'a [usize],
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

/// How an object's distance changes what is seen of it.
struct Frame {
    /// Redshift and luminosity distance in megaparsec, if they are known.
    known: Option<(f64, f64)>,
}

impl Frame {
    fn at(redshift: Option<f64>) -> Self {
        let known = redshift.filter(|z| *z > 0.0);
        Self {
            known: known.map(|z| (z, FlatLambdaCdm::WMAP9.luminosity_distance(z))),
        }
    }

    /// The absolute AB magnitude of a flux in microjansky at a wavelength at rest; NaN without a distance.
    fn absolute_magnitude(&self, flux: f64) -> f64 {
        self.known.map_or(f64::NAN, |(z, distance)| {
            let apparent = MICROJANSKY_MAG - 2.5 * libm::log10(flux.max(LEAST_AMPLITUDE));
            let modulus = 5.0 * libm::log10(distance) + 25.0;
            apparent - modulus + 2.5 * libm::log10(1.0 + z)
        })
    }

    /// The black body whose flux at the pivot is `amplitude`; `None` without a distance.
    fn source(&self, amplitude: f64, temperature: f64) -> Option<ThermalSource> {
        let (redshift, distance) = self.known?;
        let intensity = Wavelength::of(PIVOT).emission(1.0 / temperature).intensity;
        Some(ThermalSource {
            flux_over_intensity: amplitude / intensity,
            temperature,
            redshift,
            distance,
        })
    }
}
