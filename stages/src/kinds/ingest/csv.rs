//! CSV files, streamed record by record.

use std::path::Path;

use csv::ByteRecord;
use flow_engine::StageError;

use crate::table::Records;

use super::build::{Builder, CurveRow};
use super::catalogue::{Catalogue, ObjectRow};
use super::columns::{Mapping, OBJECT_COLUMNS};
use super::known::Wanted;
use super::reject::Cell;

/// Reads an objects file into `catalogue`; messages call it `file`.
///
/// # Errors
/// If the file cannot be read, is empty, lacks a column, or the catalogue refuses a row.
pub(super) fn objects(
    path: &Path,
    file: &str,
    mapping: &Mapping,
    catalogue: &mut Catalogue<'_>,
) -> Result<(), StageError> {
    let mut records = Records::open(path, file)?;
    let id = mapping.place("object_id", &records.header, file)?;
    let mut places = [None; 6];
    for (place, key) in places.iter_mut().zip(OBJECT_COLUMNS) {
        *place = mapping.place_if_any(key, &records.header, file)?;
    }
    let used: Vec<usize> = places.iter().flatten().copied().chain([id]).collect();
    while let Some(line) = records.next(&used)? {
        let record = &records.record;
        if records.is_ragged() {
            catalogue.reject(file, line, "wrong number of fields", &show(record));
            continue;
        }
        let values = places.map(|place| place.map(|i| Cell::Text(&record[i])));
        catalogue.push(
            &ObjectRow {
                line,
                object_id: Cell::Text(&record[id]),
                values,
            },
            file,
        )?;
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
    let mut records = Records::open(path, file)?;
    let id = mapping.place("object_id", &records.header, file)?;
    while let Some(line) = records.next(&[id])? {
        if line.is_multiple_of(65_536) {
            checkpoint()?;
        }
        if !records.is_ragged()
            && let Ok(id) = Cell::Text(&records.record[id]).text()
        {
            wanted.add(id);
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
    let mut records = Records::open(path, file)?;
    let place = |key: &str| mapping.place(key, &records.header, file);
    let used = [
        place("object_id")?,
        place("time")?,
        place("band")?,
        place("flux")?,
        place("flux_err")?,
    ];
    while let Some(line) = records.next(&used)? {
        if line.is_multiple_of(65_536) {
            checkpoint()?;
        }
        let record = &records.record;
        if records.is_ragged() {
            builder.reject(line, "wrong number of fields", &show(record));
            continue;
        }
        let [object_id, time, band, flux, flux_err] = used.map(|i| Cell::Text(&record[i]));
        builder.push(&CurveRow {
            line,
            object_id,
            time,
            band,
            flux,
            flux_err,
        });
    }
    Ok(())
}

fn show(record: &ByteRecord) -> String {
    record
        .iter()
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join(",")
}
