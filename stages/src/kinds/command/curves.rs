//! Light curves for a program: several tables read side by side, as they are.

use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_schema::Field;
use arrow_select::interleave::interleave;
use flow_engine::kind::{Part, StageError};

use crate::table::{RAW_LABEL, SCHEMA, TableReader, check_order};

/// Tables of light curves, each in the order of `object_id`, read side by side unchanged. Their labels
/// are not read.
pub(super) struct CurveTables {
    name: String,
    pub(super) fields: Vec<Field>,
    pub(super) bands: Option<String>,
    readers: Vec<PartReader>,
}

/// One of the tables, and the rows of it that are decoded.
struct PartReader {
    source: TableReader,
    ids: Vec<String>,
    columns: Vec<ArrayRef>,
    /// The next row.
    at: usize,
    /// The number of batches and rows that were decoded.
    batch: usize,
    read: usize,
}

impl CurveTables {
    pub(super) fn open(port: &str, parts: &[Part]) -> Result<Self, StageError> {
        let name = format!("a table of `{port}`");
        let mut tables = Self {
            name: name.clone(),
            fields: Vec::new(),
            bands: None,
            readers: Vec::new(),
        };
        for part in parts {
            let source = TableReader::open_columns(&part.path, &name, |column| {
                column != "label" && column != RAW_LABEL
            })?;
            let fields = source.fields().iter().filter(|f| f.name() != "object_id");
            let fields: Vec<Field> = fields.map(|field| field.as_ref().clone()).collect();
            if tables.readers.is_empty() {
                tables.bands = source.metadata("flow.bands").map(String::from);
                tables.fields = fields;
            } else if tables.fields != fields {
                return Err(StageError::data(
                    SCHEMA,
                    format!("the tables that come in through `{port}` differ in their columns"),
                ));
            }
            tables.readers.push(PartReader {
                source,
                ids: Vec::new(),
                columns: Vec::new(),
                at: 0,
                batch: 0,
                read: 0,
            });
        }
        Ok(tables)
    }

    /// Returns the columns of the next objects.
    pub(super) fn columns(&mut self, ids: &[String]) -> Result<Vec<ArrayRef>, StageError> {
        let mut batches: Vec<Vec<ArrayRef>> = Vec::new();
        // For each table: which of its decoded batches was noted last, and where.
        let mut noted: Vec<Option<(usize, usize)>> = vec![None; self.readers.len()];
        let mut picks = Vec::with_capacity(ids.len());
        for id in ids {
            let mut found = None;
            for (index, reader) in self.readers.iter_mut().enumerate() {
                if !reader.seek(id, &self.name, &self.fields)? {
                    continue;
                }
                if found.is_some() {
                    return Err(StageError::data(
                        "flow::data::object_twice",
                        format!("object `{id}` is in two tables of one input"),
                    ));
                }
                let batch = match noted[index] {
                    Some((batch, at)) if batch == reader.batch => at,
                    _ => {
                        batches.push(reader.columns.clone());
                        noted[index] = Some((reader.batch, batches.len() - 1));
                        batches.len() - 1
                    }
                };
                found = Some((batch, reader.at));
            }
            picks.push(found.ok_or_else(|| {
                StageError::data(
                    "flow::data::objects_differ",
                    format!("{} lacks object `{id}` of the folds", self.name),
                )
                .help("make the folds from the `objects` of the same `ingest` stage")
            })?);
        }
        let column = |(index, field): (usize, &Field)| {
            let arrays: Vec<&dyn Array> = batches.iter().map(|b| b[index].as_ref()).collect();
            if arrays.is_empty() {
                return Ok(new_empty_array(field.data_type()));
            }
            interleave(&arrays, &picks)
                .map_err(|e| StageError::environment("cannot cut out rows").because(e))
        };
        self.fields.iter().enumerate().map(column).collect()
    }
}

impl PartReader {
    /// Advances to the first row that is not before `id`; returns true if it belongs to that object.
    fn seek(&mut self, id: &String, name: &str, fields: &[Field]) -> Result<bool, StageError> {
        loop {
            self.at += self.ids[self.at..].partition_point(|here| here < id);
            if let Some(here) = self.ids.get(self.at) {
                return Ok(here == id);
            }
            if !self.decode(name, fields)? {
                return Ok(false);
            }
        }
    }

    /// Decodes further rows; returns false at the end.
    fn decode(&mut self, name: &str, fields: &[Field]) -> Result<bool, StageError> {
        let Some(batch) = self.source.next_batch()? else {
            return Ok(false);
        };
        let mut ids: Vec<String> = self.ids.pop().into_iter().collect();
        let before = ids.len();
        ids.extend(batch.ids("object_id", self.read)?);
        self.read += batch.len();
        check_order(&ids, name)?;
        self.ids = ids.split_off(before);
        self.columns = fields
            .iter()
            .filter_map(|field| batch.column(field.name()).cloned())
            .collect();
        self.at = 0;
        self.batch += 1;
        Ok(true)
    }
}
