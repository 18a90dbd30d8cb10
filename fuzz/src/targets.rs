//! What must hold for any bytes: of a segment, of a pipeline, of CSV files. The fuzzer finds bytes;
//! `tests/fuzz.rs`, which includes this file, takes mutations of sound ones.

use std::cell::OnceCell;
use std::fs::File;
use std::path::Path;

use flow_engine::kind::Fault;
use flow_engine::pipeline::file::load;
use flow_engine::pipeline::load::LoadOptions;
use flow_engine::{Diags, Pipeline, StageError};
use flow_stages::kinds::fuzzing::read_files;
use tempfile::TempDir;

/// In memory where that is possible: each target writes files for every input.
fn tempdir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A segment's rows and their payloads: damage is skipped, and a row appended behind it is found.
pub fn record(bytes: &[u8]) {
    thread_local! {
        static SCRATCH: File = tempfile::tempfile_in("/dev/shm")
            .unwrap_or_else(|_| tempfile::tempfile().unwrap());
    }
    SCRATCH.with(|file| flow_cache::fuzzing::segment(file, bytes).unwrap());
    flow_cache::fuzzing::payload(bytes);
}

/// A pipeline is loaded, or refused with diagnostics that can be shown.
pub fn toml(bytes: &[u8]) {
    if let Err(diags) = load_toml(bytes) {
        assert!(!diags.is_empty());
        for diag in diags {
            let code = diag.code.as_str();
            assert!(code.starts_with("flow::") && !code.starts_with("flow::bug"));
        }
    }
}

/// A pipeline that another one can extend.
pub const BASE: &str = include_str!("../../pipelines/rocket_domain.toml");

/// Loads a pipeline from a folder with [`BASE`].
pub fn load_toml(bytes: &[u8]) -> Result<Pipeline, Diags> {
    thread_local! {
        static DIR: TempDir = {
            let dir = tempdir();
            std::fs::write(dir.path().join("rocket_domain.toml"), BASE).unwrap();
            dir
        };
    }
    DIR.with(|dir| {
        std::fs::write(dir.path().join("p.toml"), bytes).unwrap();
        load_in(dir.path())
    })
}

/// A survey in CSV is read, or refused as bad data.
pub fn csv(bytes: &[u8]) {
    if let Err(error) = read_csv(bytes) {
        assert_eq!(error.fault, Fault::Data, "{error}");
    }
}

/// Reads a survey and counts its objects. The bytes are the objects' file, then, after a zero byte,
/// that of the light curves.
pub fn read_csv(bytes: &[u8]) -> Result<usize, StageError> {
    thread_local! {
        static SURVEY: OnceCell<(TempDir, Pipeline)> = const { OnceCell::new() };
    }
    SURVEY.with(|survey| {
        let (dir, pipeline) = survey.get_or_init(survey_in_csv);
        let cut = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        let (objects, curves) = bytes.split_at(cut);
        let files = [
            ("objects", objects),
            ("curves", curves.get(1..).unwrap_or(&[])),
        ];
        for (name, bytes) in files {
            std::fs::write(dir.path().join(format!("{name}.csv")), bytes).unwrap();
        }
        let stage = &pipeline.stages[0];
        let shard = stage.layout.shards.get(0).unwrap().to_shard();
        let sources = stage.layout.common.iter().chain(&shard.files);
        let sources = sources.map(|file| (file.role.clone(), file.path.clone()));
        read_files(&stage.params, &shard.item, sources.collect())
    })
}

/// A sound survey for [`csv`].
pub fn example_csv() -> Vec<u8> {
    let mut objects = String::from("id,type,z,z_err,ebv\n");
    let mut curves = String::from("id,mjd,band,flux,err\n");
    for object in 0..6 {
        let label = ["TDE", "AGN", ""][object % 3];
        objects.push_str(&format!("object {object},{label},0.{object},,0.01\n"));
        for epoch in 0..8 {
            let band = ["u", "g", "r"][epoch % 3];
            curves.push_str(&format!(
                "object {object},{}.5,{band},{epoch}.25,1e-1\n",
                60_000 + epoch
            ));
        }
    }
    [objects.as_bytes(), b"\0", curves.as_bytes()].concat()
}

fn survey_in_csv() -> (TempDir, Pipeline) {
    let dir = tempdir();
    std::fs::write(dir.path().join("objects.csv"), "").unwrap();
    std::fs::write(dir.path().join("curves.csv"), "").unwrap();
    let text = r#"
[pipeline]
name = "fuzz"
[stages.ingest]
use = "ingest"
format = "csv"
objects = "objects.csv"
curves = "curves.csv"
bands = ["u", "g", "r"]
[stages.ingest.columns]
object_id = "id"
label = "type"
time = "mjd"
flux_err = "err"
redshift = "z"
redshift_err = "z_err"
"#;
    std::fs::write(dir.path().join("p.toml"), text).unwrap();
    let pipeline = load_in(dir.path()).unwrap_or_else(|diags| panic!("{diags:?}"));
    (dir, pipeline)
}

fn load_in(dir: &Path) -> Result<Pipeline, Diags> {
    let options = LoadOptions {
        sets: Vec::new(),
        cwd: dir.to_path_buf(),
    };
    load(
        Path::new("p.toml"),
        &options,
        &flow_stages::kinds::registry(),
    )
}
