//! The account of the data: what `ingest` read, kept and dropped, as its output `report` has it.

use std::collections::BTreeMap;
use std::path::Path;

use flow_engine::StageError;
use serde::Deserialize;

/// What became of the rows of a survey.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct DataAccount {
    /// The number of objects in the output.
    pub objects: usize,
    /// The number of labelled objects, by class.
    pub labels: BTreeMap<String, usize>,
    /// The number of objects without a label.
    pub unlabelled: usize,
    /// The rows of the objects files.
    pub catalogue: RowAccount,
    /// The observations of all files.
    pub observations: RowAccount,
    /// The number of observations in the output, by band.
    pub bands: BTreeMap<String, usize>,
    /// Objects of the catalogue without observations in any file.
    pub without_light_curve: LeftOut,
    /// Objects whose observations were all dropped.
    pub unusable: LeftOut,
    /// The files.
    pub files: Vec<FileAccount>,
}

/// What became of rows of one sort.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RowAccount {
    /// The number of rows in the files, without headers.
    pub read: usize,
    /// The number of rows in the output.
    pub kept: usize,
    /// The reasons why the others are not.
    pub dropped: BTreeMap<String, ReasonAccount>,
    /// The reasons why rows that were kept look odd.
    pub odd: BTreeMap<String, ReasonAccount>,
    /// Values in kept rows that stand for "no value", by column.
    #[serde(default)]
    pub missing: BTreeMap<String, ReasonAccount>,
}

/// How often something occurred.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReasonAccount {
    /// The number of times.
    pub count: usize,
    /// The first few places.
    pub examples: Vec<RowPlace>,
}

/// The place of a row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RowPlace {
    /// The name of the file.
    pub file: String,
    /// The line of the file, or in Parquet the row, from 1.
    pub line: usize,
    /// The text at that place.
    pub value: String,
}

/// Objects that are not in the output.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LeftOut {
    /// The number of these objects.
    pub count: usize,
    /// The first few.
    pub examples: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct FileAccount {
    /// The name of the file.
    pub file: String,
    /// The number of objects in the output.
    pub objects: usize,
    /// The number of rows read.
    pub read: usize,
    /// The number of rows kept.
    pub kept: usize,
}

impl DataAccount {
    /// Reads the output `report` of `ingest`.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such report.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let text = std::fs::read(path)?;
        serde_json::from_slice(&text).map_err(|error| {
            StageError::data("flow::data::schema", "a report of `ingest` is unreadable")
                .because(error)
        })
    }

    /// The rows that were dropped, by reason: observations first, then objects.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, &str, &ReasonAccount)> {
        let all = [
            ("observations", &self.observations),
            ("objects", &self.catalogue),
        ];
        all.into_iter().flat_map(|(what, rows)| {
            let reasons = rows.dropped.iter();
            reasons.map(move |(reason, account)| (what, reason.as_str(), account))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::file_of;

    #[test]
    fn a_report_of_ingest_is_read() {
        let report = br#"{
            "notes": ["dropped 1 of 5 observations: 1 empty flux"],
            "objects": 2, "labels": {"TDE": 1}, "unlabelled": 1,
            "catalogue": {"read": 3, "kept": 2, "dropped": {"empty name": {"count": 1, "examples": []}}, "odd": {}},
            "observations": {"read": 5, "kept": 4, "dropped": {"empty flux": {"count": 1, "examples": [
                {"file": "a.csv", "line": 3, "value": ""}]}}, "odd": {}, "missing": {}},
            "bands": {"g": 4},
            "without_light_curve": {"count": 0, "by_split": {}, "examples": []},
            "unusable": {"count": 0, "by_split": {}, "examples": []},
            "files": [{"file": "a.csv", "objects": 2, "read": 5, "kept": 4}]
        }"#;
        let account = DataAccount::read(file_of(report).path()).expect("an account");
        let dropped = account
            .dropped()
            .map(|(what, reason, all)| (what, reason, all.count));
        assert_eq!(
            dropped.collect::<Vec<_>>(),
            [
                ("observations", "empty flux", 1),
                ("objects", "empty name", 1)
            ]
        );
        assert_eq!(
            account.observations.dropped["empty flux"].examples[0].line,
            3
        );
        let error = DataAccount::read(file_of(b"{}").path()).expect_err("no report");
        assert_eq!(error.code.as_str(), "flow::data::schema");
    }
}
