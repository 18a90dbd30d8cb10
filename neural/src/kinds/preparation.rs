//! What a network reads of rows, and how it is prepared: missing features imputed, features standardized, fluxes scaled.

use flow_engine::StageError;
use flow_engine::kind::{Action, Part};
use flow_stages::learner::standard::StandardColumns;
use flow_stages::rows::{FeatureView, SequenceRows};
use flow_stages::table::Sequences;
use serde::{Deserialize, Serialize};

use super::fit_params::FluxScale;
use crate::fitting::{SequenceSource, survey_factors};
use crate::network::InputShape;

impl SequenceSource for SequenceRows {
    fn row(&self, row: usize) -> &[f32] {
        self.row(row)
    }

    fn length(&self, row: usize, track: usize) -> usize {
        self.length(row, track)
    }
}

/// Opens the sequences of `objects` that come in through `port`; none if nothing does.
///
/// # Errors
/// If a table is unreadable, or lacks an object.
pub fn sequences(
    action: &Action<'_>,
    port: &str,
    objects: &[String],
) -> Result<Option<SequenceRows>, StageError> {
    // A shard with rows of two roles comes in twice.
    let mut parts: Vec<&Part> = action.input(port).iter().collect();
    parts.sort_by_key(|part| part.digest);
    parts.dedup_by_key(|part| part.digest);
    match parts.is_empty() {
        true => Ok(None),
        false => SequenceRows::open(parts.into_iter(), objects).map(Some),
    }
}

/// How rows are prepared for a network. It is fitted on training rows, and applied to all.
#[derive(Serialize, Deserialize)]
pub struct Preparation {
    /// The names of the tracks; none without sequences.
    pub tracks: Vec<String>,
    /// The names of the channels.
    pub channels: Vec<String>,
    /// The most observations of a track.
    pub points: usize,
    /// What each channel is multiplied by.
    pub factors: Vec<f32>,
    /// The names of the features.
    pub columns: Vec<String>,
    /// How features are imputed and scaled; none without features.
    standard: Option<StandardColumns>,
}

impl Preparation {
    /// Fits the preparation on training rows.
    ///
    /// # Errors
    /// If a feature is infinite.
    pub fn fit(
        features: &FeatureView,
        sequences: Option<&SequenceRows>,
        flux_scale: FluxScale,
    ) -> Result<Self, StageError> {
        let columns = features.names().to_vec();
        let standard = match columns.is_empty() {
            true => None,
            false => {
                let all: Vec<usize> = (0..columns.len()).collect();
                Some(StandardColumns::of(&features.matrix(&all)?))
            }
        };
        let mut fitted = Self {
            tracks: Vec::new(),
            channels: Vec::new(),
            points: 0,
            factors: Vec::new(),
            columns,
            standard,
        };
        let first = sequences.and_then(SequenceRows::first);
        if let (Some(rows), Some(first)) = (sequences, first) {
            fitted.tracks = first.tracks().to_vec();
            fitted.channels = first.channels().to_vec();
            fitted.points = first.points();
            let all: Vec<usize> = (0..rows.len()).collect();
            fitted.factors = match flux_scale {
                FluxScale::None => vec![1.0; fitted.channels.len()],
                FluxScale::Survey => survey_factors(rows, &fitted.shape(0), &all),
            };
        }
        Ok(fitted)
    }

    /// The sizes of what a network with this number of outputs reads.
    pub fn shape(&self, outputs: usize) -> InputShape {
        InputShape {
            tracks: self.tracks.clone(),
            channels: self.channels.clone(),
            points: self.points,
            features: self.columns.len(),
            outputs,
        }
    }

    /// Returns the features of rows as the network reads them, one row after the other.
    ///
    /// # Errors
    /// If a column is missing, or a feature is infinite.
    pub fn features(&self, features: &FeatureView) -> Result<Vec<f32>, StageError> {
        let Some(standard) = self.standard.as_ref().filter(|_| features.rows() > 0) else {
            return Ok(Vec::new());
        };
        let columns = features.indices(&self.columns)?;
        let matrix = features.matrix(&columns)?;
        let values = standard.apply(&matrix);
        Ok(values.into_iter().map(|value| value as f32).collect())
    }

    /// Refuses sequences unlike those of the fit.
    ///
    /// # Errors
    /// If they have other tracks, channels or points.
    pub fn alike(&self, sequences: &Sequences) -> Result<(), StageError> {
        let seen = (sequences.tracks(), sequences.channels(), sequences.points());
        let fitted = (&self.tracks[..], &self.channels[..], self.points);
        if seen == fitted {
            return Ok(());
        }
        let said = |(tracks, channels, points): (&[String], &[String], usize)| {
            format!(
                "tracks {}, channels {} and {points} points",
                tracks.join(", "),
                channels.join(", ")
            )
        };
        Err(StageError::data(
            "flow::data::schema",
            format!(
                "the network was fitted on sequences with {}, and is applied to sequences with {}",
                said(fitted),
                said(seen)
            ),
        )
        .help("make both by `sequences` stages that differ in nothing but their noise"))
    }
}
