//! Stars that brighten because a mass passes before them: gravitational microlensing.
//!
//! A survey reports the difference to a reference image, which shows the star as it is without the lens.

use super::stars::thermal_fluxes;
use super::survey::{Class, DemoSurvey, PerBand, Population};
use crate::numeric::rng::Stream;

/// A star behind a lens.
#[derive(Clone, Debug)]
pub struct LensedStar {
    /// The flux of the star in microjansky, by band.
    flux: PerBand,
    /// How the lens passes each of its parts.
    passages: Vec<Passage>,
}

/// How a lens passes a source of light.
#[derive(Clone, Copy, Debug)]
struct Passage {
    /// The share of the light that comes from it.
    share: f64,
    /// Days in which the lens moves by its Einstein radius.
    crossing: f64,
    /// The least distance, in Einstein radii.
    nearest: f64,
    /// Days after the first passage at which that is.
    delay: f64,
}

/// The magnification of a point source at a distance `u` of the lens, in Einstein radii (Paczynski 1986, ApJ 304, 1,
/// equation 11).
fn magnification(u: f64) -> f64 {
    let square = u * u;
    (square + 2.0) / (u * (square + 4.0).sqrt())
}

impl Passage {
    /// The magnification on a day after the first passage.
    fn at(&self, day: f64) -> f64 {
        let along = (day - self.delay) / self.crossing;
        magnification((self.nearest * self.nearest + along * along).sqrt())
    }
}

impl LensedStar {
    /// Draws a star of the population; `None` if its class is another one.
    ///
    /// The time of the passage is log-normal around 32 days. A star with a companion has a second maximum: both stars
    /// are magnified, each as if it were alone (Griest and Hu 1992, ApJ 397, 362).
    pub fn draw(population: &Population, survey: &DemoSurvey, rng: &mut Stream) -> Option<Self> {
        let Class::Lensed { star, companion } = population.class else {
            return None;
        };
        let crossing = libm::exp10((1.5 + 0.35 * rng.normal()).clamp(0.7, 2.3));
        let ratio = if companion {
            libm::exp10(rng.uniform_in(-0.7, 0.0))
        } else {
            0.0
        };
        let mut passages = vec![Passage {
            share: 1.0 / (1.0 + ratio),
            crossing,
            nearest: rng.uniform_in(0.01, 1.0),
            delay: 0.0,
        }];
        if companion {
            let side = if rng.uniform() < 0.5 { -1.0 } else { 1.0 };
            passages.push(Passage {
                share: ratio / (1.0 + ratio),
                crossing,
                nearest: rng.uniform_in(0.01, 0.5),
                delay: side * crossing * rng.uniform_in(0.7, 2.5),
            });
        }
        let kelvin = libm::exp10(rng.uniform_in(3.60, 3.80));
        Some(Self {
            flux: thermal_fluxes(star.draw(rng), kelvin, survey),
            passages,
        })
    }

    /// Returns the flux above the reference in microjansky, `day` days after the first passage.
    pub fn flux(&self, day: f64, band: usize) -> f64 {
        let each = self.passages.iter();
        let added = each.map(|passage| passage.share * (passage.at(day) - 1.0));
        self.flux[band] * added.sum::<f64>()
    }

    /// Returns the highest signal-to-noise ratio in any band, without noise, in visits with the flux errors
    /// `errors` (microjansky).
    pub fn peak_snr(&self, errors: &[f64]) -> f64 {
        let peaks = self.passages.iter().map(|passage| passage.delay);
        let all = peaks.flat_map(|day| errors.iter().enumerate().map(move |at| (day, at)));
        all.map(|(day, (band, error))| self.flux(day, band) / error)
            .fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::surveys;

    #[test]
    fn magnifications_are_those_of_a_point_lens() {
        // 3 / sqrt(5) at one Einstein radius.
        assert!((magnification(1.0) - 1.341_640_786_5).abs() < 1e-9);
        assert!((magnification(0.1) - 10.037_461).abs() < 1e-5);
        assert!((magnification(50.0) - 1.0).abs() < 1e-6);
    }

    fn stars(companion: bool) -> impl Iterator<Item = LensedStar> {
        let survey = surveys::named(Some("plasticc_15")).unwrap();
        let wanted = move |p: &&Population| matches!(p.class, Class::Lensed { companion: c, .. } if c == companion);
        let population = survey.populations.iter().find(wanted).unwrap();
        (0..40).map(move |source| {
            let mut rng = Stream::new(5, &[source]);
            LensedStar::draw(population, survey, &mut rng).unwrap()
        })
    }

    #[test]
    fn a_star_brightens_once_alike_before_and_after_and_in_all_bands() {
        for star in stars(false) {
            let peak = star.flux(0.0, 2);
            assert!(peak > 0.3 * star.flux[2]);
            for day in [1.0, 10.0, 60.0] {
                let (before, after) = (star.flux(-day, 2), star.flux(day, 2));
                assert!((before - after).abs() < 1e-12 * peak && after < peak);
                let color = star.flux(day, 5) / star.flux(0.0, 5);
                assert!((color - after / peak).abs() < 1e-12);
            }
            assert!(star.flux(3_000.0, 2) < 0.01 * star.flux[2]);
            assert!(star.flux(3_000.0, 2) >= 0.0);
        }
    }

    #[test]
    fn a_companion_has_a_maximum_of_its_own() {
        let two = stars(true).filter(|star| {
            let days = (-4_000..4_000).map(|i| star.flux(f64::from(i) * 0.1, 2));
            let flux: Vec<f64> = days.collect();
            let maxima = flux.windows(3).filter(|w| w[1] > w[0] && w[1] > w[2]);
            maxima.count() == 2
        });
        assert!(two.count() > 25);
    }
}
