//! What a command below folds needs to know about tables. The engine itself knows nothing about them.

use std::path::Path;

use crate::kind::action::Action;
use crate::kind::error::StageError;
use crate::kind::spec::Rows;

/// Tables as a program below folds reads and writes them. The code that registers the kind provides them.
pub trait FoldRows: Send + Sync {
    /// Writes the rows with this role in the action's fold, of all that came in: [`Rows::Train`] with
    /// their labels, [`Rows::Apply`] without.
    fn write(&self, action: &Action<'_>, role: Rows, to: &Path) -> Result<(), StageError>;

    /// Checks what the program wrote for an output, if it is a table: every row that it was applied to must
    /// come back.
    fn check(&self, action: &Action<'_>, output: &str, file: &Path) -> Result<(), StageError>;

    /// Joins the parts that the folds gave for an output, and writes the output of that name. The
    /// table of folds comes in through the port `folds`.
    fn gather(&self, action: &mut Action<'_>, output: &str) -> Result<(), StageError>;
}
