//! Finds labels among the features: a column that is the label by name, or under another name.

use std::collections::HashMap;

use flow_engine::{Action, StageError};

use super::fold;
use super::view::FeatureView;
use crate::table::{Folds, RAW_LABEL};

/// The name of the column of classes.
const LABEL: &str = "label";

/// The code of the error for a feature that is the label.
pub const LABEL_COLUMN: &str = "flow::leakage::label_column";

/// The natural logarithm of the chance (1e-9) below which a column cannot tell the label by accident.
const CHANCE: f64 = -20.7;

/// The labels of some rows, at three levels of detail.
pub struct RowLabels {
    /// The label that the survey gives each row, as an index.
    raw: Vec<usize>,
    /// The class of each row. It follows from the label unless a program made the table.
    class: Vec<usize>,
    /// 1 for the positive class, 0 for the others; empty if no positive class occurs.
    positive: Vec<usize>,
}

impl RowLabels {
    /// Takes the labels of the rows `rows` of a table of folds, all of which are labelled.
    ///
    /// # Errors
    /// If one has a label that is not in the list of classes.
    pub fn of(folds: &Folds, rows: &[usize]) -> Result<Self, StageError> {
        let mut labels = Self {
            raw: Vec::with_capacity(rows.len()),
            class: Vec::with_capacity(rows.len()),
            positive: Vec::new(),
        };
        let mut names = HashMap::new();
        for &i in rows {
            let class = fold::label(folds, i)?;
            labels
                .class
                .extend(folds.classes.binary_search_by(|c| c.as_str().cmp(class)));
            let next = names.len();
            let name = folds.survey_label(i);
            labels.raw.push(*names.entry(name).or_insert(next));
        }
        if let Some(positive) = folds.positive_class() {
            let is = |&class: &usize| usize::from(class == positive);
            labels.positive = labels.class.iter().map(is).collect();
        }
        Ok(labels)
    }

    /// The classes of the rows as indices into the list of classes.
    pub fn into_classes(self) -> Vec<usize> {
        self.class
    }
}

/// Refuses a column of features that is the label. A column is the label by its name, or because its
/// value follows from the survey's label in every row, and the class, or the positive class, from its
/// value. The second rule is for features that a program or a person made: kinds cannot see labels, and
/// may measure something that does tell them.
///
/// A column that varies within a label measured something, and may well tell the classes apart. A
/// column that does not vary may have one value by chance if there are few rows. So what counts is how
/// many ways of dealing the classes over the rows would agree with the column: at most C^v for v values
/// and C classes, out of n! / (n_1! ... n_C!). If a column of so few values would agree by chance in
/// less than one of 10^9 tables, it is the label.
///
/// # Errors
/// If there is such a column.
pub fn no_label(
    action: &Action<'_>,
    view: &FeatureView,
    labels: &RowLabels,
) -> Result<(), StageError> {
    named(view)?;
    match action.lineage.outside {
        true => disguised(view, labels),
        false => Ok(()),
    }
}

fn named(view: &FeatureView) -> Result<(), StageError> {
    let mut names = view.names().iter();
    match names.find(|name| {
        [LABEL, RAW_LABEL]
            .iter()
            .any(|l| name.eq_ignore_ascii_case(l))
    }) {
        Some(name) => Err(refused(format!("a feature is called `{name}`"))),
        None => Ok(()),
    }
}

fn disguised(view: &FeatureView, labels: &RowLabels) -> Result<(), StageError> {
    for (told, what) in [
        (&labels.class, "the class"),
        (&labels.positive, "the positive class"),
    ] {
        // A missing value may be a value of its own, or mean that the column says nothing of the row.
        for gaps in [true, false] {
            if let Some((column, rows)) = telling(view, &labels.raw, told, gaps) {
                let of = match rows == labels.raw.len() {
                    true => format!("all {rows} training rows"),
                    false => format!("the {rows} training rows in which it has a value"),
                };
                return Err(refused(format!(
                    "feature `{}` tells {what} of {of}, and has one value for each label: it is the label under another name",
                    view.names()[column]
                )));
            }
        }
    }
    Ok(())
}

fn refused(message: String) -> StageError {
    StageError::data(LABEL_COLUMN, message).help(
        "leave the column out where it comes in: `columns` of `table`, or what the program writes",
    )
}

/// Returns a column whose value follows from `raw`, and from whose value `told` follows, not by chance,
/// and the number of rows in which it does. Missing values count as one value, or (without `gaps`) not
/// at all.
fn telling(
    view: &FeatureView,
    raw: &[usize],
    told: &[usize],
    gaps: bool,
) -> Option<(usize, usize)> {
    let all = view.names().len();
    let mut left: Vec<Suspect> = (0..all).map(Suspect::new).collect();
    let mut columns: Vec<usize> = Vec::new();
    let mut row = Vec::new();
    for (i, (&label, &class)) in raw.iter().zip(told).enumerate() {
        if columns.len() != left.len() {
            columns = left.iter().map(|suspect| suspect.column).collect();
        }
        row.clear();
        view.gather(i, &columns, &mut row);
        let mut values = row.iter();
        left.retain_mut(|suspect| {
            let value = values.next().copied().unwrap_or_default();
            (!gaps && value.is_nan()) || suspect.fits(label, bits(value), class)
        });
        if left.is_empty() {
            return None;
        }
    }
    left.into_iter().find_map(|suspect| {
        let values = view.transposed(&[suspect.column]);
        let rows: Vec<usize> = (0..told.len())
            .filter(|&i| gaps || !values[i].is_nan())
            .collect();
        let classes = sizes(rows.iter().map(|&i| told[i]));
        let sizes_of_values = sizes(rows.iter().map(|&i| bits(values[i])));
        let tells = (1..=most_values(&classes, all)).contains(&sizes_of_values.len());
        // If there is one value for each class, it follows from the label because the class does. If
        // there are more, a column of fractions measured something that happens to be alike within a
        // label.
        let whole = |value: f32| value.is_nan() || value.trunc().to_bits() == value.to_bits();
        let codes = || rows.iter().all(|&i| whole(values[i]));
        let follows = sizes_of_values.len() == classes.len()
            || (codes() && suspect.seen.len() <= most_values(&sizes_of_values, all));
        (tells && follows).then_some((suspect.column, rows.len()))
    })
}

/// Returns equal bits for equal numbers, and for all NaNs.
fn bits(value: f32) -> u32 {
    match value.is_nan() {
        true => f32::NAN.to_bits(),
        false => (value + 0.0).to_bits(),
    }
}

/// A column that may still be the label.
struct Suspect {
    column: usize,
    /// For each label so far: the column's value and the class.
    seen: Vec<(usize, u32, usize)>,
}

impl Suspect {
    fn new(column: usize) -> Self {
        Self {
            column,
            seen: Vec::new(),
        }
    }

    /// Takes in a row; returns false if it shows that the column is not the label.
    fn fits(&mut self, label: usize, value: u32, class: usize) -> bool {
        if let Some(&(_, v, c)) = self.seen.iter().find(|(l, ..)| *l == label) {
            return (v, c) == (value, class);
        }
        let fits = self.seen.iter().all(|&(_, v, c)| v != value || c == class);
        self.seen.push((label, value, class));
        fits
    }
}

/// Counts how often each item occurs, the smallest count first.
fn sizes<T: Eq + std::hash::Hash>(items: impl Iterator<Item = T>) -> Vec<usize> {
    let mut counts = HashMap::<T, usize>::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    let mut sizes: Vec<usize> = counts.into_values().collect();
    sizes.sort_unstable();
    sizes
}

/// Returns how many values a column may have so that its agreement with classes of these sizes is not
/// chance; 0 if there are too few rows for any.
fn most_values(classes: &[usize], columns: usize) -> usize {
    if classes.len() < 2 {
        return 0;
    }
    let factorial = |n: usize| libm::lgamma(n as f64 + 1.0);
    let ways = factorial(classes.iter().sum()) - classes.iter().map(|&n| factorial(n)).sum::<f64>();
    let spare = ways + CHANCE - libm::log(columns.max(1) as f64);
    (spare / libm::log(classes.len() as f64)).max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FeatureWriter;
    use flow_cache::{Digest, Value};
    use flow_engine::kind::Part;

    fn view(columns: &[(&str, &dyn Fn(usize) -> f32)], rows: usize) -> FeatureView {
        let file = flow_testkit::files::NamedTempFile::new().unwrap();
        let names: Vec<String> = columns.iter().map(|(name, _)| (*name).into()).collect();
        let ids: Vec<String> = (0..rows).map(|i| format!("o{i:04}")).collect();
        let values: Vec<f32> = (0..rows)
            .flat_map(|i| columns.iter().map(move |(_, f)| f(i)))
            .collect();
        let mut writer = FeatureWriter::new(file.as_file(), &names).unwrap();
        writer.push(&ids, &values).unwrap();
        writer.finish().unwrap();
        let part = Part {
            path: file.path().into(),
            digest: Digest::of(b""),
            attrs: Value::Null,
            reference: 0,
            fold: None,
            views: Vec::new(),
        };
        FeatureView::open(&[part], &ids).unwrap()
    }

    /// Sixty rows of four labels, the last two of one class, with a column beside two honest ones.
    fn check(column: &dyn Fn(usize) -> f32) -> Result<(), String> {
        let noise = |i: usize| (i * 7919 % 101) as f32;
        let hint = |i: usize| if i == 17 { 0.0 } else { (i % 4) as f32 };
        let view = view(&[("noise", &noise), ("hint", &hint), ("x", column)], 60);
        let raw: Vec<usize> = (0..60).map(|i| i % 4).collect();
        let class: Vec<usize> = raw.iter().map(|&label| label.min(2)).collect();
        let positive = class.iter().map(|&class| usize::from(class == 2)).collect();
        let labels = RowLabels {
            raw,
            class,
            positive,
        };
        disguised(&view, &labels).map_err(|e| e.message)
    }

    #[test]
    fn a_column_that_is_the_label_is_found() {
        let cycle = |values: &'static [f32]| move |i: usize| values[i % values.len()];
        let gap = |i: usize| {
            if i.is_multiple_of(5) {
                f32::NAN
            } else {
                (i % 4) as f32
            }
        };
        for (leak, what) in [
            // A column that is the class, however it is written.
            (
                &cycle(&[0.0, 1.0, 2.0, 2.0]) as &dyn Fn(usize) -> f32,
                "the class of all 60",
            ),
            (&cycle(&[7.5, f32::NAN, -1.0, -1.0]), "the class of all 60"),
            (&cycle(&[-0.0, -1.0, -2.0, -2.0]), "the class of all 60"),
            (&cycle(&[8.1e9, -3.2e-7, 0.25, 0.25]), "the class of all 60"),
            // The label before it was regrouped.
            (&cycle(&[0.0, 1.0, 2.0, 3.0]), "the class of all 60"),
            (&cycle(&[41.0, -7.0, 3e9, f32::NAN]), "the class of all 60"),
            // The positive class, or its label before regrouping, with the other classes left out.
            (
                &cycle(&[0.0, 0.0, 1.0, 1.0]),
                "the positive class of all 60",
            ),
            (
                &cycle(&[f32::NAN, f32::NAN, 1.0, 1.0]),
                "the positive class of all 60",
            ),
            (
                &cycle(&[5.0, 5.0, 1.0, 2.0]),
                "the positive class of all 60",
            ),
            // A column with missing values.
            (&gap, "the class of the 48"),
        ] {
            let error = check(leak).unwrap_err();
            assert!(error.contains("`x`") && error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_column_that_measures_something_is_not() {
        let duration = |i: usize| [3, 20, 60, 60][i % 4] as f32 + (i * 31 % 7) as f32;
        assert_eq!(check(&|i| i as f32), Ok(()));
        assert_eq!(check(&|_| 1.0), Ok(()));
        assert_eq!(check(&|_| f32::NAN), Ok(()));
        assert_eq!(check(&|i| (i % 2) as f32), Ok(()));
        // A column that is coarser than the classes and not the positive one is a property that some
        // classes share.
        assert_eq!(check(&|i| f32::from(i % 4 == 0)), Ok(()));
        // Whole days that differ within a label, and yet tell the classes apart.
        assert_eq!(check(&duration), Ok(()));
        assert_eq!(check(&|i| (i % 4 * 10 + i / 4 % 2) as f32), Ok(()));
        // A share that is equal within each label.
        assert_eq!(check(&|i| [0.5, 0.25, 0.75, 0.125][i % 4]), Ok(()));
        // One row has another value, or every label has rows with -99, which is not a missing value.
        assert_eq!(
            check(&|i| if i == 30 { 9.0 } else { (i % 4) as f32 }),
            Ok(())
        );
        assert_eq!(
            check(&|i: usize| if i.is_multiple_of(5) {
                -99.0
            } else {
                (i % 4) as f32
            }),
            Ok(())
        );
    }

    /// If nearly every label is unique, any values follow from it.
    #[test]
    fn labels_of_one_row_each_prove_nothing() {
        let days = |i: usize| (i % 2 * 40 + i / 2 % 5) as f32;
        let view = view(&[("days", &days), ("told", &|i| (i % 2) as f32)], 100);
        let class: Vec<usize> = (0..100).map(|i| i % 2).collect();
        let labels = |raw: &dyn Fn(usize) -> usize| RowLabels {
            raw: (0..100).map(raw).collect(),
            class: class.clone(),
            positive: Vec::new(),
        };
        let found = |labels: RowLabels| telling(&view, &labels.raw, &labels.class, true);
        assert_eq!(found(labels(&|i| i)), Some((1, 100)));
        assert_eq!(found(labels(&|i| i % 10)), Some((0, 100)));
    }

    #[test]
    fn a_column_is_refused_by_name() {
        for name in ["Label", "raw_label"] {
            let view = view(&[(name, &|i| i as f32)], 3);
            assert_eq!(named(&view).unwrap_err().code.as_str(), LABEL_COLUMN);
        }
    }

    #[test]
    fn few_rows_prove_nothing() {
        let view = view(&[("x", &|i| (i % 2) as f32)], 10);
        let two = |rows: usize| -> Vec<usize> { (0..rows).map(|i| i % 2).collect() };
        let labels = RowLabels {
            raw: two(10),
            class: two(10),
            positive: two(10),
        };
        assert!(disguised(&view, &labels).is_ok());
        assert_eq!(most_values(&[50], 1), 0);
        // 50 rows in halves have 1.26e14 deals, more than 1e9 with room to spare.
        assert_eq!(most_values(&sizes(two(50).into_iter()), 1), 16);
        assert_eq!(most_values(&sizes(two(30).into_iter()), 1), 0);
    }
}
