//! Sequences: for each object the observations of one or several tracks, each with some channels.

use std::io::Write;
use std::path::Path;

use flow_engine::StageError;

use super::parquet_io::{json_list, parse_list};
use super::schema_error;
use super::tensor::{TensorTable, TensorWriter};

const COLUMN: &str = "sequence";
const TRACKS: &str = "flow.tracks";
const CHANNELS: &str = "flow.channels";

/// Sequences, mapped into memory.
///
/// A row is a tensor `[tracks, points, channels]`. The observations of a track come first. Behind the last of them all
/// channels are NaN, so that whether a value is finite is the mask of the track.
#[derive(Clone, Debug)]
pub struct Sequences {
    tensor: TensorTable,
    tracks: Vec<String>,
    channels: Vec<String>,
    points: usize,
    /// The number of observations of each track of each row.
    lengths: Vec<usize>,
}

impl Sequences {
    /// Returns a writer of sequences. Each row has `tracks.len() * points * channels.len()` values.
    ///
    /// # Errors
    /// If the writer fails, or a row would have more values than a table can hold.
    pub fn writer<W: Write>(
        writer: W,
        tracks: &[String],
        points: usize,
        channels: &[String],
    ) -> Result<TensorWriter<W>, StageError> {
        let metadata = vec![
            (TRACKS.to_owned(), json_list(tracks)),
            (CHANNELS.to_owned(), json_list(channels)),
        ];
        let shape = [tracks.len(), points, channels.len()];
        TensorWriter::new(writer, COLUMN, &shape, metadata)
    }

    /// Opens a tensor table of the column `sequence` with the shape `[tracks, points, channels]`. Without names, tracks
    /// and channels have numbers.
    ///
    /// # Errors
    /// If the file cannot be opened (environment), does not fit, or an observation has a value that is not finite
    /// (data).
    pub fn open(path: &Path) -> Result<Self, StageError> {
        let tensor = TensorTable::open(path, COLUMN)?;
        let &[tracks, points, channels] = tensor.shape() else {
            let shape = tensor.shape();
            let text = format!("sequences have tensors [tracks, points, channels], not {shape:?}");
            return Err(schema_error(text));
        };
        let named = |key, count: usize| {
            let names = tensor.metadata(key).and_then(parse_list);
            let names = names.filter(|names| names.len() == count);
            names.unwrap_or_else(|| (0..count).map(|number| number.to_string()).collect())
        };
        let mut sequences = Self {
            tracks: named(TRACKS, tracks),
            channels: named(CHANNELS, channels),
            points,
            lengths: Vec::with_capacity(tensor.rows() * tracks),
            tensor,
        };
        for row in 0..sequences.object_ids().len() {
            for track in 0..tracks {
                let length = sequences.measured(row, track)?;
                sequences.lengths.push(length);
            }
        }
        Ok(sequences)
    }

    /// Returns the number of observations of a track.
    fn measured(&self, row: usize, track: usize) -> Result<usize, StageError> {
        let width = self.channels.len();
        let values = self.track(row, track);
        let last = values.iter().rposition(|value| !value.is_nan());
        let length = last.map_or(0, |at| at / width + 1);
        match values[..length * width].iter().all(|v| v.is_finite()) {
            true => Ok(length),
            false => Err(StageError::data(
                "flow::data::not_finite",
                format!(
                    "the sequence of object `{}` holds a value that is not finite in track `{}`",
                    self.object_ids()[row],
                    self.tracks[track]
                ),
            )
            .help("all channels of an observation are numbers; behind the last observation of a track all are NaN")),
        }
    }

    /// The objects, in row order.
    pub fn object_ids(&self) -> &[String] {
        self.tensor.object_ids()
    }

    /// The names of the tracks: bands, or one name if the observations of all bands are in one track.
    pub fn tracks(&self) -> &[String] {
        &self.tracks
    }

    /// The names of the channels of an observation.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The most observations of a track.
    pub fn points(&self) -> usize {
        self.points
    }

    /// The values of object `row`, track by track and within a track observation by observation; NaN behind the last
    /// observation. Panics if there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        self.tensor.row(row)
    }

    /// The values of a track of object `row`, observation by observation. Panics if there is no such row or track.
    pub fn track(&self, row: usize, track: usize) -> &[f32] {
        let size = self.points * self.channels.len();
        &self.row(row)[track * size..(track + 1) * size]
    }

    /// The number of observations of a track of object `row`. Panics if there is no such row or track.
    pub fn length(&self, row: usize, track: usize) -> usize {
        self.lengths[row * self.tracks.len()..(row + 1) * self.tracks.len()][track]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::file_of;

    const NONE: f32 = f32::NAN;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.into()).collect()
    }

    /// One object in two tracks of at most two points with two channels.
    fn opened(row: &[f32; 8]) -> Result<Sequences, StageError> {
        let (tracks, channels) = (names(&["g", "r"]), names(&["time", "flux"]));
        let mut writer = Sequences::writer(Vec::new(), &tracks, 2, &channels).unwrap();
        writer.push(&["a"], row).unwrap();
        Sequences::open(file_of(writer.finish().unwrap()).path())
    }

    #[test]
    fn lengths_are_where_the_padding_begins() {
        let row = [0.0, 1.5, 3.0, -2.0, 1.0, 0.5, NONE, NONE];
        let sequences = opened(&row).unwrap();
        assert_eq!(sequences.object_ids(), ["a"]);
        assert_eq!(sequences.tracks(), ["g", "r"]);
        assert_eq!(sequences.channels(), ["time", "flux"]);
        assert_eq!(sequences.points(), 2);
        assert_eq!((sequences.length(0, 0), sequences.length(0, 1)), (2, 1));
        assert_eq!(sequences.row(0)[..6], row[..6]);
        assert_eq!(sequences.track(0, 1)[..2], [1.0, 0.5]);
        let empty = opened(&[NONE; 8]).unwrap();
        assert_eq!((empty.length(0, 0), empty.length(0, 1)), (0, 0));
    }

    #[test]
    fn an_observation_has_finite_values_in_all_channels() {
        for bad in [
            [0.0, NONE, 3.0, -2.0, 1.0, 0.5, NONE, NONE],
            [NONE, NONE, 3.0, -2.0, 1.0, 0.5, NONE, NONE],
            [0.0, 1.5, 3.0, -2.0, f32::INFINITY, 0.5, NONE, NONE],
        ] {
            let error = opened(&bad).unwrap_err();
            assert!(error.message.contains("of object `a`"), "{error}");
        }
    }

    #[test]
    fn other_shapes_are_refused_and_tables_without_names_have_numbers() {
        let mut writer = TensorWriter::new(Vec::new(), COLUMN, &[2, 1, 1], Vec::new()).unwrap();
        writer.push(&["a", "b"], &[0.5, NONE, 1.0, 2.0]).unwrap();
        let file = file_of(writer.finish().unwrap());
        let sequences = Sequences::open(file.path()).unwrap();
        assert_eq!(sequences.tracks(), ["0", "1"]);
        assert_eq!(sequences.channels(), ["0"]);
        assert_eq!((sequences.length(0, 1), sequences.length(1, 1)), (0, 1));
        let flat = TensorWriter::new(Vec::new(), COLUMN, &[2], Vec::new()).unwrap();
        let error = Sequences::open(file_of(flat.finish().unwrap()).path()).unwrap_err();
        assert!(
            error.message.contains("[tracks, points, channels]"),
            "{error}"
        );
    }
}
