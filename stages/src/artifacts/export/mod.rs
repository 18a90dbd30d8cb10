//! Artifacts as files for the user: Parquet, Arrow IPC, CSV, JSON or NumPy's format, by the file's extension.
//!
//! Parts (shards, folds) become one table in the order of `object_id`. An artifact that is text already
//! (metrics, reports, a submission) is copied.
//!
//! - `table`: tables that are Parquet in the store, nested or flat, and how any table is written;
//! - `text`: tables as CSV and JSON;
//! - `wide`: features, grids and sequences, as named columns or arrays; `npz`: archives of arrays;
//! - `model`: fitted models, in the format of their library where that can load them.
//!
//! Begin with [`Exporter`].

mod model;
mod npz;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod wide;

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;

use flow_engine::StageError;
use flow_engine::kind::{Part, PortType};
use flow_engine::outputs::delivery::Export;

use crate::table::FeatureTable;

pub use table::{ResultColumn, write_columns};

/// Writes artifacts in the format that an extension names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exporter {
    /// Nested tables, such as light curves, get one row for each observation. A CSV file is always flat.
    pub flat: bool,
}

impl Export for Exporter {
    fn export(
        &self,
        ty: PortType,
        parts: &[Part],
        extension: &str,
        to: &mut dyn Write,
    ) -> Result<(), StageError> {
        let Some(first) = parts.first() else {
            return Err(StageError::data(
                "flow::export::empty",
                "there is nothing to write",
            ));
        };
        let native = native(&first.path)?;
        if native == TEXT && extension == "json" && model::is_learned(first)? {
            return model::write(parts, to);
        }
        let as_it_is = native == extension && !self.flat;
        if parts.len() == 1 && (as_it_is || [TEXT, PICKLE].contains(&native)) {
            return copy(first, native, extension, to);
        }
        match (native, extension) {
            (PARQUET, _) => {
                let whole = table::read(parts)?;
                let flat = self.flat || extension == "csv";
                let whole = if flat { table::flat(whole)? } else { whole };
                table::write(&whole, extension, to)
            }
            (ARROW, "arrow") if ty == "features" && !self.flat => {
                wide::merge(&wide::open(parts, FeatureTable::open)?, to)
            }
            (ARROW, _) => wide::write(ty, parts, extension, to),
            _ => Err(StageError::data(
                "flow::export::parts",
                format!("port has {} parts that do not form one table", parts.len()),
            )
            .help("only tables can be joined; look at single artifacts with `flow explain`")),
        }
    }
}

const PARQUET: &str = "parquet";
const ARROW: &str = "arrow";
const TEXT: &str = "text";
const PICKLE: &str = "pickle";

/// The format of an artifact, told from its first bytes.
fn native(path: &Path) -> Result<&'static str, StageError> {
    let mut magic = Vec::new();
    std::fs::File::open(path)?.take(6).read_to_end(&mut magic)?;
    Ok(match magic.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => PARQUET,
        b"ARROW1" => ARROW,
        // Protocols from 2 on begin with their number.
        [0x80, 2..=5, ..] => PICKLE,
        _ => TEXT,
    })
}

fn copy(part: &Part, native: &str, extension: &str, to: &mut dyn Write) -> Result<(), StageError> {
    if native == TEXT && [PARQUET, ARROW].contains(&extension) {
        return Err(unsupported(
            extension,
            "text",
            "csv, json, md or txt, as it is",
        ));
    }
    if native == PICKLE && [PARQUET, ARROW, "csv", "json", "txt"].contains(&extension) {
        let error = unsupported(extension, "a fitted estimator of Python", "pkl");
        return Err(error.help("what pickle.load gives can save itself, such as model.booster_.save_model(\"model.txt\")"));
    }
    std::io::copy(&mut std::fs::File::open(&part.path)?, to)?;
    Ok(())
}

fn unsupported(extension: &str, what: &str, instead: &str) -> StageError {
    StageError::data(
        "flow::export::format",
        format!("`.{extension}` is not a format that {what} can be written as"),
    )
    .help(format!("use one of: {instead}"))
}

fn broken(error: impl Into<Box<dyn Error + Send + Sync>>) -> StageError {
    StageError::environment("failed to write a table").because(error)
}

fn unreadable(error: impl Error + Send + Sync + 'static) -> StageError {
    StageError::data("flow::data::schema", "a table is unreadable").because(error)
}
