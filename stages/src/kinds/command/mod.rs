//! Kind `command` with folds: the tables between a fold's rows and a program.
//!
//! The engine starts programs and knows nothing of tables. The code here writes `{train}` and
//! `{apply}`, checks the program's output against the rows that it was asked for, and joins the folds'
//! predictions like those of any model.
//!
//! - `fold_table`: writes the rows of a fold as one Parquet file; `curves`: light curves in it;
//! - `check`: checks the output against the input.

use std::path::Path;

use flow_engine::command::FoldRows;
use flow_engine::kind::{Action, Rows, StageError};

use crate::rows;
use crate::table::{Folds, Predictions};

mod check;
mod curves;
mod fold_table;

/// The output that is joined over the folds.
const PREDICTIONS: &str = "predictions";

/// The tables of a fold for a program.
pub struct FoldTables;

impl FoldRows for FoldTables {
    fn write(&self, action: &Action<'_>, role: Rows, to: &Path) -> Result<(), StageError> {
        fold_table::write(action, role, to)
    }

    fn check(&self, action: &Action<'_>, output: &str, file: &Path) -> Result<(), StageError> {
        check::output(action, output, file)
    }

    fn gather(&self, action: &mut Action<'_>, output: &str) -> Result<(), StageError> {
        let folds = Folds::read(&action.one("folds")?.path)?;
        // A program may write its rows in any order.
        let all = rows::gathered(action, output, &folds, |part| arrange(part, &folds))?;
        rows::write_predictions(action, output, &all)
    }
}

/// Puts the columns in the order of the classes, and notes the positive class. A program writes the
/// columns in any order and no metadata.
fn arrange(part: &mut Predictions, folds: &Folds) {
    let columns = part.classes.drain(..).zip(part.probability.drain(..));
    let mut columns: Vec<(String, Vec<f64>)> = columns.collect();
    columns.sort_by(|a, b| a.0.cmp(&b.0));
    (part.classes, part.probability) = columns.into_iter().unzip();
    part.positive.clone_from(&folds.positive);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_the_order_of_the_classes() {
        let mut part = Predictions {
            classes: vec!["TDE".into(), "AGN".into()],
            object_id: vec!["a".into()],
            repeat: vec![0],
            fold: vec![None],
            label: vec![None],
            probability: vec![vec![0.75], vec![0.25]],
            positive: None,
        };
        let folds = Folds {
            classes: vec!["AGN".into(), "TDE".into()],
            positive: Some("TDE".into()),
            ..Folds::default()
        };
        arrange(&mut part, &folds);
        assert_eq!(part.classes, folds.classes);
        assert_eq!(part.probability, [[0.25], [0.75]]);
        assert_eq!(part.positive, folds.positive);
    }
}
