//! Reads features from NumPy archives.

use std::path::Path;

use flow_engine::StageError;

use crate::table::{FeatureTable, Narrow, NpyArray, NpyValues, is_no_value, no_id, read_npz};

use super::{ID, NAME, data};

/// Reads the arrays of an archive that are `wanted`.
pub(super) fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<FeatureTable, StageError> {
    let arrays = read_npz(path)?;
    let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
    let ids = arrays
        .iter()
        .find(|array| array.name == ID)
        .ok_or_else(|| {
            data("the npz file has no array `object_id`")
                .help(format!("its arrays are: {}", names.join(", ")))
        })?;
    let ids = texts(ids)?;
    if ids.is_empty() {
        return Err(data("the table has no rows"));
    }
    let mut narrow = Narrow::new(0);
    let mut columns: Vec<(String, Vec<f32>)> = Vec::new();
    for array in arrays.iter().filter(|array| array.name != ID) {
        let Some(width) = width(array, ids.len(), &wanted)? else {
            continue;
        };
        for j in 0..width {
            let name = match array.shape.len() {
                1 => array.name.clone(),
                _ => format!("{}_{j}", array.name),
            };
            if wanted(&name) {
                let values = column(array, (j, width), &ids, &name, &mut narrow)?;
                columns.push((name, values));
            }
        }
    }
    let rows = (0..ids.len())
        .flat_map(|i| columns.iter().map(move |(_, column)| column[i]))
        .collect();
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let notes = narrow.notes(&names);
    Ok(FeatureTable::from_rows(ids, names, rows, NAME)?.with_notes(notes))
}

/// The number of columns of an array; `None` if it does not belong to the table and is not wanted.
fn width(
    array: &NpyArray,
    rows: usize,
    wanted: impl Fn(&str) -> bool,
) -> Result<Option<usize>, StageError> {
    match array.shape[..] {
        [n] if n == rows => Ok(Some(1)),
        [n, width] if n == rows => Ok(Some(width)),
        _ if !wanted(&array.name) => Ok(None),
        _ => Err(data(format!(
            "array `{}` has shape {:?}, where {rows} rows are expected",
            array.name, array.shape,
        ))),
    }
}

/// Returns column `j` of `width`, called `name`, as 32-bit floats.
fn column(
    array: &NpyArray,
    (j, width): (usize, usize),
    ids: &[String],
    name: &str,
    narrow: &mut Narrow,
) -> Result<Vec<f32>, StageError> {
    let column = narrow.add();
    let value = |i: usize| match &array.values {
        NpyValues::Numbers(values) => Ok(values[i * width + j]),
        NpyValues::Whole(values) => Ok(values[i * width + j] as f64),
        NpyValues::Texts(_) => Err(data(format!(
            "array `{}` holds texts, where numbers are expected",
            array.name
        ))),
    };
    let values = (0..ids.len()).map(|i| {
        let place = || {
            let row = format!("row {} of the table (object `{}`)", i + 1, ids[i]);
            (row, name.to_owned())
        };
        narrow.take(column, value(i)?, place)
    });
    values.collect()
}

/// Returns the ids of an array, unchanged.
fn texts(array: &NpyArray) -> Result<Vec<String>, StageError> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    let text = |i: usize| {
        match &array.values {
        NpyValues::Texts(texts) => Ok(texts[i].trim().to_string()),
        NpyValues::Whole(numbers) => Ok(numbers[i].to_string()),
        NpyValues::Numbers(numbers) if numbers[i].abs() <= EXACT || numbers[i].is_nan() => {
            Ok(numbers[i].to_string())
        }
        NpyValues::Numbers(numbers) => Err(data(format!(
            "row {} of the table: the id {} is a float that may be another whole number than was meant",
            i + 1,
            numbers[i]
        ))
        .help("save `object_id` as whole numbers or as texts")),
    }
    };
    let length = array.shape.iter().product();
    (0..length)
        .map(|i| match text(i)? {
            id if is_no_value(&id) => Err(no_id(NAME, "row", i + 1, ID)),
            id => Ok(id),
        })
        .collect()
}
