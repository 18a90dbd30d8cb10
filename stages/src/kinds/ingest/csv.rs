//! CSV files, streamed record by record.

use std::fs::File;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};
use flow_engine::StageError;

use super::build::{Builder, Row};
use super::catalogue::{Catalogue, ObjectRow};
use super::columns::{Mapping, OBJECT_COLUMNS};
use super::reject::Cell;

/// Reads an objects file into `catalogue`; messages call it `file`.
///
/// # Errors
/// The file cannot be read, is empty, lacks a column, or the catalogue refuses a row.
pub(super) fn objects(
    path: &Path,
    file: &str,
    mapping: &Mapping,
    catalogue: &mut Catalogue,
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
        if record.len() != records.header.len() {
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

/// Reads a light-curve file into `builder`.
///
/// # Errors
/// The file cannot be read, is empty or lacks a column; `checkpoint` fails.
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
        if record.len() != records.header.len() {
            builder.reject(line, "wrong number of fields", &show(record));
            continue;
        }
        let [object_id, time, band, flux, flux_err] = used.map(|i| Cell::Text(&record[i]));
        builder.push(&Row {
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

/// The records of a file.
struct Records {
    file: String,
    reader: Reader<File>,
    header: Vec<String>,
    record: ByteRecord,
    any: bool,
}

impl Records {
    fn open(path: &Path, file: &str) -> Result<Self, StageError> {
        let opened = File::open(path).map_err(|error| {
            StageError::environment(format!("cannot open {}: {error}", path.display()))
        })?;
        // A byte-order mark and any line ending are taken by the reader; ragged rows are ours to count.
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(opened);
        let header = reader
            .byte_headers()
            .map_err(|error| unreadable(file, &error))?;
        let header: Option<Vec<String>> = header
            .iter()
            .map(|name| Some(std::str::from_utf8(name).ok()?.trim().to_string()))
            .collect();
        let header = header.ok_or_else(|| {
            StageError::data(
                "flow::data::encoding",
                format!("the header of {file} is not UTF-8"),
            )
        })?;
        if header.is_empty() {
            return Err(
                StageError::data("flow::data::empty", format!("{file} is empty"))
                    .help("a CSV file begins with a line of column names"),
            );
        }
        Ok(Self {
            file: file.into(),
            reader,
            header,
            record: ByteRecord::new(),
            any: false,
        })
    }

    /// Reads the next record and gives its line.
    ///
    /// # Errors
    /// The file ends after its header, cannot be read, or a `used` column or a ragged record spans
    /// lines: then a quote is not closed, and what follows is swallowed.
    fn next(&mut self, used: &[usize]) -> Result<Option<u64>, StageError> {
        let more = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| unreadable(&self.file, &error))?;
        if !more && !self.any {
            return Err(StageError::data(
                "flow::data::empty",
                format!("{} has a header and no rows", self.file),
            ));
        }
        if !more {
            return Ok(None);
        }
        self.any = true;
        let line = self.record.position().map_or(0, csv::Position::line);
        let ragged = self.record.len() != self.header.len();
        let broken = |field: &[u8]| field.contains(&b'\n');
        if used.iter().filter_map(|&i| self.record.get(i)).any(broken)
            || (ragged && self.record.iter().any(broken))
        {
            return Err(StageError::data(
                "flow::data::quote",
                format!(
                    "{}:{line}: a quote that opens here is not closed on its line",
                    self.file
                ),
            )
            .help("double a quote that is part of a value, or remove it"));
        }
        Ok(Some(line))
    }
}

fn unreadable(file: &str, error: &csv::Error) -> StageError {
    match error.kind() {
        csv::ErrorKind::Io(error) => {
            StageError::environment(format!("cannot read {file}: {error}"))
        }
        _ => StageError::data("flow::data::csv", format!("{file}: {error}")),
    }
}
