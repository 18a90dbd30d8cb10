//! Tables: read from the store, where they are Parquet, and written in any format.

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    UInt32Array,
};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::{take, take_record_batch};
use flow_engine::StageError;
use flow_engine::kind::Part;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::text::{write_csv, write_json};
use super::{ARROW, PARQUET, broken, unreadable, unsupported};
use crate::table::properties;

/// The columns of a nested table that each row of the flat one repeats. What else is known of objects has a
/// table of its own, such as `ingest.objects`.
const REPEATED: [&str; 2] = ["object_id", "model"];

/// All parts as one batch, in the order of `object_id` if there is one.
pub fn read(parts: &[Part]) -> Result<RecordBatch, StageError> {
    let mut batches = Vec::new();
    let mut schema: Option<SchemaRef> = None;
    for part in parts {
        let file = std::fs::File::open(&part.path)?;
        // Parquet's own types are enough, as for every reader.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .and_then(|builder| builder.build())
            .map_err(unreadable)?;
        for batch in reader {
            let batch = batch.map_err(unreadable)?;
            schema.get_or_insert_with(|| batch.schema());
            batches.push(batch);
        }
    }
    let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
    let table = concat_batches(&schema, &batches).map_err(unreadable)?;
    if parts.len() == 1 {
        return Ok(table);
    }
    let Some(ids) = table
        .column_by_name("object_id")
        .and_then(|column| column.as_string_opt::<i32>())
    else {
        return Ok(table);
    };
    let mut order: Vec<u32> = (0..table.num_rows() as u32).collect();
    order.sort_by_key(|&i| ids.value(i as usize));
    take_record_batch(&table, &UInt32Array::from(order)).map_err(unreadable)
}

/// Writes a table in the format of an extension.
pub fn write(table: &RecordBatch, extension: &str, to: &mut dyn Write) -> Result<(), StageError> {
    match extension {
        PARQUET => {
            let mut buffer = Vec::new();
            let mut writer =
                ArrowWriter::try_new(&mut buffer, table.schema(), Some(properties(&[], &[])))
                    .map_err(broken)?;
            writer.write(table).map_err(broken)?;
            writer.close().map_err(broken)?;
            to.write_all(&buffer)?;
        }
        ARROW => {
            let mut writer =
                arrow_ipc::writer::FileWriter::try_new(to, &table.schema()).map_err(broken)?;
            writer.write(table).map_err(broken)?;
            writer.finish().map_err(broken)?;
        }
        "csv" => {
            if table
                .schema()
                .fields()
                .iter()
                .any(|f| f.data_type().is_nested())
            {
                return Err(unsupported(
                    "csv",
                    "a table with nested columns",
                    "parquet, arrow, json",
                ));
            }
            write_csv(table, to).map_err(broken)?;
        }
        "json" => write_json(table, to).map_err(broken)?,
        other => return Err(unsupported(other, "a table", "parquet, arrow, csv, json")),
    }
    Ok(())
}

/// A table with one row for each entry of its nested lists, such as an observation of a light curve. A table
/// without such lists stays as it is.
pub fn flat(table: RecordBatch) -> Result<RecordBatch, StageError> {
    let Some(lists) = table.columns().iter().find_map(lists) else {
        return Ok(table);
    };
    let Some((_, first)) = lists.first() else {
        return Ok(table);
    };
    let lengths = |list: &ListArray| list.offsets().lengths().collect::<Vec<usize>>();
    let length = lengths(first);
    if lists.iter().any(|(_, list)| lengths(list) != length) {
        let message = "the lists of a light curve differ in length";
        return Err(StageError::data("flow::data::schema", message));
    }
    let rows = (0..).zip(&length);
    let rows = rows.flat_map(|(row, &length): (u32, &usize)| std::iter::repeat_n(row, length));
    let rows = UInt32Array::from_iter_values(rows);
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for name in REPEATED {
        if let Ok(at) = table.schema().index_of(name) {
            fields.push(table.schema().field(at).clone());
            columns.push(take(table.column(at), &rows, None).map_err(unreadable)?);
        }
    }
    for (name, list) in lists {
        let own = list.value_offsets();
        let (from, to) = (own[0] as usize, own[own.len() - 1] as usize);
        let values = list.values().slice(from, to - from);
        fields.push(Field::new(name, values.data_type().clone(), true));
        columns.push(values);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(unreadable)
}

/// The lists of a column by name, if it is a struct of lists.
fn lists(column: &ArrayRef) -> Option<Vec<(String, ListArray)>> {
    let column: &StructArray = column.as_struct_opt()?;
    let parts = column.fields().iter().zip(column.columns());
    let parts =
        parts.map(|(field, part)| Some((field.name().clone(), part.as_list_opt()?.clone())));
    parts.collect()
}

/// A column of a small table of results.
pub enum ResultColumn {
    /// Texts.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
    /// Whole numbers.
    Count(Vec<Option<i64>>),
}

/// Writes a small table of named columns as `extension`: parquet, arrow, csv or json.
///
/// # Errors
/// If columns differ in length, the extension is not one of these, or writing fails.
pub fn write_columns(
    columns: Vec<(String, ResultColumn)>,
    extension: &str,
    to: &mut dyn Write,
) -> Result<(), StageError> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for (name, column) in columns {
        let array: ArrayRef = match column {
            ResultColumn::Text(values) => Arc::new(StringArray::from(values)),
            ResultColumn::Number(values) => Arc::new(Float64Array::from(values)),
            ResultColumn::Count(values) => Arc::new(Int64Array::from(values)),
        };
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(broken)?;
    write(&table, extension, to)
}
