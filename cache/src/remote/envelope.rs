//! The two kinds of objects in a remote, as bytes: a record in its envelope, and an artifact behind
//! its header.
//!
//! ```text
//! record   = "flow-record 1\n" head recipe writer signed? check      (bytes behind their length)
//! signed   = 0 | 1 public key [32] signature [64]
//! check    = BLAKE3 of all before it [32]
//! artifact = "flow-artifact 1 raw \n" | "flow-artifact 1 zstd\n", then bytes
//! ```
//!
//! The signature covers everything before it. The check finds damage and stops nobody who wants to
//! deceive: that is what signatures are for.

use std::io::{self, Write};

use super::error::harmless;
use super::trust::{PublicKey, Signature, SigningKey};
use crate::content::codec::{Cursor, DecodeError, put_bytes};
use crate::content::{ActionKey, Digest};
use crate::records::record::Record;
use crate::records::segment::Payload;
use crate::store::staging::{ArtifactWriter, Staged};

const RECORD: &[u8] = b"flow-record 1\n";
const RAW: &[u8; 21] = b"flow-artifact 1 raw \n";
const ZSTD: &[u8; 21] = b"flow-artifact 1 zstd\n";
const CHECK: usize = 32;

/// A record as a remote has it.
pub(super) struct Envelope<'a> {
    payload: Payload<'a>,
    /// Who wrote it there, as the writer says.
    pub(super) writer: &'a str,
    /// What the signature covers.
    pub(super) body: &'a [u8],
    pub(super) signature: Option<Signature>,
}

/// The bytes of a record.
pub(super) fn seal(record: &Record, writer: &str, key: Option<&SigningKey>) -> Vec<u8> {
    let mut out = RECORD.to_vec();
    put_bytes(&mut out, &record.encode_head());
    put_bytes(&mut out, &record.recipe().encode());
    put_bytes(&mut out, writer.as_bytes());
    match key.map(|key| key.sign(&out)) {
        None => out.push(0),
        Some(signature) => {
            out.push(1);
            out.extend_from_slice(&signature.by.0);
            out.extend_from_slice(&signature.bytes);
        }
    }
    let check = Digest::of(&out);
    out.extend_from_slice(check.as_bytes());
    out
}

/// Reads what [`seal`] wrote, except for the record, so that nobody need decode one whose signature is
/// wrong.
pub(super) fn open(bytes: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let end = bytes.len().saturating_sub(CHECK);
    let (checked, check) = bytes.split_at(end);
    if Digest::of(checked).as_bytes() != check {
        return Err(DecodeError("the bytes are not those that were written"));
    }
    let rest = checked.strip_prefix(RECORD);
    let mut cursor = Cursor::new(rest.ok_or(DecodeError("unknown format of a record"))?);
    let (head, recipe) = (cursor.bytes()?, cursor.bytes()?);
    let writer = cursor.text()?;
    let body = &checked[..checked.len() - cursor.rest().len()];
    let signature = match cursor.flag()? {
        false => None,
        true => Some(Signature {
            by: PublicKey(cursor.array()?),
            bytes: cursor.array()?,
        }),
    };
    cursor.end()?;
    let payload = Payload {
        head,
        recipe: Some(recipe),
    };
    Ok(Envelope {
        payload,
        writer,
        body,
        signature,
    })
}

impl Envelope<'_> {
    /// The record, which has to be that of `key`. Its labels are as people may see them.
    pub(super) fn record(&self, key: ActionKey) -> Result<Record, DecodeError> {
        let mut record = Record::decode(key, self.payload)?;
        if let Some(labels) = &mut record.provenance {
            for label in [&mut labels.stage, &mut labels.action, &mut labels.pipeline] {
                *label = harmless(label);
            }
        }
        Ok(record)
    }
}

/// The header of an artifact.
pub(super) fn header(compressed: bool) -> &'static [u8] {
    if compressed { ZSTD } else { RAW }
}

/// Takes the bytes of an artifact out of its object while they arrive.
pub(super) struct Unpack {
    state: State,
}

enum State {
    /// So much of the header.
    Header(Vec<u8>, ArtifactWriter),
    Raw(ArtifactWriter),
    Zstd(Box<zstd::stream::write::Decoder<'static, ArtifactWriter>>),
    /// It failed, and said so.
    Failed,
}

impl Unpack {
    pub(super) fn new(to: ArtifactWriter) -> Self {
        Self {
            state: State::Header(Vec::new(), to),
        }
    }

    /// Takes the next bytes of the object.
    ///
    /// # Errors
    /// The bytes are no artifact (`InvalidData`), or the store failed.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Header(mut header, to) => {
                let missing = (RAW.len() - header.len()).min(bytes.len());
                header.extend_from_slice(&bytes[..missing]);
                self.state = match header.as_slice() {
                    header if header == RAW => State::Raw(to),
                    header if header == ZSTD => {
                        State::Zstd(Box::new(zstd::stream::write::Decoder::new(to)?))
                    }
                    header if header.len() < RAW.len() => State::Header(header.to_vec(), to),
                    _ => return Err(io::ErrorKind::InvalidData.into()),
                };
                match missing < bytes.len() {
                    true => self.put(&bytes[missing..]),
                    false => Ok(()),
                }
            }
            State::Raw(mut to) => {
                to.write_all(bytes)?;
                self.state = State::Raw(to);
                Ok(())
            }
            State::Zstd(mut to) => {
                to.write_all(bytes)?;
                self.state = State::Zstd(to);
                Ok(())
            }
            State::Failed => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The artifact, once all bytes were put. `None` if they were none.
    pub(super) fn finish(self) -> Result<Option<Staged>, crate::StoreError> {
        match self.state {
            State::Raw(to) => to.finish().map(Some),
            State::Zstd(mut to) => match to.flush() {
                Ok(()) => to.into_inner().finish().map(Some),
                Err(_) => Ok(None),
            },
            State::Header(..) | State::Failed => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::recipe::Recipe;
    use crate::records::record::{Output, Provenance};

    fn record() -> Record {
        let mut recipe = Recipe::new();
        recipe.push("kind", "k");
        let output = |name: &str| Output {
            name: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
            size: 3,
            attrs: crate::Value::Null,
        };
        Record {
            key: recipe.key(),
            provenance: Some(Box::new(Provenance {
                recipe,
                stage: "s".into(),
                action: "run".into(),
                pipeline: "p".into(),
            })),
            outputs: vec![output("a"), output("b")],
            wall_s: 1.5,
            cpu_s: 2.5,
            peak_rss: 7,
            read_bytes: 9,
            finished_unix: 11,
            log: None,
        }
    }

    #[test]
    fn an_envelope_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::create(&dir.path().join("key")).unwrap();
        let record = record();
        for key in [None, Some(&key)] {
            let bytes = seal(&record, "ci@host", key);
            let envelope = open(&bytes).unwrap();
            assert_eq!(envelope.record(record.key).unwrap(), record);
            assert_eq!(envelope.writer, "ci@host");
            assert_eq!(
                envelope.signature.map(|s| s.by),
                key.map(SigningKey::public)
            );
        }
    }

    #[test]
    fn labels_cannot_act_on_a_terminal_or_a_log() {
        let mut record = record();
        let labels = record.provenance.as_mut().unwrap();
        labels.action = "run\u{1b}[2J\n::error::x".to_owned();
        let bytes = seal(&record, "w", None);
        let read = open(&bytes).unwrap().record(record.key).unwrap();
        assert_eq!(read.action(), "run?[2J?::error::x");
    }

    #[test]
    fn no_cut_no_flipped_bit_and_no_other_key_is_taken() {
        let record = record();
        let bytes = seal(&record, "w", None);
        for cut in 0..bytes.len() {
            assert!(open(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(open(&bytes).is_err(), "bit {at}");
        }
        let other = ActionKey(Digest::of(b"other"));
        assert!(open(&bytes).unwrap().record(other).is_err());
    }
}
