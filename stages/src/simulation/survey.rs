//! What describes a survey that can be simulated: its bands, when and how deep it looks, and the classes that
//! it finds. The surveys themselves are data, one file each in `surveys/`.

use crate::numeric::rng::Stream;

/// The most bands that a survey may have.
pub const MOST_BANDS: usize = 6;

/// A number for each band of a survey, in the order of its bands. Places beyond its bands are not read.
pub type PerBand = [f64; MOST_BANDS];

/// A survey that can be simulated.
#[derive(Debug, PartialEq)]
pub struct DemoSurvey {
    /// The word by which a pipeline chooses it.
    pub name: &'static str,
    /// Its bands, from blue to red.
    pub bands: &'static [DemoBand],
    /// The kinds of fields that it observes.
    pub fields: &'static [Field],
    /// The classes that it finds. How many objects of the first one there are can be chosen. Several populations may be
    /// of one class.
    pub populations: &'static [Population],
    /// What counts as detected.
    pub detection: Detection,
    /// The redshifts of objects without a label.
    pub photo_z: PhotoZ,
    /// The factor by which the median redshift of labelled objects is smaller than that of the others,
    /// because spectra are taken of bright objects.
    pub labelled_reach: f64,
    /// What is simulated unless the pipeline says otherwise.
    pub unless_given: UnlessGiven,
}

/// A band.
#[derive(Debug, PartialEq)]
pub struct DemoBand {
    /// Its name.
    pub name: &'static str,
    /// Its effective wavelength in angstrom.
    pub wavelength: f64,
    /// A_lambda / E(B-V) at that wavelength for R_V = 3.1 (Fitzpatrick 1999, PASP 111, 63).
    pub extinction: f64,
}

/// A relative frequency, which may differ between objects with and without a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Among labelled objects.
    pub labelled: f64,
    /// Among unlabelled objects.
    pub unlabelled: f64,
}

impl Share {
    /// The same frequency among both.
    pub const fn both(share: f64) -> Share {
        Share {
            labelled: share,
            unlabelled: share,
        }
    }

    /// Returns the frequency among objects with or without a label.
    pub fn of(&self, labelled: bool) -> f64 {
        if labelled {
            self.labelled
        } else {
            self.unlabelled
        }
    }
}

/// A kind of field: the share of the objects that lie in such fields, and how the survey observes them.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// The share of the objects.
    pub share: Share,
    /// The Modified Julian Date of the first possible night.
    pub first_night: f64,
    /// How many years the survey lasts.
    pub years: Years,
    /// The number of days in a year on which an object is up at night.
    pub season: f64,
    /// Which of these nights are used.
    pub nights: Nights,
    /// Days after the start and before the end of the survey between which transients peak.
    pub peak_within: (f64, f64),
    /// Median 5-sigma depth of a visit in AB magnitudes, by band.
    pub depth: PerBand,
    /// The scatter of the depth between visits, in magnitudes.
    pub depth_scatter: PerBand,
}

/// A normal distribution of years within limits.
#[derive(Debug, PartialEq)]
pub struct Years {
    pub mean: f64,
    pub scatter: f64,
    pub least: f64,
    pub most: f64,
}

/// How a survey chooses nights.
#[derive(Debug, PartialEq)]
pub enum Nights {
    /// Nights at random, more in some seasons than in others (a rolling cadence).
    Rolling {
        /// Visits per year, by band, on average over objects.
        per_year: PerBand,
        /// The share of the objects that get more visits, and how many times more.
        dense: (f64, f64),
    },
    /// A visit every few nights, unless the weather forbids it.
    Regular {
        /// Days from visit to visit.
        every: f64,
        /// The share of visits that are lost.
        lost: f64,
        /// The share of visits in which a band is used, by band.
        used: PerBand,
    },
}

/// What counts as detected: one point reaches `snr`, there are enough visits and, for transients,
/// `near_points` points reach `near_snr` within 45 days of ten days after the peak (rest frame).
#[derive(Debug, PartialEq)]
pub struct Detection {
    pub snr: f64,
    pub near_snr: f64,
    pub near_points: usize,
    /// The fewest visits of an object.
    pub fewest_visits: usize,
}

/// Returns true if a time, in rest-frame days after the peak, is near it as far as detection is concerned.
pub fn is_near_peak(rest: f64) -> bool {
    (rest - 10.0).abs() < 45.0
}

/// The photometric redshifts of unlabelled objects. Objects in the Milky Way have a redshift of 0.
#[derive(Debug, PartialEq)]
pub struct PhotoZ {
    /// The standard error of most, in units of `1 + z`.
    pub error: f64,
    /// The share of those whose error is ten times larger.
    pub poor: f64,
    /// The share of objects without a redshift.
    pub missing: f64,
}

/// What is simulated unless the pipeline says otherwise.
#[derive(Debug, PartialEq)]
pub struct UnlessGiven {
    /// The first class is the positive one. Otherwise there is none, and all classes are scored.
    pub positive: bool,
    /// The number of labelled objects of the first class; their share of the labelled objects if none.
    pub positives: Option<usize>,
    /// How often each physical source is observed.
    pub copies: usize,
    /// The mean of log10 of a TDE's peak luminosity in erg/s. None if the survey has no TDE.
    pub difficulty: Option<f64>,
}

/// A distribution of apparent AB magnitudes in r: normal within limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Magnitudes {
    pub mean: f64,
    pub scatter: f64,
    pub brightest: f64,
    pub faintest: f64,
}

impl Magnitudes {
    /// Draws a magnitude.
    pub fn draw(&self, rng: &mut Stream) -> f64 {
        (self.mean + self.scatter * rng.normal()).clamp(self.brightest, self.faintest)
    }
}

/// The physics of a class. Sources whose brightness does not follow from a luminosity have their apparent
/// magnitudes with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    Tde,
    Agn(Magnitudes),
    SnIa,
    SnIax,
    Sn91bg,
    SnIi,
    SnIin,
    SnIbc,
    Slsn,
    RrLyrae(Magnitudes),
    Eclipsing(Magnitudes),
    /// The magnitudes are those of the flares at their peak.
    FlareStar(Magnitudes),
    Mira(Magnitudes),
    /// A star behind a lens, with or without a companion. The magnitudes are those of the star without the lens.
    Lensed {
        star: Magnitudes,
        companion: bool,
    },
    Kilonova,
    CalciumRich,
    /// Intermediate luminosity optical transients.
    Ilot,
    PairInstability,
}

impl Class {
    /// Returns true if its sources are explosions, which appear once and fade.
    pub fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::Agn(_)
                | Self::RrLyrae(_)
                | Self::Eclipsing(_)
                | Self::FlareStar(_)
                | Self::Mira(_)
                | Self::Lensed { .. }
        )
    }
}

/// The population of a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// Its physics.
    pub class: Class,
    /// The survey's name for it.
    pub name: &'static str,
    /// The relative frequency among the classes of the survey.
    pub share: Share,
    /// How far its sources are.
    pub redshift: Redshifts,
    /// The mean E(B-V) of the dust in the host galaxy.
    pub host_dust: f64,
    /// Rest wavelength in angstrom below which flux falls in proportion to the wavelength (line
    /// blanketing); 0 for none.
    pub blanketing: f64,
}

/// A log-normal distribution of redshifts within limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Redshifts {
    pub median: f64,
    /// The standard deviation of the natural logarithm.
    pub scatter: f64,
    pub nearest: f64,
    pub farthest: f64,
}

impl Redshifts {
    /// Sources in the Milky Way.
    pub const GALACTIC: Redshifts = Redshifts {
        median: 0.0,
        scatter: 0.0,
        nearest: 0.0,
        farthest: 0.0,
    };

    /// Draws a redshift, with the median times `reach`.
    pub fn draw(&self, reach: f64, rng: &mut Stream) -> f64 {
        let z = self.median * reach * libm::exp(self.scatter * rng.normal());
        z.clamp(self.nearest, self.farthest)
    }

    /// Returns true if the sources are in the Milky Way.
    pub fn is_galactic(&self) -> bool {
        self.farthest == 0.0
    }
}

impl DemoSurvey {
    /// Computes a number for each band.
    pub fn per_band(&self, mut number: impl FnMut(&DemoBand) -> f64) -> PerBand {
        let mut numbers = [0.0; MOST_BANDS];
        for (to, band) in numbers.iter_mut().zip(self.bands) {
            *to = number(band);
        }
        numbers
    }

    /// Returns the effective wavelengths of the bands in angstrom.
    pub fn wavelengths(&self) -> Vec<f64> {
        self.bands.iter().map(|band| band.wavelength).collect()
    }

    /// Returns the name of the first class, which is the positive one in most surveys.
    pub fn first_class(&self) -> &'static str {
        self.populations[0].name
    }

    /// Returns the positive class's name, unless all classes are scored.
    pub fn positive(&self) -> Option<&'static str> {
        self.unless_given.positive.then(|| self.first_class())
    }

    /// Returns the share of the first class among objects with or without a label.
    pub fn first_share(&self, labelled: bool) -> f64 {
        let share = |population: &Population| population.share.of(labelled);
        share(&self.populations[0]) / self.populations.iter().map(share).sum::<f64>()
    }
}

/// One-sigma flux error in microjansky of a visit whose 5-sigma depth is `magnitude` (AB).
pub fn error_at(magnitude: f64) -> f64 {
    0.2 * libm::exp10(-0.4 * (magnitude - 23.9))
}

impl Field {
    /// Returns the flux error in microjansky of a visit of median depth, by band.
    pub fn median_errors(&self) -> PerBand {
        self.depth.map(error_at)
    }

    /// Draws the flux error in microjansky of one visit.
    pub fn draw_error(&self, band: usize, rng: &mut Stream) -> f64 {
        error_at(self.depth[band] + self.depth_scatter[band] * rng.normal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::surveys;

    #[test]
    fn errors_follow_the_depth() {
        assert!((error_at(23.9) - 0.2).abs() < 1e-15);
        assert!((error_at(21.4) - 2.0).abs() < 1e-14);
        // Median errors of MALLORN, microjansky.
        let real = [0.331, 0.118, 0.17, 0.275, 0.469, 1.125];
        let found = surveys::ALL[0].fields[0].median_errors();
        for (found, real) in found.into_iter().zip(real) {
            assert!((found / real - 1.0).abs() < 0.05, "{found}, not {real}");
        }
    }

    #[test]
    fn galactic_sources_have_no_redshift() {
        let mut rng = Stream::new(1, &[]);
        assert!(Redshifts::GALACTIC.is_galactic());
        assert_eq!(Redshifts::GALACTIC.draw(0.7, &mut rng), 0.0);
        let far = Redshifts {
            median: 0.5,
            scatter: 0.3,
            nearest: 0.1,
            farthest: 0.9,
        };
        let drawn: Vec<f64> = (0..1_000).map(|_| far.draw(0.8, &mut rng)).collect();
        assert!(drawn.iter().all(|z| (0.1..=0.9).contains(z)));
        let nearer = drawn.iter().filter(|z| **z < 0.4).count();
        assert!((450..550).contains(&nearer), "{nearer}");
    }
}
