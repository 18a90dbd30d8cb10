//! How files write missing values, and the ways in which they spell the same thing.

use super::*;

#[test]
fn words_for_no_value_are_none_in_every_column() {
    let objects = "object_id,label,redshift,ebv,split,group\n\
        a,NA,NaN,n/a,null,<NA>\nb,None,none,NULL,NaN,n/a\nc,90,0.1,0,090,Nan-1\n";
    let rows = format!("object_id,mjd,band,flux,flux_err\n{GOOD}");
    let (shards, report) = raw(rows.as_bytes(), objects.as_bytes()).read().unwrap();
    let all = &shards[0].0.objects;
    assert_eq!(all.label, [None, None, Some("90".into())]);
    assert_eq!(all.split, [None, None, Some("090".into())]);
    assert_eq!(all.group, [None, None, Some("Nan-1".into())]);
    assert_eq!(
        (&all.redshift[..2], all.ebv[2]),
        (&[None; 2][..], Some(0.0))
    );
    assert_eq!((all.survey.classes.len(), report.unlabelled), (1, 2));
}

#[test]
fn sentinels_count_as_missing_and_are_reported() {
    let objects = |ebv: &str, z: &str| {
        format!("object_id,redshift,ebv\na,{z},{ebv}\nb,0.2,0.1\nc,-0.01,-0.002\n")
    };
    let rows = format!("object_id,mjd,band,flux,flux_err\n{GOOD}");
    let survey = |ebv: &str, z: &str| raw(rows.as_bytes(), objects(ebv, z).as_bytes());
    for value in ["-9", "-99.0", "-999", "99", "999", "9999", "-0.999999"] {
        let (shards, report) = survey(value, value).read().unwrap();
        let all = &shards[0].0.objects;
        assert_eq!((all.ebv[0], all.redshift[0]), (None, None), "{value}");
        assert_eq!((all.ebv[2], all.redshift[2]), (Some(-0.002), Some(-0.01)));
        let odd = &report.catalogue.missing["ebv"];
        assert_eq!(
            (odd.count, odd.examples[0].value.as_str()),
            (1, format!("a: {value}").as_str())
        );
        let note = format!("read as missing: 1 of ebv (a: {value}), 1 of redshift (a: {value})");
        assert!(report.notes[1].ends_with(&note), "{:?}", report.notes);
    }
    let nulls = |word: &str| Value::map([("ebv", Value::Str(word.into()))]);
    let (curves, _) = survey("-9", "0.1").with("nulls", nulls("reject")).one();
    assert_eq!(curves.objects.object_id, ["b", "c"]);
    let error = survey("-9", "0.1").with("nulls", nulls("error")).error();
    assert!(
        error
            .message
            .contains("object `a` has impossible ebv: `-9`"),
        "{error}"
    );
}

#[test]
fn the_first_cause_comes_first() {
    let objects = "object_id;redshift\na;0,1\nb;0.2\nc;0.3\n";
    let rows = format!("object_id,mjd,band,flux,flux_err\n{GOOD}");
    let all = raw(rows.as_bytes(), objects.as_bytes());
    let error = all.with("max_rejected", Value::Float(0.5)).error();
    assert!(
        error.message.contains("object that was itself dropped"),
        "{error}"
    );
    assert!(
        error.help[0]
            .contains("redshift that is no number: the objects table:2: `0,1` (a decimal point"),
        "{:?}",
        error.help
    );
    let all = raw(rows.as_bytes(), objects.as_bytes());
    let error = all.with("max_rejected", Value::Float(0.1)).error();
    assert!(
        error
            .message
            .starts_with("the objects table: 1 of 3 objects"),
        "{error}"
    );

    let error = survey("a,1,lsst_g,1,1\n")
        .with("max_rejected", Value::Float(0.1))
        .error();
    assert_eq!(
        error.help,
        [
            "unknown band: lc.csv:2: `lsst_g`",
            "the bands of the pipeline are: g, r"
        ]
    );
}

#[test]
fn numbers_that_are_spelled_otherwise_are_told_apart() {
    for (here, there) in [("1.0", "1"), ("1", "1.0"), ("7", "007")] {
        let rows = format!("object_id,mjd,band,flux,flux_err\n{here},1,g,1,1\n");
        let objects = format!("object_id\n{there}\n");
        let all = raw(rows.as_bytes(), objects.as_bytes());
        let error = all.with("max_rejected", Value::Float(0.1)).error();
        assert!(
            error
                .message
                .contains("1 object that the objects table spells otherwise"),
            "{error}"
        );
        let help = format!("`{here}` is `{there}` in the objects table");
        assert!(error.help[1].starts_with(&help), "{:?}", error.help);
    }
    let rows = "object_id,mjd,band,flux,flux_err\n1.5,1,g,1,1\n";
    let error = raw(rows.as_bytes(), b"object_id\n1\n")
        .with("max_rejected", Value::Float(0.1))
        .error();
    assert!(
        error.message.contains("not in the objects table"),
        "{error}"
    );
}

#[test]
fn two_columns_of_one_name_are_refused() {
    for (curves, objects, table) in [
        (
            "object_id,mjd,band,flux,flux_err, flux\na,1,g,1,1,9\n",
            "object_id\na\n",
            "lc.csv",
        ),
        (
            "object_id,object_id,mjd,band,flux,flux_err\na,b,1,g,1,1\n",
            "object_id\na\n",
            "lc.csv",
        ),
        (
            "object_id,mjd,band,flux,flux_err\na,1,g,1,1\n",
            "object_id,ebv,ebv\na,1,2\n",
            "the objects table",
        ),
    ] {
        let error = raw(curves.as_bytes(), objects.as_bytes()).error();
        assert_eq!(error.code.as_str(), "flow::data::column_twice");
        assert!(
            error
                .message
                .starts_with(&format!("{table} has two columns")),
            "{error}"
        );
    }
    // A column that is not read does no harm.
    let spare = "object_id,mjd,band,flux,flux_err,,\na,1,g,1,1,,\n";
    assert!(raw(spare.as_bytes(), b"object_id\na\n").read().is_ok());
}

#[test]
fn light_curves_nest_in_several_ways() {
    use arrow_array::{ArrayRef, Float64Array, ListArray, StringArray, StructArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{Field, Schema};
    use std::sync::Arc;

    let bounds = || OffsetBuffer::from_lengths([2, 1]);
    let floats = |values: [f64; 3]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
    let flat: Vec<(&str, ArrayRef)> = vec![
        ("mjd", floats([1.0, 2.0, 5.0])),
        ("band", Arc::new(StringArray::from(vec!["g", "r", "g"]))),
        ("flux", floats([1.5, 2.5, 3.5])),
        ("flux_err", floats([0.1, 0.2, 0.3])),
    ];
    let list = |values: ArrayRef| -> ArrayRef {
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        Arc::new(ListArray::new(item, bounds(), values, None))
    };
    let structure = |columns: Vec<(&str, ArrayRef)>| -> ArrayRef {
        let fields = columns.into_iter().map(|(name, values)| {
            (
                Arc::new(Field::new(name, values.data_type().clone(), true)),
                values,
            )
        });
        Arc::new(StructArray::from(fields.collect::<Vec<_>>()))
    };
    let lists: Vec<(&str, ArrayRef)> = flat.iter().map(|(n, v)| (*n, list(v.clone()))).collect();
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let dir = flow_testkit::files::folder();
    let notes = std::cell::RefCell::new(Vec::new());
    let read = |columns: Vec<(&str, ArrayRef)>, name: Option<&str>| {
        let columns = [("object_id", ids.clone())].into_iter().chain(columns);
        let columns: Vec<(&str, ArrayRef)> = columns.collect();
        let fields = columns
            .iter()
            .map(|(n, v)| Field::new(*n, v.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, v)| v).collect();
        let batch = arrow_array::RecordBatch::try_new(schema.clone(), arrays).unwrap();
        let path = dir.path().join("c.parquet");
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let path = Value::Str(path.to_string_lossy().into_owned());
        let mut given = vec![("curves", path), ("bands", strs(&["g", "r"]))];
        if let Some(name) = name {
            let columns = Value::map([("lightcurve", Value::Str(name.into()))]);
            given.push(("columns", columns));
        }
        all(&params("parquet", &given), 1).map(|(mut shards, report)| {
            notes.replace(report.notes);
            shards.remove(0).0
        })
    };
    let plain = read(lists.clone(), None).unwrap();
    assert_eq!(
        (plain.get(0).time, plain.get(1).flux),
        (&[1.0, 2.0][..], &[3.5][..])
    );
    let of_lists = structure(lists);
    assert_eq!(
        read(vec![("lc", of_lists.clone())], Some("lc")).unwrap(),
        plain
    );
    let of_structs = list(structure(flat));
    assert_eq!(read(vec![("lightcurve", of_structs)], None).unwrap(), plain);
    // A file that brings its own objects is reported like an objects table.
    let ebv: ArrayRef = Arc::new(Float64Array::from(vec![-9.0, 0.1]));
    read(vec![("lc", of_lists.clone()), ("ebv", ebv)], Some("lc")).unwrap();
    assert_eq!(
        notes.borrow()[0],
        "impossible values were read as missing: 1 of ebv (a: -9)"
    );
    let error = read(vec![("lc", of_lists)], None).unwrap_err();
    assert!(
        error.help[0].ends_with("lightcurve = \"lc\""),
        "{:?}",
        error.help
    );
}

#[test]
fn floats_of_a_data_frame_are_the_numbers_that_were_meant() {
    use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;
    let dir = flow_testkit::files::folder();
    let path = dir.path().join("objects.parquet");
    let rows = "object_id,mjd,band,flux,flux_err\n1,1,g,1,1\n2,1,g,1,1\n";
    std::fs::write(dir.path().join("lc.csv"), rows).unwrap();
    let read = |ids: ArrayRef, labels: ArrayRef| {
        let batch =
            arrow_array::RecordBatch::try_from_iter([("object_id", ids), ("label", labels)]);
        let batch = batch.unwrap();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer =
            ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let text = |name: &str| Value::Str(dir.path().join(name).to_string_lossy().into_owned());
        let given = [
            ("curves", text("lc.csv")),
            ("objects", text("objects.parquet")),
            ("bands", strs(&["g"])),
            ("max_rejected", Value::Float(1.0)),
        ];
        all(&params("csv", &given), 1).map(|(mut shards, _)| shards.remove(0).0.objects)
    };
    let labels: ArrayRef = Arc::new(Float64Array::from(vec![90.0, f64::NAN]));
    let ids: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 2.0]));
    let objects = read(ids, labels.clone()).unwrap();
    assert_eq!(objects.label, [Some("90".into()), None]);
    assert_eq!(objects.object_id, ["1", "2"]);
    let large: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 9_007_199_254_740_994.0]));
    let error = read(large, labels.clone()).unwrap_err();
    assert!(
        error.message.contains("`object_id`") && error.message.contains("9007199254740994"),
        "{error}"
    );
    let large: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 16_777_220.0]));
    assert!(read(large, labels.clone()).is_err());
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![1, 9_007_199_254_740_993]));
    assert_eq!(read(whole, labels).unwrap().object_id, ["1"]);
    let words: ArrayRef = Arc::new(StringArray::from(vec!["NA", "Ia"]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    assert_eq!(read(ids, words).unwrap().label, [None, Some("Ia".into())]);
}
