//! The objects of a survey that may have a light curve.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use flow_engine::StageError;

use crate::table::{Objects, is_possible};

use super::columns::Regroup;
use super::params::{IngestParams, OnNull};
use super::reject::{Bad, Cell, Tally};

/// The columns that may be empty.
pub(super) const NULLABLE: [&str; 4] = ["label", "redshift", "redshift_err", "ebv"];

/// The reason why an observation has no object.
pub(super) const DROPPED: &str = "object that was itself dropped";
/// Another reason why an observation has no object.
pub(super) const SPELLED: &str = "object that the objects table spells otherwise";

/// Returns the digits that tell a whole number from others: `7` of `7`, `7.0` and `007`.
fn number(id: &str) -> Option<&str> {
    let whole = match id.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => id,
    };
    let digits = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| whole.trim_start_matches('0'))
}

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

/// The objects, in file order, with an index by name.
pub(super) struct Catalogue {
    /// The objects that are usable.
    pub objects: Objects,
    /// Counts of what was read, kept and dropped.
    pub tally: Tally,
    /// The labels as they are in the files.
    pub labels: BTreeSet<String>,
    rows: HashMap<String, Option<usize>>,
    /// The ids that are numbers, by their number. It is built when an id is first not found as it is
    /// spelled.
    by_number: OnceCell<HashMap<String, String>>,
    regroup: Regroup,
    nulls: [OnNull; 4],
}

impl Catalogue {
    /// Returns an empty catalogue with the rules of `params`.
    ///
    /// # Errors
    /// If a class pattern is not valid.
    pub fn new(params: &IngestParams<'_>) -> Result<Self, StageError> {
        let regroup =
            Regroup::of(params).map_err(|text| StageError::data("flow::params::classes", text))?;
        let policy = |column: &str| {
            let mut given = params.nulls.iter();
            let given = given.find(|(key, _)| *key == column);
            given.map_or(OnNull::Keep, |(_, on_null)| *on_null)
        };
        Ok(Self {
            objects: Objects::default(),
            tally: Tally::default(),
            labels: BTreeSet::new(),
            rows: HashMap::new(),
            by_number: OnceCell::new(),
            regroup,
            nulls: NULLABLE.map(policy),
        })
    }

    /// Returns the row of object `id`, or the reason why there is none.
    pub fn row(&self, id: &str) -> Result<usize, &'static str> {
        match self.rows.get(id) {
            Some(Some(row)) => Ok(*row),
            Some(None) => Err(DROPPED),
            None if self.other_spelling(id).is_some() => Err(SPELLED),
            None => Err("object that is not in the objects table"),
        }
    }

    /// Returns the object whose id is the same number as `id`, as a data frame may spell it: `1.0` or
    /// `007`.
    pub fn other_spelling(&self, id: &str) -> Option<&str> {
        let by_number = self.by_number.get_or_init(|| {
            let ids = self.rows.keys();
            ids.filter_map(|id| Some((number(id)?.to_string(), id.clone())))
                .collect()
        });
        by_number.get(number(id)?).map(String::as_str)
    }

    /// Returns the classes of all labels, which come from this column.
    ///
    /// # Errors
    /// As for [`Objects::classes`].
    pub fn classes(&self, column: &str) -> Result<Vec<String>, StageError> {
        Objects::classes(&self.objects.label, column)
    }

    /// Drops a row that cannot be read.
    pub fn reject(&mut self, file: &str, line: u64, reason: &str, value: &str) {
        self.tally.read += 1;
        self.tally.drop(reason, file, line, value);
    }

    /// Takes a row, or counts the reason why not.
    ///
    /// # Errors
    /// If the object is there already, or lacks a value and the `nulls` policy is `error`.
    pub fn push(&mut self, row: &ObjectRow<'_>, file: &str) -> Result<(), StageError> {
        let id = match row.object_id.text() {
            Ok(id) => id.to_string(),
            Err(bad) => {
                self.reject(
                    file,
                    row.line,
                    &bad.reason("object id"),
                    &row.object_id.show(),
                );
                return Ok(());
            }
        };
        if self.rows.contains_key(&id) {
            return Err(StageError::data(
                "flow::data::object_twice",
                format!("{file}:{}: object `{id}` is listed a second time", row.line),
            )
            .help("one row an object: remove one of the two"));
        }
        self.tally.read += 1;
        let reader = ValueReader {
            tally: &mut self.tally,
            nulls: &self.nulls,
            at: (id.as_str(), file, row.line),
        };
        let Some(values) = reader.read(row.values)? else {
            self.rows.insert(id, None);
            return Ok(());
        };
        for (name, i) in [("negative redshift", 0), ("negative E(B-V)", 2)] {
            if let Some(value) = values.numbers[i].filter(|v| *v < 0.0) {
                self.tally
                    .odd(name, file, row.line, &format!("{id}: {value}"));
            }
        }
        self.keep(id, values);
        Ok(())
    }

    /// Puts an object at the end of the table.
    fn keep(&mut self, id: String, values: ObjectValues) {
        let [redshift, redshift_err, ebv] = values.numbers;
        self.labels.extend(values.label.clone());
        self.tally.kept += 1;
        self.rows.insert(id.clone(), Some(self.objects.len()));
        self.objects.object_id.push(id);
        let class = values.label.as_ref().map(|raw| self.regroup.class(raw));
        let regrouped = class != values.label.as_deref();
        self.objects.label.push(class.map(String::from));
        self.objects
            .raw_label
            .push(values.label.filter(|_| regrouped));
        self.objects.redshift.push(redshift);
        self.objects.redshift_err.push(redshift_err);
        self.objects.ebv.push(ebv);
        self.objects.split.push(values.split);
        self.objects.group.push(values.group);
    }
}

struct ObjectValues {
    label: Option<String>,
    numbers: [Option<f64>; 3],
    split: Option<String>,
    group: Option<String>,
}

/// Reads nullable values; an outer `None` means that the object was dropped.
struct ValueReader<'a> {
    tally: &'a mut Tally,
    nulls: &'a [OnNull; 4],
    at: (&'a str, &'a str, u64),
}

impl ValueReader<'_> {
    /// Reads the values of one row: label, redshift, its error, E(B-V), split and group.
    fn read(mut self, row: [Option<Cell<'_>>; 6]) -> Result<Option<ObjectValues>, StageError> {
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
        let free = |cell: Option<Cell<'_>>| cell.and_then(|c| c.text().ok().map(String::from));
        Ok(Some(ObjectValues {
            label,
            numbers,
            split: free(split),
            group: free(group),
        }))
    }

    fn text(
        &mut self,
        column: usize,
        cell: Option<Cell<'_>>,
    ) -> Result<Option<Option<String>>, StageError> {
        match cell.unwrap_or(Cell::Missing).text() {
            Ok(text) => Ok(Some(Some(text.into()))),
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
        let (id, file, line) = self.at;
        let reason = bad.reason(NULLABLE[column]);
        let value = cell.map_or(String::new(), |c| c.show());
        let shown = match value.as_str() {
            "" => String::new(),
            value => format!(": `{value}`"),
        };
        match self.nulls[column] {
            OnNull::Keep if bad == Bad::Empty => return Ok(true),
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
