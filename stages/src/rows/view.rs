//! Features of some objects, by reference. Tables are mapped, not copied, and a [`FeatureView`] says
//! which row of which table each object is.

use flow_engine::StageError;
use flow_engine::kind::Part;
use rayon::prelude::*;

use super::fitted::{FittedView, SeenColumn};
use super::grid::GridRows;
use super::place::Places;
use crate::features::minirocket::GridKernels;
use crate::learner::Matrix;
use crate::numeric::column_map::ColumnMap;
use crate::table::{FeatureTable, Grid};

/// The numbers of rows and columns that are transposed together.
const TILE_ROWS: usize = 16;
const TILE_COLUMNS: usize = 128;

/// Features of some objects, by reference to the tables that hold them.
pub struct FeatureView {
    tables: Vec<Vec<FeatureTable>>,
    /// For each column, its table group and its place there.
    columns: Vec<(usize, usize)>,
    names: Vec<String>,
    /// What is done to the values of each column; empty if nothing is done to any.
    maps: Vec<Vec<ColumnMap>>,
    /// For each table group and row, the table in the group and the row in that table.
    places: Vec<Vec<(usize, usize)>>,
    objects: Vec<String>,
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
            places: Vec::with_capacity(groups),
            objects: objects.to_vec(),
        };
        for group in 0..groups {
            let of_group: Vec<&Part> = parts.iter().filter(|p| p.reference == group).collect();
            let views = of_group.first().map(|part| FittedView::of_part(part));
            match views.transpose()?.unwrap_or_default().as_slice() {
                [FittedView::Kernels { kernels }, views @ ..] => {
                    view.add_grid(&of_group, kernels, views, objects)?;
                }
                views => view.add_tables(&of_group, views, objects)?,
            }
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

    /// Adds a table in parts. Of the objects in it, only those of the view are held.
    fn add_tables(
        &mut self,
        parts: &[&Part],
        views: &[FittedView],
        objects: &[String],
    ) -> Result<(), StageError> {
        let mut places = Places::new(objects);
        let mut tables = Vec::with_capacity(parts.len());
        for part in parts {
            let mut table = FeatureTable::open(&part.path)?;
            places.add(&table.take_ids())?;
            tables.push(table);
        }
        let first = tables.first().map_or(&[][..], FeatureTable::columns);
        if let Some(other) = tables.iter().find(|t| t.columns() != first) {
            return Err(StageError::data(
                "flow::data::schema",
                format!(
                    "parts of one feature table differ: {} and {} columns",
                    first.len(),
                    other.columns().len()
                ),
            ));
        }
        self.places.push(places.finish()?);
        self.add_columns(seen(first.to_vec(), views));
        self.tables.push(tables);
        Ok(())
    }

    /// Adds those columns of a grid's features that are seen, and computes them.
    fn add_grid(
        &mut self,
        parts: &[&Part],
        kernels: &GridKernels,
        views: &[FittedView],
        objects: &[String],
    ) -> Result<(), StageError> {
        let rows = GridRows::open(parts.iter().copied(), objects)?;
        let mut columns = seen(kernels.names(), views);
        let mut wanted: Vec<usize> = columns.iter().map(|column| column.index).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for column in &mut columns {
            column.index = wanted.partition_point(|&i| i < column.index);
        }
        let table = rows.features(kernels, &wanted, objects)?;
        self.places
            .push((0..objects.len()).map(|row| (0, row)).collect());
        self.add_columns(columns);
        self.tables.push(vec![table]);
        Ok(())
    }

    /// Adds columns of the table group that is added next.
    fn add_columns(&mut self, columns: Vec<SeenColumn>) {
        let group = self.tables.len();
        for column in columns {
            if !column.maps.is_empty() {
                self.maps.resize(self.columns.len(), Vec::new());
                self.maps.push(column.maps);
            }
            self.columns.push((group, column.index));
            self.names.push(column.name);
        }
    }

    /// The number of objects.
    pub fn rows(&self) -> usize {
        self.objects.len()
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values of row `i` in the columns `columns` (indices into [`FeatureView::names`]).
    pub fn gather(&self, i: usize, columns: &[usize], out: &mut Vec<f32>) {
        self.append(i, columns, &self.runs(columns), out);
    }

    /// The stretches of columns that lie side by side in one table group.
    fn runs(&self, columns: &[usize]) -> Vec<ColumnRun> {
        let mut runs: Vec<ColumnRun> = Vec::new();
        for &column in columns {
            let (group, index) = self.columns[column];
            match runs.last_mut() {
                Some(run) if run.group == group && run.places.end == index => run.places.end += 1,
                _ => runs.push(ColumnRun {
                    group,
                    places: index..index + 1,
                }),
            }
        }
        runs
    }

    /// Does what [`FeatureView::gather`] does, for columns whose runs are known.
    fn append(&self, i: usize, columns: &[usize], runs: &[ColumnRun], out: &mut Vec<f32>) {
        let first = out.len();
        let mut last = usize::MAX;
        let mut row: &[f32] = &[];
        for run in runs {
            if run.group != last {
                let (table, at) = self.places[run.group][i];
                row = self.tables[run.group][table].row(at);
                last = run.group;
            }
            out.extend_from_slice(&row[run.places.clone()]);
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
        // Tiles are small enough for the nearest cache, and a column gets a cache line of values at a time.
        out.par_chunks_mut((rows * TILE_COLUMNS).max(1))
            .zip(columns.par_chunks(TILE_COLUMNS))
            .for_each(|(out, columns)| {
                let runs = self.runs(columns);
                let mut tile = Vec::with_capacity(TILE_ROWS * columns.len());
                for first in (0..rows).step_by(TILE_ROWS) {
                    let last = (first + TILE_ROWS).min(rows);
                    tile.clear();
                    (first..last).for_each(|i| self.append(i, columns, &runs, &mut tile));
                    for (j, column) in out.chunks_exact_mut(rows).enumerate() {
                        let values = tile[j..].iter().step_by(columns.len());
                        for (to, &value) in column[first..last].iter_mut().zip(values) {
                            *to = value;
                        }
                    }
                }
            });
        out
    }

    /// Returns a matrix of the columns `columns`, row after row.
    ///
    /// # Errors
    /// If there are no rows or columns, or a value is infinite.
    pub fn matrix(&self, columns: &[usize]) -> Result<Matrix, StageError> {
        let mut values = Vec::with_capacity(self.rows() * columns.len());
        let runs = self.runs(columns);
        for i in 0..self.rows() {
            self.append(i, columns, &runs, &mut values);
        }
        if let Some(at) = values.iter().position(|v: &f32| v.is_infinite()) {
            let (row, column) = (at / columns.len(), columns[at % columns.len()]);
            let (id, name) = (&self.objects[row], &self.names[column]);
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

/// Columns that lie side by side.
struct ColumnRun {
    group: usize,
    places: std::ops::Range<usize>,
}

/// Returns the columns that are seen of a table through views, innermost first.
fn seen(names: Vec<String>, views: &[FittedView]) -> Vec<SeenColumn> {
    let column = |(index, name)| SeenColumn {
        name,
        index,
        maps: Vec::new(),
    };
    let all = names.into_iter().enumerate().map(column).collect();
    views.iter().fold(all, |columns, view| view.see(columns))
}

/// Returns the objects of a part of a table, or of the grid whose features are seen as one.
///
/// # Errors
/// If it is unreadable.
pub fn objects_of(part: &Part) -> Result<Vec<String>, StageError> {
    match FittedView::of_part(part)?.first() {
        Some(FittedView::Kernels { .. }) => Ok(Grid::open(&part.path)?.object_ids().to_vec()),
        _ => Ok(FeatureTable::open(&part.path)?.object_ids().to_vec()),
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
