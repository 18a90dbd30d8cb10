//! Feature matrices: named columns of 32-bit floats, one row per object.

use std::io::{Read, Write};
use std::path::Path;

use arrow_schema::DataType;
use flow_engine::StageError;

use super::narrow::Narrow;
use super::parquet_io::{TableReader, json_list, parse_list};
use super::tensor::{TensorTable, TensorWriter};
use super::{IMPOSSIBLE, open, schema_error};

/// The name of the tensor column.
const COLUMN: &str = "features";
/// The key of the schema metadata that holds the column names.
const NAMES: &str = "flow.columns";

/// Writes a feature matrix: a tensor table whose tensors have shape `[columns]`.
pub struct FeatureWriter<W: Write> {
    tensor: TensorWriter<W>,
    columns: Vec<String>,
}

impl<W: Write> FeatureWriter<W> {
    /// Returns a writer of these columns.
    ///
    /// # Errors
    /// If two columns share a name, or the writer fails.
    pub fn new(writer: W, columns: &[String]) -> Result<Self, StageError> {
        let mut names: Vec<&String> = columns.iter().collect();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(StageError::data(
                "flow::data::column_twice",
                format!("two feature columns are called `{}`", pair[0]),
            )
            .help("give one of the stages a `prefix`"));
        }
        let metadata = vec![(NAMES.to_string(), json_list(columns))];
        Ok(Self {
            tensor: TensorWriter::new(writer, COLUMN, &[columns.len()], metadata)?,
            columns: columns.to_vec(),
        })
    }

    /// Appends rows in the order of `object_id`'s bytes; `rows` is row-major.
    ///
    /// # Errors
    /// If lengths differ, ids do not ascend, a value is infinite, or the writer fails.
    pub fn push<S: AsRef<str>>(&mut self, ids: &[S], rows: &[f32]) -> Result<(), StageError> {
        // The check has no branch, so that it costs next to nothing.
        if rows.iter().fold(false, |any, v| any | v.is_infinite()) {
            let width = self.columns.len().max(1);
            let at = rows.iter().position(|v| v.is_infinite()).unwrap_or(0);
            let id = ids.get(at / width).map_or("", AsRef::as_ref);
            return Err(StageError::data(
                IMPOSSIBLE,
                format!(
                    "feature `{}` of object `{id}` is infinite",
                    self.columns[at % width]
                ),
            )
            .help("look at the object's light curve, redshift and E(B-V)"));
        }
        self.tensor.push(ids, rows)
    }

    /// Completes the file and gives back the writer.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn finish(self) -> Result<W, StageError> {
        self.tensor.finish()
    }
}

/// A feature matrix: mapped into memory, or read from a wide Parquet table that a user's command wrote.
#[derive(Clone, Debug)]
pub struct FeatureTable {
    tensor: TensorTable,
    columns: Vec<String>,
    notes: Vec<String>,
}

impl FeatureTable {
    /// Opens an Arrow IPC file of [`FeatureWriter`], or a Parquet file with `object_id` and columns
    /// of numbers, in which a null is a missing value (NaN).
    ///
    /// # Errors
    /// If the file cannot be opened (environment), or does not fit (data).
    pub fn open(path: &Path) -> Result<Self, StageError> {
        let mut magic = [0; 4];
        let mut file = open(path)?;
        if file.read_exact(&mut magic).is_ok() && &magic == b"PAR1" {
            return Self::from_parquet(path, "the features table", |_| true);
        }
        let tensor = TensorTable::open(path, COLUMN)?;
        let columns = tensor.metadata(NAMES).and_then(parse_list).ok_or_else(|| {
            schema_error(format!(
                "a features table lacks its column names (metadata `{NAMES}`)"
            ))
        })?;
        if tensor.shape() != [columns.len()] {
            return Err(schema_error(format!(
                "a features table has {} column names for rows of shape {:?}",
                columns.len(),
                tensor.shape()
            )));
        }
        Ok(Self {
            tensor,
            columns,
            notes: Vec::new(),
        })
    }

    /// Reads the columns of a Parquet table that `wanted` picks, by `object_id`, and sorts the rows.
    ///
    /// # Errors
    /// If the file does not fit: it has no `object_id`, a column is not numeric, or an object comes
    /// twice.
    pub fn from_parquet(
        path: &Path,
        name: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, StageError> {
        let mut source = TableReader::open(path, name)?;
        let columns: Vec<String> = source
            .fields()
            .iter()
            .filter(|field| field.name() != "object_id" && wanted(field.name()))
            .map(|field| match field.data_type() {
                kind if kind.is_numeric() || *kind == DataType::Boolean => Ok(field.name().clone()),
                kind => Err(schema_error(format!(
                    "column `{}` of {name} is {kind}, where a number is expected",
                    field.name()
                ))),
            })
            .collect::<Result<_, _>>()?;
        let (mut ids, mut rows) = (Vec::new(), Vec::new());
        let mut narrow = Narrow::new(columns.len());
        while let Some(batch) = source.next_batch()? {
            let before = ids.len();
            ids.extend(batch.ids("object_id", before)?);
            let first = rows.len();
            rows.resize(first + batch.len() * columns.len(), f32::NAN);
            for (j, column) in columns.iter().enumerate() {
                for (i, value) in batch.floats(column)?.iter().enumerate() {
                    let place = || {
                        let place = format!(
                            "row {} of {name} (object `{}`)",
                            before + i + 1,
                            ids[before + i]
                        );
                        (place, column.clone())
                    };
                    let value = value.unwrap_or(f64::NAN);
                    rows[first + i * columns.len() + j] = narrow.take(j, value, place)?;
                }
            }
        }
        let notes = narrow.notes(&columns);
        Ok(Self::from_rows(ids, columns, rows, name)?.with_notes(notes))
    }

    /// Returns a table from rows in any order.
    ///
    /// # Errors
    /// If an object comes twice, or lengths differ.
    pub fn from_rows(
        ids: Vec<String>,
        columns: Vec<String>,
        rows: Vec<f32>,
        name: &str,
    ) -> Result<Self, StageError> {
        let width = columns.len();
        if rows.len() != ids.len() * width {
            return Err(schema_error(format!(
                "{name} has {} values for {} rows of {width}",
                rows.len(),
                ids.len()
            )));
        }
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by(|&a, &b| ids[a].cmp(&ids[b]));
        let values = match order.is_sorted() {
            true => rows,
            false => order
                .iter()
                .flat_map(|&i| &rows[i * width..(i + 1) * width])
                .copied()
                .collect(),
        };
        let ids: Vec<String> = order.iter().map(|&i| ids[i].clone()).collect();
        super::check_order(&ids, name)?;
        Ok(Self {
            tensor: TensorTable::from_memory(ids, values, Vec::new()),
            columns,
            notes: Vec::new(),
        })
    }

    /// Returns the same table with notes on what was lost when it was read.
    #[must_use]
    pub(crate) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// What was lost when the table was read, one line for each column.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The objects, in row order.
    pub fn object_ids(&self) -> &[String] {
        self.tensor.object_ids()
    }

    /// Does what [`TensorTable::take_ids`] does.
    pub fn take_ids(&mut self) -> Vec<String> {
        self.tensor.take_ids()
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.tensor.rows()
    }

    /// Row `i`. Panics if there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        self.tensor.row(i)
    }

    /// The whole matrix in pieces. Each piece has the number of its first row and the values of
    /// consecutive rows.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.tensor.blocks()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_names() {
        let columns = vec!["a".to_string(), "b \"x\"".to_string()];
        let mut writer = FeatureWriter::new(Vec::new(), &columns).unwrap();
        writer
            .push(&["o1", "o2"], &[1.0, f32::NAN, 3.0, 4.0])
            .unwrap();
        let file = flow_testkit::files::file_of(writer.finish().unwrap());
        let table = FeatureTable::open(file.path()).unwrap();
        assert_eq!(table.columns(), columns);
        assert_eq!(table.object_ids(), ["o1", "o2"]);
        assert_eq!(table.row(1), [3.0, 4.0]);
        assert!(table.row(0)[1].is_nan());
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        let columns = vec!["a".to_string(), "b".into(), "a".into()];
        let error = FeatureWriter::new(Vec::new(), &columns).err().unwrap();
        assert!(error.message.contains("`a`") && error.help[0].contains("prefix"));
    }

    #[test]
    fn an_infinite_feature_is_refused_where_it_is_made() {
        let columns = vec!["a".to_string(), "b".into()];
        let mut writer = FeatureWriter::new(Vec::new(), &columns).unwrap();
        let rows = [1.0, f32::NAN, 3.0, f32::NEG_INFINITY];
        let error = writer.push(&["o1", "o2"], &rows).unwrap_err();
        assert!(
            error.message.contains("feature `b` of object `o2`"),
            "{error}"
        );
    }

    #[test]
    fn a_table_without_rows_or_columns_is_one() {
        for columns in [vec![], vec!["a".to_string()]] {
            let writer = FeatureWriter::new(Vec::new(), &columns).unwrap();
            let file = flow_testkit::files::file_of(writer.finish().unwrap());
            let table = FeatureTable::open(file.path()).unwrap();
            assert_eq!((table.rows(), table.columns().len()), (0, columns.len()));
        }
    }

    #[test]
    fn rows_are_sorted_by_object() {
        let ids = vec!["b".to_string(), "a".into()];
        let table = FeatureTable::from_rows(ids, vec!["x".into()], vec![2.0, 1.0], "t").unwrap();
        assert_eq!(table.object_ids(), ["a", "b"]);
        assert_eq!(table.row(0), [1.0]);
        let twice = vec!["a".to_string(), "a".into()];
        assert!(FeatureTable::from_rows(twice, vec!["x".into()], vec![2.0, 1.0], "t").is_err());
    }
}
