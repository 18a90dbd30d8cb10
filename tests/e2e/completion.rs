//! Shells that complete a command line.

use flow_testkit::files::entries;
use flow_testkit::program::{flow, on_path, plain};
use flow_testkit::{Ended, Project};

const PIPELINE: &str = "\
[stages.survey]
use = \"ingest\"
format = \"demo\"
labelled = 40
positives = 10
[stages.shape]
use = \"domain\"
inputs = { curves = \"survey\" }
[stages.part]
use = \"folds\"
inputs = { objects = \"survey\" }
k = 2
[stages.guess]
use = \"model\"
inputs = { features = \"shape\", folds = \"part\" }
[stages.count]
use = \"command\"
run = [\"sh\", \"-c\", \"echo {depth} > {out}\"]
params = { depth = 4 }
outputs = { out = \"count.txt\", log = \"log.txt\" }
[variants.deep]
\"count.params.depth\" = 9
[variants.big.grid]
\"part.k\" = [3, 4]
";

/// What `shell` is offered for the last of the words. Behind a tab, fish has what a
/// word is.
fn offered(project: &Project, shell: &str, words: &[&str]) -> Vec<String> {
    let mut command = project.command(&["--", "flow"]);
    command.args(words).env("COMPLETE", shell);
    command.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    if shell == "bash" {
        command.env("_CLAP_COMPLETE_COMP_TYPE", "9");
    }
    let ended = Ended::run(&mut command).with(0);
    assert_eq!(ended.stderr, "", "{words:?}");
    ended.stdout.lines().map(str::to_owned).collect()
}

/// Those of them that are no options.
pub(super) fn words(project: &Project, line: &[&str]) -> Vec<String> {
    let mut found = offered(project, "bash", line);
    found.retain(|word| !word.starts_with('-'));
    found
}

#[test]
fn names_come_from_the_pipeline_on_the_line() {
    let project = Project::with(PIPELINE);
    project.write("other.toml", "[package]\nname = \"pipeline\"\n");
    project.write("sub dir/q.toml", PIPELINE);
    assert_eq!(words(&project, &["run", ""]), ["p.toml", "sub\\ dir/"]);
    assert_eq!(
        words(&project, &["run", "sub\\ dir/"]),
        ["sub\\ dir/q.toml"]
    );
    for file in ["p.toml", "sub\\ dir/q.toml", "'sub dir/q.toml'"] {
        let to = words(&project, &["plan", file, "--to", ""]);
        assert_eq!(to, ["survey", "shape", "part", "guess", "count"], "{file}");
    }
    assert_eq!(
        words(&project, &["explain", "p.toml", "s"]),
        ["survey", "shape"]
    );
    assert_eq!(
        words(&project, &["explain", "p.toml", "guess", "fit"]),
        ["fit\\ 0.0", "fit\\ 0.1", "fit\\ final"]
    );
    let deep = ["explain", "p.toml", "--set", "part.k=3", "guess", "fit\\ 0"];
    assert_eq!(words(&project, &deep).len(), 3);
    assert_eq!(
        words(&project, &["run", "p.toml", "--variant", ""]),
        ["deep", "big\\[k=3\\]", "big\\[k=4\\]", "base"]
    );
    assert_eq!(
        words(&project, &["run", "p.toml", "--set", "shape.inputs"]),
        ["shape.inputs.curves="]
    );
    for profile in ["hpc", "laptop"] {
        project.write(&format!("profiles/{profile}.toml"), "");
    }
    assert_eq!(
        words(&project, &["run", "p.toml", "--profile", ""]),
        ["hpc", "laptop"]
    );
    assert_eq!(words(&project, &["ablate", "--profile", "l"]), ["laptop"]);
    let count = words(&project, &["run", "p.toml", "--set", "count."]);
    assert!(
        count.contains(&"count.params.depth=".to_owned()),
        "{count:?}"
    );
    assert!(count.contains(&"count.env=".to_owned()), "{count:?}");
    assert_eq!(
        words(&project, &["tune", "p.toml", "--set", "pi"]),
        ["pipeline.seed="]
    );
    let fish = offered(&project, "fish", &["run", "p.toml", "--set", "guess.see"]);
    assert_eq!(fish, ["guess.seed=\tthe stage's own seed"]);
    assert_eq!(words(&project, &["stages", "ro"]), ["rocket"]);
    assert_eq!(
        words(&project, &["graph", "p.toml", "--format", ""]),
        ["text", "mermaid", "dot"]
    );
    // All this was only looking.
    assert_eq!(entries(&project.path(".flow")).len(), 0);
}

#[test]
fn a_pipeline_with_mistakes_gives_what_it_has() {
    let project = Project::new();
    let broken = PIPELINE
        .replace("k = 2", "k = ")
        .replace("\"domain\"", "\"doman\"");
    project.write("p.toml", broken);
    assert_eq!(words(&project, &["run", ""]), ["p.toml"]);
    let to = words(&project, &["run", "p.toml", "--to", ""]);
    assert_eq!(to, ["survey", "shape", "part", "guess", "count"]);
    let set = words(&project, &["run", "p.toml", "--set", "shape."]);
    assert_eq!(set, ["shape.inputs.curves="]);
    // Nothing is known here: no file, no pipeline, no run.
    for line in [
        &["run", "none.toml", "--to", ""][..],
        &["run", "--to", ""],
        &["run", "p.toml", "--profile", ""],
        &["explain", "p.toml", "guess", "f"],
        &["explain", "p.toml", "none", "f"],
        &["export", "last", ""],
        &["runs", "show", ""],
        &["compare", "last", "l"],
    ] {
        assert_eq!(words(&project, line), [""; 0], "{line:?}");
    }
}

#[test]
fn runs_are_named_by_the_records() {
    let project = Project::new();
    project.write(
        "p.toml",
        "[stages.one]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"echo 1 > {a}; echo 2 > {b}\"]\n\
         outputs = { a = \"a.txt\", b = \"b.txt\" }\n\
         [stages.two]\nuse = \"command\"\nrun = [\"cp\", \"{in}\", \"{out}\"]\ninputs = { in = \"one.a\" }\n\
         outputs = { out = \"c.txt\" }\n",
    );
    for tag in ["first", "second"] {
        project.flow(&["run", "p.toml", "--tag", tag]).with(0);
    }
    let runs = words(&project, &["runs", "show", ""]);
    assert_eq!(runs[..4], ["last", "last~1", "second", "first"]);
    assert_eq!(runs.len(), 6, "{runs:?}");
    assert_eq!(
        words(&project, &["compare", "first", &runs[4]]),
        [&*runs[4]]
    );
    assert_eq!(words(&project, &["report", "first", "f"]), ["first"]);
    assert_eq!(words(&project, &["runs", "untag", "last", "f"]), ["first"]);
    assert_eq!(words(&project, &["runs", "--pipeline", ""]), ["p"]);
    let ports = words(&project, &["export", "first", ""]);
    assert_eq!(ports, ["one.a", "one.b", "two"]);
    assert_eq!(words(&project, &["export", "last~1", "one."]).len(), 2);
}

#[test]
fn bash_completes_with_the_script() {
    let project = Project::with(PIPELINE);
    let script = "\
        source <(flow completions bash)\n\
        [[ $(complete -p flow) == *' -F _clap_complete_flow flow' ]] || exit 9\n\
        COMP_WORDS=(flow run p.toml --to s) COMP_CWORD=4 COMP_TYPE=9\n\
        _clap_complete_flow flow s --to\n\
        printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let mut bash = plain("bash");
    bash.args(["--norc", "-c", script]).env("PATH", on_path());
    let ended = Ended::run(bash.current_dir(&project.root));
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.stdout, "survey\nshape\n");
}

#[test]
fn scripts_are_the_same_everywhere_and_the_variable_is_no_trap() {
    let project = Project::new();
    let said = |args: &[&str], variable: &str| {
        Ended::run(project.command(args).env("COMPLETE", variable)).stdout
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(&["completions", shell], "");
        assert_eq!(script, said(&[], shell), "{shell}");
        assert!(script.contains("flow"), "{shell}: {script}");
        // Whoever moves the binary has a script that still works.
        assert!(!script.contains(flow().to_str().expect("text")), "{shell}");
    }
    for off in ["", "0"] {
        assert!(said(&["--version"], off).starts_with("flow "));
    }
}
