//! `table`: features that a user already has.

use std::path::{Path, PathBuf};

use flow_cache::Value;
use flow_engine::kind::{
    Layout, OutputPort, Ports, Project, Scope, Shards, SourceFile, Sources, Step,
};
use flow_engine::{Action, Diag, KindSpec, ParamSpec, ParamType, Params, Stage, StageError};

use crate::table::{
    FeatureTable, FeatureWriter, Narrow, NpyArray, NpyValues, Records, SCHEMA, column_twice,
    columns_help, is_no_value, no_id, read_npz, row_attrs,
};

/// The kind.
pub struct TableKind;

const FORMATS: [&str; 3] = ["parquet", "csv", "npz"];
const NAME: &str = "the table";
const ID: &str = "object_id";

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
                    "The file: one row an object, a column `object_id`, other columns numbers, which become 32-bit floats; text may be gzipped. In npz, an array `object_id` and arrays with as many rows; the columns of a matrix `x` are called x_0, x_1, ...",
                )
                .unkeyed(),
                ParamSpec::choice("format", "auto", &["auto", "parquet", "csv", "npz"], "How to read it; `auto` goes by the file's extension."),
                ParamSpec::new("columns", texts, "Patterns of the columns to take, such as `peak_*`; all unless given.").optional(),
                ParamSpec::new("prefix", ParamType::Str, "Put before each column's name.").or(Value::Str(String::new())),
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

    fn layout(
        &self,
        params: &Params,
        project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        let path = PathBuf::from(params.str("path"));
        let wrong = |code, text: String, help: &str| {
            vec![located(Diag::new(code, text), params, "path").help(help)]
        };
        let shown = path.strip_prefix(project.root).unwrap_or(&path).display();
        if !path.is_file() {
            let text = format!("no file `{shown}`");
            return Err(wrong(
                "flow::data::missing",
                text,
                "paths are relative to the project root",
            ));
        }
        let name = path.to_string_lossy().to_lowercase();
        let (_, extension) = name
            .trim_end_matches(".gz")
            .rsplit_once('.')
            .unwrap_or_default();
        let given = params.str("format");
        let format = if given == "auto" { extension } else { given };
        let Some(format) = FORMATS.iter().find(|f| **f == format) else {
            let text = format!("the extension of `{shown}` says nothing of its format");
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
        let mut attrs = row_attrs(table.object_ids());
        if !table.notes().is_empty() {
            let notes = table.notes().iter().cloned().map(Value::Str);
            attrs.push(("notes".into(), Value::List(notes.collect())));
        }
        action.finish("features", writer.finish()?, attrs)
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

fn read_arrays(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<FeatureTable, StageError> {
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
        let width = match array.shape[..] {
            [rows] if rows == ids.len() => 1,
            [rows, width] if rows == ids.len() => width,
            _ if !wanted(&array.name) => continue,
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
            if !wanted(&name) {
                continue;
            }
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
                    (
                        format!("row {} of the table (object `{}`)", i + 1, ids[i]),
                        name.clone(),
                    )
                };
                narrow.take(column, value(i)?, place)
            });
            let values = values.collect::<Result<_, _>>()?;
            columns.push((name, values));
        }
    }
    let rows = (0..ids.len())
        .flat_map(|i| columns.iter().map(move |(_, column)| column[i]))
        .collect();
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let notes = narrow.notes(&names);
    Ok(FeatureTable::from_rows(ids, names, rows, NAME)?.with_notes(notes))
}

/// The ids of an array, as they are.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::ingest::tests::fill;

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
            (
                "object_id,a\nx,1,2\n",
                vec![],
                "line 2 of the table has 3 fields, where its header has 2",
            ),
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
    fn words_and_numbers_of_a_csv_are_taken_as_they_are_meant() {
        let table = csv("object_id;a;b\r\nx;NA;null\r\ny;2;n/a\r\n", &[]).unwrap();
        assert!(table.row(0).iter().all(|v| v.is_nan()));
        assert_eq!((table.row(1)[0], table.notes().len()), (2.0, 0));
        let error = csv("object_id,a\nx,1\nNA,2\n", &[]).unwrap_err();
        assert!(
            error
                .message
                .contains("line 3 of the table has no value in `object_id`"),
            "{error}"
        );
        let error = csv("object_id,a\nx,1\ny,4e38\n", &[]).unwrap_err();
        assert!(
            error.message.contains("line 3 of the table (object `y`)"),
            "{error}"
        );
        assert!(error.message.contains("column `a` is 4e38"), "{error}");
        let error = csv("object_id,a\nx,-inf\n", &[]).unwrap_err();
        assert!(error.message.contains("is infinite"), "{error}");
        let table = csv("object_id,jd\nx,2459000.1\ny,2459000.2\n", &[]).unwrap();
        assert!(table.notes()[0].contains("`jd`"), "{:?}", table.notes());
        assert!(csv("object_id,object_id,a\nx,y,1\n", &[]).is_err());
    }

    /// An npz file of arrays: name, type, shape, data.
    fn npz(arrays: &[(&str, &str, &str, &[u8])]) -> Vec<u8> {
        use std::io::Write;
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, descr, shape, data) in arrays {
            archive.start_file(format!("{name}.npy"), options).unwrap();
            let head =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
            archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
            archive
                .write_all(&(head.len() as u16).to_le_bytes())
                .unwrap();
            archive.write_all(head.as_bytes()).unwrap();
            archive.write_all(data).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn read_npz_of(bytes: &[u8]) -> Result<FeatureTable, StageError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path(), "npz", &fill(&TableKind.spec().params, &[]))
    }

    fn bytes<const N: usize>(values: &[[u8; N]]) -> Vec<u8> {
        values.concat()
    }

    #[test]
    fn ids_of_an_npz_are_exact() {
        let x: (&str, &str, &str, &[u8]) = ("x", "|u1", "(2,)", &[1, 2]);
        let ids =
            |descr: &str, data: &[u8]| read_npz_of(&npz(&[("object_id", descr, "(2,)", data), x]));
        let large = [313_000_000_000_000_007_i64, 313_000_000_000_000_006];
        let table = ids("<i8", &bytes(&large.map(i64::to_le_bytes))).unwrap();
        assert_eq!(
            table.object_ids(),
            ["313000000000000006", "313000000000000007"]
        );
        assert_eq!(table.row(0), [2.0]);
        let table = ids("<u8", &bytes(&[u64::MAX, 1].map(u64::to_le_bytes))).unwrap();
        assert_eq!(table.object_ids(), ["1", "18446744073709551615"]);
        let table = ids(
            "<f8",
            &bytes(&[9_007_199_254_740_992.0, 3.0].map(f64::to_le_bytes)),
        )
        .unwrap();
        assert_eq!(table.object_ids(), ["3", "9007199254740992"]);
        let error = ids(
            "<f8",
            &bytes(&[3.0, 9_007_199_254_740_994.0].map(f64::to_le_bytes)),
        )
        .unwrap_err();
        assert!(error.message.contains("row 2 of the table"), "{error}");
        let error = ids("<f8", &bytes(&[3.0, f64::NAN].map(f64::to_le_bytes))).unwrap_err();
        assert!(
            error.message.contains("row 2 of the table has no value"),
            "{error}"
        );
        let error = ids("|S2", b"x\0NA").unwrap_err();
        assert!(
            error.message.contains("row 2 of the table has no value"),
            "{error}"
        );
    }

    #[test]
    fn an_npz_that_claims_more_than_it_holds_is_refused() {
        let ids: (&str, &str, &str, &[u8]) = ("object_id", "|S1", "(1,)", b"a");
        for (arrays, message) in [
            (
                [
                    ("object_id", "<U2", "(0,)", &[][..]),
                    ("x", "<f8", "(0, 1000000000)", &[][..]),
                ],
                "no rows",
            ),
            (
                [ids, ("x", "<f8", "(1, 1000000000)", &[][..])],
                "is cut off",
            ),
            (
                [
                    ("object_id", "|S0", "(1000000000000,)", &[][..]),
                    ("x", "|u1", "(1,)", &[1][..]),
                ],
                "of no bytes",
            ),
            (
                [ids, ("x", "<U4611686018427387904", "(4,)", &[][..])],
                "has the type",
            ),
        ] {
            let error = read_npz_of(&npz(&arrays)).unwrap_err();
            assert!(error.message.contains(message), "{message}: {error}");
        }
        let two = npz(&[
            ids,
            ("xx", "|u1", "(1,)", &[1]),
            ("xy", "|u1", "(1,)", &[2]),
        ]);
        let at = |i: usize| two[i..].starts_with(b"xy.npy");
        let mut same = two.clone();
        for i in (0..two.len()).filter(|&i| at(i)) {
            same[i + 1] = b'x';
        }
        assert_eq!(read_npz_of(&two).unwrap().columns(), ["xx", "xy"]);
        assert_eq!(
            read_npz_of(&same).unwrap_err().code,
            "flow::data::column_twice"
        );
    }

    #[test]
    fn an_npz_is_a_table_too() {
        let arrays: [(&str, &str, &str, &[u8]); 2] = [
            ("object_id", "|S1", "(2,)", b"ba"),
            ("m", "|u1", "(2, 2)", &[1, 2, 3, 4]),
        ];
        let table = read_npz_of(&npz(&arrays)).unwrap();
        assert_eq!(table.columns(), ["m_0", "m_1"]);
        assert_eq!(table.object_ids(), ["a", "b"]);
        assert_eq!(table.row(0), [3.0, 4.0]);
    }
}
