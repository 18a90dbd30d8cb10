//! A simulated transient in place of an object that was really observed: at its times, in its bands, with its errors.

use super::NO_DIFFICULTY;
use super::survey::{DemoSurvey, Population, is_near_peak};
use super::surveys;
use super::transient::Transient;
use crate::numeric::rng::Stream;

/// The most transients that are drawn until one is detected.
const MOST: usize = 200;

/// The transients of one class, as one of the built-in surveys finds them.
#[derive(Clone, Copy, Debug)]
pub struct SyntheticSource {
    survey: &'static DemoSurvey,
    population: &'static Population,
}

/// How an object was observed: columns of equal length.
#[derive(Clone, Copy, Debug)]
pub struct TimesAndErrors<'a> {
    /// Days, in order.
    pub time: &'a [f64],
    /// Indices of bands.
    pub band: &'a [u16],
    /// The one-sigma errors of the fluxes in microjansky.
    pub flux_err: &'a [f64],
}

/// A transient as it would have been observed.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticEvent {
    /// Its redshift.
    pub redshift: f64,
    /// The flux of each observation in microjansky, with noise, and without the dust of the Milky Way.
    pub flux: Vec<f64>,
}

impl SyntheticSource {
    /// Returns the transients of a class: those of the first built-in survey that has transients of that name.
    pub fn named(class: &str) -> Option<Self> {
        Self::all().find(|source| source.population.name == class)
    }

    /// Returns the names of the classes that there are transients of, each once, in the order of the surveys.
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<&str> = Vec::new();
        for source in Self::all() {
            if !names.contains(&source.population.name) {
                names.push(source.population.name);
            }
        }
        names
    }

    fn all() -> impl Iterator<Item = Self> {
        let each = |survey: &'static DemoSurvey| {
            let populations = survey.populations.iter();
            populations.map(move |population| Self { survey, population })
        };
        let all = surveys::ALL.into_iter().flat_map(each);
        all.filter(|source| source.population.class.is_transient())
    }

    /// Draws transients until one is detected by the criteria of the survey: one point reaches its signal-to-noise
    /// ratio, and enough points near the peak reach that for these. The peak is at any time of the observations.
    /// Returns none if there are no points, or no transient could be detected. `wavelengths` are those of the bands,
    /// in angstrom.
    pub fn observe(
        &self,
        visits: TimesAndErrors<'_>,
        wavelengths: &[f64],
        rng: &mut Stream,
    ) -> Option<SyntheticEvent> {
        let (first, last) = (*visits.time.first()?, *visits.time.last()?);
        let difficulty = self.survey.unless_given.difficulty;
        for _ in 0..MOST {
            let z = self
                .population
                .redshift
                .draw(self.survey.labelled_reach, rng);
            let difficulty = difficulty.unwrap_or(NO_DIFFICULTY);
            let source = Transient::draw(self.population, difficulty, rng)?;
            let seen = source.at_redshift(z, wavelengths.to_vec());
            let peak = rng.uniform_in(first, last);
            let needed = &self.survey.detection;
            let (mut best, mut near) = (0.0f64, 0);
            let mut flux = Vec::with_capacity(visits.time.len());
            for ((time, band), error) in visits.time.iter().zip(visits.band).zip(visits.flux_err) {
                let rest = seen.rest_days(time - peak);
                let measured = seen.flux(rest, usize::from(*band)) + error * rng.normal();
                let snr = measured / error;
                best = best.max(snr);
                near += usize::from(is_near_peak(rest) && snr > needed.near_snr);
                flux.push(measured);
            }
            let numbers = flux.iter().all(|flux| flux.is_finite());
            if numbers && best > needed.snr && near >= needed.near_points {
                return Some(SyntheticEvent { redshift: z, flux });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hundred visits, three days apart, in six bands.
    fn visits() -> (Vec<f64>, Vec<u16>) {
        let time = (0..200).map(|i| 60_000.0 + 3.0 * f64::from(i)).collect();
        (time, (0..200).map(|i| i % 6).collect())
    }

    fn event(class: &str, errors: &[f64], draw: u64) -> Option<SyntheticEvent> {
        let (time, band) = visits();
        let visits = TimesAndErrors {
            time: &time,
            band: &band,
            flux_err: errors,
        };
        let source = SyntheticSource::named(class).expect("a class");
        source.observe(
            visits,
            &surveys::ALL[0].wavelengths(),
            &mut Stream::new(4, &[draw]),
        )
    }

    /// The number of events of a class that are bluer than equal fluxes in all bands.
    fn blue(class: &str) -> usize {
        let events = (0..60).map(|draw| event(class, &[0.3; 200], draw).expect("an event"));
        let blue = events.filter(|event| {
            // The sum over g, the second band, against that over z.
            let sum = |band: usize| event.flux.iter().skip(band).step_by(6).sum::<f64>();
            sum(1) > sum(4)
        });
        blue.count()
    }

    #[test]
    fn events_are_detected_and_look_like_the_class() {
        for draw in 0..60 {
            let event = event("TDE", &[0.3; 200], draw).expect("an event");
            assert!((0.02..=1.9).contains(&event.redshift));
            let best = event.flux.iter().copied().fold(0.0, f64::max);
            assert!(best > 8.5 * 0.3, "{best}");
        }
        assert_eq!(event("TDE", &[0.3; 200], 7), event("TDE", &[0.3; 200], 7));
        // Tidal disruption events are hot, supernovae of type Ia lack blue light.
        let (hot, red) = (blue("TDE"), blue("SN Ia"));
        assert!(hot > 25 && red < 5, "{hot} {red}");
    }

    #[test]
    fn what_cannot_be_seen_is_not_made() {
        assert_eq!(event("TDE", &[1e9; 200], 1), None);
        assert_eq!(event("TDE", &[f64::MAX; 200], 1), None);
        let source = SyntheticSource::named("TDE").expect("a class");
        let nothing = TimesAndErrors {
            time: &[],
            band: &[],
            flux_err: &[],
        };
        assert_eq!(
            source.observe(nothing, &[4_770.0], &mut Stream::new(1, &[])),
            None
        );
    }

    #[test]
    fn only_transients_have_names() {
        let names = SyntheticSource::names();
        assert!(
            names.contains(&"TDE") && names.contains(&"SN Ia"),
            "{names:?}"
        );
        assert!(!names.contains(&"AGN"), "{names:?}");
        assert!(
            names
                .iter()
                .all(|name| SyntheticSource::named(name).is_some())
        );
        assert!(SyntheticSource::named("AGN").is_none());
    }
}
