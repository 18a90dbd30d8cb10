//! Built-in surveys: simulated light curves shaped like those of published surveys and challenges.
//!
//! - `survey`: what describes a survey; `surveys`: each of them, as data;
//! - `catalogue`: which objects there are; `observe`: one object observed; begin with [`simulate`];
//! - `transient`, `agn`, `stars`, `lensing`: the physics of the classes; `light`: thermal light and host dust;
//! - `cadence`: when a survey looks;
//! - `synthetic`: a transient in place of an object that was really observed.
//!
//! As in MALLORN, a physical source may be observed several times under different names, and those
//! copies share a split. A model that is evaluated with copies scattered over folds is only tested on
//! its memory. Objects are pure functions of the seed and their own indices, so any subset can be made
//! in any order.
//!
//! Fluxes are microjansky (AB magnitude `23.9 - 2.5 log10 F`) above a reference image, with the dust
//! of the Milky Way left in; errors follow the depth of each visit. No table is written here.

mod agn;
mod cadence;
mod catalogue;
mod lensing;
mod light;
mod observe;
mod stars;
mod survey;
pub mod surveys;
mod synthetic;
mod transient;

pub use catalogue::{ObjectPlan, SPLITS, catalogue, catalogue_where, split_of};
pub use observe::{DemoObject, simulate};
pub use survey::DemoSurvey;
pub use synthetic::{SyntheticEvent, SyntheticSource, TimesAndErrors};

/// First words of the random streams' paths: one for each use, so that no two uses share draws.
mod stream {
    pub const CLASSES: u64 = 0;
    pub const NAMES: u64 = 1;
    pub const REDSHIFT: u64 = 2;
    pub const SOURCE: u64 = 3;
    pub const OBSERVATION: u64 = 4;
    pub const PHOTO_Z: u64 = 5;
    pub const FIELD: u64 = 6;
}

/// The difficulty of a survey without TDE, which has no effect.
const NO_DIFFICULTY: f64 = 43.45;

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoConfig {
    /// The survey.
    pub survey: &'static DemoSurvey,
    /// The number of labelled objects.
    pub objects: usize,
    /// The number of objects of the positive class among them. If none, the survey decides.
    pub positives: Option<usize>,
    /// The number of further objects without a label and with a photometric redshift.
    pub unlabelled: usize,
    /// The number of observations of each physical source. If none, the survey decides.
    pub copies: Option<usize>,
    /// The seed of all draws.
    pub seed: u64,
    /// The mean of log10 of a TDE's peak luminosity in erg/s, within 42.6..=44.8. Fainter is harder. If none,
    /// the survey decides.
    pub difficulty: Option<f64>,
}

impl DemoConfig {
    /// Returns the number of labelled objects of the positive class: at least one if it follows from the
    /// share that they have in the survey.
    fn positives(&self) -> usize {
        self.fixed_positives().unwrap_or_else(|| {
            let share = self.survey.first_share(true);
            let count = (share * self.objects as f64).round() as usize;
            count.clamp(self.objects.min(1), self.objects)
        })
    }

    /// Returns the number of unlabelled objects of the positive class. If the number of labelled ones is fixed,
    /// the share of the unlabelled ones changes alike.
    fn unlabelled_positives(&self) -> usize {
        let survey = self.survey;
        let share = match self.fixed_positives() {
            Some(positives) => {
                let change = survey.first_share(false) / survey.first_share(true);
                positives as f64 / self.objects.max(1) as f64 * change
            }
            None => survey.first_share(false),
        };
        ((share * self.unlabelled as f64).round() as usize).min(self.unlabelled)
    }

    fn fixed_positives(&self) -> Option<usize> {
        self.positives.or(self.survey.unless_given.positives)
    }

    fn copies(&self) -> usize {
        self.copies.unwrap_or(self.survey.unless_given.copies)
    }

    fn difficulty(&self) -> f64 {
        let given = self.difficulty.or(self.survey.unless_given.difficulty);
        given.unwrap_or(NO_DIFFICULTY)
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

#[cfg(test)]
mod tests;
