//! When a simulated survey observes an object: visits and seasons.

use super::survey::{Field, Nights};
use crate::numeric::rng::Stream;

pub const DAYS_PER_YEAR: f64 = 365.25;
/// The excess of proposed visits of a rolling cadence, which keeps the rates right after seasons are thinned.
const PROPOSED: f64 = 1.33;
/// The scatter of a regular cadence, in units of its period.
const JITTER: f64 = 0.2;

/// One visit: the day since the start of the survey and the band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visit {
    pub day: f64,
    pub band: u8,
}

/// The visits of one object in order of time, and the number of days that the survey lasted.
#[derive(Clone, Debug)]
pub struct Cadence {
    pub span: f64,
    pub visits: Vec<Visit>,
}

impl Cadence {
    /// Draws when a survey of `bands` bands visits an object of a field: the length of the survey, yearly
    /// seasons, and at most one visit a night and band.
    pub fn draw(field: &Field, bands: usize, rng: &mut Stream) -> Cadence {
        let years = &field.years;
        let years = (years.mean + years.scatter * rng.normal()).clamp(years.least, years.most);
        let mut nights = match &field.nights {
            Nights::Rolling { per_year, dense } => {
                rolling(field, years, &per_year[..bands], *dense, rng)
            }
            Nights::Regular { every, lost, used } => {
                regular(field, years, (*every, *lost), &used[..bands], rng)
            }
        };
        nights.sort_unstable();
        nights.dedup();
        let visits = nights
            .into_iter()
            .map(|(night, band)| Visit {
                day: f64::from(night) + 0.2 + 0.01 * f64::from(band),
                band,
            })
            .collect();
        Cadence {
            span: years * DAYS_PER_YEAR,
            visits,
        }
    }
}

/// Returns nights and bands of seasons of differing density.
fn rolling(
    field: &Field,
    years: f64,
    per_year: &[f64],
    dense: (f64, f64),
    rng: &mut Stream,
) -> Vec<(u32, u8)> {
    let dense = if rng.uniform() < dense.0 {
        dense.1
    } else {
        1.0
    };
    let density = libm::exp10(0.03 + 0.10 * rng.normal()) * dense;
    let phase = rng.uniform_in(0.0, DAYS_PER_YEAR);
    // A span of `years` with its phase touches at most this many seasons.
    let seasons = years as usize + 2;
    let kept: Vec<f64> = (0..seasons)
        .map(|_| (libm::exp(-0.18 + 0.6 * rng.normal()) / 2.2).min(1.0) * 1.6)
        .collect();
    let mut nights: Vec<(u32, u8)> = Vec::new();
    for (band, per_year) in (0..).zip(per_year) {
        let rate = per_year * density * PROPOSED * DAYS_PER_YEAR / field.season;
        for _ in 0..rng.poisson(rate * years) {
            let day = rng.uniform_in(0.0, years * DAYS_PER_YEAR);
            let keep = rng.uniform();
            let season = (day + phase) / DAYS_PER_YEAR;
            let chance = kept.get(season as usize).copied().unwrap_or(0.0);
            if in_season(season, field) && keep < chance {
                nights.push((day as u32, band));
            }
        }
    }
    nights
}

/// Returns nights and bands of a visit every `every` days, of which the share `lost` is lost.
fn regular(
    field: &Field,
    years: f64,
    (every, lost): (f64, f64),
    used: &[f64],
    rng: &mut Stream,
) -> Vec<(u32, u8)> {
    let span = years * DAYS_PER_YEAR;
    let phase = rng.uniform_in(0.0, DAYS_PER_YEAR);
    let mut planned = rng.uniform_in(0.0, every);
    let mut nights: Vec<(u32, u8)> = Vec::new();
    while planned < span {
        let day = (planned + JITTER * every * rng.normal()).clamp(0.0, span);
        let took_place = rng.uniform() >= lost;
        for (band, used) in (0..).zip(used) {
            let with = rng.uniform() < *used;
            if with && took_place && in_season((day + phase) / DAYS_PER_YEAR, field) {
                nights.push((day as u32, band));
            }
        }
        planned += every;
    }
    nights
}

/// Returns true if an object is up in the part of the year that follows the point of `years`.
fn in_season(years: f64, field: &Field) -> bool {
    (years - years.floor()) * DAYS_PER_YEAR < field.season
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::survey::DemoSurvey;
    use crate::simulation::surveys;

    /// The mean visits of an object by band, over draws of a field.
    fn mean_visits(survey: &DemoSurvey, field: &Field) -> Vec<f64> {
        let (draws, bands) = (400, survey.bands.len());
        let mut total = vec![0.0; bands];
        for object in 0..draws {
            let cadence = Cadence::draw(field, bands, &mut Stream::new(1, &[object]));
            let years = cadence.span / DAYS_PER_YEAR;
            assert!((field.years.least..=field.years.most).contains(&years));
            assert!(cadence.visits.windows(2).all(|w| w[0].day < w[1].day));
            for visit in &cadence.visits {
                assert!(visit.day >= 0.0 && visit.day < cadence.span + 1.0);
                total[usize::from(visit.band)] += 1.0;
            }
        }
        total.iter().map(|total| total / draws as f64).collect()
    }

    #[test]
    fn cadences_have_the_survey_s_shape() {
        // Mean visits of a MALLORN object, and nights with a visit of PLAsTiCC's training set in deep fields.
        let mallorn = [13.7, 16.2, 36.4, 36.3, 32.0, 23.1];
        let deep = [59.8, 53.8, 53.8, 53.8, 53.6, 53.1];
        for (name, field, real) in [("mallorn", 0, mallorn), ("plasticc", 1, deep)] {
            let survey = surveys::named(Some(name)).unwrap();
            let found = mean_visits(survey, &survey.fields[field]);
            for (mean, real) in found.into_iter().zip(real) {
                assert!((mean / real - 1.0).abs() < 0.2, "{mean} visits, not {real}");
            }
        }
    }

    #[test]
    fn every_field_has_visits_in_every_band() {
        for survey in surveys::ALL {
            for field in survey.fields {
                let least = mean_visits(survey, field)
                    .into_iter()
                    .fold(f64::MAX, f64::min);
                assert!(least > 5.0, "{}: {least}", survey.name);
            }
        }
    }
}
