//! Parquet, read and written the same way everywhere.

use std::error::Error;
use std::fmt::Display;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, StringArray, StructArray};
use arrow_schema::{DataType, Fields, SchemaRef};
use flow_engine::StageError;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::convert::{convert, list_parts};
use super::{columns_help, is_no_value, open, schema_error, sniff};

/// The number of rows that a reader decodes at a time. It bounds memory and has no effect on results.
const BATCH: usize = 4096;

/// The number of rows that are written at a time where a table is written in pieces. With a multiple of the number that
/// the writer looks at before it ends a page, the bytes are those of a table that is written at once.
pub(crate) const PIECE: usize = 32 * 1024;

/// The pinned properties of every Parquet file, so that nothing in it depends on a clock, a library
/// version or the order of a map. `dictionary` names the columns (dotted paths) with few values.
pub(crate) fn properties(metadata: &[(&str, String)], dictionary: &[&str]) -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let mut builder: WriterPropertiesBuilder = WriterProperties::builder()
        .set_created_by("flow".into())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_key_value_metadata(Some(
            metadata
                .iter()
                .map(|(key, value)| KeyValue::new(key.to_string(), value.clone()))
                .collect(),
        ));
    for column in dictionary {
        let path = ColumnPath::new(column.split('.').map(String::from).collect());
        builder = builder.set_column_dictionary_enabled(path, true);
    }
    builder.build()
}

/// Writes one table of columns.
pub(super) fn write(
    writer: impl Write + Send,
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    properties: WriterProperties,
) -> Result<(), StageError> {
    let mut writer = TableWriter::new(writer, schema, properties)?;
    writer.append(columns)?;
    writer.finish()
}

/// Writes a table in pieces, for tables that do not fit in memory.
pub(crate) struct TableWriter<W: Write + Send> {
    schema: SchemaRef,
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> TableWriter<W> {
    pub(crate) fn new(
        writer: W,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, StageError> {
        // Our tables have only types that Parquet itself has. Without Arrow's copy of the schema, files
        // are smaller and every reader sees the same types.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer =
            ArrowWriter::try_new_with_options(writer, schema.clone(), options).map_err(internal)?;
        Ok(Self { schema, writer })
    }

    /// Writes these columns as a row group.
    pub(crate) fn push(&mut self, columns: Vec<ArrayRef>) -> Result<(), StageError> {
        self.append(columns)?;
        self.end_group()
    }

    /// Ends the row group that is being written.
    pub(crate) fn end_group(&mut self) -> Result<(), StageError> {
        self.writer.flush().map_err(internal)
    }

    /// Appends these columns to the row group that is being written, which ends where a million rows are reached. The
    /// pieces of a table have [`PIECE`] rows, but for the last one.
    pub(crate) fn append(&mut self, columns: Vec<ArrayRef>) -> Result<(), StageError> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(internal)?;
        self.writer.write(&batch).map_err(internal)
    }

    pub(crate) fn finish(self) -> Result<(), StageError> {
        self.writer.close().map_err(internal)?;
        Ok(())
    }
}

/// Wraps an error of the writer. Writing fails for lack of space or through a bug of ours, never
/// because of the data.
fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> StageError {
    StageError::environment("cannot write a table").because(error)
}

/// Formats texts as a JSON list, as file metadata keeps them.
pub(crate) fn json_list(items: &[String]) -> String {
    serde_json::Value::from(items.to_vec()).to_string()
}

/// Reads a JSON list of texts.
pub fn parse_list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// A Parquet file that is being read, batch by batch, by column name.
pub struct TableReader {
    name: String,
    schema: SchemaRef,
    metadata: Vec<(String, String)>,
    rows: u64,
    reader: ParquetRecordBatchReader,
}

impl TableReader {
    /// Opens `path`; messages call it `name`.
    ///
    /// # Errors
    /// If the file cannot be opened (environment) or is not Parquet (data).
    pub fn open(path: &Path, name: &str) -> Result<Self, StageError> {
        Self::open_columns(path, name, |_| true)
    }

    /// Opens `path` to decode only the columns that `wanted` picks. The reader then has no others.
    ///
    /// # Errors
    /// As for [`TableReader::open`].
    pub fn open_columns(
        path: &Path,
        name: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, StageError> {
        let mut file = open(path)?;
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(64).read_to_end(&mut head)?;
        // Arrow's copy of a schema may hold types that only its writer has. Parquet's own types are
        // enough.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(|error| sniff::not_binary(name, "Parquet", &head, error))?;
        let metadata = builder
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .into_iter()
            .flatten()
            .filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?)))
            .collect();
        let rows = builder.metadata().file_metadata().num_rows().max(0) as u64;
        let fields = builder.schema().fields().iter().enumerate();
        let chosen: Vec<usize> = fields
            .filter(|(_, field)| wanted(field.name()))
            .map(|(index, _)| index)
            .collect();
        let schema = Arc::new(builder.schema().project(&chosen).map_err(internal)?);
        let mask = ProjectionMask::roots(builder.parquet_schema(), chosen);
        let builder = builder.with_projection(mask).with_batch_size(BATCH);
        let reader = builder.build().map_err(|error| {
            schema_error(format!("{name} is not a readable Parquet file")).because(error)
        })?;
        Ok(Self {
            name: name.into(),
            schema,
            metadata,
            rows,
            reader,
        })
    }

    /// The number of rows in the file.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns of the file.
    pub fn fields(&self) -> &Fields {
        self.schema.fields()
    }

    /// Returns true if there is a column of that name.
    pub fn has(&self, column: &str) -> bool {
        self.schema.column_with_name(column).is_some()
    }

    /// Returns a value of the file's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Returns a JSON list in the file's metadata.
    ///
    /// # Errors
    /// If it is there but is not a list of texts.
    pub fn metadata_list(&self, key: &str) -> Result<Option<Vec<String>>, StageError> {
        let Some(text) = self.metadata(key) else {
            return Ok(None);
        };
        match parse_list(text) {
            Some(list) => Ok(Some(list)),
            None => Err(schema_error(format!(
                "the metadata `{key}` of {} is not a JSON list of texts",
                self.name
            ))),
        }
    }

    /// Returns the next rows.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, StageError> {
        let batch = self.reader.next().transpose().map_err(|error| {
            let error = schema_error(format!("{} cannot be decoded", self.name)).because(error);
            // The reader fails in this way on a compression that it was built without.
            match error.message.contains("Disabled feature") {
                true => error.help("write the file with zstd or snappy compression"),
                false => error,
            }
        })?;
        Ok(batch.map(|batch| Batch {
            name: self.name.clone(),
            columns: batch.into(),
        }))
    }
}

/// Some rows of a [`TableReader`], or the fields of a struct column.
pub struct Batch {
    name: String,
    columns: StructArray,
}

impl Batch {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// The columns by name, as they are in the file.
    pub fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.columns.column_by_name(name)
    }

    fn want(&self, name: &str) -> Result<&ArrayRef, StageError> {
        let column = self.column(name).ok_or_else(|| {
            schema_error(format!("{} has no column `{name}`", self.name))
                .help(columns_help(self.columns.column_names()))
        })?;
        let names = self.columns.column_names().into_iter();
        match names.filter(|other| *other == name).count() {
            1 => Ok(column),
            _ => Err(column_twice(name, &self.name)),
        }
    }

    fn cast(&self, name: &str, array: &ArrayRef, to: &DataType) -> Result<ArrayRef, StageError> {
        convert(array, to).map_err(|error| self.other_type(name, array, to).because(error))
    }

    fn other_type(&self, name: &str, array: &ArrayRef, to: impl Display) -> StageError {
        schema_error(format!(
            "column `{name}` of {} is {}, where {to} is expected",
            self.name,
            array.data_type()
        ))
    }

    /// Returns a column of texts; numbers and dictionaries are converted. A data frame turns whole
    /// numbers into floats as soon as one is missing, so 90.0 is the text `90`, and NaN is a null.
    ///
    /// # Errors
    /// If there is no such column, it holds neither texts nor numbers, or a float in it may not be the
    /// number that was meant.
    pub fn texts(&self, name: &str) -> Result<StringArray, StageError> {
        let array = self.want(name)?;
        let exact = match array.data_type() {
            DataType::Float16 => f64::from(1 << 11),
            DataType::Float32 => f64::from(1 << 24),
            DataType::Float64 => (1_u64 << 53) as f64,
            kind if kind.is_nested() => {
                let text = format!(
                    "column `{name}` of {} is {kind}, where one text a row is expected",
                    self.name
                );
                return Err(schema_error(text));
            }
            _ => return Ok(self.cast(name, array, &DataType::Utf8)?.as_string().clone()),
        };
        // Each width is formatted by itself: a 32-bit 0.1 must not become the text 0.10000000149.
        let spelled = self.cast(name, array, &DataType::Utf8)?;
        let values = self.floats(name)?;
        let texts = values.iter().zip(spelled.as_string::<i32>());
        let texts = texts.map(|(value, text)| match value {
            None => Ok(None),
            Some(value) if value.is_nan() => Ok(None),
            Some(value) if value.fract() != 0.0 => Ok(text.map(String::from)),
            Some(value) if value.abs() <= exact => Ok(Some(value.to_string())),
            Some(value) => Err(schema_error(format!(
                "column `{name}` of {} is {}, which does not tell whole numbers such as {value} from \
                 their neighbours",
                self.name,
                array.data_type()
            ))
            .help("write the column as whole numbers or as texts; in pandas, `.astype(\"Int64\")` before \
                   values are lost")),
        });
        texts.collect()
    }

    /// Returns the column of object ids; `before` rows of the file came in earlier batches.
    ///
    /// # Errors
    /// As for [`Batch::texts`], or if a row has no id.
    pub fn ids(&self, name: &str, before: usize) -> Result<Vec<String>, StageError> {
        let ids = self.id_texts(name, before)?;
        Ok(ids.iter().flatten().map(String::from).collect())
    }

    /// Returns the same column as it was read, without nulls.
    ///
    /// # Errors
    /// As for [`Batch::ids`].
    pub fn id_texts(&self, name: &str, before: usize) -> Result<StringArray, StageError> {
        let ids = self.texts(name)?;
        let none = |id: Option<&str>| id.is_none_or(|id| is_no_value(id.trim()));
        match ids.iter().position(none) {
            Some(i) => Err(no_id(&self.name, "row", before + i + 1, name)),
            None => Ok(ids),
        }
    }

    /// Returns a column of numbers, as 64-bit floats.
    pub fn floats(&self, name: &str) -> Result<Float64Array, StageError> {
        let array = self.cast(name, self.want(name)?, &DataType::Float64)?;
        Ok(array.as_primitive::<Float64Type>().clone())
    }

    /// Returns a column of whole numbers.
    pub fn ints(&self, name: &str) -> Result<arrow_array::Int64Array, StageError> {
        let array = self.cast(name, self.want(name)?, &DataType::Int64)?;
        Ok(array.as_primitive::<Int64Type>().clone())
    }

    /// Returns the fields of a struct column.
    pub fn fields(&self, name: &str) -> Result<Batch, StageError> {
        let array = self.want(name)?;
        let columns = array.as_struct_opt().cloned().ok_or_else(|| {
            schema_error(format!(
                "column `{name}` of {} is {}, where a struct of lists is expected",
                self.name,
                array.data_type()
            ))
        })?;
        Ok(Batch {
            name: format!("`{name}` of {}", self.name),
            columns,
        })
    }

    /// Returns a column of lists of structs: the bounds of the rows (one more than there are rows), and
    /// the fields of the structs.
    pub fn structs(&self, name: &str) -> Result<(Vec<usize>, Batch), StageError> {
        let array = self.want(name)?;
        let lists = list_parts(array);
        let (bounds, values) = lists.ok_or_else(|| self.other_type(name, array, "a list"))?;
        let columns = values.as_struct_opt().cloned().ok_or_else(|| {
            let text = format!(
                "column `{name}` of {} holds lists of {}, where structs are expected",
                self.name,
                values.data_type()
            );
            schema_error(text)
        })?;
        let name = format!("`{name}` of {}", self.name);
        Ok((bounds, Batch { name, columns }))
    }

    /// Returns a column of lists: the bounds of the rows (one more than there are rows) and the values,
    /// converted to `item`.
    pub fn lists(&self, name: &str, item: &DataType) -> Result<(Vec<usize>, ArrayRef), StageError> {
        let array = self.want(name)?;
        let expected = || self.other_type(name, array, format!("a list of {item}"));
        let (bounds, values) = list_parts(array).ok_or_else(expected)?;
        let values = convert(&values, item).map_err(|error| expected().because(error))?;
        Ok((bounds, values))
    }
}

/// The error for a row without a usable object id; `place` is a line of a text or a row of a table.
pub(crate) fn no_id(table: &str, place: &str, number: usize, column: &str) -> StageError {
    schema_error(format!(
        "{place} {number} of {table} has no value in `{column}`"
    ))
    .help("every row needs the name of its object: give it one, or remove the row")
}

/// The error for two columns of one name, since neither can be meant.
pub(crate) fn column_twice(column: &str, table: &str) -> StageError {
    StageError::data(
        "flow::data::column_twice",
        format!("{table} has two columns called `{column}`"),
    )
    .help("rename or remove one of the two")
}

/// Returns a nullable column of texts as options.
pub(super) fn options(array: &StringArray) -> impl Iterator<Item = Option<String>> {
    array.iter().map(|v| v.map(String::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Float32Array;
    use arrow_schema::{Field, Schema};

    /// Snappy and 32-bit floats: what pandas and pyarrow write by default.
    fn foreign() -> flow_testkit::files::NamedTempFile {
        let schema = Schema::new(vec![
            Field::new("object_id", DataType::LargeUtf8, true),
            Field::new("x", DataType::Float32, true),
            Field::new("note", DataType::Utf8, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow_array::LargeStringArray::from(vec!["b", "a"])),
            Arc::new(Float32Array::from(vec![Some(0.5), None])),
            Arc::new(StringArray::from(vec!["1.5", "far"])),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let file = flow_testkit::files::NamedTempFile::new().unwrap();
        let mut writer =
            ArrowWriter::try_new(file.as_file(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    #[test]
    fn files_of_other_writers_are_read() {
        let file = foreign();
        let mut source = TableReader::open(file.path(), "t.parquet").unwrap();
        assert_eq!(source.rows(), 2);
        let batch = source.next_batch().unwrap().unwrap();
        assert_eq!(batch.texts("object_id").unwrap().value(0), "b");
        assert_eq!(
            batch.floats("x").unwrap().iter().collect::<Vec<_>>(),
            [Some(0.5), None]
        );
    }

    #[test]
    fn a_text_that_is_no_number_does_not_become_a_null() {
        let file = foreign();
        let batch = TableReader::open(file.path(), "t.parquet")
            .unwrap()
            .next_batch()
            .unwrap()
            .unwrap();
        let error = batch.floats("note").unwrap_err();
        assert!(
            error.message.contains("column `note` of t.parquet is Utf8"),
            "{error}"
        );
        let error = batch.floats("y").unwrap_err();
        assert_eq!(error.help, ["its columns are: object_id, x, note"]);
    }
}
