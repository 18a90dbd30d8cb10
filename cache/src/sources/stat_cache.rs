//! Remembers the digests of source files by their `stat`, so that an unchanged file is not read.
//!
//! A file is taken for unchanged while its size, modification time, change time and inode stay the
//! same. That is safe only if a change after the hashing must show in the times. Git's index
//! distrusts files that are as new as the index itself. Here, each entry has the time at which its
//! hashing began, and is trusted only if the times of the file were older than that by more than
//! the granularity of file times. A write in the same tick as the hashing is therefore never
//! overlooked, even if the cache is saved much later. The clocks of a network file system must
//! agree to a few milliseconds.
//!
//! ```text
//! "flowstat" | count u64 | entry* | check [8]
//! entry = path length u32 | path | size u64 | mtime i64 | ctime i64 | inode u64 | hashed at i64 | digest [32]
//! ```
//!
//! Entries are in order of their paths and are searched in place, so loading allocates one buffer.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::content::Digest;
use crate::content::codec::{Cursor, DecodeError};
use crate::disk::file::{self, FileSteps, Lasting};
use crate::disk::stat::{Stat, is_settled, now_nanos};
use crate::error::StoreError;
use crate::sources::folder::{Folder, stat_now};

const STEPS: FileSteps = ["stat-cache.save", "stat-cache.publish"];
const MAGIC: &[u8; 8] = b"flowstat";
/// Bytes of an entry besides its path.
const ENTRY: usize = 76;
/// Entries beyond this number are dropped if this process did not use them.
const KEEP: usize = 100_000;

#[derive(Clone, Copy, Debug)]
struct Hashed {
    stat: Stat,
    hashed_at: i64,
    digest: Digest,
}

impl Hashed {
    /// Returns true if any change of the file after the hashing would show in `stat`.
    fn is_trusted(&self) -> bool {
        let hashed_at = self.hashed_at.unsigned_abs();
        is_settled(self.stat.mtime, hashed_at) && is_settled(self.stat.ctime, hashed_at)
    }
}

/// The cache. Threads share it. Processes may share the file, and the last save replaces it as a
/// whole.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    saved: Saved,
    used: Mutex<Used>,
}

/// What this process did with the cache.
#[derive(Debug, Default)]
struct Used {
    /// Entries that it made, by the bytes of their paths, because a `Path` is hashed and compared
    /// part by part.
    made: HashMap<Vec<u8>, Hashed>,
    /// Which saved entries it asked for.
    asked: Vec<bool>,
    /// The saved entry after the last one asked for, because most files are asked for in order of
    /// name.
    next: usize,
}

impl StatCache {
    /// Where the cache is saved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Loads the cache file at `path`. If it is missing or damaged, the cache is empty: that costs
    /// hashing and never gives a wrong digest.
    pub fn open(path: &Path) -> Self {
        let saved = std::fs::read(path)
            .ok()
            .and_then(|bytes| Saved::parse(bytes).ok());
        let saved = saved.unwrap_or_default();
        let asked = vec![false; saved.starts.len()];
        Self {
            path: path.to_path_buf(),
            saved,
            used: Mutex::new(Used {
                asked,
                ..Used::default()
            }),
        }
    }

    /// The digest of the contents of a file and its size, from the cache or by hashing.
    ///
    /// The digest is that of the bytes that were read. If the file changes meanwhile, the entry is
    /// not kept and the file is hashed again the next time.
    pub fn digest(&self, path: &Path) -> io::Result<(Digest, u64)> {
        self.digest_if(stat_now(path)?, path)
    }

    /// Does the same for one of many files that are asked for in a row.
    pub fn digest_in(&self, folder: &mut Folder, path: &Path) -> io::Result<(Digest, u64)> {
        self.digest_if(folder.stat(path)?, path)
    }

    /// The digest of a file whose `stat` was just taken.
    fn digest_if(&self, stat: Stat, path: &Path) -> io::Result<(Digest, u64)> {
        if let Some(entry) = self.find(path)
            && entry.stat == stat
            && entry.is_trusted()
        {
            return Ok((entry.digest, stat.size));
        }
        let hashed_at = i64::try_from(now_nanos()).unwrap_or(i64::MAX);
        let file = File::open(path)?;
        let before = Stat::of(&file.metadata()?);
        let (digest, size) = Digest::of_open_file(&file)?;
        let after = Stat::of(&file.metadata()?);
        if before == after && size == after.size {
            let entry = Hashed {
                stat: after,
                hashed_at,
                digest,
            };
            let path = path.as_os_str().as_bytes().to_vec();
            self.lock_used().made.insert(path, entry);
        }
        Ok((digest, size))
    }

    /// Returns true if nothing has touched a file since it was hashed, so that it had this digest
    /// all the time.
    pub fn is_as_hashed(&self, path: &Path, digest: &Digest) -> bool {
        let now = stat_now(path);
        let known = self.find(path).filter(Hashed::is_trusted);
        known.is_some_and(|entry| entry.digest == *digest && now.is_ok_and(|now| now == entry.stat))
    }

    fn find(&self, path: &Path) -> Option<Hashed> {
        let path = path.as_os_str().as_bytes();
        let mut used = self.lock_used();
        if let Some(entry) = used.made.get(path) {
            return Some(*entry);
        }
        let (index, entry) = self.saved.find(path, used.next)?;
        used.asked[index] = true;
        used.next = index + 1;
        Some(entry)
    }

    fn lock_used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the cache if it changed, as a whole. If this user may not write there, it is not
    /// saved, and files are hashed again.
    pub fn save(&self) -> Result<(), StoreError> {
        match self.write() {
            Err(error) if error.is_refused() => Ok(()),
            saved => saved,
        }
    }

    fn write(&self) -> Result<(), StoreError> {
        let used = self.lock_used();
        if used.made.is_empty() {
            return Ok(());
        }
        let made = used.made.iter();
        let mut entries: Vec<(&[u8], Hashed)> = made.map(|(p, e)| (p.as_slice(), *e)).collect();
        let keep_all = self.saved.starts.len() <= KEEP;
        let others = self.saved.entries().zip(&used.asked);
        let others = others
            .filter(|((path, _), asked)| (keep_all || **asked) && !used.made.contains_key(*path));
        entries.extend(others.map(|(entry, _)| entry));
        entries.sort_by_key(|(path, _)| *path);
        let bytes = Saved::encode(&entries);
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| StoreError::env("stat-cache.save", dir, e))?;
        }
        // The check at the end shows whether a power loss has damaged it.
        file::replace(STEPS, &self.path, &bytes, Lasting::Soon)
    }
}

/// The entries of the file, in its encoding.
#[derive(Debug, Default)]
struct Saved {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Saved {
    fn parse(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        let bad = DecodeError("not a stat cache");
        let body = bytes.len().checked_sub(8).ok_or(bad.clone())?;
        if blake3::hash(&bytes[..body]).as_bytes()[..8] != bytes[body..] {
            return Err(bad);
        }
        let mut cursor = Cursor::new(&bytes[..body]);
        if cursor.array::<8>()? != *MAGIC {
            return Err(bad);
        }
        let count = u64::from_le_bytes(cursor.array()?);
        // A wrong count must not allocate much.
        let most = body / ENTRY;
        let mut starts = Vec::with_capacity(most.min(usize::try_from(count).unwrap_or(most)));
        for _ in 0..count {
            starts.push(body - cursor.rest().len());
            read_entry(&mut cursor)?;
        }
        cursor.end()?;
        Ok(Self { bytes, starts })
    }

    fn encode(entries: &[(&[u8], Hashed)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        for (path, entry) in entries {
            // Paths are bounded by PATH_MAX.
            bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(&entry.stat.size.to_le_bytes());
            bytes.extend_from_slice(&entry.stat.mtime.to_le_bytes());
            bytes.extend_from_slice(&entry.stat.ctime.to_le_bytes());
            bytes.extend_from_slice(&entry.stat.inode.to_le_bytes());
            bytes.extend_from_slice(&entry.hashed_at.to_le_bytes());
            bytes.extend_from_slice(entry.digest.as_bytes());
        }
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..8]);
        bytes
    }

    fn at(&self, start: usize) -> Option<(&[u8], Hashed)> {
        read_entry(&mut Cursor::new(self.bytes.get(start..)?)).ok()
    }

    /// All entries. [`Saved::parse`] has read them before.
    fn entries(&self) -> impl Iterator<Item = (&[u8], Hashed)> {
        self.starts.iter().filter_map(|&start| self.at(start))
    }

    /// The entry of a path and its index. The place `guess` is tried first.
    fn find(&self, path: &[u8], guess: usize) -> Option<(usize, Hashed)> {
        let entry = |start: &usize| self.at(*start);
        let guessed = self.starts.get(guess).and_then(entry);
        if let Some((_, entry)) = guessed.filter(|(found, _)| *found == path) {
            return Some((guess, entry));
        }
        let order = |start: &usize| entry(start).map_or(Ordering::Less, |(p, _)| p.cmp(path));
        let index = self.starts.binary_search_by(order).ok()?;
        Some((index, entry(&self.starts[index])?.1))
    }
}

fn read_entry<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Hashed), DecodeError> {
    let length = u32::from_le_bytes(cursor.array()?) as usize;
    let path = cursor.take(length)?;
    let stat = Stat {
        size: u64::from_le_bytes(cursor.array()?),
        mtime: i64::from_le_bytes(cursor.array()?),
        ctime: i64::from_le_bytes(cursor.array()?),
        inode: u64::from_le_bytes(cursor.array()?),
    };
    let entry = Hashed {
        stat,
        hashed_at: i64::from_le_bytes(cursor.array()?),
        digest: Digest::from_bytes(cursor.array()?),
    };
    Ok((path, entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settle() {
        std::thread::sleep(Duration::from_millis(30));
    }

    /// Puts a wrong digest into the entry of `path`, so that a test sees whether it is believed.
    fn poison(cache: &StatCache, path: &Path) -> Digest {
        let wrong = Digest::of(b"wrong");
        let path = path.as_os_str().as_bytes();
        cache.lock_used().made.get_mut(path).unwrap().digest = wrong;
        wrong
    }

    #[test]
    fn a_settled_file_is_not_read_again_and_a_changed_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache_path) = (dir.path().join("f"), dir.path().join("sub/cache"));
        std::fs::write(&path, "one").unwrap();
        settle();
        let cache = StatCache::open(&cache_path);
        assert_eq!(cache.digest(&path).unwrap(), (Digest::of(b"one"), 3));
        let wrong = poison(&cache, &path);
        cache.save().unwrap();

        let cache = StatCache::open(&cache_path);
        assert_eq!(cache.digest(&path).unwrap(), (wrong, 3));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(cache.digest(&path).unwrap(), (Digest::of(b"two"), 3));
        assert!(cache.digest(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_file_that_was_touched_is_not_as_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "one").unwrap();
        let cache = StatCache::open(&dir.path().join("cache"));
        let one = Digest::of(b"one");
        assert!(!cache.is_as_hashed(&path, &one), "it was not hashed");
        cache.digest(&path).unwrap();
        assert!(!cache.is_as_hashed(&path, &one), "it is too new");
        settle();
        cache.digest(&path).unwrap();
        assert!(cache.is_as_hashed(&path, &one));
        assert!(!cache.is_as_hashed(&path, &Digest::of(b"two")));
        // It was another file for a moment.
        std::fs::write(&path, "two").unwrap();
        std::fs::write(&path, "one").unwrap();
        assert!(!cache.is_as_hashed(&path, &one));
        std::fs::remove_file(&path).unwrap();
        assert!(!cache.is_as_hashed(&path, &one));
    }

    #[test]
    fn a_racily_clean_entry_is_not_trusted_even_if_saved_later() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache_path) = (dir.path().join("f"), dir.path().join("cache"));
        std::fs::write(&path, "one").unwrap();
        let cache = StatCache::open(&cache_path);
        cache.digest(&path).unwrap();
        poison(&cache, &path);
        settle();
        cache.save().unwrap();
        let cache = StatCache::open(&cache_path);
        assert_eq!(cache.digest(&path).unwrap().0, Digest::of(b"one"));
    }

    #[test]
    fn times_in_the_future_or_in_whole_seconds_need_longer_to_settle() {
        let entry = |time: i64, hashed_at: i64| Hashed {
            stat: Stat {
                size: 0,
                mtime: time,
                ctime: time,
                inode: 0,
            },
            hashed_at,
            digest: Digest::of(b""),
        };
        let second = 1_000_000_000;
        assert!(!entry(5 * second, 6 * second).is_trusted());
        assert!(entry(5 * second, 8 * second).is_trusted());
        assert!(entry(5 * second + 1, 6 * second).is_trusted());
        assert!(!entry(7 * second + 1, 6 * second).is_trusted());
    }

    #[test]
    fn damaged_files_are_empty_caches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let cache = StatCache::open(&path);
        let file = dir.path().join("f");
        std::fs::write(&file, "x").unwrap();
        cache.digest(&file).unwrap();
        cache.save().unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(StatCache::open(&path).saved.starts.len(), 0);
            std::fs::write(&path, &good[..at]).unwrap();
            assert_eq!(StatCache::open(&path).saved.starts.len(), 0);
        }
    }

    #[test]
    fn saves_merge_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let files: Vec<PathBuf> = (0..100).map(|i| dir.path().join(format!("f{i}"))).collect();
        files.iter().for_each(|f| std::fs::write(f, "x").unwrap());
        for half in files.chunks(50) {
            let cache = StatCache::open(&path);
            for file in half {
                cache.digest(file).unwrap();
            }
            cache.save().unwrap();
        }
        let cache = StatCache::open(&path);
        assert!(files.iter().all(|f| cache.find(f).is_some()));
        assert!(files.iter().rev().all(|f| cache.find(f).is_some()));
    }
}
