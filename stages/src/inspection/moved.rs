//! Which features moved the scores of some objects, and how the values of an object compare with those of its
//! class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use flow_engine::StageError;

use crate::table::{FeatureTable, Reason, ReasonRow};

/// The most objects of a class that its range is taken from, at even steps of all.
const MOST_OF_CLASS: usize = 2000;

/// The quantiles of a class, from low to high.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// The features that moved the scores of objects: by object and class, those that moved it most first. A feature
/// that is named by several fits has the mean of its Shapley values over all fits of the object, 0 where a fit does
/// not name it, and the value of the first fit.
pub fn moved(
    rows: &[ReasonRow],
    wanted: &BTreeSet<&str>,
) -> BTreeMap<String, BTreeMap<String, Vec<Reason>>> {
    let mut by_object: BTreeMap<&str, BTreeMap<&str, Vec<&ReasonRow>>> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| wanted.contains(row.object_id.as_str()))
    {
        let classes = by_object.entry(&row.object_id).or_default();
        classes.entry(&row.class).or_default().push(row);
    }
    let objects = by_object.into_iter().map(|(id, classes)| {
        let classes = classes.into_iter();
        let classes = classes.map(|(class, rows)| (class.to_owned(), mean_reasons(&rows)));
        (id.to_owned(), classes.collect())
    });
    objects.collect()
}

fn mean_reasons(rows: &[&ReasonRow]) -> Vec<Reason> {
    let mut sums: BTreeMap<&str, (f64, Option<f64>)> = BTreeMap::new();
    for reason in rows.iter().flat_map(|row| &row.features) {
        let (sum, _) = sums.entry(&reason.feature).or_insert((0.0, reason.value));
        *sum += reason.shap;
    }
    let n = rows.len() as f64;
    let mean = |(feature, (sum, value)): (&str, (f64, Option<f64>))| Reason {
        feature: feature.to_owned(),
        shap: sum / n,
        value,
    };
    let mut reasons: Vec<Reason> = sums.into_iter().map(mean).collect();
    reasons.sort_by(|a, b| b.shap.abs().total_cmp(&a.shap.abs()));
    reasons
}

/// A feature with its values among the classes and of some objects.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRange {
    /// Its name.
    pub feature: String,
    /// Its importance to the model.
    pub importance: f64,
    /// By class, the [`QUANTILES`] of the values that are not missing; a class without any is left out.
    pub classes: BTreeMap<String, [f64; QUANTILES.len()]>,
    /// The values of the objects; missing ones are left out.
    pub values: BTreeMap<String, f64>,
}

/// What features are compared among.
pub struct FeatureSource<'a> {
    /// The feature tables, each in parts.
    pub tables: Vec<Vec<PathBuf>>,
    /// The class of each labelled object.
    pub labels: &'a BTreeMap<&'a str, &'a str>,
    /// The objects whose values are wanted.
    pub wanted: &'a BTreeSet<&'a str>,
}

impl FeatureSource<'_> {
    /// The first `most` features of a list of importances that a table has, with their values.
    ///
    /// # Errors
    /// If a table is unreadable.
    pub fn ranges(
        &self,
        importance: &[(String, f64)],
        most: usize,
    ) -> Result<Vec<FeatureRange>, StageError> {
        let open = |parts: &Vec<PathBuf>| -> Result<Vec<FeatureTable>, StageError> {
            parts.iter().map(|part| FeatureTable::open(part)).collect()
        };
        let tables: Vec<Vec<FeatureTable>> =
            self.tables.iter().map(open).collect::<Result<_, _>>()?;
        let places: Vec<BTreeMap<&str, usize>> =
            tables.iter().map(|parts| columns(parts)).collect();
        let mut ranges = Vec::new();
        for (feature, importance) in importance {
            if ranges.len() == most {
                break;
            }
            let mut found = tables.iter().zip(&places);
            let found =
                found.find_map(|(parts, places)| Some((parts, *places.get(feature.as_str())?)));
            if let Some((parts, column)) = found {
                let (classes, values) = self.values(parts, column);
                ranges.push(FeatureRange {
                    feature: feature.clone(),
                    importance: *importance,
                    classes,
                    values,
                });
            }
        }
        Ok(ranges)
    }

    /// The quantiles of the classes and the values of the objects that are wanted.
    fn values(
        &self,
        parts: &[FeatureTable],
        column: usize,
    ) -> (
        BTreeMap<String, [f64; QUANTILES.len()]>,
        BTreeMap<String, f64>,
    ) {
        let mut classes: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
        let mut values = BTreeMap::new();
        let value = |(part, row): (usize, usize)| f64::from(parts[part].row(row)[column]);
        for (part, table) in parts.iter().enumerate() {
            for (row, id) in table.object_ids().iter().enumerate() {
                if let Some(class) = self.labels.get(id.as_str()) {
                    classes.entry(class).or_default().push((part, row));
                }
                if self.wanted.contains(id.as_str()) {
                    let value = value((part, row));
                    if !value.is_nan() {
                        values.insert(id.clone(), value);
                    }
                }
            }
        }
        let classes = classes.into_iter().filter_map(|(class, rows)| {
            let step = rows.len().div_ceil(MOST_OF_CLASS);
            let some = rows.into_iter().step_by(step).map(value);
            Some((class.to_owned(), quantiles(some.collect())?))
        });
        (classes.collect(), values)
    }
}

/// The columns of a table by name. Parts that lack the columns of the first one have none.
fn columns(parts: &[FeatureTable]) -> BTreeMap<&str, usize> {
    let Some(first) = parts.first() else {
        return BTreeMap::new();
    };
    if parts.iter().any(|part| part.columns() != first.columns()) {
        return BTreeMap::new();
    }
    let names = first.columns().iter().enumerate();
    names.map(|(at, name)| (name.as_str(), at)).collect()
}

/// The [`QUANTILES`] of the values that are numbers (linear between order statistics, Hyndman and Fan 1996, type 7).
fn quantiles(mut values: Vec<f64>) -> Option<[f64; QUANTILES.len()]> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(QUANTILES.map(|q| {
        let at = q * last as f64;
        let low = at as usize;
        let high = (low + 1).min(last);
        values[low] + (values[high] - values[low]) * (at - low as f64)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FeatureWriter;

    fn row(id: &str, repeat: i32, features: &[(&str, f64)]) -> ReasonRow {
        let reason = |(feature, shap): &(&str, f64)| Reason {
            feature: (*feature).into(),
            shap: *shap,
            value: Some(f64::from(repeat)),
        };
        ReasonRow {
            object_id: id.into(),
            repeat,
            fold: Some(0),
            class: "T".into(),
            features: features.iter().map(reason).collect(),
        }
    }

    #[test]
    fn reasons_are_averaged_over_fits() {
        let rows = [
            row("a", 0, &[("x", 1.0), ("y", -0.5)]),
            row("a", 1, &[("y", -1.5), ("z", 0.2)]),
            row("b", 0, &[("x", 9.0)]),
        ];
        let moved = moved(&rows, &BTreeSet::from(["a"]));
        assert_eq!(moved.len(), 1);
        let reasons: Vec<(&str, f64, Option<f64>)> = (moved["a"]["T"].iter())
            .map(|r| (r.feature.as_str(), r.shap, r.value))
            .collect();
        let expected = [
            ("y", -1.0, Some(0.0)),
            ("x", 0.5, Some(0.0)),
            ("z", 0.1, Some(1.0)),
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn features_come_with_the_ranges_of_classes() {
        let dir = flow_testkit::files::folder();
        let columns = ["x", "y"].map(String::from);
        let write = |name: &str, ids: &[&str], rows: &[f32]| {
            let path = dir.path().join(name);
            let file = std::fs::File::create(&path).unwrap();
            let mut writer = FeatureWriter::new(file, &columns).unwrap();
            writer.push(ids, rows).unwrap();
            writer.finish().unwrap();
            path
        };
        let nan = f32::NAN;
        let first = write("1", &["a", "b"], &[1.0, nan, 3.0, nan]);
        let second = write("2", &["c", "d"], &[5.0, nan, 7.0, 2.0]);
        let labels = BTreeMap::from([("a", "A"), ("b", "A"), ("c", "A")]);
        let source = FeatureSource {
            tables: vec![Vec::new(), vec![first, second]],
            labels: &labels,
            wanted: &BTreeSet::from(["b", "d"]),
        };
        let importance = [("none", 0.5), ("y", 0.3), ("x", 0.2)];
        let importance = importance.map(|(name, value)| (name.to_owned(), value));
        let ranges = source.ranges(&importance, 9).unwrap();
        let names: Vec<&str> = ranges.iter().map(|range| range.feature.as_str()).collect();
        assert_eq!(names, ["y", "x"]);
        assert!(ranges[0].classes.is_empty());
        assert_eq!(ranges[0].values, BTreeMap::from([("d".into(), 2.0)]));
        let quantiles = ranges[1].classes["A"];
        let expected = [1.2, 2.0, 3.0, 4.0, 4.8];
        for (found, expected) in quantiles.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{quantiles:?}");
        }
        assert_eq!(ranges[1].values["b"], 3.0);
        assert_eq!(source.ranges(&importance, 1).unwrap().len(), 1);
    }

    #[test]
    fn quantiles_of_few_values() {
        assert_eq!(quantiles(vec![]), None);
        assert_eq!(quantiles(vec![f64::NAN]), None);
        assert_eq!(quantiles(vec![2.0]), Some([2.0; 5]));
    }
}
