//! Reads features from CSV.

use std::path::Path;

use flow_engine::StageError;

use crate::table::{FeatureTable, Narrow, Records, column_twice, columns_help, is_no_value, no_id};

use super::{ID, NAME, data};

/// Reads the columns of a text file that are `wanted`.
pub(super) fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<FeatureTable, StageError> {
    let mut records = Records::open(path, NAME)?;
    let header = records.header.clone();
    let Some(id) = header.iter().position(|name| name == ID) else {
        return Err(data("the table has no column `object_id`").help(columns_help(&header)));
    };
    if header.iter().filter(|name| *name == ID).count() > 1 {
        return Err(column_twice(ID, NAME));
    }
    let places: Vec<usize> = (0..header.len())
        .filter(|&i| i != id && wanted(&header[i]))
        .collect();
    let columns: Vec<String> = places.iter().map(|&i| header[i].clone()).collect();
    let mut narrow = Narrow::new(columns.len());
    let (mut ids, mut rows) = (Vec::new(), Vec::new());
    while let Some(line) = records.next(&[id])? {
        if records.is_ragged() {
            let (fields, columns) = (records.record.len(), header.len());
            return Err(data(format!(
                "line {line} of the table has {fields} fields, where its header has {columns}"
            ))
            .help("a text that holds the delimiter needs quotes around it"));
        }
        let field = |i: usize| match std::str::from_utf8(&records.record[i]) {
            Ok(text) => Ok(text.trim()),
            Err(_) => Err(StageError::data(
                "flow::data::encoding",
                format!("line {line} of the table is not UTF-8"),
            )),
        };
        let object = field(id)?;
        if is_no_value(object) {
            return Err(no_id(NAME, "line", line as usize, ID));
        }
        for (j, &i) in places.iter().enumerate() {
            let text = field(i)?;
            let value = if is_no_value(text) {
                Ok(f64::NAN)
            } else {
                text.parse()
            };
            let value = value.map_err(|_| {
                data(format!(
                    "line {line}: `{text}` in column `{}` is no number",
                    header[i]
                ))
            })?;
            let place = || {
                (
                    format!("line {line} of the table (object `{object}`)"),
                    header[i].clone(),
                )
            };
            rows.push(narrow.take(j, value, place)?);
        }
        ids.push(object.to_string());
    }
    let notes = narrow.notes(&columns);
    Ok(FeatureTable::from_rows(ids, columns, rows, NAME)?.with_notes(notes))
}
