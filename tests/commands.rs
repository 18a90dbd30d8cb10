//! The projects in `docs/examples` do what their pages say, if their interpreters are installed.

use flow_testkit::Project;
use flow_testkit::files::{copy_tree, repository};
use flow_testkit::program::works;

/// A copy of an example.
fn example(name: &str) -> Project {
    let project = Project::bare();
    let from = repository().join("docs/examples").join(name);
    copy_tree(&from, &project.root);
    project
}

/// Runs an example, which must succeed, and returns what flow says.
fn run(example: &Project) -> String {
    let args = ["run", "pipeline.toml", "--jobs", "2"];
    example.flow(&args).with(0).all()
}

#[test]
fn shell_items() {
    let example = example("shell_items");
    run(&example);
    let text = example.read("out/sum.txt");
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split(' ').collect()).collect();
    let items: Vec<(&str, &str)> = lines[..6].iter().map(|l| (l[0], l[1])).collect();
    let all = [
        ("0", "a"),
        ("0", "b"),
        ("1", "a"),
        ("1", "b"),
        ("2", "a"),
        ("2", "b"),
    ];
    assert_eq!(items, all, "{text}");
    let number = |line: &[&str]| line[line.len() - 1].parse::<i64>().expect("a number");
    let sum: i64 = lines[..6].iter().map(|line| number(line)).sum();
    assert_eq!(lines[6], ["sum", &sum.to_string()]);
    // One more item gives three actions and a new sum.
    example.replace("pipeline.toml", "[0, 3]", "[0, 4]");
    run(&example);
    assert_eq!(example.read("out/sum.txt").lines().count(), 9);
}

#[test]
fn python_closure() {
    if !works("python3", &["--version"]) {
        return;
    }
    let example = example("python_closure");
    run(&example);
    let objects = example.read("out/objects.csv");
    assert_eq!(objects.lines().count(), 21, "{objects}");
    let brightest = example.read("out/brightest.csv");
    assert_eq!(brightest.lines().count(), 21, "{brightest}");
    // A module that is only imported by another module decides the result too.
    example.replace("scripts/noise/gaussian.py", "width=3.0", "width=9.0");
    run(&example);
    assert_eq!(example.read("out/objects.csv"), objects);
    assert_ne!(example.read("out/brightest.csv"), brightest);
}

#[test]
fn r_model() {
    if !works("Rscript", &["-e", "library(arrow)"]) {
        return;
    }
    let said = run(&example("r_model"));
    assert!(said.contains("evaluate.f1"), "{said}");
}

#[test]
fn a_missing_file_is_told_with_the_line_to_add() {
    let project = Project::new();
    project.write("weights.csv", "1\n");
    project.write("s.sh", "cat weights.csv > $1\n");
    project.write(
        "pipeline.toml",
        "[stages.a]\nuse = \"command\"\nrun = [\"sh\", \"s.sh\", \"{out}\"]\nfiles = [\"s.sh\"]\n\
         outputs = { out = \"o.txt\" }\n",
    );
    let ended = project.flow(&["run", "pipeline.toml"]).with(1);
    ended.says("files = [\"s.sh\", \"weights.csv\"]");
}
