//! The predictions of models.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;

use super::classes::no_positive;
use super::folds::to_i32;
use super::parquet_io::{self, Batch, PIECE, TableReader, TableWriter, json_list, properties};
use super::{columns_help, schema_error};

const NAME: &str = "the predictions table";

/// One row per prediction, in the order of (repeat, `object_id`). All columns have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// The classes that have a column of probabilities, in the order of the columns. Metadata
    /// `flow.classes`.
    pub classes: Vec<String>,
    /// The class that binary metrics score. Metadata `flow.positive`.
    pub positive: Option<String>,
    /// The object.
    pub object_id: Vec<String>,
    /// The repeat of the cross-validation; 0 for the final fit.
    pub repeat: Vec<i32>,
    /// The fold that held the object out; `None` for the final fit.
    pub fold: Vec<Option<i32>>,
    /// The true class, if it is known.
    pub label: Vec<Option<String>>,
    /// The probabilities, by class and row. Columns `p_<class>`.
    pub probability: Vec<Vec<f64>>,
}

impl Predictions {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.object_id.len()
    }

    /// Returns true if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.object_id.is_empty()
    }

    /// Returns the column and the name of the class that binary metrics score; `None` if the survey
    /// names none.
    ///
    /// # Errors
    /// If the class that it names has no column.
    pub fn positive_column(&self) -> Result<Option<(usize, &str)>, StageError> {
        let Some(positive) = &self.positive else {
            return Ok(None);
        };
        let column = self.classes.iter().position(|c| c == positive);
        let column = column.ok_or_else(|| no_positive(Some(positive), &self.classes))?;
        Ok(Some((column, positive)))
    }

    /// Returns the class of a row, as the place of its column.
    ///
    /// # Errors
    /// If there is no column for it.
    pub fn class_of(&self, row: usize) -> Result<usize, StageError> {
        let label = self.label[row].as_deref().unwrap_or_default();
        let column = self.classes.iter().position(|class| class == label);
        column.ok_or_else(|| {
            StageError::data(
                "flow::data::unknown_class",
                format!("object `{}` is a `{label}`, for which there is no column of probabilities", self.object_id[row]),
            )
            .help("learn all classes: target = \"classes\" in the `model` stage, or name a `positive` class")
        })
    }

    /// Puts the rows in the order of (repeat, `object_id`, fold).
    pub fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| {
            (self.repeat[a], &self.object_id[a], self.fold[a]).cmp(&(
                self.repeat[b],
                &self.object_id[b],
                self.fold[b],
            ))
        });
        fn pick<T: Clone>(order: &[usize], values: &[T]) -> Vec<T> {
            order.iter().map(|&i| values[i].clone()).collect()
        }
        self.object_id = pick(&order, &self.object_id);
        self.repeat = pick(&order, &self.repeat);
        self.fold = pick(&order, &self.fold);
        self.label = pick(&order, &self.label);
        for column in &mut self.probability {
            *column = pick(&order, column);
        }
    }

    /// Appends the rows of `other`.
    ///
    /// # Errors
    /// If its classes differ.
    pub fn append(&mut self, other: &Predictions) -> Result<(), StageError> {
        if self.classes != other.classes || self.positive != other.positive {
            return Err(schema_error(format!(
                "predictions of the classes {:?} and {:?} meet in one table",
                self.classes, other.classes
            )));
        }
        self.object_id.extend_from_slice(&other.object_id);
        self.repeat.extend_from_slice(&other.repeat);
        self.fold.extend_from_slice(&other.fold);
        self.label.extend_from_slice(&other.label);
        for (column, more) in self.probability.iter_mut().zip(&other.probability) {
            column.extend_from_slice(more);
        }
        Ok(())
    }

    /// Returns an empty table of the same classes.
    pub(crate) fn none_of(&self) -> Self {
        Self {
            classes: self.classes.clone(),
            positive: self.positive.clone(),
            probability: vec![Vec::new(); self.classes.len()],
            ..Self::default()
        }
    }

    /// Appends a row of a table of the same classes.
    pub(crate) fn push_from(&mut self, other: &Self, row: usize) {
        let columns = other.probability.iter();
        self.push_with(other, row, columns.map(|values| values[row]));
    }

    /// Appends a row of another table with these numbers, one for each column of this table.
    pub(crate) fn push_with(
        &mut self,
        other: &Self,
        row: usize,
        numbers: impl IntoIterator<Item = f64>,
    ) {
        self.object_id.push(other.object_id[row].clone());
        self.repeat.push(other.repeat[row]);
        self.fold.push(other.fold[row]);
        self.label.push(other.label[row].clone());
        for (column, number) in self.probability.iter_mut().zip(numbers) {
            column.push(number);
        }
    }

    /// Reduces the table to the probabilities of the positive class.
    ///
    /// # Errors
    /// If the survey names no positive class, or it has no column.
    pub(crate) fn positive_only(mut self) -> Result<Self, StageError> {
        let positive = self.positive_column()?;
        let (column, positive) = positive.ok_or_else(|| no_positive(None, &self.classes))?;
        self.classes = vec![positive.to_owned()];
        self.probability = vec![self.probability.swap_remove(column)];
        Ok(self)
    }

    /// Writes Parquet: `object_id, repeat, fold, label, p_<class>...`.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, writer: impl Write + Send) -> Result<(), StageError> {
        let mut writer = self.writer(writer, ColumnNames::Classes)?;
        self.append_to(&mut writer)?;
        writer.finish()
    }

    /// Returns a writer for tables of the same classes.
    pub(crate) fn writer<W: Write + Send>(
        &self,
        to: W,
        names: ColumnNames,
    ) -> Result<TableWriter<W>, StageError> {
        let positive: Vec<String> = self.positive.iter().cloned().collect();
        let mut metadata = vec![
            ("flow.classes", json_list(&self.classes)),
            ("flow.positive", json_list(&positive)),
        ];
        let mut prefix = "p_";
        if let ColumnNames::Plain = names {
            (prefix, metadata) = ("", Vec::new());
        }
        let mut fields = vec![
            Field::new("object_id", DataType::Utf8, false),
            Field::new("repeat", DataType::Int32, false),
            Field::new("fold", DataType::Int32, true),
            Field::new("label", DataType::Utf8, true),
        ];
        let names = self.classes.iter().map(|name| format!("{prefix}{name}"));
        fields.extend(names.map(|name| Field::new(name, DataType::Float64, false)));
        let properties = properties(&metadata, &["repeat", "fold", "label"]);
        TableWriter::new(to, Arc::new(Schema::new(fields)), properties)
    }

    /// Appends the rows to a file with as many columns of probabilities.
    pub(crate) fn append_to<W: Write + Send>(
        &self,
        writer: &mut TableWriter<W>,
    ) -> Result<(), StageError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(&self.object_id)),
            Arc::new(Int32Array::from(self.repeat.clone())),
            Arc::new(Int32Array::from(self.fold.clone())),
            Arc::new(StringArray::from_iter(
                self.label.iter().map(Option::as_deref),
            )),
        ];
        for values in &self.probability {
            columns.push(Arc::new(Float64Array::from(values.clone())));
        }
        writer.append(columns)
    }

    /// Reads predictions. A table of a user's command may lack the metadata (the classes are then those
    /// of the `p_` columns), `repeat` (then 0), `fold` and `label` (then `None`).
    ///
    /// # Errors
    /// If the file is unreadable or does not fit: it has no `object_id` or no `p_<class>`, or a
    /// probability is missing or not within 0 and 1.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        Self::read_where(path, |_, _| true)
    }

    /// Reads the rows that have a fold, of which there are as many as there are labels, however large the survey is.
    ///
    /// # Errors
    /// As for [`Predictions::read`].
    pub fn read_out_of_fold(path: &Path) -> Result<Self, StageError> {
        Self::read_where(path, |rows, row| rows.fold[row].is_some())
    }

    /// Reads the rows that `wanted` picks. It is given some rows of the file, and the place of the row among them.
    ///
    /// # Errors
    /// As for [`Predictions::read`].
    pub fn read_where(
        path: &Path,
        mut wanted: impl FnMut(&Self, usize) -> bool,
    ) -> Result<Self, StageError> {
        let mut rows = PredictionReader::open(path)?;
        let mut all = rows.classes().none_of();
        while let Some(some) = rows.next()? {
            for row in 0..some.len() {
                if wanted(&some, row) {
                    all.push_from(&some, row);
                }
            }
        }
        Ok(all)
    }

    /// Appends rows of a file; `before` rows of it came earlier.
    fn take(&mut self, batch: &Batch, before: usize) -> Result<(), StageError> {
        let ids = batch.ids("object_id", before)?;
        self.object_id.extend(ids);
        let rows = self.len();
        match batch.column("repeat") {
            Some(_) => {
                for repeat in &batch.ints("repeat")? {
                    self.repeat.push(to_i32(repeat.unwrap_or(0))?);
                }
            }
            None => self.repeat.resize(rows, 0),
        }
        match batch.column("fold") {
            Some(_) => {
                for fold in &batch.ints("fold")? {
                    self.fold.push(fold.map(to_i32).transpose()?);
                }
            }
            None => self.fold.resize(rows, None),
        }
        match batch.column("label") {
            Some(_) => self
                .label
                .extend(parquet_io::options(&batch.texts("label")?)),
            None => self.label.resize(rows, None),
        }
        for (class, column) in self.classes.iter().zip(&mut self.probability) {
            for value in &batch.floats(&format!("p_{class}"))? {
                match value {
                    Some(p) if (0.0..=1.0).contains(&p) => column.push(p),
                    other => {
                        return Err(schema_error(format!(
                            "column `p_{class}` of {NAME} holds {}, which is no probability",
                            other.map_or("a null".into(), |p| p.to_string())
                        )));
                    }
                }
            }
        }
        Ok(())
    }
}

/// How the columns of numbers are called.
#[derive(Clone, Copy)]
pub(crate) enum ColumnNames {
    /// `p_` and the class.
    Classes,
    /// As [`Predictions::classes`] says. The numbers are no probabilities of classes.
    Plain,
}

/// A table of predictions that is written row by row.
pub(crate) struct PredictionWriter<W: Write + Send> {
    table: TableWriter<W>,
    piece: Predictions,
    rows: usize,
}

impl<W: Write + Send> PredictionWriter<W> {
    /// Starts a table of the classes of `classes`.
    ///
    /// # Errors
    /// If the writer fails.
    pub(crate) fn new(
        classes: &Predictions,
        names: ColumnNames,
        to: W,
    ) -> Result<Self, StageError> {
        Ok(Self {
            table: classes.writer(to, names)?,
            piece: classes.none_of(),
            rows: 0,
        })
    }

    /// Writes what `row` pushes, which is one row or none.
    ///
    /// # Errors
    /// Those of `row`, or if the writer fails.
    pub(crate) fn push(
        &mut self,
        row: impl FnOnce(&mut Predictions) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        row(&mut self.piece)?;
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.rows += self.piece.len();
        self.piece.append_to(&mut self.table)?;
        self.piece = self.piece.none_of();
        Ok(())
    }

    /// Ends the table, and returns the number of its rows.
    ///
    /// # Errors
    /// If the writer fails.
    pub(crate) fn finish(mut self) -> Result<usize, StageError> {
        self.flush()?;
        self.table.finish()?;
        Ok(self.rows)
    }
}

/// A table of predictions that is read some rows at a time.
pub(crate) struct PredictionReader {
    source: TableReader,
    /// No rows of the same classes.
    classes: Predictions,
    rows: usize,
}

impl PredictionReader {
    /// Opens a table as [`Predictions::read`] does.
    ///
    /// # Errors
    /// As for [`Predictions::read`].
    pub(crate) fn open(path: &Path) -> Result<Self, StageError> {
        let source = TableReader::open(path, NAME)?;
        let columns = source
            .fields()
            .iter()
            .filter_map(|f| f.name().strip_prefix("p_"));
        let classes = match source.metadata_list("flow.classes")? {
            Some(classes) => classes,
            None => columns.map(String::from).collect(),
        };
        if classes.is_empty() {
            let names = source.fields().iter().map(|field| field.name());
            return Err(schema_error(format!(
                "{NAME} has no column of probabilities, which are called `p_` and the class"
            ))
            .help(columns_help(names)));
        }
        let positive = source.metadata_list("flow.positive")?;
        let classes = Predictions {
            positive: positive.unwrap_or_default().pop(),
            probability: vec![Vec::new(); classes.len()],
            classes,
            ..Predictions::default()
        };
        Ok(Self {
            source,
            classes,
            rows: 0,
        })
    }

    /// A table of the same classes without rows.
    pub(crate) fn classes(&self) -> &Predictions {
        &self.classes
    }

    /// Returns the next rows; `None` at the end.
    ///
    /// # Errors
    /// As for [`Predictions::read`].
    pub(crate) fn next(&mut self) -> Result<Option<Predictions>, StageError> {
        let Some(batch) = self.source.next_batch()? else {
            return Ok(None);
        };
        let mut rows = self.classes.none_of();
        rows.take(&batch, self.rows)?;
        self.rows += rows.len();
        Ok(Some(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Predictions {
        Predictions {
            classes: vec!["AGN".into(), "TDE".into()],
            positive: Some("TDE".into()),
            object_id: vec!["b".into(), "a".into()],
            repeat: vec![0, 0],
            fold: vec![Some(3), None],
            label: vec![Some("TDE".into()), None],
            probability: vec![vec![0.25, 0.5], vec![0.75, 0.5]],
        }
    }

    fn file(predictions: &Predictions) -> flow_testkit::files::NamedTempFile {
        let file = flow_testkit::files::NamedTempFile::new().unwrap();
        predictions.write(file.as_file()).unwrap();
        file
    }

    #[test]
    fn predictions_come_back_and_sort() {
        let mut all = sample();
        assert_eq!(Predictions::read(file(&all).path()).unwrap(), all);
        all.sort();
        assert_eq!(all.object_id, ["a", "b"]);
        assert_eq!(all.probability[1], [0.5, 0.75]);
        assert_eq!(all.fold, [None, Some(3)]);
    }

    #[test]
    fn what_is_no_probability_is_named() {
        let mut all = sample();
        all.probability[1][0] = f64::NAN;
        let error = Predictions::read(file(&all).path()).unwrap_err();
        assert!(error.message.contains("`p_TDE`"), "{error}");
    }
}
