//! How far two artifacts of one output differ when their bytes are not the same.
//!
//! Tables (Parquet, Arrow IPC) are compared value by value. They must have the same schema, rows and
//! values, except for floating-point numbers, whose distance is counted in units in the last place.
//! JSON documents, such as metrics, are compared number by number. The format of a file is told from
//! its first bytes, so a file that a user's command wrote is read like any other.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use serde_json::Value as Json;

use crate::table::list_parts;

/// How two files differ.
#[derive(Clone, Debug, PartialEq)]
pub enum ArtifactDifference {
    /// Two tables that differ in floating-point numbers alone.
    Floats {
        /// The largest distance in units in the last place of the column's type: the count of numbers
        /// of that type in between, plus one. It is 0 if all values are equal and only their encoding
        /// differs.
        ulps: u64,
        /// The place of that distance.
        place: String,
    },
    /// Two JSON documents that differ in numbers alone.
    Numbers {
        /// The largest absolute difference.
        largest: f64,
        /// The place of that difference, as a dotted path.
        place: String,
    },
    /// Any other difference, in words.
    Other(String),
}

/// Compares two files. A file that cannot be read as the table or document that it seems to be is
/// compared byte by byte.
///
/// # Errors
/// If a file cannot be read.
pub fn compare(old: &Path, new: &Path) -> io::Result<ArtifactDifference> {
    let found = match (form(old)?, form(new)?) {
        (ArtifactForm::Parquet, ArtifactForm::Parquet) => tables(parquet(old), parquet(new)),
        (ArtifactForm::Ipc, ArtifactForm::Ipc) => tables(ipc(old), ipc(new)),
        (ArtifactForm::Other, ArtifactForm::Other) => documents(old, new)?,
        _ => None,
    };
    found.map_or_else(|| bytes(old, new), Ok)
}

enum ArtifactForm {
    Parquet,
    Ipc,
    Other,
}

fn form(path: &Path) -> io::Result<ArtifactForm> {
    let mut head = Vec::new();
    File::open(path)?.take(6).read_to_end(&mut head)?;
    Ok(match head.as_slice() {
        head if head.starts_with(b"PAR1") => ArtifactForm::Parquet,
        b"ARROW1" => ArtifactForm::Ipc,
        _ => ArtifactForm::Other,
    })
}

/// A table that is being read; `None` if it cannot be read.
type ReadTable = Option<(Schema, Box<dyn Iterator<Item = Option<RecordBatch>>>)>;

fn parquet(path: &Path) -> ReadTable {
    // Only the types that every reader sees count, as in our own tables.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let file = File::open(path).ok()?;
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).ok()?;
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let pairs = pairs.into_iter().flatten();
    let pairs = pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()));
    let schema = Schema::new(builder.schema().fields().clone())
        .with_metadata(pairs.collect::<HashMap<_, _>>());
    let reader = builder.build().ok()?;
    Some((schema, Box::new(reader.map(Result::ok))))
}

fn ipc(path: &Path) -> ReadTable {
    let reader = FileReader::try_new_buffered(File::open(path).ok()?, None).ok()?;
    let schema = reader.schema().as_ref().clone();
    Some((schema, Box::new(reader.map(Result::ok))))
}

/// Compares two tables; `None` if one of them cannot be read to its end.
fn tables(old: ReadTable, new: ReadTable) -> Option<ArtifactDifference> {
    let ((schema, mut old), (other, mut new)) = (old?, new?);
    if schema != other {
        return Some(ArtifactDifference::Other("the schemas differ".to_owned()));
    }
    let mut worst = Worst::default();
    let mut row = 0;
    // The two files may cut their batches at different rows.
    let (mut a, mut b) = (None, None);
    loop {
        let (x, y) = (rows(&mut a, &mut *old)?, rows(&mut b, &mut *new)?);
        let count = x.num_rows().min(y.num_rows());
        if count == 0 {
            if x.num_rows() != y.num_rows() {
                return Some(ArtifactDifference::Other(
                    "the numbers of rows differ".to_owned(),
                ));
            }
            return Some(ArtifactDifference::Floats {
                ulps: worst.ulps,
                place: worst.place,
            });
        }
        for (field, (left, right)) in schema
            .fields()
            .iter()
            .zip(x.columns().iter().zip(y.columns()))
        {
            let (left, right) = (left.slice(0, count), right.slice(0, count));
            if !worst.take(&left, &right, field.name()) {
                let from = format!("`{}` differs within rows {row} to ", field.name());
                return Some(ArtifactDifference::Other(format!(
                    "{from}{}",
                    row + count - 1
                )));
            }
        }
        row += count;
        a = Some(x.slice(count, x.num_rows() - count));
        b = Some(y.slice(count, y.num_rows() - count));
    }
}

/// Returns the rest of a batch, or the next batch that has rows; an empty batch at the end.
fn rows(
    left: &mut Option<RecordBatch>,
    more: &mut dyn Iterator<Item = Option<RecordBatch>>,
) -> Option<RecordBatch> {
    let mut batch = left.take();
    loop {
        match batch {
            Some(batch) if batch.num_rows() > 0 => return Some(batch),
            last => match more.next() {
                Some(next) => batch = Some(next?),
                None => {
                    return Some(
                        last.unwrap_or_else(|| RecordBatch::new_empty(Schema::empty().into())),
                    );
                }
            },
        }
    }
}

/// The largest distance between floating-point numbers so far.
#[derive(Default)]
struct Worst {
    ulps: u64,
    place: String,
}

impl Worst {
    /// Takes in two columns of one type and length. Returns false if they differ in anything but such
    /// numbers.
    fn take(&mut self, old: &ArrayRef, new: &ArrayRef, name: &str) -> bool {
        let nulls = |array: &ArrayRef| array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        match old.data_type() {
            DataType::Float32
            | DataType::Float64
            | DataType::Struct(_)
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
                if nulls(old) != nulls(new) =>
            {
                false
            }
            DataType::Float32 => {
                let pairs = old.as_primitive::<Float32Type>().iter();
                let mut pairs = pairs.zip(new.as_primitive::<Float32Type>());
                pairs.all(|(a, b)| self.note(distance_f32(a, b), name, &a, &b))
            }
            DataType::Float64 => {
                let pairs = old.as_primitive::<Float64Type>().iter();
                let mut pairs = pairs.zip(new.as_primitive::<Float64Type>());
                pairs.all(|(a, b)| self.note(distance_f64(a, b), name, &a, &b))
            }
            DataType::Struct(fields) => {
                let (a, b) = (old.as_struct(), new.as_struct());
                let columns = a.columns().iter().zip(b.columns());
                fields
                    .iter()
                    .zip(columns)
                    .all(|(field, (a, b))| self.take(a, b, &format!("{name}.{}", field.name())))
            }
            _ => match (list_parts(old), list_parts(new)) {
                (Some((a, old)), Some((b, new))) => {
                    let lengths = |bounds: &[usize]| -> Vec<usize> {
                        bounds.windows(2).map(|pair| pair[1] - pair[0]).collect()
                    };
                    // The rows may be a slice of the items.
                    let items = |bounds: &[usize], items: ArrayRef| {
                        items.slice(bounds[0], bounds[bounds.len() - 1] - bounds[0])
                    };
                    lengths(&a) == lengths(&b) && self.take(&items(&a, old), &items(&b, new), name)
                }
                _ => old == new,
            },
        }
    }

    fn note<T: std::fmt::Debug>(
        &mut self,
        distance: Option<u64>,
        name: &str,
        old: &Option<T>,
        new: &Option<T>,
    ) -> bool {
        if let (Some(ulps), Some(a), Some(b)) = (distance, old, new)
            && ulps > self.ulps
        {
            self.ulps = ulps;
            self.place = format!("`{name}`, {a:?} and {b:?}");
        }
        distance.is_some()
    }
}

/// The distance of two numbers; `None` if only one of them is missing, NaN or infinite.
fn distance_f64(old: Option<f64>, new: Option<f64>) -> Option<u64> {
    match (old, new) {
        (Some(a), Some(b)) if a.is_finite() && b.is_finite() => {
            // Places follow the order of the numbers, and both zeros have the same place.
            let place = |x: f64| {
                let bits = (x.to_bits() & !(1 << 63)).cast_signed();
                if x.is_sign_negative() { -bits } else { bits }
            };
            Some(place(a).abs_diff(place(b)))
        }
        (Some(a), Some(b)) => (a == b || (a.is_nan() && b.is_nan())).then_some(0),
        (None, None) => Some(0),
        _ => None,
    }
}

/// [`distance_f64`] for single precision.
fn distance_f32(old: Option<f32>, new: Option<f32>) -> Option<u64> {
    match (old, new) {
        (Some(a), Some(b)) if a.is_finite() && b.is_finite() => {
            let place = |x: f32| {
                let bits = i64::from(x.to_bits() & !(1 << 31));
                if x.is_sign_negative() { -bits } else { bits }
            };
            Some(place(a).abs_diff(place(b)))
        }
        (a, b) => distance_f64(a.map(f64::from), b.map(f64::from)),
    }
}

/// Compares two JSON documents; `None` if one of them is not JSON, or they differ in more than numbers.
fn documents(old: &Path, new: &Path) -> io::Result<Option<ArtifactDifference>> {
    let (Some(old), Some(new)) = (document(old)?, document(new)?) else {
        return Ok(None);
    };
    let mut worst = (0.0, String::new());
    Ok(
        numbers(&old, &new, "", &mut worst).then_some(ArtifactDifference::Numbers {
            largest: worst.0,
            place: worst.1,
        }),
    )
}

fn document(path: &Path) -> io::Result<Option<Json>> {
    match serde_json::from_reader(BufReader::new(File::open(path)?)) {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.is_io() => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn numbers(old: &Json, new: &Json, path: &str, worst: &mut (f64, String)) -> bool {
    match (old, new) {
        (Json::Number(a), Json::Number(b)) => {
            let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else {
                return false;
            };
            if (a - b).abs() > worst.0 {
                *worst = ((a - b).abs(), path.to_owned());
            }
            true
        }
        (Json::Array(a), Json::Array(b)) => {
            let pairs = a.iter().zip(b).enumerate();
            a.len() == b.len()
                && pairs
                    .into_iter()
                    .all(|(i, (a, b))| numbers(a, b, &within(path, &i.to_string()), worst))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| {
                    b.get(key)
                        .is_some_and(|b| numbers(a, b, &within(path, key), worst))
                })
        }
        (a, b) => a == b,
    }
}

fn within(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// Describes the sizes, and where the first byte differs.
fn bytes(old: &Path, new: &Path) -> io::Result<ArtifactDifference> {
    let (a, b) = (File::open(old)?, File::open(new)?);
    let sizes = (a.metadata()?.len(), b.metadata()?.len());
    let pairs = BufReader::new(a).bytes().zip(BufReader::new(b).bytes());
    let mut first = sizes.0.min(sizes.1);
    for (place, (a, b)) in (0..).zip(pairs) {
        if a? != b? {
            first = place;
            break;
        }
    }
    let (old, new) = sizes;
    Ok(ArtifactDifference::Other(match old == new {
        true => format!("{old} bytes, which differ from byte {first} on"),
        false => format!("{old} and {new} bytes, which differ from byte {first} on"),
    }))
}

#[cfg(test)]
mod tests;
