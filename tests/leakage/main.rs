//! Leakage cannot be written: pipelines and kinds that try, each refused with a code of its own before
//! anything runs or when rows meet, and honest ones that look like them and pass.

mod after;
mod copies;
mod kinds;
mod novelty;
mod python;
mod survey;
mod unlabelled;

use flow_engine::kind::Fault;
use flow_stages::table::{FeatureWriter, Folds, Predictions};
use flow_testkit::Project;
use flow_testkit::survey::csv;
use survey::{OBJECTS, class, evaluate, fails, id, load, passes, refused, run, survey};

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
        + &stage("scale_fold", r#"features = "scale_all", folds = "folds""#);
    refused(
        &chain,
        &[&model_on("scale_fold")],
        "flow::leakage::whole_fit",
    );
    refused(
        &stage("scale_peek", BOTH),
        &[&model_on("scale_peek")],
        "flow::leakage::all_rows",
    );
    // What fits below folds cannot do without them, and does not take in what was fitted on all rows.
    for kind in ["select", "scale", "impute"] {
        refused(
            &stage(kind, FEATURES),
            &[&model_on(kind)],
            "flow::pipeline::missing_input",
        );
        let chain = stage("scale_all", FEATURES)
            + &stage(kind, r#"features = "scale_all", folds = "folds""#);
        refused(&chain, &[&model_on(kind)], "flow::leakage::whole_fit");
    }
}

#[test]
fn kernels_are_fitted_below_folds() {
    let grid = "[stages.interpolate]\nuse = \"interpolate\"\ninputs = { curves = \"ingest\" }\npoints = 12\n";
    for kind in ["minirocket", "multirocket"] {
        let on = |inputs: &str| grid.to_owned() + &stage(kind, inputs) + "kernels = 84\n";
        refused(
            &on(r#"grid = "interpolate""#),
            &[&model_on(kind)],
            "flow::pipeline::missing_input",
        );
        let honest = on(r#"grid = "interpolate", folds = "folds""#);
        passes(&honest, &[&model_on(kind)]);
        // A kernel has nine weights.
        let short = honest.replace("points = 12", "points = 8");
        fails(
            &survey(&short),
            &[&model_on(kind)],
            Fault::Data,
            "flow::data::schema",
        );
    }
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
    let Err(diags) = load(
        &survey(&format!("{RANDOM}{program}")),
        &[&evaluate_on("program")],
    ) else {
        panic!("not refused");
    };
    assert!(
        diags.iter().any(|diag| diag.code.as_str() == code),
        "{diags:?}"
    );
    // A program may look at both as long as nothing comes of it.
    let plot = program.replace("\"folds\"", "\"model.predictions\"");
    assert!(load(&survey(&format!("{RANDOM}{plot}")), &[]).is_ok());
}

#[test]
fn the_best_on_the_scored_rows_is_no_headline() {
    let headline = |metric| format!("[metrics]\nheadline = \"evaluate.{metric}\"\n");
    for metric in ["f1_oracle", "threshold_oracle"] {
        refused(&headline(metric), &[], "flow::leakage::headline");
    }
    assert!(load(&survey(&headline("f1")), &[]).is_ok());
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
    let project = survey(&handing_over("predictions", "all.parquet"));
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
    let project = survey(&handing_over("told", "told.arrow"));
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
    fails(&survey(table), &[features], Fault::Data, code);
    let program = format!(
        "{table}[stages.mine]\nuse = \"command\"\nscope = \"fold\"\nrun = [\"cp\", \"{{train}}\", \"{{predictions}}\"]\n\
         inputs = {{ features = \"table\", folds = \"folds\" }}\noutputs = {{ predictions = \"p\" }}\n"
    );
    fails(
        &survey(&program),
        &[&evaluate_on("mine")],
        Fault::Data,
        code,
    );
    // By its name, whatever it holds.
    let project = survey(table);
    let rows = (0..OBJECTS).map(|i| format!("{},{}", id(i), i % 5));
    project.write("answers.csv", csv("object_id,label", rows));
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
    let project = survey(&format!("{REGROUP}{more}"));
    let object = |i| {
        let raw = ["Ia", "Ib", "Ic", "II", "AGN"][raw(i)];
        format!("{},{raw},g{}", id(i), i / 2)
    };
    let objects = csv("object_id,label,group", (0..OBJECTS).map(object));
    let answer = |i| format!("{},{}", id(i), column(i));
    project.write("objects.csv", objects);
    project.write("answers.csv", csv("object_id,x", (0..OBJECTS).map(answer)));
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
    let (failures, report) = evaluate(&regrouped(table, &days), &[features]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(report.contains("held out by its fold"), "{report}");
}

#[test]
fn the_folds_know_what_a_label_was() {
    let project = regrouped("", &|i| i.to_string());
    let (_, folds) = run(&project, &[], "folds");
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
        let project = survey(&stage(kind, BOTH));
        fails(&project, &[&evaluate_on(kind)], Fault::Data, code);
    }
    let shifted = stage("shifted", r#"predictions = "model""#);
    fails(
        &survey(&shifted),
        &[&evaluate_on("shifted")],
        Fault::Data,
        code,
    );
    // Nor stacked.
    let stack = "[stages.stack]\nuse = \"stack\"\ninputs = { predictions = [\"shifted\"] }\n";
    fails(
        &survey(&format!("{shifted}{stack}")),
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
    let project = survey(&torn);
    project.replace("objects.csv", "o04,A,g2", "o04,A,g0");
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
    for kind in ["scale_fold", "scale", "impute"] {
        passes(&stage(kind, BOTH), &[&model_on(kind)]);
    }
    let chain = stage("scale_fold", BOTH)
        + "[stages.select]\nuse = \"select\"\ninputs = { features = [\"scale_fold\"], folds = \"folds\" }\nmethod = \"variance\"\n";
    passes(&chain, &[&model_on("select")]);
    passes(&stage("prior", BOTH), &[&evaluate_on("prior")]);
    // A network, and what an autoencoder makes of light curves in each fold.
    let sequences = "[stages.sequences]\nuse = \"sequences\"\ninputs = { curves = \"ingest\" }\nlayout = \"merged\"\npoints = 8\n";
    let of_sequences = r#"sequences = "sequences", folds = "folds""#;
    let small = "epochs = 1\nearly_stopping = 0\nunits = [2]\nhidden = [2]\n";
    let encoded = stage("autoencoder", of_sequences) + small + "decoder = [2]\nlatent = 2\n";
    passes(
        &(sequences.to_owned() + &encoded),
        &[&model_on("autoencoder")],
    );
    let network = stage("network", of_sequences) + small + "architecture = \"gru_attention\"\n";
    passes(
        &(sequences.to_owned() + &network),
        &[&evaluate_on("network")],
    );
    // Cross-fitted: said so.
    for more in [
        stage("corrected", r#"predictions = "model""#),
        stage("prior", BOTH)
            + "[stages.corrected]\nuse = \"stack\"\ninputs = { predictions = [\"model\", \"prior\"] }\n",
    ] {
        let report = passes(&more, &[&evaluate_on("corrected")]);
        assert!(report.contains("- Cross-fitted"), "{report}");
    }
    // Two schemes side by side.
    passes(RANDOM, &[]);
}

/// A model may be applied to other features than those that it is fitted on, under the same rules.
#[test]
fn what_a_model_is_applied_to_keeps_the_rules() {
    let apply = |stages: &str| format!("model.inputs.apply=[{stages}]");
    refused(
        &stage("scale_all", FEATURES),
        &[&apply("\"scale_all\"")],
        "flow::leakage::whole_fit",
    );
    refused(
        &stage("scale_peek", BOTH),
        &[&apply("\"scale_peek\"")],
        "flow::leakage::all_rows",
    );
    let table = "[stages.table]\nuse = \"table\"\npath = \"answers.csv\"\n";
    let code = "flow::leakage::label_column";
    fails(
        &survey(table),
        &[&apply("\"flux\", \"table\"")],
        Fault::Data,
        code,
    );
    // The same features through the other port are the same predictions; scaled ones are not.
    let plain = passes("", &[]);
    assert_eq!(passes("", &[&apply("\"flux\"")]), plain);
    let scaled = passes(&stage("scale_fold", BOTH), &[&apply("\"scale_fold\"")]);
    assert_ne!(scaled, plain);
}

/// Predictions from elsewhere can be scored, and the report says what that is worth.
#[test]
fn predictions_from_elsewhere_are_taken_on_trust() {
    let program = "[stages.program]\nuse = \"command\"\nrun = [\"cp\", \"mine.parquet\", \"{out}\"]\n\
                   files = [\"mine.parquet\"]\nINPUTS\noutputs = { out = \"p.parquet\" }\n";
    let alone = survey(&program.replace("INPUTS", ""));
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
    let (failures, report) = evaluate(&alone, &[&sets[0]]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(report.contains("No `folds` stage"), "{report}");
    assert!(!report.contains("held out by its fold"), "{report}");
    // With a table of folds they are held against it.
    let checked = survey(&program.replace("INPUTS", "inputs = { by = \"folds\" }"));
    put(&checked, &mine(&|i| (i % 3) as i32));
    fails(&checked, &[&sets[0]], Fault::Data, "flow::leakage::fit_row");
    let (_, table) = run(&checked, &[], "folds");
    std::fs::write(checked.path("folds.parquet"), table).expect("writes");
    let folds = Folds::read(&checked.path("folds.parquet")).expect("reads");
    put(&checked, &mine(&|i| folds.repeats[0][i].expect("a fold")));
    let (failures, report) = evaluate(&checked, &[&sets[0]]);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(
        report.contains("held out by its fold") && report.contains("`command`"),
        "{report}"
    );
}
