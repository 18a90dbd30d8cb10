//! `flow run --audit`: how far apart second runs are, stage by stage.

use flow_stages::table::{FeatureWriter, Predictions};
use serde_json::{Value as Json, json};

use flow_testkit::files::{self, TempDir};
use flow_testkit::{Project, Run, store};

/// Stages that give the first of two files the first time, and the second from then on. The files
/// lie outside of the project, where a program may read and write what it likes.
struct Moody {
    project: Project,
    elsewhere: TempDir,
}

impl Moody {
    fn new(stages: &[(&str, [Vec<u8>; 2])]) -> Self {
        let elsewhere = files::folder();
        let mut toml = String::new();
        for (name, outputs) in stages {
            let folder = elsewhere.path().join(name);
            for (number, bytes) in outputs.iter().enumerate() {
                files::write(&folder.join(number.to_string()), bytes);
            }
            let script = "cp $0/0 $1; cp $0/1 $0/0";
            toml.push_str(&format!(
                "[stages.{name}]\nuse = \"command\"\nrun = [\"sh\", \"-c\", \"{script}\", {folder:?}, \"{{out}}\"]\n\
                 outputs = {{ out = \"out\" }}\n"
            ));
        }
        let project = Project::with(&toml);
        Self { project, elsewhere }
    }
}

fn predictions(p: f64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Predictions {
        classes: vec!["Ia".into()],
        positive: Some("Ia".into()),
        repeat: vec![0, 0],
        fold: vec![Some(0), Some(1)],
        label: vec![Some("Ia".into()), Some("II".into())],
        object_id: vec!["a".into(), "b".into()],
        probability: vec![vec![0.25, p]],
    }
    .write(&mut bytes)
    .expect("writes");
    bytes
}

fn features(last: f32) -> Vec<u8> {
    let columns = ["x".to_owned(), "y".to_owned()];
    let mut writer = FeatureWriter::new(Vec::new(), &columns).expect("a writer");
    writer
        .push(&["a", "b"], &[1.0, 2.0, 3.0, last])
        .expect("writes");
    writer.finish().expect("writes")
}

fn audited(run: &Run) -> &Json {
    run.event("audit-finished")
}

fn stages() -> Moody {
    let metrics = |f1: f64| {
        json!({"f1": {"pooled": f1, "folds": [f1, null]}})
            .to_string()
            .into()
    };
    let moody = Moody::new(&[
        ("steady", [b"same".to_vec(), b"same".to_vec()]),
        ("table", [predictions(0.5), predictions(0.5 + f64::EPSILON)]),
        ("tensor", [features(4.0), features(4.000_001)]),
        ("metric", [metrics(0.5), metrics(0.75)]),
        ("text", [b"first".to_vec(), b"second".to_vec()]),
    ]);
    moody.project.append(
        "p.toml",
        "[stages.below]\nuse = \"command\"\nrun = [\"cp\", \"{text}\", \"{out}\"]\n\
         inputs = { text = \"text\" }\noutputs = { out = \"out\" }\n\
         [outputs]\n\"out/below.txt\" = \"below\"\n",
    );
    moody
}

#[test]
fn each_stage_gets_its_verdict() {
    let moody = stages();
    moody.project.run(&["p.toml"]).ok();
    assert_eq!(moody.project.read("out/below.txt"), "first");
    let run = moody.project.run(&["p.toml", "--audit=6"]).with(1);
    let audit = audited(&run);
    let stage = |name: &str| audit["stages"][name].clone();
    let bitwise = json!({"actions": 1, "verdict": "bitwise"});
    assert_eq!(audit["actions"], 6);
    assert_eq!(stage("steady"), bitwise);
    // On the bytes that it had read, what lies below is as it was.
    assert_eq!(stage("below"), bitwise);
    assert_eq!(
        stage("table"),
        json!({
            "actions": 1,
            "verdict": "ulp",
            "ulps": 2,
            "worst": "run out",
            "details": "2 ULP in `p_Ia`, 0.5 and 0.5000000000000002",
        })
    );
    assert_eq!(stage("tensor")["verdict"], "ulp");
    assert_eq!(stage("tensor")["ulps"], 2);
    assert_eq!(stage("metric")["verdict"], "metric");
    assert_eq!(stage("metric")["largest"], 0.25);
    assert_eq!(stage("metric")["details"], "2.5e-1 in f1.pooled");
    assert_eq!(stage("text")["verdict"], "different");
    assert_eq!(
        stage("text")["details"],
        "5 and 6 bytes, which differ from byte 0 on"
    );
    assert_eq!(audit["problems"].as_array().map(Vec::len), Some(4));
    run.says("flow::run::audit");
    run.says("table   1        ULP        run out: 2 ULP in `p_Ia`");

    // What lies below has followed, and all is consistent: nothing runs, nothing is found.
    assert_eq!(moody.project.read("out/below.txt"), "second");
    let again = moody.project.run(&["p.toml"]);
    assert_eq!(again.ok()["stages"]["below"]["hit"], 1);
    assert!(again.ran().is_empty(), "{:?}", again.ran());
    assert_eq!(again.digests(), run.digests());
    let clean = moody.project.run(&["p.toml", "--audit"]);
    clean.ok();
    assert_eq!(audited(&clean)["problems"], json!([]));
    assert!(
        clean
            .stderr
            .contains("6 actions ran again and gave the same bytes")
    );
}

#[test]
fn processes_get_the_same_verdicts() {
    let (threads, processes) = (stages(), stages());
    let run = |moody: &Moody, more: &[&str]| {
        let run = |args: &[&str]| moody.project.run(&[args, more].concat());
        run(&["p.toml"]).ok();
        audited(&run(&["p.toml", "--audit=6"])).clone()
    };
    let both = [
        run(&threads, &[]),
        run(&processes, &["--executor", "process"]),
    ];
    assert_eq!(both[0]["stages"], both[1]["stages"]);
    assert_eq!(both[0]["stages"]["table"]["verdict"], "ulp");
    assert_eq!(threads.project.read("out/below.txt"), "second");
    assert_eq!(processes.project.read("out/below.txt"), "second");
}

#[test]
fn a_corrupt_artifact_is_found_though_the_bytes_are_the_same() {
    let moody = Moody::new(&[("steady", [b"same".to_vec(), b"same".to_vec()])]);
    let digests = moody.project.run(&["p.toml"]).digests();
    let path = store::artifact(&moody.project, &digests["steady"]["out"]);
    store::replace(&path, b"dame");
    let run = moody.project.run(&["p.toml", "--audit"]).with(1);
    assert_eq!(audited(&run)["stages"]["steady"]["verdict"], "bitwise");
    run.says("of stage `steady` is corrupt: set aside, made again");
    assert_eq!(files::read(&path), "same");
    assert!(moody.elsewhere.path().is_dir());
    moody.project.run(&["p.toml", "--audit"]).ok();
}

/// Networks compute other last bits on other machines, so a verdict says which one it holds for.
#[test]
fn the_verdict_on_a_network_names_what_computed_it() {
    let project = Project::with(
        r#"
[stages.ingest]
use = "ingest"
format = "demo"
labelled = 60
positives = 20
unlabelled = 5

[stages.metadata]
use = "statistics"
inputs = { curves = "ingest" }
set = "metadata"

[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 2

[stages.net]
use = "network"
inputs = { features = "metadata", folds = "folds" }
architecture = "dense"
hidden = [4]
epochs = 2
"#,
    );
    project.run(&["p.toml"]).ok();
    let run = project.run(&["p.toml", "--audit"]);
    run.ok();
    let stages = &audited(&run)["stages"];
    let arithmetic = stages["net"]["arithmetic"].as_str().expect("a text");
    assert!(arithmetic.contains(std::env::consts::ARCH), "{arithmetic}");
    assert_eq!(stages["metadata"].get("arithmetic"), None);
    run.says(&format!("the verdict on `net` holds for {arithmetic}"));
}
