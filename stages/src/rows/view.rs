//! Features of some objects, by reference. Tables are mapped, not copied, and a [`FeatureView`] says
//! which row of which table each object is.

use flow_engine::StageError;
use flow_engine::kind::Part;

use super::fitted::{FittedView, SeenColumn};
use crate::learner::Matrix;
use crate::numeric::column_map::ColumnMap;
use crate::table::FeatureTable;

/// Features of some objects, by reference to the tables that hold them.
pub struct FeatureView {
    tables: Vec<Vec<FeatureTable>>,
    /// For each column, its table group and its place there.
    columns: Vec<(usize, usize)>,
    names: Vec<String>,
    /// What is done to the values of each column; empty if nothing is done to any.
    maps: Vec<Vec<ColumnMap>>,
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
            maps: Vec::new(),
            places: vec![Vec::with_capacity(groups); objects.len()],
        };
        for group in 0..groups {
            let of_group = || parts.iter().filter(|p| p.reference == group);
            let views = of_group().next().map(FittedView::of_part).transpose()?;
            let tables = of_group().map(|part| FeatureTable::open(&part.path));
            let tables: Vec<FeatureTable> = tables.collect::<Result<_, _>>()?;
            view.add_columns(group, &tables, &views.unwrap_or_default())?;
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
        views: &[FittedView],
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
        let column = |(index, name): (usize, &String)| SeenColumn {
            name: name.clone(),
            index,
            maps: Vec::new(),
        };
        let all = first.columns().iter().enumerate().map(column).collect();
        for column in views.iter().fold(all, |columns, view| view.see(columns)) {
            if !column.maps.is_empty() {
                self.maps.resize(self.columns.len(), Vec::new());
                self.maps.push(column.maps);
            }
            self.columns.push((group, column.index));
            self.names.push(column.name);
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
        let first = out.len();
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
        if !self.maps.is_empty() {
            let values = &mut out[first..];
            for (value, &column) in values.iter_mut().zip(columns) {
                let maps = self.maps.get(column).map_or(&[][..], Vec::as_slice);
                *value = maps.iter().fold(*value, |value, map| map.apply(value));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FeatureWriter;
    use flow_cache::{Digest, Value};

    #[test]
    fn values_are_seen_through_all_views() {
        let dir = flow_testkit::files::folder();
        let path = dir.path().join("features");
        let columns = ["a", "b", "c"].map(String::from);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = FeatureWriter::new(file, &columns).unwrap();
        let rows = [1.0, f32::NAN, 3.0, 5.0, 6.0, 7.0];
        writer.push(&["o1", "o2"], &rows).unwrap();
        writer.finish().unwrap();
        let views = [
            r#"{"maps":[{"name":"b","of":"b","map":"fill","value":4.0},{"name":"b_missing","of":"b","map":"missing"}]}"#,
            r#"{"maps":[{"name":"b","of":"b","map":"linear","center":5.0,"scale":0.5}]}"#,
            r#"["c","b","b_missing"]"#,
        ];
        let view = |(i, text): (usize, &&str)| {
            let path = dir.path().join(i.to_string());
            std::fs::write(&path, text).unwrap();
            path
        };
        let part = Part {
            path,
            digest: Digest::of(b""),
            attrs: Value::Null,
            reference: 0,
            fold: None,
            views: views.iter().enumerate().map(view).collect(),
        };
        let objects = ["o1", "o2"].map(String::from);
        let view = FeatureView::open(&[part], &objects).unwrap();
        assert_eq!(view.names(), ["b", "b_missing", "c"]);
        assert_eq!(view.transposed(&[2, 0, 1]), [3.0, 7.0, -2.0, 2.0, 1.0, 0.0]);
        let mut row = vec![9.0];
        view.gather(0, &[0, 1, 2], &mut row);
        assert_eq!(row, [9.0, -2.0, 1.0, 3.0]);
    }
}
