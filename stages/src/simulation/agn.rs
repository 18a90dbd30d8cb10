//! Active galactic nuclei: a damped random walk in magnitude, some with a flare on top.
//!
//! The walk and its distribution follow MacLeod et al. (2010, ApJ 721, 1014) and Kelly et al. (2009,
//! ApJ 698, 895). A survey reports the flux above a faint reference, so most values are positive. One
//! source in five also flares, which makes it a look-alike of a tidal disruption event.

use super::light::between;
use super::survey::{DemoSurvey, Magnitudes, PerBand};
use crate::numeric::rng::Stream;

/// Days between grid points of the walk, and the length of the walk in days.
const STEP: f64 = 2.0;
const LENGTH: f64 = 3_700.0;
/// Share of the time in which the nucleus is brighter than the reference level.
const REFERENCE: f64 = 0.8;
/// Mean magnitude relative to r at the wavelengths of the LSST bands (angstrom), and how much of a common
/// color deviate a band gets there. Other bands lie between.
const COLOR: [(f64, f64); 6] = [
    (3_641.0, 0.45),
    (4_704.0, 0.15),
    (6_155.0, 0.0),
    (7_504.0, -0.05),
    (8_695.0, -0.10),
    (10_056.0, -0.12),
];
const COLOR_SCATTER: [(f64, f64); 6] = [
    (3_641.0, 0.25),
    (4_704.0, 0.15),
    (6_155.0, 0.0),
    (7_504.0, -0.10),
    (8_695.0, -0.15),
    (10_056.0, -0.20),
];

/// Rise (Gaussian) and decline (exponential) of a flare in days, its height in units of the mean flux
/// and its epoch as a share of the survey.
#[derive(Clone, Debug)]
struct Flare {
    height: f64,
    epoch: f64,
    rise: f64,
    decline: f64,
}

/// The light curve of a nucleus over more than the longest survey. All copies of a source see the same
/// walk, each through a window of its own.
#[derive(Clone, Debug)]
pub struct Agn {
    /// Mean flux in microjansky by band.
    flux: PerBand,
    /// Amplitude of the walk by band.
    amplitude: PerBand,
    /// The walk in magnitudes on a grid of `STEP` days.
    walk: Vec<f64>,
    flare: Option<Flare>,
}

impl Agn {
    /// Draws a nucleus at redshift `z` for a survey that finds nuclei of the magnitudes `magnitudes`.
    pub fn draw(z: f64, magnitudes: &Magnitudes, survey: &DemoSurvey, rng: &mut Stream) -> Agn {
        // Rest-frame time scale in days, and the asymptotic structure function in magnitudes.
        let tau = libm::exp10((2.4 + 0.4 * rng.normal()).clamp(1.2, 3.4));
        let magnitude = magnitudes.draw(rng);
        let structure = libm::exp10(-0.68 + 0.25 * rng.normal());
        let flares = rng.uniform() < 0.20;
        let flare = Flare {
            height: 0.3 * rng.uniform_in(0.5, 3.0),
            epoch: rng.uniform_in(0.15, 0.70),
            rise: libm::exp10(rng.uniform_in(0.9, 1.6)),
            decline: libm::exp10(rng.uniform_in(1.5, 2.3)),
        };
        let strength = 1.0 + 0.25 * rng.normal();
        let color = rng.normal();
        let flux = survey.per_band(|band| {
            let offset =
                between(&COLOR, band.wavelength) + color * between(&COLOR_SCATTER, band.wavelength);
            libm::exp10(-0.4 * (magnitude + offset - 23.9))
        });
        let amplitude = survey.per_band(|band| {
            let rest = band.wavelength / (1.0 + z);
            strength * libm::pow(rest / 3_000.0, -0.48)
        });
        Agn {
            flux,
            amplitude,
            walk: damped_random_walk(
                tau * (1.0 + z),
                structure * std::f64::consts::FRAC_1_SQRT_2,
                rng,
            ),
            flare: flares.then_some(flare),
        }
    }

    /// The highest signal-to-noise ratio in any band that a survey could reach without lucky noise: in
    /// the brightest state of the walk with the flare on top, in visits with the flux errors `errors`
    /// (microjansky).
    pub fn peak_snr(&self, errors: &[f64]) -> f64 {
        let reference = faint_level(&self.walk);
        let brightest = self.walk.iter().copied().fold(f64::INFINITY, f64::min);
        let flare = self.flare.as_ref().map_or(0.0, |flare| flare.height);
        let errors = errors.iter().enumerate();
        errors
            .map(|(band, error)| {
                let flux = self.relative(brightest, reference, band) + flare * self.flux[band];
                flux / error
            })
            .fold(0.0, f64::max)
    }

    /// Draws a survey of `span` days that starts at a random moment of the walk.
    pub fn window(&self, span: f64, rng: &mut Stream) -> SurveyWindow<'_> {
        let start = rng.uniform_in(0.0, (LENGTH - span).max(0.0));
        let first = ((start / STEP) as usize).min(self.walk.len());
        let end = (((start + span) / STEP) as usize).clamp(first, self.walk.len());
        SurveyWindow {
            agn: self,
            start,
            span,
            reference: faint_level(&self.walk[first..end]),
        }
    }

    /// The flux of the walk's state above the reference state, in microjansky.
    fn relative(&self, state: f64, reference: f64, band: usize) -> f64 {
        let level = |state: f64| libm::exp10(-0.4 * state * self.amplitude[band]);
        self.flux[band] * (level(state) - level(reference))
    }
}

/// The part of a nucleus that one copy shows during its survey.
#[derive(Clone, Debug)]
pub struct SurveyWindow<'a> {
    agn: &'a Agn,
    start: f64,
    span: f64,
    reference: f64,
}

impl SurveyWindow<'_> {
    /// Difference flux in microjansky `day` days after the start of the survey.
    pub fn flux(&self, day: f64, band: usize) -> f64 {
        let state = interpolate(&self.agn.walk, (self.start + day) / STEP);
        let walk = self.agn.relative(state, self.reference, band);
        let flare = self.agn.flare.as_ref().map_or(0.0, |flare| {
            let t = day - flare.epoch * self.span;
            let shape = if t < 0.0 {
                libm::exp(-0.5 * (t / flare.rise) * (t / flare.rise))
            } else {
                libm::exp(-t / flare.decline)
            };
            flare.height * shape * self.agn.flux[band]
        });
        walk + flare
    }
}

/// A damped random walk of standard deviation `sigma` and time scale `tau` days on the common grid, by
/// the exact recursion `x' = a x + sigma sqrt(1 - a^2) N(0, 1)` with `a = exp(-STEP / tau)`.
fn damped_random_walk(tau: f64, sigma: f64, rng: &mut Stream) -> Vec<f64> {
    let a = libm::exp(-STEP / tau);
    let kick = sigma * (1.0 - a * a).sqrt();
    let mut state = sigma * rng.normal();
    (0..(LENGTH / STEP) as usize)
        .map(|_| {
            let now = state;
            state = a * state + kick * rng.normal();
            now
        })
        .collect()
}

/// The magnitude that is fainter than a share `REFERENCE` of `walk` (nearest rank); 0 when empty.
fn faint_level(walk: &[f64]) -> f64 {
    let mut values = walk.to_vec();
    let rank = (REFERENCE * values.len() as f64) as usize;
    if rank >= values.len() {
        return 0.0;
    }
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// Linear interpolation at a fractional index, held constant beyond the last point.
fn interpolate(values: &[f64], position: f64) -> f64 {
    let index = position as usize;
    match (values.get(index), values.get(index + 1)) {
        (Some(left), Some(right)) => left + (right - left) * (position - index as f64),
        _ => values.last().copied().unwrap_or(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::surveys;

    #[test]
    fn walks_have_the_variance_and_memory_they_should() {
        let (tau, sigma) = (40.0, 0.3);
        let (mut square, mut product, mut n) = (0.0, 0.0, 0.0);
        for source in 0..200 {
            let walk = damped_random_walk(tau, sigma, &mut Stream::new(5, &[source]));
            for pair in walk.windows(11) {
                square += pair[0] * pair[0];
                product += pair[0] * pair[10];
                n += 1.0;
            }
        }
        assert!((square / n / (sigma * sigma) - 1.0).abs() < 0.05);
        let memory = libm::exp(-10.0 * STEP / tau);
        assert!((product / square - memory).abs() < 0.03);
    }

    #[test]
    fn the_reference_is_faint_and_states_interpolate() {
        let walk: Vec<f64> = (0..10).map(f64::from).collect();
        assert_eq!(faint_level(&walk), 8.0);
        assert_eq!(faint_level(&[]), 0.0);
        assert_eq!(interpolate(&walk, 2.5), 2.5);
        assert_eq!(interpolate(&walk, 99.0), 9.0);
        assert_eq!(interpolate(&[], 0.0), 0.0);
    }

    fn nucleus(rng: &mut Stream) -> Agn {
        let magnitudes = Magnitudes {
            mean: 21.8,
            scatter: 0.7,
            brightest: 19.0,
            faintest: 23.5,
        };
        Agn::draw(0.8, &magnitudes, surveys::ALL[0], rng)
    }

    #[test]
    fn windows_of_one_source_show_the_same_walk() {
        let agn = nucleus(&mut Stream::new(5, &[1]));
        let a = agn.window(1_000.0, &mut Stream::new(5, &[2]));
        let b = SurveyWindow {
            start: a.start,
            ..agn.window(2_000.0, &mut Stream::new(5, &[3]))
        };
        // The references differ, so the fluxes differ by a constant.
        let steady = Agn {
            flare: None,
            ..agn.clone()
        };
        let (a, b) = (
            SurveyWindow { agn: &steady, ..a },
            SurveyWindow { agn: &steady, ..b },
        );
        let shift = a.flux(0.0, 2) - b.flux(0.0, 2);
        assert!((a.flux(500.0, 2) - b.flux(500.0, 2) - shift).abs() < 1e-9);
    }
}
