//! What the objects files list: every row is judged and counted here, and none is held.

use std::collections::BTreeMap;

use flow_engine::StageError;

use crate::table::{Objects, is_possible};

use super::columns::Regroup;
use super::ids::{Doubtful, Ids};
use super::params::{IngestParams, OnNull};
use super::reject::{Bad, Cell, Tally};

/// The columns that may be empty.
pub(super) const NULLABLE: [&str; 4] = ["label", "redshift", "redshift_err", "ebv"];
/// The number of rows after which it is looked whether the run was interrupted.
const CHECK_EVERY: u64 = 1 << 16;

/// One row of an objects file.
pub(super) struct ObjectRow<'a> {
    /// The line of a text file or row of a Parquet file, from 1.
    pub line: u64,
    /// The name of the object.
    pub object_id: Cell<'a>,
    /// The cells in the order of [`super::columns::OBJECT_COLUMNS`]; `None` for a column that the file
    /// lacks.
    pub values: [Option<Cell<'a>>; 6],
}

/// An object that is usable, as its row lists it.
#[derive(Default)]
pub(super) struct ListedObject<'a> {
    /// The label, as it is in the file.
    pub label: Option<&'a str>,
    /// The class that the label belongs to.
    pub class: Option<&'a str>,
    /// Redshift, its standard error, and E(B-V) in magnitudes.
    pub numbers: [Option<f64>; 3],
    /// The part of the survey.
    pub split: Option<&'a str>,
    /// The group.
    pub group: Option<&'a str>,
}

/// Is given the name of each object in file order, and what its row lists unless it was dropped.
pub(super) type TakeObject<'a> = dyn FnMut(&str, Option<&ListedObject<'_>>) + 'a;

/// Judges the rows of the objects files, and passes on what they list.
pub(super) struct Catalogue<'a> {
    /// The sums so far.
    pub sums: CatalogueSums,
    /// The names of the objects.
    pub ids: Ids<'a>,
    take: &'a mut TakeObject<'a>,
    checkpoint: &'a dyn Fn() -> Result<(), StageError>,
    regroup: Regroup,
    nulls: [OnNull; 4],
}

/// What is counted of the objects files.
#[derive(Default)]
pub(super) struct CatalogueSums {
    /// Counts of what was read, kept and dropped.
    pub tally: Tally,
    /// The number of usable objects of each class.
    classes: BTreeMap<String, usize>,
}

impl CatalogueSums {
    /// Returns the classes of all labels, which come from this column.
    ///
    /// # Errors
    /// As for [`Objects::classes`].
    pub fn classes(&self, column: &str) -> Result<Vec<String>, StageError> {
        Objects::counted_classes(&self.classes, column)
    }
}

impl<'a> Catalogue<'a> {
    /// Returns an empty catalogue with the rules of `params`, which passes objects on to `take`.
    ///
    /// # Errors
    /// If a class pattern is not valid.
    pub fn new(
        params: &IngestParams<'_>,
        doubtful: &'a Doubtful,
        take: &'a mut TakeObject<'a>,
        checkpoint: &'a dyn Fn() -> Result<(), StageError>,
    ) -> Result<Self, StageError> {
        let regroup =
            Regroup::of(params).map_err(|text| StageError::data("flow::params::classes", text))?;
        let policy = |column: &str| {
            let mut given = params.nulls.iter();
            let given = given.find(|(key, _)| *key == column);
            given.map_or(OnNull::Keep, |(_, on_null)| *on_null)
        };
        Ok(Self {
            sums: CatalogueSums::default(),
            ids: Ids::new(doubtful),
            take,
            checkpoint,
            regroup,
            nulls: NULLABLE.map(policy),
        })
    }

    /// Drops a row that cannot be read.
    pub fn reject(&mut self, file: &str, line: u64, reason: &str, value: &str) {
        self.sums.tally.read += 1;
        self.sums.tally.drop(reason, file, line, value);
    }

    /// Takes a row, or counts the reason why not.
    ///
    /// # Errors
    /// If the object is there already, or lacks a value and the `nulls` policy is `error`, or the checkpoint
    /// fails.
    pub fn push(&mut self, row: &ObjectRow<'_>, file: &str) -> Result<(), StageError> {
        if self.sums.tally.read.is_multiple_of(CHECK_EVERY) {
            (self.checkpoint)()?;
        }
        let id = match row.object_id.text() {
            Ok(id) => id,
            Err(bad) => {
                let reason = bad.reason("object id");
                self.reject(file, row.line, &reason, &row.object_id.show());
                return Ok(());
            }
        };
        if self.ids.add(id, 0).is_some() {
            return Err(StageError::data(
                "flow::data::object_twice",
                format!("{file}:{}: object `{id}` is listed a second time", row.line),
            )
            .help("one row an object: remove one of the two"));
        }
        self.sums.tally.read += 1;
        let reader = ValueReader {
            tally: &mut self.sums.tally,
            nulls: &self.nulls,
            at: (id, file, row.line),
        };
        let Some(mut object) = reader.read(row.values)? else {
            (self.take)(id, None);
            return Ok(());
        };
        for (name, i) in [("negative redshift", 0), ("negative E(B-V)", 2)] {
            if let Some(value) = object.numbers[i].filter(|v| *v < 0.0) {
                let value = format!("{id}: {value}");
                self.sums.tally.odd(name, file, row.line, &value);
            }
        }
        self.sums.tally.kept += 1;
        object.class = object.label.map(|label| self.regroup.class(label));
        if let Some(class) = object.class {
            match self.sums.classes.get_mut(class) {
                Some(count) => *count += 1,
                None => drop(self.sums.classes.insert(class.to_owned(), 1)),
            }
        }
        (self.take)(id, Some(&object));
        Ok(())
    }
}

/// Reads nullable values; an outer `None` means that the object was dropped.
struct ValueReader<'a> {
    tally: &'a mut Tally,
    nulls: &'a [OnNull; 4],
    at: (&'a str, &'a str, u64),
}

impl ValueReader<'_> {
    /// Reads the values of one row: label, redshift, its error, E(B-V), split and group.
    fn read<'r>(
        mut self,
        row: [Option<Cell<'r>>; 6],
    ) -> Result<Option<ListedObject<'r>>, StageError> {
        let [label, redshift, redshift_err, ebv, split, group] = row;
        let Some(label) = self.text(0, label)? else {
            return Ok(None);
        };
        let mut numbers = [None; 3];
        for (i, cell) in [redshift, redshift_err, ebv].into_iter().enumerate() {
            let Some(value) = self.number(i + 1, cell)? else {
                return Ok(None);
            };
            numbers[i] = value;
        }
        let free = |cell: Option<Cell<'r>>| cell.and_then(|cell| cell.text().ok());
        Ok(Some(ListedObject {
            label,
            class: None,
            numbers,
            split: free(split),
            group: free(group),
        }))
    }

    fn text<'r>(
        &mut self,
        column: usize,
        cell: Option<Cell<'r>>,
    ) -> Result<Option<Option<&'r str>>, StageError> {
        match cell.unwrap_or(Cell::Missing).text() {
            Ok(text) => Ok(Some(Some(text))),
            Err(bad) => Ok(self.null(column, bad, cell)?.then_some(None)),
        }
    }

    fn number(
        &mut self,
        column: usize,
        cell: Option<Cell<'_>>,
    ) -> Result<Option<Option<f64>>, StageError> {
        let bad = match cell.unwrap_or(Cell::Missing).number() {
            Ok(value) if is_possible(NULLABLE[column], value) => return Ok(Some(Some(value))),
            Ok(_) => Bad::Impossible,
            Err(Bad::Nan) => Bad::Empty,
            Err(bad) => bad,
        };
        Ok(self.null(column, bad, cell)?.then_some(None))
    }

    /// Returns true if the object stays without the value.
    fn null(
        &mut self,
        column: usize,
        bad: Bad,
        cell: Option<Cell<'_>>,
    ) -> Result<bool, StageError> {
        // Most rows of a survey have no label, so nothing is formatted for these.
        if self.nulls[column] == OnNull::Keep && bad == Bad::Empty {
            return Ok(true);
        }
        let (id, file, line) = self.at;
        let reason = bad.reason(NULLABLE[column]);
        let value = cell.map_or(String::new(), |c| c.show());
        let shown = match value.as_str() {
            "" => String::new(),
            value => format!(": `{value}`"),
        };
        match self.nulls[column] {
            OnNull::Keep if bad == Bad::Impossible => {
                let value = format!("{id}: {value}");
                self.tally.missing(NULLABLE[column], file, line, &value);
                return Ok(true);
            }
            OnNull::Error => {
                return Err(StageError::data(
                    "flow::data::null",
                    format!("{file}:{line}: object `{id}` has {reason}{shown}"),
                )
                .help(format!(
                    "keep such objects, or drop them with \"reject\":\n[stages.NAME.nulls]\n{} = \"keep\"",
                    NULLABLE[column]
                )));
            }
            OnNull::Keep | OnNull::Reject => {}
        }
        self.tally.drop(&reason, file, line, &value);
        Ok(false)
    }
}
