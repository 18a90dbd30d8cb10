//! Classes in messages: how a list of classes is shown, and the error if a survey names no positive
//! class.

use flow_engine::StageError;
use flow_engine::base::suggest::closest;

/// The error for a binary quantity that is asked of a survey without a positive class, or with one that
/// is not among `classes`, the classes that occur.
pub fn no_positive(positive: Option<&str>, classes: &[String]) -> StageError {
    const CODE: &str = "flow::data::no_positive";
    let names = || classes.iter().map(String::as_str);
    let occur = match classes {
        [] => "there are no classes at all".to_owned(),
        _ => format!("the classes are: {}", listed(names())),
    };
    let Some(positive) = positive else {
        let message = "a binary target needs to know the positive class, and the survey names none";
        let one = classes.first().map_or("CLASS", String::as_str);
        return StageError::data(CODE, message)
            .help(format!(
                "set `positive = {one:?}` in the `ingest` stage, or `target = \"classes\"`"
            ))
            .help(occur);
    };
    let message = format!("no labelled object is of class `{positive}`, the positive one");
    let error = StageError::data(CODE, message);
    let error = match closest(positive, names()) {
        Some(name) => error.help(format!("in the `ingest` stage: positive = \"{name}\"")),
        None => error.help("`positive` in the `ingest` stage names one of the classes that occur"),
    };
    error.help(occur)
}

/// The first few names, in quotes.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 24;
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
