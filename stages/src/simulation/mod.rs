//! A built-in survey: simulated light curves shaped like the MALLORN challenge's.
//!
//! - this file: the catalogue, and one object observed; begin with [`simulate`];
//! - `model`: the classes of transients; `agn`: active galactic nuclei; `light`: thermal light and host dust;
//! - `cadence`: when the survey looks, and how deep.
//!
//! As in MALLORN, every physical source is observed several times under different names, and those
//! copies share a split. A model that is evaluated with copies scattered over folds is only tested on
//! its memory. Objects are pure functions of the seed and their own indices, so any subset can be made
//! in any order.
//!
//! Fluxes are micro-Jansky (AB magnitude `23.9 - 2.5 log10 F`) above a reference image, with the dust
//! of the Milky Way left in; errors follow the depth of each visit. No table is written here.

mod agn;
mod cadence;
mod light;
mod model;

use crate::numeric::rng::Stream;
use agn::Agn;
use cadence::{Cadence, draw_error};
use model::{POPULATIONS, Population, Transient};

/// The number of bands, ugrizy.
pub const BANDS: usize = 6;
/// Effective wavelengths of the LSST bands in Angstrom (SVO Filter Profile Service).
pub const EFFECTIVE_WAVELENGTH: [f64; BANDS] =
    [3_641.0, 4_704.0, 6_155.0, 7_504.0, 8_695.0, 10_056.0];
/// A_lambda / E(B-V) at those wavelengths for R_V = 3.1 (Fitzpatrick 1999, PASP 111, 63).
const EXTINCTION: [f64; BANDS] = [4.74838, 3.77205, 2.59202, 1.90752, 1.48890, 1.15699];

/// The number of splits over which sources are dealt.
const SPLITS: u64 = 20;
/// An object counts as detected if one point reaches this signal-to-noise ratio, and, for transients,
/// `NEAR_PEAK` points reach `NEAR_SNR` within 45 days of ten days after the peak (rest frame).
const DETECTION_SNR: f64 = 8.5;
const NEAR_SNR: f64 = 4.0;
const NEAR_PEAK: usize = 4;
/// The fewest visits of an object.
const FEWEST_VISITS: usize = 17;
/// The most sources tried at one redshift, sources tried in total, and observations tried of one
/// source.
const SOURCES_AT_REDSHIFT: u64 = 10;
const SOURCES: u64 = 2_000;
const OBSERVATIONS: u64 = 100;

/// First words of the random streams' paths: one for each use, so that no two uses share draws.
mod stream {
    pub const CLASSES: u64 = 0;
    pub const NAMES: u64 = 1;
    pub const REDSHIFT: u64 = 2;
    pub const SOURCE: u64 = 3;
    pub const OBSERVATION: u64 = 4;
    pub const PHOTO_Z: u64 = 5;
}

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoConfig {
    /// The number of labelled objects.
    pub objects: usize,
    /// The number of TDE among them.
    pub positives: usize,
    /// The number of further objects without a label and with a photometric redshift. The same share is
    /// TDE.
    pub unlabelled: usize,
    /// The number of observations of each physical source.
    pub copies: usize,
    /// The seed of all draws.
    pub seed: u64,
    /// The mean of log10 of a TDE's peak luminosity in erg/s, within 42.6..=44.8. Fainter is harder.
    pub difficulty: f64,
}

impl Default for DemoConfig {
    /// MALLORN's training set: 3,043 objects, 148 of them TDE, three copies of each source.
    fn default() -> DemoConfig {
        DemoConfig {
            objects: 3_043,
            positives: 148,
            unlabelled: 0,
            copies: 3,
            seed: 42,
            difficulty: 43.45,
        }
    }
}

/// The reason why a demo set cannot be made.
#[derive(Clone, Debug, PartialEq)]
pub enum DemoError {
    /// There are more positives than objects.
    TooManyPositives {
        /// The number of positives asked for.
        positives: usize,
        /// The number of labelled objects asked for.
        objects: usize,
    },
    /// `copies` is zero.
    NoCopies,
    /// The difficulty is not a number within 42.6..=44.8.
    Difficulty(f64),
    /// No draw of this object's source could be detected.
    Undetectable {
        /// The object.
        object_id: String,
    },
}

impl std::fmt::Display for DemoError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DemoError::TooManyPositives { positives, objects } => write!(
                f,
                "{positives} positives do not fit into {objects} labelled objects"
            ),
            DemoError::NoCopies => write!(f, "`copies` must be at least 1"),
            DemoError::Difficulty(found) => {
                write!(f, "`difficulty` must lie within 42.6 and 44.8, not {found}")
            }
            DemoError::Undetectable { object_id } => write!(
                f,
                "no simulated source of object {object_id} could be detected"
            ),
        }
    }
}

impl DemoError {
    /// What to set instead, as a line of the stage.
    pub fn remedy(&self) -> String {
        match self {
            DemoError::TooManyPositives { positives, .. } => format!("labelled = {positives}"),
            DemoError::NoCopies => "copies = 1".into(),
            DemoError::Difficulty(found) if *found < 43.0 => "difficulty = 42.6".into(),
            DemoError::Difficulty(_) | DemoError::Undetectable { .. } => "difficulty = 44.8".into(),
        }
    }
}

impl std::error::Error for DemoError {}

/// A row of the catalogue: cheap to list, and enough to simulate one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPlan {
    /// An opaque and stable name, such as `demo_00042`. Numbers are dealt at random.
    pub object_id: String,
    /// MALLORN's name of the class.
    pub class: &'static str,
    /// The physical source, equal for all copies of it.
    pub source: u64,
    /// Which observation of the source this is.
    pub copy: u64,
    /// `split_01` to `split_20`, equal for all copies of a source.
    pub split: String,
    /// Whether the class is given away.
    pub labelled: bool,
    /// Index into `POPULATIONS`.
    population: usize,
}

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
    /// The redshift: spectroscopic when labelled, else photometric with a scatter of `0.02 (1 + z)`,
    /// which may make it negative.
    pub redshift: f64,
    /// `0.02 (1 + z)` for photometric redshifts.
    pub redshift_err: Option<f64>,
    /// E(B-V) of the Milky Way's dust, which the fluxes contain.
    pub ebv: f64,
    /// Whether the class is given away.
    pub labelled: bool,
    /// Modified Julian Date of each observation.
    pub time: Vec<f64>,
    /// Index into ugrizy of each observation.
    pub band: Vec<u8>,
    /// Flux of each observation, micro-Jansky.
    pub flux: Vec<f64>,
    /// The one-sigma error of each flux.
    pub flux_err: Vec<f64>,
}

/// Lists every object of the demo set in order of `object_id`, the labelled ones first. The labelled part does
/// not depend on how many unlabelled objects there are.
pub fn catalogue(config: &DemoConfig) -> Result<Vec<ObjectPlan>, DemoError> {
    if config.positives > config.objects {
        return Err(DemoError::TooManyPositives {
            positives: config.positives,
            objects: config.objects,
        });
    }
    if config.copies == 0 {
        return Err(DemoError::NoCopies);
    }
    if !(42.6..=44.8).contains(&config.difficulty) {
        return Err(DemoError::Difficulty(config.difficulty));
    }
    let shown = CataloguePart {
        objects: config.objects,
        positives: config.positives,
        labelled: true,
        first_source: 0,
        first_name: 0,
    };
    let mut plans = shown.plan(config);
    let next = plans.iter().map(|plan| plan.source + 1).max().unwrap_or(0);
    let share = config.positives as f64 / config.objects.max(1) as f64;
    let hidden = CataloguePart {
        objects: config.unlabelled,
        positives: (share * config.unlabelled as f64).round() as usize,
        labelled: false,
        first_source: next,
        first_name: config.objects,
    };
    plans.extend(hidden.plan(config));
    Ok(plans)
}

/// The labelled or the unlabelled part of the catalogue.
struct CataloguePart {
    objects: usize,
    /// How many of these objects are TDE.
    positives: usize,
    labelled: bool,
    first_source: u64,
    first_name: usize,
}

impl CataloguePart {
    fn plan(&self, config: &DemoConfig) -> Vec<ObjectPlan> {
        // The (population, copies) of every source. The last source of each kind may have fewer copies.
        let mut sources = Vec::new();
        for (count, tde) in [
            (self.positives, true),
            (self.objects - self.positives, false),
        ] {
            let n = count.div_ceil(config.copies);
            let populations = if tde { vec![0; n] } else { share_out(n) };
            for (i, population) in populations.into_iter().enumerate() {
                sources.push((population, config.copies.min(count - i * config.copies)));
            }
        }
        let part = u64::from(self.labelled);
        Stream::new(config.seed, &[stream::CLASSES, part]).shuffle(&mut sources);
        let mut names: Vec<usize> = (self.first_name..self.first_name + self.objects).collect();
        Stream::new(config.seed, &[stream::NAMES, part]).shuffle(&mut names);

        let mut plans = Vec::with_capacity(self.objects);
        let mut names = names.into_iter();
        for (source, (population, copies)) in (self.first_source..).zip(sources) {
            for (copy, name) in (0..copies as u64).zip(names.by_ref()) {
                plans.push((
                    name,
                    ObjectPlan {
                        object_id: format!("demo_{name:05}"),
                        class: POPULATIONS[population].name,
                        source,
                        copy,
                        split: format!("split_{:02}", source % SPLITS + 1),
                        labelled: self.labelled,
                        population,
                    },
                ));
            }
        }
        plans.sort_unstable_by_key(|(name, _)| *name);
        plans.into_iter().map(|(_, plan)| plan).collect()
    }
}

/// Deals the populations of `n` sources that are not TDE, by largest remainder.
fn share_out(n: usize) -> Vec<usize> {
    let total: f64 = POPULATIONS.iter().map(|p| p.weight).sum();
    let mut shares: Vec<(usize, usize, f64)> = POPULATIONS
        .iter()
        .enumerate()
        .filter(|(_, p)| p.weight > 0.0)
        .map(|(index, p)| {
            let exact = p.weight / total * n as f64;
            (index, exact as usize, exact - exact.floor())
        })
        .collect();
    shares.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let given: usize = shares.iter().map(|share| share.1).sum();
    for share in shares.iter_mut().take(n.saturating_sub(given)) {
        share.1 += 1;
    }
    shares
        .into_iter()
        .flat_map(|(index, count, _)| std::iter::repeat_n(index, count))
        .collect()
}

/// Simulates one object of [`catalogue`].
///
/// Sources that are too faint are redrawn, and so are observations that miss the source. The copies of
/// a source share the first source that can be seen. Fails with [`DemoError::Undetectable`] if there is
/// none.
pub fn simulate(config: &DemoConfig, plan: &ObjectPlan) -> Result<DemoObject, DemoError> {
    let population = &POPULATIONS[plan.population];
    for attempt in 0..SOURCES {
        let round = attempt / SOURCES_AT_REDSHIFT;
        let mut rng = Stream::new(config.seed, &[stream::REDSHIFT, plan.source, round]);
        let z = population.draw_redshift(&mut rng);
        let mut rng = Stream::new(config.seed, &[stream::SOURCE, plan.source, attempt]);
        let source = SimulatedSource::draw(population, z, config.difficulty, &mut rng);
        if source.peak_snr(z) < DETECTION_SNR {
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
            if let Some(object) = observe(config, plan, &source, z, &mut rng) {
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
}

impl SimulatedSource {
    fn draw(population: &Population, z: f64, difficulty: f64, rng: &mut Stream) -> SimulatedSource {
        match Transient::draw(population, difficulty, rng) {
            Some(transient) => SimulatedSource::Transient(transient),
            None => SimulatedSource::Agn(Agn::draw(z, rng)),
        }
    }

    /// What a survey of `span` days measures in its visits, behind dust of E(B-V) `ebv`.
    fn measure(
        &self,
        z: f64,
        ebv: f64,
        (span, visits): (f64, &[cadence::Visit]),
        rng: &mut Stream,
    ) -> Points {
        let transmitted = EXTINCTION.map(|a| libm::exp10(-0.4 * a * ebv));
        let mut points = Points::default();
        match self {
            SimulatedSource::Agn(agn) => {
                let window = agn.window(span, rng);
                for visit in visits {
                    let band = usize::from(visit.band);
                    let flux = window.flux(visit.day, band) * transmitted[band];
                    points.measure(flux, band, false, rng);
                }
            }
            SimulatedSource::Transient(transient) => {
                let seen = transient.at_redshift(z);
                // The peak falls where the survey can see the rise and most of the decline.
                let peak = rng.uniform_in(200.0, span - 300.0);
                for visit in visits {
                    let band = usize::from(visit.band);
                    let rest = seen.rest_days(visit.day - peak);
                    let flux = seen.flux(rest, band) * transmitted[band];
                    points.measure(flux, band, (rest - 10.0).abs() < 45.0, rng);
                }
            }
        }
        points
    }

    /// The highest signal-to-noise ratio to expect at redshift `z`.
    fn peak_snr(&self, z: f64) -> f64 {
        match self {
            SimulatedSource::Agn(agn) => agn.peak_snr(),
            SimulatedSource::Transient(transient) => transient.at_redshift(z).peak_snr(),
        }
    }
}

/// Observes a source once; `None` if it is not detected.
fn observe(
    config: &DemoConfig,
    plan: &ObjectPlan,
    source: &SimulatedSource,
    source_z: f64,
    rng: &mut Stream,
) -> Option<DemoObject> {
    let z = source_z * rng.uniform_in(0.95, 1.05);
    let ebv = (0.01 + rng.exponential(0.045)).min(0.76);
    let Cadence { span, visits } = Cadence::draw(rng);
    if visits.len() < FEWEST_VISITS {
        return None;
    }
    let points = source.measure(z, ebv, (span, &visits), rng);
    let transient = matches!(source, SimulatedSource::Transient(_));
    if points.best_snr <= DETECTION_SNR || (transient && points.near < NEAR_PEAK) {
        return None;
    }
    let (redshift, redshift_err) = if plan.labelled {
        (z, None)
    } else {
        let sigma = 0.02 * (1.0 + z);
        let path = [stream::PHOTO_Z, plan.source, plan.copy];
        (
            z + sigma * Stream::new(config.seed, &path).normal(),
            Some(sigma),
        )
    };
    Some(DemoObject {
        object_id: plan.object_id.clone(),
        class: plan.class,
        group: plan.source,
        split: plan.split.clone(),
        redshift,
        redshift_err,
        ebv,
        labelled: plan.labelled,
        time: visits.iter().map(cadence::Visit::mjd).collect(),
        band: visits.iter().map(|visit| visit.band).collect(),
        flux: points.flux,
        flux_err: points.flux_err,
    })
}

/// Measured points, with the counts that the detection criterion needs.
#[derive(Default)]
struct Points {
    flux: Vec<f64>,
    flux_err: Vec<f64>,
    best_snr: f64,
    /// Points near the peak at `NEAR_SNR` or better.
    near: usize,
}

impl Points {
    /// Adds one measurement of the true `flux` in micro-Jansky.
    fn measure(&mut self, flux: f64, band: usize, near_peak: bool, rng: &mut Stream) {
        let error = draw_error(band, rng);
        let measured = flux + error * rng.normal();
        let snr = measured / error;
        self.best_snr = self.best_snr.max(snr);
        self.near += usize::from(near_peak && snr > NEAR_SNR);
        self.flux.push(measured);
        self.flux_err.push(error);
    }
}

#[cfg(test)]
mod tests;
