//! Cross-fitting: what a stage learns from out-of-fold predictions for a fold comes from the other folds.
//!
//! The rows that have a fold, of which there are as many as labels, are in memory. Those of the final fit, of which there
//! may be millions, are read a few at a time whenever they are needed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use flow_cache::{Digest, Digester, Value};
use flow_engine::StageError;
use flow_engine::kind::{Action, Fault};

use super::held_out::{folds_of, held_out};
use crate::table::{ColumnNames, PredictionReader, PredictionWriter, Predictions};

/// Predictions of one model or of several, all of the same objects and folds.
pub struct CrossedPredictions {
    /// By model, the rows that have a fold, in the order of the file.
    pub models: Vec<Predictions>,
    /// How many rows each repeat and fold has in the files; the fold `None` is the final fit.
    counts: RowCounts,
    paths: Vec<PathBuf>,
    positive_only: bool,
}

/// The number of rows by repeat and fold.
type RowCounts = BTreeMap<(i32, Option<i32>), usize>;

impl CrossedPredictions {
    /// Reads tables.
    ///
    /// # Errors
    /// If there are none, one is unreadable, or they differ in their rows.
    pub(crate) fn read(paths: Vec<PathBuf>) -> Result<Self, StageError> {
        let tables = paths.iter().map(|path| RowsOfFolds::read(path));
        let mut tables = tables.collect::<Result<Vec<_>, _>>()?.into_iter();
        let first = tables.next().filter(|first| !first.counts.is_empty());
        let first = first.ok_or_else(|| {
            StageError::data(
                "flow::data::no_rows",
                "there are no predictions to learn from",
            )
        })?;
        let mut models = vec![first.rows];
        for other in tables {
            if other.all != first.all {
                return Err(other_rows());
            }
            models.push(other.rows);
        }
        Ok(Self {
            models,
            counts: first.counts,
            paths,
            positive_only: false,
        })
    }

    /// Reduces the models to P(positive).
    ///
    /// # Errors
    /// If one has no positive class, or no column for it.
    pub fn of_positive(mut self) -> Result<Self, StageError> {
        let models = self.models.into_iter().map(Predictions::positive_only);
        self.models = models.collect::<Result<_, _>>()?;
        self.positive_only = true;
        Ok(self)
    }

    /// The number of rows that have no fold: those of the final fit.
    pub fn unlabelled(&self) -> usize {
        let counts = self.counts.iter().filter(|((_, fold), _)| fold.is_none());
        counts.map(|(_, count)| count).sum()
    }

    /// Calls `each` for all rows, with and without a fold, in the order of the files. It is given some rows of each
    /// model, and the place of the row among them. `go_on` is called from time to time.
    ///
    /// # Errors
    /// Those of `each` and `go_on`, or if a file is unreadable.
    pub fn each_row(
        &self,
        go_on: &dyn Fn() -> Result<(), StageError>,
        mut each: impl FnMut(&[Predictions], usize) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let readers = self.paths.iter().map(|path| PredictionReader::open(path));
        let mut readers = readers.collect::<Result<Vec<_>, _>>()?;
        loop {
            go_on()?;
            let mut models = Vec::with_capacity(readers.len());
            for reader in &mut readers {
                let Some(rows) = reader.next()? else {
                    return Ok(());
                };
                models.push(match self.positive_only {
                    true => rows.positive_only()?,
                    false => rows,
                });
            }
            let rows = models[0].len();
            if models.iter().any(|model| model.len() != rows) {
                return Err(other_rows());
            }
            for row in 0..rows {
                each(&models, row)?;
            }
        }
    }

    /// Writes a table of all rows with the numbers that `of` gives for each, by column of `columns`. Returns the number
    /// of rows.
    ///
    /// # Errors
    /// As for [`CrossedPredictions::each_row`], or if the writer fails.
    pub(crate) fn write<W: Write + Send>(
        &self,
        to: (&Predictions, ColumnNames, W),
        go_on: &dyn Fn() -> Result<(), StageError>,
        mut of: impl FnMut(&[Predictions], usize) -> Result<Vec<f64>, StageError>,
    ) -> Result<usize, StageError> {
        let (columns, names, to) = to;
        let mut writer = PredictionWriter::new(columns, names, to)?;
        self.each_row(go_on, |models, row| {
            let numbers = of(models, row)?;
            writer.push(|to| {
                to.push_with(&models[0], row, numbers);
                Ok(())
            })
        })?;
        writer.finish()
    }

    /// Writes the output `predictions` of the same rows and classes, with the probabilities that `of` gives for each row.
    ///
    /// # Errors
    /// As for [`CrossedPredictions::each_row`], or if the writer fails.
    pub fn rewrite(
        &self,
        action: &mut Action<'_>,
        of: impl FnMut(&[Predictions], usize) -> Result<Vec<f64>, StageError>,
    ) -> Result<(), StageError> {
        let mut writer = action.create()?;
        let to = (&self.models[0], ColumnNames::Classes, &mut writer);
        let rows = self.write(to, &|| action.checkpoint(), of)?;
        let attrs = vec![("rows".to_owned(), Value::Int(rows as i64))];
        action.finish("predictions", writer, attrs)
    }
}

/// What is held of one table.
struct RowsOfFolds {
    /// The rows that have a fold.
    rows: Predictions,
    counts: RowCounts,
    /// The digest of object, repeat, fold and label of all rows.
    all: Digest,
}

impl RowsOfFolds {
    fn read(path: &Path) -> Result<Self, StageError> {
        let mut counts = RowCounts::new();
        let mut all = Digester::default();
        let rows = Predictions::read_where(path, |rows, row| {
            let (repeat, fold) = (rows.repeat[row], rows.fold[row]);
            *counts.entry((repeat, fold)).or_default() += 1;
            put_text(&mut all, Some(&rows.object_id[row]));
            put_text(&mut all, rows.label[row].as_ref());
            // Folds are not negative.
            all.put(&repeat.to_le_bytes());
            all.put(&fold.unwrap_or(-1).to_le_bytes());
            fold.is_some()
        })?;
        Ok(Self {
            rows,
            counts,
            all: all.finish(),
        })
    }
}

/// Puts in a text so that no two of them run together, and none is not an empty one.
fn put_text(digester: &mut Digester, text: Option<&String>) {
    let length = text.map_or(u64::MAX, |text| text.len() as u64);
    digester.put(&length.to_le_bytes());
    digester.put(text.map_or(&[][..], |text| text.as_bytes()));
}

/// What was fitted for one fold.
pub struct CrossFit<T> {
    /// The repeat of the fold; 0 for the final fit.
    pub repeat: i32,
    /// The fold; `None` for the final fit, which is applied to the rows without a fold.
    pub fold: Option<i32>,
    /// What was fitted, on the rows of the other folds of the repeat.
    pub fitted: T,
}

/// What was fitted for each fold, in the order of repeats and folds, that of the rows without a fold first.
pub struct CrossFits<T>(pub Vec<CrossFit<T>>);

impl<T> CrossFits<T> {
    /// Returns what is applied to a row: the fit that did not see its fold.
    ///
    /// # Errors
    /// If there is none, which is a bug.
    pub fn of(&self, rows: &Predictions, row: usize) -> Result<&T, StageError> {
        let place = (rows.repeat[row], rows.fold[row]);
        let found = self
            .0
            .binary_search_by_key(&place, |fit| (fit.repeat, fit.fold));
        let found = found.map_err(|_| {
            StageError::new(
                Fault::Bug,
                "flow::bug::fold",
                format!("no fit for fold {place:?}"),
            )
        })?;
        Ok(&self.0[found].fitted)
    }
}

/// Fits for each repeat and fold on the rows that the other folds of the repeat hold out, and once for the rows
/// without a fold on all rows of their repeat that have one. `fit` gets the places of the rows in
/// [`CrossedPredictions::models`], which are none if there is only one fold.
///
/// # Errors
/// Those of `fit`.
pub fn cross_fit<T>(
    crossed: &CrossedPredictions,
    mut fit: impl FnMut(&[usize]) -> Result<T, StageError>,
) -> Result<CrossFits<T>, StageError> {
    let rows = &crossed.models[0];
    let mut fits = Vec::with_capacity(crossed.counts.len());
    for &(repeat, fold) in crossed.counts.keys() {
        let others = |&i: &usize| rows.repeat[i] == repeat && rows.fold[i] != fold;
        let others: Vec<usize> = (0..rows.len()).filter(others).collect();
        fits.push(CrossFit {
            repeat,
            fold,
            fitted: fit(&others)?,
        });
    }
    Ok(CrossFits(fits))
}

/// Reads the input `predictions` of a step that is cross-fitted: one table or several, held against the table of folds
/// that they come from.
///
/// # Errors
/// If there are none, they differ in their rows, or a row was fitted on.
pub fn crossed_predictions(action: &Action<'_>) -> Result<CrossedPredictions, StageError> {
    let parts = action.input("predictions").iter();
    let crossed = CrossedPredictions::read(parts.map(|part| part.path.clone()).collect())?;
    if let Some(folds) = &action.folds {
        let first = &crossed.models[0];
        held_out(first, &folds_of(first, &folds.path)?)?;
    }
    Ok(crossed)
}

/// The error for `what`, which cannot be learned for a fold because no other fold has rows.
pub fn one_fold(what: &str) -> StageError {
    StageError::data(
        "flow::data::one_fold",
        format!("{what} for a fold is learned from the other folds of its repeat, and there is only one fold"),
    )
    .help("give the `folds` stage more folds: k = 5")
}

fn other_rows() -> StageError {
    StageError::data(
        "flow::data::folds_differ",
        "the predictions to stack are not of the same objects and folds",
    )
    .help("feed all models from the same `folds` stage")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::testing::crossed;

    /// Two repeats of two folds, and rows of the final fit between them, of which one is of the second repeat.
    fn predictions() -> Predictions {
        let rows = [
            ("a", 0, Some(0)),
            ("b", 0, Some(1)),
            ("c", 0, Some(0)),
            ("u", 0, None),
            ("a", 1, Some(1)),
            ("b", 1, Some(0)),
            ("c", 1, Some(0)),
            ("v", 1, None),
        ];
        Predictions {
            classes: vec!["A".into(), "B".into()],
            positive: Some("B".into()),
            object_id: rows.iter().map(|row| row.0.into()).collect(),
            repeat: rows.iter().map(|row| row.1).collect(),
            fold: rows.iter().map(|row| row.2).collect(),
            label: rows.iter().map(|row| row.2.map(|_| "A".into())).collect(),
            probability: [0.0, 1.0]
                .map(|p| (0..8).map(|i| (p - f64::from(i) / 16.0).abs()).collect())
                .into(),
        }
    }

    #[test]
    fn a_fold_learns_from_the_others_of_its_repeat() {
        let table = predictions();
        let (_folder, crossed) = crossed(std::slice::from_ref(&table)).unwrap();
        assert_eq!(crossed.models[0].object_id, ["a", "b", "c", "a", "b", "c"]);
        assert_eq!(crossed.unlabelled(), 2);
        let fits = cross_fit(&crossed, |rows| Ok(rows.to_vec())).unwrap();
        let found = fits
            .0
            .iter()
            .map(|fit| (fit.repeat, fit.fold, &*fit.fitted));
        let expected: [(i32, Option<i32>, &[usize]); 6] = [
            (0, None, &[0, 1, 2]),
            (0, Some(0), &[1]),
            (0, Some(1), &[0, 2]),
            (1, None, &[3, 4, 5]),
            (1, Some(0), &[3]),
            (1, Some(1), &[4, 5]),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        // Each row of the file gets the fit of its own fold.
        let of = |row| fits.of(&table, row).unwrap().as_slice();
        let of: Vec<&[usize]> = (0..table.len()).map(of).collect();
        let places = [1, 2, 1, 0, 5, 4, 4, 3].map(|place: usize| expected[place].2);
        assert_eq!(of, places);
        let stop = StageError::data("flow::data::no_rows", "stop");
        assert!(cross_fit(&crossed, |_| Err::<(), _>(stop.clone())).is_err());
    }

    /// Writes a file that has its row groups elsewhere than others.
    fn write_short_groups(table: &Predictions, path: &Path) {
        let file = std::fs::File::create(path).unwrap();
        let mut writer = table.writer(file, ColumnNames::Classes).unwrap();
        for first in (0..table.len()).step_by(999) {
            let mut piece = table.none_of();
            let rows = first..table.len().min(first + 999);
            rows.for_each(|row| piece.push_from(table, row));
            piece.append_to(&mut writer).unwrap();
            writer.end_group().unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn rows_are_written_in_the_order_of_the_file_with_the_numbers_of_their_models() {
        // More rows than are read or written at a time, with unlabelled ones among the others.
        let n = 70_000;
        let table = |shift: usize| Predictions {
            classes: vec!["A".into(), "B".into()],
            positive: Some("B".into()),
            object_id: (0..n).map(|i| format!("o{i:05}")).collect(),
            repeat: vec![0; n],
            fold: (0..n)
                .map(|i| (i % 7 == 0).then_some(i as i32 % 3))
                .collect(),
            label: (0..n).map(|i| (i % 7 == 0).then(|| "B".into())).collect(),
            probability: [0, 1]
                .map(|c| {
                    (0..n)
                        .map(|i| ((i + shift + c) % 64) as f64 / 64.0)
                        .collect()
                })
                .into(),
        };
        let tables = [table(0), table(5)];
        let (folder, _) = crossed(&tables).unwrap();
        let paths = ["0", "1"].map(|name| folder.path().join(name));
        write_short_groups(&tables[1], &paths[1]);
        let crossed = CrossedPredictions::read(paths.into()).unwrap();
        assert_eq!(crossed.models[0].len(), n.div_ceil(7));
        let mut expected = tables[0].clone();
        for (column, values) in expected.probability.iter_mut().enumerate() {
            for (i, value) in values.iter_mut().enumerate() {
                *value = (*value + tables[1].probability[column][i]) / 2.0;
            }
        }
        let mean = |models: &[Predictions], row: usize| {
            let columns = models[0].probability.iter().zip(&models[1].probability);
            Ok(columns.map(|(a, b)| (a[row] + b[row]) / 2.0).collect())
        };
        let written = |names, crossed: &CrossedPredictions| {
            let mut bytes = Vec::new();
            let to = (&crossed.models[0], names, &mut bytes);
            let rows = crossed.write(to, &|| Ok(()), mean).unwrap();
            assert_eq!(rows, n);
            bytes
        };
        let mut whole = Vec::new();
        expected.write(&mut whole).unwrap();
        assert!(written(ColumnNames::Classes, &crossed) == whole);
        // The positive class alone.
        let crossed = crossed.of_positive().unwrap();
        let mut whole = Vec::new();
        expected.positive_only().unwrap().write(&mut whole).unwrap();
        assert!(written(ColumnNames::Classes, &crossed) == whole);
        let plain = written(ColumnNames::Plain, &crossed);
        let file = flow_testkit::files::file_of(&plain);
        let error = Predictions::read(file.path()).unwrap_err();
        assert!(error.help[0].ends_with("label, B"), "{error:?}");
    }

    fn first_rows(table: &Predictions, rows: usize) -> Predictions {
        let mut some = table.none_of();
        (0..rows).for_each(|row| some.push_from(table, row));
        some
    }

    #[test]
    fn models_of_other_rows_are_refused() {
        let first = predictions();
        let differs = |change: fn(&mut Predictions)| {
            let mut other = first.clone();
            change(&mut other);
            let error = crossed(&[first.clone(), other]).err();
            error.map(|error| error.code.as_str().to_owned())
        };
        let differ = Some("flow::data::folds_differ".to_owned());
        assert_eq!(differs(|table| table.probability[0].fill(0.5)), None);
        assert_eq!(differs(|table| table.fold[0] = Some(1)), differ);
        assert_eq!(differs(|table| table.label[0] = None), differ);
        // Rows of the final fit are compared too.
        assert_eq!(differs(|table| table.object_id[3] = "x".into()), differ);
        assert_eq!(
            differs(|table| table.label[7] = Some(String::new())),
            differ
        );
        assert_eq!(differs(|table| table.repeat[7] = 0), differ);
        let shorter = differs(|table| *table = first_rows(table, 7));
        assert_eq!(shorter, differ);
        let error = CrossedPredictions::read(Vec::new()).err().unwrap();
        assert_eq!(error.code.as_str(), "flow::data::no_rows");
    }
}
