//! Predictions of many files as one sorted table, in memory that does not grow with them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::path::{Path, PathBuf};

use flow_engine::StageError;

use super::{ColumnNames, PIECE, PredictionReader, Predictions, schema_error};

/// The most files that are open at a time.
const MOST: usize = 64;
/// The most columns of numbers of all files that are open, because each holds a page in memory: 20,000 numbers, and what
/// they are packed into.
const MOST_COLUMNS: usize = 256;

/// The rows of several tables of predictions in the order of `object_id`, in which each table is already. Rows of one
/// object come in the order of the tables.
pub(crate) struct Merged {
    sources: Vec<Source>,
    /// The object of the next row of every source that has one, the first of them on top.
    heads: BinaryHeap<Reverse<(String, usize)>>,
    /// No rows of the same classes.
    classes: Predictions,
}

/// One table, some rows at a time.
struct Source {
    reader: PredictionReader,
    rows: Predictions,
    /// The next of `rows`.
    at: usize,
}

impl Merged {
    /// Opens tables; `None` if there are none. If there are many, they are first merged into fewer files in the folder
    /// `scratch` (external merge sort: Knuth 1998, The Art of Computer Programming, volume 3, section 5.4). `checkpoint`
    /// is called from time to time.
    ///
    /// # Errors
    /// If a table is unreadable or out of order, the classes differ, or a file cannot be written.
    pub(crate) fn open(
        mut paths: Vec<PathBuf>,
        scratch: &Path,
        checkpoint: &dyn Fn() -> Result<(), StageError>,
    ) -> Result<Option<Self>, StageError> {
        let Some(first) = paths.first() else {
            return Ok(None);
        };
        let most = most_open(PredictionReader::open(first)?.classes().classes.len());
        // The last files are open when their folder is removed, and are read on.
        let folder = tempfile::tempdir_in(scratch)?;
        let mut made = 0_usize;
        while paths.len() > most {
            let mut fewer = Vec::with_capacity(paths.len().div_ceil(most));
            for some in paths.chunks(most) {
                checkpoint()?;
                let path = folder.path().join(made.to_string());
                made += 1;
                if let Some(merged) = Self::of(some)? {
                    merged.write(&path)?;
                    fewer.push(path);
                }
            }
            paths = fewer;
        }
        Self::of(&paths)
    }

    fn of(paths: &[PathBuf]) -> Result<Option<Self>, StageError> {
        let Some(first) = paths.first() else {
            return Ok(None);
        };
        let mut merged = Self {
            sources: Vec::with_capacity(paths.len()),
            heads: BinaryHeap::with_capacity(paths.len()),
            classes: PredictionReader::open(first)?.classes().none_of(),
        };
        for (index, path) in paths.iter().enumerate() {
            let reader = PredictionReader::open(path)?;
            merged.classes.append(reader.classes())?;
            merged.sources.push(Source {
                rows: reader.classes().none_of(),
                reader,
                at: 0,
            });
            merged.refill(index)?;
        }
        Ok(Some(merged))
    }

    /// A table of the same classes without rows.
    pub(crate) fn classes(&self) -> &Predictions {
        &self.classes
    }

    /// The object of the next row.
    pub(crate) fn peek(&self) -> Option<&str> {
        self.heads.peek().map(|Reverse((id, _))| id.as_str())
    }

    /// Moves the next row to the end of `to`, if there is one.
    ///
    /// # Errors
    /// If a table is unreadable or out of order.
    pub(crate) fn pop_into(&mut self, to: &mut Predictions) -> Result<(), StageError> {
        let Some(Reverse((id, index))) = self.heads.pop() else {
            return Ok(());
        };
        let source = &mut self.sources[index];
        to.push_from(&source.rows, source.at);
        source.at += 1;
        self.refill(index)?;
        match self.peek() {
            Some(next) if next < id.as_str() => Err(schema_error(format!(
                "the rows of a table of predictions are not in the order of object_id: `{id}` comes before `{next}`"
            ))),
            _ => Ok(()),
        }
    }

    /// Finds the next row of a source whose last one was taken.
    fn refill(&mut self, index: usize) -> Result<(), StageError> {
        let source = &mut self.sources[index];
        while source.at == source.rows.len() {
            let Some(rows) = source.reader.next()? else {
                return Ok(());
            };
            source.rows = rows;
            source.at = 0;
        }
        let id = source.rows.object_id[source.at].clone();
        self.heads.push(Reverse((id, index)));
        Ok(())
    }

    /// Writes the rows in short row groups, because a reader holds one.
    fn write(mut self, path: &Path) -> Result<(), StageError> {
        let mut writer = self
            .classes
            .writer(File::create(path)?, ColumnNames::Classes)?;
        while self.peek().is_some() {
            let mut piece = self.classes.none_of();
            while piece.len() < PIECE && self.peek().is_some() {
                self.pop_into(&mut piece)?;
            }
            piece.append_to(&mut writer)?;
            writer.end_group()?;
        }
        writer.finish()
    }
}

/// How many files of so many columns of numbers are open at a time.
fn most_open(columns: usize) -> usize {
    (MOST_COLUMNS / columns.max(1)).clamp(2, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ids: impl IntoIterator<Item = usize>, label: &str) -> Predictions {
        let object_id: Vec<String> = ids.into_iter().map(|i| format!("o{i:05}")).collect();
        let n = object_id.len();
        Predictions {
            classes: vec!["TDE".into()],
            positive: Some("TDE".into()),
            probability: vec![(0..n).map(|i| i as f64 / n as f64).collect()],
            repeat: vec![0; n],
            fold: vec![None; n],
            label: vec![Some(label.into()); n],
            object_id,
        }
    }

    fn saved(folder: &Path, tables: &[Predictions]) -> Vec<PathBuf> {
        let paths = tables.iter().enumerate().map(|(i, table)| {
            let path = folder.join(format!("{i}.parquet"));
            table.write(File::create(&path).unwrap()).unwrap();
            path
        });
        paths.collect()
    }

    fn merged(folder: &Path, tables: &[Predictions]) -> Result<Predictions, StageError> {
        let scratch = folder.join("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        let mut rows = Merged::open(saved(folder, tables), &scratch, &|| Ok(()))?.unwrap();
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
        let mut all = rows.classes().none_of();
        while rows.peek().is_some() {
            rows.pop_into(&mut all)?;
        }
        Ok(all)
    }

    /// Merging gives all rows of these tables in order.
    fn assert_merged(tables: &[Predictions]) {
        let folder = flow_testkit::files::folder();
        let mut wanted = tables[0].none_of();
        tables
            .iter()
            .for_each(|table| wanted.append(table).unwrap());
        wanted.sort();
        assert_eq!(merged(folder.path(), tables).unwrap(), wanted);
    }

    #[test]
    fn more_tables_than_are_open_at_a_time_come_out_sorted() {
        // Interleaved, of different lengths, some empty, and enough for two rounds.
        let count = MOST * MOST + 3;
        let ids = |t: usize| (0..t % 4).map(move |i| i * count + (t * 7) % count);
        let tables = (0..count).map(|t| table(ids(t), &t.to_string()));
        assert_merged(&tables.collect::<Vec<_>>());
    }

    #[test]
    fn of_wide_tables_fewer_are_open_and_the_rows_are_the_same() {
        assert_eq!([1, 4, 15, 300].map(most_open), [64, 64, 17, 2]);
        let wide = |t: usize| {
            let mut table = table((0..9).map(|i| i * 40 + (t * 7) % 40), &t.to_string());
            table.classes = (0..100).map(|c| c.to_string()).collect();
            table.probability = (0..100).map(|c| vec![f64::from(c) / 100.0; 9]).collect();
            table.positive = None;
            table
        };
        assert_merged(&(0..11).map(wide).collect::<Vec<_>>());
    }

    #[test]
    fn equal_objects_come_in_the_order_of_the_tables() {
        let folder = flow_testkit::files::folder();
        let tables = [table([1, 2], "first"), table([1, 3], "second")];
        let all = merged(folder.path(), &tables).unwrap();
        assert_eq!(all.object_id, ["o00001", "o00001", "o00002", "o00003"]);
        assert_eq!(all.label[0].as_deref(), Some("first"));
        assert_eq!(all.label[1].as_deref(), Some("second"));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let folder = flow_testkit::files::folder();
        let error = merged(folder.path(), &[table([2, 1], "x"), table([5], "x")]).unwrap_err();
        assert!(
            error.message.contains("`o00002` comes before `o00001`"),
            "{error}"
        );
        let mut other = table([3], "x");
        other.classes = vec!["SN".into()];
        let error = merged(folder.path(), &[table([1], "x"), other]).unwrap_err();
        assert!(error.message.contains("meet in one table"), "{error}");
    }
}
