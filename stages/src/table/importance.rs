//! How much each feature column mattered to a model.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;

use super::parquet_io::{self, TableReader, properties};

/// Writes Parquet `feature: utf8, importance: f64`, with rows in the order given.
///
/// # Errors
/// If the writer fails.
pub fn write_importance(
    writer: impl Write + Send,
    rows: &[(String, f64)],
) -> Result<(), StageError> {
    let schema = Schema::new(vec![
        Field::new("feature", DataType::Utf8, false),
        Field::new("importance", DataType::Float64, false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|(name, _)| name),
        )),
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|(_, value)| *value),
        )),
    ];
    parquet_io::write(writer, Arc::new(schema), columns, properties(&[], &[]))
}

/// Reads [`write_importance`]'s file.
///
/// # Errors
/// If the file is unreadable or does not fit.
pub fn read_importance(path: &Path) -> Result<Vec<(String, f64)>, StageError> {
    let mut source = TableReader::open(path, "the table of importance")?;
    let mut rows = Vec::new();
    while let Some(batch) = source.next_batch()? {
        let names = batch.texts("feature")?;
        let values = batch.floats("importance")?;
        let names = parquet_io::options(&names).map(Option::unwrap_or_default);
        rows.extend(names.zip(values.iter().map(Option::unwrap_or_default)));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_comes_back() {
        let rows = [("x".to_owned(), 0.75), ("y".to_owned(), 0.25)];
        let mut bytes = Vec::new();
        write_importance(&mut bytes, &rows).unwrap();
        let file = flow_testkit::files::file_of(&bytes);
        assert_eq!(read_importance(file.path()).unwrap(), rows);
    }
}
