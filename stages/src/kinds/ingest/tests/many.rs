//! What holds for surveys of any size: ids are told apart although they are not held.

use super::*;
use crate::kinds::ingest::ids::tests::with_few_hashes;

/// A survey of 40 objects in four files; every fifth has no light curve, and every seventh no usable observation.
fn sample() -> Sample {
    let all = raw(b"", b"");
    let mut objects = String::from("object_id,label,split\n");
    for i in 0..40 {
        let label = ["Ia", "II", ""][i % 3];
        objects += &format!("o{i},{label},s{}\n", i % 2);
    }
    all.write("objects.csv", &objects);
    std::fs::remove_file(all.dir.path().join("lc.csv")).unwrap();
    for file in 0..4 {
        let mut rows = String::from("object_id,mjd,band,flux,flux_err\n");
        for i in (file..40).step_by(4).filter(|i| i % 5 != 0) {
            let flux = if i % 7 == 0 { "" } else { "1" };
            rows += &format!("o{i},1,g,{flux},1\no{i},2,r,{flux},1\n");
        }
        all.write(&format!("lc{file}.csv"), &rows);
    }
    all
}

impl Sample {
    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    fn add(&self, file: &str, row: &str) {
        let path = self.dir.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + row).unwrap();
    }
}

/// Reads a survey with hashes that tell all ids apart and with some that tell hardly any apart, which must not make a
/// difference.
fn both(all: &Sample) -> Result<(Vec<(Curves, ShardReport)>, report::IngestReport), StageError> {
    let (usual, narrow) = (all.read(), with_few_hashes(|| all.read()));
    match (&usual, &narrow) {
        (Ok((shards, report)), Ok((narrow_shards, narrow_report))) => {
            assert_eq!(report, narrow_report);
            for ((curves, part), (narrow_curves, narrow_part)) in shards.iter().zip(narrow_shards) {
                assert_eq!(curves, narrow_curves);
                assert_eq!(part.unusable, narrow_part.unusable);
            }
        }
        (Err(usual), Err(narrow)) => assert_eq!(usual.message, narrow.message),
        _ => panic!("{usual:?}\n{narrow:?}"),
    }
    usual
}

#[test]
fn objects_that_are_left_out_are_counted_by_hashes() {
    let (shards, report) = both(&sample()).unwrap();
    let kept = (0..40).filter(|i| i % 5 != 0 && i % 7 != 0).count();
    assert_eq!(report.objects, kept as u64);
    let found: usize = shards.iter().map(|(curves, _)| curves.len()).sum();
    assert_eq!(found, kept);
    let without = &report.without_light_curve;
    assert_eq!((without.count, without.by_split["s1"]), (8, 4));
    assert_eq!(without.examples, ["o0", "o10", "o15"]);
    assert_eq!(report.unusable.count, 4);
    assert_eq!(report.unusable.examples, ["o14", "o21", "o28"]);
}

#[test]
fn an_object_in_two_files_is_found_whatever_its_hash() {
    let all = sample();
    all.add("lc3.csv", "o18,1,g,1,1\n");
    all.add("lc3.csv", "o13,1,g,1,1\n");
    let error = both(&all).unwrap_err();
    assert_eq!(
        error.message,
        "object `o13` has observations in lc1.csv and in lc3.csv"
    );
}

#[test]
fn an_object_is_usable_if_one_file_has_observations_of_it() {
    let all = sample();
    // It has no usable observation in lc2.csv, and now none in lc0.csv either, but one in lc3.csv.
    all.add("lc0.csv", "o14,1,g,,1\no21,1,g,,1\n");
    all.add("lc3.csv", "o14,1,g,1,1\n");
    let (_, report) = both(&all).unwrap();
    assert_eq!(report.unusable.count, 3);
    assert_eq!(report.unusable.examples, ["o21", "o28", "o7"]);
    assert_eq!(report.without_light_curve.count, 8);
}

#[test]
fn an_object_that_is_listed_twice_is_found_in_every_shard() {
    let all = sample();
    all.add("objects.csv", "new,Ia,s0\no5,Ia,s0\n");
    let error = both(&all).unwrap_err();
    assert_eq!(
        error.message,
        "the objects table:43: object `o5` is listed a second time"
    );
    // The first cause comes first, even if it was found last.
    let nulls = Value::map([("label", Value::Str("error".into()))]);
    let error = both(&all.with("nulls", nulls)).unwrap_err();
    assert!(error.message.contains("object `o2` has empty label"));
}
