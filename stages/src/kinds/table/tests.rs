use super::*;
use crate::kinds::ingest::tests::fill;

fn csv(text: &str, given: &[(&str, Value)]) -> Result<FeatureTable, StageError> {
    let file = flow_testkit::files::file_of(text);
    read(
        file.path(),
        "csv",
        &TableParams::read(&fill(&TableParams::specs(), given)),
    )
}

#[test]
fn a_csv_is_a_table_by_object() {
    let table = csv("\u{feff}object_id,a,b\r\ny,1,\r\nx,3,4\r\n", &[]).unwrap();
    assert_eq!(table.object_ids(), ["x", "y"]);
    assert_eq!(table.row(0), [3.0, 4.0]);
    assert!(table.row(1)[1].is_nan());
    let only = Value::List(vec![Value::Str("b*".into())]);
    assert_eq!(
        csv("object_id,a,b\nx,1,2\n", &[("columns", only)])
            .unwrap()
            .columns(),
        ["b"]
    );
}

#[test]
fn each_mistake_is_named() {
    let none = Value::List(vec![Value::Str("z*".into())]);
    for (text, given, message) in [
        ("id,a\nx,1\n", vec![], "no column `object_id`"),
        (
            "object_id,a\nx,one\n",
            vec![],
            "line 2: `one` in column `a`",
        ),
        ("object_id,a\nx,1\nx,2\n", vec![], "object `x` twice"),
        (
            "object_id,a\nx,1,2\n",
            vec![],
            "line 2 of the table has 3 fields, where its header has 2",
        ),
        ("object_id,a\n", vec![], "no rows"),
        (
            "object_id,a\nx,\n",
            vec![("on_missing", Value::Str("error".into()))],
            "no value of `a`",
        ),
        ("object_id,a\nx,1\n", vec![("columns", none)], "like `z*`"),
    ] {
        let error = csv(text, &given).unwrap_err();
        assert!(error.message.contains(message), "{message}: {error}");
    }
}

#[test]
fn words_and_numbers_of_a_csv_are_taken_as_they_are_meant() {
    let table = csv("object_id;a;b\r\nx;NA;null\r\ny;2;n/a\r\n", &[]).unwrap();
    assert!(table.row(0).iter().all(|v| v.is_nan()));
    assert_eq!((table.row(1)[0], table.notes().len()), (2.0, 0));
    let error = csv("object_id,a\nx,1\nNA,2\n", &[]).unwrap_err();
    assert!(
        error
            .message
            .contains("line 3 of the table has no value in `object_id`"),
        "{error}"
    );
    let error = csv("object_id,a\nx,1\ny,4e38\n", &[]).unwrap_err();
    assert!(
        error.message.contains("line 3 of the table (object `y`)"),
        "{error}"
    );
    assert!(error.message.contains("column `a` is 4e38"), "{error}");
    let error = csv("object_id,a\nx,-inf\n", &[]).unwrap_err();
    assert!(error.message.contains("is infinite"), "{error}");
    let table = csv("object_id,jd\nx,2459000.1\ny,2459000.2\n", &[]).unwrap();
    assert!(table.notes()[0].contains("`jd`"), "{:?}", table.notes());
    assert!(csv("object_id,object_id,a\nx,y,1\n", &[]).is_err());
}

/// An npz file of arrays: name, type, shape, data.
fn npz(arrays: &[(&str, &str, &str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, descr, shape, data) in arrays {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive
            .write_all(&(head.len() as u16).to_le_bytes())
            .unwrap();
        archive.write_all(head.as_bytes()).unwrap();
        archive.write_all(data).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn read_npz_of(bytes: &[u8]) -> Result<FeatureTable, StageError> {
    let file = flow_testkit::files::file_of(bytes);
    read(
        file.path(),
        "npz",
        &TableParams::read(&fill(&TableParams::specs(), &[])),
    )
}

fn bytes<const N: usize>(values: &[[u8; N]]) -> Vec<u8> {
    values.concat()
}

#[test]
fn ids_of_an_npz_are_exact() {
    let x: (&str, &str, &str, &[u8]) = ("x", "|u1", "(2,)", &[1, 2]);
    let ids =
        |descr: &str, data: &[u8]| read_npz_of(&npz(&[("object_id", descr, "(2,)", data), x]));
    let large = [313_000_000_000_000_007_i64, 313_000_000_000_000_006];
    let table = ids("<i8", &bytes(&large.map(i64::to_le_bytes))).unwrap();
    assert_eq!(
        table.object_ids(),
        ["313000000000000006", "313000000000000007"]
    );
    assert_eq!(table.row(0), [2.0]);
    let table = ids("<u8", &bytes(&[u64::MAX, 1].map(u64::to_le_bytes))).unwrap();
    assert_eq!(table.object_ids(), ["1", "18446744073709551615"]);
    let table = ids(
        "<f8",
        &bytes(&[9_007_199_254_740_992.0, 3.0].map(f64::to_le_bytes)),
    )
    .unwrap();
    assert_eq!(table.object_ids(), ["3", "9007199254740992"]);
    let error = ids(
        "<f8",
        &bytes(&[3.0, 9_007_199_254_740_994.0].map(f64::to_le_bytes)),
    )
    .unwrap_err();
    assert!(error.message.contains("row 2 of the table"), "{error}");
    let error = ids("<f8", &bytes(&[3.0, f64::NAN].map(f64::to_le_bytes))).unwrap_err();
    assert!(
        error.message.contains("row 2 of the table has no value"),
        "{error}"
    );
    let error = ids("|S2", b"x\0NA").unwrap_err();
    assert!(
        error.message.contains("row 2 of the table has no value"),
        "{error}"
    );
}

#[test]
fn an_npz_that_claims_more_than_it_holds_is_refused() {
    let ids: (&str, &str, &str, &[u8]) = ("object_id", "|S1", "(1,)", b"a");
    for (arrays, message) in [
        (
            [
                ("object_id", "<U2", "(0,)", &[][..]),
                ("x", "<f8", "(0, 1000000000)", &[][..]),
            ],
            "no rows",
        ),
        (
            [ids, ("x", "<f8", "(1, 1000000000)", &[][..])],
            "is cut off",
        ),
        (
            [
                ("object_id", "|S0", "(1000000000000,)", &[][..]),
                ("x", "|u1", "(1,)", &[1][..]),
            ],
            "of no bytes",
        ),
        (
            [ids, ("x", "<U4611686018427387904", "(4,)", &[][..])],
            "has the type",
        ),
    ] {
        let error = read_npz_of(&npz(&arrays)).unwrap_err();
        assert!(error.message.contains(message), "{message}: {error}");
    }
    let two = npz(&[
        ids,
        ("xx", "|u1", "(1,)", &[1]),
        ("xy", "|u1", "(1,)", &[2]),
    ]);
    let at = |i: usize| two[i..].starts_with(b"xy.npy");
    let mut same = two.clone();
    for i in (0..two.len()).filter(|&i| at(i)) {
        same[i + 1] = b'x';
    }
    assert_eq!(read_npz_of(&two).unwrap().columns(), ["xx", "xy"]);
    assert_eq!(
        read_npz_of(&same).unwrap_err().code.as_str(),
        "flow::data::column_twice"
    );
}

#[test]
fn an_npz_is_a_table_too() {
    let arrays: [(&str, &str, &str, &[u8]); 2] = [
        ("object_id", "|S1", "(2,)", b"ba"),
        ("m", "|u1", "(2, 2)", &[1, 2, 3, 4]),
    ];
    let table = read_npz_of(&npz(&arrays)).unwrap();
    assert_eq!(table.columns(), ["m_0", "m_1"]);
    assert_eq!(table.object_ids(), ["a", "b"]);
    assert_eq!(table.row(0), [3.0, 4.0]);
}
