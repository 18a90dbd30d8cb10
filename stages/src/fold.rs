//! The rows of a fold: what a stage that fits sees, and what it does not.
//!
//! A stage never slices rows itself. [`TrainRows::read`] gives a fit its training rows with labels
//! and nothing else; [`ApplyRows::read`] gives an apply the other rows without labels. Feature
//! tables are mapped, not copied: a [`View`] says which row of which table each object is.

use flow_cache::Value;
use flow_engine::stage::{Action, Part, Rows};
use flow_engine::suggest::closest;
use flow_engine::{StageError, stage::Fault};

use crate::leakage::{self, Labels};
use crate::learner::Matrix;
use crate::table::{FeatureTable, Folds, Predictions};

/// Name of the fold that fits on all labelled rows and serves the unlabelled ones.
pub const FINAL: &str = "final";

/// The name of fold `fold` of repeat `repeat`.
pub fn name(repeat: usize, fold: usize) -> String {
    format!("{repeat}.{fold}")
}

/// Repeat and fold of a name; none for the final fit.
///
/// # Errors
/// The name is of another form, which is a bug.
pub fn parse(name: &str) -> Result<Option<(i32, i32)>, StageError> {
    if name == FINAL {
        return Ok(None);
    }
    name.split_once('.')
        .and_then(|(r, f)| Some(Some((r.parse().ok()?, f.parse().ok()?))))
        .ok_or_else(|| StageError::new(Fault::Bug, "flow::bug::fold", format!("fold `{name}`")))
}

/// Features of some objects, by reference to the tables that hold them.
pub struct View {
    tables: Vec<Vec<FeatureTable>>,
    /// By column: its table group, its place there.
    columns: Vec<(usize, usize)>,
    names: Vec<String>,
    /// By row and table group: the table in the group and its row.
    places: Vec<Vec<(usize, usize)>>,
}

/// What a fit sees.
pub struct TrainRows {
    /// The objects, in the order of their bytes.
    pub object_id: Vec<String>,
    /// Index of each object's class in `classes`.
    pub label: Vec<usize>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The class that binary metrics score.
    pub positive: Option<String>,
    /// Their features.
    pub features: View,
}

/// What an apply sees.
pub struct ApplyRows {
    /// The objects, in the order of their bytes.
    pub object_id: Vec<String>,
    /// Their features.
    pub features: View,
}

impl TrainRows {
    /// The training rows of the action's fold.
    ///
    /// # Errors
    /// A table is unreadable, or lacks an object, or a feature is the label.
    pub fn read(action: &Action<'_>) -> Result<Self, StageError> {
        let (folds, wanted) = rows(action, Rows::Train)?;
        let labels = Labels::of(&folds, &wanted)?;
        let object_id: Vec<String> = wanted.iter().map(|&i| folds.object_id[i].clone()).collect();
        let features = View::open(action.input("features"), &object_id)?;
        leakage::no_label(action, &features, &labels)?;
        Ok(Self {
            features,
            object_id,
            label: labels.into_classes(),
            classes: folds.classes,
            positive: folds.positive,
        })
    }
}

impl ApplyRows {
    /// The rows of the action's shard that the fold's model is applied to.
    ///
    /// # Errors
    /// A table is unreadable, or lacks an object.
    pub fn read(action: &Action<'_>) -> Result<Self, StageError> {
        let (folds, wanted) = rows(action, Rows::Apply)?;
        let parts = action.input("features");
        let first = parts.iter().find(|part| part.reference == 0);
        let here = match first {
            Some(part) => FeatureTable::open(&part.path)?.object_ids().to_vec(),
            None => Vec::new(),
        };
        let object_id: Vec<String> = wanted
            .into_iter()
            .map(|i| &folds.object_id[i])
            .filter(|id| here.binary_search(id).is_ok())
            .cloned()
            .collect();
        Ok(Self {
            features: View::open(parts, &object_id)?,
            object_id,
        })
    }
}

/// True for the rows whose label is the positive class, for a binary target.
///
/// # Errors
/// The survey names no positive class.
pub fn binary_labels(rows: &TrainRows) -> Result<Vec<usize>, StageError> {
    let positive = rows.positive.as_ref();
    let column = positive.and_then(|positive| rows.classes.binary_search(positive).ok());
    let column = column.ok_or_else(|| no_positive(positive.map(String::as_str), &rows.classes))?;
    Ok(rows
        .label
        .iter()
        .map(|&c| usize::from(c == column))
        .collect())
}

/// The error where something binary is asked of a survey that names no positive class, or one that is
/// none of `classes`, those that occur.
pub fn no_positive(positive: Option<&str>, classes: &[String]) -> StageError {
    const CODE: &str = "flow::data::no_positive";
    let names = || classes.iter().map(String::as_str);
    let occur = match classes {
        [] => "there are no classes at all".to_owned(),
        _ => format!("the classes are: {}", listed(names())),
    };
    let Some(positive) = positive else {
        let message = "a binary target needs to know the positive class, and the survey names none";
        let one = classes.first().map_or("CLASS", String::as_str);
        return StageError::data(CODE, message)
            .help(format!(
                "set `positive = {one:?}` in the `ingest` stage, or `target = \"classes\"`"
            ))
            .help(occur);
    };
    let message = format!("no labelled object is of class `{positive}`, the positive one");
    let error = StageError::data(CODE, message);
    let error = match closest(positive, names()) {
        Some(name) => error.help(format!("in the `ingest` stage: positive = \"{name}\"")),
        None => error.help("`positive` in the `ingest` stage names one of the classes that occur"),
    };
    error.help(occur)
}

/// The first of some names, in quotes.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 24;
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The class of row `i` of a folds table, which is labelled.
///
/// # Errors
/// It has none, or one that is not in the list of classes.
pub fn label(folds: &Folds, i: usize) -> Result<&str, StageError> {
    let class = folds.label[i].as_ref();
    class
        .filter(|class| folds.classes.binary_search(class).is_ok())
        .map(String::as_str)
        .ok_or_else(|| {
            StageError::data(
                "flow::data::schema",
                format!(
                    "object `{}` has a label that is not in the list of classes",
                    folds.object_id[i]
                ),
            )
        })
}

/// The folds table, and the indices of its rows with this role in the action's fold.
///
/// # Errors
/// The table is unreadable.
pub fn rows(action: &Action<'_>, role: Rows) -> Result<(Folds, Vec<usize>), StageError> {
    let part = action.folds.as_ref().ok_or_else(|| {
        StageError::new(
            Fault::Bug,
            "flow::bug::folds",
            "an action over folds has no table of folds",
        )
    })?;
    let folds = Folds::read(&part.path)?;
    let wanted = rows_of(&folds, parse(action.fold.unwrap_or(FINAL))?, role);
    Ok((folds, wanted))
}

/// Indices into a folds table of the rows with a role in a fold (none: the final fit).
pub fn rows_of(folds: &Folds, fold: Option<(i32, i32)>, role: Rows) -> Vec<usize> {
    let all = 0..folds.object_id.len();
    all.filter(|&i| has_role(folds, fold, i, role)).collect()
}

/// True if row `i` of a folds table has this role in a fold (none: the final fit).
pub fn has_role(folds: &Folds, fold: Option<(i32, i32)>, i: usize, role: Rows) -> bool {
    match fold {
        None => (role == Rows::Train) == folds.label[i].is_some(),
        Some((repeat, fold)) => folds.repeats[repeat as usize][i]
            .is_some_and(|held_out| (held_out == fold) == (role == Rows::Apply)),
    }
}

/// Joins what the folds predicted (input `from`) into one table, the output `to`: repeat and fold
/// are those of the part (none for the final fit), the label is that of the table of folds.
/// `arrange` sees each part first.
///
/// # Errors
/// A part is unreadable or holds rows that its fold was fitted on, the parts differ in their classes, or
/// there are none.
pub fn gather(
    action: &mut Action<'_>,
    from: &str,
    to: &str,
    folds: &Folds,
    arrange: impl Fn(&mut Predictions),
) -> Result<(), StageError> {
    let mut all: Option<Predictions> = None;
    for part in action.input(from) {
        action.checkpoint()?;
        let mut rows = Predictions::read(&part.path)?;
        arrange(&mut rows);
        let fold = parse(part.fold.as_deref().unwrap_or(FINAL))?;
        for i in 0..rows.len() {
            rows.repeat[i] = fold.map_or(0, |(repeat, _)| repeat);
            rows.fold[i] = fold.map(|(_, fold)| fold);
            let at = leakage::applied(folds, fold, &rows.object_id[i])?;
            rows.label[i].clone_from(&folds.label[at]);
        }
        match &mut all {
            Some(all) => all.append(&rows)?,
            None => all = Some(rows),
        }
    }
    let mut all =
        all.ok_or_else(|| StageError::data("flow::data::no_rows", "there is nothing to predict"))?;
    all.sort();
    let attrs = vec![("rows".to_owned(), Value::Int(all.len() as i64))];
    let mut writer = action.create()?;
    all.write(&mut writer)?;
    action.finish(to, writer, attrs)
}

impl View {
    /// The features of `objects` (in the order of their bytes) in the tables behind `parts`.
    ///
    /// # Errors
    /// Two tables have a column of one name, or a table group lacks an object.
    pub fn open(parts: &[Part], objects: &[String]) -> Result<Self, StageError> {
        let groups = parts.iter().map(|p| p.reference + 1).max().unwrap_or(0);
        let mut view = Self {
            tables: Vec::with_capacity(groups),
            columns: Vec::new(),
            names: Vec::new(),
            places: vec![Vec::with_capacity(groups); objects.len()],
        };
        for group in 0..groups {
            let mut tables = Vec::new();
            let mut chosen: Option<Vec<String>> = None;
            for part in parts.iter().filter(|p| p.reference == group) {
                if chosen.is_none() && !part.views.is_empty() {
                    chosen = Some(chosen_columns(part)?);
                }
                tables.push(FeatureTable::open(&part.path)?);
            }
            view.add_columns(group, &tables, chosen.as_deref())?;
            view.place(group, &tables, objects)?;
            view.tables.push(tables);
        }
        let mut sorted: Vec<&String> = view.names.iter().collect();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(StageError::data(
                "flow::data::column_twice",
                format!("two feature tables have a column called `{}`", pair[0]),
            )
            .help("give one of their stages a `prefix`, or list each stage once"));
        }
        Ok(view)
    }

    fn add_columns(
        &mut self,
        group: usize,
        tables: &[FeatureTable],
        chosen: Option<&[String]>,
    ) -> Result<(), StageError> {
        let Some(first) = tables.first() else {
            return Ok(());
        };
        if let Some(other) = tables.iter().find(|t| t.columns() != first.columns()) {
            return Err(StageError::data(
                "flow::data::schema",
                format!(
                    "parts of one feature table differ: {} and {} columns",
                    first.columns().len(),
                    other.columns().len()
                ),
            ));
        }
        for (index, name) in first.columns().iter().enumerate() {
            if chosen.is_none_or(|chosen| chosen.binary_search(name).is_ok()) {
                self.columns.push((group, index));
                self.names.push(name.clone());
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        group: usize,
        tables: &[FeatureTable],
        objects: &[String],
    ) -> Result<(), StageError> {
        for (table_index, table) in tables.iter().enumerate() {
            let ids = table.object_ids();
            let mut from = 0;
            for (row, id) in ids.iter().enumerate() {
                from += objects[from..].partition_point(|o| o < id);
                if objects.get(from) == Some(id) {
                    if self.places[from].len() > group {
                        return Err(StageError::data(
                            "flow::data::object_twice",
                            format!("object `{id}` is in two parts of one feature table"),
                        ));
                    }
                    self.places[from].push((table_index, row));
                }
            }
        }
        match self.places.iter().position(|p| p.len() <= group) {
            None => Ok(()),
            Some(missing) => Err(StageError::data(
                "flow::data::objects_differ",
                format!(
                    "the feature tables that meet here do not cover the same objects: `{}` is missing from one",
                    objects[missing]
                ),
            )),
        }
    }

    /// Number of objects.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values of row `i` in the columns `columns` (indices into [`View::names`]).
    pub fn gather(&self, i: usize, columns: &[usize], out: &mut Vec<f32>) {
        let mut last = usize::MAX;
        let mut row: &[f32] = &[];
        for &column in columns {
            let (group, index) = self.columns[column];
            if group != last {
                let (table, at) = self.places[i][group];
                row = self.tables[group][table].row(at);
                last = group;
            }
            out.push(row[index]);
        }
    }

    /// The columns `columns`, one after the other, each with a value per row.
    pub fn transposed(&self, columns: &[usize]) -> Vec<f32> {
        let rows = self.rows();
        let mut out = vec![0.0; rows * columns.len()];
        let mut row = Vec::with_capacity(columns.len());
        for i in 0..rows {
            row.clear();
            self.gather(i, columns, &mut row);
            for (j, &value) in row.iter().enumerate() {
                out[j * rows + i] = value;
            }
        }
        out
    }

    /// A matrix of the columns `columns`, row after row.
    ///
    /// # Errors
    /// There are no rows or columns, or a value is infinite.
    pub fn matrix(&self, columns: &[usize]) -> Result<Matrix, StageError> {
        let mut values = Vec::with_capacity(self.rows() * columns.len());
        for i in 0..self.rows() {
            self.gather(i, columns, &mut values);
        }
        if let Some(at) = values.iter().position(|v: &f32| v.is_infinite()) {
            let (row, column) = (at / columns.len(), columns[at % columns.len()]);
            let (table, place) = self.places[row][self.columns[column].0];
            let tables = &self.tables[self.columns[column].0];
            let (id, name) = (&tables[table].object_ids()[place], &self.names[column]);
            let text = format!("feature `{name}` of object `{id}` is infinite");
            return Err(StageError::data("flow::data::features", text)
                .help("a missing value is NaN; look at the stage that makes the feature"));
        }
        Matrix::new(self.rows(), columns.len(), std::sync::Arc::new(values))
            .map_err(|e| StageError::data("flow::data::features", e.to_string()))
    }

    /// Indices of the columns with these names.
    ///
    /// # Errors
    /// A name is not there.
    pub fn indices(&self, names: &[String]) -> Result<Vec<usize>, StageError> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        names
            .iter()
            .map(|name| {
                order
                    .binary_search_by(|&i| self.names[i].cmp(name))
                    .map(|at| order[at])
                    .map_err(|_| {
                        StageError::data(
                            "flow::data::features",
                            format!("the feature tables have no column `{name}`, which the model was fitted on"),
                        )
                    })
            })
            .collect()
    }
}

/// The names that all views of a part let through, sorted.
fn chosen_columns(part: &Part) -> Result<Vec<String>, StageError> {
    let mut chosen: Option<Vec<String>> = None;
    for path in &part.views {
        let text = std::fs::read_to_string(path)?;
        let mut names: Vec<String> = serde_json::from_str(&text).map_err(|e| {
            StageError::data(
                "flow::data::schema",
                format!("a choice of columns is unreadable: {e}"),
            )
        })?;
        names.sort();
        chosen = Some(match chosen {
            None => names,
            Some(before) => before
                .into_iter()
                .filter(|name| names.binary_search(name).is_ok())
                .collect(),
        });
    }
    Ok(chosen.unwrap_or_default())
}
