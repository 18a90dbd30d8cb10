//! Parquet files: objects, and light curves either flat (one row per observation) or nested.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, StringArray};
use arrow_schema::DataType;
use flow_engine::StageError;

use crate::table::{Batch, TableReader, columns_help};

use super::build::{Builder, CurveRow};
use super::catalogue::{Catalogue, ObjectRow};
use super::columns::{Mapping, OBJECT_COLUMNS};
use super::known::Wanted;
use super::reject::Cell;

/// How a file holds light curves.
enum CurveForm<'a> {
    /// One row per observation.
    Flat,
    /// One row per object, with a struct of lists.
    Struct(&'a str),
    /// One row per object, with a list of structs.
    List(&'a str),
    /// One row per object, with several lists.
    Lists,
}

impl<'a> CurveForm<'a> {
    fn of(source: &TableReader, mapping: &'a Mapping, file: &str) -> Result<Self, StageError> {
        let header = header(source);
        let kind = |name: &str| {
            let field = source.fields().iter().find(|field| field.name() == name);
            field.map(|field| field.data_type())
        };
        let is_list = |kind: &DataType| {
            matches!(
                kind,
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
            )
        };
        let nested = mapping.name(NESTED);
        mapping.place_if_any(NESTED, &header, file)?;
        match kind(nested) {
            Some(kind) if is_list(kind) => return Ok(Self::List(nested)),
            Some(_) => return Ok(Self::Struct(nested)),
            None => {}
        }
        match kind(mapping.name("time")) {
            Some(kind) if is_list(kind) => return Ok(Self::Lists),
            Some(_) => {}
            None => {
                let other = source
                    .fields()
                    .iter()
                    .find(|field| field.data_type().is_nested());
                if let Some(other) = other {
                    let text = format!(
                        "{file} has no column `{}` (time), nor `{nested}` of nested light curves",
                        mapping.name("time")
                    );
                    let help = format!(
                        "if the light curves are in `{0}`:\n[stages.NAME.columns]\n{NESTED} = \"{0}\"",
                        other.name()
                    );
                    return Err(StageError::data("flow::data::column", text)
                        .help(help)
                        .help(columns_help(&header)));
                }
            }
        }
        for key in ["time", "band", "flux", "flux_err"] {
            mapping.place(key, &header, file)?;
        }
        Ok(Self::Flat)
    }

    /// Passes on the rows of a batch that holds light curves nested.
    fn push_nested(
        &self,
        batch: &Batch,
        ids: &StringArray,
        mapping: &Mapping,
        builder: &mut Builder<'_>,
        line: u64,
    ) -> Result<(), StageError> {
        let inner = match self {
            CurveForm::Struct(name) => Some(batch.fields(name)?),
            _ => None,
        };
        let structs = match self {
            CurveForm::List(name) => Some(batch.structs(name)?),
            _ => None,
        };
        let list = |key: &str, item: DataType| -> Result<(Vec<usize>, ArrayRef), StageError> {
            let name = mapping.name(key);
            match &structs {
                None => inner.as_ref().unwrap_or(batch).lists(name, &item),
                Some((bounds, rows)) if item == DataType::Utf8 => {
                    Ok((bounds.clone(), Arc::new(rows.texts(name)?)))
                }
                Some((bounds, rows)) => Ok((bounds.clone(), Arc::new(rows.floats(name)?))),
            }
        };
        let (bounds, time) = list("time", DataType::Float64)?;
        let (flux_bounds, flux) = list("flux", DataType::Float64)?;
        let (err_bounds, flux_err) = list("flux_err", DataType::Float64)?;
        let (band_bounds, bands) = list("band", DataType::Utf8)?;
        let [time, flux, flux_err] = [&time, &flux, &flux_err]
            .map(|a| ColumnCells::Numbers(a.as_primitive::<Float64Type>().clone()));
        let bands = bands.as_string::<i32>();
        let others = [&flux_bounds, &err_bounds, &band_bounds];
        for i in 0..batch.len() {
            let length = bounds[i + 1] - bounds[i];
            let object_id = text(ids, i);
            if others.iter().any(|b| b[i + 1] - b[i] != length) {
                builder.reject(
                    line + i as u64 + 1,
                    "light curve with lists of unequal length",
                    &object_id.show(),
                );
                continue;
            }
            for j in 0..length {
                builder.push(&CurveRow {
                    line: line + i as u64 + 1,
                    object_id,
                    time: time.cell(bounds[i] + j),
                    band: text(bands, band_bounds[i] + j),
                    flux: flux.cell(flux_bounds[i] + j),
                    flux_err: flux_err.cell(err_bounds[i] + j),
                });
            }
        }
        Ok(())
    }
}

/// The name of nested light curves in a mapping.
const NESTED: &str = "lightcurve";

/// Reads the object columns of a file into `catalogue`; messages call it `file`.
///
/// # Errors
/// If the file cannot be read, lacks a column, or the catalogue refuses a row.
pub(super) fn objects(
    path: &Path,
    file: &str,
    mapping: &Mapping,
    catalogue: &mut Catalogue<'_>,
) -> Result<(), StageError> {
    let header = header(&TableReader::open(path, file)?);
    let id = mapping.place("object_id", &header, file)?;
    let mut places = [None; 6];
    for (place, key) in places.iter_mut().zip(OBJECT_COLUMNS) {
        *place = mapping.place_if_any(key, &header, file)?;
    }
    let used: Vec<&String> = places
        .iter()
        .flatten()
        .chain([&id])
        .map(|&i| &header[i])
        .collect();
    let is_used = |name: &str| used.iter().any(|used| *used == name);
    let mut source = TableReader::open_columns(path, file, is_used)?;
    let mut line = 0;
    while let Some(batch) = source.next_batch()? {
        let ids = batch.texts(&header[id])?;
        let mut columns: [Option<ColumnCells>; 6] = Default::default();
        for ((column, place), key) in columns.iter_mut().zip(places).zip(OBJECT_COLUMNS) {
            let numeric = matches!(key, "redshift" | "redshift_err" | "ebv");
            *column = place
                .map(|i| ColumnCells::of(&batch, &header[i], numeric))
                .transpose()?;
        }
        for i in 0..batch.len() {
            line += 1;
            let values = std::array::from_fn(|c| columns[c].as_ref().map(|column| column.cell(i)));
            catalogue.push(
                &ObjectRow {
                    line,
                    object_id: text(&ids, i),
                    values,
                },
                file,
            )?;
        }
    }
    Ok(())
}

/// Reads the ids of a light-curve file into `wanted`; messages call it `file`.
///
/// # Errors
/// As for [`observations`], but only for what is wrong with the ids.
pub(super) fn ids(
    (path, file): (&Path, &str),
    mapping: &Mapping,
    wanted: &mut Wanted,
    checkpoint: &dyn Fn() -> Result<(), StageError>,
) -> Result<(), StageError> {
    let header = header(&TableReader::open(path, file)?);
    let id = &header[mapping.place("object_id", &header, file)?];
    let mut source = TableReader::open_columns(path, file, |name| name == id)?;
    while let Some(batch) = source.next_batch()? {
        checkpoint()?;
        let ids = batch.texts(id)?;
        for i in 0..batch.len() {
            if let Ok(id) = text(&ids, i).text() {
                wanted.add(id);
            }
        }
    }
    Ok(())
}

/// Reads a light-curve file into `builder`.
///
/// # Errors
/// If the file cannot be read, is empty or lacks a column, or `checkpoint` fails.
pub(super) fn observations(
    path: &Path,
    mapping: &Mapping,
    builder: &mut Builder<'_>,
    checkpoint: &dyn Fn() -> Result<(), StageError>,
) -> Result<(), StageError> {
    let file = builder.file;
    let mut source = TableReader::open(path, file)?;
    if source.rows() == 0 {
        return Err(StageError::data(
            "flow::data::empty",
            format!("{file} has no rows"),
        ));
    }
    let header = header(&source);
    let id = mapping.place("object_id", &header, file)?;
    let form = CurveForm::of(&source, mapping, file)?;
    let mut line = 0;
    while let Some(batch) = source.next_batch()? {
        checkpoint()?;
        let ids = batch.texts(&header[id])?;
        if !matches!(form, CurveForm::Flat) {
            form.push_nested(&batch, &ids, mapping, builder, line)?;
        } else {
            let columns = ["time", "flux", "flux_err"]
                .map(|key| ColumnCells::of(&batch, mapping.name(key), true));
            let [time, flux, flux_err] = columns;
            let (time, flux, flux_err) = (time?, flux?, flux_err?);
            let bands = batch.texts(mapping.name("band"))?;
            for i in 0..batch.len() {
                builder.push(&CurveRow {
                    line: line + i as u64 + 1,
                    object_id: text(&ids, i),
                    time: time.cell(i),
                    band: text(&bands, i),
                    flux: flux.cell(i),
                    flux_err: flux_err.cell(i),
                });
            }
        }
        line += batch.len() as u64;
    }
    Ok(())
}

fn header(source: &TableReader) -> Vec<String> {
    source
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

/// Returns a column as cells.
enum ColumnCells {
    Texts(StringArray),
    Numbers(Float64Array),
}

impl ColumnCells {
    /// Texts stay texts, so that one bad value costs a row and not the file.
    fn of(batch: &Batch, name: &str, numeric: bool) -> Result<Self, StageError> {
        let is_number = batch
            .column(name)
            .is_some_and(|array| array.data_type().is_numeric());
        if numeric && is_number {
            return Ok(Self::Numbers(batch.floats(name)?));
        }
        Ok(Self::Texts(batch.texts(name)?))
    }

    fn cell(&self, i: usize) -> Cell<'_> {
        match self {
            Self::Texts(array) => text(array, i),
            Self::Numbers(array) if array.is_null(i) => Cell::Missing,
            Self::Numbers(array) => Cell::Number(array.value(i)),
        }
    }
}

fn text(array: &StringArray, i: usize) -> Cell<'_> {
    if array.is_null(i) {
        Cell::Missing
    } else {
        Cell::Text(array.value(i).as_bytes())
    }
}
