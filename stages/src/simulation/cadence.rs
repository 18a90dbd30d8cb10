//! When a simulated survey observes an object and how deep: visits, seasons and noise.
//!
//! The rates and depths are fitted to the counts and flux errors of the MALLORN set, which follows the
//! wide-fast-deep survey of the Rubin Observatory (Ivezic et al. 2019, ApJ 873, 111).

use super::BANDS;
use crate::numeric::rng::Stream;

const DAYS_PER_YEAR: f64 = 365.25;
/// The number of days in a year on which the object is up at night.
const SEASON: f64 = 215.0;
/// The MJD of the first possible night.
const FIRST_NIGHT: f64 = 60_980.0;
/// Visits per year and band, ugrizy, on average over objects.
const VISITS: [f64; BANDS] = [2.3, 2.75, 6.15, 6.15, 5.4, 3.9];
/// Median 5-sigma depth of a visit in AB magnitudes, ugrizy, and its scatter between visits.
const DEPTH: [f64; BANDS] = [23.35, 24.47, 24.08, 23.55, 22.97, 22.02];
const DEPTH_SCATTER: [f64; BANDS] = [0.37, 0.46, 0.43, 0.43, 0.37, 0.35];
/// The excess of proposed visits, which keeps the rates right after seasons are thinned.
const PROPOSED: f64 = 1.33;

/// One visit: the day since the start of the survey and the band as an index into ugrizy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visit {
    pub day: f64,
    pub band: u8,
}

impl Visit {
    /// The Modified Julian Date.
    pub fn mjd(&self) -> f64 {
        FIRST_NIGHT + self.day
    }
}

/// The visits of one object in order of time, and the number of days that the survey lasted.
#[derive(Clone, Debug)]
pub struct Cadence {
    pub span: f64,
    pub visits: Vec<Visit>,
}

impl Cadence {
    /// Draws a cadence: a survey of two to nine years, yearly seasons of differing density (a rolling
    /// cadence), one object in 67 in a deep-drilling field, and at most one visit a night and band.
    pub fn draw(rng: &mut Stream) -> Cadence {
        let years = (5.9 + 1.3 * rng.normal()).clamp(2.0, 9.0);
        let span = years * DAYS_PER_YEAR;
        let deep = if rng.uniform() < 0.015 { 4.0 } else { 1.0 };
        let density = libm::exp10(0.03 + 0.10 * rng.normal()) * deep;
        let phase = rng.uniform_in(0.0, DAYS_PER_YEAR);
        // A span of `years` with its phase touches at most this many seasons.
        let seasons = years as usize + 2;
        let kept: Vec<f64> = (0..seasons)
            .map(|_| (libm::exp(-0.18 + 0.6 * rng.normal()) / 2.2).min(1.0) * 1.6)
            .collect();
        let mut nights: Vec<(u32, u8)> = Vec::new();
        for band in 0..BANDS as u8 {
            let rate = VISITS[usize::from(band)] * density * PROPOSED * DAYS_PER_YEAR / SEASON;
            for _ in 0..rng.poisson(rate * years) {
                let day = rng.uniform_in(0.0, span);
                let keep = rng.uniform();
                let season = (day + phase) / DAYS_PER_YEAR;
                let in_season = (season - season.floor()) * DAYS_PER_YEAR < SEASON;
                let chance = kept.get(season as usize).copied().unwrap_or(0.0);
                if in_season && keep < chance {
                    nights.push((day as u32, band));
                }
            }
        }
        nights.sort_unstable();
        nights.dedup();
        let visits = nights
            .into_iter()
            .map(|(night, band)| Visit {
                day: f64::from(night) + 0.2 + 0.01 * f64::from(band),
                band,
            })
            .collect();
        Cadence { span, visits }
    }
}

/// One-sigma flux error in micro-Jansky of a visit whose 5-sigma depth is `magnitude` (AB).
fn error_at(magnitude: f64) -> f64 {
    0.2 * libm::exp10(-0.4 * (magnitude - 23.9))
}

/// The flux error in micro-Jansky of a visit of median depth.
pub fn median_error(band: usize) -> f64 {
    error_at(DEPTH[band])
}

/// Draws the flux error in micro-Jansky of one visit.
pub fn draw_error(band: usize, rng: &mut Stream) -> f64 {
    error_at(DEPTH[band] + DEPTH_SCATTER[band] * rng.normal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cadences_have_the_survey_s_shape() {
        let draws = 400;
        let mut total = [0usize; BANDS];
        for object in 0..draws {
            let cadence = Cadence::draw(&mut Stream::new(1, &[object]));
            assert!((2.0..=9.0).contains(&(cadence.span / DAYS_PER_YEAR)));
            assert!(cadence.visits.windows(2).all(|w| w[0].day < w[1].day));
            for visit in &cadence.visits {
                assert!(visit.day >= 0.0 && visit.day < cadence.span + 1.0);
                total[usize::from(visit.band)] += 1;
            }
        }
        // Mean visits of a MALLORN object.
        let real = [13.7, 16.2, 36.4, 36.3, 32.0, 23.1];
        for (total, real) in total.iter().zip(real) {
            let mean = *total as f64 / draws as f64;
            assert!((mean / real - 1.0).abs() < 0.2, "{mean} visits, not {real}");
        }
    }

    #[test]
    fn errors_follow_the_depth() {
        assert!((error_at(23.9) - 0.2).abs() < 1e-15);
        assert!((error_at(21.4) - 2.0).abs() < 1e-14);
        // Median errors of MALLORN, micro-Jansky.
        let real = [0.331, 0.118, 0.17, 0.275, 0.469, 1.125];
        for (band, real) in real.into_iter().enumerate() {
            assert!((median_error(band) / real - 1.0).abs() < 0.05, "{band}");
        }
    }
}
