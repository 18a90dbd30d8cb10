//! How much each feature column mattered to a model.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use flow_engine::StageError;

use super::parquet_io::{self, properties};

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
