//! A run looked at in detail, for the reports that people read. Nothing here reaches an artifact.
//!
//! - `account`: what `ingest` read and dropped;
//! - `evaluation`: curves with bands, and metrics of slices of the objects;
//! - `sweep`: one class against the rest, read off at fixed places; `band`: the same with what draws of the
//!   bootstrap say of noise;
//! - `facts`: what is known of an object besides its score; `slicing`: objects put into slices by it; `slices`:
//!   the metrics of slices;
//! - `tally`: counts by score, true and predicted class;
//! - `importance`: how much features matter, by the stages that made them;
//! - `scored`: how many objects an evaluation scores;
//! - `judged`: what the evaluation makes of each object, and the lists of objects that are worth looking at; `choice`:
//!   the same of a survey of which few objects are shown;
//! - `objects`: the light curves of objects, and what is known of them; `peak`: the brightest observation; `spark`:
//!   light curves in a few cells of text; `fits`: curves of models that were fitted to objects;
//! - `opinions`: what each model says of an object, fit by fit;
//! - `moved`: which features moved scores, and how an object's features compare with those of its class;
//! - `training`: the loss of a model by epoch.
//!
//! All numbers that `evaluate` reports too are the same here.

mod account;
mod band;
mod choice;
mod evaluation;
mod facts;
mod fits;
mod importance;
mod judged;
mod moved;
mod objects;
mod opinions;
mod peak;
mod scored;
mod slices;
mod slicing;
mod spark;
mod sweep;
mod tally;
mod training;

pub use account::{DataAccount, FileAccount, LeftOut, ReasonAccount, RowAccount, RowPlace};
pub use band::{ClassCurves, CurveBand};
pub use choice::UnlabelledChoice;
pub use evaluation::{Inspected, InspectedClass, Inspection, Operating};
pub use facts::ObjectFacts;
pub use fits::{ObjectFit, fits};
pub use importance::{FeatureGroup, Importances};
pub use judged::{Judged, Judgement, ListKind, ObjectList, REST, Unshown};
pub use moved::{FeatureRange, FeatureSource, QUANTILES, moved};
pub use objects::{BandPoints, ObservedObject, ObservedObjects, survey_labels};
pub use opinions::{ModelOpinions, Opinion};
pub use peak::Brightest;
pub use scored::ScoredObjects;
pub use slices::{ObjectSlice, SliceFigure, SliceSet};
pub use spark::{FULL, Window, heights};
pub use tally::{ByLabel, Histogram, MostProbable};
pub use training::{LOSS, TrainingCurve, thinning, training_curves};
