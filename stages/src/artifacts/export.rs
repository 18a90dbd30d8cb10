//! Artifacts as files for the user: Parquet, Arrow IPC, CSV or JSON, by the file's extension.
//!
//! Parts (shards, folds) become one table in the order of `object_id`. An artifact that is text already
//! (metrics, reports, a submission) is copied. Boosted trees become a model that XGBoost loads.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flow_engine::StageError;
use flow_engine::kind::{Part, PortType};
use flow_engine::outputs::delivery::Export;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::learner::saved::{ModelHeader, SavedModel};
use crate::learner::xgboost;
use crate::rows::FINAL;
use crate::table::{FeatureTable, FeatureWriter, properties};

/// Writes artifacts in the format that an extension names.
pub struct Exporter;

/// The number of rows of a wide table that are written at a time.
const ROWS: usize = 1024;

impl Export for Exporter {
    fn export(
        &self,
        ty: PortType,
        parts: &[Part],
        extension: &str,
        to: &mut dyn Write,
    ) -> Result<(), StageError> {
        let Some(first) = parts.first() else {
            return Err(StageError::data(
                "flow::export::empty",
                "there is nothing to write",
            ));
        };
        if ty == "model" && extension == "json" && is_learned(first)? {
            return write_model(parts, to);
        }
        let native = native(&first.path)?;
        if parts.len() == 1 && (native == extension || native == TEXT) {
            return copy(first, native, extension, to);
        }
        match (native, extension) {
            (PARQUET, _) => write_table(&read_parquet(parts)?, extension, to),
            (ARROW, "arrow") if ty == "features" => merge_features(&open_features(parts)?, to),
            (ARROW, _) if ty == "features" => write_wide(&open_features(parts)?, extension, to),
            (ARROW, _) => Err(unsupported(
                extension,
                "a tensor table",
                "arrow, shard by shard",
            )),
            _ => Err(StageError::data(
                "flow::export::parts",
                format!("port has {} parts that do not form one table", parts.len()),
            )
            .help("only tables can be joined; look at single artifacts with `flow explain`")),
        }
    }
}

const PARQUET: &str = "parquet";
const ARROW: &str = "arrow";
const TEXT: &str = "text";

/// The format of an artifact, told from its first bytes.
fn native(path: &Path) -> Result<&'static str, StageError> {
    let mut magic = Vec::new();
    std::io::Read::read_to_end(
        &mut std::io::Read::take(std::fs::File::open(path)?, 6),
        &mut magic,
    )?;
    Ok(match magic.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => PARQUET,
        b"ARROW1" => ARROW,
        _ => TEXT,
    })
}

fn copy(part: &Part, native: &str, extension: &str, to: &mut dyn Write) -> Result<(), StageError> {
    if native == TEXT && [PARQUET, ARROW].contains(&extension) {
        return Err(unsupported(
            extension,
            "text",
            "csv, json, md or txt, as it is",
        ));
    }
    std::io::copy(&mut std::fs::File::open(&part.path)?, to)?;
    Ok(())
}

/// Whether an artifact is the model of a learner, and not what another kind calls a model.
fn is_learned(part: &Part) -> Result<bool, StageError> {
    Ok(ModelHeader::read(&std::fs::read(&part.path)?).is_ok())
}

/// Writes the final fit, or the only one, for XGBoost.
fn write_model(parts: &[Part], to: &mut dyn Write) -> Result<(), StageError> {
    let last = |part: &&Part| parts.len() == 1 || part.fold.as_deref() == Some(FINAL);
    let part = parts.iter().find(last).ok_or_else(|| {
        let message = format!(
            "there are models of {} folds, and no final fit",
            parts.len()
        );
        StageError::data("flow::export::parts", message)
            .help("the `folds` stage leaves it out with `only`: name \"final\" there as well")
    })?;
    let saved = SavedModel::read(&std::fs::read(&part.path)?)
        .map_err(|e| StageError::data("flow::data::schema", "a model is unreadable").because(e))?;
    let ensemble = saved.model.ensemble().ok_or_else(|| {
        let message = "only one model of trees by learner `hessboost` can be written for XGBoost";
        StageError::data("flow::export::format", message)
            .help("learner = \"hessboost\", and no `bags`")
    })?;
    let bytes = xgboost::write(&ensemble, &saved.header.columns)
        .map_err(|e| StageError::failed("flow::model::write", e.to_string()).with_source(e))?;
    to.write_all(&bytes)?;
    Ok(())
}

fn unsupported(extension: &str, what: &str, instead: &str) -> StageError {
    StageError::data(
        "flow::export::format",
        format!("`.{extension}` is not a format that {what} can be written as"),
    )
    .help(format!("use one of: {instead}"))
}

fn broken(error: impl Error + Send + Sync + 'static) -> StageError {
    StageError::environment("failed to write a table").because(error)
}

fn unreadable(error: impl Error + Send + Sync + 'static) -> StageError {
    StageError::data("flow::data::schema", "a table is unreadable").because(error)
}

/// All parts as one batch, in the order of `object_id` if there is one.
fn read_parquet(parts: &[Part]) -> Result<RecordBatch, StageError> {
    let mut batches = Vec::new();
    let mut schema: Option<SchemaRef> = None;
    for part in parts {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&part.path)?)
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

fn write_table(table: &RecordBatch, extension: &str, to: &mut dyn Write) -> Result<(), StageError> {
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
                arrow::ipc::writer::FileWriter::try_new(to, &table.schema()).map_err(broken)?;
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
            arrow::csv::Writer::new(to).write(table).map_err(broken)?;
        }
        "json" => {
            let mut writer = arrow::json::ArrayWriter::new(to);
            writer.write(table).map_err(broken)?;
            writer.finish().map_err(broken)?;
        }
        other => return Err(unsupported(other, "a table", "parquet, arrow, csv, json")),
    }
    Ok(())
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
    write_table(&table, extension, to)
}

/// Feature tables, and the place of each row in the order of `object_id`.
struct Features {
    tables: Vec<FeatureTable>,
    order: Vec<(usize, usize)>,
}

fn open_features(parts: &[Part]) -> Result<Features, StageError> {
    let tables: Vec<FeatureTable> = parts
        .iter()
        .map(|part| FeatureTable::open(&part.path))
        .collect::<Result<_, _>>()?;
    if tables.iter().any(|t| t.columns() != tables[0].columns()) {
        return Err(StageError::data(
            "flow::export::parts",
            "the parts have different columns, so they do not form one table",
        )
        .help("export the stages that feed this one, each by itself"));
    }
    let mut order: Vec<(usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(t, table)| (0..table.rows()).map(move |row| (t, row)))
        .collect();
    order.sort_by(|a, b| tables[a.0].object_ids()[a.1].cmp(&tables[b.0].object_ids()[b.1]));
    Ok(Features { tables, order })
}

fn merge_features(features: &Features, to: &mut dyn Write) -> Result<(), StageError> {
    let mut writer = FeatureWriter::new(to, features.tables[0].columns())?;
    for &(t, row) in &features.order {
        let table = &features.tables[t];
        writer.push(&table.object_ids()[row..=row], table.row(row))?;
    }
    writer.finish().map(|_| ())
}

fn write_wide(features: &Features, extension: &str, to: &mut dyn Write) -> Result<(), StageError> {
    let columns = features.tables[0].columns();
    let mut fields = vec![Field::new("object_id", DataType::Utf8, false)];
    fields.extend(
        columns
            .iter()
            .map(|name| Field::new(name, DataType::Float32, true)),
    );
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for rows in features.order.chunks(ROWS) {
        let ids = rows
            .iter()
            .map(|&(t, row)| &features.tables[t].object_ids()[row]);
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(ids))];
        for column in 0..columns.len() {
            let values = rows.iter().map(|&(t, row)| {
                let value = features.tables[t].row(row)[column];
                (!value.is_nan()).then_some(value)
            });
            arrays.push(Arc::new(values.collect::<Float32Array>()));
        }
        batches.push(RecordBatch::try_new(schema.clone(), arrays).map_err(broken)?);
    }
    write_table(
        &concat_batches(&schema, &batches).map_err(broken)?,
        extension,
        to,
    )
}
