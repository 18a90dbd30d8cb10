//! The record of a finished action: what it made, and by which recipe.

use crate::content::Recipe;
use crate::content::Value;
use crate::content::codec::{Cursor, DecodeError, put_bytes, put_varint};
use crate::content::{ActionKey, Digest};
use crate::records::segment::Payload;

/// Small facts about an output that planning needs without its bytes, such as rows, ids, slices and
/// metrics. A [`Value::Map`], or [`Value::Null`] if there are none.
pub type Attrs = Value;

/// A finished action.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The key of the recipe.
    pub key: ActionKey,
    /// What made it, and for whom. `None` if [`Store::find`](crate::Store::find) left this part on
    /// disk: a run keeps a record of every action and seldom needs it.
    pub provenance: Option<Box<Provenance>>,
    /// What it made, in the order of the kind's ports.
    pub outputs: Vec<Output>,
    /// Elapsed seconds.
    pub wall_s: f64,
    /// Seconds of CPU time, user and system. For child processes they are exact. Actions that run
    /// side by side in one process share its time in equal parts: the sum is right, and a single
    /// part is exact only if the action ran alone.
    pub cpu_s: f64,
    /// The most memory held at once, in bytes, by the child process of the action or else by the
    /// process that it ran in so far. 0 if it is not known.
    pub peak_rss: u64,
    /// Bytes of the artifacts and source files that it read. 0 if they are not known.
    pub read_bytes: u64,
    /// When it finished, in seconds since 1970 (UTC).
    pub finished_unix: u64,
    /// What its program printed. This is not a result: it may differ between two runs, and no hit
    /// needs it.
    pub log: Option<Box<Output>>,
}

/// What made a record, and for whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    /// What decided the result.
    pub recipe: Recipe,
    /// The stage that ran it first. This is a label for people and part of no key.
    pub stage: String,
    /// The action within the stage, such as `fit 0.3`. This is a label too.
    pub action: String,
    /// The pipeline that ran it first. This is a label too.
    pub pipeline: String,
}

/// An output of an action.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The port.
    pub name: String,
    /// The artifact.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Facts about it.
    pub attrs: Attrs,
}

/// The labels of a record. They come first, so that a scan need not decode the rest.
#[derive(Debug)]
pub(crate) struct RecordLabels<'a> {
    pub(crate) stage: &'a str,
    pub(crate) action: &'a str,
    /// The field `kind` of the recipe, or an empty text.
    pub(crate) kind: &'a str,
    pub(crate) finished_unix: u64,
    pub(crate) pipeline: &'a str,
}

/// The encoding that is written. The first one, which can still be read, had no memory, no bytes
/// read and no log.
const ENCODING: u8 = 2;

impl Record {
    /// What decided the result. Empty if it was left on disk.
    pub fn recipe(&self) -> &Recipe {
        static NONE: Recipe = Recipe::new();
        self.provenance.as_ref().map_or(&NONE, |p| &p.recipe)
    }

    /// [`Provenance::stage`]. Empty if it was left on disk.
    pub fn stage(&self) -> &str {
        self.provenance.as_ref().map_or("", |p| &p.stage)
    }

    /// [`Provenance::action`]. Empty if it was left on disk.
    pub fn action(&self) -> &str {
        self.provenance.as_ref().map_or("", |p| &p.action)
    }

    /// [`Provenance::pipeline`]. Empty if it was left on disk.
    pub fn pipeline(&self) -> &str {
        self.provenance.as_ref().map_or("", |p| &p.pipeline)
    }

    /// The least seconds that it takes to make it again: elapsed time if threads helped, else CPU
    /// time.
    pub fn cost_s(&self) -> f64 {
        self.wall_s.max(self.cpu_s)
    }

    /// The artifacts that it holds: its outputs, then its log.
    pub fn artifacts(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter().chain(self.log.as_deref())
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// Returns true if it has outputs of all these names. A record that somebody has made up may not.
    pub fn has<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> bool {
        let mut names = names.into_iter();
        names.all(|name| self.output(name.as_ref()).is_some())
    }

    /// The names of the outputs that differ in their bytes, or that only one record has.
    pub(crate) fn differing_outputs(&self, other: &Record) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (a, b) in [(self, other), (other, self)] {
            for output in &a.outputs {
                let same = b
                    .output(&output.name)
                    .is_some_and(|o| o.digest == output.digest);
                if !same && !names.contains(&output.name) {
                    names.push(output.name.clone());
                }
            }
        }
        names
    }

    /// The head of the payload of a row: everything but the key, which is in the header of the row,
    /// and the recipe.
    pub(crate) fn encode_head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.push(ENCODING);
        put_bytes(&mut out, self.stage().as_bytes());
        put_bytes(&mut out, self.action().as_bytes());
        let kind = self.recipe().get("kind");
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        put_bytes(&mut out, kind.as_bytes());
        put_varint(&mut out, self.finished_unix);
        put_bytes(&mut out, self.pipeline().as_bytes());
        out.extend_from_slice(&self.wall_s.to_le_bytes());
        out.extend_from_slice(&self.cpu_s.to_le_bytes());
        put_varint(&mut out, self.peak_rss);
        put_varint(&mut out, self.read_bytes);
        put_varint(&mut out, self.outputs.len() as u64);
        self.outputs.iter().for_each(|o| o.encode_to(&mut out));
        out.push(u8::from(self.log.is_some()));
        self.log.iter().for_each(|log| log.encode_to(&mut out));
        out
    }

    /// The record in a row's payload.
    pub(crate) fn decode(key: ActionKey, payload: Payload<'_>) -> Result<Self, DecodeError> {
        let (mut record, labels, rest) = Self::decode_head(key, payload.head)?;
        let recipe = match payload.recipe {
            Some(recipe) if rest.is_empty() => Recipe::decode(recipe)?,
            Some(_) => return Err(DecodeError("bytes follow the end")),
            None => Recipe::decode(rest)?,
        };
        if recipe.key() != key {
            return Err(DecodeError("the recipe does not give the key"));
        }
        record.provenance = Some(Box::new(Provenance {
            recipe,
            stage: labels.stage.to_owned(),
            action: labels.action.to_owned(),
            pipeline: labels.pipeline.to_owned(),
        }));
        Ok(record)
    }

    /// The record in the payload of a row without its labels and its recipe. The recipe is neither
    /// read nor checked.
    pub(crate) fn decode_result(key: ActionKey, payload: Payload<'_>) -> Result<Self, DecodeError> {
        Ok(Self::decode_head(key, payload.head)?.0)
    }

    /// The record without labels and recipe, then the labels, then the rest of the head.
    fn decode_head(
        key: ActionKey,
        head: &[u8],
    ) -> Result<(Self, RecordLabels<'_>, &[u8]), DecodeError> {
        let mut cursor = Cursor::new(head);
        let encoding = encoding(&mut cursor)?;
        let labels = RecordLabels::decode_from(&mut cursor)?;
        let wall_s = f64::from_le_bytes(cursor.array()?);
        let cpu_s = f64::from_le_bytes(cursor.array()?);
        let (peak_rss, read_bytes) = match encoding {
            1 => (0, 0),
            _ => (cursor.varint()?, cursor.varint()?),
        };
        let count = cursor.count()?;
        // A run keeps one of these for every action. Few have more than a handful of outputs, and a
        // wrong count must not allocate much.
        let mut outputs = Vec::with_capacity(count.min(8));
        for _ in 0..count {
            outputs.push(Output::decode_from(&mut cursor)?);
        }
        let has_log = encoding > 1 && cursor.flag()?;
        let log = has_log.then(|| Output::decode_from(&mut cursor));
        let log = log.transpose()?.map(Box::new);
        let record = Self {
            key,
            provenance: None,
            outputs,
            wall_s,
            cpu_s,
            peak_rss,
            read_bytes,
            finished_unix: labels.finished_unix,
            log,
        };
        Ok((record, labels, cursor.rest()))
    }
}

impl Output {
    fn encode_to(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.name.as_bytes());
        out.extend_from_slice(self.digest.as_bytes());
        put_varint(out, self.size);
        self.attrs.encode_to(out);
    }

    fn decode_from(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: cursor.text()?.to_owned(),
            digest: Digest::from_bytes(cursor.array()?),
            size: cursor.varint()?,
            attrs: Value::decode_from(cursor, 0)?,
        })
    }
}

/// The encoding of a payload, its first byte.
fn encoding(cursor: &mut Cursor<'_>) -> Result<u8, DecodeError> {
    match cursor.byte()? {
        known @ 1..=ENCODING => Ok(known),
        _ => Err(DecodeError("unknown encoding of a record")),
    }
}

impl<'a> RecordLabels<'a> {
    pub(crate) fn decode(payload: Payload<'a>) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(payload.head);
        encoding(&mut cursor)?;
        Self::decode_from(&mut cursor)
    }

    fn decode_from(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            stage: cursor.text()?,
            action: cursor.text()?,
            kind: cursor.text()?,
            finished_unix: cursor.varint()?,
            pipeline: cursor.text()?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::content::recipe::tests::any_recipe;
    use crate::content::value::tests::any_value;
    use proptest::prelude::*;

    fn any_output() -> impl Strategy<Value = Output> {
        let parts = (".{0,5}", any::<[u8; 32]>(), any::<u64>(), any_value());
        parts.prop_map(|(name, digest, size, attrs)| Output {
            name,
            digest: Digest::from_bytes(digest),
            size,
            attrs,
        })
    }

    fn any_record() -> impl Strategy<Value = Record> {
        (
            any_recipe(),
            prop::collection::vec(any_output(), 0..3),
            prop::option::of(any_output()),
            (".{0,8}", ".{0,8}", ".{0,8}"),
            (0.0..1e9f64, 0.0..1e9f64),
            any::<[u64; 3]>(),
        )
            .prop_map(|(recipe, outputs, log, labels, seconds, figures)| Record {
                key: recipe.key(),
                provenance: Some(Box::new(Provenance {
                    recipe,
                    stage: labels.0,
                    action: labels.1,
                    pipeline: labels.2,
                })),
                outputs,
                wall_s: seconds.0,
                cpu_s: seconds.1,
                peak_rss: figures[0],
                read_bytes: figures[1],
                finished_unix: figures[2],
                log: log.map(Box::new),
            })
    }

    proptest! {
        #[test]
        fn encoding_round_trips(record in any_record()) {
            let (head, recipe) = (record.encode_head(), record.recipe().encode());
            let payload = Payload { head: &head, recipe: Some(&recipe) };
            let result = Record::decode_result(record.key, payload).unwrap();
            let bare = Record { provenance: None, ..record.clone() };
            prop_assert_eq!(result, bare);
            prop_assert_eq!(Record::decode(record.key, payload).unwrap(), record);
        }

        #[test]
        fn the_first_encoding_is_still_read(record in any_record()) {
            let record = Record { peak_rss: 0, read_bytes: 0, log: None, ..record };
            let mut old = vec![1];
            put_bytes(&mut old, record.stage().as_bytes());
            put_bytes(&mut old, record.action().as_bytes());
            put_bytes(&mut old, b"");
            put_varint(&mut old, record.finished_unix);
            put_bytes(&mut old, record.pipeline().as_bytes());
            old.extend_from_slice(&record.wall_s.to_le_bytes());
            old.extend_from_slice(&record.cpu_s.to_le_bytes());
            put_varint(&mut old, record.outputs.len() as u64);
            record.outputs.iter().for_each(|o| o.encode_to(&mut old));
            record.recipe().encode_to(&mut old);
            let payload = Payload { head: &old, recipe: None };
            prop_assert!(RecordLabels::decode(payload).is_ok());
            prop_assert!(Record::decode_result(record.key, payload).is_ok());
            prop_assert_eq!(Record::decode(record.key, payload).unwrap(), record);
        }

        #[test]
        fn damaged_payloads_never_panic(record in any_record(), at: prop::sample::Index, xor: u8) {
            let (mut head, mut recipe) = (record.encode_head(), record.recipe().encode());
            let at = at.index(head.len() + recipe.len());
            let in_recipe = at.checked_sub(head.len());
            match in_recipe {
                Some(at) => recipe[at] ^= xor,
                None => head[at] ^= xor,
            }
            let payload = Payload { head: &head, recipe: Some(&recipe) };
            let decoded = Record::decode(record.key, payload);
            prop_assert!(in_recipe.is_none() || xor == 0 || decoded.is_err());
            let _ = Record::decode(record.key, Payload { head: &head, recipe: None });
            let cut = &head[..at.min(head.len())];
            let _ = Record::decode(record.key, Payload { head: cut, recipe: Some(&recipe) });
        }
    }
}
