//! `scope = "fold"`: programs that fit and predict.

use super::expect_mistake;
use flow_testkit::files::read;

use crate::harness::Project;

/// A program that writes each row of `{apply}` with the number of training rows.
fn model(script: &str) -> Project {
    let project = Project::new(
        r#"
[pipeline]
seed = 1
[stages.read]
use = "source"
dir = "data"
[stages.folds]
use = "folds"
inputs = { objects = "read" }
[stages.fit]
use = "command"
scope = "fold"
run = ["/bin/sh", "fit.sh", "{train}", "{apply}", "{predictions}", "{note}"]
files = ["fit.sh"]
inputs = { rows = "read.rows", folds = "folds" }
outputs = { predictions = "p.txt", note = "n.txt" }
[outputs]
"result.txt" = "fit.predictions"
"#,
    );
    project.write("data/a.txt", "a1 x apple\na2 y avocado\n");
    project.write("data/b.txt", "b1 x bean\nb2 y beet\n");
    project.write("data/u.txt", "u1 - udon\n");
    project.write("fit.sh", script);
    project
}

const FIT: &str =
    "n=$(grep -c . $1); while read line; do echo $line $n; done < $2 > $3; cat $1 > $4";

#[test]
fn a_program_sees_the_rows_of_its_fold() {
    let project = model(FIT);
    let actions = ["fit: gather", "fit: run 0", "fit: run 1", "fit: run final"];
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert!(
        actions.iter().all(|a| ran.ran.iter().any(|r| r == a)),
        "{:?}",
        ran.ran
    );
    // No label reaches the rows to predict.
    let expected =
        "a1 ? apple 2 0\na2 ? avocado 2 0\nb1 ? bean 2 1\nb2 ? beet 2 1\nu1 ? udon 4 final\n";
    assert_eq!(project.read("result.txt"), expected);
    let note = read(&project.artifact(&ran, "fit: run 0 note"));
    assert_eq!(note, "b1 x bean\nb2 y beet\n");
    project.expect(&[]);
    // A new row to predict is a matter of its fold.
    project.write("data/v.txt", "v1 - vanilla\n");
    let ran = project.run();
    let fits: Vec<&String> = ran.ran.iter().filter(|r| r.starts_with("fit")).collect();
    assert_eq!(fits, ["fit: gather", "fit: run final"]);
    assert!(
        project
            .read("result.txt")
            .contains("v1 ? vanilla 4 final\n")
    );
}

#[test]
fn every_row_must_come_back() {
    let project = model("head -n 1 $2 > $3; : > $4");
    let ran = project.run();
    assert!(
        ran.failures
            .iter()
            .any(|(_, e)| e.code.as_str() == "flow::test::rows"),
        "{:?}",
        ran.failures
    );
}

#[test]
fn rows_of_all_folds_are_out_of_reach() {
    let project = model(FIT);
    project.edit("\"{train}\"", "\"{rows}\"");
    expect_mistake(&project, "flow::command::fold_rows", "{train}");
    project.edit("\"{rows}\"", "\"{folds}\"");
    expect_mistake(&project, "flow::command::fold_rows", "{train}");
    project.edit("\"{folds}\"", "\"{trian}\"");
    expect_mistake(
        &project,
        "flow::command::placeholder",
        "did you mean `train`?",
    );
    project.edit("\"{trian}\"", "\"{train}\"");
    project.edit(
        "inputs = { rows = \"read.rows\", folds = \"folds\" }",
        "inputs = { rows = \"read.rows\" }",
    );
    expect_mistake(&project, "flow::pipeline::missing_input", "folds");
    project.edit(
        "inputs = { rows = \"read.rows\" }",
        "inputs = { train = \"read.rows\", folds = \"folds\" }",
    );
    expect_mistake(&project, "flow::command::name", "`train`");
}

#[test]
fn what_follows_in_the_fold_needs_the_scope() {
    let project = model(FIT);
    let later = |more: &str| {
        format!(
            "[stages.after]\nuse = \"command\"\nrun = [\"/bin/sh\", \"-c\", \"cat {{note}} > {{out}}\"]\n\
             inputs = {{ note = \"fit.note\" }}\noutputs = {{ out = \"o.txt\" }}\n{more}\n[outputs]"
        )
    };
    project.edit("[outputs]", &later(""));
    expect_mistake(&project, "flow::pipeline::fold_scope", "scope = \"fold\"");
    // Items are no way around it.
    project.edit(&later(""), &later("each = { i = [1] }"));
    expect_mistake(&project, "flow::pipeline::fold_scope", "scope = \"fold\"");
}

#[test]
fn items_and_folds_do_not_mix() {
    let project = model(FIT);
    project.edit("scope = \"fold\"", "scope = \"fold\"\neach = { i = [1] }");
    expect_mistake(
        &project,
        "flow::command::each",
        "once a fold or once an item",
    );
    let project = model("exit 1");
    let ran = project.run();
    assert!(
        ran.failures
            .iter()
            .all(|(_, e)| e.code.as_str() == "flow::command::failed")
    );
}
