//! The sequences of some objects.

use flow_engine::StageError;
use flow_engine::kind::Part;

use super::place::PlacedTables;
use crate::table::Sequences;

/// The sequences of some objects, by reference to the tables that hold them.
pub struct SequenceRows(PlacedTables<Sequences>);

impl SequenceRows {
    /// Opens the sequences of `objects` (in the order of their bytes) in the tables behind `parts`.
    ///
    /// # Errors
    /// If a table is unreadable, the tables differ in tracks, channels or points, or an object is in none or in two.
    pub fn open<'p>(
        parts: impl Iterator<Item = &'p Part>,
        objects: &[String],
    ) -> Result<Self, StageError> {
        let tables = parts.map(|part| Sequences::open(&part.path));
        let tables: Vec<Sequences> = tables.collect::<Result<_, _>>()?;
        let shape = |s: &Sequences| (s.tracks().to_vec(), s.channels().to_vec(), s.points());
        if tables.iter().any(|table| shape(table) != shape(&tables[0])) {
            return Err(StageError::data(
                "flow::data::schema",
                "sequences that meet here differ in their tracks, channels or points",
            )
            .help("make them by `sequences` stages with the same parameters"));
        }
        PlacedTables::new(tables, Sequences::object_ids, objects).map(Self)
    }

    /// One of the tables; all have the same tracks, channels and points.
    pub fn first(&self) -> Option<&Sequences> {
        self.0.first()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of object `i`, as [`Sequences::row`]. Panics if there is no such object.
    pub fn row(&self, i: usize) -> &[f32] {
        let (table, row) = self.0.get(i);
        table.row(row)
    }

    /// The number of observations of a track of object `i`. Panics if there is no such object or track.
    pub fn length(&self, i: usize, track: usize) -> usize {
        let (table, row) = self.0.get(i);
        table.length(row, track)
    }
}

#[cfg(test)]
mod tests {
    use flow_cache::{Digest, Value};
    use flow_testkit::files::{NamedTempFile, file_of};

    use super::*;

    /// A table of two tracks and one channel, in which the first track of object `i` has `i` observations.
    fn table(ids: &[&str], points: usize) -> NamedTempFile {
        let tracks = ["g", "r"].map(String::from);
        let mut writer = Sequences::writer(Vec::new(), &tracks, points, &["flux".into()]).unwrap();
        for (i, id) in ids.iter().enumerate() {
            let mut row = vec![f32::NAN; 2 * points];
            row[..i].fill(i as f32);
            writer.push(&[id], &row).unwrap();
        }
        file_of(writer.finish().unwrap())
    }

    fn opened(tables: &[NamedTempFile], objects: &[&str]) -> Result<SequenceRows, StageError> {
        let parts: Vec<Part> = tables
            .iter()
            .map(|table| Part {
                path: table.path().into(),
                digest: Digest::of(b""),
                attrs: Value::Null,
                reference: 0,
                fold: None,
                views: Vec::new(),
            })
            .collect();
        let objects: Vec<String> = objects.iter().map(|&id| id.into()).collect();
        SequenceRows::open(parts.iter(), &objects)
    }

    #[test]
    fn objects_are_found_in_whichever_table_has_them() {
        let tables = [table(&["a", "c", "e"], 3), table(&["b", "d"], 3)];
        let rows = opened(&tables, &["c", "d", "e"]).unwrap();
        let lengths: Vec<usize> = (0..rows.len()).map(|i| rows.length(i, 0)).collect();
        assert_eq!(lengths, [1, 1, 2]);
        assert_eq!(rows.row(2)[..2], [2.0, 2.0]);
        assert_eq!(rows.length(2, 1), 0);
        assert_eq!(rows.first().unwrap().points(), 3);
        assert!(opened(&[], &[]).unwrap().is_empty());
    }

    #[test]
    fn tables_of_other_shapes_and_missing_objects_are_refused() {
        let tables = [table(&["a"], 3), table(&["b"], 4)];
        let error = opened(&tables, &["a", "b"]).err().unwrap();
        assert!(error.message.contains("differ"), "{error}");
        let error = opened(&tables[..1], &["a", "b"]).err().unwrap();
        assert!(error.message.contains("`b`"), "{error}");
        let twice = [table(&["a"], 3), table(&["a"], 3)];
        let error = opened(&twice, &["a"]).err().unwrap();
        assert!(error.message.contains("`a`"), "{error}");
    }
}
