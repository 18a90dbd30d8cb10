//! The fold that holds each object out, by repeat.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;

use super::objects::{RAW_LABEL, texts};
use super::parquet_io::{Batch, TableReader, TableWriter, json_list, properties};
use super::{Ascending, schema_error};

/// Messages call the table so.
const NAME: &str = "the folds table";

/// Folds by repeat: one row per object. The file has unlabelled objects too, of which a survey may have millions: read
/// only those that are needed.
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
        let mut writer = self.writer(writer)?;
        self.append_to(&mut writer)?;
        writer.finish()
    }

    /// Returns a writer for tables that have the classes, the number of repeats and the columns of this one.
    pub(crate) fn writer<W: Write + Send>(&self, to: W) -> Result<TableWriter<W>, StageError> {
        let mut fields = vec![
            Field::new("object_id", DataType::Utf8, false),
            Field::new("label", DataType::Utf8, true),
            Field::new("group", DataType::Utf8, true),
        ];
        let repeats = (0..self.repeats.len()).map(|r| format!("repeat_{r}"));
        fields.extend(repeats.map(|name| Field::new(name, DataType::Int32, true)));
        if !self.raw_label.is_empty() {
            fields.push(Field::new(RAW_LABEL, DataType::Utf8, true));
        }
        let positive: Vec<String> = self.positive.iter().cloned().collect();
        let metadata = [
            ("flow.classes", json_list(&self.classes)),
            ("flow.positive", json_list(&positive)),
        ];
        TableWriter::new(
            to,
            Arc::new(Schema::new(fields)),
            properties(&metadata, &["label"]),
        )
    }

    /// Appends the rows to a file with the same columns.
    pub(crate) fn append_to<W: Write + Send>(
        &self,
        writer: &mut TableWriter<W>,
    ) -> Result<(), StageError> {
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(&self.object_id));
        let mut columns = vec![ids, texts(&self.label), texts(&self.group)];
        for folds in &self.repeats {
            columns.push(Arc::new(Int32Array::from(folds.clone())));
        }
        if !self.raw_label.is_empty() {
            columns.push(texts(&self.raw_label));
        }
        writer.append(columns)
    }

    /// Reads a table of folds with all its rows.
    ///
    /// # Errors
    /// If the file is unreadable or does not fit.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        Self::read_where(path, |_, _| true)
    }

    /// Reads the rows of labelled objects.
    ///
    /// # Errors
    /// As for [`Folds::read`].
    pub fn labelled(path: &Path) -> Result<Self, StageError> {
        Self::read_where(path, |_, labelled| labelled)
    }

    /// Reads the rows of labelled objects, and of those unlabelled ones that are among `also`, which is in the order of
    /// bytes.
    ///
    /// # Errors
    /// As for [`Folds::read`].
    pub fn labelled_and<S: AsRef<str>>(path: &Path, also: &[S]) -> Result<Self, StageError> {
        let among = |id: &str| {
            also.binary_search_by(|other| other.as_ref().cmp(id))
                .is_ok()
        };
        Self::read_where(path, |id, labelled| labelled || among(id))
    }

    /// Reads the rows that `wanted` picks by the object, and by whether it has a label.
    fn read_where(path: &Path, wanted: impl Fn(&str, bool) -> bool) -> Result<Self, StageError> {
        let mut source = TableReader::open(path, NAME)?;
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
        let mut order = Ascending::new(NAME);
        while let Some(batch) = source.next_batch()? {
            folds.take(&batch, &mut order, &wanted)?;
        }
        Ok(folds)
    }

    /// Appends the rows that `wanted` picks of some rows of a file.
    fn take(
        &mut self,
        batch: &Batch,
        order: &mut Ascending,
        wanted: impl Fn(&str, bool) -> bool,
    ) -> Result<(), StageError> {
        let ids = batch.id_texts("object_id", order.rows())?;
        let label = batch.texts("label")?;
        order.take(ids.iter().flatten())?;
        let picked: Vec<usize> = (0..batch.len())
            .filter(|&i| wanted(ids.value(i), label.is_valid(i)))
            .collect();
        if picked.is_empty() {
            return Ok(());
        }
        let optional = |name: &str| batch.column(name).map(|_| batch.texts(name)).transpose();
        let (raw, group) = (optional(RAW_LABEL)?, optional("group")?);
        let text =
            |column: &StringArray, i: usize| column.is_valid(i).then(|| column.value(i).into());
        self.object_id
            .extend(picked.iter().map(|&i| ids.value(i).to_owned()));
        self.label.extend(picked.iter().map(|&i| text(&label, i)));
        if let Some(raw) = raw {
            self.raw_label.extend(picked.iter().map(|&i| text(&raw, i)));
        }
        let group = |&i: &usize| group.as_ref().and_then(|group| text(group, i));
        self.group.extend(picked.iter().map(group));
        for (r, column) in self.repeats.iter_mut().enumerate() {
            let folds = batch.ints(&format!("repeat_{r}"))?;
            for &i in &picked {
                let fold = folds.is_valid(i).then(|| to_i32(folds.value(i)));
                column.push(fold.transpose()?);
            }
        }
        Ok(())
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

/// The objects of a table of folds, some at a time. Its other columns are not decoded.
pub(crate) struct FoldObjects {
    source: TableReader,
    order: Ascending,
    ids: StringArray,
    label: StringArray,
    fold: Option<Int64Array>,
    /// The column that `fold` comes from.
    repeat: Option<String>,
    /// The first of `ids` that may be asked about.
    at: usize,
}

/// What a table of folds has of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoldObject {
    /// Whether it has a label.
    pub labelled: bool,
    /// The fold of the repeat that is looked at; `None` if none is, or no fold holds the object out.
    pub fold: Option<i32>,
}

impl FoldObjects {
    /// Opens a table of folds, to look at the folds of one repeat or of none.
    ///
    /// # Errors
    /// As for [`Folds::read`].
    pub(crate) fn open(path: &Path, repeat: Option<i32>) -> Result<Self, StageError> {
        let repeat = repeat.map(|repeat| format!("repeat_{repeat}"));
        let columns =
            |name: &str| ["object_id", "label"].contains(&name) || repeat.as_deref() == Some(name);
        Ok(Self {
            source: TableReader::open_columns(path, NAME, columns)?,
            order: Ascending::new(NAME),
            ids: StringArray::new_null(0),
            label: StringArray::new_null(0),
            fold: None,
            repeat,
            at: 0,
        })
    }

    /// Returns what the table has of an object; `None` if it does not have the object. Calls are in the order of the
    /// objects' bytes.
    ///
    /// # Errors
    /// As for [`Folds::read`].
    pub(crate) fn find(&mut self, object_id: &str) -> Result<Option<FoldObject>, StageError> {
        loop {
            while self.at < self.ids.len() && self.ids.value(self.at) < object_id {
                self.at += 1;
            }
            if self.at < self.ids.len() {
                let found = self.ids.value(self.at) == object_id;
                return found.then(|| self.object()).transpose();
            }
            let Some(batch) = self.source.next_batch()? else {
                return Ok(None);
            };
            self.ids = batch.id_texts("object_id", self.order.rows())?;
            self.order.take(self.ids.iter().flatten())?;
            self.label = batch.texts("label")?;
            self.fold = self
                .repeat
                .as_ref()
                .map(|name| batch.ints(name))
                .transpose()?;
            self.at = 0;
        }
    }

    /// The object that was found.
    fn object(&self) -> Result<FoldObject, StageError> {
        let fold = self.fold.as_ref().filter(|fold| fold.is_valid(self.at));
        Ok(FoldObject {
            labelled: self.label.is_valid(self.at),
            fold: fold.map(|fold| to_i32(fold.value(self.at))).transpose()?,
        })
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
    use crate::table::PIECE;

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
        let labelled = Folds::labelled(file.path()).unwrap();
        assert_eq!(labelled.object_id, ["a", "c"]);
        assert_eq!(labelled.raw_label, [Some("TDE-H".into()), None]);
        assert_eq!(labelled.group, [None, Some("g".into())]);
        assert_eq!(labelled.repeats, [[Some(0), Some(1)], [Some(2), Some(0)]]);
        let with = |also: &[&str]| Folds::labelled_and(file.path(), also).unwrap();
        assert_eq!(with(&["a", "b"]), folds);
        assert_eq!(with(&["d"]), labelled);
        let object = |labelled, fold| Some(FoldObject { labelled, fold });
        let asked = ["0", "a", "b", "b", "bb", "c", "d"];
        let mut objects = FoldObjects::open(file.path(), Some(1)).unwrap();
        let (a, b, c) = (
            object(true, Some(2)),
            object(false, None),
            object(true, Some(0)),
        );
        let found = asked.map(|id| objects.find(id).unwrap());
        assert_eq!(found, [None, a, b, b, None, c, None]);
        let mut objects = FoldObjects::open(file.path(), None).unwrap();
        assert_eq!(objects.find("c").unwrap(), object(true, None));
        let mut objects = FoldObjects::open(file.path(), Some(2)).unwrap();
        assert!(objects.find("a").is_err());
    }

    #[test]
    fn tables_that_are_written_in_pieces_are_the_same_files() {
        let rows = 70_000;
        let all = Folds {
            classes: vec!["AGN".into(), "TDE".into()],
            positive: None,
            object_id: (0..rows).map(|i| format!("o{i:07}")).collect(),
            label: (0..rows)
                .map(|i| (i % 3 == 0).then(|| ["AGN", "TDE"][i % 2].into()))
                .collect(),
            raw_label: Vec::new(),
            group: (0..rows)
                .map(|i| (i % 5 == 0).then(|| format!("g{}", i / 7)))
                .collect(),
            repeats: vec![
                (0..rows)
                    .map(|i| (i % 3 == 0).then_some(i as i32 % 5))
                    .collect(),
            ],
        };
        let mut whole = Vec::new();
        all.write(&mut whole).unwrap();
        let mut pieces = Vec::new();
        let mut writer = all.writer(&mut pieces).unwrap();
        for first in (0..rows).step_by(PIECE) {
            let range = first..rows.min(first + PIECE);
            let piece = Folds {
                object_id: all.object_id[range.clone()].to_vec(),
                label: all.label[range.clone()].to_vec(),
                group: all.group[range.clone()].to_vec(),
                repeats: vec![all.repeats[0][range].to_vec()],
                ..Folds::default()
            };
            piece.append_to(&mut writer).unwrap();
        }
        writer.finish().unwrap();
        assert!(
            whole == pieces,
            "{} and {} bytes",
            whole.len(),
            pieces.len()
        );
    }
}
