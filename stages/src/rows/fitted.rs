//! What a stage fitted on training rows, through which its output is seen: a choice of columns, what is done to
//! their values, or kernels whose features are computed when they are read. It is a small JSON file for each fold. The tables themselves are not copied.

use std::collections::BTreeMap;

use flow_cache::Value;
use flow_engine::StageError;
use flow_engine::kind::{Action, Part};
use serde::{Deserialize, Serialize};

use crate::features::minirocket::GridKernels;
use crate::numeric::column_map::ColumnMap;

/// The name of the output that holds a view.
pub const COLUMNS: &str = "columns";

/// A view of feature tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FittedView {
    /// The names of the columns that are left.
    Choice(Vec<String>),
    /// Columns that are changed or added. All others stay.
    Maps {
        /// In the order of the columns that they are made from.
        maps: Vec<MappedColumn>,
    },
    /// Convolutions of a grid. Such a view comes first.
    Kernels {
        /// The kernels with their biases.
        kernels: GridKernels,
    },
}

/// A column that is made from another one. It replaces a column of its name, and otherwise follows the one
/// that it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MappedColumn {
    /// Its name.
    pub name: String,
    /// The column that it is made from.
    pub of: String,
    /// What is done to each value.
    #[serde(flatten)]
    pub map: ColumnMap,
}

/// A column of a view.
#[derive(Clone, Debug)]
pub struct SeenColumn {
    /// Its name.
    pub name: String,
    /// Its place in the table.
    pub index: usize,
    /// What is done to its values, in this order.
    pub maps: Vec<ColumnMap>,
}

impl FittedView {
    /// Reads the views of a part, innermost first.
    ///
    /// # Errors
    /// If one is unreadable.
    pub fn of_part(part: &Part) -> Result<Vec<Self>, StageError> {
        let unreadable =
            || StageError::data("flow::data::schema", "a view of features is unreadable");
        let read = |path| {
            let text = std::fs::read(path)?;
            match serde_json::from_slice(&text) {
                Ok(FittedView::Kernels { kernels }) if !kernels.is_whole() => Err(unreadable()),
                Ok(view) => Ok(view),
                Err(e) => Err(unreadable().because(e)),
            }
        };
        part.views.iter().map(read).collect()
    }

    /// Writes the view as the output [`COLUMNS`], with its number of columns, that of the columns that it
    /// was made from, and an attribute with notes if there are any.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(
        &self,
        action: &mut Action<'_>,
        of: usize,
        notes: Option<(String, Value)>,
    ) -> Result<(), StageError> {
        let columns = match self {
            FittedView::Choice(names) => names.len(),
            FittedView::Maps { maps } => maps.len(),
            FittedView::Kernels { .. } => of,
        };
        let bytes = serde_json::to_vec(self).map_err(std::io::Error::from)?;
        let count = |name: &str, n: usize| (name.to_owned(), Value::Int(n as i64));
        let mut attrs = vec![count("columns", columns), count("of", of)];
        attrs.extend(notes);
        action.write(COLUMNS, &bytes, attrs)
    }

    /// Returns the columns that are seen of `columns`.
    pub fn see(&self, columns: Vec<SeenColumn>) -> Vec<SeenColumn> {
        match self {
            FittedView::Choice(names) => {
                let mut names: Vec<&String> = names.iter().collect();
                names.sort();
                let chosen = |column: &SeenColumn| names.binary_search(&&column.name).is_ok();
                columns.into_iter().filter(chosen).collect()
            }
            FittedView::Maps { maps } => {
                let mut made = BTreeMap::<&str, Vec<&MappedColumn>>::new();
                for map in maps {
                    made.entry(&map.of).or_default().push(map);
                }
                let seen = columns.into_iter().flat_map(|column| {
                    let maps = made
                        .get(column.name.as_str())
                        .map_or(&[][..], Vec::as_slice);
                    mapped(column, maps)
                });
                seen.collect()
            }
            FittedView::Kernels { .. } => columns,
        }
    }
}

/// Returns a column as it is changed, and those that are made from it.
fn mapped(column: SeenColumn, made: &[&MappedColumn]) -> Vec<SeenColumn> {
    let with = |made: &&&MappedColumn| {
        let mut column = column.clone();
        column.name.clone_from(&made.name);
        column.maps.push(made.map);
        column
    };
    let (own, others): (Vec<&&MappedColumn>, Vec<_>) =
        made.iter().partition(|made| made.name == made.of);
    let mut seen: Vec<SeenColumn> = own.iter().map(with).collect();
    if seen.is_empty() {
        seen.push(column.clone());
    }
    seen.extend(others.iter().map(with));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<SeenColumn> {
        let column = |(index, name): (usize, &&str)| SeenColumn {
            name: (*name).into(),
            index,
            maps: Vec::new(),
        };
        names.iter().enumerate().map(column).collect()
    }

    fn made(name: &str, of: &str, map: ColumnMap) -> MappedColumn {
        MappedColumn {
            name: name.into(),
            of: of.into(),
            map,
        }
    }

    fn names(seen: &[SeenColumn]) -> Vec<(&str, usize, usize)> {
        let name = |c: &'_ SeenColumn| (c.index, c.maps.len());
        let all = seen.iter().map(|c| (c.name.as_str(), name(c).0, name(c).1));
        all.collect()
    }

    #[test]
    fn views_choose_change_and_add_columns() {
        let fill = ColumnMap::Fill { value: 0.1 };
        let maps = FittedView::Maps {
            maps: vec![
                made("a", "a", fill),
                made("a_missing", "a", ColumnMap::Missing),
                made("c_missing", "c", ColumnMap::Missing),
            ],
        };
        let seen = maps.see(columns(&["a", "b", "c"]));
        let expected = [
            ("a", 0, 1),
            ("a_missing", 0, 1),
            ("b", 1, 0),
            ("c", 2, 0),
            ("c_missing", 2, 1),
        ];
        assert_eq!(names(&seen), expected);
        let choice = FittedView::Choice(vec!["c".into(), "a_missing".into(), "z".into()]);
        let seen = maps.see(choice.see(maps.see(columns(&["a", "b", "c"]))));
        assert_eq!(
            names(&seen),
            [("a_missing", 0, 1), ("c", 2, 0), ("c_missing", 2, 1)]
        );
    }

    #[test]
    fn a_view_is_read_as_it_was_written() {
        let linear = ColumnMap::Linear {
            center: 0.1 + 0.2,
            scale: 1e-300,
        };
        let power = ColumnMap::YeoJohnson {
            lambda: -0.5,
            center: 1.0,
            scale: 2.0,
        };
        let maps = vec![
            made("a", "a", linear),
            made("b", "b", power),
            made("c", "c", ColumnMap::Unknown),
        ];
        for view in [
            FittedView::Maps { maps },
            FittedView::Choice(vec!["a".into()]),
        ] {
            let text = serde_json::to_string(&view).unwrap();
            assert_eq!(
                serde_json::from_str::<FittedView>(&text).unwrap(),
                view,
                "{text}"
            );
        }
    }
}
