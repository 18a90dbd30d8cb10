//! The fold that holds each object out, by repeat.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;

use super::objects::{RAW_LABEL, texts};
use super::parquet_io::{self, TableReader, json_list, properties};
use super::{check_order, schema_error};

/// Folds by repeat: one row per object, unlabelled objects included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folds {
    /// The names of the classes, in the order of their bytes. Metadata `flow.classes`.
    pub classes: Vec<String>,
    /// The class that binary metrics score. Metadata `flow.positive`.
    pub positive: Option<String>,
    /// The objects, in the order of their bytes.
    pub object_id: Vec<String>,
    /// The class; `None` for an unlabelled object.
    pub label: Vec<Option<String>>,
    /// The label that the survey gave, if `classes` put it into another class; empty if no label was
    /// regrouped.
    pub raw_label: Vec<Option<String>>,
    /// The group, if objects were kept together.
    pub group: Vec<Option<String>>,
    /// By repeat and row, the fold that holds the object out; `None` for an unlabelled object.
    pub repeats: Vec<Vec<Option<i32>>>,
}

impl Folds {
    /// Writes Parquet: `object_id, label, group, repeat_0, repeat_1, ...`, and `raw_label` if a label
    /// was regrouped.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, writer: impl Write + Send) -> Result<(), StageError> {
        let mut fields = vec![
            Field::new("object_id", DataType::Utf8, false),
            Field::new("label", DataType::Utf8, true),
            Field::new("group", DataType::Utf8, true),
        ];
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(&self.object_id));
        let mut columns = vec![ids, texts(&self.label), texts(&self.group)];
        for (r, folds) in self.repeats.iter().enumerate() {
            fields.push(Field::new(format!("repeat_{r}"), DataType::Int32, true));
            columns.push(Arc::new(Int32Array::from(folds.clone())));
        }
        if !self.raw_label.is_empty() {
            fields.push(Field::new(RAW_LABEL, DataType::Utf8, true));
            columns.push(texts(&self.raw_label));
        }
        let positive: Vec<String> = self.positive.iter().cloned().collect();
        let metadata = [
            ("flow.classes", json_list(&self.classes)),
            ("flow.positive", json_list(&positive)),
        ];
        let schema = Arc::new(Schema::new(fields));
        parquet_io::write(writer, schema, columns, properties(&metadata, &["label"]))
    }

    /// Reads a table of folds.
    ///
    /// # Errors
    /// If the file is unreadable or does not fit.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let mut source = TableReader::open(path, "the folds table")?;
        let mut folds = Folds {
            classes: source.metadata_list("flow.classes")?.unwrap_or_default(),
            positive: source
                .metadata_list("flow.positive")?
                .unwrap_or_default()
                .pop(),
            ..Folds::default()
        };
        while source.has(&format!("repeat_{}", folds.repeats.len())) {
            folds.repeats.push(Vec::new());
        }
        if folds.repeats.is_empty() {
            return Err(schema_error("the folds table has no column `repeat_0`"));
        }
        while let Some(batch) = source.next_batch()? {
            let ids = batch.ids("object_id", folds.object_id.len())?;
            folds.object_id.extend(ids);
            folds
                .label
                .extend(parquet_io::options(&batch.texts("label")?));
            if batch.column(RAW_LABEL).is_some() {
                let raw = batch.texts(RAW_LABEL)?;
                folds.raw_label.extend(parquet_io::options(&raw));
            }
            match batch.column("group") {
                Some(_) => folds
                    .group
                    .extend(parquet_io::options(&batch.texts("group")?)),
                None => folds.group.resize(folds.object_id.len(), None),
            }
            for (r, column) in folds.repeats.iter_mut().enumerate() {
                for fold in &batch.ints(&format!("repeat_{r}"))? {
                    column.push(fold.map(to_i32).transpose()?);
                }
            }
        }
        check_order(&folds.object_id, "the folds table")?;
        Ok(folds)
    }

    /// Index of the positive class, if there is one that occurs.
    pub fn positive_class(&self) -> Option<usize> {
        let positive = self.positive.as_ref()?;
        self.classes.binary_search(positive).ok()
    }

    /// The label of row `i` as the survey gives it.
    pub fn survey_label(&self, i: usize) -> Option<&String> {
        let raw = self.raw_label.get(i).and_then(Option::as_ref);
        raw.or(self.label[i].as_ref())
    }
}

/// Parses the number of a fold or repeat. It is a name, from 0 to 2,147,483,647.
pub(super) fn to_i32(value: i64) -> Result<i32, StageError> {
    i32::try_from(value)
        .ok()
        .filter(|v| *v >= 0)
        .ok_or_else(|| {
            schema_error(format!(
                "{value} is no number of a fold or repeat: these are from 0 to {}",
                i32::MAX
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_come_back() {
        let folds = Folds {
            classes: vec!["AGN".into(), "TDE".into()],
            positive: Some("TDE".into()),
            object_id: vec!["a".into(), "b".into(), "c".into()],
            label: vec![Some("TDE".into()), None, Some("AGN".into())],
            raw_label: vec![Some("TDE-H".into()), None, None],
            group: vec![None, None, Some("g".into())],
            repeats: vec![vec![Some(0), None, Some(1)], vec![Some(2), None, Some(0)]],
        };
        let mut bytes = Vec::new();
        folds.write(&mut bytes).unwrap();
        let file = flow_testkit::files::file_of(&bytes);
        assert_eq!(Folds::read(file.path()).unwrap(), folds);
    }
}
