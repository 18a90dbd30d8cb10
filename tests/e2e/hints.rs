//! A hint works when it is pasted. Each diagnostic here is provoked; every piece of its help between
//! backticks that is TOML or a `flow` command is applied by itself, and the diagnostic must be gone.

use std::process::Command;

use serde_json::Value as Json;

use crate::harness::{Project, Run};
use crate::survey::{Survey, write_survey};

/// One diagnostic and how to come by it.
struct Case {
    code: &'static str,
    /// What is set to provoke it.
    sets: &'static [&'static str],
    /// Where the hint's keys belong: its other keys go to the first stage.
    stages: &'static [(&'static str, &'static str)],
    /// How many pieces can be pasted.
    pieces: usize,
}

/// The help of the first diagnostic or failure with this code.
fn help(run: &Run, code: &str) -> Option<Vec<String>> {
    fn find<'a>(json: &'a Json, code: &str) -> Option<&'a Json> {
        match json {
            Json::Object(map) if map.get("code").is_some_and(|c| c == code) => Some(json),
            Json::Object(map) => map.values().find_map(|value| find(value, code)),
            Json::Array(list) => list.iter().find_map(|value| find(value, code)),
            _ => None,
        }
    }
    let found = run.events.iter().find_map(|event| find(event, code))?;
    let lines = found["help"].as_array().into_iter().flatten();
    Some(lines.filter_map(Json::as_str).map(String::from).collect())
}

/// What stands between backticks and is TOML or a command.
fn pieces(help: &[String]) -> Vec<&str> {
    help.iter()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|piece| piece.contains(" = ") || piece.starts_with("flow "))
        .collect()
}

fn run(project: &Project, sets: &[&str]) -> Run {
    let mut args = vec!["--keep-going", "survey.toml"];
    for set in sets {
        args.extend(["--set", set]);
    }
    project.run(&args)
}

fn pastes(project: &Project, case: &Case) {
    let code = case.code;
    let failed = run(project, case.sets);
    let help_lines = help(&failed, code).unwrap_or_else(|| {
        panic!(
            "{code} did not come: {}\n{:?}",
            failed.stderr, failed.events
        )
    });
    let pieces = pieces(&help_lines);
    assert_eq!(pieces.len(), case.pieces, "{code}: {help_lines:?}");
    for piece in pieces {
        let again = if piece.starts_with("flow ") {
            let bin = std::path::Path::new(env!("CARGO_BIN_EXE_flow"));
            let path = format!(
                "{}:/usr/bin:/bin",
                bin.parent().expect("a folder").display()
            );
            let mut shell = Command::new("sh");
            shell.args(["-c", piece]).env("PATH", path);
            let done = shell.current_dir(project.path("")).status();
            assert!(done.expect("a shell").success(), "{code}: {piece}");
            run(project, case.sets)
        } else {
            let (key, value) = piece.split_once(" = ").expect("TOML");
            let own = case.stages.iter().find(|(known, _)| *known == key);
            let (_, stage) = own.unwrap_or(&case.stages[0]);
            let set = format!("{stage}.{key}={value}");
            let mut sets = case.sets.to_vec();
            sets.push(&set);
            run(project, &sets)
        };
        assert_eq!(help(&again, code), None, "{code}: {piece}");
        assert_ne!(again.code, 101, "{piece}: {}", again.stderr);
    }
}

#[test]
fn hints_of_stages_work_when_pasted() {
    let project = Project::new();
    let unset = Survey {
        positive: "",
        ..Survey::default()
    };
    write_survey(&project, &unset);
    // Labels as they are.
    let text = project.read("survey.toml");
    let regroup = text.find("[stages.ingest.classes]").expect("classes");
    let after = text.find("[stages.deredden]").expect("a stage");
    project.write(
        "survey.toml",
        format!("{}{}", &text[..regroup], &text[after..]),
    );
    for case in [
        Case {
            code: "flow::data::no_ebv",
            sets: &[
                r#"ingest.columns.ebv="sim_type""#,
                "ingest.max_rejected=1.0",
            ],
            stages: &[("missing_ebv", "deredden")],
            pieces: 1,
        },
        Case {
            code: "flow::data::no_positive",
            sets: &[r#"model.target="binary""#],
            stages: &[("positive", "ingest"), ("target", "model")],
            pieces: 2,
        },
        Case {
            code: "flow::data::classes",
            sets: &[r#"ingest.columns.label="name""#],
            stages: &[("classes", "ingest")],
            pieces: 1,
        },
    ] {
        pastes(&project, &case);
    }
}

#[test]
fn hints_on_the_demo_work_when_pasted() {
    let project = Project::new();
    project.write(
        "survey.toml",
        "[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\nlabelled = 60\npositives = 20\nunlabelled = 0\n\
         [stages.domain]\nuse = \"domain\"\ninputs = { curves = \"ingest\" }\n\
         [stages.folds]\nuse = \"folds\"\ninputs = { objects = \"ingest\" }\nk = 2\n\
         [stages.select]\nuse = \"select\"\ninputs = { features = \"domain\", folds = \"folds\" }\n",
    );
    for case in [
        Case {
            code: "flow::params::demo",
            sets: &["ingest.positives=61"],
            stages: &[("labelled", "ingest")],
            pieces: 1,
        },
        Case {
            code: "flow::select::none",
            sets: &["select.fdr=0.0"],
            stages: &[("keep", "select")],
            pieces: 2,
        },
    ] {
        pastes(&project, &case);
    }
}
