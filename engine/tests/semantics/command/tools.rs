//! Where a program finds others.

use std::path::{Path, PathBuf};

use flow_testkit::files::script as tool;

use super::{alone, expect_mistake};
use crate::harness::Project;

/// A pipeline that runs a text, with tools in a folder outside of the project.
fn with_tools(script: &str, names: &[&str]) -> (Project, PathBuf) {
    let project = alone(script, "tools = [TOOLS]");
    let folder = project.outside();
    let tools = names
        .iter()
        .map(|name| format!("{:?}", folder.join(name).display().to_string()));
    project.edit("TOOLS", &tools.collect::<Vec<_>>().join(", "));
    (project, folder)
}

#[test]
fn the_path_of_a_program_is_a_fixed_one_or_declared() {
    let project = alone("echo $PATH > {out}", "");
    project.expect(&["run: run"]);
    let fixed = "/usr/local/bin:/usr/bin:/bin";
    assert_eq!(project.read("result.txt"), format!("{fixed}\n"));
    project.edit(
        "outputs =",
        "env = { PATH = \"/bin:/opt/mine\" }\noutputs =",
    );
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "/bin:/opt/mine\n");
    project.edit("/opt/mine", "/opt/other");
    project.expect(&["run: run"]);
}

#[test]
fn a_tool_is_found_first_and_its_contents_are_in_the_recipe() {
    // One of the system's own names, and one with what a shell would make something of.
    let script = "{{ cat; \"it's 1\" a b; } > {out}";
    let (project, folder) = with_tools(script, &["cat", "it's 1"]);
    tool(&folder.join("cat"), "echo mine");
    tool(&folder.join("it's 1"), "echo \"$0 $#\"");
    project.expect(&["run: run"]);
    let own = folder.join("it's 1");
    // An exported file has its lines in order.
    let expected = format!("{} 2\nmine\n", own.display());
    assert_eq!(project.read("result.txt"), expected);
    project.expect(&[]);
    tool(&folder.join("cat"), "echo other");
    project.expect(&["run: run"]);
    assert!(project.read("result.txt").ends_with("other\n"));
    // Where it lies is no matter, nor in which order tools are named.
    let moved = folder.join("moved");
    tool(&moved.join("cat"), "echo other");
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let line = |all: [&Path; 2]| format!("[{}, {}]", quoted(all[0]), quoted(all[1]));
    let (cat, new) = (folder.join("cat"), moved.join("cat"));
    project.edit(&line([&cat, &own]), &line([&own, &new]));
    project.expect(&[]);
    // Another name of the same contents is another tool.
    tool(&moved.join("dog"), "echo other");
    project.edit(&quoted(&new), &quoted(&moved.join("dog")));
    project.expect(&["run: run"]);
}

#[test]
fn a_tool_of_the_project_can_be_started_and_a_tool_that_another_starts() {
    let (project, folder) = with_tools("outer > {out}", &["outer"]);
    tool(&folder.join("outer"), "inner | tr a-z A-Z");
    project.edit("tools = [", "tools = [\"bin/inner\", ");
    tool(&project.root.join("bin/inner"), "echo within");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "WITHIN\n");
    project.expect(&[]);
    tool(&project.root.join("bin/inner"), "echo without");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "WITHOUT\n");
}

#[test]
fn what_a_shell_line_starts_and_the_system_lacks_is_a_tool() {
    // The system is a folder of which this is the whole PATH; the user's has more.
    let project = alone("ls > {out}", "env = { PATH = \"BARE\" }");
    let bare = project.outside().join("bare");
    project.edit("BARE", &bare.display().to_string());
    std::fs::create_dir_all(&bare).unwrap();
    project.expect(&["run: run"]);
    project.expect(&[]);
    // What the system has is its own matter.
    tool(&bare.join("ls"), "echo of the system");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "of the system\n");
}

#[test]
fn mistakes_in_tools_are_told() {
    let (project, folder) = with_tools("true > {out}", &["a/x", "b/x"]);
    expect_mistake(&project, "flow::command::program", "a/x");
    for name in ["a/x", "b/x"] {
        tool(&folder.join(name), "");
    }
    expect_mistake(&project, "flow::command::name", "two tools are called `x`");
    let project = alone("true > {out}", "tools = [\"no-such-tool\"]");
    expect_mistake(&project, "flow::command::program", "no-such-tool");
}
