//! Kind `table`: features that a user already has.
//!
//! - this file: the kind, and the rules for every format;
//! - `csv`: text, line by line; `arrays`: NumPy archives. Parquet is read by `table::FeatureTable`.
//!
//! This folder decides what a file means. The crate's folder `table` reads its bytes.

mod arrays;
mod csv;

use std::path::Path;

use flow_cache::Value;
use flow_engine::kind::{
    Layout, OutputPort, Ports, Project, Scope, Shards, SourceFile, Sources, Step,
};
use flow_engine::{Action, Diag, KindSpec, ParamType, Params, Stage, StageError, params, words};

use crate::table::{FeatureTable, FeatureWriter, SCHEMA, row_attrs};

/// The kind.
pub struct TableKind;

const FORMATS: [&str; 3] = ["parquet", "csv", "npz"];
const NAME: &str = "the table";
const ID: &str = "object_id";

params! {
    struct TableParams<'a> {
        path: &'a Path = new(ParamType::Path, "The file: one row an object, a column `object_id`, other columns numbers, which become 32-bit floats; text may be gzipped. In npz, an array `object_id` and arrays with as many rows; the columns of a matrix `x` are called x_0, x_1, ...").unkeyed();
        format: &'a str = choice("auto", &["auto", "parquet", "csv", "npz"], "How to read it; `auto` goes by the file's extension.");
        columns: Option<Vec<&'a str>> = new(ParamType::List(Box::new(ParamType::Str)), "Patterns of the columns to take, such as `peak_*`; all unless given.").optional();
        prefix: &'a str = new(ParamType::Str, "Put before each column's name.").or("".into());
        on_missing: OnMissing = word(OnMissing::Keep, "An empty value stays a missing value (NaN), or is an error.");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum OnMissing {
    Keep,
    Error,
}

words!(OnMissing { Keep = "keep", Error = "error" });

impl Stage for TableKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "table",
            version: 1,
            about: "Features that you already have: Parquet, CSV or npz, keyed by object_id.",
            ports: Ports {
                inputs: Vec::new(),
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "One row an object.",
                )],
            },
            params: TableParams::specs(),
            steps: vec![
                Step::new("read", Scope::Whole)
                    .foreign()
                    .sources(Sources::Common)
                    .writes("features"),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        match TableParams::read(params).patterns() {
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
        let TableParams {
            path,
            format: given,
            ..
        } = TableParams::read(params);
        let wrong = |code, text: String, help: &str| {
            vec![located(Diag::new(code, text), params, "path").help(help)]
        };
        let shown = path.strip_prefix(project.root).unwrap_or(path).display();
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
        let format = if given == "auto" { extension } else { given };
        let Some(format) = FORMATS.iter().find(|f| **f == format) else {
            let text = format!("the extension of `{shown}` says nothing of its format");
            return Err(wrong(
                "flow::data::format",
                text,
                "format = \"parquet\", \"csv\" or \"npz\"",
            ));
        };
        // The role is in the recipe, because the same bytes read in another way give another table.
        let common = vec![SourceFile {
            role: (*format).into(),
            path: path.to_owned(),
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
        let params = TableParams::read(action.params);
        let table = read(&file.path, &file.role, &params)?;
        let prefix = params.prefix;
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

impl TableParams<'_> {
    fn patterns(&self) -> Result<Vec<glob::Pattern>, String> {
        let texts = self.columns.iter().flatten();
        texts
            .map(|text| glob::Pattern::new(text).map_err(|error| format!("`{text}`: {error}")))
            .collect()
    }
}

fn data(message: impl Into<String>) -> StageError {
    StageError::data(SCHEMA, message)
}

/// Reads the columns that `params` choose.
fn read(path: &Path, format: &str, params: &TableParams<'_>) -> Result<FeatureTable, StageError> {
    let patterns = params
        .patterns()
        .map_err(|error| StageError::data("flow::params::pattern", error))?;
    let all = params.columns.is_none();
    let wanted = |name: &str| all || patterns.iter().any(|pattern| pattern.matches(name));
    let table = match format {
        "csv" => csv::read(path, wanted)?,
        "npz" => arrays::read(path, wanted)?,
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
    if params.on_missing == OnMissing::Error {
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

#[cfg(test)]
mod tests;
