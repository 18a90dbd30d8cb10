//! A hint works when it is pasted. Each diagnostic here is provoked; every piece of its help between
//! backticks that is TOML or a `flow` command is applied by itself, and the diagnostic must be gone.

use serde_json::Value as Json;

use flow_testkit::program::on_path;
use flow_testkit::survey::Survey;
use flow_testkit::{Ended, Project, Run};

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
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let args = ["--keep-going", "survey.toml"].into_iter().chain(sets);
    project.run(&Vec::from_iter(args))
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
            let mut shell = project.shell(piece);
            Ended::run(shell.env("PATH", on_path())).with(0);
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
    let project = Survey::of("").project();
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
            code: "flow::params::ingest",
            sets: &["ingest.survey=\"ztf\"", "ingest.positive=\"SN IIb\""],
            stages: &[("positive", "ingest")],
            pieces: 1,
        },
        Case {
            code: "flow::params::ingest",
            sets: &["ingest.survey=\"spcc\"", "ingest.difficulty=43"],
            stages: &[("survey", "ingest")],
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

const DEMO: &str = "\
[stages.survey]
use = \"ingest\"
format = \"demo\"
labelled = 60
positives = 20
unlabelled = 0
[stages.shapes]
use = \"domain\"
inputs = { curves = \"survey\" }
[stages.split]
use = \"folds\"
inputs = { objects = \"survey\" }
k = 2
[stages.learn]
use = \"model\"
inputs = { features = [\"shapes\"], folds = \"split\" }
[stages.scores]
use = \"evaluate\"
inputs = { predictions = \"learn\" }
";

/// A mistake in that pipeline, which the hint mends where it is pasted.
struct Mistake {
    code: &'static str,
    /// What stands there instead of what; `("", more)` adds to the pipeline.
    made: (&'static str, &'static str),
    /// What the hint takes the place of; nothing for a hint to be added.
    over: &'static str,
    /// What says so.
    command: &'static str,
    hint: &'static str,
}

impl Mistake {
    const fn new(
        code: &'static str,
        made: (&'static str, &'static str),
        over: &'static str,
        hint: &'static str,
    ) -> Self {
        Self {
            code,
            made,
            over,
            command: "plan",
            hint,
        }
    }

    const fn told_by(self, command: &'static str) -> Self {
        Self { command, ..self }
    }
}

/// `text` with one thing in the place of another, or after all of it.
fn with(text: &str, old: &str, new: &str) -> String {
    match old {
        "" => format!("{text}{new}\n"),
        old => {
            assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
            text.replace(old, new)
        }
    }
}

#[test]
fn hints_on_what_a_pipeline_says_work_when_pasted() {
    let project = Project::new();
    let told = |text: &str, mistake: &Mistake| {
        project.write("demo.toml", text);
        let mut args: Vec<&str> = mistake.command.split(' ').collect();
        args.push("demo.toml");
        let run = project.json(&args);
        assert_ne!(run.code, 101, "{text}: {}", run.stderr);
        let found = help(&run, mistake.code);
        let what = format!("{}: {text}\n{}\n{:?}", mistake.code, run.stderr, run.events);
        (found, what)
    };
    let learns = "inputs = { features = [\"shapes\"], folds = \"split\" }";
    let program = "[stages.own]\nuse = \"command\"\nrun = [\"cp\", \"{x}\", \"{o}\"]\n\
                   outputs = { o = \"o.csv\" }\n";
    let apart = program.replace("{x}", "{apply}") + "scope = \"fold\"\ninputs = { x = \"shapes\" }";
    let apart: &'static str = apart.leak();
    for mistake in [
        Mistake::new(
            "flow::pipeline::missing_input",
            (learns, "inputs = { features = [\"shapes\"] }"),
            "inputs = { features = [\"shapes\"] }",
            learns,
        ),
        Mistake::new(
            "flow::pipeline::missing_input",
            (learns, "# none"),
            "# none",
            learns,
        ),
        Mistake::new(
            "flow::pipeline::missing_input",
            ("[\"shapes\"]", "[]"),
            "features = []",
            "features = [\"shapes\"]",
        ),
        Mistake::new(
            "flow::pipeline::input_count",
            ("curves = \"survey\"", "curves = [\"survey\", \"learn\"]"),
            "curves = [\"survey\", \"learn\"]",
            "curves = \"survey\"",
        ),
        Mistake::new(
            "flow::params::type",
            ("inputs = { curves = \"survey\" }", "inputs = \"survey\""),
            "inputs = \"survey\"",
            "inputs = { curves = \"survey\" }",
        ),
        Mistake::new(
            "flow::pipeline::missing_key",
            ("", "[stages.folds]\ninputs = { objects = \"survey\" }"),
            "[stages.folds]",
            "use = \"folds\"",
        ),
        Mistake::new(
            "flow::params::type",
            ("", "[variants.a]\nk = 3"),
            "k = 3",
            "\"split.k\" = 3",
        ),
        Mistake::new(
            "flow::variants::grid",
            ("", "[variants.a.grid]\n\"split.k\" = 3"),
            "\"split.k\" = 3",
            "\"split.k\" = [3]",
        ),
        Mistake::new(
            "flow::variants::grid",
            ("", "[variants.a.grid]"),
            "",
            "\"survey.labelled\" = [60]",
        ),
        Mistake::new(
            "flow::params::type",
            ("", "[metrics]\nheadline = \"f1\""),
            "headline = \"f1\"",
            "headline = \"scores.f1\"",
        ),
        Mistake::new(
            "flow::leakage::headline",
            ("", "[metrics]\nheadline = \"scores.f1_oracle\""),
            "headline = \"scores.f1_oracle\"",
            "headline = \"scores.f1\"",
        ),
        Mistake::new(
            "flow::tune::range",
            (
                "",
                "[tune.space]\n\"learn.learning_rate\" = { log = [0.2, 0.1] }",
            ),
            "log = [0.2, 0.1]",
            "log = [0.1, 0.2]",
        ),
        Mistake::new(
            "flow::tune::grid",
            (
                "",
                "[tune]\nsampler = \"grid\"\n[tune.space]\n\"learn.learning_rate\" = { log = [0.1, 0.2] }",
            ),
            "\"learn.learning_rate\" = { log = [0.1, 0.2] }",
            "\"learn.learning_rate\" = { log = [0.1, 0.2], steps = 5 }",
        ),
        Mistake::new(
            "flow::pipeline::missing_input",
            ("", apart),
            "inputs = { x = \"shapes\" }",
            "inputs = { x = \"shapes\", folds = \"split\" }",
        ),
        Mistake::new(
            "flow::ablate::no_variants",
            ("", ""),
            "",
            "[variants.other]\n\"learn.learning_rate\" = 0.025",
        )
        .told_by("ablate"),
        Mistake::new(
            "flow::tune::space",
            ("", ""),
            "",
            "[tune.space]\n\"learn.learning_rate\" = { float = [0.025, 0.05] }",
        )
        .told_by("tune --trials 2"),
        Mistake::new(
            "flow::tune::objective",
            (
                "[stages.scores]\nuse = \"evaluate\"\ninputs = { predictions = \"learn\" }",
                "[tune.space]\n\"learn.learning_rate\" = { float = [0.025, 0.05] }",
            ),
            "",
            "[stages.evaluate]\nuse = \"evaluate\"\ninputs = { predictions = \"learn\" }",
        )
        .told_by("tune --trials 2"),
        Mistake::new(
            "flow::ablate::no_evaluation",
            (
                "[stages.scores]\nuse = \"evaluate\"\ninputs = { predictions = \"learn\" }",
                "[variants.a]\n\"learn.learning_rate\" = 0.1",
            ),
            "",
            "[stages.evaluate]\nuse = \"evaluate\"\ninputs = { predictions = \"learn\" }",
        )
        .told_by("ablate"),
    ] {
        let wrong = with(DEMO, mistake.made.0, mistake.made.1);
        let (lines, what) = told(&wrong, &mistake);
        let lines = lines
            .unwrap_or_else(|| panic!("it did not come: {what}"))
            .join("\n");
        assert!(lines.ends_with(mistake.hint), "{lines}\n{what}");
        let hint = match mistake.over {
            // The head of a table stays.
            over if over.starts_with('[') => format!("{over}\n{}", mistake.hint),
            _ => mistake.hint.to_owned(),
        };
        let (lines, what) = told(&with(&wrong, mistake.over, &hint), &mistake);
        assert_eq!(lines, None, "{what}");
    }
}

#[test]
fn a_pipeline_without_stages_is_told_of_some_that_run() {
    let project = Project::new();
    project.write("empty.toml", "");
    let empty = project.run(&["empty.toml"]);
    let lines = help(&empty, "flow::pipeline::empty")
        .expect("a hint")
        .join("\n");
    let (_, toml) = lines.split_once(":\n").expect("lines of TOML");
    project.write("empty.toml", toml);
    project.run(&["empty.toml"]).with(0);
}

#[test]
fn what_the_system_says_comes_without_its_numbers() {
    let project = Project::new();
    project.write("demo.toml", DEMO);
    project.folder("folder");
    for args in [
        ["check", "demo.toml", "--baseline", "folder"],
        ["run", "demo.toml", "--store", "/dev/null/store"],
        ["init", "demo.toml/below", "-q", "-q"],
    ] {
        let args = args.iter().filter(|arg| **arg != "-q").copied();
        let said = project.flow(&Vec::from_iter(args)).stderr;
        assert!(said.contains("irectory"), "{said}");
        assert!(!said.contains("os error"), "{said}");
    }
}
