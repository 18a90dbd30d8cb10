//! Tensors of 32-bit floats, one per object, mapped into memory.
//!
//! The file is Arrow IPC with the columns `object_id: utf8` and one `FixedSizeList<f32>` that
//! carries the canonical extension type `arrow.fixed_shape_tensor`. Bodies are aligned and not
//! compressed, so that reading copies nothing. NaN stands for a missing value.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, StringArray};
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::root_as_footer;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flow_engine::StageError;
use memmap2::Mmap;

use super::{check_order, columns_help, schema_error};

/// The most values in one record batch (64 MiB). It is a constant, so that the bytes of a file do not
/// depend on how its rows were pushed.
const BATCH_VALUES: usize = 16 << 20;

/// Writes a tensor table, with rows in the order of `object_id`'s bytes.
pub struct TensorWriter<W: Write> {
    writer: FileWriter<W>,
    schema: SchemaRef,
    width: usize,
    batch_rows: usize,
    ids: Vec<String>,
    values: Vec<f32>,
    last: Option<String>,
}

impl<W: Write> TensorWriter<W> {
    /// Returns a writer of the column `name` with tensors of `shape` (row-major). `metadata` is added
    /// to that of the schema.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn new(
        writer: W,
        name: &str,
        shape: &[usize],
        metadata: Vec<(String, String)>,
    ) -> Result<Self, StageError> {
        let width: usize = shape.iter().product();
        let size = i32::try_from(width)
            .map_err(|_| schema_error(format!("a tensor of shape {shape:?} is too large")))?;
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let extension = [
            (
                "ARROW:extension:name".to_string(),
                "arrow.fixed_shape_tensor".to_string(),
            ),
            (
                "ARROW:extension:metadata".to_string(),
                format!("{{\"shape\":{}}}", serde_json::Value::from(shape)),
            ),
        ];
        let tensor = Field::new(name, DataType::FixedSizeList(item, size), false)
            .with_metadata(std::collections::HashMap::from(extension));
        let metadata: std::collections::HashMap<String, String> = metadata.into_iter().collect();
        let schema = Schema::new(vec![Field::new("object_id", DataType::Utf8, false), tensor])
            .with_metadata(metadata);
        let writer = FileWriter::try_new(writer, &schema).map_err(internal)?;
        Ok(Self {
            writer,
            schema: Arc::new(schema),
            width,
            batch_rows: (BATCH_VALUES / width.max(1)).max(1),
            ids: Vec::new(),
            values: Vec::new(),
            last: None,
        })
    }

    /// Appends rows: `rows` holds one tensor for each id, one after the other.
    ///
    /// # Errors
    /// If lengths differ, ids do not ascend, or the writer fails.
    pub fn push<S: AsRef<str>>(&mut self, ids: &[S], rows: &[f32]) -> Result<(), StageError> {
        if rows.len() != ids.len() * self.width {
            return Err(schema_error(format!(
                "{} values for {} rows of {}",
                rows.len(),
                ids.len(),
                self.width
            )));
        }
        for (i, id) in ids.iter().enumerate() {
            let id = id.as_ref();
            if self.last.as_deref().is_some_and(|last| last >= id) {
                return Err(schema_error(format!(
                    "row `{id}` is not in the order of object_id"
                )));
            }
            self.last = Some(id.into());
            self.ids.push(id.into());
            self.values
                .extend_from_slice(&rows[i * self.width..(i + 1) * self.width]);
            if self.ids.len() == self.batch_rows {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StageError> {
        let ids = std::mem::take(&mut self.ids);
        let values: ArrayRef = Arc::new(Float32Array::from(std::mem::take(&mut self.values)));
        let DataType::FixedSizeList(item, size) = self.schema.field(1).data_type() else {
            return Err(internal("the tensor column has another type"));
        };
        let rows =
            FixedSizeListArray::try_new_with_length(item.clone(), *size, values, None, ids.len())
                .map_err(internal)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(&ids)),
            Arc::new(rows),
        ];
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(internal)?;
        self.writer.write(&batch).map_err(internal)
    }

    /// Completes the file and gives back the writer.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn finish(mut self) -> Result<W, StageError> {
        if !self.ids.is_empty() {
            self.flush()?;
        }
        self.writer.into_inner().map_err(internal)
    }
}

fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> StageError {
    StageError::environment("cannot write a tensor table").because(error)
}

/// A tensor table mapped into memory.
#[derive(Clone, Debug)]
pub struct TensorTable {
    ids: Vec<String>,
    rows: usize,
    shape: Vec<usize>,
    width: usize,
    metadata: Vec<(String, String)>,
    /// The first row and the values of each record batch.
    batches: Vec<(usize, Float32Array)>,
}

impl TensorTable {
    /// Maps `path`, whose tensor column is called `name`.
    ///
    /// # Errors
    /// If the file cannot be opened (environment), or does not fit (data).
    pub fn open(path: &Path, name: &str) -> Result<Self, StageError> {
        let unreadable = |error: Box<dyn Error + Send + Sync>| {
            schema_error(format!(
                "the `{name}` table is not a readable Arrow IPC file"
            ))
            .because(error)
        };
        let buffer = map(path)?;
        let trailer = buffer
            .len()
            .checked_sub(10)
            .ok_or_else(|| unreadable("it is too short".into()))?;
        let mut tail = [0; 10];
        tail.copy_from_slice(&buffer[trailer..]);
        let length = read_footer_length(tail).map_err(|error| unreadable(error.into()))?;
        let start = trailer
            .checked_sub(length)
            .ok_or_else(|| unreadable("its footer is cut off".into()))?;
        // Built as it is here, this error is a text and no `Error`.
        let footer = root_as_footer(&buffer[start..trailer])
            .map_err(|error| unreadable(error.to_string().into()))?;
        let schema = footer
            .schema()
            .ok_or_else(|| unreadable("it has no schema".into()))?;
        let schema = Arc::new(try_fb_to_schema(schema).map_err(|error| unreadable(error.into()))?);
        let shape = shape_of(&schema, name)?;
        let metadata = schema
            .metadata()
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let decoder = FileDecoder::new(schema, footer.version()).with_require_alignment(true);

        let width = shape.iter().product();
        let mut table = Self {
            ids: Vec::new(),
            rows: 0,
            shape,
            width,
            metadata,
            batches: Vec::new(),
        };
        for block in footer.recordBatches().into_iter().flatten() {
            let offset = usize::try_from(block.offset()).unwrap_or(usize::MAX);
            let body = usize::try_from(block.bodyLength()).unwrap_or(usize::MAX);
            let head = usize::try_from(block.metaDataLength()).unwrap_or(usize::MAX);
            let length = body.saturating_add(head);
            if offset.saturating_add(length) > buffer.len() {
                return Err(unreadable("a record batch is cut off".into()));
            }
            let data = buffer.slice_with_length(offset, length);
            let batch = decoder
                .read_record_batch(block, &data)
                .map_err(|error| unreadable(error.into()))?;
            if let Some(batch) = batch {
                table.extend(&batch, name)?;
            }
        }
        check_order(&table.ids, &format!("the `{name}` table"))?;
        Ok(table)
    }

    /// Returns a table in memory: `values` holds the rows of `ids` in order, one after the other.
    pub(super) fn from_memory(
        ids: Vec<String>,
        values: Vec<f32>,
        metadata: Vec<(String, String)>,
    ) -> Self {
        let width = values.len().checked_div(ids.len()).unwrap_or(0);
        let batches = vec![(0, Float32Array::from(values))];
        Self {
            rows: ids.len(),
            ids,
            shape: vec![width],
            width,
            metadata,
            batches,
        }
    }

    fn extend(&mut self, batch: &RecordBatch, name: &str) -> Result<(), StageError> {
        let missing = || schema_error(format!("the `{name}` table holds a null"));
        let ids = batch
            .column_by_name("object_id")
            .and_then(|a| a.as_string_opt::<i32>());
        let rows = batch
            .column_by_name(name)
            .and_then(|a| a.as_fixed_size_list_opt());
        let (Some(ids), Some(rows)) = (ids, rows) else {
            return Err(missing());
        };
        let Some(values) = rows.values().as_primitive_opt::<Float32Type>() else {
            return Err(missing());
        };
        if ids.null_count() > 0 || rows.null_count() > 0 || values.null_count() > 0 {
            return Err(missing());
        }
        self.batches.push((self.rows, values.clone()));
        self.rows += ids.len();
        self.ids.extend(ids.iter().flatten().map(String::from));
        Ok(())
    }

    /// Returns the objects, in row order, and keeps the rows without them. They are what a mapped table holds in memory.
    pub fn take_ids(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ids)
    }

    /// The objects, in row order, unless they were taken.
    pub fn object_ids(&self) -> &[String] {
        &self.ids
    }

    /// The shape of each row's tensor, row-major.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns a value of the schema's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the tensor of row `i`. Panics if there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        let batch = self.batches.partition_point(|(first, _)| *first <= i) - 1;
        let (first, values) = &self.batches[batch];
        &values.values()[(i - first) * self.width..(i - first + 1) * self.width]
    }

    /// The whole table in pieces. Each piece has the number of its first row and the values of
    /// consecutive rows.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.batches
            .iter()
            .map(|(first, values)| (*first, &values.values()[..]))
    }
}

/// The shape of the tensor column `name`, from its extension type or else from the length of its lists.
fn shape_of(schema: &Schema, name: &str) -> Result<Vec<usize>, StageError> {
    let names = || schema.fields().iter().map(|field| field.name());
    let wrong = |what: &str| schema_error(what).help(columns_help(names()));
    match schema
        .field_with_name("object_id")
        .map(|f| f.data_type().clone())
    {
        Ok(DataType::Utf8) => {}
        _ => {
            return Err(wrong(&format!(
                "the `{name}` table has no column `object_id: utf8`"
            )));
        }
    }
    let field = schema
        .field_with_name(name)
        .map_err(|_| wrong(&format!("the `{name}` table has no column `{name}`")))?;
    let DataType::FixedSizeList(item, size) = field.data_type() else {
        return Err(wrong(&format!(
            "column `{name}` is {}, where a tensor is expected",
            field.data_type()
        )));
    };
    if item.data_type() != &DataType::Float32 {
        return Err(wrong(&format!(
            "column `{name}` holds {}, where Float32 is expected",
            item.data_type()
        )));
    }
    let size = usize::try_from(*size).unwrap_or(0);
    let Some(extension) = field.metadata().get("ARROW:extension:metadata") else {
        return Ok(vec![size]);
    };
    let shape: Option<Vec<usize>> = serde_json::from_str::<serde_json::Value>(extension)
        .ok()
        .and_then(|json| json.get("shape")?.as_array().cloned())
        .and_then(|dims| {
            dims.iter()
                .map(|d| usize::try_from(d.as_u64()?).ok())
                .collect()
        });
    match shape {
        Some(shape) if shape.iter().product::<usize>() == size => Ok(shape),
        _ => Err(wrong(&format!(
            "column `{name}` has {size} values a row, but the shape {extension}"
        ))),
    }
}

/// Maps a file into memory.
fn map(path: &Path) -> Result<Buffer, StageError> {
    let cannot = |error: std::io::Error| {
        StageError::environment(format!("cannot map {}", path.display())).because(error)
    };
    let file = File::open(path).map_err(cannot)?;
    // SAFETY: artifacts are immutable: written once, published under their digest, read-only.
    let map = Arc::new(unsafe { Mmap::map(&file) }.map_err(cannot)?);
    let Some(start) = NonNull::new(map.as_ptr().cast_mut()) else {
        return Ok(Buffer::from_vec(Vec::<u8>::new()));
    };
    // SAFETY: `start` points to `map.len()` readable bytes that live as long as `map`, which the
    // buffer owns; a buffer never writes to memory that it did not allocate.
    Ok(unsafe { Buffer::from_custom_allocation(start, map.len(), map) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::file_of;

    fn grid(chunk: usize) -> Vec<u8> {
        let ids: Vec<String> = (0..7).map(|i| format!("o{i}")).collect();
        let rows: Vec<f32> = (0..42).map(|v| v as f32).collect();
        let meta = vec![("flow.bands".to_string(), "[\"g\",\"r\"]".to_string())];
        let mut writer = TensorWriter::new(Vec::new(), "grid", &[2, 3], meta).unwrap();
        for (ids, rows) in ids.chunks(chunk).zip(rows.chunks(chunk * 6)) {
            writer.push(ids, rows).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn rows_come_back_and_the_bytes_do_not_depend_on_the_pushes() {
        let bytes = grid(7);
        assert_eq!(bytes, grid(2));
        let table = TensorTable::open(file_of(&bytes).path(), "grid").unwrap();
        assert_eq!(table.shape(), [2, 3]);
        assert_eq!(table.rows(), 7);
        assert_eq!(table.row(0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(table.row(6)[5], 41.0);
        assert_eq!(table.metadata("flow.bands"), Some("[\"g\",\"r\"]"));
        assert_eq!(table.blocks().map(|(_, v)| v.len()).sum::<usize>(), 42);
    }

    #[test]
    fn rows_lie_where_the_file_was_mapped() {
        let file = file_of(grid(7));
        let buffer = map(file.path()).unwrap();
        let table = TensorTable::open(file.path(), "grid").unwrap();
        // The two maps of one file are compared by the offset of the rows within each map.
        let bytes = buffer.as_slice();
        let needle: Vec<u8> = table.row(3).iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(bytes.windows(needle.len()).any(|w| w == needle));
        assert_eq!(table.row(3).as_ptr() as usize % 8, 0);
    }

    #[test]
    fn a_cut_or_foreign_file_is_an_error() {
        let bytes = grid(7);
        for cut in [0, 5, 100, bytes.len() - 1] {
            let error = TensorTable::open(file_of(&bytes[..cut]).path(), "grid").unwrap_err();
            assert!(!error.message.is_empty());
        }
        let error = TensorTable::open(file_of(&bytes).path(), "features").unwrap_err();
        assert!(error.message.contains("no column `features`"), "{error}");
        assert_eq!(error.help, ["its columns are: object_id, grid"]);
    }

    #[test]
    fn pushes_that_do_not_fit_are_refused() {
        let mut writer = TensorWriter::new(Vec::new(), "grid", &[2], Vec::new()).unwrap();
        assert!(writer.push(&["a"], &[1.0]).is_err());
        writer.push(&["b"], &[1.0, 2.0]).unwrap();
        assert!(writer.push(&["a"], &[1.0, 2.0]).is_err());
    }
}
