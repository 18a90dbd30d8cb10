//! Tables of every shape as files, and models as other programs read them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use flow_cache::{Digest, Value};
use flow_engine::StageError;
use flow_engine::kind::{Part, PortType};
use flow_engine::outputs::delivery::Export;
use flow_testkit::files::{TempDir, file_of, folder, write};

use super::{Exporter, table};
use crate::learner::bag::Bag;
use crate::learner::saved::ModelHeader;
use crate::learner::{FitJob, LearnerParams, Matrix, learner};
use crate::table::{
    Curves, FeatureWriter, FittedCurves, NpyValues, Sequences, Survey, TensorWriter, read_npz,
};

/// Files that stand for artifacts.
struct Artifacts {
    dir: TempDir,
    parts: Vec<Part>,
}

impl Artifacts {
    fn of(files: &[Vec<u8>]) -> Self {
        let dir = folder();
        let part = |(at, bytes): (usize, &Vec<u8>)| {
            let path = dir.path().join(at.to_string());
            write(&path, bytes);
            Part {
                path,
                digest: Digest::of(bytes),
                attrs: Value::Null,
                reference: 0,
                fold: None,
                views: Vec::new(),
            }
        };
        let parts = files.iter().enumerate().map(part).collect();
        Self { dir, parts }
    }

    fn export(&self, ty: PortType, extension: &str, flat: bool) -> Result<Vec<u8>, StageError> {
        assert!(self.dir.path().is_dir());
        let mut out = Vec::new();
        Exporter { flat }.export(ty, &self.parts, extension, &mut out)?;
        Ok(out)
    }

    fn text(&self, ty: PortType, extension: &str) -> String {
        let bytes = self.export(ty, extension, false).expect("a file");
        String::from_utf8(bytes).expect("text")
    }
}

fn survey() -> Survey {
    Survey {
        bands: vec!["g".into(), "r".into()],
        ..Survey::default()
    }
}

/// A shard with the objects `names`, the first of which has two observations and the others none.
fn curves(names: [&str; 2], flux: f64) -> Vec<u8> {
    let mut curves = Curves::new(survey());
    let objects = &mut curves.objects;
    objects.object_id = names.map(str::to_owned).to_vec();
    for texts in [
        &mut objects.label,
        &mut objects.raw_label,
        &mut objects.split,
        &mut objects.group,
    ] {
        *texts = vec![None; 2];
    }
    for numbers in [
        &mut objects.redshift,
        &mut objects.redshift_err,
        &mut objects.ebv,
    ] {
        *numbers = vec![Some(0.5); 2];
    }
    curves.offsets = vec![0, 2, 2];
    curves.time = vec![1.0, 2.5];
    curves.band = vec![1, 0];
    curves.flux = vec![flux, -1.5];
    curves.flux_err = vec![0.5, 0.25];
    let mut bytes = Vec::new();
    curves.write(&mut bytes).expect("a shard");
    bytes
}

#[test]
fn light_curves_are_flat_in_csv_and_where_that_is_asked_for() {
    let shards = [curves(["b", "c"], 7.0), curves(["a", "d"], 8.0)];
    let artifacts = Artifacts::of(&shards);
    let expected = "object_id,mjd,band,flux,flux_err\n\
                    a,1.0,r,8.0,0.5\na,2.5,g,-1.5,0.25\nb,1.0,r,7.0,0.5\nb,2.5,g,-1.5,0.25\n";
    assert_eq!(artifacts.text("curves", "csv"), expected);
    let flat = artifacts.export("curves", "parquet", true).expect("a file");
    let read = table::read(&Artifacts::of(&[flat]).parts).expect("a table");
    let flux = read.column_by_name("flux").expect("a column");
    assert_eq!(
        flux.as_primitive::<Float64Type>().values().as_ref(),
        [8.0, -1.5, 7.0, -1.5]
    );
    // Nested, with all that is known of the objects, if nothing is asked for.
    let nested = artifacts
        .export("curves", "parquet", false)
        .expect("a file");
    let read = table::read(&Artifacts::of(&[nested]).parts).expect("a table");
    assert_eq!(
        (read.num_rows(), read.column_by_name("ebv").is_some()),
        (4, true)
    );
    // A single shard is not only copied.
    let one = Artifacts::of(&shards[..1]);
    let flat = one.export("curves", "parquet", true).expect("a file");
    let read = table::read(&Artifacts::of(&[flat]).parts).expect("a table");
    assert_eq!(read.num_rows(), 2);
    let copy = one.export("curves", "parquet", false).expect("a file");
    assert_eq!(copy, shards[0]);
}

#[test]
fn fitted_curves_keep_their_model_and_their_missing_errors() {
    let mut fitted = FittedCurves::new(survey());
    fitted.push_point(60_000.5, 1, 3.5, f32::NAN);
    fitted.push_object("a", Some("tde"));
    fitted.push_object("b", None);
    let mut bytes = Vec::new();
    fitted.write(&mut bytes).expect("a shard");
    let artifacts = Artifacts::of(&[bytes]);
    assert_eq!(
        artifacts.text("fitted", "csv"),
        "object_id,model,mjd,band,flux,flux_err\na,tde,60000.5,r,3.5,\n"
    );
}

#[test]
fn a_grid_has_a_named_column_for_each_point() {
    let metadata = vec![("flow.bands".to_owned(), "[\"g\",\"r\"]".to_owned())];
    let mut writer = TensorWriter::new(Vec::new(), "grid", &[2, 11], metadata).expect("a writer");
    let mut values: Vec<f32> = (0..22).map(|i| i as f32).collect();
    values[1] = f32::NAN;
    writer.push(&["a"], &values).expect("a row");
    let artifacts = Artifacts::of(&[writer.finish().expect("a file")]);
    let text = artifacts.text("grid", "csv");
    let (names, row) = text.split_once('\n').expect("two lines");
    assert!(names.starts_with("object_id,g_00,g_01,"), "{names}");
    assert!(names.ends_with(",r_09,r_10"), "{names}");
    assert!(row.starts_with("a,0.0,,2.0,"), "{row}");
}

/// Two shards of sequences of one track, two points and two channels.
fn sequences() -> Artifacts {
    let names = |names: [&str; 2]| names.map(String::from);
    let shard = |id: &str, values: [f32; 4]| {
        let channels = names(["time", "flux"]);
        let mut writer = Sequences::writer(Vec::new(), &["g".into()], 2, &channels).expect("one");
        writer.push(&[id], &values).expect("a row");
        writer.finish().expect("a file")
    };
    let padded = [0.0, 3.5, f32::NAN, f32::NAN];
    Artifacts::of(&[shard("b", padded), shard("aü", [0.0, 1.0, 2.0, -4.0])])
}

#[test]
fn sequences_have_a_named_column_for_each_value() {
    let text = sequences().text("sequences", "csv");
    assert_eq!(
        text,
        "object_id,g_0_time,g_0_flux,g_1_time,g_1_flux\naü,0.0,1.0,2.0,-4.0\nb,0.0,3.5,,\n"
    );
}

#[test]
fn sequences_are_arrays_in_an_archive_with_padding_that_is_not_finite() {
    let artifacts = sequences();
    let bytes = artifacts.export("sequences", "npz", false).expect("a file");
    assert_eq!(
        bytes,
        artifacts
            .export("sequences", "npz", false)
            .expect("it again")
    );
    let arrays = read_npz(file_of(&bytes).path()).expect("an archive");
    let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
    assert_eq!(names, ["channels", "object_id", "sequences", "tracks"]);
    let texts = |at: usize| match &arrays[at].values {
        NpyValues::Texts(texts) => texts.clone(),
        _ => panic!("no texts"),
    };
    assert_eq!(texts(0), ["time", "flux"]);
    assert_eq!(texts(1), ["aü", "b"]);
    assert_eq!(texts(3), ["g"]);
    assert_eq!(arrays[2].shape, [2, 1, 2, 2]);
    let NpyValues::Numbers(values) = &arrays[2].values else {
        panic!("no numbers");
    };
    assert_eq!(values[..6], [0.0, 1.0, 2.0, -4.0, 0.0, 3.5]);
    assert!(values[6..].iter().all(|value| value.is_nan()));
}

#[test]
fn features_and_grids_are_arrays_too_and_other_tables_are_not() {
    let mut writer = FeatureWriter::new(Vec::new(), &["x".into()]).expect("a writer");
    writer.push(&["a"], &[1.5]).expect("a row");
    let features = Artifacts::of(&[writer.finish().expect("a file")]);
    let bytes = features.export("features", "npz", false).expect("a file");
    let arrays = read_npz(file_of(&bytes).path()).expect("an archive");
    assert_eq!(arrays[1].name, "features");
    assert_eq!(arrays[1].shape, [1, 1]);
    let metadata = vec![("flow.bands".to_owned(), "[\"g\",\"r\"]".to_owned())];
    let mut writer = TensorWriter::new(Vec::new(), "grid", &[2, 3], metadata).expect("a writer");
    writer.push(&["a"], &[0.5; 6]).expect("a row");
    let grid = Artifacts::of(&[writer.finish().expect("a file")]);
    let bytes = grid.export("grid", "npz", false).expect("a file");
    let arrays = read_npz(file_of(&bytes).path()).expect("an archive");
    assert_eq!(
        (&*arrays[1].name, &arrays[1].shape[..]),
        ("grid", &[1, 2, 3][..])
    );
    let mut bytes = Vec::new();
    Curves::new(survey()).write(&mut bytes).expect("a shard");
    let error = Artifacts::of(&[bytes]).export("curves", "npz", false).err();
    assert!(error.expect("a refusal").message.contains("`.npz`"));
}

/// A model of two columns as an artifact, and the probabilities of its training rows.
fn model(name: &str, size: usize) -> (Vec<u8>, Vec<f64>) {
    let values: Vec<f32> = (0..40).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
    let x = Matrix::new(20, 2, Arc::new(values)).expect("a matrix");
    let y: Vec<usize> = (0..20)
        .map(|i| usize::from(x.row(i)[0] > x.row(i)[1]))
        .collect();
    let job = FitJob {
        x: &x,
        y: &y,
        n_classes: 2,
        params: &LearnerParams {
            rounds: 5,
            ..LearnerParams::default()
        },
        threads: 1,
        stop: &|| false,
    };
    let bag = Bag::fit(learner(name).expect("a learner"), &job, size).expect("a model");
    let mut header = ModelHeader {
        learner: name.to_owned(),
        classes: vec!["TDE".to_owned()],
        positive: Some("TDE".to_owned()),
        columns: vec!["one".to_owned(), "two".to_owned()],
        rounds: bag.rounds(),
        bag: Vec::new(),
    };
    let p = bag.predict(&x).expect("probabilities");
    (header.write(&bag).expect("bytes"), p)
}

#[test]
fn a_model_is_written_in_the_format_of_its_library_or_explains_itself() {
    let json = |name: &str, size: usize| -> serde_json::Value {
        let artifacts = Artifacts::of(&[model(name, size).0]);
        serde_json::from_str(&artifacts.text("model", "json")).expect("JSON")
    };
    let trees = json("hessboost", 1);
    assert_eq!(trees["learner"]["objective"]["name"], "binary:logistic");
    let bag = json("hessboost", 2);
    assert_eq!(bag["models"][1]["learner"]["feature_names"][1], "two");
    for name in ["gbdt", "logistic", "ridge"] {
        let model = json(name, 1);
        assert_eq!(model["format"], "flow model 1");
        assert_eq!(
            (&model["learner"], &model["columns"][0]),
            (&name.into(), &"one".into())
        );
        assert_eq!(model["models"].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(json("gbdt", 3)["models"].as_array().map(Vec::len), Some(3));
}

/// Computes the log-odds as docs/learners.md says.
#[test]
fn a_linear_model_says_all_that_a_prediction_needs() {
    let (bytes, p) = model("logistic", 1);
    let text = Artifacts::of(&[bytes]).text("model", "json");
    let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let model = &file["models"][0];
    let number = |path: &str, at: usize| {
        let list = model.pointer(path).expect("a list");
        list[at].as_f64().expect("a number")
    };
    // The first training row is (-5, 2).
    let scaled = [-5.0, 2.0].into_iter().enumerate().map(|(column, value)| {
        let centred = value - number("/columns/means", column);
        centred * number("/columns/scales", column) * number("/coefficients/0", column)
    });
    let margin = number("/intercepts", 0) + scaled.sum::<f64>();
    let expected = 1.0 / (1.0 + libm::exp(-margin));
    assert!((p[1] - expected).abs() < 1e-12, "{} {expected}", p[1]);
}

#[test]
fn an_estimator_of_python_is_a_pickle_and_nothing_else() {
    let artifacts = Artifacts::of(&[vec![0x80, 4, 0x95, 0]]);
    let copied = artifacts.export("model", "pkl", false).expect("a copy");
    assert_eq!(copied, [0x80, 4, 0x95, 0]);
    for other in ["json", "txt", "csv", "parquet"] {
        let error = artifacts.export("model", other, false).expect_err(other);
        assert_eq!(error.code.as_str(), "flow::export::format");
        assert!(error.help.iter().any(|help| help.contains("pickle.load")));
    }
}
