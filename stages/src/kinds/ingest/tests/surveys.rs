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

/// Parameters of a small demo like a survey.
fn demo(survey: Option<&str>, more: &[(&str, Value)]) -> Params {
    let mut given = vec![
        ("labelled", Value::Int(160)),
        ("unlabelled", Value::Int(20)),
    ];
    given.extend(survey.map(|survey| ("survey", Value::Str(survey.into()))));
    given.extend_from_slice(more);
    params("demo", &given)
}

#[test]
fn a_demo_survey_brings_its_bands_wavelengths_and_positive_class() {
    let cases = [
        (None, "u g r i z y", Some("TDE"), None),
        (Some("mallorn"), "u g r i z y", Some("TDE"), None),
        (Some("spcc"), "g r i z", Some("Ia"), Some(4_770.0)),
        (Some("plasticc"), "u g r i z y", Some("15"), None),
        (Some("plasticc_15"), "u g r i z y", None, None),
        (Some("ztf"), "g r i", Some("TDE"), Some(4_746.48)),
    ];
    for (name, bands, positive, g) in cases {
        let (shards, report) = all(&demo(name, &[]), 3).unwrap();
        assert_eq!((report.objects, report.unlabelled), (180, 20), "{name:?}");
        assert!(
            positive.is_none_or(|class| report.labels[class] > 0),
            "{name:?}"
        );
        for (curves, _) in &shards {
            let survey = &curves.objects.survey;
            assert_eq!(survey.bands.join(" "), bands);
            assert_eq!(survey.positive.as_deref(), positive);
            // Only wavelengths that are not LSST's are written.
            let own = survey.wavelengths.iter().find(|(band, _)| band == "g");
            assert_eq!(own.map(|(_, at)| *at), g, "{name:?}");
            let all = curves.wavelengths().unwrap();
            assert!(all.is_sorted() && all.len() == survey.bands.len());
        }
    }
}

#[test]
fn a_demo_without_a_name_is_that_of_mallorn() {
    let read = |survey| all(&demo(survey, &[]), 3).unwrap().0;
    let (named, unnamed) = (read(Some("mallorn")), read(None));
    let curves = |shards: Vec<(Curves, ShardReport)>| -> Vec<Curves> {
        shards.into_iter().map(|(curves, _)| curves).collect()
    };
    assert_eq!(curves(named), curves(unnamed));
}

#[test]
fn a_demo_refuses_what_its_survey_does_not_have() {
    let refused = |survey: &str, name: &str, value: Value| {
        let diags = Ingest.check(&demo(Some(survey), &[(name, value)]), &[]);
        let first = diags.into_iter().next();
        first.map(|diag| format!("{}: {}; {}", diag.code, diag.message, diag.help.join("; ")))
    };
    let positive = |survey: &str, class: &str| refused(survey, "positive", class.into());
    assert_eq!(positive("spcc", "II"), None);
    assert_eq!(positive("plasticc", "90"), None);
    let text = positive("spcc", "TDE").unwrap();
    assert!(text.contains("`spcc` has no class `TDE`"), "{text}");
    assert!(text.contains("`II`, `Ia`, `Ibc`"), "{text}");
    let text = positive("ztf", "SN Ibd").unwrap();
    assert!(text.contains("set `positive = \"SN Ibc\"`"), "{text}");
    let difficulty = |survey: &str| refused(survey, "difficulty", Value::Float(43.0));
    assert_eq!(difficulty("ztf"), None);
    let text = difficulty("spcc").unwrap();
    assert!(text.contains("the demo survey `spcc` has none"), "{text}");
}

#[test]
fn the_classes_of_a_demo_are_regrouped_like_those_of_files() {
    let classes = || ordered(&[("TDE", &["15"]), ("SN", &["?2", "90"]), ("rest", &["*"])]);
    let given = [("classes", classes()), ("positive", "TDE".into())];
    let params = demo(Some("plasticc"), &given);
    assert!(Ingest.check(&params, &[]).is_empty());
    let (shards, report) = all(&params, 3).unwrap();
    let found: Vec<&str> = report.labels.keys().map(String::as_str).collect();
    assert_eq!(found, ["SN", "TDE", "rest"]);
    for (curves, _) in shards {
        let objects = curves.objects;
        assert_eq!(objects.survey.classes, ["SN", "TDE", "rest"]);
        for (label, raw) in objects.label.iter().zip(&objects.raw_label) {
            assert_eq!(label.is_some(), raw.is_some());
            assert_eq!(
                raw.as_deref() == Some("15"),
                label.as_deref() == Some("TDE")
            );
        }
    }
    // The class that was regrouped is no class any more.
    let given = [("classes", classes()), ("positive", "15".into())];
    let diags = Ingest.check(&demo(Some("plasticc"), &given), &[]);
    assert!(
        diags[0].help[0].contains("`SN`, `TDE`, `rest`"),
        "{diags:?}"
    );
}

#[test]
fn the_truth_of_a_demo_is_that_of_its_unlabelled_objects() {
    let classes = || ordered(&[("star", &["92", "16", "65", "53"])]);
    let given = demo(Some("plasticc_15"), &[("classes", classes())]);
    let truth = demo::truth(&IngestParams::read(&given), 3).unwrap();
    let (shards, _) = all(&given, 3).unwrap();
    let mut unlabelled = 0;
    for (curves, _) in shards {
        let objects = &curves.objects;
        assert!(objects.label.iter().flatten().all(|label| label != "99"));
        for (i, id) in objects.object_id.iter().enumerate() {
            let class = truth.class.get(id);
            assert_eq!(class.is_some(), objects.label[i].is_none(), "{id}");
            // Stars are at redshift 0; so are microlensed ones, of the classes 6 and 99.
            let Some(class) = class else { continue };
            unlabelled += 1;
            let near = objects.redshift[i] == Some(0.0);
            match class.as_str() {
                "6" | "99" => {}
                "star" => assert!(near, "{id}"),
                _ => assert!(!near, "{id}: {class}"),
            }
        }
    }
    assert_eq!((unlabelled, truth.class.len()), (20, 20));
}

/// The reference tells what each survey does unless a parameter is given.
#[test]
fn the_defaults_of_demo_surveys_are_those_of_the_reference() {
    let specs = IngestParams::specs();
    let about = |name: &str| specs.iter().find(|spec| spec.name == name).unwrap().about;
    for survey in crate::simulation::surveys::ALL {
        let own = &survey.unless_given;
        if let Some(difficulty) = own.difficulty {
            let text = format!("{difficulty} for {}", survey.name);
            assert!(about("difficulty").contains(&text), "{text}");
        }
        if let Some(positives) = own.positives {
            let text = format!("{positives} for {}", survey.name);
            assert!(about("positives").contains(&text), "{text}");
        }
        let told = if survey.first_class() == "TDE" {
            "otherwise `TDE`".to_owned()
        } else {
            format!("`{}` for {}", survey.first_class(), survey.name)
        };
        assert!(about("positives").contains(&told), "{told}");
    }
}
