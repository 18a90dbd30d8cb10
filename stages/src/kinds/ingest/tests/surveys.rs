//! The surveys with a known layout: MALLORN and the demo.

use super::*;

#[test]
fn the_mallorn_layout_reports_a_missing_split() {
    let dir = flow_testkit::files::folder();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let folder = Value::Str(dir.path().to_string_lossy().into_owned());
    let params = params("mallorn", &[("path", folder)]);
    assert!(
        Ingest
            .layout(&params, &Project::at(Path::new("")), &Shards::default())
            .unwrap_err()[0]
            .message
            .contains("no light-curve file")
    );
    let header = "object_id,Time (MJD),Flux,Flux_err,Filter\n";
    write(
        "split_01/train_full_lightcurves.csv",
        &format!("{header}a,1,2,0.5,u\n"),
    );
    write(
        "split_01/test_full_lightcurves.csv",
        &format!("{header}t,1,2,0.5,y\n"),
    );
    assert!(
        Ingest
            .layout(&params, &Project::at(Path::new("")), &Shards::default())
            .unwrap_err()[0]
            .message
            .contains("train_log.csv is missing")
    );
    write(
        "train_log.csv",
        "object_id,Z,Z_err,EBV,SpecType,English Translation,split,target\na,0.1,,0.2,TDE,\"x, \u{fc}\",split_01,1\nb,0.1,,0.2,AGN,y,split_02,0\n",
    );
    write(
        "test_log.csv",
        "object_id,Z,Z_err,EBV,SpecType,English Translation,split\nt,0.1,0.02,0.2,,z,split_01\n",
    );
    let (shards, report) = all(&params, 1).unwrap();
    assert_eq!(shards.len(), 2);
    for (curves, _) in &shards {
        assert_eq!(curves.objects.survey.classes, ["AGN", "TDE"]);
        assert_eq!(curves.objects.survey.positive.as_deref(), Some("TDE"));
    }
    assert_eq!(report.without_light_curve.by_split["split_02"], 1);
    assert!(
        report.notes[0]
            .contains("left out 1 objects without light curves (split_02: 1), such as b"),
        "{:?}",
        report.notes
    );
}

#[test]
fn the_demo_is_a_survey() {
    let small = |n: i64| -> Vec<(&str, Value)> {
        [("labelled", 60), ("positives", 6), ("unlabelled", n)]
            .map(|(k, v)| (k, Value::Int(v)))
            .to_vec()
    };
    let (shards, report) = all(&params("demo", &small(12)), 7).unwrap();
    assert_eq!(
        (report.objects, report.unlabelled, report.labels["TDE"]),
        (72, 12, 6)
    );
    assert!(report.notes.is_empty());
    for (curves, _) in &shards {
        let mut bytes = Vec::new();
        curves.write(&mut bytes).unwrap();
        let file = flow_testkit::files::file_of(&bytes);
        assert_eq!(&Curves::read(file.path()).unwrap(), curves);
    }
    let again = all(&params("demo", &small(12)), 7).unwrap().0;
    assert_eq!(again[0].0, shards[0].0);
    assert_ne!(
        all(&params("demo", &small(12)), 8).unwrap().0[0].0,
        shards[0].0
    );
}
