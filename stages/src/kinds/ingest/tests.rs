use flow_engine::kind::Fault;
use flow_engine::{Default as ParamDefault, ParamSpec};

use super::report::ShardReport;
use super::*;
use crate::table::Curves;
use std::path::Path;

mod many;
mod surveys;
mod values;

/// Returns checked parameters: those given, and the defaults of all others that apply.
pub(crate) fn fill(specs: &[ParamSpec], given: &[(&str, Value)]) -> Params {
    let word = |name: &str| {
        given
            .iter()
            .find(|(n, _)| *n == name)
            .and_then(|(_, v)| v.as_str())
    };
    let mut params = Params::default();
    for spec in specs {
        let applies = spec
            .only
            .is_none_or(|(on, words)| word(on).is_some_and(|w| words.contains(&w)));
        match (
            given.iter().find(|(name, _)| *name == spec.name),
            &spec.default,
        ) {
            (Some((_, value)), _) => params.insert(spec, value.clone(), None),
            (None, ParamDefault::Is(value)) if applies => params.insert(spec, value.clone(), None),
            _ => {}
        }
    }
    params
}

pub(crate) fn params(format: &str, given: &[(&str, Value)]) -> Params {
    let mut all = vec![("format", Value::Str(format.into()))];
    all.extend_from_slice(given);
    fill(&IngestParams::specs(), &all)
}

fn strs(items: &[&str]) -> Value {
    Value::List(items.iter().map(|s| Value::Str(s.to_string())).collect())
}

/// A table of patterns whose order matters.
pub(crate) fn ordered(entries: &[(&str, &[&str])]) -> Value {
    let pair = |(key, patterns): &(&str, &[&str])| {
        Value::List(vec![Value::Str((*key).into()), strs(patterns)])
    };
    Value::List(entries.iter().map(pair).collect())
}

const OBJECTS_CSV: &str = "object_id,redshift,ebv,label\nb,0.5,0.1,II\na,,0.2,Ia-x\nc,0.1,0,\n";
const GOOD: &str = "a,2,g,1.5,0.1\na,1,r,-1,0.2\nb,5,g,3,0.3\na,1,g,0.5,0.2\nc,3,r,1,1\n";

struct Sample {
    dir: flow_testkit::files::TempDir,
    given: Vec<(&'static str, Value)>,
}

/// A CSV survey of one file with `rows` under the header.
fn survey(rows: &str) -> Sample {
    raw(
        format!("object_id,mjd,band,flux,flux_err\n{rows}").as_bytes(),
        OBJECTS_CSV.as_bytes(),
    )
}

fn raw(curves: &[u8], objects: &[u8]) -> Sample {
    let dir = flow_testkit::files::folder();
    std::fs::write(dir.path().join("lc.csv"), curves).unwrap();
    std::fs::write(dir.path().join("objects.csv"), objects).unwrap();
    let path = |name: &str| Value::Str(dir.path().join(name).to_string_lossy().into_owned());
    let given = vec![
        ("curves", path("lc*.csv")),
        ("objects", path("objects.csv")),
        ("bands", strs(&["g", "r"])),
        ("max_rejected", Value::Float(1.0)),
    ];
    Sample { dir, given }
}

impl Sample {
    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.given.retain(|(n, _)| *n != name);
        self.given.push((name, value));
        self
    }

    fn read(&self) -> Result<(Vec<(Curves, ShardReport)>, report::IngestReport), StageError> {
        all(&params("csv", &self.given), 1)
    }

    fn one(&self) -> (Curves, ShardReport) {
        self.read().unwrap().0.remove(0)
    }

    fn error(&self) -> StageError {
        let error = self.read().unwrap_err();
        assert_eq!(error.fault, Fault::Data, "{error}");
        error
    }
}

/// Runs both steps over the whole layout, as the engine would.
fn all(
    params: &Params,
    seed: u64,
) -> Result<(Vec<(Curves, ShardReport)>, report::IngestReport), StageError> {
    let layout = Ingest
        .layout(params, &Project::at(Path::new("")), &Shards::default())
        .map_err(|diags| StageError::data("layout", diags[0].message.clone()))?;
    let request = |item, files: &[&flow_engine::kind::SourceFile]| Request {
        params: IngestParams::read(params),
        item,
        sources: files
            .iter()
            .map(|file| (file.role.clone(), file.path.clone()))
            .collect(),
        seed,
        checkpoint: &|| Ok(()),
    };
    let packed = Vec::from_iter(layout.shards.iter().map(|shard| shard.to_shard()));
    let mut shards = Vec::new();
    for shard in &packed {
        let files: Vec<_> = layout.common.iter().chain(&shard.files).collect();
        shards.push(request(&shard.item, &files).read()?);
    }
    let common: Vec<_> = layout.common.iter().collect();
    let read = |i: usize| {
        let (curves, part): &(Curves, ShardReport) = &shards[i];
        Ok((part.clone(), curves.objects.clone()))
    };
    let collected = collect(&request(&Value::Null, &common), shards.len(), &read)?;
    Ok((shards, collected.report))
}

#[test]
fn rows_become_sorted_light_curves() {
    let (curves, part) = survey(GOOD).one();
    assert_eq!(curves.objects.object_id, ["a", "b", "c"]);
    assert_eq!(
        curves.objects.label,
        [Some("Ia-x".into()), Some("II".into()), None]
    );
    assert_eq!(curves.objects.redshift, [None, Some(0.5), Some(0.1)]);
    let a = curves.get(0);
    assert_eq!(
        (a.time, a.band, a.flux),
        (&[1.0, 1.0, 2.0][..], &[0, 1, 0][..], &[0.5, -1.0, 1.5][..])
    );
    assert_eq!(curves.objects.survey.classes, ["II", "Ia-x"]);
    assert_eq!((part.observations.read, part.observations.kept), (5, 5));
    assert_eq!(part.bands["g"], 3);
}

#[test]
fn byte_order_marks_and_line_ends_do_not_matter() {
    let plain = survey(GOOD).one().0;
    let dos = format!("\u{feff}object_id,mjd,band,flux,flux_err\n{GOOD}").replace('\n', "\r\n");
    let marked = format!("\u{feff}{OBJECTS_CSV}");
    assert_eq!(raw(dos.as_bytes(), marked.as_bytes()).one().0, plain);
}

#[test]
fn every_bad_row_is_counted_under_its_reason() {
    for (row, reason) in [
        ("a,7,g,,1\n", "empty flux"),
        ("a,7,g,NaN,1\n", "flux that is not finite"),
        ("a,7,g,inf,1\n", "flux that is not finite"),
        ("a,7,g,bright,1\n", "flux that is no number"),
        ("a,7,g,1,\n", "empty flux error"),
        ("a,7,g,1,0\n", "flux error that is not positive"),
        ("a,7,g,1,-2\n", "flux error that is not positive"),
        ("a,,g,1,1\n", "empty time"),
        ("a,7,y,1,1\n", "unknown band"),
        ("a,7,,1,1\n", "empty band"),
        ("a,7,NA,1,1\n", "empty band"),
        ("n/a,7,g,1,1\n", "empty object id"),
        ("a,7,g,1e30,1\n", "impossible flux"),
        ("a,7,g,1,9.97e36\n", "impossible flux error"),
        ("a,60000,g,1,1\n", "impossible time"),
        ("a,1e20,g,1,1\n", "impossible time"),
        ("zz,7,g,1,1\n", "object that is not in the objects table"),
        (",7,g,1,1\n", "empty object id"),
        ("a,7,g,1\n", "wrong number of fields"),
        ("a,7,g,1,1,9\n", "wrong number of fields"),
        ("b,5,g,3,0.3\n", "repeated observation"),
    ] {
        let (curves, part) = survey(&format!("{GOOD}{row}")).one();
        assert_eq!(curves, survey(GOOD).one().0, "{row}");
        let count = &part.observations.dropped[reason];
        assert_eq!(count.count, 1, "{row}");
        assert_eq!(
            (count.examples[0].file.as_str(), count.examples[0].line),
            ("lc.csv", 7),
            "{row}"
        );
        assert_eq!(
            (part.observations.read, part.observations.kept),
            (6, 5),
            "{row}"
        );
    }
    let mut bytes = format!("object_id,mjd,band,flux,flux_err\n{GOOD}").into_bytes();
    bytes.extend(b"a,7,\xff,1,1\n");
    let (_, part) = raw(&bytes, OBJECTS_CSV.as_bytes()).one();
    assert_eq!(part.observations.dropped["not UTF-8"].count, 1);
}

#[test]
fn too_many_bad_rows_are_an_error_that_shows_them() {
    let rows = format!("{GOOD}a,7,g,,1\n");
    assert!(
        survey(&rows)
            .with("max_rejected", Value::Float(0.2))
            .read()
            .is_ok()
    );
    let error = survey(&rows)
        .with("max_rejected", Value::Float(0.1))
        .error();
    assert!(
        error.message.contains("1 of 6 observations are unusable"),
        "{error}"
    );
    assert_eq!(error.help, ["empty flux: lc.csv:7: ``"]);
}

#[test]
fn files_that_are_no_tables_are_errors() {
    let header = "object_id,mjd,band,flux,flux_err\n";
    for (curves, objects, message) in [
        ("", OBJECTS_CSV, "lc.csv is empty"),
        (header, OBJECTS_CSV, "lc.csv has a header and no rows"),
        (
            "object_id,mjd,band,flx,flux_err\na,1,g,1,1\n",
            OBJECTS_CSV,
            "lc.csv has no column `flux`",
        ),
        (
            "object_id,mjd,band,flux,flux_err\na,1,\"g,1,1\nb,5,g,3,0.3\n",
            OBJECTS_CSV,
            "lc.csv:2: a quote",
        ),
        (
            "object_id,mjd,band,flux,flux_err\na,1,g,1,1\n",
            "id,label\na,Ia\n",
            "the objects table has no column `object_id`",
        ),
        (
            "object_id,mjd,band,flux,flux_err\na,1,g,1,1\n",
            "object_id\na\nb\na\n",
            "the objects table:4: object `a` is listed a second time",
        ),
    ] {
        let error = raw(curves.as_bytes(), objects.as_bytes()).error();
        assert!(error.message.contains(message), "{message}: {error}");
    }
    let error = raw(
        b"object_id,mjd,band,flx,flux_err\na,1,g,1,1\n",
        OBJECTS_CSV.as_bytes(),
    )
    .error();
    assert!(
        error.help[0].contains("did you mean `flx`?"),
        "{:?}",
        error.help
    );
}

#[test]
fn bad_objects_are_counted_and_so_are_their_observations() {
    let objects =
        "object_id,redshift,label\na,0.1,Ia\nb,far,II\nc,-0.01,\nd,inf,II\ne,1\nf,0.2,Ia\n";
    let rows = format!("object_id,mjd,band,flux,flux_err\n{GOOD}d,1,g,,1\nf,1,g,,1\n");
    let (shards, report) = raw(rows.as_bytes(), objects.as_bytes()).read().unwrap();
    assert_eq!(shards[0].0.objects.object_id, ["a", "c"]);
    let dropped = &report.catalogue.dropped;
    assert_eq!(dropped["redshift that is no number"].count, 1);
    assert_eq!(dropped["redshift that is not finite"].count, 1);
    assert_eq!(dropped["wrong number of fields"].count, 1);
    assert_eq!(report.catalogue.odd["negative redshift"].count, 1);
    assert_eq!(
        report.observations.dropped["object that was itself dropped"].count,
        2
    );
    assert_eq!(
        (report.unusable.count, report.unusable.examples[0].as_str()),
        (1, "f")
    );
    assert_eq!(
        (report.objects, report.unlabelled, report.labels["Ia"]),
        (2, 1, 1)
    );
}

#[test]
fn nulls_follow_their_policy() {
    let nulls = |word: &str| Value::map([("redshift", Value::Str(word.into()))]);
    let (curves, part) = survey(GOOD).with("nulls", nulls("reject")).one();
    assert_eq!(curves.objects.object_id, ["b", "c"]);
    assert_eq!(
        part.observations.dropped["object that was itself dropped"].count,
        3
    );
    let error = survey(GOOD).with("nulls", nulls("error")).error();
    assert!(
        error
            .message
            .contains("the objects table:3: object `a` has empty redshift"),
        "{error}"
    );
}

#[test]
fn objects_without_light_curves_and_objects_in_two_files_show() {
    let one = survey("a,1,g,1,1\n");
    let (_, report) = one.read().unwrap();
    assert_eq!(report.without_light_curve.count, 2);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("left out 2 objects without light curves")),
        "{:?}",
        report.notes
    );
    std::fs::write(
        one.dir.path().join("lc2.csv"),
        "object_id,mjd,band,flux,flux_err\na,9,g,1,1\n",
    )
    .unwrap();
    let error = one.error();
    assert!(
        error
            .message
            .contains("object `a` has observations in lc.csv and in lc2.csv"),
        "{error}"
    );
}

#[test]
fn classes_regroup_and_columns_map() {
    let curves = "id,t,filter,f,e\na,1,g,1,1\nb,1,r,1,1\n";
    let objects = "id,type\na,Ia-x\nb,II\n";
    let columns = [
        ("object_id", "id"),
        ("time", "t"),
        ("band", "filter"),
        ("flux", "f"),
        ("flux_err", "e"),
        ("label", "type"),
    ];
    let columns = Value::map(columns.map(|(k, v)| (k, Value::Str(v.into()))));
    let classes = ordered(&[("Ia", &["Ia", "Ia-*"]), ("other", &["*"])]);
    let (curves, _) = raw(curves.as_bytes(), objects.as_bytes())
        .with("columns", columns)
        .with("classes", classes)
        .one();
    assert_eq!(
        curves.objects.label,
        [Some("Ia".into()), Some("other".into())]
    );
    assert_eq!(curves.objects.survey.classes, ["Ia", "other"]);
}

#[test]
fn our_own_curves_can_be_read_back_as_parquet() {
    let (curves, _) = survey(GOOD).one();
    let dir = flow_testkit::files::folder();
    let path = dir.path().join("c.parquet");
    curves.write(std::fs::File::create(&path).unwrap()).unwrap();
    let path = Value::Str(path.to_string_lossy().into_owned());
    let params = params("parquet", &[("curves", path), ("bands", strs(&["g", "r"]))]);
    let (shards, report) = all(&params, 1).unwrap();
    assert_eq!(shards[0].0, curves);
    assert_eq!(report.without_light_curve.count, 0);
}

#[test]
fn mappings_of_unknown_names_are_diagnosed() {
    let columns = Value::map([("fluxx", Value::Str("f".into()))]);
    let nulls = Value::map([("flux", Value::Str("keep".into()))]);
    let bands = strs(&["g", "g"]);
    let given = [
        ("columns", columns),
        ("nulls", nulls),
        ("bands", bands),
        ("classes", ordered(&[("x", &["[a"])])),
    ];
    let diags = Ingest.check(&params("csv", &given), &[]);
    let text: Vec<_> = diags.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(diags.len(), 5, "{text:?}");
    assert!(
        text[0].contains("fluxx") && text[3].contains("listed twice"),
        "{text:?}"
    );
    let missing = [("curves", Value::Str("/nowhere/*.csv".into()))];
    assert!(
        Ingest
            .layout(
                &params("csv", &missing),
                &Project::at(Path::new("")),
                &Shards::default()
            )
            .unwrap_err()[0]
            .message
            .contains("no file")
    );
}
