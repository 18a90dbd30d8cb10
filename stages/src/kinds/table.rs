//! `table`: features that a user already has.

use std::path::{Path, PathBuf};

use flow_engine::stage::{Layout, OutputPort, Ports, Scope, Shards, SourceFile, Sources, Step};
use flow_engine::{Action, Diag, KindSpec, ParamSpec, ParamType, Params, Stage, StageError};

use crate::table::{
    FeatureTable, FeatureWriter, NpyValues, SCHEMA, columns_help, read_npz, row_attrs,
};

/// The kind.
pub struct TableKind;

const FORMATS: [&str; 3] = ["parquet", "csv", "npz"];
const NAME: &str = "the table";

impl Stage for TableKind {
    fn spec(&self) -> KindSpec {
        let texts = ParamType::List(Box::new(ParamType::Str));
        KindSpec {
            name: "table",
            version: 1,
            about: "Features that you already have: Parquet, CSV or npz, keyed by object_id.",
            ports: Ports {
                inputs: Vec::new(),
                outputs: vec![OutputPort::of("features", "features", 0, "One row an object.")],
            },
            params: vec![
                ParamSpec::new(
                    "path",
                    ParamType::Path,
                    "The file: one row an object, a column `object_id`, other columns numbers. In npz, an array `object_id` and arrays with as many rows; the columns of a matrix `x` are called x_0, x_1, ...",
                )
                .unkeyed(),
                ParamSpec::choice("format", "auto", &["auto", "parquet", "csv", "npz"], "How to read it; `auto` goes by the file's extension."),
                ParamSpec::new("columns", texts, "Patterns of the columns to take, such as `peak_*`; all unless given.").optional(),
                ParamSpec::new("prefix", ParamType::Str, "Put before each column's name.").or(flow_cache::Value::Str(String::new())),
                ParamSpec::choice("on_missing", "keep", &["keep", "error"], "An empty value stays a missing value (NaN), or is an error."),
            ],
            steps: vec![Step::new("read", Scope::Whole).foreign().sources(Sources::Common).writes("features")],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        match patterns(params) {
            Ok(_) => Vec::new(),
            Err(error) => vec![located(
                Diag::new("flow::params::pattern", error),
                params,
                "columns",
            )],
        }
    }

    fn layout(&self, params: &Params, _root: &Path, _paired: &Shards) -> Result<Layout, Vec<Diag>> {
        let path = PathBuf::from(params.str("path"));
        let wrong = |code, text: String, help: &str| {
            vec![located(Diag::new(code, text), params, "path").help(help)]
        };
        if !path.is_file() {
            let text = format!("no file `{}`", path.display());
            return Err(wrong(
                "flow::data::missing",
                text,
                "paths are relative to the project root",
            ));
        }
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let given = params.str("format");
        let format = if given == "auto" {
            extension.as_str()
        } else {
            given
        };
        let Some(format) = FORMATS.iter().find(|f| **f == format) else {
            let text = format!(
                "the extension of {} says nothing of its format",
                path.display()
            );
            return Err(wrong(
                "flow::data::format",
                text,
                "format = \"parquet\", \"csv\" or \"npz\"",
            ));
        };
        // The role is in the recipe: the same bytes read another way are another table.
        let common = vec![SourceFile {
            role: (*format).into(),
            path,
        }];
        Ok(Layout {
            common,
            ..Layout::default()
        })
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let Some((file, _)) = action.all_sources().first() else {
            return Err(StageError::environment("a table without its file"));
        };
        let table = read(&file.path, &file.role, action.params)?;
        let prefix = action.params.str("prefix");
        let columns: Vec<String> = table
            .columns()
            .iter()
            .map(|name| format!("{prefix}{name}"))
            .collect();
        let mut writer = FeatureWriter::new(action.create()?, &columns)?;
        for i in 0..table.rows() {
            writer.push(&table.object_ids()[i..=i], table.row(i))?;
        }
        action.finish("features", writer.finish()?, row_attrs(table.object_ids()))
    }
}

fn located(diag: Diag, params: &Params, name: &str) -> Diag {
    match params.span(name) {
        Some(span) => diag.label(span, "given here"),
        None => diag,
    }
}

fn patterns(params: &Params) -> Result<Vec<glob::Pattern>, String> {
    let texts = params.strs("columns").into_iter();
    texts
        .map(|text| glob::Pattern::new(text).map_err(|error| format!("`{text}`: {error}")))
        .collect()
}

fn data(message: impl Into<String>) -> StageError {
    StageError::data(SCHEMA, message)
}

/// Reads the columns that `params` choose.
fn read(path: &Path, format: &str, params: &Params) -> Result<FeatureTable, StageError> {
    let patterns =
        patterns(params).map_err(|error| StageError::data("flow::params::pattern", error))?;
    let all = params.get("columns").is_none();
    let wanted = |name: &str| all || patterns.iter().any(|pattern| pattern.matches(name));
    let table = match format {
        "csv" => read_csv(path, wanted)?,
        "npz" => read_arrays(path, wanted)?,
        _ => FeatureTable::from_parquet(path, NAME, wanted)?,
    };
    for pattern in &patterns {
        if !table.columns().iter().any(|name| pattern.matches(name)) {
            return Err(data(format!("no column of the table is like `{pattern}`"))
                .help(format!("taken so far: {}", table.columns().join(", "))));
        }
    }
    if table.rows() == 0 {
        return Err(data("the table has no rows"));
    }
    if params.str("on_missing") == "error" {
        for i in 0..table.rows() {
            if let Some(j) = table.row(i).iter().position(|v| v.is_nan()) {
                return Err(data(format!(
                    "object `{}` has no value of `{}`",
                    table.object_ids()[i],
                    table.columns()[j]
                ))
                .help("on_missing = \"keep\" leaves such values to the model"));
            }
        }
    }
    Ok(table)
}

fn read_csv(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<FeatureTable, StageError> {
    let bad = |error: csv::Error| match error.kind() {
        csv::ErrorKind::Io(error) => {
            StageError::environment(format!("cannot read {}: {error}", path.display()))
        }
        _ => data(format!("{NAME}: {error}")),
    };
    let mut reader = csv::Reader::from_path(path).map_err(bad)?;
    let header: Vec<String> = reader
        .headers()
        .map_err(bad)?
        .iter()
        .map(|name| name.trim().to_string())
        .collect();
    let Some(id) = header.iter().position(|name| name == "object_id") else {
        return Err(data("the table has no column `object_id`").help(columns_help(&header)));
    };
    let places: Vec<usize> = (0..header.len())
        .filter(|&i| i != id && wanted(&header[i]))
        .collect();
    let (mut ids, mut rows) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let line = record.position().map_or(0, csv::Position::line);
        ids.push(record[id].trim().to_string());
        for &i in &places {
            let text = record[i].trim();
            let value = if text.is_empty() {
                Ok(f32::NAN)
            } else {
                text.parse()
            };
            rows.push(value.map_err(|_| {
                data(format!(
                    "line {line}: `{text}` in column `{}` is no number",
                    header[i]
                ))
            })?);
        }
    }
    let columns = places.iter().map(|&i| header[i].clone()).collect();
    FeatureTable::from_rows(ids, columns, rows, NAME)
}

fn read_arrays(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<FeatureTable, StageError> {
    let arrays = read_npz(path)?;
    let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
    let ids = arrays
        .iter()
        .find(|array| array.name == "object_id")
        .ok_or_else(|| {
            data("the npz file has no array `object_id`")
                .help(format!("its arrays are: {}", names.join(", ")))
        })?;
    let ids: Vec<String> = match &ids.values {
        NpyValues::Texts(texts) => texts.clone(),
        NpyValues::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
    };
    let mut columns: Vec<(String, Vec<f32>)> = Vec::new();
    for array in arrays.iter().filter(|array| array.name != "object_id") {
        let NpyValues::Numbers(values) = &array.values else {
            if wanted(&array.name) {
                return Err(data(format!(
                    "array `{}` holds texts, where numbers are expected",
                    array.name
                )));
            }
            continue;
        };
        let width = match array.shape[..] {
            [rows] if rows == ids.len() => 1,
            [rows, width] if rows == ids.len() => width,
            _ => {
                return Err(data(format!(
                    "array `{}` has shape {:?}, where {} rows are expected",
                    array.name,
                    array.shape,
                    ids.len()
                )));
            }
        };
        for j in 0..width {
            let name = if array.shape.len() == 1 {
                array.name.clone()
            } else {
                format!("{}_{j}", array.name)
            };
            if wanted(&name) {
                columns.push((
                    name,
                    values
                        .iter()
                        .skip(j)
                        .step_by(width)
                        .map(|&v| v as f32)
                        .collect(),
                ));
            }
        }
    }
    let rows = (0..ids.len())
        .flat_map(|i| columns.iter().map(move |(_, column)| column[i]))
        .collect();
    let names = columns.iter().map(|(name, _)| name.clone()).collect();
    FeatureTable::from_rows(ids, names, rows, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::ingest::tests::fill;
    use flow_cache::Value;

    fn csv(text: &str, given: &[(&str, Value)]) -> Result<FeatureTable, StageError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path(), "csv", &fill(&TableKind.spec().params, given))
    }

    #[test]
    fn a_csv_is_a_table_by_object() {
        let table = csv("\u{feff}object_id,a,b\r\ny,1,\r\nx,3,4\r\n", &[]).unwrap();
        assert_eq!(table.object_ids(), ["x", "y"]);
        assert_eq!(table.row(0), [3.0, 4.0]);
        assert!(table.row(1)[1].is_nan());
        let only = Value::List(vec![Value::Str("b*".into())]);
        assert_eq!(
            csv("object_id,a,b\nx,1,2\n", &[("columns", only)])
                .unwrap()
                .columns(),
            ["b"]
        );
    }

    #[test]
    fn each_mistake_is_named() {
        let none = Value::List(vec![Value::Str("z*".into())]);
        for (text, given, message) in [
            ("id,a\nx,1\n", vec![], "no column `object_id`"),
            (
                "object_id,a\nx,one\n",
                vec![],
                "line 2: `one` in column `a`",
            ),
            ("object_id,a\nx,1\nx,2\n", vec![], "object `x` twice"),
            ("object_id,a\nx,1,2\n", vec![], "found record with 3 fields"),
            ("object_id,a\n", vec![], "no rows"),
            (
                "object_id,a\nx,\n",
                vec![("on_missing", Value::Str("error".into()))],
                "no value of `a`",
            ),
            ("object_id,a\nx,1\n", vec![("columns", none)], "like `z*`"),
        ] {
            let error = csv(text, &given).unwrap_err();
            assert!(error.message.contains(message), "{message}: {error}");
        }
    }

    #[test]
    fn an_npz_is_a_table_too() {
        use std::io::Write;
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut archive = zip::ZipWriter::new(file.as_file());
        let options = zip::write::SimpleFileOptions::default();
        let mut add = |name: &str, descr: &str, shape: &str, data: &[u8]| {
            archive.start_file(name, options).unwrap();
            let head =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
            archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
            archive
                .write_all(&(head.len() as u16).to_le_bytes())
                .unwrap();
            archive.write_all(head.as_bytes()).unwrap();
            archive.write_all(data).unwrap();
        };
        add("object_id.npy", "|S1", "(2,)", b"ba");
        add("m.npy", "|u1", "(2, 2)", &[1, 2, 3, 4]);
        archive.finish().unwrap();
        let table = read(file.path(), "npz", &fill(&TableKind.spec().params, &[])).unwrap();
        assert_eq!(table.columns(), ["m_0", "m_1"]);
        assert_eq!(table.object_ids(), ["a", "b"]);
        assert_eq!(table.row(0), [3.0, 4.0]);
    }
}
