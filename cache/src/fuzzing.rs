//! What `fuzz/` and `tests/fuzz.rs` need of the inside of this crate. It is behind the feature
//! `testing`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::content::Recipe;
use crate::content::Value;
use crate::content::{ActionKey, Digest};
use crate::records::record::{Record, RecordLabels};
use crate::records::segment::{FILE_MAGIC, FileWindow, Payload, RowId, put_row, scan};

/// A segment of a few records that have every part a record can have.
pub fn example() -> Vec<u8> {
    let mut bytes = FILE_MAGIC.to_vec();
    for n in 0..4u32 {
        let record = example_record(n);
        let (head, recipe) = (record.encode_head(), record.recipe().encode());
        let _ = put_row(&mut bytes, row_id(record.key, n), &head, &recipe);
    }
    bytes
}

fn row_id(key: ActionKey, n: u32) -> RowId {
    RowId {
        key,
        generation: n,
        stamp: u64::from(n),
    }
}

fn example_record(n: u32) -> Record {
    let digest = Digest::of(&n.to_le_bytes());
    let mut recipe = Recipe::new();
    recipe.push("kind", "example");
    let values = [
        Value::Null,
        Value::Bool(true),
        Value::Float(0.5),
        Value::Digest(digest),
    ];
    recipe.push("params", Value::map([("n", Value::from(n))]));
    recipe.push("inputs", Value::List(values.to_vec()));
    let output = |name: &str| crate::Output {
        name: name.to_owned(),
        digest,
        size: 1 << n,
        attrs: Value::map([("rows", n)]),
    };
    Record {
        key: recipe.key(),
        provenance: Some(Box::new(crate::Provenance {
            recipe,
            stage: "stage".to_owned(),
            action: format!("run {n}"),
            pipeline: "pipeline".to_owned(),
        })),
        outputs: vec![output("one"), output("two")],
        wall_s: 1.5,
        cpu_s: 0.5,
        peak_rss: 1 << 20,
        read_bytes: 300,
        finished_unix: 1_700_000_000,
        log: n.is_multiple_of(2).then(|| Box::new(output("log"))),
    }
}

/// Decodes a payload as each kind of row has it. If it can be decoded, encoding it gives the same
/// bytes.
pub fn payload(bytes: &[u8]) {
    let key = ActionKey(Digest::of(b"any"));
    for split in 0..=bytes.len().min(600) {
        let (head, recipe) = bytes.split_at(split);
        let payload = Payload {
            head,
            recipe: Some(recipe),
        };
        let _ = RecordLabels::decode(payload);
        let _ = Record::decode(key, payload);
        if let Ok(record) = Record::decode_result(key, payload) {
            let again = record.encode_head();
            let payload = Payload {
                head: &again,
                recipe: None,
            };
            let decoded = Record::decode_result(key, payload);
            let again_again = decoded.map(|record| record.encode_head());
            assert_eq!(again_again.as_ref(), Ok(&again));
        }
        if let Ok(recipe) = Recipe::decode(recipe) {
            assert_eq!(Recipe::decode(&recipe.encode()).as_ref(), Ok(&recipe));
        }
    }
    let all = Payload {
        head: bytes,
        recipe: None,
    };
    let _ = Record::decode(key, all);
}

/// Scans a segment, reads each row, and appends one as a writer does. Whoever goes on scanning and
/// whoever starts anew both find the new row, and no earlier row is lost.
pub fn segment(scratch: &File, bytes: &[u8]) -> std::io::Result<()> {
    let write = |bytes: &[u8], at: u64| scratch.write_all_at(bytes, at);
    let rows = |from: u64| {
        let length = scratch.metadata()?.len();
        let mut found = Vec::new();
        let mut window = FileWindow::default();
        let scanned = scan(scratch, from, length, &mut window, |at, row| {
            found.push((at, row.key));
        })?;
        assert!(scanned.end <= length);
        std::io::Result::Ok((found, scanned.end))
    };
    scratch.set_len(0)?;
    write(bytes, 0)?;
    let (before, end) = rows(0)?;
    let mut window = FileWindow::default();
    for (at, key) in &before {
        if let Some((row, payload)) = window.row(scratch, *at)? {
            assert_eq!(row.key, *key);
            let _ = Record::decode(row.key, payload);
        }
    }

    scratch.set_len(end)?;
    let record = example_record(9);
    let mut appended = Vec::new();
    if end == 0 {
        appended.extend_from_slice(FILE_MAGIC);
    }
    let at = end + appended.len() as u64;
    let (head, recipe) = (record.encode_head(), record.recipe().encode());
    let _ = put_row(&mut appended, row_id(record.key, 0), &head, &recipe);
    write(&appended, end)?;
    let after = end + appended.len() as u64;
    assert_eq!(rows(end)?, (vec![(at, record.key)], after));
    let whole: Vec<_> = before.into_iter().chain([(at, record.key)]).collect();
    assert_eq!(rows(0)?, (whole, after));
    let read = window.row(scratch, at)?;
    assert!(read.is_none_or(|(row, payload)| Record::decode(row.key, payload) == Ok(record)));
    Ok(())
}
