//! An evaluation looked at in detail, for the reports that people read. Nothing here reaches an artifact.
//!
//! - `scored`: how many objects an evaluation scores;
//! - `judged`: what the evaluation makes of each object, and the lists of objects that are worth looking at;
//! - `objects`: the light curves of objects, and what is known of them; `peak`: the brightest observation; `spark`:
//!   light curves in a few cells of text; `fits`: curves of models that were fitted to objects;
//! - `opinions`: what each model says of an object, fit by fit;
//! - `moved`: which features moved scores, and how an object's features compare with those of its class;
//! - `training`: the loss of a model by epoch.
//!
//! All numbers that `evaluate` reports too are the same here.

mod fits;
mod judged;
mod moved;
mod objects;
mod opinions;
mod peak;
mod scored;
mod spark;
mod training;

pub use fits::{ObjectFit, fits};
pub use judged::{Judged, Judgement, ListKind, ObjectList, REST};
pub use moved::{FeatureRange, FeatureSource, QUANTILES, moved};
pub use objects::{BandPoints, ObservedObject, ObservedObjects, survey_labels};
pub use opinions::{ModelOpinions, Opinion};
pub use peak::Brightest;
pub use scored::ScoredObjects;
pub use spark::{FULL, Window, heights};
pub use training::{TrainingCurve, training_curves};
