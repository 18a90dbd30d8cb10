//! Kinds whose output is a view: `choose` once over all rows, `pick` on the training rows of each
//! fold. A view is a set of letters; values that start with another one are seen as `?`.

use std::collections::BTreeSet;
use std::path::Path;

use flow_engine::kind::{Action, ParamSpec, Part, Rows, Scope, StageError, Step};
use flow_testkit::kinds::FakeKind;

use crate::kinds::{Control, row, rows_of};

/// What a view lets through of a text.
pub fn seen(mut text: String, part: &Part) -> Result<String, StageError> {
    for view in &part.views {
        let letters = letters_of(view)?;
        let lines = text.lines().map(|line| {
            let (id, label, value) = row(line);
            match value.chars().next() {
                Some(c) if letters.contains(&c.to_ascii_lowercase()) => format!("{line}\n"),
                _ => format!("{id} {label} ?\n"),
            }
        });
        text = lines.collect();
    }
    Ok(text)
}

fn letters_of(view: &Path) -> Result<BTreeSet<char>, StageError> {
    Ok(std::fs::read_to_string(view)?.chars().collect())
}

fn view(name: &'static str, step: Step) -> FakeKind {
    FakeKind::new(name, vec![step.writes("choice")])
        .one("rows", "rows")
        .views("rows", "rows", "choice")
        .takes(ParamSpec::int("keep", 1, 1, 9, "How many letters."))
}

pub fn choose() -> FakeKind {
    view(
        "choose",
        Step::new("choose", Scope::Whole).port("rows").apart(),
    )
}

pub fn pick() -> FakeKind {
    let fit = Step::new("fit", Scope::Fold).rows("rows", Rows::Train);
    view("pick", fit).one("folds", "folds")
}

pub fn run_choose(_: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    let mut lines = Vec::new();
    for part in action.input("rows") {
        let text = crate::kinds::text(part)?;
        lines.extend(text.lines().map(str::to_owned));
    }
    write(action, &lines)
}

pub fn run_pick(_: &Control, action: &mut Action<'_>) -> Result<(), StageError> {
    let lines = rows_of(action, Rows::Train)?;
    write(action, &lines)
}

fn write(action: &mut Action<'_>, lines: &[String]) -> Result<(), StageError> {
    let keep = action.params.read::<i64>("keep") as usize;
    let letters = lines.iter().filter_map(|line| row(line).2.chars().next());
    let letters: BTreeSet<char> = letters.map(|c| c.to_ascii_lowercase()).collect();
    let letters: String = letters.into_iter().take(keep).collect();
    action.write("choice", letters.as_bytes(), Vec::new())
}
