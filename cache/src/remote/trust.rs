//! Signatures of records: key pairs, and whose records count.
//!
//! A signature is Ed25519 over everything that a record says, behind a text that no other use of
//! the key has. What verifies is the record, not the server that it came from.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::error::RemoteError;

/// What is signed starts with this, so that a signature means nothing anywhere else.
const DOMAIN: &[u8] = b"flow remote record 1\0";
const PREFIX: &str = "ed25519:";
const SECRET_PREFIX: &str = "flow-signing-key ed25519:";

/// The public half of a key pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublicKey(pub(super) [u8; 32]);

/// A key pair that signs records.
pub struct SigningKey(Ed25519KeyPair);

/// Whose records are used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Trust {
    /// Those of everybody who can write to the remote.
    #[default]
    Any,
    /// Those that one of these keys has signed.
    Signed(Vec<PublicKey>),
}

/// A signature with the key that made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Signature {
    pub(super) by: PublicKey,
    pub(super) bytes: [u8; 64],
}

impl PublicKey {
    /// Reads `ed25519:BASE64`. A comment may follow after a blank.
    ///
    /// # Errors
    /// Returns what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RemoteError> {
        let word = text.split_whitespace().next().unwrap_or_default();
        let key = word.strip_prefix(PREFIX).and_then(decode);
        key.map(Self).ok_or_else(|| {
            RemoteError::config(format!(
                "`{word}` is not a public key: it has the form {PREFIX} and 44 characters of base64"
            ))
        })
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(self.0))
    }
}

impl SigningKey {
    /// Makes a key pair. Writes the secret half to a new file that only its owner can read. Makes the
    /// folder of the file if it is not there.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn create(to: &Path) -> Result<Self, RemoteError> {
        let failed = |what: &str| RemoteError::config(format!("{}: {what}", to.display()));
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| failed("the system gives no random numbers"))?;
        let text = format!("{SECRET_PREFIX}{}\n", BASE64.encode(seed));
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|e| failed(&e.to_string()))?;
        }
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to);
        let written = file.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => failed("there is such a file, and no key is ever replaced"),
            _ => failed(&e.to_string()),
        })?;
        Self::parse(&text)
    }

    /// Reads the file that [`create`](Self::create) wrote.
    ///
    /// # Errors
    /// The file cannot be read, holds no key, or can be read by others than its owner.
    pub fn read(path: &Path) -> Result<Self, RemoteError> {
        let failed = |what: String| RemoteError::config(format!("{}: {what}", path.display()));
        let mut file = File::open(path).map_err(|e| failed(e.to_string()))?;
        let mode = file.metadata().map_err(|e| failed(e.to_string()))?.mode();
        if mode & 0o077 != 0 {
            let mode = mode & 0o777;
            return Err(failed(format!(
                "others can read or write this secret (mode {mode:o}): chmod 600 it"
            )));
        }
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|e| failed(e.to_string()))?;
        Self::parse(&text).map_err(|e| failed(e.message))
    }

    /// Reads the secret half, as it stands in the file.
    ///
    /// # Errors
    /// The text is no key. The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, RemoteError> {
        let seed = text.trim().strip_prefix(SECRET_PREFIX).and_then(decode);
        let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
        pair.map(Self).ok_or_else(|| {
            RemoteError::config("this is no signing key of `flow cache keygen`".to_owned())
        })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    pub(super) fn sign(&self, body: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(&message(body)).as_ref());
        Signature {
            by: self.public(),
            bytes,
        }
    }
}

impl Trust {
    /// Returns why a record with this signature does not count, if it does not.
    pub(super) fn refuses(
        &self,
        body: &[u8],
        signature: Option<&Signature>,
    ) -> Option<&'static str> {
        let Self::Signed(trusted) = self else {
            return None;
        };
        match signature {
            None => Some("not signed"),
            Some(signature) if !trusted.contains(&signature.by) => {
                Some("signed by a key that is not trusted")
            }
            Some(signature) if !signature.is_of(body) => Some("signed wrongly"),
            Some(_) => None,
        }
    }
}

impl Signature {
    fn is_of(&self, body: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.by.0)
            .verify(&message(body), &self.bytes)
            .is_ok()
    }
}

fn message(body: &[u8]) -> Vec<u8> {
    [DOMAIN, body].concat()
}

fn decode(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_read_back_only_if_others_cannot_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/key");
        let made = SigningKey::create(&path).unwrap().public();
        assert_eq!(SigningKey::read(&path).unwrap().public(), made);
        assert!(
            SigningKey::create(&path).is_err(),
            "a key is never replaced"
        );
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = SigningKey::read(&path).err().unwrap();
        assert!(error.message.contains("chmod 600"), "{error}");
        let text = format!("{made} alice@example");
        assert_eq!(PublicKey::parse(&text).unwrap(), made);
        assert!(PublicKey::parse("ed25519:AAAA").is_err());
        assert!(SigningKey::parse(&made.to_string()).is_err());
    }

    #[test]
    fn only_records_that_a_trusted_key_has_signed_count() {
        let dir = tempfile::tempdir().unwrap();
        let key = |name: &str| SigningKey::create(&dir.path().join(name)).unwrap();
        let (ours, other) = (key("a"), key("b"));
        let trust = Trust::Signed(vec![ours.public()]);
        let good = ours.sign(b"body");
        assert_eq!(trust.refuses(b"body", Some(&good)), None);
        assert_eq!(trust.refuses(b"bodY", Some(&good)), Some("signed wrongly"));
        assert_eq!(trust.refuses(b"body", None), Some("not signed"));
        let foreign = other.sign(b"body");
        let refused = trust.refuses(b"body", Some(&foreign));
        assert_eq!(refused, Some("signed by a key that is not trusted"));
        let forged = Signature {
            by: ours.public(),
            ..foreign
        };
        assert_eq!(
            trust.refuses(b"body", Some(&forged)),
            Some("signed wrongly")
        );
        assert_eq!(Trust::Any.refuses(b"body", None), None);
    }
}
