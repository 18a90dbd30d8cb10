//! One record of each layout that was ever written, and what every reader makes of it.

use flow_cache::{ActionKey, Digest, Runs};
use serde_json::{Value as Json, json};

use super::*;

/// A digest as text that repeats one character.
fn b3(digit: char) -> String {
    format!("b3:{}", key(digit))
}

fn key(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A run as the first version wrote it: keys and artifacts are in the record itself, parts name their
/// fields, and there is no git state, no tags, no CPU seconds and no long part.
fn first() -> Json {
    json!({
        "metrics": {"evaluate": {
            "f1": {"pooled": 0.5, "mean": 0.25, "std": 0.0, "folds": [0.25, null], "undefined_folds": 1},
            "auc": {"pooled": null, "mean": 0.75, "std": null, "folds": [0.75], "average": "macro"},
            "confusion": {"classes": ["rest", "TDE"], "counts": [[1, 2], [3, 4]]},
        }},
        "status": "failed",
        "pipeline": "old",
        "run": "20250101T000000-000000",
        "wall_s": 2.5,
        "stages": {
            "model": {
                "actions": 2, "hit": 1, "ran": 1, "failed": 0, "skipped": 0, "wall_s": 1.5,
                "outputs": {"predictions": b3('1')},
                "keys": [key('a'), key('b')],
                "artifacts": {"predictions": {"type": "predictions", "view": false, "parts": [
                    {"digest": b3('1'), "reference": 0, "fold": "f0"},
                    {"digest": b3('2'), "reference": 1, "fold": null},
                ]}},
            },
            "evaluate": {
                "actions": 1, "hit": 0, "ran": 0, "failed": 1, "skipped": 0, "wall_s": 0.0,
                "outputs": {},
                "keys": [key('c')],
                "artifacts": {},
                "folds": b3('f'),
            },
        },
        "headline": {"metric": "evaluate.f1", "value": 0.5},
        "file": "/project/old.toml",
        "outputs": ["/project/out/a.csv"],
    })
}

/// The same run as a later version wrote it, with a long part and tags, but before flow recorded the
/// values that were set and the commit.
fn second() -> (Json, Json) {
    let mut record = first();
    for stage in ["model", "evaluate"] {
        let fields = record["stages"][stage].as_object_mut().expect("an object");
        fields.remove("artifacts");
        fields.insert("cpu_s".into(), json!(0.5));
    }
    let model = record["stages"]["model"].as_object_mut();
    model.expect("an object").remove("keys");
    record["flow"] = "0.1.0".into();
    record["store"] = "/project/.flow/store".into();
    record["tags"] = json!(["base"]);
    record["pinned"] = true.into();
    record["actions"] = b3('9').into();
    let long = json!({"stages": [
        {
            "name": "model",
            "actions": [
                ["fit f0", key('a'), {"predictions": b3('1')}],
                ["fit f1", key('b'), {"predictions": b3('2')}],
            ],
            "ports": {"predictions": {"type": "predictions", "view": false, "parts": [
                [b3('1'), 0, "f0"], [b3('2'), 1, null],
            ]}},
        },
        {"name": "evaluate", "actions": [["score", key('c'), {}]], "ports": {}},
    ]});
    (record, long)
}

/// The same run as this version writes it: with the command line, the machine, the resolved pipeline, and what
/// stages had to say.
fn third() -> Json {
    let (mut record, _) = second();
    record["format"] = 2.into();
    record["set"] = json!(["model.rounds=3"]);
    record["command"] = json!(["run", "old.toml", "--set", "model.rounds=3"]);
    record["host"] = json!({
        "name": "dunkel", "os": "Linux", "cpu": "a processor", "cores": 8, "memory": 16_000_000_000_u64,
        "simd": "avx2",
    });
    record["warnings"] = json!(["a file was odd"]);
    record["failures"] = json!(["`evaluate` failed"]);
    record["resolved"] = "[pipeline]\nname = \"old\"\n\n[stages.model]\nrounds = 3\n".into();
    let model = &mut record["stages"]["model"];
    model["size"] = 100.into();
    model["rows"] = 10.into();
    model["notes"] = json!(["dropped 1 of 10 rows"]);
    model["versions"] = json!({"cpython": "3.12.1", "numpy": "2.1.0"});
    record["stages"]["evaluate"]["versions"] = json!({"numpy": "1.9.0"});
    record
}

/// A search by `flow tune`, with keys and artifacts in the record itself.
fn search() -> Json {
    json!({
        "run": "20250103T000000-000000",
        "pipeline": "old",
        "file": "/project/old.toml",
        "status": "ok",
        "wall_s": 9.0,
        "stages": {"trial_1/evaluate": {
            "actions": 1, "hit": 0, "ran": 1, "failed": 0, "skipped": 0, "wall_s": 1.0, "cpu_s": 1.0,
            "peak_rss": 5, "read_bytes": 6, "outputs": {"metrics": b3('3')},
            "keys": [key('d')], "folds": b3('f'),
            "artifacts": {"metrics": {"type": "metrics", "view": true, "parts": [[b3('3'), 0, null]]}},
        }},
        "tune": {"objective": "evaluate.f1", "trials": 1, "best": null},
    })
}

fn read(record: &Json) -> RunRecord {
    serde_json::from_value(record.clone()).expect("a record")
}

fn keys(digits: &str) -> Vec<ActionKey> {
    let keys = digits.chars().map(|digit| key(digit).parse());
    keys.collect::<Result<_, _>>().expect("keys")
}

/// A folder of runs, one of each layout.
fn all(dir: &std::path::Path) -> Runs {
    let runs = Runs::new(dir);
    let (second, long) = second();
    let actions: Digest = b3('9').parse().expect("a digest");
    runs.save("20250101", &first()).expect("saved");
    runs.save_with("20250102", &second, (&actions, &long))
        .expect("saved");
    runs.save("20250103", &search()).expect("saved");
    runs.save("20250104", &json!({})).expect("saved");
    runs.save("20250105", &third()).expect("saved");
    runs
}

fn load(runs: &Runs, id: &str) -> RunRecord {
    runs.load(id).expect("readable").expect("a run").1
}

#[test]
fn every_layout_is_read() {
    let dir = flow_testkit::files::folder();
    let runs = all(dir.path());
    let first = load(&runs, "20250101");
    assert_eq!((first.format, first.pinned), (0, false));
    assert_eq!(first.status, Some(Status::Failed));
    assert_eq!(first.headline_value(), Some(0.5));
    assert_eq!((first.git.as_ref(), first.tags.len()), (None, 0));
    assert_eq!(first.asked(true), "");
    let names: Vec<&str> = first.stages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["model", "evaluate"]);
    let figures = &first.stages.get("model").expect("a stage").figures;
    assert_eq!((figures.ran, figures.cpu_s), (1, 0.0));
    assert_eq!(first.sum(|stage| stage.failed), 1);

    let second = load(&runs, "20250102");
    assert_eq!(
        (second.tags.as_slice(), second.pinned),
        (&["base".to_owned()][..], true)
    );
    assert_eq!(second.variant, None);

    let search = load(&runs, "20250103");
    assert_eq!(search.tune.expect("a search").trials, 1);
    assert_eq!(search.metrics.iter().count(), 0);

    assert_eq!(load(&runs, "20250104"), RunRecord::default());

    let third = load(&runs, "20250105");
    assert_eq!((third.format, third.by()), (FORMAT, Some("run")));
    assert_eq!(third.again(), "flow run old.toml --set model.rounds=3");
    let host = third.host.as_ref().expect("a host").line();
    assert_eq!(host, "dunkel, Linux, a processor, 8 cores, 16.0 GB, avx2");
    let versions = third.versions();
    let versions = versions
        .iter()
        .map(|(name, version)| [name.as_str(), version]);
    let expected = [
        ["flow", "0.1.0"],
        ["cpython", "3.12.1"],
        ["numpy", "1.9.0 and 2.1.0"],
    ];
    assert_eq!(versions.collect::<Vec<_>>(), expected);
}

#[test]
fn an_older_record_says_how_to_repeat_the_run_without_its_command_line() {
    let mut record = first();
    record["variant"] = "a b".into();
    let record = read(&record);
    assert_eq!((record.by(), record.versions().len()), (None, 0));
    assert_eq!(record.again(), "flow run /project/old.toml --variant 'a b'");
}

#[test]
fn actions_and_ports_are_found_however_old_the_record_is() {
    let dir = flow_testkit::files::folder();
    let runs = all(dir.path());
    let long = |id: &str| load(&runs, id).long(&runs).expect("readable");
    assert_eq!(
        [long("20250101"), long("20250103"), long("20250104")],
        [None, None, None]
    );
    let stages = long("20250102").expect("a long part").stages;
    assert_eq!(stages[0].actions[1].label, "fit f1");
    let outputs = &stages[0].actions[1].outputs;
    assert_eq!(outputs["predictions"].to_string(), b3('2'));

    for (id, digits) in [
        ("20250101", "abc"),
        ("20250102", "abc"),
        ("20250103", "d"),
        ("20250104", ""),
    ] {
        let found = load(&runs, id).keys(&runs).expect("readable");
        assert_eq!(found, keys(digits), "{id}");
    }
    let ports = |id: &str, stage: &str| load(&runs, id).ports(&runs, stage).expect("readable");
    let first = ports("20250101", "model");
    assert_eq!(first, ports("20250102", "model"));
    let part = &first["predictions"].parts[0];
    assert_eq!((part.reference, part.fold.as_deref()), (0, Some("f0")));
    assert!(ports("20250103", "trial_1/evaluate")["metrics"].view);
    assert!(ports("20250104", "model").is_empty());

    // The first two runs evaluated the same recipe.
    let folds: Digest = b3('f').parse().expect("a digest");
    assert_eq!(tried(&runs, &[folds].into()).expect("readable"), 2);
    // A missing long part counts as none.
    std::fs::remove_dir_all(dir.path().join("actions")).expect("removed");
    assert_eq!(
        load(&runs, "20250102").keys(&runs).expect("readable"),
        keys("c")
    );
}

#[test]
fn metrics_of_every_sort_are_read() {
    let record = read(&first());
    let all: Vec<(&str, &str, Option<f64>)> = record
        .metrics
        .iter()
        .map(|(stage, metric, figures)| (stage, metric, figures.value()))
        .collect();
    let of = |metric, value| ("evaluate", metric, value);
    assert_eq!(
        all,
        [
            of("f1", Some(0.5)),
            of("auc", Some(0.75)),
            of("confusion", None)
        ]
    );
    let evaluate = record.metrics.of("evaluate").expect("metrics");
    assert_eq!(evaluate.first_class(), Some("rest"));
    let auc = evaluate.get("auc").expect("a metric");
    assert_eq!((auc.of_what().as_str(), auc.pooled), (" (macro)", None));
    assert_eq!(
        evaluate.get("f1").expect("a metric").folds,
        Some(vec![Some(0.25), None])
    );
}

#[test]
fn tags_and_pins_leave_the_rest_of_a_record_as_it_is_written() {
    let dir = flow_testkit::files::folder();
    let runs = all(dir.path());
    let mut newer = first();
    newer["of the future"] = json!({"a": [1, null]});
    newer["format"] = 99.into();
    runs.save("20250106", &newer).expect("saved");
    tag(&runs, "20250106", |tags| tags.push("a".into())).expect("tagged");
    pin(&runs, "20250106", true).expect("pinned");
    newer["tags"] = json!(["a"]);
    newer["pinned"] = true.into();
    let text = std::fs::read_to_string(runs.path("20250106")).expect("a record");
    assert_eq!(text, format!("{newer}\n"));
    let written = as_written(&runs, "20250106").expect("readable");
    assert_eq!(Json::Object(written), newer);
    let read = load(&runs, "20250106");
    assert_eq!((read.format, read.pinned, read.tags.len()), (99, true, 1));
    tag(&runs, "20250102", |tags| tags.clear()).expect("changed");
    assert!(load(&runs, "20250102").tags.is_empty());
}

/// The names and the order of fields are a public interface.
#[test]
fn a_record_is_written_with_its_fields_in_order() {
    let (second, long) = second();
    let mut record = RunRecord {
        git: Some(GitState {
            commit: "c".repeat(40),
            dirty: None,
        }),
        ..read(&third())
    };
    record.stages = record.stages.into_iter().take(1).collect();
    let text = serde_json::to_string(&record).expect("JSON");
    let written: Json = serde_json::from_str(&text).expect("JSON");
    let fields = |json: &Json| -> String {
        let fields = json.as_object().expect("an object").keys();
        fields.cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        fields(&written),
        "format metrics status pipeline run wall_s stages headline flow file outputs set variant to cwd \
         command git store tags pinned actions host warnings failures resolved"
    );
    assert_eq!(
        fields(&written["stages"]["model"]),
        "actions hit ran failed skipped wall_s cpu_s peak_rss read_bytes outputs rows size notes \
         versions"
    );
    assert_eq!(written["metrics"], second["metrics"]);
    assert_eq!(written["git"]["dirty"], Json::Null);
    assert_eq!(read(&written), record);
    let again: LongRecord = serde_json::from_value(long.clone()).expect("a long part");
    assert_eq!(
        serde_json::to_string(&again).expect("JSON"),
        long.to_string()
    );
}

#[test]
fn passes_over_the_same_stage_add_up() {
    let read = |keys: &[char]| -> StageRecord {
        let keys: Vec<String> = keys.iter().map(|digit| key(*digit)).collect();
        let stage =
            json!({"hit": 3, "ran": 1, "failed": 2, "wall_s": 0.5, "cpu_s": 0.25, "keys": keys});
        serde_json::from_value(stage).expect("a stage")
    };
    let mut known = read(&['a', 'b']);
    known.merge(read(&['b', 'c', 'c']));
    assert_eq!(known.keys, Some(keys("abc")));
    let figures = &known.figures;
    assert_eq!((figures.hit, figures.ran, figures.failed), (3, 2, 4));
    assert_eq!((figures.wall_s, figures.cpu_s), (1.0, 0.5));
}
