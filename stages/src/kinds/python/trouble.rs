//! Reads what the program says of a mistake.

use flow_engine::StageError;
use flow_engine::kind::Fault;

/// How the line begins that tells it; `common.py` has the same.
const MARK: &str = "flow-python: ";

/// The words of the program, the code of each, and whose fault it is.
const TOLD: [(&str, &str, Fault); 11] = [
    ("package", "flow::python::package", Fault::Data),
    ("class", "flow::python::class", Fault::Data),
    ("parameter", "flow::python::parameter", Fault::Data),
    ("method", "flow::python::method", Fault::Data),
    ("target", "flow::python::target", Fault::Data),
    ("weights", "flow::python::weights", Fault::Data),
    ("features", "flow::python::features", Fault::Data),
    ("raised", "flow::python::raised", Fault::Stage),
    ("shape", "flow::python::shape", Fault::Stage),
    ("not_finite", "flow::python::not_finite", Fault::Stage),
    ("probabilities", "flow::python::probabilities", Fault::Stage),
];

#[derive(serde::Deserialize)]
struct Told {
    what: String,
    message: String,
    help: Vec<String>,
}

/// Returns the mistake that the last such line of a log tells, if there is one.
pub(super) fn told(log: &str) -> Option<StageError> {
    let line = log.lines().rev().find_map(|line| line.strip_prefix(MARK))?;
    let told: Told = serde_json::from_str(line).ok()?;
    let (_, code, fault) = TOLD.into_iter().find(|(word, ..)| *word == told.what)?;
    let error = StageError::new(fault, code, told.message);
    Some(told.help.into_iter().fold(error, StageError::help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_with_the_mark_counts() {
        let log = "noise\nflow-python: {\"what\": \"class\", \"message\": \"a\", \"help\": []}\n\
                   flow-python: {\"what\": \"shape\", \"message\": \"b\", \"help\": [\"c\"]}\nend\n";
        let error = told(log).unwrap();
        assert_eq!(error.code.as_str(), "flow::python::shape");
        assert_eq!((error.message.as_str(), error.fault), ("b", Fault::Stage));
        assert_eq!(error.help, ["c"]);
    }

    #[test]
    fn other_lines_tell_nothing() {
        for log in [
            "",
            "flow-python: no JSON",
            "flow-python: {\"what\": \"x\", \"message\": \"\", \"help\": []}",
        ] {
            assert!(told(log).is_none(), "{log}");
        }
    }

    /// Each word of the program has a code, and each code a word.
    #[test]
    fn the_program_and_the_list_have_the_same_words() {
        let raises = super::super::PROGRAM.split("Trouble(\"").skip(1);
        let words = raises.filter_map(|text| text.split('"').next());
        let words: std::collections::BTreeSet<&str> = words.collect();
        assert_eq!(words, TOLD.map(|(word, ..)| word).into());
        assert!(super::super::PROGRAM.contains(&format!("MARK = \"{MARK}\"")));
    }
}
