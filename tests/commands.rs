//! The projects in `docs/examples` do what their pages say, where their interpreters are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn flow(project: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(["run", "pipeline.toml", "--jobs", "2"])
        .current_dir(project)
        .env_remove("FLOW_STORE")
        .output()
        .expect("flow starts")
}

/// A copy of an example that is gone after the test.
struct Example(tempfile::TempDir);

impl Example {
    fn of(name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
        let temp = tempfile::tempdir().expect("a temporary folder");
        copy(&from.join(name), temp.path());
        Self(temp)
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().expect("a path")
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).expect("a file that flow wrote")
    }

    /// Runs it, which must go well; gives what flow says.
    fn run(&self) -> String {
        let output = flow(&self.path());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said + &String::from_utf8_lossy(&output.stdout)
    }
}

/// Copies a folder, but for what a run in it has left.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("an example").flatten() {
        let name = entry.file_name();
        if [".flow", "out", "__pycache__"]
            .iter()
            .any(|left| name == **left)
        {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            std::fs::copy(entry.path(), to.join(name)).expect("a copy");
        }
    }
}

/// Whether a program is there and does what it is asked; says so where not.
#[allow(clippy::print_stderr)] // a test that skips says so
fn has(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    let there = output.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: `{program} {}` does not work here", args.join(" "));
    }
    there
}

#[test]
fn shell_items() {
    let example = Example::of("shell_items");
    example.run();
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
    // One item more: three actions, and the sum anew.
    let pipeline = example.read("pipeline.toml").replace("[0, 3]", "[0, 4]");
    std::fs::write(example.path().join("pipeline.toml"), pipeline).expect("a pipeline");
    example.run();
    assert_eq!(example.read("out/sum.txt").lines().count(), 9);
}

#[test]
fn python_closure() {
    if !has("python3", &["--version"]) {
        return;
    }
    let example = Example::of("python_closure");
    example.run();
    let objects = example.read("out/objects.csv");
    assert_eq!(objects.lines().count(), 21, "{objects}");
    let brightest = example.read("out/brightest.csv");
    assert_eq!(brightest.lines().count(), 21, "{brightest}");
    // A module that a module imports decides the result.
    let module = example.path().join("scripts/noise/gaussian.py");
    let text = std::fs::read_to_string(&module).expect("a module");
    std::fs::write(&module, text.replace("width=3.0", "width=9.0")).expect("a module");
    example.run();
    assert_eq!(example.read("out/objects.csv"), objects);
    assert_ne!(example.read("out/brightest.csv"), brightest);
}

#[test]
fn r_model() {
    if !has("Rscript", &["-e", "library(arrow)"]) {
        return;
    }
    let said = Example::of("r_model").run();
    assert!(said.contains("evaluate.f1"), "{said}");
}

#[test]
fn a_missing_file_is_told_with_the_line_to_add() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let root = temp.path().canonicalize().expect("a path");
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).expect("a file");
    write("flow.toml", "");
    write("weights.csv", "1\n");
    write("s.sh", "cat weights.csv > $1\n");
    write(
        "pipeline.toml",
        "[stages.a]\nuse = \"command\"\nrun = [\"sh\", \"s.sh\", \"{out}\"]\nfiles = [\"s.sh\"]\n\
         outputs = { out = \"o.txt\" }\n",
    );
    let output = flow(&root);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("files = [\"s.sh\", \"weights.csv\"]"),
        "{said}"
    );
}
