//! What a run writes and where, and which files a path or a pattern stands for.

use std::fs;
use std::os::unix::fs::symlink;

use flow_testkit::files::entries;
use flow_testkit::{Ended, Project};

/// A stage that copies what it is given to its output, which goes where the lines of `[outputs]` say.
fn copies(files: &str, outputs: &str) -> String {
    format!(
        "[stages.list]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"find . -type f | LC_ALL=C sort > $1\", \"-\", \"{{out}}\"]\n\
         files = {files}\noutputs = {{ out = \"list.txt\" }}\n[outputs]\n{outputs}\n"
    )
}

/// The pipeline is refused with this code before anything runs, by `plan` as well.
fn refused(project: &Project, code: &str, what: &str) {
    for command in ["plan", "run"] {
        project
            .flow(&[command, "p.toml"])
            .with(2)
            .says(code)
            .says(what);
    }
    assert!(!project.path(".flow/runs").exists());
}

#[test]
fn no_output_replaces_what_the_pipeline_reads() {
    let project = Project::new();
    project.write("src/a.txt", "mine");
    project.write("src/b.txt", "mine");
    project.folder("out");
    symlink("../src", project.path("out/link")).expect("a link");
    symlink("a.txt", project.path("src/alias.txt")).expect("a link");
    let source = "flow::outputs::source";
    for (files, output, what) in [
        ("[\"src/a.txt\"]", "src/a.txt", "`src/a.txt`"),
        ("[\"src/a.txt\"]", "out/../src/a.txt", "`src/a.txt`"),
        ("[\"src/a.txt\"]", "out/link/a.txt", "`src/a.txt`"),
        ("[\"src/alias.txt\"]", "src/a.txt", "`src/alias.txt`"),
        ("[\"src/*.txt\"]", "src/new.txt", "`src/*.txt`"),
        ("[\"src/?.txt\"]", "out/link/c.txt", "`src/?.txt`"),
        ("[\"src/a.txt\"]", "p.toml", "the pipeline itself"),
        ("[\"src/a.txt\"]", "flow.toml", "marks the project"),
    ] {
        project.write("p.toml", copies(files, &format!("\"{output}\" = \"list\"")));
        refused(&project, source, what);
    }
    project.write("base.toml", copies("[\"src/a.txt\"]", ""));
    let text = "[pipeline]\nextends = \"base.toml\"\n[outputs]\n\"base.toml\" = \"list\"\n";
    project.write("p.toml", text);
    refused(&project, source, "extends");
    assert_eq!(project.read("src/a.txt"), "mine");
}

#[test]
fn objects_and_light_curves_are_kept_too() {
    let project = Project::new();
    project.write("data/objects.csv", "object_id,label\n1,A\n");
    project.write(
        "data/lc_1.csv",
        "object_id,mjd,band,flux,flux_err\n1,1,g,1,1\n",
    );
    for (output, what) in [
        ("data/objects.csv", "`data/objects.csv`"),
        ("data/lc_1.csv", "`data/lc_*.csv`"),
        ("data/lc_all.csv", "`data/lc_*.csv`"),
    ] {
        let text = format!(
            "[stages.read]\nuse = \"ingest\"\nformat = \"csv\"\ncurves = \"data/lc_*.csv\"\n\
             objects = \"data/objects.csv\"\nbands = [\"g\"]\n[outputs]\n\"{output}\" = \"read.objects\"\n"
        );
        project.write("p.toml", text);
        refused(&project, "flow::outputs::source", what);
    }
}

#[test]
fn outputs_have_a_place_of_their_own() {
    let project = Project::new();
    project.write("src/a.txt", "");
    project.write("folder.csv/x", "");
    project.write("notes.md", "");
    for (outputs, what) in [
        ("\".flow/store/x.txt\" = \"list\"", "in `.flow`"),
        ("\"out/../.flow/x.txt\" = \"list\"", "in `.flow`"),
        ("\".git/x.txt\" = \"list\"", "in `.git`"),
        ("\"folder.csv\" = \"list\"", "there is a folder"),
        ("\"notes.md/x.txt\" = \"list\"", "`notes.md`"),
        (
            "\"o/x.txt\" = \"list\"\n\"o/x.txt/y.txt\" = \"list\"",
            "a file and a folder",
        ),
    ] {
        project.write("p.toml", copies("[\"src/a.txt\"]", outputs));
        refused(&project, "flow::outputs::place", what);
    }
    project.folder("o");
    symlink("o", project.path("same")).expect("a link");
    let twice = "\"o/x.txt\" = \"list\"\n\"same/x.txt\" = \"list\"";
    project.write("p.toml", copies("[\"src/a.txt\"]", twice));
    refused(&project, "flow::pipeline::duplicate_output", "same/x.txt");
    // Only a run knows where the store is.
    project.write(
        "p.toml",
        copies("[\"src/a.txt\"]", "\"kept/artifacts/x.txt\" = \"list\""),
    );
    project
        .flow(&["run", "p.toml", "--store", "kept"])
        .with(2)
        .says("lies in the store");
}

#[test]
fn outputs_leave_the_project_only_on_purpose() {
    let around = Project::bare();
    let project = |name: &str| around.path("project").join(name);
    fs::create_dir_all(project(".flow")).expect("a project");
    around.folder("other");
    around.write("project/a.txt", "");
    symlink("../other", project("link")).expect("a link");
    let absolute = around.path("other/absolute.txt").display().to_string();
    for output in ["../other/x.txt", "link/new/x.txt", absolute.as_str()] {
        let text = copies("[\"a.txt\"]", &format!("\"{output}\" = \"list\""));
        around.write("project/p.toml", &text);
        let refused = around.flow(&["run", "project/p.toml"]).with(2);
        refused.says("flow::outputs::outside");
        assert_eq!(entries(&around.path("other")).len(), 0);
        // The hint, pasted.
        around.write(
            "project/p.toml",
            format!("[pipeline]\noutputs_outside = true\n{text}"),
        );
        around.flow(&["run", "project/p.toml"]).with(0);
        around.remove("other");
        around.folder("other");
    }
    let odd = copies("[\"a.txt\"]", "\"${env:HOME}/x.txt\" = \"list\"");
    around.write("project/p.toml", odd);
    around
        .flow(&["run", "project/p.toml"])
        .says("flow::params::env");
}

#[test]
fn what_others_wrote_is_not_replaced_without_a_word() {
    let project = Project::new();
    project.write("a.txt", "");
    project.write("out/x.txt", "precious");
    let text = copies("[\"a.txt\"]", "\"out/x.txt\" = \"list\"");
    project.write("p.toml", &text);
    let warned = |args: &[&str]| {
        let text = project.flow(&[&["run"], args].concat()).with(0).stderr;
        let lines = text.lines().filter(|line| line.contains("out/x.txt"));
        let lines = lines.filter(|line| line.contains("replaced"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = warned(&["p.toml"]);
    assert!(
        first.len() == 1 && first[0].contains("no run had written it"),
        "{first:?}"
    );
    assert_eq!(warned(&["p.toml"]), [""; 0]);
    // The pipeline's own file, made anew, is no surprise.
    project.write("b.txt", "");
    project.write("p.toml", text.replace("\"a.txt\"", "\"a.txt\", \"b.txt\""));
    assert_eq!(warned(&["p.toml"]), [""; 0]);
    project.write("out/x.txt", "edited");
    let edited = warned(&["p.toml"]);
    assert!(
        edited.len() == 1 && edited[0].contains("changed since"),
        "{edited:?}"
    );
    project.write("q.toml", &text);
    let other = warned(&["q.toml"]);
    assert!(
        other.len() == 1 && other[0].contains("`p.toml`"),
        "{other:?}"
    );
    // Nothing was there, or the same.
    project.remove("out/x.txt");
    assert_eq!(warned(&["p.toml"]), [""; 0]);
    project.remove(".flow/outputs");
    assert_eq!(warned(&["p.toml"]), [""; 0]);
}

#[test]
fn outputs_with_any_name_are_remembered() {
    let project = Project::new();
    project.write("a.txt", "");
    let names = [
        "out/new\\nline.txt",
        "out/with blank.txt",
        "out/{brace}.txt",
        "out/[b].txt",
    ];
    let lines: Vec<String> = names
        .iter()
        .map(|n| format!("\"{n}\" = \"list\""))
        .collect();
    project.write("p.toml", copies("[\"a.txt\"]", &lines.join("\n")));
    let written = || {
        let run = project.run(&["p.toml"]);
        run.ok();
        run.all("output-written").count()
    };
    assert_eq!(written(), 4);
    assert_eq!(written(), 0);
    // What an earlier program noted down counts.
    let digests = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("an object");
        let path = project
            .path("")
            .join(line["path"].as_str().expect("a path"));
        let path = path.canonicalize().expect("it is there");
        let text = |key: &str| line[key].as_str().expect("a digest").to_owned();
        format!("{} {} {}\n", text("from"), text("made"), path.display())
    };
    let noted = project.read(".flow/outputs");
    let old: String = noted
        .lines()
        .filter(|line| !line.contains("new"))
        .map(digests)
        .collect();
    project.write(".flow/outputs", old);
    assert_eq!(written(), 1);
}

#[test]
fn any_folders_hold_neither_flow_nor_outputs() {
    let project = Project::new();
    project.write("a.txt", "");
    project.write("deep/b.txt", "");
    symlink("..", project.path("deep/up")).expect("a link");
    symlink("/", project.path("root")).expect("a link");
    project.write(
        "p.toml",
        copies(
            "[\"**/*\"]",
            "\"out/list.txt\" = \"list\"\n\"list.csv\" = \"list\"",
        ),
    );
    for ran in [1, 0, 0] {
        let run = project.run(&["p.toml", "--store", "kept"]);
        assert_eq!(run.ok()["stages"]["list"]["ran"], ran);
        assert_eq!(
            project.read("out/list.txt"),
            "./a.txt\n./deep/b.txt\n./p.toml\n"
        );
    }
}

#[test]
fn only_what_is_written_is_a_pattern() {
    let around = Project::bare();
    let survey = |folder: &str, flux: u32| {
        around.write(
            &format!("{folder}/lc_1.csv"),
            format!("object_id,mjd,band,flux,flux_err\n1,1,g,{flux},1\n"),
        );
    };
    // Neighbours that a pattern would find.
    survey("p1/data", 777);
    survey("p{i}[1]/data", 1);
    survey("d1", 777);
    around.folder("p{i}[1]/.flow");
    around.write("p{i}[1]/data/objects.csv", "object_id,label\n1,A\n");
    let text = |curves: &str| {
        format!(
            "[stages.read]\nuse = \"ingest\"\nformat = \"csv\"\ncurves = \"{curves}\"\n\
             objects = \"data/objects.csv\"\nbands = [\"g\"]\n\
             [stages.copy]\nuse = \"command\"\nrun = [\"cp\", \"data/lc_1.csv\", \"{{out}}\"]\n\
             files = [\"data/lc_*.csv\"]\noutputs = {{ out = \"o.csv\" }}\n\
             [outputs]\n\"o.csv\" = \"copy\"\n\"c.json\" = \"read.curves\"\n"
        )
    };
    let file = "p{i}[1]/p.toml";
    around.write(file, text("data/lc_*.csv"));
    let run = |more: &[&str]| {
        let mut command = around.command(&["run", file]);
        Ended::run(command.args(more).env("DATA", around.path("d[1]")))
    };
    run(&[]).with(0);
    assert!(around.read("p{i}[1]/c.json").contains("\"flux\":[1.0]"));
    assert!(around.read("p{i}[1]/o.csv").contains(",1,1\n"));
    // A folder of the environment that is not there is not another one.
    around.write(file, text("${env:DATA}/lc_*.csv"));
    run(&[]).with(2).says("flow::data::missing");
    // Nor is the working directory of `--set` a pattern.
    survey("d[1]", 2);
    let set = "read.curves=\"lc_?.csv\"";
    let mut inside = around.command(&["run", "../p{i}[1]/p.toml", "--set", set]);
    Ended::run(inside.current_dir(around.path("d[1]")).env("DATA", "")).with(0);
    assert!(around.read("p{i}[1]/c.json").contains("\"flux\":[2.0]"));
}

#[test]
fn a_pipeline_that_extends_has_its_own_name_and_drops_outputs() {
    let project = Project::new();
    project.write("a.txt", "");
    let base = copies(
        "[\"a.txt\"]",
        "\"out/x.txt\" = \"list\"\n\"out/y.txt\" = \"list\"",
    );
    project.write("base.toml", format!("[pipeline]\nname = \"base\"\n{base}"));
    let own = |more: &str| format!("[pipeline]\nextends = \"base.toml\"\n[outputs]\n{more}");
    project.write(
        "own.toml",
        own("\"out/x.txt\" = false\n\"out/z.txt\" = \"list\"\n"),
    );
    let text = project.flow(&["plan", "own.toml"]).stdout;
    assert!(
        text.contains("out/y.txt is an output of base.toml"),
        "{text}"
    );
    assert!(
        !text.contains("out/x.txt") && !text.contains("out/z.txt"),
        "{text}"
    );
    let run = project.run(&["own.toml"]);
    assert_eq!(run.ok()["pipeline"], "own");
    let written: Vec<(&str, Option<&str>)> = run
        .all("output-written")
        .map(|event| {
            (
                event["path"].as_str().expect("a path"),
                event["base"].as_str(),
            )
        })
        .map(|(path, base)| (path.rsplit('/').next().expect("a name"), base))
        .collect();
    assert_eq!(written, [("y.txt", Some("base.toml")), ("z.txt", None)]);
    assert!(!project.path("out/x.txt").exists());
    // A third one takes it up again; one that drops what is not there is told.
    project.write(
        "third.toml",
        "[pipeline]\nextends = \"own.toml\"\n[outputs]\n\"out/x.txt\" = \"list\"\n",
    );
    project.run(&["third.toml"]).ok();
    assert!(project.path("out/x.txt").exists());
    project.write("own.toml", own("\"out/yy.txt\" = false\n"));
    project
        .flow(&["run", "own.toml"])
        .says("flow::outputs::drop")
        .says("`out/y.txt`");
}

#[test]
fn a_folder_is_no_pipeline_and_those_in_it_are_named() {
    let project = Project::new();
    project.write("flow.toml", "");
    project.write("work/only.toml", copies("[\"a.txt\"]", ""));
    project.write("work/settings.toml", "[tool]\nx = 1\n");
    let output = project.flow(&["run", "."]).with(2);
    output.says("`.` is a folder, not a pipeline");
    project
        .flow(&["plan", "work"])
        .says("`work` is a folder")
        .says("`work/only.toml`");
    project
        .flow(&["run", "work/onyl.toml"])
        .says("did you mean `work/only.toml`?");
}

#[test]
fn a_new_project_in_a_repository_is_its_own_root() {
    let around = Project::new();
    around.folder(".git");
    around.flow(&["init", "analysis"]).with(0);
    assert!(around.path("analysis/flow.toml").is_file());
    around.write("analysis/a.txt", "");
    around.write(
        "analysis/p.toml",
        copies("[\"a.txt\"]", "\"out/x.txt\" = \"list\""),
    );
    around.run(&["analysis/p.toml"]).ok();
    assert!(around.path("analysis/out/x.txt").is_file());
    assert!(around.path("analysis/.flow/store").is_dir());
}
