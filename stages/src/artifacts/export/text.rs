//! Tables as text: CSV and JSON.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType};
use serde_json::to_writer;

use crate::table::{convert, list_parts};

/// The number of rows that are spelled at a time.
const ROWS: usize = 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Writes a table without nested columns as CSV with a header. A null is an empty field.
///
/// # Errors
/// If a column has no text, or writing fails.
pub fn write_csv(table: &RecordBatch, to: &mut dyn Write) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(table.schema().fields().iter().map(|field| field.name()))?;
    for rows in chunks(table) {
        let texts = rows.columns().iter().map(texts);
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        for row in 0..rows.num_rows() {
            let fields = texts.iter().map(|column| match column.is_null(row) {
                true => "",
                false => column.value(row),
            });
            writer.write_record(fields)?;
        }
    }
    Ok(writer.flush()?)
}

/// Writes a table as a JSON list of one object a row, which has no key where the row has no value.
///
/// # Errors
/// If a column has no form in JSON, or writing fails.
pub fn write_json(table: &RecordBatch, to: &mut dyn Write) -> Result<(), Failure> {
    to.write_all(b"[")?;
    let mut is_first = true;
    for rows in chunks(table) {
        let fields = table.schema();
        let columns = fields.fields().iter().zip(rows.columns());
        let columns = columns.map(|(field, column)| Ok((quoted(field.name())?, spell(column)?)));
        let columns = columns.collect::<Result<Vec<_>, Failure>>()?;
        for row in 0..rows.num_rows() {
            if !is_first {
                to.write_all(b",")?;
            }
            is_first = false;
            write_object(&columns, row, to)?;
        }
    }
    Ok(to.write_all(b"]")?)
}

fn chunks(table: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let starts = (0..table.num_rows()).step_by(ROWS);
    starts.map(|start| table.slice(start, ROWS.min(table.num_rows() - start)))
}

fn texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(convert(column, &DataType::Utf8)?.as_string().clone())
}

fn quoted(text: &str) -> Result<String, serde_json::Error> {
    serde_json::to_string(text)
}

/// A column as it is spelled in JSON.
struct Spelled {
    nulls: Option<NullBuffer>,
    form: Form,
}

enum Form {
    /// As it is, such as a number.
    Bare(StringArray),
    /// In quotes.
    Quoted(StringArray),
    /// Lists: the bounds of the rows, and the items.
    Lists(Vec<usize>, Box<Spelled>),
    /// Objects: the quoted keys and their columns.
    Objects(Vec<(String, Spelled)>),
}

fn spell(column: &ArrayRef) -> Result<Spelled, Failure> {
    let kind = column.data_type();
    let form = if let Some((mut bounds, items)) = list_parts(column) {
        // The rows may be a slice of the items.
        let (first, end) = (bounds[0], bounds[bounds.len() - 1]);
        bounds.iter_mut().for_each(|bound| *bound -= first);
        let items = items.slice(first, end - first);
        Form::Lists(bounds, Box::new(spell(&items)?))
    } else if let Some(object) = column.as_struct_opt() {
        let fields = object.fields().iter().zip(object.columns());
        let fields = fields.map(|(field, column)| Ok((quoted(field.name())?, spell(column)?)));
        Form::Objects(fields.collect::<Result<_, Failure>>()?)
    } else {
        let texts = texts(column)?;
        match kind {
            DataType::Boolean => Form::Bare(texts),
            kind if kind.is_numeric() => {
                // JSON has no word for infinity, nor for what is no number.
                let is_finite = |text: &str| text.ends_with(|last: char| last.is_ascii_digit());
                let word = |text| if is_finite(text) { text } else { "null" };
                Form::Bare(texts.iter().map(|text| text.map(word)).collect())
            }
            _ => Form::Quoted(texts),
        }
    };
    let nulls = column.logical_nulls();
    Ok(Spelled { nulls, form })
}

impl Spelled {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn write(&self, row: usize, to: &mut dyn Write) -> Result<(), Failure> {
        match &self.form {
            _ if self.is_null(row) => to.write_all(b"null")?,
            Form::Bare(texts) => to.write_all(texts.value(row).as_bytes())?,
            Form::Quoted(texts) => to_writer(to, texts.value(row))?,
            Form::Lists(bounds, items) => {
                to.write_all(b"[")?;
                for item in bounds[row]..bounds[row + 1] {
                    if item > bounds[row] {
                        to.write_all(b",")?;
                    }
                    items.write(item, to)?;
                }
                to.write_all(b"]")?;
            }
            Form::Objects(fields) => write_object(fields, row, to)?,
        }
        Ok(())
    }
}

fn write_object(
    fields: &[(String, Spelled)],
    row: usize,
    to: &mut dyn Write,
) -> Result<(), Failure> {
    let mut before: &[u8] = b"{";
    for (key, column) in fields.iter().filter(|(_, column)| !column.is_null(row)) {
        to.write_all(before)?;
        to.write_all(key.as_bytes())?;
        to.write_all(b":")?;
        column.write(row, to)?;
        before = b",";
    }
    match before {
        b"{" => Ok(to.write_all(b"{}")?),
        _ => Ok(to.write_all(b"}")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Float32Type;
    use arrow_array::{BooleanArray, Float64Array, Int64Array, ListArray, StructArray};
    use arrow_schema::Field;
    use std::sync::Arc;

    fn table() -> RecordBatch {
        let texts = StringArray::from(vec![Some("plain"), None, Some("a,\"b\"\n")]);
        let numbers = Float64Array::from(vec![Some(1e-7), Some(f64::NAN), None]);
        let counts = Int64Array::from(vec![Some(-3), None, Some(i64::MAX)]);
        let words = BooleanArray::from(vec![Some(true), Some(false), None]);
        let columns: [(&str, ArrayRef, bool); 4] = [
            ("text", Arc::new(texts), true),
            ("x \"1\"", Arc::new(numbers), true),
            ("n", Arc::new(counts), true),
            ("is", Arc::new(words), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn csv(table: &RecordBatch) -> String {
        let mut bytes = Vec::new();
        write_csv(table, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn json(table: &RecordBatch) -> String {
        let mut bytes = Vec::new();
        write_json(table, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    #[test]
    fn csv_quotes_what_needs_it_and_leaves_nulls_empty() {
        let expected = "text,\"x \"\"1\"\"\",n,is\nplain,1e-7,-3,true\n,NaN,,false\n\
                        \"a,\"\"b\"\"\n\",,9223372036854775807,\n";
        assert_eq!(csv(&table()), expected);
        assert_eq!(csv(&table().slice(0, 0)), "text,\"x \"\"1\"\"\",n,is\n");
    }

    #[test]
    fn json_has_no_key_for_a_null() {
        let expected = "[{\"text\":\"plain\",\"x \\\"1\\\"\":1e-7,\"n\":-3,\"is\":true},\
                        {\"x \\\"1\\\"\":null,\"is\":false},\
                        {\"text\":\"a,\\\"b\\\"\\n\",\"n\":9223372036854775807}]";
        assert_eq!(json(&table()), expected);
        assert_eq!(json(&table().slice(0, 0)), "[]");
    }

    #[test]
    fn nested_columns_are_lists_and_objects_in_json() {
        let values = [
            Some(vec![Some(1.0), None]),
            None,
            Some(vec![]),
            Some(vec![Some(0.1)]),
        ];
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(values);
        let lists: ArrayRef = Arc::new(lists);
        let field = Arc::new(Field::new("l", lists.data_type().clone(), true));
        let structs: ArrayRef = Arc::new(StructArray::from(vec![(field, lists.clone())]));
        let columns = [("l", lists, true), ("s", structs, true)];
        let table = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let rows = [
            "{\"l\":[1.0,null],\"s\":{\"l\":[1.0,null]}}",
            "{\"s\":{}}",
            "{\"l\":[],\"s\":{\"l\":[]}}",
            "{\"l\":[0.1],\"s\":{\"l\":[0.1]}}",
        ];
        assert_eq!(json(&table), format!("[{}]", rows.join(",")));
        // A slice has its own rows, and not those of the whole.
        assert_eq!(
            json(&table.slice(2, 2)),
            format!("[{}]", rows[2..].join(","))
        );
    }

    #[test]
    fn long_tables_are_written_whole() {
        let many = 2 * ROWS as i64 + 7;
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..many));
        let table = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let expected: String = (0..many).map(|n| format!("{n}\n")).collect();
        assert_eq!(csv(&table), format!("n\n{expected}"));
        assert_eq!(json(&table).matches("\"n\":").count(), many as usize);
    }
}
