//! The objects of a survey: who may have a light curve.

use std::collections::{BTreeSet, HashMap};

use flow_engine::{Params, StageError};

use crate::table::Objects;

use super::columns::Regroup;
use super::reject::{Bad, Cell, Tally};

/// The columns that may be empty, with what happens then.
pub(super) const NULLABLE: [&str; 4] = ["label", "redshift", "redshift_err", "ebv"];

/// What happens to an object that lacks a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnNull {
    Keep,
    Reject,
    Error,
}

/// One row of an objects file.
pub(super) struct ObjectRow<'a> {
    /// Line of a text file, row of a Parquet file, from 1.
    pub line: u64,
    /// Its name.
    pub object_id: Cell<'a>,
    /// In the order of [`super::columns::OBJECT_COLUMNS`]; a column that the file lacks is none.
    pub values: [Option<Cell<'a>>; 6],
}

/// The objects, in file order, with an index by name.
pub(super) struct Catalogue {
    /// Those that are usable.
    pub objects: Objects,
    /// What was read, kept and dropped.
    pub tally: Tally,
    /// The labels as they are in the files.
    pub labels: BTreeSet<String>,
    rows: HashMap<String, Option<usize>>,
    regroup: Regroup,
    nulls: [OnNull; 4],
}

impl Catalogue {
    /// Empty, with the rules of `params`.
    ///
    /// # Errors
    /// A class pattern is none.
    pub fn new(params: &Params) -> Result<Self, StageError> {
        let regroup =
            Regroup::of(params).map_err(|text| StageError::data("flow::params::classes", text))?;
        let policy = |column: &str| {
            let given = params.map("nulls").iter().find(|(key, _)| key == column);
            match given.and_then(|(_, word)| word.as_str()) {
                Some("reject") => OnNull::Reject,
                Some("error") => OnNull::Error,
                _ => OnNull::Keep,
            }
        };
        Ok(Self {
            objects: Objects::default(),
            tally: Tally::default(),
            labels: BTreeSet::new(),
            rows: HashMap::new(),
            regroup,
            nulls: NULLABLE.map(policy),
        })
    }

    /// The row of object `id`, or why there is none.
    pub fn row(&self, id: &str) -> Result<usize, &'static str> {
        match self.rows.get(id) {
            Some(Some(row)) => Ok(*row),
            Some(None) => Err("object that was itself dropped"),
            None => Err("object that is not in the objects table"),
        }
    }

    /// The classes of all labels, in the order of their bytes.
    pub fn classes(&self) -> Vec<String> {
        let classes: BTreeSet<&String> = self.objects.label.iter().flatten().collect();
        classes.into_iter().cloned().collect()
    }

    /// Drops a row that cannot be read.
    pub fn reject(&mut self, file: &str, line: u64, reason: &str, value: &str) {
        self.tally.read += 1;
        self.tally.drop(reason, file, line, value);
    }

    /// Takes a row, or counts why not.
    ///
    /// # Errors
    /// The object is there already, or lacks a value and the `nulls` policy is `error`.
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
        let at = (id.as_str(), file, row.line);
        let read = |tally: &mut Tally, nulls: &[OnNull; 4]| -> Result<Option<Values>, StageError> {
            let mut reader = Reader { tally, nulls, at };
            let [label, redshift, redshift_err, ebv, split, group] = row.values;
            let Some(label) = reader.text(0, label)? else {
                return Ok(None);
            };
            let mut numbers = [None; 3];
            for (i, cell) in [redshift, redshift_err, ebv].into_iter().enumerate() {
                let Some(value) = reader.number(i + 1, cell)? else {
                    return Ok(None);
                };
                numbers[i] = value;
            }
            let free = |cell: Option<Cell<'_>>| cell.and_then(|c| c.text().ok().map(String::from));
            Ok(Some(Values {
                label,
                numbers,
                split: free(split),
                group: free(group),
            }))
        };
        self.tally.read += 1;
        let Some(values) = read(&mut self.tally, &self.nulls)? else {
            self.rows.insert(id, None);
            return Ok(());
        };
        let [redshift, redshift_err, ebv] = values.numbers;
        for (name, value) in [("negative redshift", redshift), ("negative E(B-V)", ebv)] {
            if let Some(value) = value.filter(|v| *v < 0.0) {
                self.tally
                    .odd(name, file, row.line, &format!("{id}: {value}"));
            }
        }
        self.labels.extend(values.label.clone());
        self.tally.kept += 1;
        self.rows.insert(id.clone(), Some(self.objects.len()));
        self.objects.object_id.push(id);
        self.objects.label.push(
            values
                .label
                .map(|label| self.regroup.class(&label).to_string()),
        );
        self.objects.redshift.push(redshift);
        self.objects.redshift_err.push(redshift_err);
        self.objects.ebv.push(ebv);
        self.objects.split.push(values.split);
        self.objects.group.push(values.group);
        Ok(())
    }
}

struct Values {
    label: Option<String>,
    numbers: [Option<f64>; 3],
    split: Option<String>,
    group: Option<String>,
}

/// Reads nullable values; an outer `None` means that the object was dropped.
struct Reader<'a> {
    tally: &'a mut Tally,
    nulls: &'a [OnNull; 4],
    at: (&'a str, &'a str, u64),
}

impl Reader<'_> {
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
            Ok(value) => return Ok(Some(Some(value))),
            // NaN is how many a tool writes "no value".
            Err(Bad::NotFinite) if cell.is_some_and(|c| c.show().eq_ignore_ascii_case("nan")) => {
                Bad::Empty
            }
            Err(bad) => bad,
        };
        Ok(self.null(column, bad, cell)?.then_some(None))
    }

    /// True if the object stays without the value.
    fn null(
        &mut self,
        column: usize,
        bad: Bad,
        cell: Option<Cell<'_>>,
    ) -> Result<bool, StageError> {
        let (id, file, line) = self.at;
        let reason = bad.reason(NULLABLE[column]);
        match self.nulls[column] {
            OnNull::Keep if bad == Bad::Empty => return Ok(true),
            OnNull::Error => {
                return Err(StageError::data(
                    "flow::data::null",
                    format!("{file}:{line}: object `{id}` has {reason}"),
                )
                .help(format!(
                    "keep or drop such objects: [stages.NAME.nulls] {} = \"keep\"",
                    NULLABLE[column]
                )));
            }
            OnNull::Keep | OnNull::Reject => {}
        }
        let value = cell.map_or(String::new(), |c| c.show());
        self.tally.drop(&reason, file, line, &value);
        Ok(false)
    }
}
