//! Variable stars of the Milky Way: RR Lyrae, Mira, eclipsing binaries and flares of M dwarfs.
//!
//! A survey reports the difference to a reference image. The reference of a periodic star is its mean flux,
//! so its values have both signs. That of a flaring star is its quiet state.

use super::cadence::Visit;
use super::light::{between, thermal_fraction};
use super::survey::{Class, DemoSurvey, PerBand, Population};
use crate::numeric::rng::Stream;

/// The wavelength in angstrom to which apparent magnitudes belong: that of r.
const REFERENCE_WAVELENGTH: f64 = 6_155.0;
/// Phases over which the mean of a periodic star is taken.
const PHASES: u32 = 128;
/// Temperature in K of an RR Lyrae star, and of a white-light flare (Hawley & Fisher 1992, ApJS 78, 565). That of a Mira
/// star is set to match the colors of PLAsTiCC's training set: molecules take most of the visual light.
const RR_LYRAE: f64 = 6_800.0;
const MIRA: f64 = 1_700.0;
const FLARE: f64 = 9_500.0;
/// The amplitude of RR Lyrae stars relative to that in r, by wavelength in angstrom (means of Table 3 of
/// Sesar et al. 2010, ApJ 708, 717, to the nearest 0.05).
const RR_LYRAE_AMPLITUDES: [(f64, f64); 5] = [
    (3_641.0, 1.35),
    (4_704.0, 1.40),
    (6_155.0, 1.0),
    (7_504.0, 0.8),
    (8_695.0, 0.7),
];
/// The same of Mira stars, whose visual light changes most (Reid & Goldston 2002, ApJ 568, 931).
const MIRA_AMPLITUDES: [(f64, f64); 5] = [
    (4_704.0, 1.1),
    (6_155.0, 1.0),
    (7_504.0, 0.7),
    (8_695.0, 0.5),
    (10_056.0, 0.4),
];
/// A flare is over after this many of its widths.
const FLARE_WIDTHS: f64 = 30.0;

/// How a periodic star changes with its phase.
#[derive(Clone, Debug)]
enum Cycle {
    /// Brightens in the share `rise` of a period and fades in the rest, by `amplitude` magnitudes in r, and by those
    /// times the factor of `colors` elsewhere.
    Pulsation {
        amplitude: f64,
        rise: f64,
        colors: &'static [(f64, f64)],
    },
    /// Loses the share `depths.0` and, half a period later, `depths.1` of its flux, in dips whose standard
    /// deviation is `width` periods.
    Eclipses { depths: (f64, f64), width: f64 },
}

impl Cycle {
    /// The flux in units of a common level, at a phase from 0 to 1 and at a wavelength in angstrom.
    fn at(&self, phase: f64, wavelength: f64) -> f64 {
        match *self {
            Cycle::Pulsation {
                amplitude,
                rise,
                colors,
            } => {
                let turn = if phase < rise {
                    phase / rise
                } else {
                    1.0 + (phase - rise) / (1.0 - rise)
                };
                let fainter = 0.5 * libm::cos(std::f64::consts::PI * turn);
                libm::exp10(-0.4 * fainter * amplitude * between(colors, wavelength))
            }
            Cycle::Eclipses { depths, width } => {
                let dip = |middle: f64| {
                    let u = (phase - middle) / width;
                    libm::exp(-0.5 * u * u)
                };
                1.0 - depths.0 * (dip(0.0) + dip(1.0)) - depths.1 * dip(0.5)
            }
        }
    }
}

/// A star whose brightness repeats.
#[derive(Clone, Debug)]
pub struct PeriodicStar {
    cycle: Cycle,
    /// Days.
    period: f64,
    /// Mean flux in microjansky, and its ratio to the level of `cycle`, by band.
    flux: PerBand,
    mean: PerBand,
}

/// A star with flares.
#[derive(Clone, Debug)]
pub struct FlareStar {
    /// The flux of a flare at its peak in microjansky, by band.
    peak: PerBand,
    /// The full width of a flare at half its height, in days.
    width: f64,
}

impl PeriodicStar {
    /// Draws a star of the population; `None` if its class is another one.
    pub fn draw(population: &Population, survey: &DemoSurvey, rng: &mut Stream) -> Option<Self> {
        let (magnitudes, cycle, period, kelvin) = match population.class {
            Class::RrLyrae(magnitudes) => {
                let (cycle, period) = pulsation(rng);
                (magnitudes, cycle, period, RR_LYRAE)
            }
            Class::Mira(magnitudes) => {
                let cycle = Cycle::Pulsation {
                    amplitude: rng.uniform_in(2.0, 5.0),
                    rise: rng.uniform_in(0.35, 0.5),
                    colors: &MIRA_AMPLITUDES,
                };
                let period = libm::exp10(rng.uniform_in(2.0, 2.7));
                (magnitudes, cycle, period, MIRA)
            }
            Class::Eclipsing(magnitudes) => {
                let depth = rng.uniform_in(0.1, 0.6);
                let depths = (depth, depth * rng.uniform_in(0.1, 0.95));
                let width = rng.uniform_in(0.01, 0.06);
                let period = libm::exp10(rng.uniform_in(-0.5, 1.2));
                let kelvin = libm::exp10(rng.uniform_in(3.60, 3.95));
                let cycle = Cycle::Eclipses { depths, width };
                (magnitudes, cycle, period, kelvin)
            }
            _ => return None,
        };
        let mean = survey.per_band(|band| {
            let phases = (0..PHASES).map(|i| f64::from(i) / f64::from(PHASES));
            let sum: f64 = phases.map(|phase| cycle.at(phase, band.wavelength)).sum();
            sum / f64::from(PHASES)
        });
        Some(Self {
            flux: thermal_fluxes(magnitudes.draw(rng), kelvin, survey),
            cycle,
            period,
            mean,
        })
    }

    /// Returns the difference flux in microjansky, `days` days after a moment of phase 0.
    pub fn flux(&self, days: f64, band: usize, survey: &DemoSurvey) -> f64 {
        let turns = days / self.period;
        let wavelength = survey.bands[band].wavelength;
        let level = self.cycle.at(turns - turns.floor(), wavelength) / self.mean[band];
        self.flux[band] * (level - 1.0)
    }

    /// Draws the days since a moment of phase 0 at which a survey starts.
    pub fn start(&self, rng: &mut Stream) -> f64 {
        self.period * rng.uniform()
    }

    /// Returns the highest signal-to-noise ratio in any band, without noise, in visits with the flux errors
    /// `errors` (microjansky).
    pub fn peak_snr(&self, survey: &DemoSurvey, errors: &[f64]) -> f64 {
        let days = |i: u32| self.period * f64::from(i) / f64::from(PHASES);
        let all = (0..PHASES).flat_map(|i| errors.iter().enumerate().map(move |at| (i, at)));
        all.map(|(i, (band, error))| self.flux(days(i), band, survey) / error)
            .fold(0.0, f64::max)
    }
}

/// Draws an RR Lyrae star: three in four are of type ab, the others of type c (Sesar et al. 2010). The period
/// is in days.
fn pulsation(rng: &mut Stream) -> (Cycle, f64) {
    let ab = rng.uniform() < 0.75;
    let (period, scatter) = if ab { (0.58, 0.08) } else { (0.33, 0.05) };
    let period = (period + scatter * rng.normal()).clamp(0.2, 1.0);
    let (least, most, rise) = if ab {
        (0.4, 1.1, 0.15)
    } else {
        (0.2, 0.45, 0.45)
    };
    let amplitude = rng.uniform_in(least, most);
    let cycle = Cycle::Pulsation {
        amplitude,
        rise,
        colors: &RR_LYRAE_AMPLITUDES,
    };
    (cycle, period)
}

impl FlareStar {
    /// Draws a star of the population; `None` if its class is another one. Flares last from minutes to hours.
    pub fn draw(population: &Population, survey: &DemoSurvey, rng: &mut Stream) -> Option<Self> {
        let Class::FlareStar(magnitudes) = population.class else {
            return None;
        };
        let width = libm::exp10(rng.uniform_in(-2.5, -1.2));
        Some(Self {
            peak: thermal_fluxes(magnitudes.draw(rng), FLARE, survey),
            width,
        })
    }

    /// Draws the days of the flares that a survey catches: one of its visits falls into each of them.
    pub fn flares(&self, visits: &[Visit], rng: &mut Stream) -> Vec<f64> {
        if visits.is_empty() {
            return Vec::new();
        }
        (0..1 + rng.poisson(0.5))
            .map(|_| {
                let caught = visits[rng.below(visits.len() as u64) as usize].day;
                caught - self.width * rng.uniform_in(-0.5, 2.5)
            })
            .collect()
    }

    /// Returns the flux above the quiet star in microjansky, if flares peak on the days `flares`.
    pub fn flux(&self, day: f64, band: usize, flares: &[f64]) -> f64 {
        let each = flares.iter().map(|peak| flare((day - peak) / self.width));
        self.peak[band] * each.sum::<f64>()
    }

    /// Returns the highest signal-to-noise ratio in any band, without noise, in visits with the flux errors
    /// `errors` (microjansky).
    pub fn peak_snr(&self, errors: &[f64]) -> f64 {
        let each = self.peak.iter().zip(errors);
        each.map(|(flux, error)| flux / error).fold(0.0, f64::max)
    }
}

/// A flare of height 1 at a time in units of its full width at half maximum (Davenport et al. 2014, ApJ 797,
/// 122, equations 1 and 4).
fn flare(t: f64) -> f64 {
    if !(-1.0..=FLARE_WIDTHS).contains(&t) {
        0.0
    } else if t < 0.0 {
        1.0 + t * (1.941 + t * (-0.175 + t * (-2.246 - 1.125 * t)))
    } else {
        0.6890 * libm::exp(-1.600 * t) + 0.3030 * libm::exp(-0.2783 * t)
    }
}

/// Fluxes in microjansky, by band, of a black body of an apparent AB magnitude in r.
pub fn thermal_fluxes(magnitude: f64, kelvin: f64, survey: &DemoSurvey) -> PerBand {
    let reference = thermal_fraction(REFERENCE_WAVELENGTH, kelvin);
    let flux = libm::exp10(-0.4 * (magnitude - 23.9));
    survey.per_band(|band| flux * thermal_fraction(band.wavelength, kelvin) / reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::surveys;

    fn plasticc(name: &str) -> (&'static DemoSurvey, &'static Population) {
        let survey = surveys::named(Some("plasticc_15")).unwrap();
        let mut all = survey.populations.iter();
        (survey, all.find(|p| p.name == name).unwrap())
    }

    #[test]
    fn periodic_stars_repeat_around_their_mean() {
        for name in ["92", "16", "53"] {
            let (survey, population) = plasticc(name);
            for source in 0..20 {
                let mut rng = Stream::new(11, &[source]);
                let star = PeriodicStar::draw(population, survey, &mut rng).unwrap();
                for band in 0..survey.bands.len() {
                    let day = |i: u32| star.period * f64::from(i) / 1_000.0;
                    let fluxes = (0..1_000).map(|i| star.flux(day(i), band, survey));
                    let mean = fluxes.clone().sum::<f64>() / 1_000.0;
                    let most = fluxes.fold(0.0, f64::max);
                    assert!(most > 0.0 && mean.abs() < 0.02 * star.flux[band], "{name}");
                    let later = star.flux(day(300) + 40.0 * star.period, band, survey);
                    let again = star.flux(day(300), band, survey);
                    assert!((later - again).abs() < 1e-9 * star.flux[band], "{name}");
                }
            }
        }
    }

    #[test]
    fn pulsations_have_their_amplitude_and_are_larger_in_blue() {
        let cycle = Cycle::Pulsation {
            amplitude: 0.8,
            rise: 0.15,
            colors: &RR_LYRAE_AMPLITUDES,
        };
        let range = |wavelength: f64| {
            let fluxes = (0..200).map(|i| cycle.at(f64::from(i) / 200.0, wavelength));
            let most = fluxes.clone().fold(0.0, f64::max);
            2.5 * libm::log10(most / fluxes.fold(f64::INFINITY, f64::min))
        };
        assert!((range(6_155.0) - 0.8).abs() < 0.01);
        assert!((range(4_704.0) - 1.12).abs() < 0.01);
        // It is brightest 15 % of a period after it was faintest.
        assert!(cycle.at(0.15, 6_155.0) > cycle.at(0.3, 6_155.0));
        assert!(cycle.at(0.0, 6_155.0) < cycle.at(0.9, 6_155.0));
    }

    #[test]
    fn mira_stars_are_slow_red_and_change_by_magnitudes() {
        let (survey, population) = plasticc("53");
        for source in 0..20 {
            let mut rng = Stream::new(2, &[source]);
            let star = PeriodicStar::draw(population, survey, &mut rng).unwrap();
            assert!((100.0..=502.0).contains(&star.period));
            assert!(star.flux[5] > 30.0 * star.flux[2]);
            let range = |wavelength| {
                let fluxes = (0..200).map(|i| star.cycle.at(f64::from(i) / 200.0, wavelength));
                let most = fluxes.clone().fold(0.0, f64::max);
                2.5 * libm::log10(most / fluxes.fold(f64::INFINITY, f64::min))
            };
            assert!(range(6_155.0) > 1.9 && range(10_056.0) < 0.45 * range(6_155.0));
        }
    }

    #[test]
    fn the_flare_template_joins_at_its_peak_and_ends() {
        assert!((flare(-1e-9) - 1.0).abs() < 1e-6 && (flare(0.0) - 0.992).abs() < 1e-12);
        assert!(flare(-1.0).abs() < 0.05 && flare(-1.01) == 0.0);
        // The full width at half maximum is the unit of time, to the accuracy of the fit.
        let above = (-1_000..2_000).filter(|i| flare(f64::from(*i) / 1_000.0) > 0.5);
        assert!((above.count() as f64 / 1_000.0 - 1.0).abs() < 0.1);
        assert!(flare(29.9) < 1e-3 && flare(30.1) == 0.0);
    }

    #[test]
    fn flares_are_blue_and_caught() {
        let (survey, population) = plasticc("65");
        let visits: Vec<Visit> = (0..50)
            .map(|day| Visit {
                day: f64::from(day),
                band: 0,
            })
            .collect();
        for source in 0..50 {
            let mut rng = Stream::new(11, &[source]);
            let star = FlareStar::draw(population, survey, &mut rng).unwrap();
            // An M dwarf itself is 50 times fainter in u than in r.
            assert!(star.peak[0] > 0.8 * star.peak[2] && star.peak[2] > star.peak[5]);
            let flares = star.flares(&visits, &mut rng);
            let seen = visits.iter().map(|v| star.flux(v.day, 2, &flares));
            assert!(seen.fold(0.0, f64::max) > 0.1 * star.peak[2]);
            assert_eq!(star.flux(-100.0, 2, &flares), 0.0);
            assert!(star.flares(&[], &mut rng).is_empty());
        }
    }
}
