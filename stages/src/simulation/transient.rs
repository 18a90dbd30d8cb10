//! Transients: how bright and how hot the classes are, and how they fade.
//!
//! A transient is a thermal source of bolometric luminosity L(t) and temperature T(t). Shapes and
//! populations follow the literature that is named at each of them. Luminosities are set so that
//! detected objects match the MALLORN set in magnitude, color and decline.

use super::light::{host_extinction, thermal_fraction};
use super::survey::{Class, Population};
use crate::numeric::rng::Stream;
use crate::physics::cosmology::FlatLambdaCdm;

/// Centimetres in a megaparsec (IAU 2015 resolution B2).
const MEGAPARSEC: f64 = 3.085_677_581_491_367e24;
/// The shortest observed wavelength, in angstrom, at which supernovae of type Ia have a second maximum.
const SECOND_MAXIMUM_FROM: f64 = 7_000.0;
/// Microjansky in one erg/s/cm^2/Hz.
const MICRO_JANSKY: f64 = 1e29;

/// How the luminosity of a transient changes with the rest-frame day `t` since its peak or explosion.
#[derive(Clone, Debug)]
enum Shape {
    /// A Gaussian rise, then a power law or an exponential: tidal disruption events (van Velzen et al.
    /// 2021, ApJ 908, 4; Gezari 2021, ARA&A 59, 21).
    Disruption { rise: f64, decline: Decline },
    /// `exp(-t / fall) / (1 + exp(-t / rise))` (Bazin et al. 2009, A&A 499, 653), with a slow tail.
    Bazin { rise: f64, fall: f64, tail: f64 },
    /// A plateau of `slope` mag/day that ends at `end`, then a cobalt tail: hydrogen-rich supernovae
    /// (Villar et al. 2019, ApJ 884, 83; Anderson et al. 2014, ApJ 786, 67).
    Plateau { rise: f64, slope: f64, end: f64 },
}

#[derive(Clone, Debug)]
enum Decline {
    Power { scale: f64, index: f64 },
    Exponential { scale: f64 },
}

impl Shape {
    /// Bazin's function without a tail.
    fn bazin(rise: f64, fall: f64) -> Self {
        Self::Bazin {
            rise,
            fall,
            tail: 0.0,
        }
    }

    /// Luminosity in arbitrary units.
    fn at(&self, t: f64) -> f64 {
        let after = t.max(0.0);
        match self {
            Shape::Disruption { rise, .. } if t < 0.0 => libm::exp(-0.5 * (t / rise) * (t / rise)),
            Shape::Disruption { decline, .. } => match decline {
                Decline::Power { scale, index } => libm::pow(1.0 + after / scale, -index),
                Decline::Exponential { scale } => libm::exp(-after / scale),
            },
            Shape::Bazin { rise, fall, tail } => {
                let main = libm::exp(-t / fall) / (1.0 + libm::exp(-t / rise));
                // The tail sets in smoothly about 12 days after the peak and fades over 60.
                let slow =
                    libm::exp(-(t - 10.0).max(0.0) / 60.0) / (1.0 + libm::exp((12.0 - t) / 2.0));
                main + tail * slow
            }
            Shape::Plateau { rise, slope, end } => {
                let drop = 1.0 + libm::exp10(0.4 * ((t - end) / 6.0).clamp(-60.0, 60.0));
                let plateau =
                    libm::exp10(-0.4 * slope * after) / (1.0 + libm::exp(-t / rise)) / drop;
                let tail = if t > 0.0 {
                    0.06 * libm::exp10(-0.4 * 0.0098 * t)
                } else {
                    0.0
                };
                plateau + tail
            }
        }
    }

    /// The luminosity at the maximum, to which the others are relative. It is 1 by construction except
    /// for Bazin's function.
    fn peak(&self) -> f64 {
        match self {
            Shape::Bazin { .. } => (0..400)
                .map(|i| self.at(-60.0 + 0.5 * f64::from(i)))
                .fold(f64::MIN_POSITIVE, f64::max),
            Shape::Disruption { .. } | Shape::Plateau { .. } => 1.0,
        }
    }
}

/// How the temperature (K) changes with the rest-frame day since the peak.
#[derive(Clone, Debug)]
enum Temperature {
    /// `start + slope t`.
    Drift { start: f64, slope: f64 },
    /// Falls as `exp(-t / scale)` from `start` at the peak to `floor`; before the peak it falls by
    /// `early` K/day. The result is multiplied by `factor`.
    Fade {
        start: f64,
        scale: f64,
        floor: f64,
        early: f64,
        factor: f64,
    },
    /// `12,000 K (1 + t / 10 d)^-0.45`, not below 5,200 K.
    Recombination,
}

impl Temperature {
    fn fade(start: f64, scale: f64, floor: f64) -> Self {
        Self::Fade {
            start,
            scale,
            floor,
            early: 0.0,
            factor: 1.0,
        }
    }

    fn at(&self, t: f64) -> f64 {
        match *self {
            Temperature::Drift { start, slope } => {
                (start + slope * t.clamp(-50.0, 200.0)).clamp(1e4, 6e4)
            }
            Temperature::Fade {
                start,
                scale,
                floor,
                early,
                factor,
            } => {
                let kelvin = if t < 0.0 {
                    start - early * t
                } else {
                    (start * libm::exp(-t / scale)).max(floor)
                };
                (kelvin * factor).clamp(floor.min(4_000.0), 18_000.0)
            }
            Temperature::Recombination => {
                (12_000.0 * libm::pow(1.0 + t.max(0.0) / 10.0, -0.45)).max(5_200.0)
            }
        }
    }
}

/// A transient source: all its properties that do not depend on the observer or the time.
#[derive(Clone, Debug)]
pub struct Transient {
    shape: Shape,
    temperature: Temperature,
    /// Bolometric luminosity in erg/s per unit of `shape`.
    luminosity: f64,
    /// The factor by which time runs slower than in the class's mean.
    stretch: f64,
    /// The height of the second maximum in i, z and y (type Ia only).
    second_maximum: f64,
    /// E(B-V) of the host's dust.
    host_ebv: f64,
    blanketing: f64,
}

/// Luminosity (erg/s) at absolute magnitude `m`, when `log10` holds at `reference`.
fn luminosity(m: f64, reference: f64, log10: f64) -> f64 {
    libm::exp10(log10 - 0.4 * (m - reference))
}

/// The properties that are drawn for a transient by the rules of its class. The order of the draws is
/// part of the survey.
struct Drawn {
    shape: Shape,
    temperature: Temperature,
    /// Peak luminosity in erg/s.
    peak: f64,
    stretch: f64,
    second_maximum: f64,
}

impl Drawn {
    fn new(shape: Shape, temperature: Temperature, peak: f64) -> Self {
        Self {
            shape,
            temperature,
            peak,
            stretch: 1.0,
            second_maximum: 0.0,
        }
    }

    fn disruption(difficulty: f64, rng: &mut Stream) -> Self {
        let peak = libm::exp10((difficulty + 0.35 * rng.normal()).clamp(42.6, 44.8));
        let start = libm::exp10((4.12 + 0.16 * rng.normal()).clamp(3.9, 4.6));
        let rise = libm::exp10(rng.uniform_in(0.8, 1.6));
        let slope = 10.0 + 40.0 * rng.normal();
        let decline = if rng.uniform() < 0.6 {
            let index = (1.67 + 0.5 * rng.normal()).clamp(0.7, 3.0);
            let scale = libm::exp10(rng.uniform_in(1.2, 2.2));
            Decline::Power { scale, index }
        } else {
            Decline::Exponential {
                scale: libm::exp10(rng.uniform_in(1.2, 2.1)),
            }
        };
        let shape = Shape::Disruption { rise, decline };
        Self::new(shape, Temperature::Drift { start, slope }, peak)
    }

    /// Light-curve shape x1 and color c as in SALT2 (Guy et al. 2007, A&A 466, 11; Betoule et al. 2014,
    /// A&A 568, A22).
    fn type_ia(rng: &mut Stream) -> Self {
        let (x1, c) = (rng.normal(), 0.1 * rng.normal());
        let m = -19.75 - 0.14 * x1 + 3.1 * c + 0.1 * rng.normal();
        let temperature = Temperature::Fade {
            start: 13_000.0,
            scale: 28.0,
            floor: 5_000.0,
            early: 150.0,
            factor: 1.0 - 0.6 * c,
        };
        let shape = Shape::Bazin {
            rise: 4.2,
            fall: 19.0,
            tail: 0.10,
        };
        Self {
            stretch: (1.0 + 0.1 * x1).max(0.5),
            second_maximum: 0.56,
            ..Self::new(shape, temperature, luminosity(m, -19.3, 43.15))
        }
    }

    fn plateau(rng: &mut Stream) -> Self {
        let m = (-17.5 + 0.8 * rng.normal()).clamp(-19.2, -15.5);
        let end = (100.0 + 15.0 * rng.normal()).clamp(60.0, 140.0);
        let slope = (0.012 + 0.008 * rng.normal()).max(0.0);
        let rise = rng.uniform_in(2.0, 6.0);
        let shape = Shape::Plateau { rise, slope, end };
        let peak = luminosity(m, -16.8, 42.3);
        Self::new(shape, Temperature::Recombination, peak)
    }

    /// Faint, fast and without a second maximum (Foley et al. 2013, ApJ 767, 57).
    fn type_iax(rng: &mut Stream) -> Self {
        let m = (-17.6 + 1.0 * rng.normal()).clamp(-19.2, -14.5);
        let (rise, fall) = (rng.uniform_in(2.5, 4.0), rng.uniform_in(12.0, 20.0));
        let fade = Temperature::fade(11_000.0, 22.0, 4_500.0);
        Self::new(Shape::bazin(rise, fall), fade, luminosity(m, -19.3, 43.15))
    }

    /// Faint, red and fast, without a second maximum (Taubenberger 2017, Handbook of Supernovae, 317).
    fn like_1991bg(rng: &mut Stream) -> Self {
        let m = -17.6 + 0.5 * rng.normal();
        let (rise, fall) = (rng.uniform_in(2.8, 3.6), rng.uniform_in(12.0, 15.0));
        let fade = Temperature::fade(8_500.0, 25.0, 4_200.0);
        Self::new(Shape::bazin(rise, fall), fade, luminosity(m, -19.3, 43.15))
    }

    /// Kiewe et al. 2012, ApJ 744, 10.
    fn interacting(rng: &mut Stream) -> Self {
        let m = -19.9 + 0.8 * rng.normal();
        let (rise, fall) = (rng.uniform_in(5.0, 20.0), rng.uniform_in(40.0, 150.0));
        let fade = Temperature::fade(11_000.0, 150.0, 6_000.0);
        Self::new(Shape::bazin(rise, fall), fade, luminosity(m, -19.0, 43.1))
    }

    /// Drout et al. 2011, ApJ 741, 97.
    fn stripped(rng: &mut Stream) -> Self {
        let m = -18.4 + 0.7 * rng.normal();
        let (rise, fall) = (rng.uniform_in(3.0, 7.0), rng.uniform_in(15.0, 30.0));
        let fade = Temperature::fade(9_000.0, 25.0, 4_500.0);
        Self::new(Shape::bazin(rise, fall), fade, luminosity(m, -17.6, 42.5))
    }

    /// Nicholl et al. 2017, ApJ 850, 55.
    fn superluminous(rng: &mut Stream) -> Self {
        let m = -21.3 + 0.5 * rng.normal();
        let (rise, fall) = (rng.uniform_in(10.0, 25.0), rng.uniform_in(25.0, 70.0));
        // Bazin's function needs a rise faster than its fall to have a maximum.
        let rise = rise.min(0.4 * fall);
        let fade = Temperature::fade(14_000.0, 70.0, 6_000.0);
        Self::new(Shape::bazin(rise, fall), fade, luminosity(m, -21.3, 44.1))
    }

    /// Gone within days, and red soon (Kasen et al. 2017, Nature 551, 80; Villar et al. 2017, ApJ 851, L21).
    fn kilonova(rng: &mut Stream) -> Self {
        let peak = libm::exp10((41.7 + 0.3 * rng.normal()).clamp(40.8, 42.4));
        let fall = rng.uniform_in(1.0, 3.0);
        let fade = Temperature::fade(8_000.0, 3.0, 3_000.0);
        Self::new(Shape::bazin(0.3, fall), fade, peak)
    }

    /// Faint and fast (Kasliwal et al. 2012, ApJ 755, 161; Lunnan et al. 2017, ApJ 836, 60).
    fn calcium_rich(rng: &mut Stream) -> Self {
        let m = (-15.9 + 0.5 * rng.normal()).clamp(-17.0, -14.8);
        let (rise, fall) = (rng.uniform_in(2.0, 3.5), rng.uniform_in(8.0, 12.0));
        let fade = Temperature::fade(8_500.0, 18.0, 4_000.0);
        Self::new(Shape::bazin(rise, fall), fade, luminosity(m, -19.3, 43.15))
    }

    /// Luminous red novae and their like: faint plateaus that cool (Kasliwal 2012, PASA 29, 482).
    fn intermediate(rng: &mut Stream) -> Self {
        let m = (-13.0 + 0.8 * rng.normal()).clamp(-14.8, -11.0);
        let rise = rng.uniform_in(3.0, 8.0);
        let (slope, end) = (rng.uniform_in(0.0, 0.02), rng.uniform_in(50.0, 120.0));
        let fade = Temperature::fade(6_500.0, 80.0, 3_300.0);
        let shape = Shape::Plateau { rise, slope, end };
        Self::new(shape, fade, luminosity(m, -19.3, 43.15))
    }

    /// Bright and slow: they rise for months (Kasen, Woosley and Heger 2011, ApJ 734, 102).
    fn pair_instability(rng: &mut Stream) -> Self {
        let m = (-20.8 + 0.6 * rng.normal()).clamp(-22.0, -19.5);
        let (rise, scale) = (rng.uniform_in(25.0, 45.0), rng.uniform_in(60.0, 130.0));
        let decline = Decline::Exponential { scale };
        let shape = Shape::Disruption { rise, decline };
        let fade = Temperature::fade(10_000.0, 140.0, 5_000.0);
        Self::new(shape, fade, luminosity(m, -21.3, 44.1))
    }
}

impl Transient {
    /// Draws a source of the population; `None` if its class is not one of transients. `difficulty` is the mean of log10
    /// of a TDE's peak luminosity in erg/s.
    pub fn draw(population: &Population, difficulty: f64, rng: &mut Stream) -> Option<Transient> {
        let Drawn {
            shape,
            temperature,
            peak,
            stretch,
            second_maximum,
        } = match population.class {
            Class::Kilonova => Drawn::kilonova(rng),
            Class::CalciumRich => Drawn::calcium_rich(rng),
            Class::Ilot => Drawn::intermediate(rng),
            Class::PairInstability => Drawn::pair_instability(rng),
            Class::Tde => Drawn::disruption(difficulty, rng),
            Class::SnIa => Drawn::type_ia(rng),
            Class::SnIax => Drawn::type_iax(rng),
            Class::Sn91bg => Drawn::like_1991bg(rng),
            Class::SnIi => Drawn::plateau(rng),
            Class::SnIin => Drawn::interacting(rng),
            Class::SnIbc => Drawn::stripped(rng),
            Class::Slsn => Drawn::superluminous(rng),
            Class::Agn(_)
            | Class::RrLyrae(_)
            | Class::Eclipsing(_)
            | Class::FlareStar(_)
            | Class::Mira(_)
            | Class::Lensed { .. } => return None,
        };
        Some(Transient {
            luminosity: peak / shape.peak(),
            shape,
            temperature,
            stretch,
            second_maximum,
            host_ebv: rng.exponential(population.host_dust),
            blanketing: population.blanketing,
        })
    }

    /// The source as it is seen at redshift `z`, which is more than 0, in bands of these effective wavelengths
    /// (angstrom).
    pub fn at_redshift(&self, z: f64, wavelengths: Vec<f64>) -> Observed<'_> {
        let distance = FlatLambdaCdm::STANDARD.luminosity_distance(z) * MEGAPARSEC;
        let dilution =
            (1.0 + z) / (4.0 * std::f64::consts::PI * distance * distance) * MICRO_JANSKY;
        let factor = |&wavelength: &f64| {
            let rest = wavelength / (1.0 + z);
            let blanketed = if rest < self.blanketing {
                rest / self.blanketing
            } else {
                1.0
            };
            dilution * blanketed * libm::exp10(-0.4 * self.host_ebv * host_extinction(rest))
        };
        Observed {
            source: self,
            z,
            factor: wavelengths.iter().map(factor).collect(),
            wavelengths,
        }
    }
}

/// A transient at a redshift.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    source: &'a Transient,
    z: f64,
    /// The effective wavelengths of the bands in angstrom.
    wavelengths: Vec<f64>,
    /// Dilution by distance, line blanketing and host dust by band.
    factor: Vec<f64>,
}

impl Observed<'_> {
    /// Rest-frame days that correspond to `days` observed days.
    pub fn rest_days(&self, days: f64) -> f64 {
        days / (1.0 + self.z)
    }

    /// Flux density in microjansky in a band, `rest` rest-frame days after the peak; nothing is seen
    /// more than 150 days before it.
    pub fn flux(&self, rest: f64, band: usize) -> f64 {
        if rest < -150.0 {
            return 0.0;
        }
        let source = self.source;
        let t = rest / source.stretch;
        let kelvin = source.temperature.at(t);
        let observed = self.wavelengths[band];
        let wavelength = observed / (1.0 + self.z);
        let flux = source.luminosity
            * source.shape.at(t)
            * thermal_fraction(wavelength, kelvin)
            * self.factor[band];
        if observed < SECOND_MAXIMUM_FROM || source.second_maximum == 0.0 {
            return flux;
        }
        let u = (t - 27.0) / 8.0;
        flux * (1.0 + source.second_maximum * libm::exp(-0.5 * u * u))
    }

    /// The highest signal-to-noise ratio in any band, without noise, in visits with the flux errors `errors`
    /// (microjansky).
    pub fn peak_snr(&self, errors: &[f64]) -> f64 {
        let mut best = 0.0f64;
        for step in 0..24 {
            let rest = -20.0 + 5.0 * f64::from(step);
            for (band, error) in errors.iter().enumerate() {
                best = best.max(self.flux(rest, band) / error);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::surveys;

    #[test]
    fn shapes_peak_near_day_zero_and_fade() {
        let all = surveys::ALL.into_iter();
        let all = all.flat_map(|survey| survey.populations.iter().map(move |p| (survey, p)));
        let mut transients = 0;
        for (survey, population) in all {
            for source in 0..50 {
                let mut rng = Stream::new(3, &[source]);
                let Some(transient) = Transient::draw(population, 43.45, &mut rng) else {
                    continue;
                };
                transients += 1;
                let seen = transient.at_redshift(0.3, survey.wavelengths());
                let peak = (-40..120)
                    .map(|day| seen.flux(f64::from(day), 2))
                    .fold(0.0, f64::max);
                let (early, late) = (seen.flux(-149.0, 2), seen.flux(1_500.0, 2));
                let name = population.name;
                assert!(peak.is_finite() && peak > 0.0, "{name}");
                assert!(early < 0.05 * peak, "{name}: {early} of {peak}");
                assert!(late < 0.25 * peak, "{name}: {late} of {peak}");
                assert_eq!(seen.flux(-150.1, 2), 0.0);
            }
        }
        // 6 classes of MALLORN, 3 of SPCC, 7 of PLAsTiCC, 4 more with all its classes, and 5 of ZTF.
        assert_eq!(transients, 50 * (6 + 3 + 7 + (7 + 4) + 5));
    }
}
