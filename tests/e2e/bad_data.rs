//! Bad input ends with a diagnostic and exit code 2, never with a panic, and dropped rows are
//! reported.

use flow_testkit::Project;
use flow_testkit::survey::Survey;

fn diagnose(project: &Project) -> String {
    let args = "run -q --jobs 1 survey.toml --color never";
    let args = Vec::from_iter(args.split(' '));
    let text = project.flow(&args).with(2).stderr;
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn edited(edit: impl Fn(&str) -> String) -> Project {
    changed("data/curves_0.csv", edit)
}

fn changed(file: &str, edit: impl Fn(&str) -> String) -> Project {
    let project = Survey::default().project();
    let text = project.read(file);
    project.write(file, edit(&text));
    project
}

/// What a run says that goes well.
fn reported(project: &Project) -> String {
    let args = ["run", "survey.toml", "--color", "never"];
    project.flow(&args).with(0).all()
}

/// Every class of bad data that ends a run, with the words it ends with.
#[test]
fn every_class_of_bad_data_has_its_diagnostic() {
    let objects = "data/objects.csv";
    let cases = [
        (
            "missing_column",
            edited(|text| text.replacen("fluxcal,", "fluxcol,", 1)),
        ),
        ("empty_file", edited(|_| String::new())),
        (
            "header_only",
            edited(|text| text.lines().take(1).map(|l| format!("{l}\n")).collect()),
        ),
        (
            "too_many_rejected",
            edited(|text| text.replace(",1.0\n", ",-1.0\n")),
        ),
        ("unknown_bands", edited(|text| text.replace(",g,", ",V,"))),
        (
            "object_in_two_files",
            edited(|text| format!("{text}obj0070,59000,g,1,1\n")),
        ),
        (
            "object_twice",
            changed(objects, |text| format!("{text}obj0003,0.1,0.1,KN\n")),
        ),
        (
            "objects_without_label_column",
            changed(objects, |text| text.replacen("sim_type", "kind", 1)),
        ),
        (
            "one_class_only",
            changed(objects, |text| {
                ["Ia-norm", "KN", "Ia-91T"]
                    .iter()
                    .fold(text.to_owned(), |t, c| t.replace(c, "II-P"))
            }),
        ),
    ];
    for (name, project) in cases {
        let text =
            diagnose(&project).replace(&project.path("").display().to_string(), "[project]/");
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn bytes_that_are_no_text_are_counted_not_swallowed() {
    let project = Survey::default().project();
    let mut bytes = project.read("data/curves_0.csv").into_bytes();
    bytes.extend_from_slice(b"obj\xff,59000,g,1,1\nobj0001,59000,g,1\n");
    project.write("data/curves_0.csv", bytes);
    let text = reported(&project);
    assert!(text.contains("dropped 2 of"), "{text}");
}

#[test]
fn a_few_bad_rows_are_dropped_and_counted() {
    let project = edited(|text| {
        text.replacen(",1.0\n", ",nan\n", 1)
            .replacen(",r,", ",Q,", 1)
            + "obj0000,59999,g,,1\nnobody,59000,g,1,1\n"
    });
    let text = reported(&project);
    let says = |word: &str| assert!(text.contains(word), "`{word}` is not in:\n{text}");
    says("dropped 4 of");
    says("empty flux");
    says("unknown band");
    // On a hit the report is shown as well.
    let text = reported(&project);
    assert!(text.contains("dropped 4 of"), "{text}");
}

/// What stands in `docs/data.md` runs as it stands there.
#[test]
fn the_sample_rows_of_the_docs_are_read() {
    let page = include_str!("../../docs/data.md");
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    let block = |start: &str| {
        let found = blocks.iter().find_map(|block| block.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no block begins with {start:?}"))
    };
    let project = Project::new();
    let objects = format!("id,sim_type{}", block("csv\nid,sim_type"));
    let curves = format!("id,days{}", block("csv\nid,days"));
    let pipeline = format!(
        "[pipeline]\nname = \"my_survey\"\n{}",
        block("toml\n[pipeline]\nname = \"my_survey\"\n")
    );
    project.write("data/my_survey/objects.csv", objects);
    project.write("data/my_survey/lightcurves_1.csv", curves);
    project.write("pipelines/my_survey.toml", pipeline);
    let run = project.run(&["pipelines/my_survey.toml", "--to", "deredden"]);
    run.ok();
    run.says("left out 2 objects without light curves");
}

/// What cannot be one file is known before anything runs.
#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_run() {
    let refused = |output: &str, more: &str| {
        let project = Survey::default().project();
        let text = project.read("survey.toml");
        let (stages, _) = text.split_once("[outputs]").expect("outputs");
        project.write(
            "survey.toml",
            format!("{stages}{more}\n[outputs]\n{output}\n"),
        );
        let text = diagnose(&project);
        assert!(!project.path(".flow/store").exists(), "{text}");
        text
    };
    // Three folds and the final fit.
    let text = refused("\"out/model.bin\" = \"model.model\"", "");
    assert!(
        text.contains("flow::export::parts") && text.contains("has 4 parts"),
        "{text}"
    );
    let each = "[stages.each]\nuse = \"command\"\nrun = [\"touch\", \"{out}\"]\n\
                outputs = { out = \"x.csv\" }\neach = { i = { range = [0, 7] } }\n";
    let text = refused("\"out/all.csv\" = \"each\"", each);
    assert!(text.contains("has 7 parts"), "{text}");
    let text = refused("\"out/metrics.parquet\" = \"evaluate.metrics\"", "");
    assert!(text.contains("flow::export::format"), "{text}");
}

/// Sizes that a pipeline names have bounds, and nothing is made of them before they are held against
/// these.
#[test]
fn sizes_without_measure_are_refused() {
    let project = Survey::default().project();
    for (set, bound) in [
        (&["folds.k=2000000000"][..], "1000"),
        (&["folds.k=1000", "folds.repeats=1000"], "10000"),
        (&["folds.repeats=4000000000"], "1000"),
        (&["model.rounds=9000000000000000000"], "100000"),
    ] {
        let sets = set.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["plan", "survey.toml"].into_iter().chain(sets).collect();
        let text = project.flow(&args).with(2).stderr;
        assert!(
            text.contains(bound) && text.len() < 5_000,
            "{set:?}: {text}"
        );
    }
}

/// Without any label there is nothing to deal, and that is what is said.
#[test]
fn nothing_that_is_labelled_is_said() {
    let text = {
        let project = changed("data/objects.csv", |text| {
            let rows = text.lines().enumerate();
            let bare = |(i, line): (usize, &str)| match (i, line.rsplit_once(',')) {
                (1.., Some((rest, _))) => format!("{rest},\n"),
                _ => format!("{line}\n"),
            };
            rows.map(bare).collect()
        });
        diagnose(&project)
    };
    assert!(text.contains("flow::data::folds"), "{text}");
    assert!(
        text.contains("none of the 140 objects has a label"),
        "{text}"
    );
}
