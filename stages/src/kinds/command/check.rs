//! Checks the output of a program against the rows that it was given.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_ipc::reader::FileReader;
use arrow_schema::DataType;
use flow_engine::kind::{Action, Fault, Rows, StageError};

use super::PREDICTIONS;
use crate::rows;
use crate::table::{Folds, Predictions, SCHEMA, TableReader, columns_help, convert};

/// The most by which the probabilities of all classes may miss 1.
const SLACK: f64 = 1e-6;
/// The number of objects that a message names.
const NAMED: usize = 3;

/// Checks one output of one fold's program.
pub(super) fn output(action: &Action<'_>, output: &str, file: &Path) -> Result<(), StageError> {
    // Wrong data of a program is the fault of its stage, not of the user's input.
    examine(action, output, file).map_err(|mut error| {
        if error.fault == Fault::Data {
            error.fault = Fault::Stage;
        }
        error
    })
}

fn examine(action: &Action<'_>, output: &str, file: &Path) -> Result<(), StageError> {
    let (folds, apply) = rows::of_action(action, Rows::Apply)?;
    let predictions = match output {
        PREDICTIONS => {
            any_probability(file, &folds)?;
            Some(Predictions::read(file)?)
        }
        _ => None,
    };
    let ids = match &predictions {
        Some(predictions) => predictions.object_id.clone(),
        None => match object_ids(file, &format!("output `{output}`"))? {
            Some(ids) => ids,
            None => return Ok(()),
        },
    };
    let name = action.fold.unwrap_or(rows::FINAL);
    let here = rows::parse(name)?;
    let is_training = |id: &str| {
        let at = folds.object_id.binary_search_by(|o| o.as_str().cmp(id));
        at.is_ok_and(|at| rows::has_role(&folds, here, at, Rows::Train))
    };
    let asked: Vec<&str> = apply.iter().map(|&i| folds.object_id[i].as_str()).collect();
    same_rows(ids, &asked, is_training, output == PREDICTIONS).map_err(|what| {
        let message = format!("output `{output}` of fold {name} {}", what.message);
        StageError::data("flow::command::rows", message).help(what.help)
    })?;
    match &predictions {
        Some(predictions) => probabilities(predictions, &folds),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Mismatch {
    message: String,
    help: &'static str,
}

/// Checks that every object that was asked for (sorted) is among `ids` once, and no other object,
/// except for training rows where they are allowed.
fn same_rows(
    mut ids: Vec<String>,
    asked: &[&str],
    is_training: impl Fn(&str) -> bool,
    only_asked: bool,
) -> Result<(), Mismatch> {
    ids.sort();
    let mut twice: Vec<&str> = ids
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0].as_str())
        .collect();
    twice.dedup();
    if !twice.is_empty() {
        return Err(Mismatch {
            message: format!("holds {} more than once", listed(&twice)),
            help: "write every row of `{apply}` once, under its own `object_id`",
        });
    }
    let found = |id: &str| ids.binary_search_by(|o| o.as_str().cmp(id)).is_ok();
    let missing: Vec<&str> = asked.iter().copied().filter(|id| !found(id)).collect();
    if !missing.is_empty() {
        return Err(Mismatch {
            message: format!(
                "lacks {} of the {} in `{{apply}}`",
                listed(&missing),
                asked.len()
            ),
            help: "every row of `{apply}` must come back: rows with missing values too, and `object_id` as the text it is",
        });
    }
    let more = ids.iter().map(String::as_str);
    let more: Vec<&str> = more.filter(|id| asked.binary_search(id).is_err()).collect();
    let (trained, foreign): (Vec<&str>, Vec<&str>) =
        more.into_iter().partition(|id| is_training(id));
    if !foreign.is_empty() {
        return Err(Mismatch {
            message: format!("holds {} that the program was not given", listed(&foreign)),
            help: "write the rows of `{apply}`, each under its own `object_id`",
        });
    }
    if only_asked && !trained.is_empty() {
        return Err(Mismatch {
            message: format!("holds {} of `{{train}}`", listed(&trained)),
            help: "write the rows of `{apply}` only: a prediction for an object that was fitted on says nothing",
        });
    }
    Ok(())
}

/// Formats "2 objects (`a`, `b`)".
fn listed(ids: &[&str]) -> String {
    let named: Vec<String> = ids.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
    let more = if ids.len() > NAMED { ", ..." } else { "" };
    let objects = if ids.len() == 1 { "object" } else { "objects" };
    format!("{} {objects} ({}{more})", ids.len(), named.join(", "))
}

/// Refuses a table of predictions without probabilities, and names the columns that are wanted.
fn any_probability(file: &Path, folds: &Folds) -> Result<(), StageError> {
    let source = TableReader::open(file, "the predictions table")?;
    let mut names = source.fields().iter().map(|field| field.name());
    if names.clone().any(|name| name.starts_with("p_")) {
        return Ok(());
    }
    let all: Vec<String> = folds.classes.iter().map(|c| format!("`p_{c}`")).collect();
    let all = match &folds.positive {
        Some(positive) => format!("`p_{positive}`, or all of {}", all.join(", ")),
        None => all.join(", "),
    };
    let message = format!("output `{PREDICTIONS}` has no column of probabilities: {all}");
    Err(StageError::data(SCHEMA, message).help(columns_help(&mut names)))
}

/// Checks that there is one column for the positive class, or one for every class and that they sum to
/// 1.
fn probabilities(predictions: &Predictions, folds: &Folds) -> Result<(), StageError> {
    let wrong = |message: String| {
        StageError::data(SCHEMA, message).help(format!(
            "the classes are: {}; the metadata `flow.classes` of `{{train}}` lists them as JSON",
            folds.classes.join(", ")
        ))
    };
    let given = &predictions.classes;
    if let Some(class) = given
        .iter()
        .find(|c| folds.classes.binary_search(c).is_err())
    {
        return Err(wrong(format!(
            "output `{PREDICTIONS}` has a column `p_{class}`, and no class is called `{class}`"
        )));
    }
    if given.len() == 1 && folds.positive.as_ref() == given.first() {
        return Ok(());
    }
    if let Some(class) = folds.classes.iter().find(|class| !given.contains(class)) {
        let alone = match &folds.positive {
            Some(positive) => format!(", or `p_{positive}` alone"),
            None => String::new(),
        };
        return Err(wrong(format!(
            "output `{PREDICTIONS}` has no column `p_{class}`: it needs one for every class{alone}"
        ))
        .help("a class that a fold's training rows lack has probability 0"));
    }
    for (i, id) in predictions.object_id.iter().enumerate() {
        let sum: f64 = predictions.probability.iter().map(|column| column[i]).sum();
        if (sum - 1.0).abs() > SLACK {
            return Err(StageError::data(
                SCHEMA,
                format!(
                    "the probabilities of object `{id}` in output `{PREDICTIONS}` sum to {sum}"
                ),
            )
            .help("divide each row's probabilities by their sum"));
        }
    }
    Ok(())
}

/// The objects of a table, in its order; `None` if the file is not a table, or is a table of something
/// else.
pub(super) fn object_ids(path: &Path, name: &str) -> Result<Option<Vec<String>>, StageError> {
    let null = || StageError::data(SCHEMA, format!("column `object_id` of {name} holds a null"));
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(6).read_to_end(&mut magic)?;
    let mut ids = Vec::new();
    if magic.starts_with(b"PAR1") {
        let mut source = TableReader::open_columns(path, name, |column| column == "object_id")?;
        if !source.has("object_id") {
            return Ok(None);
        }
        while let Some(batch) = source.next_batch()? {
            ids.extend(batch.ids("object_id", ids.len())?);
        }
    } else if magic == b"ARROW1" {
        let unreadable = |e: arrow_schema::ArrowError| {
            StageError::data(SCHEMA, format!("{name} is not a readable Arrow file"))
                .because(e)
                .help("write Parquet, or Arrow without compression")
        };
        let reader = FileReader::try_new(File::open(path)?, None).map_err(unreadable)?;
        let Ok(column) = reader.schema().index_of("object_id") else {
            return Ok(None);
        };
        let reader =
            FileReader::try_new(File::open(path)?, Some(vec![column])).map_err(unreadable)?;
        for batch in reader {
            let batch = batch.map_err(unreadable)?;
            let texts = convert(batch.column(0), &DataType::Utf8).map_err(unreadable)?;
            for id in texts.as_string::<i32>() {
                ids.push(id.ok_or_else(null)?.to_owned());
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FeatureWriter;

    fn rows(ids: &[&str], only_asked: bool) -> Result<(), String> {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        same_rows(ids, &["b", "d"], |id| id == "a", only_asked).map_err(|d| d.message)
    }

    #[test]
    fn every_asked_row_comes_once() {
        assert_eq!(rows(&["d", "b"], true), Ok(()));
        assert_eq!(
            rows(&["d"], true).unwrap_err(),
            "lacks 1 object (`b`) of the 2 in `{apply}`"
        );
        assert_eq!(
            rows(&["b", "d", "d", "d"], true).unwrap_err(),
            "holds 1 object (`d`) more than once"
        );
        assert_eq!(
            rows(&["b", "d", "w", "x", "y", "z"], true).unwrap_err(),
            "holds 4 objects (`w`, `x`, `y`, ...) that the program was not given"
        );
    }

    #[test]
    fn training_rows_are_welcome_except_among_predictions() {
        assert_eq!(rows(&["a", "b", "d"], false), Ok(()));
        assert_eq!(
            rows(&["a", "b", "d"], true).unwrap_err(),
            "holds 1 object (`a`) of `{train}`"
        );
        assert!(rows(&["a", "a", "b", "d"], false).is_err());
        assert!(rows(&["c", "b", "d"], false).is_err());
    }

    fn predictions(columns: &[(&str, f64)]) -> Predictions {
        Predictions {
            classes: columns.iter().map(|(class, _)| (*class).into()).collect(),
            object_id: vec!["a".into()],
            repeat: vec![0],
            fold: vec![None],
            label: vec![None],
            probability: columns.iter().map(|(_, p)| vec![*p]).collect(),
            positive: None,
        }
    }

    #[test]
    fn all_classes_or_the_positive_one() {
        let folds = |positive: Option<&str>| Folds {
            classes: vec!["AGN".into(), "SN".into(), "TDE".into()],
            positive: positive.map(String::from),
            ..Folds::default()
        };
        let check = |columns: &[(&str, f64)], positive| {
            probabilities(&predictions(columns), &folds(positive)).map_err(|e| e.message)
        };
        assert_eq!(check(&[("TDE", 0.3)], Some("TDE")), Ok(()));
        let full = [("TDE", 0.3), ("SN", 0.0), ("AGN", 0.7 + 1e-7)];
        assert_eq!(check(&full, Some("TDE")), Ok(()));
        assert_eq!(check(&full, None), Ok(()));
        for positive in [None, Some("SN")] {
            let error = check(&[("TDE", 0.3)], positive).unwrap_err();
            assert!(error.contains("no column `p_AGN`"), "{error}");
        }
        let error = check(&[("TDE", 0.3), ("rest", 0.7)], Some("TDE")).unwrap_err();
        assert!(error.contains("no class is called `rest`"), "{error}");
        let short = [("TDE", 0.3), ("SN", 0.0), ("AGN", 0.6)];
        let error = check(&short, None).unwrap_err();
        assert!(error.contains("`a`") && error.contains("0.8"), "{error}");
    }

    #[test]
    fn objects_are_found_in_tables_of_any_kind() {
        let file = flow_testkit::files::NamedTempFile::new().unwrap();
        let ids = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            object_ids(file.path(), "t").unwrap()
        };
        let mut writer = FeatureWriter::new(Vec::new(), &["x".into()]).unwrap();
        writer.push(&["o1", "o2"], &[1.0, 2.0]).unwrap();
        let both = Some(vec!["o1".to_owned(), "o2".into()]);
        assert_eq!(ids(&writer.finish().unwrap()), both);
        let mut parquet = Vec::new();
        let mut table = predictions(&[("x", 0.5)]);
        table.write(&mut parquet).unwrap();
        assert_eq!(ids(&parquet), Some(vec!["a".into()]));
        table.object_id.clear();
        assert_eq!(ids(b"a model"), None);
        assert_eq!(ids(b""), None);
    }
}
