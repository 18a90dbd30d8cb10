//! The kind `network`.

use std::collections::BTreeMap;

use crate::common::{fact, ports, predictions, project};
use flow_engine::outputs::ports::Port;
use flow_neural::kinds::registry;
use flow_testkit::local;
use flow_testkit::survey::csv;

const DENSE: &str = r#"
[stages.net]
use = "network"
inputs = { features = "domain", folds = "folds" }
architecture = "dense"
hidden = [16, 8]
dropout = 0.1
learning_rate = 0.01
epochs = 12
early_stopping = 4

[stages.scores]
use = "evaluate"
inputs = { predictions = "net" }
"#;

#[test]
fn a_network_predicts_what_it_was_not_fitted_on() {
    let project = project(DENSE);
    let found = ports(&project, "net", "one", 2);
    let predictions = predictions(&found["predictions"]);
    // Each labelled object once, and the unlabelled ones by the final fit.
    assert_eq!(predictions.len(), 120 + 20);
    assert_eq!(predictions.classes, ["TDE"]);
    assert!(
        predictions
            .fold
            .iter()
            .filter(|fold| fold.is_none())
            .count()
            == 20
    );
    let p = &predictions.probability[0];
    let mean = |positive: bool| {
        let rows = (0..p.len()).filter(|&row| {
            predictions.label[row]
                .as_deref()
                .is_some_and(|label| (label == "TDE") == positive)
        });
        let of: Vec<f64> = rows.map(|row| p[row]).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(
        mean(true) > mean(false) + 0.1,
        "{} {}",
        mean(true),
        mean(false)
    );
    // Three folds and the final fit.
    let model = &found["model"];
    assert_eq!(fact(model, "rows"), [80, 80, 80, 120]);
    let parameters = fact(model, "parameters");
    assert!(parameters.iter().all(|&count| count == parameters[0]));
    assert!(
        fact(model, "epochs")
            .iter()
            .all(|&epochs| (5..=12).contains(&epochs))
    );
    let [history] = &found["history"].parts[..] else {
        panic!("one file");
    };
    let history = std::fs::read_to_string(&history.path).unwrap();
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines[0], "fold,bag,epoch,split,loss,score");
    assert!(lines[1].starts_with("0.0,0,1,train,0."), "{}", lines[1]);
    assert!(
        lines[2].starts_with("0.0,0,1,validation,0."),
        "{}",
        lines[2]
    );
    assert!(lines.last().unwrap().starts_with("final,0,"));
    let epochs: i64 = fact(model, "epochs").iter().sum();
    assert_eq!(lines.len() as i64, 1 + 2 * epochs);
    let digests = |found: &BTreeMap<String, Port>| -> Vec<_> {
        found.values().map(|port| port.digest().unwrap()).collect()
    };
    for (store, jobs) in [("two", 1), ("three", 4)] {
        assert_eq!(
            digests(&ports(&project, "net", store, jobs)),
            digests(&found),
            "{jobs} jobs"
        );
    }
}

fn failure(stages: &str) -> (String, String) {
    let project = project(stages);
    let pipeline = local::sound(&project, "p.toml", &[], &registry());
    let run = local::run(&pipeline, &project.path(".flow"), 2);
    let (_, error) = run.finished.failures.first().expect("a failure");
    (error.code.as_str().to_owned(), error.message.clone())
}

/// The stage, with the sequences and features of one fold.
fn net(inputs: &str, more: &str) -> String {
    format!("[stages.net]\nuse = \"network\"\ninputs = {{ {inputs}, folds = \"folds\" }}\n{more}\n")
}

#[test]
fn sequences_and_features_are_read_together() {
    let stage = net(
        "sequences = \"sequences\", features = \"domain\"",
        "architecture = \"multi_gru\"\nunits = [4]\nhidden = [4]\nepochs = 3\nearly_stopping = 0\nbags = 2\nflux_scale = \"survey\"\nloss = \"focal\"\nclip_norm = 1.0\nschedule = \"cosine\"\nwarmup = 1",
    );
    let project = project(&stage);
    let found = ports(&project, "net", "one", 2);
    assert_eq!(predictions(&found["predictions"]).len(), 140);
    let history = std::fs::read_to_string(&found["history"].parts[0].path).unwrap();
    assert_eq!(
        history.lines().count(),
        1 + 4 * 2 * 3,
        "nothing is held out"
    );
    assert!(history.contains("final,1,3,train,"), "{history}");
    let again = ports(&project, "net", "two", 1);
    assert_eq!(again["model"].digest(), found["model"].digest());
}

#[test]
fn all_classes_and_one_that_no_row_is_of() {
    let stage = net(
        "sequences = \"merged\"",
        "architecture = \"gru_attention\"\nunits = [4]\nattention = 4\nhidden = [4]\nepochs = 2\nearly_stopping = 0\ntarget = \"classes\"\nclass_99 = \"rest\"\nloss = \"log_loss\"\nclass_weights = { TDE = 2.0 }\nmask = false\nbatch_size = 1000",
    );
    let project = project(&stage);
    let found = ports(&project, "net", "one", 2);
    let predictions = predictions(&found["predictions"]);
    assert!(predictions.classes.contains(&"99".to_owned()) && predictions.classes.len() > 3);
    for row in 0..predictions.len() {
        let sum: f64 = predictions
            .probability
            .iter()
            .map(|of_class| of_class[row])
            .sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}

#[test]
fn a_network_is_applied_to_sequences_like_those_of_its_fit() {
    let other = |more: &str| {
        format!(
            "[stages.other]\nuse = \"sequences\"\ninputs = {{ curves = \"ingest\" }}\n{more}\n{}",
            net(
                "sequences = \"sequences\", apply_sequences = \"other\"",
                "architecture = \"cnn\"\nchannels = [4, 4]\nhidden = [4]\nepochs = 1\nearly_stopping = 0",
            )
        )
    };
    let noisy = project(&other("points = 24\nnoise = 0.7"));
    let plain = project(&other("points = 24"));
    let [noisy, plain] = [noisy, plain].map(|project| ports(&project, "net", "one", 2));
    assert_eq!(noisy["model"].digest(), plain["model"].digest());
    assert_ne!(noisy["predictions"].digest(), plain["predictions"].digest());
    let (code, message) = failure(&other("points = 24\nchannels = [\"time\", \"flux\"]"));
    assert_eq!(code, "flow::data::schema");
    assert!(
        message.contains("channels time, flux and 24 points"),
        "{message}"
    );
}

#[test]
fn copies_of_training_rows_are_fitted_on_as_well() {
    let stages = |inputs: &str| {
        format!(
            "[stages.more]\nuse = \"augment\"\ninputs = {{ curves = \"ingest\" }}\ncopies = 2\n[stages.more_sequences]\nuse = \"sequences\"\ninputs = {{ curves = \"more\" }}\npoints = 24\n[stages.more_domain]\nuse = \"domain\"\ninputs = {{ curves = \"more\" }}\n{}",
            net(
                inputs,
                "architecture = \"multi_gru\"\nunits = [3]\nhidden = [3]\nepochs = 2\nearly_stopping = 1"
            ),
        )
    };
    let sequences = "sequences = \"sequences\", augmented_sequences = \"more_sequences\"";
    let alone = project(&stages(sequences));
    let found = ports(&alone, "net", "one", 2);
    let (rows, copies) = (
        fact(&found["model"], "rows"),
        fact(&found["model"], "copies"),
    );
    assert_eq!(rows, [80, 80, 80, 120]);
    assert_eq!(copies, rows.iter().map(|rows| 2 * rows).collect::<Vec<_>>());
    let both = format!("{sequences}, features = \"domain\", augmented = \"more_domain\"");
    let both = ports(&project(&stages(&both)), "net", "one", 2);
    assert_eq!(fact(&both["model"], "copies"), copies);
    let half = project(&stages(&format!("{sequences}, features = \"domain\"")));
    let diags = local::load(&half, "p.toml", &[], &registry())
        .err()
        .unwrap();
    assert!(
        diags[0].message.contains("copies need `augmented`"),
        "{diags:?}"
    );
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let tiny = "epochs = 1\nhidden = [4]\n";
    let merged = format!("architecture = \"gru_attention\"\n{tiny}");
    let (code, message) = failure(&net("sequences = \"sequences\"", &merged));
    assert_eq!(code, "flow::neural::misfit");
    assert!(message.contains("6 tracks"), "{message}");
    let steep = format!(
        "architecture = \"dense\"\n{tiny}learning_rate = 10.0\nweight_decay = 10.0\noptimizer = \"adamw\"\nepochs = 100\nearly_stopping = 0\nbatch_norm = false\nactivation = \"relu\""
    );
    let steep = steep.replacen("epochs = 1\n", "", 1);
    let (code, message) = failure(&net("features = \"domain\"", &steep));
    assert_eq!(code, "flow::neural::diverged", "{message}");
    assert!(message.contains("in epoch"), "{message}");
}

/// One band, constant fluxes, and a class with one member.
#[test]
fn plain_light_curves_are_no_trouble() {
    let stage = net(
        "sequences = \"sequences\"",
        "architecture = \"cnn\"\nchannels = [4, 4]\nhidden = [4]\ntarget = \"classes\"\nepochs = 2\nearly_stopping = 1\nflux_scale = \"survey\"",
    );
    let project = project(&stage);
    let of_ingest = "format = \"demo\"\nlabelled = 120\npositives = 30\nunlabelled = 20\n";
    project.replace(
        "p.toml",
        of_ingest,
        "format = \"csv\"\ncurves = \"curves.csv\"\nobjects = \"objects.csv\"\nbands = [\"g\"]\ncolumns = { object_id = \"object_id\", time = \"time\", band = \"band\", flux = \"flux\", flux_err = \"flux_err\", label = \"label\", redshift = \"redshift\", ebv = \"ebv\" }\n",
    );
    let domain = "[stages.domain]\nuse = \"domain\"\ninputs = { curves = \"ingest\" }\n";
    project.replace("p.toml", domain, "");
    let class = |i: usize| match i {
        0 => "C",
        _ => ["A", "B"][i % 2],
    };
    let objects = (0..40).map(|i| format!("o{i:02},0.1,0.02,{}", class(i)));
    project.write("objects.csv", csv("object_id,redshift,ebv,label", objects));
    let points = (0..160).map(|i| format!("o{:02},{},g,5.0,1.0", i / 4, 59000 + i % 4));
    project.write(
        "curves.csv",
        csv("object_id,time,band,flux,flux_err", points),
    );
    let found = ports(&project, "net", "one", 2);
    let predictions = predictions(&found["predictions"]);
    assert_eq!((predictions.len(), predictions.classes.len()), (40, 3));
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let dense = "architecture = \"dense\"\n";
    let features = "features = \"domain\"";
    for (inputs, more, code) in [
        (
            "objects = \"ingest\"",
            dense,
            "flow::pipeline::unknown_port",
        ),
        (features, "", "flow::params::missing"),
        (
            features,
            "architecture = \"dense\"\nkernel = 5",
            "flow::params::not_applicable",
        ),
        (
            features,
            "architecture = \"dense\"\nwarmup = 150",
            "flow::params::combination",
        ),
        (
            features,
            "architecture = \"dense\"\nclass_99 = \"rest\"",
            "flow::params::combination",
        ),
        (
            features,
            "architecture = \"dense\"\nclass_weights = { TDE = 1.0 }",
            "flow::params::combination",
        ),
        (
            features,
            "architecture = \"dense\"\ntarget = \"classes\"\nloss = \"focal\"\nfocal_alpha = 0.5",
            "flow::params::combination",
        ),
        (
            features,
            "architecture = \"dense\"\nloss = \"log_loss\"\nclass_weights = \"auto\"",
            "flow::params::combination",
        ),
        (
            features,
            "architecture = \"dense\"\nearly_stopping = 0\nvalidation_fraction = 0.2",
            "flow::params::combination",
        ),
        (
            features,
            "architecture = \"dense\"\nresources = { gpu = 1 }",
            "flow::neural::no_gpu",
        ),
        (
            features,
            "architecture = \"dense\"\nresources = { gpu = 2 }",
            "flow::neural::no_gpu",
        ),
        (
            features,
            "architecture = \"dense\"\nresources = { timeout = \"1h\" }",
            "flow::params::combination",
        ),
        (
            "sequences = \"sequences\"",
            "architecture = \"transformer\"\nheads = 5",
            "flow::neural::misfit",
        ),
        (
            "sequences = \"sequences\", apply = \"domain\"",
            "architecture = \"cnn\"",
            "flow::neural::no_input",
        ),
    ] {
        let project = project(&net(inputs, more));
        let diags = local::load(&project, "p.toml", &[], &registry())
            .err()
            .expect(more);
        let codes: Vec<&str> = diags.iter().map(|diag| diag.code.as_str()).collect();
        assert!(codes.contains(&code), "{more}: {diags:?}");
    }
    let project = project(
        "[stages.net]\nuse = \"network\"\ninputs = { folds = \"folds\" }\narchitecture = \"dense\"",
    );
    let diags = local::load(&project, "p.toml", &[], &registry())
        .err()
        .unwrap();
    assert_eq!(diags[0].code.as_str(), "flow::neural::no_input");
}
