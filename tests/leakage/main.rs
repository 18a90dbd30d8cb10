//! Leakage cannot be written: pipelines and kinds that try, each refused with a code of its own before
//! anything runs or when rows meet, and honest ones that look like them and pass.

mod kinds;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use flow_cache::{StatCache, Store};
use flow_engine::kind::Fault;
use flow_engine::outputs::delivery::port;
use flow_engine::pipeline::PortRef;
use flow_engine::pipeline::file::load;
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::plan::Plan;
use flow_engine::run;
use flow_engine::{Diags, Pipeline, Span, StageError};
use flow_stages::table::{FeatureWriter, Folds, Predictions};

/// Sixty objects in groups of two, every second pair of class A.
const OBJECTS: usize = 60;

const BASE: &str = r#"
[pipeline]
seed = 5
[stages.ingest]
use = "ingest"
format = "csv"
curves = "curves.csv"
objects = "objects.csv"
bands = ["g"]
positive = "A"
[stages.flux]
use = "flux"
inputs = { curves = "ingest" }
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3
group_by = "group"
[stages.model]
use = "model"
inputs = { features = ["flux"], folds = "folds" }
rounds = 4
min_child_weight = 0.0
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
"#;

struct Project {
    dir: tempfile::TempDir,
}

fn id(i: usize) -> String {
    format!("o{i:02}")
}

fn class(i: usize) -> &'static str {
    if (i / 2).is_multiple_of(2) { "A" } else { "B" }
}

impl Project {
    /// A project with a small survey and the pipeline `BASE` with `more` behind it.
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join(".flow")).expect("a project root");
        let project = Self { dir };
        let mut objects = String::from("object_id,label,group\n");
        let mut curves = String::from("object_id,mjd,band,flux,flux_err\n");
        let mut answers = String::from("object_id,x,kind\n");
        for i in 0..OBJECTS {
            let (id, class) = (id(i), class(i));
            let _ = writeln!(objects, "{id},{class},g{}", i / 2);
            // Brighter where it is A, with exceptions.
            let bright = f64::from(u8::from(class == "A" || i % 7 == 0)) * 5.0;
            for t in 0..4 {
                let flux = bright + ((i * 37 + t * 11) % 23) as f64 / 3.0;
                let _ = writeln!(curves, "{id},{t},g,{flux},1");
            }
            let told = u8::from(class == "A");
            let _ = writeln!(answers, "{id},{},{told}", (i * 37) % 11);
        }
        project.write("objects.csv", &objects);
        project.write("curves.csv", &curves);
        project.write("answers.csv", &answers);
        project.write("p.toml", &format!("{BASE}{more}"));
        project
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("writes");
    }

    fn load(&self, sets: &[&str]) -> Result<Pipeline, Diags> {
        let options = LoadOptions {
            sets: sets.iter().map(|s| (*s).to_owned()).collect(),
            cwd: self.dir.path().to_owned(),
        };
        load(&self.path("p.toml"), &options, &kinds::registry())
    }

    /// Runs the pipeline, which must be sound: the failures, and the report of a stage, or its first
    /// output.
    fn run(&self, sets: &[&str], of: &str) -> (Vec<StageError>, Vec<u8>) {
        let pipeline = self.load(sets).unwrap_or_else(|diags| panic!("{diags:?}"));
        let home = self.path(".flow/store");
        let store = Store::open(&home).expect("a store");
        let stat = StatCache::open(&home.join("stat"));
        let plan = Plan::new(&pipeline);
        let cancel = AtomicBool::new(false);
        let options = run::options::Options {
            jobs: 2,
            audit: false,
            gpus: Some(0),
            memory: Some(u64::MAX),
            keep_going: true,
            cancel: &cancel,
            scratch: home.join("scratch"),
            logs: home.join("logs"),
            executor: run::options::Executor::Local,
            trace: None,
        };
        let finished = run::run(&plan, &store, &stat, &options, HashSet::new(), &mut |_| {})
            .expect("the run ends");
        let stage = pipeline.stages.iter().position(|s| s.name == of);
        let stage = stage.unwrap_or_else(|| panic!("no stage `{of}`"));
        let outputs = &pipeline.stages[stage].ports.outputs;
        let at = outputs.iter().position(|o| o.name == "report");
        let reference = PortRef {
            stage,
            port: at.unwrap_or(0),
            span: Span::default(),
        };
        let bytes = port(&plan, &finished.slots, &store, reference)
            .and_then(|port| std::fs::read(&port.parts.first()?.path).ok())
            .unwrap_or_default();
        let failures = finished.failures.into_iter().map(|(_, error)| error);
        (failures.collect(), bytes)
    }

    /// Runs the pipeline: the failures, and the report of `evaluate`.
    fn evaluate(&self, sets: &[&str]) -> (Vec<StageError>, String) {
        let (failures, report) = self.run(sets, "evaluate");
        (failures, String::from_utf8(report).expect("a text"))
    }
}

/// `more` must be refused before anything runs: with this code alone, at a place, with a remedy.
fn refused(more: &str, sets: &[&str], code: &str) {
    let Err(diags) = Project::new(more).load(sets) else {
        panic!("{code}: not refused:\n{more}");
    };
    let mut codes: Vec<&str> = diags.iter().map(|diag| diag.code).collect();
    codes.dedup();
    assert_eq!(codes, [code], "{more}\n{diags:?}");
    let placed = diags[0]
        .labels
        .iter()
        .any(|(span, _)| *span != Span::default());
    assert!(placed && !diags[0].help.is_empty(), "{:?}", diags[0]);
}

/// `more` must fail when it runs, with this code, by the fault of its data, and with a remedy.
fn fails(project: &Project, sets: &[&str], fault: Fault, code: &str) {
    let (failures, _) = project.evaluate(sets);
    assert!(!failures.is_empty(), "{code}: nothing failed");
    for error in failures {
        assert_eq!((error.code, error.fault), (code, fault), "{error:?}");
        assert!(!error.help.is_empty(), "{error:?}");
    }
}

/// `more` must run, and gives a report.
fn passes(more: &str, sets: &[&str]) -> String {
    let (failures, report) = Project::new(more).evaluate(sets);
    assert!(failures.is_empty(), "{more}\n{failures:?}");
    assert!(report.contains("held out by its fold"), "{report}");
    report
}

/// A stage of the kind `name`, and what else is set in it.
fn stage(name: &str, inputs: &str) -> String {
    format!("[stages.{name}]\nuse = \"{name}\"\ninputs = {{ {inputs} }}\n")
}

const FEATURES: &str = r#"features = "flux""#;
const BOTH: &str = r#"features = "flux", folds = "folds""#;
const TO_MODEL: &str = r#"model.inputs.features=["#;

fn model_on(stage: &str) -> String {
    format!("{TO_MODEL}\"{stage}\"]")
}

fn evaluate_on(stage: &str) -> String {
    format!("evaluate.inputs.predictions=\"{stage}\"")
}

#[test]
fn what_is_fitted_on_all_rows_stays_out_of_folds() {
    for kind in ["scale_all", "select_all"] {
        let sets = [model_on(kind)];
        refused(
            &stage(kind, FEATURES),
            &[&sets[0]],
            "flow::leakage::whole_fit",
        );
    }
    // Row by row in between is no way around it.
    let chain = stage("scale_all", FEATURES)
        + &stage("scale", r#"features = "scale_all", folds = "folds""#);
    refused(&chain, &[&model_on("scale")], "flow::leakage::whole_fit");
    refused(
        &stage("scale_peek", BOTH),
        &[&model_on("scale_peek")],
        "flow::leakage::all_rows",
    );
    // `select` itself cannot do without folds.
    refused(
        &stage("select", FEATURES),
        &[&model_on("select")],
        "flow::pipeline::missing_input",
    );
}

#[test]
fn out_of_fold_values_train_no_model_of_the_same_folds() {
    let second =
        "[stages.second]\nuse = \"model\"\ninputs = { features = [\"NEXT\"], folds = \"folds\" }\n";
    let by_kind = stage("turned", r#"predictions = "model""#) + &second.replace("NEXT", "turned");
    refused(&by_kind, &[], "flow::leakage::joined");
    let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"{p}\", \"{out}\"]\n\
                   inputs = { p = \"model.predictions\" }\noutputs = { out = \"f.parquet\" }\n";
    let by_program = program.to_owned() + &second.replace("NEXT", "program");
    refused(&by_program, &[], "flow::leakage::joined");
    // Nor a program that fits.
    let fit = "[stages.fit]\nuse = \"command\"\nscope = \"fold\"\nrun = [\"cp\", \"{train}\", \"{out}\"]\n\
               inputs = { p = \"model.predictions\", folds = \"folds\" }\noutputs = { out = \"f.parquet\" }\n";
    refused(fit, &[], "flow::leakage::joined");
    // One fold's model for all folds was fitted on rows of the others.
    refused(&stage("best_fold", BOTH), &[], "flow::leakage::joined");
}

#[test]
fn predictions_of_rows_that_were_in_sight_are_not_scored() {
    for (kind, inputs) in [
        ("calibrate_all", r#"predictions = "model""#),
        ("lookup", r#"curves = "ingest""#),
        ("final_fit", BOTH),
    ] {
        let sets = [evaluate_on(kind)];
        refused(
            &stage(kind, inputs),
            &[&sets[0]],
            "flow::leakage::in_sample",
        );
        // Nor stacked.
        let stacked = stage(kind, inputs)
            + &format!(
                "[stages.stack]\nuse = \"stack\"\ninputs = {{ predictions = [\"model\", \"{kind}\"] }}\n"
            );
        refused(&stacked, &[], "flow::leakage::in_sample");
    }
    let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"{p}\", \"{out}\"]\n\
                   inputs = { p = \"model.predictions\" }\noutputs = { out = \"p.parquet\" }\n";
    refused(
        program,
        &[&evaluate_on("program")],
        "flow::leakage::in_sample",
    );
}

const RANDOM: &str = "[stages.random]\nuse = \"folds\"\ninputs = { objects = \"ingest\" }\nk = 3\n\
    [stages.other]\nuse = \"model\"\ninputs = { features = [\"flux\"], folds = \"random\" }\nrounds = 2\n";

#[test]
fn two_fold_schemes_do_not_meet() {
    let code = "flow::pipeline::two_folds";
    let stack =
        "[stages.stack]\nuse = \"stack\"\ninputs = { predictions = [\"model\", \"other\"] }\n";
    refused(&format!("{RANDOM}{stack}"), &[], code);
    // Random folds, relabelled by a program as grouped ones.
    let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"{p}\", \"{out}\"]\n\
                   inputs = { p = \"other.predictions\", by = \"folds\" }\noutputs = { out = \"p.parquet\" }\n";
    let Err(diags) = Project::new(&format!("{RANDOM}{program}")).load(&[&evaluate_on("program")])
    else {
        panic!("not refused");
    };
    assert!(diags.iter().any(|diag| diag.code == code), "{diags:?}");
    // A program may look at both as long as nothing comes of it.
    let plot = program.replace("\"folds\"", "\"model.predictions\"");
    assert!(Project::new(&format!("{RANDOM}{plot}")).load(&[]).is_ok());
}

#[test]
fn the_best_on_the_scored_rows_is_no_headline() {
    let headline = |metric| format!("[metrics]\nheadline = \"evaluate.{metric}\"\n");
    for metric in ["f1_oracle", "threshold_oracle"] {
        refused(&headline(metric), &[], "flow::leakage::headline");
    }
    assert!(Project::new(&headline("f1")).load(&[]).is_ok());
}

#[test]
fn a_program_below_folds_needs_the_scope() {
    let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"{m}\", \"{out}\"]\n\
                   inputs = { m = \"model.model\" }\noutputs = { out = \"m\" }\n";
    refused(program, &[], "flow::pipeline::fold_scope");
}

/// A program that ignores what it is given and hands over a file.
fn handing_over(output: &str, file: &str) -> String {
    format!(
        "[stages.program]\nuse = \"command\"\nscope = \"fold\"\nrun = [\"cp\", \"{file}\", \"{{{output}}}\"]\n\
         files = [\"{file}\"]\ninputs = {{ features = \"flux\", folds = \"folds\" }}\noutputs = {{ {output} = \"o.parquet\" }}\n"
    )
}

#[test]
fn a_program_gives_back_the_rows_it_was_asked_for() {
    let project = Project::new(&handing_over("predictions", "all.parquet"));
    let all = Predictions {
        classes: vec!["A".into()],
        object_id: (0..OBJECTS).map(id).collect(),
        repeat: vec![0; OBJECTS],
        fold: vec![None; OBJECTS],
        label: vec![None; OBJECTS],
        probability: vec![vec![0.5; OBJECTS]],
        positive: Some("A".into()),
    };
    let file = std::fs::File::create(project.path("all.parquet")).expect("a file");
    all.write(file).expect("writes");
    let sets = [evaluate_on("program")];
    fails(&project, &[&sets[0]], Fault::Stage, "flow::command::rows");
}

#[test]
fn a_program_below_folds_cannot_pass_on_labels() {
    let project = Project::new(&handing_over("told", "told.arrow"));
    let file = std::fs::File::create(project.path("told.arrow")).expect("a file");
    let mut writer = FeatureWriter::new(file, &["told".to_owned()]).expect("a writer");
    for i in 0..OBJECTS {
        let told = f32::from(u8::from(class(i) == "A"));
        writer.push(&[id(i)], &[told]).expect("writes");
    }
    writer.finish().expect("writes");
    let sets = [model_on("program.told")];
    fails(
        &project,
        &[&sets[0]],
        Fault::Data,
        "flow::leakage::label_column",
    );
}

#[test]
fn the_label_is_no_feature() {
    let table = "[stages.table]\nuse = \"table\"\npath = \"answers.csv\"\n";
    let code = "flow::leakage::label_column";
    let features = "model.inputs.features=[\"flux\", \"table\"]";
    fails(&Project::new(table), &[features], Fault::Data, code);
    let program = format!(
        "{table}[stages.mine]\nuse = \"command\"\nscope = \"fold\"\nrun = [\"cp\", \"{{train}}\", \"{{predictions}}\"]\n\
         inputs = {{ features = \"table\", folds = \"folds\" }}\noutputs = {{ predictions = \"p\" }}\n"
    );
    fails(
        &Project::new(&program),
        &[&evaluate_on("mine")],
        Fault::Data,
        code,
    );
    // By its name, whatever it holds.
    let project = Project::new(table);
    project.write(
        "answers.csv",
        &(0..OBJECTS).fold("object_id,label\n".to_owned(), |text, i| {
            format!("{text}{},{}\n", id(i), i % 5)
        }),
    );
    fails(&project, &[features], Fault::Data, code);
    // Without it, the table is welcome, and the report says what it rests on.
    let report = passes(&format!("{table}columns = [\"x\"]\n"), &[features]);
    assert!(
        report.contains("on trust") && report.contains("`table`"),
        "{report}"
    );
}

/// What the survey calls object `i` before `REGROUP`: three of A, two of B.
fn raw(i: usize) -> usize {
    if class(i) == "A" { i % 3 } else { 3 + i % 2 }
}

const REGROUP: &str = "[stages.ingest.classes]\nA = [\"Ia\", \"Ib\", \"Ic\"]\nB = [\"*\"]\n";

fn regrouped(more: &str, column: &dyn Fn(usize) -> String) -> Project {
    let project = Project::new(&format!("{REGROUP}{more}"));
    let mut objects = String::from("object_id,label,group\n");
    let mut answers = String::from("object_id,x\n");
    for i in 0..OBJECTS {
        let raw = ["Ia", "Ib", "Ic", "II", "AGN"][raw(i)];
        let _ = writeln!(objects, "{},{raw},g{}", id(i), i / 2);
        let _ = writeln!(answers, "{},{}", id(i), column(i));
    }
    project.write("objects.csv", &objects);
    project.write("answers.csv", &answers);
    project
}

#[test]
fn a_label_is_no_feature_however_it_was_regrouped() {
    let table = "[stages.table]\nuse = \"table\"\npath = \"answers.csv\"\n";
    let mine = format!(
        "{table}[stages.mine]\nuse = \"command\"\nscope = \"fold\"\nrun = [\"cp\", \"{{train}}\", \"{{predictions}}\"]\n\
         inputs = {{ features = \"table\", folds = \"folds\" }}\noutputs = {{ predictions = \"p\" }}\n"
    );
    let select = format!(
        "{table}[stages.select]\nuse = \"select\"\ninputs = {{ features = [\"table\"], folds = \"folds\" }}\n"
    );
    let code = "flow::leakage::label_column";
    let features = "model.inputs.features=[\"flux\", \"table\"]";
    let number = |i: usize| raw(i).to_string();
    let shifted = |i: usize| (-2 - 3 * raw(i) as i64).to_string();
    let hashed = |i: usize| ["817254", "11", "-402", "6e7", "90210"][raw(i)].to_owned();
    // B is one value, the kinds of A are three.
    let half = |i: usize| raw(i).min(3).to_string();
    for column in [
        &number as &dyn Fn(usize) -> String,
        &shifted,
        &hashed,
        &half,
    ] {
        fails(&regrouped(table, column), &[features], Fault::Data, code);
    }
    for (more, set) in [
        (table, "model.target=\"classes\""),
        (&mine, &evaluate_on("mine")),
        (&select, &model_on("select")),
    ] {
        fails(
            &regrouped(more, &number),
            &[features, set],
            Fault::Data,
            code,
        );
    }
    // Whole days, apart in the two classes and different within each label, are a measurement.
    let days = |i: usize| ([4, 9, 9, 60, 70][raw(i)] + i / 6 % 5).to_string();
    let (failures, report) = regrouped(table, &days).evaluate(&[features]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(report.contains("held out by its fold"), "{report}");
}

#[test]
fn the_folds_know_what_a_label_was() {
    let project = regrouped("", &|i| i.to_string());
    let (_, folds) = project.run(&[], "folds");
    std::fs::write(project.path("folds.parquet"), folds).expect("writes");
    let folds = Folds::read(&project.path("folds.parquet")).expect("reads");
    assert_eq!(folds.classes, ["A", "B"]);
    assert_eq!(folds.survey_label(4).map(String::as_str), Some("Ib"));
    assert_eq!(folds.label[4].as_deref(), Some("A"));
}

#[test]
fn rows_that_were_fitted_on_are_not_scored() {
    let code = "flow::leakage::fit_row";
    for kind in ["greedy", "careless"] {
        let project = Project::new(&stage(kind, BOTH));
        fails(&project, &[&evaluate_on(kind)], Fault::Data, code);
    }
    let shifted = stage("shifted", r#"predictions = "model""#);
    fails(
        &Project::new(&shifted),
        &[&evaluate_on("shifted")],
        Fault::Data,
        code,
    );
    // Nor stacked.
    let stack = "[stages.stack]\nuse = \"stack\"\ninputs = { predictions = [\"shifted\"] }\n";
    fails(
        &Project::new(&format!("{shifted}{stack}")),
        &[],
        Fault::Data,
        code,
    );
}

#[test]
fn siblings_are_not_scored() {
    let torn = stage("torn_folds", r#"objects = "ingest""#);
    let sets = ["model.inputs.folds=\"torn_folds\""];
    // Pairs are dealt together here; one object moves to a pair of the other fold.
    let project = Project::new(&torn);
    let objects = std::fs::read_to_string(project.path("objects.csv")).expect("reads");
    project.write("objects.csv", &objects.replace("o04,A,g2", "o04,A,g0"));
    fails(&project, &sets, Fault::Data, "flow::leakage::sibling");
    // Undisturbed, the same folds are honest.
    let report = passes(&torn, &sets);
    assert!(report.contains("sibling"), "{report}");
}

#[test]
fn honest_pipelines_pass() {
    let plain = passes("", &[]);
    assert!(
        !plain.contains("on trust") && plain.contains("sibling"),
        "{plain}"
    );
    let plain = passes("", &["ingest.positive=\"B\""]);
    assert!(!plain.contains("- Cross-fitted"), "{plain}");
    // Fitted inside the folds: scaling, selection, both, a kind's own model.
    passes(&stage("scale", BOTH), &[&model_on("scale")]);
    let chain = stage("scale", BOTH)
        + "[stages.select]\nuse = \"select\"\ninputs = { features = [\"scale\"], folds = \"folds\" }\nmethod = \"variance\"\n";
    passes(&chain, &[&model_on("select")]);
    passes(&stage("prior", BOTH), &[&evaluate_on("prior")]);
    // Cross-fitted: said so.
    for more in [
        stage("calibrate", r#"predictions = "model""#),
        stage("prior", BOTH)
            + "[stages.calibrate]\nuse = \"stack\"\ninputs = { predictions = [\"model\", \"prior\"] }\n",
    ] {
        let report = passes(&more, &[&evaluate_on("calibrate")]);
        assert!(report.contains("- Cross-fitted"), "{report}");
    }
    // Two schemes side by side.
    passes(RANDOM, &[]);
}

/// Predictions from elsewhere can be scored, and the report says what that is worth.
#[test]
fn predictions_from_elsewhere_are_taken_on_trust() {
    let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"mine.parquet\", \"{out}\"]\n\
                   files = [\"mine.parquet\"]\nINPUTS\noutputs = { out = \"p.parquet\" }\n";
    let alone = Project::new(&program.replace("INPUTS", ""));
    let mine = |fold: &dyn Fn(usize) -> i32| Predictions {
        classes: vec!["A".into()],
        object_id: (0..OBJECTS).map(id).collect(),
        repeat: vec![0; OBJECTS],
        fold: (0..OBJECTS).map(|i| Some(fold(i))).collect(),
        label: (0..OBJECTS).map(|i| Some(class(i).into())).collect(),
        probability: vec![(0..OBJECTS).map(|i| (i % 10) as f64 / 10.0).collect()],
        positive: Some("A".into()),
    };
    let put = |project: &Project, predictions: &Predictions| {
        let file = std::fs::File::create(project.path("mine.parquet")).expect("a file");
        predictions.write(file).expect("writes");
    };
    put(&alone, &mine(&|i| (i % 3) as i32));
    let sets = [evaluate_on("program")];
    let (failures, report) = alone.evaluate(&[&sets[0]]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(report.contains("No `folds` stage"), "{report}");
    assert!(!report.contains("held out by its fold"), "{report}");
    // With a table of folds they are held against it.
    let checked = Project::new(&program.replace("INPUTS", "inputs = { by = \"folds\" }"));
    put(&checked, &mine(&|i| (i % 3) as i32));
    fails(&checked, &[&sets[0]], Fault::Data, "flow::leakage::fit_row");
    let (_, table) = checked.run(&[], "folds");
    std::fs::write(checked.path("folds.parquet"), table).expect("writes");
    let folds = Folds::read(&checked.path("folds.parquet")).expect("reads");
    put(&checked, &mine(&|i| folds.repeats[0][i].expect("a fold")));
    let (failures, report) = checked.evaluate(&[&sets[0]]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(
        report.contains("held out by its fold") && report.contains("`command`"),
        "{report}"
    );
}
