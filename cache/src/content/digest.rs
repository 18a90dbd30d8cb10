//! BLAKE3 digests of bytes, and the key of an action.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::threads::with_pool;

/// Bytes that are read at a time. One block is hashed while the next one is read.
const BLOCK: usize = 4 << 20;
/// Below this size a file is read and hashed on the calling thread.
const PARALLEL_FROM: u64 = 1 << 20;

/// The BLAKE3 digest of some bytes. It names an artifact.
///
/// Written as `b3:` and 64 hexadecimal digits, in text and in JSON.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of all that `reader` yields, and the number of bytes.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let mut hasher = blake3::Hasher::new();
        let mut block = vec![0; 64 << 10];
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok((Self::finish(&hasher), hasher.count())),
                Ok(n) => hasher.update(&block[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
        }
    }

    /// The digest of a file's contents, and their length.
    ///
    /// Large files are hashed on rayon's pool while the next block is read. The file is read, not
    /// mapped: a mapped file that someone truncates meanwhile would kill the process.
    pub fn of_file(path: &Path) -> io::Result<(Self, u64)> {
        let file = File::open(path)?;
        Self::of_open_file(&file)
    }

    /// [`Digest::of_file`] for a file that is open, from its current position.
    pub fn of_open_file(file: &File) -> io::Result<(Self, u64)> {
        let hashed = Self::of_open_file_while(file, &|| true)?;
        hashed.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }

    /// Does the same as long as `go_on` returns true. It is asked before each block.
    pub fn of_open_file_while(
        file: &File,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<Option<(Self, u64)>> {
        if file.metadata()?.len() < PARALLEL_FROM {
            return Self::of_reader(file).map(Some);
        }
        match with_pool(|| Self::of_large_file(file, go_on)) {
            Some(digest) => digest,
            // No thread can be started.
            None => Self::of_reader(file).map(Some),
        }
    }

    fn of_large_file(
        file: &File,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<Option<(Self, u64)>> {
        let mut hasher = blake3::Hasher::new();
        let (mut current, mut next) = (vec![0; BLOCK], vec![0; BLOCK]);
        let mut filled = fill(file, &mut current)?;
        while filled > 0 {
            if !go_on() {
                return Ok(None);
            }
            let (read, _) = rayon::join(
                || fill(file, &mut next),
                || hasher.update_rayon(&current[..filled]),
            );
            filled = read?;
            std::mem::swap(&mut current, &mut next);
        }
        Ok(Some((Self::finish(&hasher), hasher.count())))
    }

    /// The digest of what `hasher` has taken in.
    pub(crate) fn finish(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }

    /// All 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The digest with these 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<Self, ParseDigestError> {
        // Upper case is refused so that a digest has one spelling.
        if hex.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ParseDigestError);
        }
        blake3::Hash::from_hex(hex)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| ParseDigestError)
    }
}

/// Makes the digest of bytes that come in small pieces. BLAKE3 alone is slow for those.
#[derive(Default)]
pub struct Digester {
    hasher: blake3::Hasher,
    pending: Vec<u8>,
}

impl Digester {
    /// The bytes that are collected before they are hashed together.
    const PENDING: usize = 64 << 10;

    /// Takes in the next bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= Self::PENDING {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
    }

    /// The digest of all bytes that were put in.
    pub fn finish(mut self) -> Digest {
        self.hasher.update(&self.pending);
        Digest::finish(&self.hasher)
    }
}

/// Reads until `block` is full or the file ends.
fn fill(mut file: &File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An error about text that is not `b3:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseDigestError;

impl fmt::Display for ParseDigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a digest is written b3: and 64 lower-case hexadecimal digits")
    }
}

impl std::error::Error for ParseDigestError {}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        Self::from_hex(text.strip_prefix("b3:").ok_or(ParseDigestError)?)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The key of an action: the digest of its recipe. It is a type of its own so that it is never
/// mistaken for the digest of an artifact. It is written as 64 hexadecimal digits without a prefix.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ActionKey(pub Digest);

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ActionKey {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        Digest::from_hex(text).map(Self)
    }
}

impl Serialize for ActionKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ActionKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_stable_and_strict() {
        let digest = Digest::of(b"");
        let text = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(digest.short(), "af1349b9f5f9");
        assert_eq!(ActionKey(digest).to_string(), text[3..]);
        for bad in [&text[3..], &text[..66], "b3:zz", &text.to_uppercase()] {
            assert_eq!(bad.parse::<Digest>(), Err(ParseDigestError), "{bad}");
        }
        assert_eq!(
            serde_json::to_string(&digest).unwrap(),
            format!("\"{text}\"")
        );
        assert_eq!(
            serde_json::from_str::<Digest>(&format!("\"{text}\"")).unwrap(),
            digest
        );
    }

    #[test]
    fn pieces_give_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..3 * Digester::PENDING)
            .map(|i| (i * 7 % 251) as u8)
            .collect();
        for size in [1, 1000, Digester::PENDING, bytes.len()] {
            let mut digester = Digester::default();
            bytes.chunks(size).for_each(|piece| digester.put(piece));
            assert_eq!(digester.finish(), Digest::of(&bytes));
        }
        assert_eq!(Digester::default().finish(), Digest::of(b""));
    }

    #[test]
    fn files_of_every_size_class_agree_with_memory() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, (1 << 20) - 1, 1 << 20, BLOCK, 2 * BLOCK + 17] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 7 % 251) as u8).collect();
            let path = dir.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            let expected = (Digest::of(&bytes), size as u64);
            assert_eq!(Digest::of_file(&path).unwrap(), expected);
            assert_eq!(Digest::of_reader(&bytes[..]).unwrap(), expected);
        }
    }
}
