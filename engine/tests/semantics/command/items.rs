//! `each`: one action an item.

use super::{expect_mistake, mistakes};
use flow_testkit::files::read;

use crate::harness::Project;

/// `make` writes each item, `use_` does something with what it is given.
fn chain(make: &str, rest: &str) -> Project {
    let project = Project::new(&format!(
        r#"
[pipeline]
seed = 3
[stages.make]
use = "command"
run = ["/bin/sh", "-c", '''echo {{i}} > {{out}}''']
outputs = {{ out = "o{{i}}.txt" }}
{make}
[stages.use_]
use = "command"
{rest}
[outputs]
"result.txt" = "use_"
"#
    ));
    project.write(
        "list.sh",
        "out=$1; shift; for f; do cat $f; done > $out; echo $# >> $out\n",
    );
    project
}

/// What is no table and comes in several parts cannot be an output.
const RESULT: &str = "[outputs]\n\"result.txt\" = \"use_\"\n";

const LIST: &str = r#"
run = ["/bin/sh", "list.sh", "{out}", "{make}"]
files = ["list.sh"]
inputs = { make = "make" }
outputs = { out = "o.txt" }
"#;

#[test]
fn every_item_is_an_action_and_a_list_has_their_order() {
    let project = chain("each = { i = { range = [8, 12] } }", LIST);
    let all = [
        "make: run i=10",
        "make: run i=11",
        "make: run i=8",
        "make: run i=9",
        "use_: run",
    ];
    project.expect(&all);
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_by_key(|line| line.parse::<i64>().unwrap());
        lines
    };
    assert_eq!(
        sorted(project.read("result.txt")),
        ["4", "8", "9", "10", "11"]
    );
    project.expect(&[]);
    // One more at each end: what was there is not made again.
    project.edit("[8, 12]", "[7, 13]");
    project.expect(&["make: run i=12", "make: run i=7", "use_: run"]);
    // Another order of the same files is another list.
    project.edit("{ range = [7, 13] }", "[12, 11, 10, 9, 8, 7]");
    project.expect(&["use_: run"]);
}

#[test]
fn a_list_is_given_as_arguments_or_as_a_file() {
    let order = LIST.replace("list.sh\", \"{out}", "list.sh\", \"--\", \"{out}");
    let project = chain("each = { i = [\"c\", \"a\", \"b\"] }", &order);
    let script = "out=$2; cat $(cat $3) > $out; shift 3; cat $@ >> $out; echo $# >> $out\n";
    project.edit("\"{make}\"]", "\"{make.list}\", \"{make}\"]");
    project.write("list.sh", script);
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    let path = project.artifact(&ran, "use_: run out");
    assert_eq!(read(&path), "c\na\nb\nc\na\nb\n3\n");
    // One file is one argument too.
    project.edit("[\"c\", \"a\", \"b\"]", "[\"c\"]");
    let ran = project.run();
    let path = project.artifact(&ran, "use_: run out");
    assert_eq!(read(&path), "c\nc\n1\n");
}

#[test]
fn pairs_go_item_by_item() {
    let rest = r#"
run = ["/bin/sh", "-c", '''cat {make} data/{i}.txt > {out}; echo $V {seed} >> {out}''']
files = ["data/{i}.txt"]
env = { V = "v{i}" }
inputs = { make = "make" }
outputs = { out = "p{i}.txt" }
each = "make"
"#;
    let project = chain("each = { i = { range = [0, 3] } }", rest);
    project.edit(RESULT, "");
    for i in 0..3 {
        project.write(&format!("data/{i}.txt"), format!("data {i}\n"));
    }
    let ran = project.expect(&[
        "make: run i=0",
        "make: run i=1",
        "make: run i=2",
        "use_: run i=0",
        "use_: run i=1",
        "use_: run i=2",
    ]);
    let text = |i| {
        let path = project.artifact(&ran, &format!("use_: run i={i} out"));
        read(&path)
    };
    let lines: Vec<Vec<String>> = (0..3)
        .map(|i| text(i).lines().map(str::to_owned).collect())
        .collect();
    for (i, lines) in lines.iter().enumerate() {
        assert_eq!(lines[..2], [i.to_string(), format!("data {i}")]);
        assert!(lines[2].starts_with(&format!("v{i} ")), "{lines:?}");
    }
    assert_ne!(
        lines[0][2][3..],
        lines[1][2][3..],
        "each has a seed of its own"
    );
    project.expect(&[]);
    // A file of one item is a matter of that item.
    project.write("data/1.txt", "other\n");
    project.expect(&["use_: run i=1"]);
    project.edit("range = [0, 3]", "range = [0, 2]");
    project.expect(&[]);
    project.edit("range = [0, 2]", "range = [0, 4]");
    expect_mistake(&project, "flow::command::files", "data/3.txt");
}

#[test]
fn several_keys_give_all_combinations() {
    let each = "each = { i = { range = [0, 2] }, band = [\"g\", \"r\"] }";
    let project = chain(each, LIST);
    project.expect(&[
        "make: run i=0,band=g",
        "make: run i=0,band=r",
        "make: run i=1,band=g",
        "make: run i=1,band=r",
        "use_: run",
    ]);
}

#[test]
fn equal_items_of_two_stages_are_made_once() {
    let twice = "each = { i = { range = [0, 3] } }\n[stages.again]\nuse = \"command\"\n\
        run = [\"/bin/sh\", \"-c\", '''echo {i} > {out}''']\n\
        outputs = { out = \"o{i}.txt\" }\neach = { i = [2, 1, 0] }";
    let project = chain(twice, LIST);
    let ran = project.run();
    assert!(ran.failures.is_empty(), "{:?}", ran.failures);
    assert_eq!(ran.counts, [3, 4, 0, 0]);
}

#[test]
fn mistakes_in_items_are_told() {
    let each = |text: &str| chain(&format!("each = {text}"), LIST);
    let code = "flow::command::each";
    expect_mistake(&each("{ i = { range = [3, 3] } }"), code, "is empty");
    expect_mistake(&each("{ i = [1, 2, 1] }"), code, "twice");
    expect_mistake(&each("{ i = { range = [0, 2000000] } }"), code, "1000000");
    let name = "flow::command::name";
    expect_mistake(
        &each("{ i = [1], out = [1] }"),
        name,
        "`out` names two things",
    );
    expect_mistake(
        &each("{ i = [1], seed = [1] }"),
        name,
        "`seed` names two things",
    );
    let output = "flow::command::output_name";
    expect_mistake(&each("{ i = [\"a\", \"b/c\"] }"), output, "for i=b/c");
    let unknown = "flow::command::placeholder";
    let project = each("{ j = [1] }");
    let diags = mistakes(&project);
    assert!(
        diags.iter().all(|d| d.code.as_str() == unknown) && diags.len() == 2,
        "{diags:?}"
    );
}

#[test]
fn mistakes_in_pairs_are_told() {
    let pair = LIST.replace("{make}\"]", "{make}\", \"{j}\"]") + "each = \"make\"\n";
    let project = chain("each = { i = [1] }", &pair);
    expect_mistake(&project, "flow::command::placeholder", "`{j}`");
    project.edit("\"{j}\"", "\"{i}\"");
    project.expect(&["make: run i=1", "use_: run i=1"]);
    project.edit("each = \"make\"", "each = \"mak\"");
    expect_mistake(
        &project,
        "flow::pipeline::unknown_stage",
        "did you mean `make`?",
    );
    project.edit("each = \"mak\"", "each = \"make\"");
    project.edit("each = { i = [1] }", "");
    project.edit("echo {i} > {out}", "echo > {out}");
    project.edit("o{i}.txt", "o.txt");
    expect_mistake(&project, "flow::pipeline::pair", "no items to pair with");
}

#[allow(clippy::print_stderr)] // a test that skips says so
#[test]
fn an_item_can_name_the_program() {
    let rest = LIST.to_owned() + "each = { prog = [\"sh\", \"bash\"] }\n";
    let project = chain("each = { i = [1] }", &rest);
    project.edit(RESULT, "");
    project.edit(
        "run = [\"/bin/sh\", \"list.sh\"",
        "run = [\"/bin/{prog}\", \"list.sh\"",
    );
    if !std::path::Path::new("/bin/bash").exists() {
        eprintln!("skipped: there is no /bin/bash");
        return;
    }
    project.expect(&["make: run i=1", "use_: run prog=bash", "use_: run prog=sh"]);
}
