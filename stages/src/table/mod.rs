//! Tables as files: the data that flows between stages.
//!
//! | table | file | rows |
//! |---|---|---|
//! | [`Curves`] | Parquet, light curves nested | one per object |
//! | [`FittedCurves`] | Parquet, light curves nested | one per object |
//! | [`Objects`] | Parquet | one per object |
//! | [`FeatureTable`], [`TensorTable`] | Arrow IPC, mapped into memory | one per object |
//! | [`Grid`], [`Sequences`] | a tensor table | one per object |
//! | [`Folds`] | Parquet | one per object |
//! | [`Predictions`] | Parquet | one per object and repeat |
//! | [`Truth`] | Parquet | one per object without a label |
//!
//! Rows are in the order of the bytes of `object_id`. Every writer pins all that affects its bytes, so
//! equal tables are equal files. A file that does not fit (it may come from a user's command) is a data
//! error that names the columns. `parquet_io`, `text` and `npz` read bytes; nothing here computes.

mod classes;
mod convert;
mod curves;
mod features;
mod fitted;
mod folds;
mod grid;
mod importance;
mod merge;
mod missing;
mod narrow;
mod nested;
mod npz;
mod objects;
mod parquet_io;
mod predictions;
mod reasons;
mod sequences;
mod sniff;
mod tensor;
mod text;
mod truth;
mod wavelengths;

pub use classes::{listed, no_positive};
pub(crate) use convert::{convert, list_parts};
pub use curves::{Curves, LightCurve};
pub use features::{FeatureTable, FeatureWriter};
pub use fitted::FittedCurves;
pub(crate) use folds::FoldObjects;
pub use folds::Folds;
pub use grid::Grid;
pub use importance::{read_importance, write_importance};
pub(crate) use merge::Merged;
pub use missing::{is_no_value, is_possible};
pub(crate) use narrow::Narrow;
pub use npz::{NpyArray, NpyValues, read_npz};
pub(crate) use objects::RAW_LABEL;
pub use objects::{Objects, Survey};
pub use parquet_io::parse_list;
pub(crate) use parquet_io::{
    Batch, PIECE, TableReader, TableWriter, column_twice, json_list, no_id, properties,
};
pub use predictions::Predictions;
pub(crate) use predictions::{ColumnNames, PredictionReader, PredictionWriter};
pub use reasons::{
    GroupWorth, Reason, ReasonRow, read_reasons, read_worth, write_reasons, write_worth,
};
pub use sequences::Sequences;
pub(crate) use sniff::is_parquet;
pub use tensor::{TensorTable, TensorWriter};
pub(crate) use text::Records;
pub use truth::Truth;
pub(crate) use wavelengths::all_known;

use std::fs::File;
use std::path::Path;

use flow_cache::{Digest, Value};
use flow_engine::StageError;

/// The code of the error for a table whose schema or content does not fit its port.
pub const SCHEMA: &str = "flow::data::schema";

/// The code of the error for a value that is impossible for the quantity that it describes.
pub const IMPOSSIBLE: &str = "flow::data::impossible";

/// The `ids` attribute of a row table: the digest of its object ids in row order, each preceded by
/// its length in bytes (little-endian, 8 bytes), so that no two lists run together.
pub fn ids_digest<I, S>(ids: I) -> Value
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let mut bytes = Vec::new();
    for id in ids {
        let id = id.as_ref().as_bytes();
        bytes.extend_from_slice(&(id.len() as u64).to_le_bytes());
        bytes.extend_from_slice(id);
    }
    Value::Str(Digest::of(&bytes).to_string())
}

/// The attributes that every row table's output carries: `rows` and `ids`.
pub fn row_attrs<S: AsRef<str>>(ids: &[S]) -> Vec<(String, Value)> {
    vec![
        ("rows".into(), Value::Int(ids.len() as i64)),
        ("ids".into(), ids_digest(ids)),
    ]
}

/// Opens a file.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open(path: &Path) -> Result<File, StageError> {
    File::open(path).map_err(|error| {
        StageError::environment(format!("cannot open {}", path.display())).because(error)
    })
}

/// Returns an error about the schema or content of a table.
pub(crate) fn schema_error(message: impl Into<String>) -> StageError {
    StageError::data(SCHEMA, message)
}

/// The hint for a column that is missing: the columns that are there, at most some dozens of them.
pub(crate) fn columns_help<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const MOST: usize = 24;
    let names: Vec<S> = names.into_iter().collect();
    let shown: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(MOST) {
        0 => format!("its columns are: {shown}"),
        more => format!("its columns are: {shown} and {more} more"),
    }
}

/// Checks that `ids` ascend by bytes without repeats.
pub(crate) fn check_order(ids: &[String], what: &str) -> Result<(), StageError> {
    Ascending::new(what).take(ids)
}

/// Checks the same of ids that come piece by piece.
pub(crate) struct Ascending {
    what: String,
    rows: usize,
    last: String,
}

impl Ascending {
    /// Starts with the first row of a table, which messages call `what`.
    pub(crate) fn new(what: &str) -> Self {
        Self {
            what: what.into(),
            rows: 0,
            last: String::new(),
        }
    }

    /// The number of rows that came.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes the next ids.
    pub(crate) fn take<S: AsRef<str>>(
        &mut self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<(), StageError> {
        let mut before: Option<S> = None;
        for next in ids {
            let last = before
                .as_ref()
                .map_or(self.last.as_str(), |last| last.as_ref());
            let id = next.as_ref();
            if self.rows > 0 && last >= id {
                let what = &self.what;
                return Err(schema_error(match last == id {
                    true => format!("{what} holds object `{id}` twice"),
                    false => format!(
                        "the rows of {what} are not in the order of object_id: `{last}` comes before `{id}`"
                    ),
                }));
            }
            self.rows += 1;
            before = Some(next);
        }
        if let Some(last) = before {
            last.as_ref().clone_into(&mut self.last);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_ids_keeps_their_bounds_and_order() {
        assert_ne!(ids_digest(["ab", "c"]), ids_digest(["a", "bc"]));
        assert_ne!(ids_digest(["a", "b"]), ids_digest(["b", "a"]));
        assert_eq!(
            ids_digest(["a", "b"]),
            ids_digest([String::from("a"), "b".into()])
        );
    }

    #[test]
    fn long_lists_of_columns_are_cut() {
        assert_eq!(columns_help(["a", "b"]), "its columns are: a, b");
        let help = columns_help((0..60_000).map(|i| i.to_string()));
        assert!(help.starts_with("its columns are: 0, 1, 2, "), "{help}");
        assert!(help.ends_with(", 23 and 59976 more"), "{help}");
    }

    #[test]
    fn rows_out_of_order_are_named() {
        let ids = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert!(check_order(&ids(&["a", "b"]), "x").is_ok());
        let twice = check_order(&ids(&["a", "a"]), "x").unwrap_err();
        assert!(twice.message.contains("`a` twice"));
        let order = check_order(&ids(&["b", "a"]), "x").unwrap_err();
        assert!(order.message.contains("`b` comes before `a`"));
    }
}
