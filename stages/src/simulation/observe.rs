//! One object of a simulated survey, observed.

use super::agn::Agn;
use super::cadence::{Cadence, Visit};
use super::catalogue::ObjectPlan;
use super::lensing::LensedStar;
use super::stars::{FlareStar, PeriodicStar};
use super::survey::{Class, DemoSurvey, Field, PhotoZ, Population, is_near_peak};
use super::transient::Transient;
use super::{DemoConfig, DemoError, stream};
use crate::numeric::rng::Stream;

/// The most sources tried at one redshift, sources tried in total, and observations tried of one
/// source.
const SOURCES_AT_REDSHIFT: u64 = 10;
const SOURCES: u64 = 2_000;
const OBSERVATIONS: u64 = 100;
/// How much larger a poor redshift's error is than another's.
const POOR: f64 = 10.0;

/// A simulated object: its catalogue row and its light curve, in order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoObject {
    /// An opaque and stable name.
    pub object_id: String,
    /// The true class, also of unlabelled objects. The caller has to hide it.
    pub class: &'static str,
    /// The physical source.
    pub group: u64,
    /// The split, equal for all copies of a source.
    pub split: String,
    /// The redshift: spectroscopic when labelled, else photometric, which may make it negative or missing.
    /// Objects in the Milky Way have a redshift of 0.
    pub redshift: Option<f64>,
    /// The standard error of photometric redshifts.
    pub redshift_err: Option<f64>,
    /// E(B-V) of the Milky Way's dust, which the fluxes contain.
    pub ebv: f64,
    /// Whether the class is given away.
    pub labelled: bool,
    /// Modified Julian Date of each observation.
    pub time: Vec<f64>,
    /// Index into the survey's bands of each observation.
    pub band: Vec<u8>,
    /// Flux of each observation, microjansky.
    pub flux: Vec<f64>,
    /// The one-sigma error of each flux.
    pub flux_err: Vec<f64>,
}

/// Simulates one object of [`catalogue`](super::catalogue()).
///
/// Sources that are too faint are redrawn, and so are observations that miss the source. The copies of
/// a source share the first source that can be seen. Fails with [`DemoError::Undetectable`] if there is
/// none.
pub fn simulate(config: &DemoConfig, plan: &ObjectPlan) -> Result<DemoObject, DemoError> {
    let survey = config.survey;
    let population = &survey.populations[plan.population];
    let reach = if plan.labelled {
        survey.labelled_reach
    } else {
        1.0
    };
    let scene = Scene {
        survey,
        field: &survey.fields[survey.field_of(plan, config.seed)],
        population,
    };
    for attempt in 0..SOURCES {
        let round = attempt / SOURCES_AT_REDSHIFT;
        let mut rng = Stream::new(config.seed, &[stream::REDSHIFT, plan.source, round]);
        let z = population.redshift.draw(reach, &mut rng);
        let mut rng = Stream::new(config.seed, &[stream::SOURCE, plan.source, attempt]);
        let Some(source) = scene.source(z, config.difficulty(), &mut rng) else {
            break;
        };
        if source.peak_snr(z, &scene) < survey.detection.snr {
            continue;
        }
        for observation in 0..OBSERVATIONS {
            let path = [
                stream::OBSERVATION,
                plan.source,
                plan.copy,
                attempt,
                observation,
            ];
            let mut rng = Stream::new(config.seed, &path);
            if let Some(object) = scene.observe(config, plan, (&source, z), &mut rng) {
                return Ok(object);
            }
        }
    }
    Err(DemoError::Undetectable {
        object_id: plan.object_id.clone(),
    })
}

/// A physical source.
enum SimulatedSource {
    Agn(Agn),
    Transient(Transient),
    Periodic(PeriodicStar),
    Flaring(FlareStar),
    Lensed(LensedStar),
}

/// Where sources are seen: by which survey, in which of its fields, and of which population.
struct Scene {
    survey: &'static DemoSurvey,
    field: &'static Field,
    population: &'static Population,
}

impl Scene {
    /// Draws a source of the population; none if no model draws its class.
    fn source(&self, z: f64, difficulty: f64, rng: &mut Stream) -> Option<SimulatedSource> {
        let (population, survey) = (self.population, self.survey);
        match &population.class {
            Class::Agn(magnitudes) => {
                let agn = Agn::draw(z, magnitudes, survey, rng);
                Some(SimulatedSource::Agn(agn))
            }
            Class::RrLyrae(_) | Class::Eclipsing(_) | Class::Mira(_) => {
                PeriodicStar::draw(population, survey, rng).map(SimulatedSource::Periodic)
            }
            Class::FlareStar(_) => {
                FlareStar::draw(population, survey, rng).map(SimulatedSource::Flaring)
            }
            Class::Lensed { .. } => {
                LensedStar::draw(population, survey, rng).map(SimulatedSource::Lensed)
            }
            _ => Transient::draw(population, difficulty, rng).map(SimulatedSource::Transient),
        }
    }

    /// Observes a source once; `None` if it is not detected.
    fn observe(
        &self,
        config: &DemoConfig,
        plan: &ObjectPlan,
        (source, source_z): (&SimulatedSource, f64),
        rng: &mut Stream,
    ) -> Option<DemoObject> {
        let z = source_z * rng.uniform_in(0.95, 1.05);
        let ebv = (0.01 + rng.exponential(0.045)).min(0.76);
        let cadence = Cadence::draw(self.field, self.survey.bands.len(), rng);
        let needed = &self.survey.detection;
        if cadence.visits.len() < needed.fewest_visits {
            return None;
        }
        let points = source.measure(self, (z, ebv), &cadence, rng);
        let transient = matches!(source, SimulatedSource::Transient(_));
        if points.best_snr <= needed.snr || (transient && points.near < needed.near_points) {
            return None;
        }
        let path = [stream::PHOTO_Z, plan.source, plan.copy];
        let mut rng = Stream::new(config.seed, &path);
        let (redshift, redshift_err) = if plan.labelled {
            (Some(z), None)
        } else if self.population.redshift.is_galactic() {
            (Some(z), Some(0.0))
        } else {
            self.survey.photo_z.draw(z, &mut rng)
        };
        let visits = cadence.visits.iter();
        Some(DemoObject {
            object_id: plan.object_id.clone(),
            class: plan.class,
            group: plan.source,
            split: plan.split.clone(),
            redshift,
            redshift_err,
            ebv,
            labelled: plan.labelled,
            time: visits
                .clone()
                .map(|v| self.field.first_night + v.day)
                .collect(),
            band: visits.map(|visit| visit.band).collect(),
            flux: points.flux,
            flux_err: points.flux_err,
        })
    }
}

impl PhotoZ {
    /// Draws the photometric redshift of an object at redshift `z`, and its error.
    fn draw(&self, z: f64, rng: &mut Stream) -> (Option<f64>, Option<f64>) {
        let deviate = rng.normal();
        let sigma = self.error * (1.0 + z);
        let sigma = if rng.uniform() < self.poor {
            POOR * sigma
        } else {
            sigma
        };
        if rng.uniform() < self.missing {
            return (None, None);
        }
        (Some(z + sigma * deviate), Some(sigma))
    }
}

impl SimulatedSource {
    /// What a survey measures in its visits, at redshift `z` and behind dust of E(B-V) `ebv`.
    fn measure(
        &self,
        scene: &Scene,
        (z, ebv): (f64, f64),
        cadence: &Cadence,
        rng: &mut Stream,
    ) -> Points {
        let Scene { survey, field, .. } = *scene;
        let transmitted = survey.per_band(|band| libm::exp10(-0.4 * band.extinction * ebv));
        let mut points = Points {
            near_snr: survey.detection.near_snr,
            ..Points::default()
        };
        let visits = &cadence.visits;
        let mut measure = |visit: &Visit, flux: f64, near_peak: bool, rng: &mut Stream| {
            let band = usize::from(visit.band);
            points.add(
                flux * transmitted[band],
                field.draw_error(band, rng),
                near_peak,
                rng,
            );
        };
        match self {
            SimulatedSource::Agn(agn) => {
                let window = agn.window(cadence.span, rng);
                for visit in visits {
                    let flux = window.flux(visit.day, usize::from(visit.band));
                    measure(visit, flux, false, rng);
                }
            }
            SimulatedSource::Transient(transient) => {
                let seen = transient.at_redshift(z, survey.wavelengths());
                let (after, before) = field.peak_within;
                let peak = rng.uniform_in(after, cadence.span - before);
                for visit in visits {
                    let rest = seen.rest_days(visit.day - peak);
                    let flux = seen.flux(rest, usize::from(visit.band));
                    measure(visit, flux, is_near_peak(rest), rng);
                }
            }
            SimulatedSource::Periodic(star) => {
                let start = star.start(rng);
                for visit in visits {
                    let flux = star.flux(start + visit.day, usize::from(visit.band), survey);
                    measure(visit, flux, false, rng);
                }
            }
            SimulatedSource::Flaring(star) => {
                let flares = star.flares(visits, rng);
                for visit in visits {
                    let flux = star.flux(visit.day, usize::from(visit.band), &flares);
                    measure(visit, flux, false, rng);
                }
            }
            SimulatedSource::Lensed(star) => {
                let (after, before) = field.peak_within;
                let peak = rng.uniform_in(after, cadence.span - before);
                for visit in visits {
                    let flux = star.flux(visit.day - peak, usize::from(visit.band));
                    measure(visit, flux, false, rng);
                }
            }
        }
        points
    }

    /// The highest signal-to-noise ratio to expect at redshift `z`, in visits of median depth.
    fn peak_snr(&self, z: f64, scene: &Scene) -> f64 {
        let survey = scene.survey;
        let errors = &scene.field.median_errors()[..survey.bands.len()];
        match self {
            SimulatedSource::Agn(agn) => agn.peak_snr(errors),
            SimulatedSource::Transient(source) => {
                let seen = source.at_redshift(z, survey.wavelengths());
                seen.peak_snr(errors)
            }
            SimulatedSource::Periodic(star) => star.peak_snr(survey, errors),
            SimulatedSource::Flaring(star) => star.peak_snr(errors),
            SimulatedSource::Lensed(star) => star.peak_snr(errors),
        }
    }
}

/// Measured points, with the counts that the detection criterion needs.
#[derive(Default)]
struct Points {
    flux: Vec<f64>,
    flux_err: Vec<f64>,
    best_snr: f64,
    /// Points near the peak at `near_snr` or better.
    near: usize,
    near_snr: f64,
}

impl Points {
    /// Adds one measurement of the true `flux`, both in microjansky.
    fn add(&mut self, flux: f64, error: f64, near_peak: bool, rng: &mut Stream) {
        let measured = flux + error * rng.normal();
        let snr = measured / error;
        self.best_snr = self.best_snr.max(snr);
        self.near += usize::from(near_peak && snr > self.near_snr);
        self.flux.push(measured);
        self.flux_err.push(error);
    }
}
