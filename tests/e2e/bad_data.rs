//! Bad input ends with a diagnostic and exit code 2, never with a panic, and dropped rows are
//! reported.

use crate::harness::Project;
use crate::survey::{Survey, write_survey};

fn diagnose(project: &Project) -> String {
    let output = project.flow(&["run", "survey.toml", "--color", "never"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn edited(edit: impl Fn(&str) -> String) -> Project {
    let project = Project::new();
    write_survey(&project, &Survey::default());
    let text = project.read("data/curves_0.csv");
    project.write("data/curves_0.csv", edit(&text));
    project
}

#[test]
fn a_missing_column_names_those_there_are() {
    let text = diagnose(&edited(|text| text.replacen("fluxcal,", "fluxcol,", 1)));
    assert!(
        text.contains("fluxcal") && text.contains("did you mean `fluxcol`?"),
        "{text}"
    );
}

#[test]
fn an_empty_file_is_an_error() {
    let text = diagnose(&edited(|_| String::new()));
    assert!(text.contains("curves_0.csv"), "{text}");
}

#[test]
fn too_many_bad_rows_are_an_error() {
    let text = diagnose(&edited(|text| text.replace(",1.0\n", ",-1.0\n")));
    assert!(text.contains("max_rejected"), "{text}");
}

#[test]
fn an_object_in_two_files_is_an_error() {
    let project = Project::new();
    write_survey(&project, &Survey::default());
    let line = "obj0000,59000,g,1,1\n";
    let text = project.read("data/curves_1.csv") + line;
    project.write("data/curves_1.csv", text);
    assert!(diagnose(&project).contains("obj0000"));
}

#[test]
fn a_few_bad_rows_are_dropped_and_counted() {
    let project = edited(|text| {
        text.replacen(",1.0\n", ",nan\n", 1)
            .replacen(",r,", ",Q,", 1)
            + "obj0000,59999,g,,1\nnobody,59000,g,1,1\n"
    });
    let output = project.flow(&["run", "survey.toml", "--color", "never"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let says = |word: &str| assert!(text.contains(word), "`{word}` is not in:\n{text}");
    says("dropped 4 of");
    says("empty flux");
    says("unknown band");
    // On a hit the report is shown as well.
    let again = project.flow(&["run", "survey.toml", "--color", "never"]);
    let text = String::from_utf8_lossy(&again.stderr).into_owned()
        + &String::from_utf8_lossy(&again.stdout);
    assert!(text.contains("dropped 4 of"), "{text}");
}
