//! The features of the process of an event.

use super::catalogue::PHASES;
use super::covariance::Matrices;
use super::fit::Fit;
use super::shape::{Sampled, largest, line};
use super::temperature::{BlackBody, Spectra};
use super::{Object, Row, even, magnitude, sample};

/// The fewest points of an event.
pub(super) const FEWEST: usize = 8;

/// The rest-frame days around the peak of the whole light curve in which the event is sampled.
const SAMPLED: (f64, f64) = (-50.0, 150.0);
/// The number of samples: one every 2 days.
const SAMPLES: usize = 101;
/// The rest-frame days around that peak in which the peaks of the event and its bands are sought.
const NEAR: f64 = 40.0;

/// Wavelengths in the rest frame at which there are magnitudes, angstrom.
const REST: [f64; 5] = [2700.0, 3300.0, 4000.0, 5000.0, 6200.0];
/// The pairs of them that have colors.
const REST_PAIRS: [(usize, usize); 3] = [(1, 2), (2, 3), (3, 4)];
/// The phases of these magnitudes.
const REST_PHASES: [f64; 2] = [0.0, 30.0];
/// How far beyond the wavelengths of the survey these may be, as a factor.
const MARGIN: f64 = 1.1;

/// One magnitude as a ratio of fluxes.
const ONE_MAG: f64 = 2.511_886_431_509_58;

/// What the features of an event are computed from.
struct Flare<'a> {
    object: &'a Object<'a>,
    fit: &'a Fit,
    wavelengths: Vec<f64>,
    /// The time of the whole light curve's peak, and that of the event's peak.
    whole_peak: f64,
    peak: f64,
    /// Samples of the bands around the peak, a row for each band.
    time: Vec<f64>,
    flux: Vec<Vec<f64>>,
    /// Flux and error at each phase, for each band.
    phases: Vec<Vec<(f64, f64)>>,
}

/// Pushes the features of an event, which was found at a peak of the whole light curve.
pub(super) fn features(
    object: &Object<'_>,
    (fit, whole_peak): (&Fit, f64),
    matrices: &mut Matrices,
    row: &mut Row<'_>,
) {
    let flare = Flare::new(object, (fit, whole_peak), matrices);
    let rest: Vec<f64> = flare
        .wavelengths
        .iter()
        .map(|w| w / object.frame.stretch)
        .collect();
    let spectra = Spectra::new(&rest);
    let bodies: Vec<BlackBody> = flare.phases.iter().map(|f| spectra.fit(f)).collect();
    row.extend(flare.parameters());
    row.extend(flare.thermal_rates(&bodies));
    for phase in REST_PHASES {
        row.extend(flare.rest_magnitudes(phase));
    }
    for band in 0..flare.wavelengths.len() {
        row.extend(flare.band(band));
    }
    for (k, body) in bodies.iter().enumerate() {
        row.extend(flare.phase(k, body));
    }
    row.extend((1..flare.wavelengths.len()).map(|second| flare.color_rate(second)));
    for k in 0..PHASES.len() {
        row.extend((1..flare.wavelengths.len()).map(|second| flare.color(k, second)));
    }
}

impl<'a> Flare<'a> {
    fn new(
        object: &'a Object<'a>,
        (fit, whole_peak): (&'a Fit, f64),
        matrices: &mut Matrices,
    ) -> Flare<'a> {
        let stretch = object.frame.stretch;
        let at = |days: f64| whole_peak + days * stretch;
        let time = even(at(SAMPLED.0), at(SAMPLED.1), SAMPLES);
        let wavelengths = object.wavelengths();
        let flux = sample(fit, &time, &wavelengths);
        let near = |t: f64| (t - whole_peak).abs() < NEAR * stretch;
        let main = &flux[..object.model.main_bands()];
        let total = |i: usize| -> f64 { main.iter().map(|band| band[i]).sum() };
        let sought = (0..time.len()).map(|i| {
            if near(time[i]) {
                total(i)
            } else {
                f64::NEG_INFINITY
            }
        });
        let peak = largest(sought).map_or(whole_peak, |i| time[i]);
        let at: Vec<(f64, f64)> = PHASES
            .iter()
            .flat_map(|phase| {
                wavelengths
                    .iter()
                    .map(move |&w| (peak + phase * stretch, w))
            })
            .collect();
        let predicted = fit.predict(&at, matrices);
        let phases = predicted.chunks(wavelengths.len().max(1));
        Flare {
            object,
            fit,
            whole_peak,
            peak,
            phases: phases.map(<[_]>::to_vec).collect(),
            wavelengths,
            time,
            flux,
        }
    }

    /// Hyper-parameters and likelihoods.
    fn parameters(&self) -> [f64; 6] {
        let (fit, frame) = (self.fit, &self.object.frame);
        let [_, time, wavelength] = fit.covariance.theta;
        let gain = fit.likelihood - fit.points.noise_likelihood();
        let window = self.object.window(self.whole_peak);
        [
            libm::exp(time) / frame.stretch,
            libm::exp(wavelength) / frame.stretch,
            gain / window.len() as f64,
            libm::asinh(gain),
            self.object.chi2(fit, window),
            (self.peak - self.whole_peak) / frame.stretch,
        ]
    }

    /// How temperature and radius change.
    fn thermal_rates(&self, bodies: &[BlackBody]) -> [f64; 3] {
        let temperature = |k: usize| bodies[k].log_temperature;
        let radius = |k: usize| self.thermal_size(&bodies[k]).0;
        let later = |value: &dyn Fn(usize) -> f64| {
            let points = (PEAK_PHASE..PHASES.len()).map(|k| (PHASES[k], value(k)));
            line(points).slope
        };
        [
            temperature(PEAK_PHASE) - temperature(0),
            later(&temperature),
            later(&radius),
        ]
    }

    /// The logarithms of a black body's radius and luminosity. NaN without a distance.
    fn thermal_size(&self, body: &BlackBody) -> (f64, f64) {
        let frame = &self.object.frame;
        let source = body.source(frame.redshift, frame.distance);
        (source.log_radius(), source.log_luminosity())
    }

    /// Absolute magnitudes in the rest frame at a phase, and their colors.
    fn rest_magnitudes(&self, phase: f64) -> [f64; 8] {
        let frame = &self.object.frame;
        let bounds = (self.wavelengths.first(), self.wavelengths.last());
        let (Some(shortest), Some(longest)) = bounds else {
            return [f64::NAN; 8];
        };
        let seen = REST.map(|w| w * frame.stretch);
        let at = seen.map(|w| (self.peak + phase * frame.stretch, w));
        let fluxes = self.fit.means(&at);
        let mut found = [f64::NAN; 8];
        for (k, w) in seen.into_iter().enumerate() {
            if w * MARGIN > *shortest && w < MARGIN * longest {
                found[k] = magnitude(fluxes[k]);
            }
        }
        for (k, (blue, red)) in REST_PAIRS.into_iter().enumerate() {
            found[REST.len() + k] = found[blue] - found[red];
        }
        let absolute = frame.k_correction() - frame.distance_modulus();
        found[..REST.len()].iter_mut().for_each(|m| *m += absolute);
        found
    }

    /// Peak and widths of one band.
    fn band(&self, band: usize) -> [f64; 6] {
        let (frame, flux) = (&self.object.frame, &self.flux[band]);
        let near = |t: f64| (t - self.whole_peak).abs() < NEAR * frame.stretch;
        let sought = self.time.iter().zip(flux);
        let peak = largest(sought.map(|(t, f)| if near(*t) { *f } else { f64::NEG_INFINITY }));
        let peak = peak.unwrap_or(0);
        let curve = Sampled {
            time: &self.time,
            value: flux,
        };
        let height = if flux[peak] > 0.0 {
            flux[peak]
        } else {
            f64::NAN
        };
        let widths = [0.5, 1.0 / ONE_MAG].map(|level| {
            let rise = curve.rise(peak, level * height) / frame.stretch;
            (rise, curve.fall(peak, level * height) / frame.stretch)
        });
        [
            magnitude(height) - frame.distance_modulus() + frame.k_correction(),
            (self.time[peak] - self.peak) / frame.stretch,
            widths[0].0,
            widths[0].1,
            widths[1].0,
            widths[1].1,
        ]
    }

    /// Flux and black body at phase number `k`.
    fn phase(&self, k: usize, body: &BlackBody) -> [f64; 6] {
        let main = self.object.model.main_bands();
        let total = |k: usize| -> f64 { self.phases[k][..main].iter().map(|f| f.0).sum() };
        let peak = total(PEAK_PHASE);
        let (radius, luminosity) = self.thermal_size(body);
        [
            if peak > 0.0 {
                total(k) / peak
            } else {
                f64::NAN
            },
            body.log_temperature,
            body.err,
            body.chi2,
            radius,
            luminosity,
        ]
    }

    /// The color of band number `second` and the one before it, at phase number `k`.
    fn color(&self, k: usize, second: usize) -> f64 {
        let (blue, red) = (self.phases[k][second - 1], self.phases[k][second]);
        if blue.0 > blue.1 || red.0 > red.1 {
            let least = |(flux, err): (f64, f64)| magnitude(flux.max(0.5 * err));
            least(blue) - least(red)
        } else {
            f64::NAN
        }
    }

    /// The slope of that color from the peak on.
    fn color_rate(&self, second: usize) -> f64 {
        let later = PEAK_PHASE..PHASES.len();
        line(later.map(|k| (PHASES[k], self.color(k, second)))).slope
    }
}

/// The place of phase 0.
const PEAK_PHASE: usize = 2;
