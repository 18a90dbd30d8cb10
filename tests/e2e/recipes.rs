//! What decides the result of a program is in its recipe; what does not is no reason to run it again.

use std::path::{Path, PathBuf};

use flow_testkit::files::{self, script};
use flow_testkit::program::{plain, works};
use flow_testkit::{Ended, Project, Run};

/// A folder beside the project with a program in it, which says a word.
fn folder(outside: &Path, name: &str, word: &str) -> PathBuf {
    let folder = outside.join(name);
    script(&folder.join("mytool"), &format!("echo tool {word}"));
    folder
}

fn project(more: &str) -> Project {
    Project::with(&format!(
        "[stages.a]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"mytool > $1\", \"-\", \"{{out}}\"]\n\
         outputs = {{ out = \"o.txt\" }}\n{more}\n"
    ))
}

/// A run with a folder before the others in `PATH`, as another user.
fn run(project: &Project, folder: &Path) -> Run {
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = project.json_command(&["run", "p.toml"]);
    command
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("HOME", folder)
        .env("USER", "another");
    Ended::run(&mut command).into()
}

#[test]
fn the_tools_of_one_user_are_not_taken_for_those_of_another() {
    let outside = files::folder();
    let [a, b] = ["a", "b"].map(|name| folder(outside.path(), name, name));
    let same = folder(outside.path(), "same", "a");
    // What a script starts is not found where it is not declared, and the line to add is told.
    let hidden = project("files = [\"s.sh\"]");
    hidden.write("s.sh", "mytool > $1\n");
    hidden.edit("\"-c\", \"mytool > $1\", \"-\"", "\"s.sh\"");
    let ran = run(&hidden, &a).with(1);
    ran.says("tools = [\"mytool\"]");
    // Declared, or seen in a shell line, its contents decide, and not where it lies.
    let declared = project("tools = [\"mytool\"]");
    for project in [&project(""), &declared] {
        let said = |folder: &Path, count: usize| {
            let ran = run(project, folder);
            ran.ok();
            assert_eq!(ran.ran().len(), count, "{}", ran.stderr);
            ran.digests()
        };
        let first = said(&a, 1);
        assert_ne!(first, said(&b, 1));
        assert_eq!(first, said(&a, 0));
        assert_eq!(first, said(&same, 0));
    }
    let gone = declared.run(&["p.toml"]).with(2);
    gone.says("flow::command::program");
}

#[test]
fn the_program_itself_is_found_by_the_user_and_keyed() {
    let outside = files::folder();
    let [a, b] = ["a", "b"].map(|name| folder(outside.path(), name, name));
    let project = project("");
    project.edit("\"sh\", \"-c\", \"mytool > $1\", \"-\"", "\"mytool\"");
    project.edit("\"{out}\"", "\"x\"");
    for folder in [&a, &b] {
        let tool = folder.join("mytool");
        let out = "o=$(dirname \"$TMPDIR\")/out/o.txt";
        files::write(
            &tool,
            format!("{}{out}\necho \"$0\" > $o\n", files::read(&tool)),
        );
    }
    assert_eq!(run(&project, &a).ran().len(), 1);
    assert_eq!(run(&project, &b).ran().len(), 1);
    assert_eq!(run(&project, &a).ran().len(), 0);
}

/// An interpreter of an environment finds its packages, as the program and as a tool.
#[test]
fn a_virtual_environment_works() {
    let project = Project::new();
    let place = project.path(".venv").display().to_string();
    if !works("python3", &["-m", "venv", "--without-pip", &place]) {
        return;
    }
    let mut python = plain(project.path(".venv/bin/python3"));
    let ask = "import site; print(site.getsitepackages()[0])";
    let site = Ended::run(python.args(["-c", ask])).with(0).stdout;
    let package = Path::new(site.trim()).join("mypackage.py");
    files::write(&package, "text = 'of the environment'\n");
    let line = "import mypackage, sys; open(sys.argv[1], 'w').write(mypackage.text)";
    project.write(
        "p.toml",
        format!(
            "[stages.a]\nuse = \"command\"\nrun = [\".venv/bin/python3\", \"-c\", \"{line}\", \"{{out}}\"]\n\
             outputs = {{ out = \"o.txt\" }}\n\
             version = [\".venv/bin/python3\", \"-c\", \"import mypackage; print(mypackage.text)\"]\n\
             [stages.b]\nuse = \"command\"\nrun = [\"sh\", \"-c\", 'python3 -c \"$1\" \"$2\"', \"-\", \"{line}\", \"{{out}}\"]\n\
             tools = [\".venv/bin/python3\"]\noutputs = {{ out = \"o.txt\" }}\n"
        ),
    );
    let ran = project.run(&["p.toml"]);
    let outputs = &ran.ok()["stages"];
    assert_eq!(
        outputs["a"]["outputs"]["out"],
        outputs["b"]["outputs"]["out"]
    );
    assert_eq!(project.run(&["p.toml"]).ran(), []);
}

#[test]
fn to_look_at_a_pipeline_starts_nothing() {
    let project = project("");
    let mark = project.path("executed");
    let version = format!(
        "version = [\"sh\", \"-c\", \"echo > {}\"]\n",
        mark.display()
    );
    project.write(
        "p.toml",
        project.read("p.toml").replace("mytool", "ls") + &version,
    );
    for args in [
        &["plan", "p.toml"][..],
        &["graph", "p.toml"],
        &["explain", "p.toml", "a"],
    ] {
        project.flow(args).with(0);
        assert!(!mark.exists(), "{args:?}");
    }
    let said = project.flow(&["plan", "p.toml"]).stdout;
    assert!(
        said.contains("pending") && said.contains("version"),
        "{said}"
    );
    // What a run was told, `plan` takes, and says so. Here it cannot write its mark.
    let version = "version = [\"sh\", \"-c\", \"echo 1.0\"]\n";
    let text = project.read("p.toml");
    let text = text.split_once("version").expect("a version").0.to_owned();
    project.write("p.toml", text + version);
    project.run(&["p.toml"]).ok();
    let said = project.flow(&["plan", "p.toml"]).stdout;
    assert!(
        said.contains("hit") && said.contains("a run asks again"),
        "{said}"
    );
}

#[test]
fn what_a_program_says_first_and_once() {
    let project = Project::new();
    project.write("notes.txt", "of the project, and not what is missed");
    project.write(
        "p.toml",
        "[stages.a]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"echo item {i}, see notes.txt; exit 3\", \"{out}\"]\n\
         each = { i = { range = [0, 8] } }\noutputs = { out = \"o.txt\" }\n\
         [stages.b]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"cat notes.txt; exit 4\", \"{out}\"]\noutputs = { out = \"o.txt\" }\n",
    );
    let ran = project.run(&["p.toml", "--keep-going"]).with(1);
    let said = |text: &str| ran.stderr.matches(text).count();
    assert_eq!(said("flow::command::failed"), 2, "{}", ran.stderr);
    assert_eq!(said("and 7 more like it: run i="), 1, "{}", ran.stderr);
    assert_eq!(said("the last it said"), 2, "{}", ran.stderr);
    // What a program only speaks of is not what it missed; what it missed is told after its own words.
    assert_eq!(said("files = [\"notes.txt\"]"), 1, "{}", ran.stderr);
    let own = ran.stderr.find("cat: notes.txt").expect("its words");
    assert!(
        own < ran.stderr.find("files = [").expect("a hint"),
        "{}",
        ran.stderr
    );
    // Each of them is an event all the same.
    let failed = ran
        .all("action-finished")
        .filter(|event| event["outcome"] == "failed");
    assert_eq!(failed.count(), 9, "{:?}", ran.events);
}

/// Control characters, a title, and what turns the direction of writing.
const ORDERS: &str = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{7f}\u{202e}";

#[test]
fn nothing_that_is_read_gives_orders_to_a_terminal() {
    let bare = |text: &String| {
        let order = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!text.contains(order), "{text:?}");
        text.clone()
    };
    // The log of a program, with a line that has no end.
    let project = Project::new();
    project.write("log.txt", format!("{}\n{ORDERS}\n", "y".repeat(100_000)));
    project.write(
        "p.toml",
        "[stages.a]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"cat log.txt; exit 3\", \"{out}\"]\n\
         files = [\"log.txt\"]\noutputs = { out = \"o.txt\" }\n",
    );
    let ran = project.flow(&["run", "p.toml", "--color", "never"]);
    let said = bare(&ran.stderr);
    assert!(said.contains("\\u{1b}") && said.contains("title"), "{said}");
    assert!(said.len() < 5_000, "{} bytes", said.len());
    bare(&ran.stdout);
    let ran = project.flow(&["run", "p.toml", "--message-format", "json"]);
    assert!(bare(&ran.stdout).contains("\\u001b]0;title"));
    // The head of a table, the name of a file, and a text of the pipeline.
    project.write("t.csv", format!("object_id,{ORDERS}col\n1,abc\n"));
    project.write(
        &format!("x{ORDERS}.toml"),
        "[stages.t]\nuse = \"table\"\npath = \"t.csv\"\n",
    );
    let name = format!("x{ORDERS}.toml");
    let ran = project.flow(&["run", "--color", "never", &name]);
    assert!(bare(&ran.stderr).contains("col"));
    bare(&ran.stdout);
    project.write("y.toml", format!("[stages.t]\nuse = \"ta{ORDERS}ble\"\n"));
    let ran = project.flow(&["plan", "--color", "never", "y.toml"]);
    assert!(bare(&ran.stderr).contains("y.toml"));
    // With colours, nothing but colours.
    let said = project.flow(&["run", "--color", "always", &name]).stderr;
    let mut parts = said.split('\u{1b}').skip(1);
    let colour = |part: &str| {
        let digits = part
            .strip_prefix('[')
            .map(|p| p.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        digits.is_some_and(|rest| rest.starts_with('m'))
    };
    assert!(said.contains('\u{1b}') && parts.all(colour), "{said:?}");
}
