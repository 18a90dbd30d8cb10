//! Why models predict what they do: the features that moved each prediction, and what groups of features are
//! worth.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;
use serde::{Deserialize, Serialize};

use super::folds::to_i32;
use super::parquet_io::{self, Batch, TableReader, properties};

/// Why one object is predicted as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReasonRow {
    /// The object.
    pub object_id: String,
    /// The repeat of the cross-validation; 0 for the final fit.
    pub repeat: i32,
    /// The fold that held the object out; `None` for the final fit.
    pub fold: Option<i32>,
    /// The class whose margin the features moved.
    pub class: String,
    /// The features, those that moved it most first.
    pub features: Vec<Reason>,
}

/// What one feature did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Its name.
    pub feature: String,
    /// How far it moved the margin: its Shapley value.
    pub shap: f64,
    /// Its value; `None` if it is missing.
    pub value: Option<f64>,
}

/// Writes Parquet `object_id, repeat, fold, class, feature_1, shap_1, value_1, ...`, with `top` features a row;
/// null where fewer moved it.
///
/// # Errors
/// If the writer fails.
pub fn write_reasons(
    writer: impl Write + Send,
    rows: &[ReasonRow],
    top: usize,
) -> Result<(), StageError> {
    let mut fields = vec![
        Field::new("object_id", DataType::Utf8, false),
        Field::new("repeat", DataType::Int32, false),
        Field::new("fold", DataType::Int32, true),
        Field::new("class", DataType::Utf8, false),
    ];
    let texts = |of: fn(&ReasonRow) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let mut columns: Vec<ArrayRef> = vec![
        texts(|row| &row.object_id),
        Arc::new(
            rows.iter()
                .map(|row| Some(row.repeat))
                .collect::<Int32Array>(),
        ),
        Arc::new(rows.iter().map(|row| row.fold).collect::<Int32Array>()),
        texts(|row| &row.class),
    ];
    for k in 0..top {
        let nth = || rows.iter().map(move |row| row.features.get(k));
        let names = nth().map(|reason| reason.map(|reason| reason.feature.as_str()));
        let shap = nth().map(|reason| reason.map(|reason| reason.shap));
        let values = nth().map(|reason| reason.and_then(|reason| reason.value));
        for (name, ty, column) in [
            (
                "feature",
                DataType::Utf8,
                Arc::new(names.collect::<StringArray>()) as ArrayRef,
            ),
            (
                "shap",
                DataType::Float64,
                Arc::new(shap.collect::<Float64Array>()),
            ),
            (
                "value",
                DataType::Float64,
                Arc::new(values.collect::<Float64Array>()),
            ),
        ] {
            fields.push(Field::new(format!("{name}_{}", k + 1), ty, true));
            columns.push(column);
        }
    }
    let dictionary = properties(&[], &["repeat", "fold", "class"]);
    parquet_io::write(writer, Arc::new(Schema::new(fields)), columns, dictionary)
}

/// Reads [`write_reasons`]'s file.
///
/// # Errors
/// If the file is unreadable or does not fit.
pub fn read_reasons(path: &Path) -> Result<Vec<ReasonRow>, StageError> {
    let mut source = TableReader::open(path, "the table of reasons")?;
    let mut top = 0;
    while source.has(&format!("feature_{}", top + 1)) {
        top += 1;
    }
    let mut rows = Vec::new();
    while let Some(batch) = source.next_batch()? {
        read_rows(&batch, top, &mut rows)?;
    }
    Ok(rows)
}

fn read_rows(batch: &Batch, top: usize, rows: &mut Vec<ReasonRow>) -> Result<(), StageError> {
    let first = rows.len();
    let classes = batch.texts("class")?;
    let (repeats, folds) = (batch.ints("repeat")?, batch.ints("fold")?);
    for (i, id) in batch.ids("object_id", first)?.into_iter().enumerate() {
        let fold = folds.is_valid(i).then(|| to_i32(folds.value(i)));
        rows.push(ReasonRow {
            object_id: id,
            repeat: to_i32(repeats.value(i))?,
            fold: fold.transpose()?,
            class: classes.value(i).into(),
            features: Vec::new(),
        });
    }
    for k in 1..=top {
        let names = batch.texts(&format!("feature_{k}"))?;
        let shap = batch.floats(&format!("shap_{k}"))?;
        let values = batch.floats(&format!("value_{k}"))?;
        for (i, row) in rows[first..].iter_mut().enumerate() {
            if names.is_valid(i) && shap.is_valid(i) {
                row.features.push(Reason {
                    feature: names.value(i).into(),
                    shap: shap.value(i),
                    value: values.is_valid(i).then(|| values.value(i)),
                });
            }
        }
    }
    Ok(())
}

/// What a group of features is worth: how far metrics fall if its values are shuffled among rows.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupWorth {
    /// The name of the group.
    pub group: String,
    /// The number of its columns.
    pub columns: usize,
    /// The mean and the standard deviation over folds of the drop of average precision.
    pub average_precision: (f64, f64),
    /// The same of F1.
    pub f1: (f64, f64),
    /// The number of folds.
    pub folds: usize,
}

/// Writes Parquet `group, columns, ap_drop, ap_drop_std, f1_drop, f1_drop_std, folds`, with rows in the order
/// given. A standard deviation of one fold is null.
///
/// # Errors
/// If the writer fails.
pub fn write_worth(writer: impl Write + Send, rows: &[GroupWorth]) -> Result<(), StageError> {
    let mut fields = vec![
        Field::new("group", DataType::Utf8, false),
        Field::new("columns", DataType::Int32, false),
    ];
    let names = rows.iter().map(|row| &row.group);
    let counts = rows.iter().map(|row| Some(row.columns as i32));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(names)),
        Arc::new(counts.collect::<Int32Array>()),
    ];
    for (name, of) in [
        (
            "ap_drop",
            (|row| row.average_precision.0) as fn(&GroupWorth) -> f64,
        ),
        ("ap_drop_std", |row| row.average_precision.1),
        ("f1_drop", |row| row.f1.0),
        ("f1_drop_std", |row| row.f1.1),
    ] {
        let values = rows.iter().map(|row| Some(of(row)).filter(|v| !v.is_nan()));
        fields.push(Field::new(name, DataType::Float64, true));
        columns.push(Arc::new(values.collect::<Float64Array>()));
    }
    fields.push(Field::new("folds", DataType::Int32, false));
    let folds = rows.iter().map(|row| Some(row.folds as i32));
    columns.push(Arc::new(folds.collect::<Int32Array>()));
    parquet_io::write(
        writer,
        Arc::new(Schema::new(fields)),
        columns,
        properties(&[], &[]),
    )
}

/// Reads the table of [`write_worth`]; a standard deviation that is null is NaN.
///
/// # Errors
/// If the file is unreadable or does not fit.
pub fn read_worth(path: &Path) -> Result<Vec<GroupWorth>, StageError> {
    let mut source = TableReader::open(path, "the table of groups of features")?;
    let mut rows = Vec::new();
    while let Some(batch) = source.next_batch()? {
        let names = batch.ids("group", rows.len())?;
        let (columns, folds) = (batch.ints("columns")?, batch.ints("folds")?);
        let floats = |name: &str| -> Result<Vec<f64>, StageError> {
            let values = batch.floats(name)?;
            Ok(values.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
        };
        let (ap, ap_std) = (floats("ap_drop")?, floats("ap_drop_std")?);
        let (f1, f1_std) = (floats("f1_drop")?, floats("f1_drop_std")?);
        let count = |n: Option<i64>| n.map_or(0, |n| n.max(0) as usize);
        for (i, group) in names.into_iter().enumerate() {
            rows.push(GroupWorth {
                group,
                columns: count(columns.iter().nth(i).flatten()),
                average_precision: (ap[i], ap_std[i]),
                f1: (f1[i], f1_std[i]),
                folds: count(folds.iter().nth(i).flatten()),
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_come_back() {
        let reason = |feature: &str, value| Reason {
            feature: feature.into(),
            shap: -0.5,
            value,
        };
        let row = |id: &str, fold, features| ReasonRow {
            object_id: id.into(),
            repeat: 1,
            fold,
            class: "TDE".into(),
            features,
        };
        let rows = [
            row(
                "a",
                Some(3),
                vec![reason("x", Some(2.0)), reason("y", None)],
            ),
            row("b", None, vec![reason("y", Some(0.25))]),
            row("c", Some(0), vec![]),
        ];
        let mut bytes = Vec::new();
        write_reasons(&mut bytes, &rows, 2).unwrap();
        let file = flow_testkit::files::file_of(&bytes);
        assert_eq!(read_reasons(file.path()).unwrap(), rows);
        assert!(read_reasons(flow_testkit::files::file_of(b"PAR1").path()).is_err());
    }

    #[test]
    fn the_worth_of_groups_comes_back() {
        let worth = |group: &str, std: f64| GroupWorth {
            group: group.to_owned(),
            columns: 12,
            average_precision: (0.125, std),
            f1: (-0.5, std),
            folds: 5,
        };
        let rows = [worth("shape", 0.25), worth("color", f64::NAN)];
        let file = flow_testkit::files::NamedTempFile::new().unwrap();
        write_worth(file.as_file(), &rows).unwrap();
        let read = read_worth(file.path()).unwrap();
        assert_eq!(read[0], rows[0]);
        assert_eq!((read[1].columns, read[1].folds), (12, 5));
        assert!(read[1].f1.1.is_nan() && read[1].f1.0 == -0.5);
    }
}
