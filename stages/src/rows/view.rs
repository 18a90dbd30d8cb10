//! Features of some objects, by reference. Tables are mapped, not copied, and a [`FeatureView`] says
//! which row of which table each object is.

use flow_engine::StageError;
use flow_engine::kind::Part;

use crate::learner::Matrix;
use crate::table::FeatureTable;

/// Features of some objects, by reference to the tables that hold them.
pub struct FeatureView {
    tables: Vec<Vec<FeatureTable>>,
    /// For each column, its table group and its place there.
    columns: Vec<(usize, usize)>,
    names: Vec<String>,
    /// For each row and table group, the table in the group and the row in that table.
    places: Vec<Vec<(usize, usize)>>,
}

impl FeatureView {
    /// Opens the features of `objects` (in the order of their bytes) in the tables behind `parts`.
    ///
    /// # Errors
    /// If two tables have a column of one name, or a table group lacks an object.
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

    /// The number of objects.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values of row `i` in the columns `columns` (indices into [`FeatureView::names`]).
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

    /// The columns `columns`, one after the other, each with a value for each row.
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

    /// Returns a matrix of the columns `columns`, row after row.
    ///
    /// # Errors
    /// If there are no rows or columns, or a value is infinite.
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
            .map_err(|e| StageError::data("flow::data::features", e.to_string()).with_source(e))
    }

    /// Returns the indices of the columns with these names.
    ///
    /// # Errors
    /// If there is no column of a name.
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
            StageError::data("flow::data::schema", "a choice of columns is unreadable").because(e)
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
