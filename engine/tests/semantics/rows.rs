//! Tables of folds over the text files of [`crate::kinds`].

use std::collections::BTreeSet;
use std::path::Path;

use flow_engine::StageError;
use flow_engine::command::FoldRows;
use flow_engine::kind::{Action, Rows};

use crate::kinds::rows_of;

/// A row is a line; the label of a row to apply to is `?`.
pub struct TextRows;

impl FoldRows for TextRows {
    fn write(&self, action: &Action<'_>, role: Rows, to: &Path) -> Result<(), StageError> {
        let mut text = String::new();
        for row in rows_of(action, role)? {
            let words: Vec<&str> = row.splitn(3, ' ').collect();
            let label = if role == Rows::Train { words[1] } else { "?" };
            text.push_str(&format!("{} {label} {}\n", words[0], words[2]));
        }
        Ok(std::fs::write(to, text)?)
    }

    fn check(&self, action: &Action<'_>, output: &str, file: &Path) -> Result<(), StageError> {
        if output != "predictions" {
            return Ok(());
        }
        let id = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let text = std::fs::read_to_string(file)?;
        let found: BTreeSet<String> = text.lines().map(id).collect();
        let asked = rows_of(action, Rows::Apply)?;
        match asked.iter().find(|row| !found.contains(&id(row))) {
            Some(row) => Err(StageError::failed(
                "flow::test::rows",
                format!("no {}", id(row)),
            )),
            None => Ok(()),
        }
    }

    fn gather(&self, action: &mut Action<'_>, output: &str) -> Result<(), StageError> {
        assert_eq!(action.input("folds").len(), 1, "the table comes in whole");
        let mut lines = Vec::new();
        for part in action.input(output) {
            let fold = part.fold.clone().unwrap();
            let text = std::fs::read_to_string(&part.path)?;
            lines.extend(text.lines().map(|line| format!("{line} {fold}\n")));
        }
        lines.sort();
        action.write(output, lines.concat().as_bytes(), Vec::new())
    }
}
