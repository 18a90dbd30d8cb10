//! `code = "import-closure"`.

use super::{expect_mistake, failure};
use crate::harness::Project;

#[allow(clippy::print_stderr)] // a test that skips says so
fn python() -> Option<Project> {
    if std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no python3");
        return None;
    }
    let project = Project::new(
        r#"
[stages.run]
use = "command"
run = ["python3", "scripts/fit.py", "{out}"]
code = "import-closure"
outputs = { out = "o.txt" }
[outputs]
"result.txt" = "run"
"#,
    );
    let fit = "import sys\nfrom helper import text\n\ndef late():\n    from lib.core import more\n    return more\n\n\
        open(sys.argv[1], 'w').write(text + late())\n";
    project.write("scripts/fit.py", fit);
    project.write("scripts/helper.py", "import json\ntext = '1\\n'\n");
    project.write("lib/__init__.py", "");
    project.write("lib/core.py", "more = '2\\n'\n");
    project.write("lib/other.py", "");
    Some(project)
}

#[test]
fn modules_that_a_script_imports_come_along() {
    let Some(project) = python() else { return };
    project.edit("outputs =", "env = { PYTHONPATH = \".\" }\noutputs =");
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "1\n2\n");
    project.expect(&[]);
    project.write("lib/other.py", "import os\n");
    project.expect(&[]);
    project.write("lib/core.py", "more = '3\\n'\n");
    project.expect(&["run: run"]);
    project.edit("import-closure", "import-closures");
    expect_mistake(&project, "flow::params::type", "import-closure");
}

#[test]
fn without_it_the_module_to_declare_is_told() {
    let Some(project) = python() else { return };
    project.edit("code = \"import-closure\"", "files = [\"scripts/fit.py\"]");
    let ran = project.run();
    let help = failure(&ran).help.concat();
    assert!(
        help.contains("files = [\"scripts/fit.py\", \"scripts/helper.py\"]"),
        "{help}"
    );
}
