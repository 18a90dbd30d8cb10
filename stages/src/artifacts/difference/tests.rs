use super::*;
use crate::table::TensorWriter;
use arrow_array::{Float64Array, Int64Array, ListArray, StringArray};
use flow_testkit::files::file_of;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

fn between(old: &[u8], new: &[u8]) -> ArtifactDifference {
    compare(file_of(old).path(), file_of(new).path()).unwrap()
}

/// Returns a number that lies `ulps` floating-point steps further from zero.
fn further(x: f64, ulps: u64) -> f64 {
    f64::from_bits(x.to_bits() + ulps)
}

/// A table of ids, counts, a nullable column of floats and a column of lists.
fn table(ids: [&str; 3], count: i64, x: f64, nested: f64, rows_a_group: usize) -> Vec<u8> {
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(1.0)]),
        Some(vec![]),
        Some(vec![Some(f64::NAN), Some(nested)]),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("object_id", Arc::new(StringArray::from(ids.to_vec()))),
        ("n", Arc::new(Int64Array::from(vec![1, count, 3]))),
        (
            "p",
            Arc::new(Float64Array::from(vec![None, Some(0.5), Some(x)])),
        ),
        ("flux", Arc::new(lists)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows_a_group))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

const IDS: [&str; 3] = ["a", "b", "c"];

#[test]
fn tables_are_as_far_apart_as_their_floats() {
    let old = table(IDS, 2, 0.25, 7.0, 3);
    let new = table(IDS, 2, further(0.25, 3), further(7.0, 2), 3);
    let ArtifactDifference::Floats { ulps, place } = between(&old, &new) else {
        panic!("floats alone differ")
    };
    assert_eq!(ulps, 3);
    assert!(
        place.starts_with("`p`, 0.25 and 0.25000000000000017"),
        "{place}"
    );
    // The comparison looks within lists too.
    let ArtifactDifference::Floats { ulps, place } =
        between(&old, &table(IDS, 2, 0.25, further(7.0, 9), 3))
    else {
        panic!("floats alone differ")
    };
    assert!((ulps, place.starts_with("`flux`")) == (9, true), "{place}");
    // Another division into row groups is only another encoding of the same table.
    let same = ArtifactDifference::Floats {
        ulps: 0,
        place: String::new(),
    };
    assert_eq!(between(&old, &table(IDS, 2, 0.25, 7.0, 2)), same);
}

#[test]
fn tables_that_differ_in_more_are_different() {
    let old = table(IDS, 2, 0.25, 7.0, 3);
    let other = |new: &[u8]| match between(&old, new) {
        ArtifactDifference::Other(text) => text,
        found => panic!("{found:?}"),
    };
    let order = other(&table(["b", "a", "c"], 2, 0.25, 7.0, 3));
    assert_eq!(order, "`object_id` differs within rows 0 to 2");
    assert_eq!(
        other(&table(IDS, 9, 0.25, 7.0, 3)),
        "`n` differs within rows 0 to 2"
    );
    for missing in [f64::NAN, f64::INFINITY] {
        assert_eq!(
            other(&table(IDS, 2, missing, 7.0, 3)),
            "`p` differs within rows 0 to 2"
        );
    }
    let mut cut = old.clone();
    cut.truncate(old.len() / 2);
    assert!(other(&cut).starts_with(&format!("{} and {} bytes", old.len(), cut.len())));
}

#[test]
fn tensors_are_tables() {
    let tensor = |name: &str, last: f32, rows: usize| {
        let mut writer = TensorWriter::new(Vec::new(), name, &[2], Vec::new()).unwrap();
        let values = [1.0, -0.0, 3.0, last];
        writer.push(&IDS[..rows], &values[..rows * 2]).unwrap();
        writer.finish().unwrap()
    };
    let old = tensor("grid", 4.0, 2);
    let new = tensor("grid", f32::from_bits(4f32.to_bits() + 1), 2);
    let ArtifactDifference::Floats { ulps: 1, place } = between(&old, &new) else {
        panic!("one step apart")
    };
    assert!(place.starts_with("`grid`, 4.0 and 4.0000005"), "{place}");
    let other = |text: &str| ArtifactDifference::Other(text.to_owned());
    assert_eq!(
        between(&old, &tensor("x", 4.0, 2)),
        other("the schemas differ")
    );
    assert_eq!(
        between(&old, &tensor("grid", 4.0, 1)),
        other("the numbers of rows differ")
    );
}

#[test]
fn documents_are_as_far_apart_as_their_numbers() {
    let old = br#"{"f1": {"pooled": 0.5, "folds": [0.25, null]}, "n": 3}"#;
    let new = br#"{"n": 3, "f1": {"pooled": 0.5, "folds": [0.75, null]}}"#;
    let difference = ArtifactDifference::Numbers {
        largest: 0.5,
        place: "f1.folds.0".to_owned(),
    };
    assert_eq!(between(old, new), difference);
    let longer = br#"{"n": 3, "f1": {"pooled": 0.5, "folds": [0.75]}}"#;
    assert!(matches!(between(old, longer), ArtifactDifference::Other(_)));
}

#[test]
fn other_files_differ_from_a_byte_on() {
    let other = |text: &str| ArtifactDifference::Other(text.to_owned());
    assert_eq!(
        between(b"abc", b"abd"),
        other("3 bytes, which differ from byte 2 on")
    );
    assert_eq!(
        between(b"ab", b"abcd"),
        other("2 and 4 bytes, which differ from byte 2 on")
    );
}

#[test]
fn distances_count_the_steps_between_numbers() {
    let apart = |a, b| distance_f64(Some(a), Some(b));
    assert_eq!(apart(0.0, -0.0), Some(0));
    assert_eq!(apart(f64::from_bits(1), -f64::from_bits(2)), Some(3));
    assert_eq!(apart(1.0, further(1.0, 1)), Some(1));
    assert_eq!(apart(f64::NAN, -f64::NAN), Some(0));
    assert_eq!(apart(f64::INFINITY, f64::MAX), None);
    assert_eq!(distance_f64(None, Some(0.0)), None);
    assert_eq!(distance_f32(Some(-1.0), Some(-1.000_000_1)), Some(1));
    assert_eq!(
        distance_f32(Some(f32::INFINITY), Some(f32::INFINITY)),
        Some(0)
    );
}
