//! A second survey through `format = "csv"`: other column names, four bands, several classes, no
//! code changed.

use flow_engine::kind::KindSpec;
use flow_neural::kinds::registry;
use flow_testkit::Project;
use flow_testkit::survey::Survey;

#[test]
fn another_survey_with_a_positive_class_gives_metrics() {
    let project = Survey::default().project();
    let run = project.run(&["survey.toml"]);
    let metrics = &run.ok()["metrics"]["evaluate"];
    assert!(
        metrics["f1"]["pooled"].as_f64().is_some_and(|v| v > 0.8),
        "{metrics}"
    );
    assert_eq!(
        metrics["confusion"]["classes"],
        serde_json::json!(["rest", "Ia"])
    );
}

#[test]
fn another_survey_without_one_gives_macro_metrics() {
    let project = Survey::of("").project();
    let run = project.run(&["survey.toml"]);
    let metrics = &run.ok()["metrics"]["evaluate"];
    assert!(
        metrics["f1"]["pooled"].as_f64().is_some_and(|v| v > 0.8),
        "{metrics}"
    );
    assert_eq!(
        metrics["confusion"]["classes"],
        serde_json::json!(["Ia", "KN", "other"])
    );
    let submission = project.read("out/submission.csv");
    let mut predicted: Vec<&str> = submission
        .lines()
        .skip(1)
        .filter_map(|l| l.split(',').nth(1))
        .collect();
    predicted.sort_unstable();
    predicted.dedup();
    assert_eq!(predicted, ["Ia", "KN", "other"]);
}

/// The classes of unlabelled objects are a column of the table of objects, which no fit sees.
#[test]
fn unlabelled_objects_of_a_file_are_scored_by_their_true_classes() {
    let project = Survey::of("").project();
    let objects = project.read("data/objects.csv");
    let types = ["Ia-norm", "II-P", "KN", "Ia-91T"];
    let with_truth = objects.lines().enumerate().map(|(row, line)| match row {
        0 => format!("{line},true_type\n"),
        // The last of the unlabelled objects is of a type of its own, and that of another is not known.
        140 => format!("{line},odd\n"),
        139 => format!("{line},\n"),
        _ => format!("{line},{}\n", types[(row - 1) % 4]),
    });
    project.write("data/objects.csv", with_truth.collect::<String>());
    let pipeline = project.read("survey.toml");
    let columns = "[stages.ingest.columns]\n";
    let pipeline = pipeline.replace(columns, &format!("{columns}truth = \"true_type\"\n"));
    let pipeline = pipeline.replace("other = \"*\"", "other = \"II-P\"")
        + "\n[stages.new]\nuse = \"evaluate_new\"\n\
           inputs = { predictions = \"model\", truth = \"ingest.truth\" }\n\
           class_weights = { odd = 0 }\n";
    let submission = "\"out/submission.csv\" = \"submission\"\n";
    let report = format!("{submission}\"out/new.md\" = \"new.report\"\n");
    let pipeline = pipeline.replace(submission, &report);
    project.write("survey.toml", &pipeline);
    let run = project.run(&["survey.toml"]);
    let metrics = &run.ok()["metrics"]["new"];
    assert!(
        metrics["accuracy"]["pooled"]
            .as_f64()
            .is_some_and(|v| v > 0.85),
        "{metrics}"
    );
    assert_eq!(
        metrics["confusion"]["classes"],
        serde_json::json!(["Ia", "KN", "other", "odd"])
    );
    let said = project.read("out/new.md");
    for note in [
        "`odd`, which 1 of 19 objects",
        "1 unlabelled objects are not scored",
    ] {
        assert!(said.contains(note), "{note}: {said}");
    }
    // No light curve and no table of objects has the truth.
    for port in ["ingest.curves", "ingest.objects"] {
        let file = "port.csv";
        project.flow(&["export", "last", port, "-o", file]).with(0);
        assert!(!project.read(file).contains("odd"), "{port}");
        std::fs::remove_file(project.path(file)).expect("it was there");
    }
    project.write(
        "wrong.toml",
        pipeline.replace("objects = \"ingest\"", "objects = \"ingest.truth\""),
    );
    let refused = project.flow(&["run", "wrong.toml"]).with(2).stderr;
    assert!(refused.contains("truth"), "{refused}");
}

/// A demo like each survey, and what it does not have: every case ends with exit code 2 and says why.
#[test]
fn a_demo_survey_refuses_what_it_does_not_have() {
    let project = Project::new();
    project.write(
        "survey.toml",
        "[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\nlabelled = 40\nunlabelled = 0\n",
    );
    let cases: [(&[&str], &str, &str); 9] = [
        (&["survey=\"plastic\""], "flow::params::", "plasticc"),
        (&["survey=\"SPCC\""], "flow::params::", "spcc"),
        (
            &["survey=\"spcc\"", "bands=[\"g\", \"r\"]"],
            "flow::params::",
            "bands",
        ),
        (
            &["survey=\"ztf\"", "wavelengths={ g = 1000.0 }"],
            "flow::params::",
            "wavelengths",
        ),
        (
            &["survey=\"spcc\"", "positive=\"TDE\""],
            "flow::params::ingest",
            "Ibc",
        ),
        (
            &["survey=\"spcc\"", "difficulty=43.0"],
            "flow::params::ingest",
            "none",
        ),
        (
            &["survey=\"ztf\"", "positives=41"],
            "flow::params::demo",
            "41",
        ),
        (
            &["survey=\"ztf\"", "labelled=0"],
            "flow::params::demo",
            "no objects",
        ),
        (
            &["survey=\"ztf\"", "classes={ SN = [\"SN IIx\"] }"],
            "flow::data::no_such_label",
            "SN II",
        ),
    ];
    for (sets, code, word) in cases {
        let sets: Vec<String> = sets.iter().map(|set| format!("ingest.{set}")).collect();
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args = ["run", "-q", "survey.toml", "--color", "never"].into_iter();
        let text = project
            .flow(&Vec::from_iter(args.chain(sets)))
            .with(2)
            .stderr;
        assert!(text.contains(code) && text.contains(word), "{word}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

/// Only the ingest of a pipeline is other.
#[test]
fn the_pipelines_of_other_surveys_differ_in_ingest_alone() {
    let plan = |pipeline: &str| {
        let project = Project::with_pipelines();
        let text = project.read(pipeline);
        let stages = text.lines().filter(|line| line.starts_with('['));
        stages.map(str::to_owned).collect::<Vec<_>>()
    };
    for name in ["spcc", "plasticc", "ztf"] {
        let found = plan(&format!("pipelines/surveys/{name}.toml"));
        assert_eq!(found, ["[pipeline]", "[stages.ingest]"], "{name}");
    }
}

/// Returns true for a kind that needs light curves alone to give features.
fn measures_light_curves(spec: &KindSpec) -> bool {
    let mut needed = spec.ports.inputs.iter().filter(|port| !port.optional);
    let first = needed.next().is_some_and(|port| port.ty == "curves");
    let outputs = spec.ports.outputs.iter();
    let gives = outputs.filter(|port| port.ty == "features").count() == 1;
    first && needed.next().is_none() && gives
}

/// Every kind that measures light curves does so on every demo survey, with whatever bands, with stars at
/// redshift 0, and with objects without a redshift.
#[test]
fn every_kind_measures_the_light_curves_of_every_survey() {
    let registry = registry();
    let specs = registry.iter().map(|(_, kind)| kind.spec());
    let kinds: Vec<&str> = specs
        .filter(measures_light_curves)
        .map(|spec| spec.name)
        .collect();
    assert!(kinds.contains(&"domain"), "{kinds:?}");
    for survey in ["mallorn", "spcc", "plasticc", "plasticc_15", "ztf"] {
        let project = Project::new();
        let mut text = format!(
            "[stages.ingest]\nuse = \"ingest\"\nformat = \"demo\"\nsurvey = \"{survey}\"\n\
             labelled = 24\npositives = 4\nunlabelled = 12\n\
             [stages.deredden]\nuse = \"extinction\"\ninputs = {{ curves = \"ingest\" }}\n"
        );
        for kind in &kinds {
            text += &format!(
                "[stages.{kind}]\nuse = \"{kind}\"\ninputs = {{ curves = \"deredden\" }}\n"
            );
        }
        project.write("p.toml", &text);
        project.run(&["p.toml"]).ok();
        for kind in &kinds {
            let port = format!("{kind}.features");
            project
                .flow(&["export", "last", &port, "-o", "features.csv"])
                .with(0);
            let csv = project.read("features.csv");
            let mut lines = csv.lines();
            let columns = lines.next().expect("a header").split(',').count();
            let rows: Vec<&str> = lines.collect();
            assert_eq!(rows.len(), 36, "{kind} on {survey}");
            let cells = rows.iter().flat_map(|row| row.split(',').skip(1));
            let numbers = cells.filter(|cell| cell.parse::<f64>().is_ok_and(f64::is_finite));
            let share = numbers.count() as f64 / (36 * (columns - 1)) as f64;
            assert!(share > 0.3, "{kind} on {survey}: {share} are numbers");
            std::fs::remove_file(project.path("features.csv")).expect("it was there");
        }
    }
}

/// Every fit draws its own rows by the names of objects, so neither files nor threads change what is drawn.
#[test]
fn a_sample_of_the_training_rows_is_the_same_for_all_files_and_threads() {
    let project = Survey::default().project();
    let columns = "\n[stages.columns]\nuse = \"select\"\n\
                   inputs = { features = \"domain\", folds = \"folds\" }\n\
                   method = \"importance\"\ntarget = \"classes\"\nsample = 30\n";
    let pipeline = project.read("survey.toml").replace(
        "inputs = { features = \"domain\", folds",
        "inputs = { features = \"columns\", folds",
    );
    project.write("survey.toml", pipeline + columns);
    let drawn = ["survey.toml", "--set", "model.sample=40"];
    let told = project.flow(&[&["run"], &drawn[..]].concat()).with(0);
    told.gives("model: the fit of fold 0.0 used 40 of 80 training rows")
        .gives("model: the final fit used 40 of 120 training rows")
        .gives("columns: the final fit used 30 of 120 training rows");
    let predictions = |run: &flow_testkit::Run| {
        run.ok();
        run.digests()["model"]["predictions"].clone()
    };
    let first = predictions(&project.run(&drawn));
    let alone = [&drawn[..], &["--store", "alone", "--jobs", "1"]].concat();
    assert_eq!(first, predictions(&project.run(&alone)));
    let all = project.read("data/curves_0.csv")
        + project
            .read("data/curves_1.csv")
            .split_once('\n')
            .map_or("", |(_, rows)| rows);
    project.write("data/curves_0.csv", all);
    std::fs::remove_file(project.path("data/curves_1.csv")).expect("a file");
    assert_eq!(first, predictions(&project.run(&drawn)));
    // A sample of all rows is no sample, and other rows give another model.
    let whole = predictions(&project.run(&["survey.toml"]));
    assert_ne!(first, whole);
    assert_eq!(
        whole,
        predictions(&project.run(&["survey.toml", "--set", "model.sample=500"]))
    );
    let few = project
        .flow(&["run", "survey.toml", "--set", "model.sample=2"])
        .with(2);
    few.says("flow::data::sample").says("sample = 3000");
    let none = project
        .flow(&["run", "survey.toml", "--set", "model.sample=0"])
        .with(2);
    none.says("`sample` must be a whole number from 1");
}
