//! Tells object ids apart by hashes of 8 bytes, because the ids of a whole survey are too many to hold.
//!
//! Two ids may share a hash. If a hash occurs twice, its ids are *doubtful*: they are held and compared as
//! texts. Which hashes occur twice is known only after the ids were read, so they are read once more if
//! any do. Two rows of one object are such a case. Different ids with one hash are too rare to cost time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns the hash of an id. It decides what is compared, and never what comes out.
pub(super) fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let hash = hasher.finish();
    #[cfg(test)]
    let hash = tests::narrow(hash);
    hash
}

/// The hashes that more than one id may have.
#[derive(Default)]
pub(super) struct Doubtful {
    hashes: BTreeSet<u64>,
}

impl Doubtful {
    /// Returns true if `id` is held as a text.
    pub fn has(&self, id: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&hash(id))
    }
}

/// Repeats `read` until it has told all ids apart, and returns what it returned last. Beside that, `read`
/// returns the hashes that occurred twice and were not doubtful yet. If there are any, its result does not
/// count.
pub(super) fn told_apart<T>(mut read: impl FnMut(&Doubtful) -> (T, Vec<u64>)) -> T {
    let mut doubtful = Doubtful::default();
    loop {
        let (result, twice) = read(&doubtful);
        if twice.is_empty() {
            return result;
        }
        doubtful.hashes.extend(twice);
    }
}

/// A set of ids, 8 bytes for each that is not doubtful. Every id has a number, such as that of its shard.
pub(super) struct Ids<'d> {
    doubtful: &'d Doubtful,
    hashes: Vec<u64>,
    texts: BTreeMap<String, usize>,
}

impl<'d> Ids<'d> {
    /// Returns a set without ids.
    pub fn new(doubtful: &'d Doubtful) -> Self {
        Self {
            doubtful,
            hashes: Vec::new(),
            texts: BTreeMap::new(),
        }
    }

    /// Adds an id. If it is doubtful and in the set already, returns the number that it has there.
    pub fn add(&mut self, id: &str, number: usize) -> Option<usize> {
        if !self.doubtful.has(id) {
            self.hashes.push(hash(id));
            return None;
        }
        match self.texts.get(id) {
            Some(other) => Some(*other),
            None => {
                self.texts.insert(id.to_owned(), number);
                None
            }
        }
    }

    /// Must be called after the last [`Ids::add`], before anything else. Returns the hashes that occur
    /// twice.
    pub fn sort(&mut self) -> Vec<u64> {
        self.hashes.sort_unstable();
        let pairs = self.hashes.windows(2);
        let twice = pairs.filter(|pair| pair[0] == pair[1]);
        twice.map(|pair| pair[0]).collect()
    }

    /// Returns the hashes that are in both sets.
    pub fn shared<'a>(&'a self, other: &'a Ids<'_>) -> impl Iterator<Item = u64> + 'a {
        let both = |hash: &&u64| other.hashes.binary_search(hash).is_ok();
        self.hashes.iter().filter(both).copied()
    }

    /// Returns true if `id` is in the set.
    pub fn has(&self, id: &str) -> bool {
        match self.doubtful.has(id) {
            true => self.texts.contains_key(id),
            false => self.hashes.binary_search(&hash(id)).is_ok(),
        }
    }

    /// The ids that are held as texts, in the order of their bytes.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.hashes.len() + self.texts.len()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// The bits of hashes that count.
        static BITS: Cell<u64> = const { Cell::new(u64::MAX) };
    }

    pub(super) fn narrow(hash: u64) -> u64 {
        hash & BITS.get()
    }

    /// Does `work` with hashes of two bits, so that nearly every id shares its hash with others.
    pub(crate) fn with_few_hashes<T>(work: impl FnOnce() -> T) -> T {
        BITS.set(3);
        let result = work();
        BITS.set(u64::MAX);
        result
    }

    /// Returns the first id that occurs a second time, with both of its numbers, and how often the ids were read.
    fn twice(ids: &[&str]) -> (Option<(String, usize, usize)>, usize) {
        let mut reads = 0;
        let found = told_apart(|doubtful| {
            reads += 1;
            let mut set = Ids::new(doubtful);
            let mut found = None;
            for (number, id) in ids.iter().enumerate() {
                if let Some(first) = set.add(id, number) {
                    found = found.or(Some(((*id).to_owned(), first, number)));
                }
            }
            let twice = set.sort();
            assert!(!twice.is_empty() || ids.iter().all(|id| set.has(id)));
            assert!(!twice.is_empty() || !set.has("other"));
            (found, twice)
        });
        (found, reads)
    }

    #[test]
    fn ids_are_told_apart_even_if_they_share_hashes() {
        let ids = Vec::from_iter((0..40).map(|i| format!("o{i}")));
        let mut ids = Vec::from_iter(ids.iter().map(String::as_str));
        assert_eq!(twice(&ids), (None, 1));
        assert_eq!(with_few_hashes(|| twice(&ids)), (None, 2));
        ids.extend(["o7", "o3"]);
        let found = (Some(("o7".into(), 7, 40)), 2);
        assert_eq!(twice(&ids), found);
        assert_eq!(with_few_hashes(|| twice(&ids)), found);
    }

    #[test]
    fn sets_share_the_hashes_of_their_common_ids() {
        let doubtful = Doubtful::default();
        let set = |ids: &[&str]| {
            let mut set = Ids::new(&doubtful);
            for id in ids {
                assert_eq!(set.add(id, 0), None);
            }
            assert!(set.sort().is_empty());
            assert_eq!(set.len(), ids.len());
            set
        };
        let (few, many) = (set(&["b", "x"]), set(&["a", "b", "c"]));
        assert_eq!(Vec::from_iter(few.shared(&many)), [hash("b")]);
    }
}
