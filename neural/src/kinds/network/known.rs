//! What a fit knows: its training rows, and behind them their copies.

use flow_engine::kind::{Action, StageError};
use flow_stages::rows::{CopyRows, SequenceRows, TrainRows};

use super::classes::KnownClasses;
use super::params::NetworkParams;
use crate::fitting::SequenceSource;
use crate::kinds::fit_params::FitParams;
use crate::kinds::preparation::{Preparation, sequences};

/// The rows of a fit.
pub struct KnownRows {
    /// The number of training rows, without their copies.
    pub count: usize,
    /// Their classes.
    pub classes: KnownClasses,
    /// How they are prepared; the copies have no part in that.
    pub preparation: Preparation,
    /// The prepared features of all, one row after the other.
    pub features: Vec<f32>,
    /// For each copy, the training row that it is a copy of.
    pub copies: Vec<usize>,
    /// The class that binary metrics score.
    pub positive: Option<String>,
    sequences: Option<SequenceRows>,
    of_copies: Option<SequenceRows>,
}

impl KnownRows {
    /// Reads the training rows of the fold and their copies.
    ///
    /// # Errors
    /// If a table is unreadable or lacks an object, copies have other columns or sequences, a feature is infinite, or there
    /// are fewer than two classes.
    pub fn read(action: &Action<'_>) -> Result<Self, StageError> {
        let params = NetworkParams::read(action.params);
        let rows = TrainRows::read(action)?;
        let mut classes = KnownClasses::of(&rows, params.target, params.class_99)?;
        let sequences = sequences(action, "sequences", &rows.object_id)?;
        let scale = FitParams::read(action.params).flux_scale;
        let preparation = Preparation::fit(&rows.features, sequences.as_ref(), scale)?;
        let mut features = preparation.features(&rows.features)?;
        let (mut copies, mut of_copies) = (Vec::new(), None);
        if let Some(found) = CopyRows::read(action, None)? {
            classes.add(params.target.numbers(&rows, &found.label));
            features.extend(preparation.features(&found.features)?);
            if let Some(first) = found.sequences.as_ref().and_then(SequenceRows::first) {
                preparation.alike(first)?;
            }
            of_copies = found.sequences;
            let place = |source: &String| rows.object_id.partition_point(|id| id < source);
            copies = found.source.iter().map(place).collect();
        }
        Ok(Self {
            count: rows.object_id.len(),
            classes,
            preparation,
            features,
            copies,
            positive: rows.positive,
            sequences,
            of_copies,
        })
    }

    /// The sequences of all, if there are any.
    pub fn source(&self) -> Option<&dyn SequenceSource> {
        self.sequences.as_ref().map(|_| self as &dyn SequenceSource)
    }

    /// The table of a row, and its place there.
    fn table(&self, row: usize) -> (&SequenceRows, usize) {
        let (rows, place) = match row.checked_sub(self.count) {
            Some(copy) => (&self.of_copies, copy),
            None => (&self.sequences, row),
        };
        (rows.as_ref().expect("all rows have sequences"), place)
    }
}

impl SequenceSource for KnownRows {
    fn row(&self, row: usize) -> &[f32] {
        let (rows, place) = self.table(row);
        rows.row(place)
    }

    fn length(&self, row: usize, track: usize) -> usize {
        let (rows, place) = self.table(row);
        rows.length(place, track)
    }
}
