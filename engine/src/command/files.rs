//! Copies of the project's files, which are all that a program sees of the project.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flow_cache::{Digest, StatCache};

use crate::kind::shards::SourceFile;

/// A file of at most this size is kept in memory for the actions to come.
pub const SMALL: u64 = 1 << 20;
/// The most bytes of all kept files together.
const MOST: usize = 64 << 20;

/// Contents of source files. They are checked against their digests once, and written for every action.
#[derive(Default)]
pub struct Copies(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    files: HashMap<(PathBuf, Digest), Arc<Content>>,
    bytes: usize,
}

struct Content {
    bytes: Vec<u8>,
    mode: u32,
}

impl Copies {
    /// Copies a file to `to`, over what is there. Returns false if the copy would not have that digest. The
    /// contents of a `shared` file are kept for the other actions of its stage.
    pub fn copy(
        &self,
        file: &SourceFile,
        digest: &Digest,
        to: &Path,
        stat: &StatCache,
        shared: bool,
    ) -> io::Result<bool> {
        let key = (file.path.clone(), *digest);
        let known = self.lock().files.get(&key).cloned();
        let content = match known {
            Some(content) => content,
            None => {
                let mut from = fs::File::open(&file.path)?;
                let meta = from.metadata()?;
                if meta.len() > SMALL {
                    drop(from);
                    drop(open_over(to)?);
                    fs::copy(&file.path, to)?;
                    // Hashing it a second time may take as long as the program does.
                    let same = stat.is_as_hashed(&file.path, digest);
                    return Ok(same || Digest::of_file(to)?.0 == *digest);
                }
                let mut bytes = Vec::with_capacity(meta.len() as usize);
                from.read_to_end(&mut bytes)?;
                if Digest::of(&bytes) != *digest {
                    return Ok(false);
                }
                let mode = meta.permissions().mode() & 0o777;
                let content = Arc::new(Content { bytes, mode });
                let mut kept = self.lock();
                if shared && kept.bytes + content.bytes.len() <= MOST {
                    kept.bytes += content.bytes.len();
                    kept.files.insert(key, Arc::clone(&content));
                }
                content
            }
        };
        let (mut out, before) = open_over(to)?;
        if before.permissions().mode() & 0o7777 != content.mode {
            out.set_permissions(fs::Permissions::from_mode(content.mode))?;
        }
        out.write_all(&content.bytes)?;
        cut(&out, &before, content.bytes.len() as u64)?;
        Ok(true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A panic can at most have left the map without an entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the file at `to`, or a new one, and returns its metadata from before anything is written. It is
/// not emptied, because ext4 flushes a file that was emptied and written again to disk as soon as it is
/// closed. Links are not followed.
fn open_over(to: &Path) -> io::Result<(fs::File, fs::Metadata)> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let options = options.custom_flags(libc::O_NOFOLLOW);
    let file = options.open(to).or_else(|_| {
        // It may not be writable, or may be running.
        fs::remove_file(to)?;
        options.open(to)
    })?;
    let meta = file.metadata()?;
    Ok((file, meta))
}

/// Cuts a file off that was longer than what was written.
fn cut(file: &fs::File, before: &fs::Metadata, length: u64) -> io::Result<()> {
    if before.len() > length {
        file.set_len(length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_what_the_digest_says() {
        let temp = flow_testkit::files::folder();
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        let copies = Copies::default();
        let stat = StatCache::open(&temp.path().join("stat"));
        for text in ["small".to_owned(), "large ".repeat(1 << 20)] {
            fs::write(&from, &text).unwrap();
            fs::set_permissions(&from, fs::Permissions::from_mode(0o755)).unwrap();
            let file = SourceFile {
                role: "from".into(),
                path: from.clone(),
            };
            let digest = Digest::of(text.as_bytes());
            for _ in 0..3 {
                assert!(copies.copy(&file, &digest, &to, &stat, true).unwrap());
                assert_eq!(fs::read_to_string(&to).unwrap(), text);
                let mode = fs::metadata(&to).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o755);
                // The next copy is written over what a program made of this one.
                fs::write(&to, text.repeat(2)).unwrap();
                fs::set_permissions(&to, fs::Permissions::from_mode(0o444)).unwrap();
            }
            assert!(
                !copies
                    .copy(&file, &Digest::of(b"other"), &to, &stat, true)
                    .unwrap()
            );
            let _ = fs::remove_file(&to);
        }
    }
}
