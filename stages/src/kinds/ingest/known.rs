//! The objects that the light curves of a shard may be of.

use std::cell::OnceCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::table::Objects;

use super::catalogue::ListedObject;
use super::ids::hash;

/// The reason why an observation has no object.
pub(super) const DROPPED: &str = "object that was itself dropped";
/// Another reason why an observation has no object.
pub(super) const SPELLED: &str = "object that the objects table spells otherwise";

/// A set of hashes.
type Hashes = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// Hashes a hash, which is the hash itself: every row of the survey is looked up.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The ids of a shard's light curves, as hashes. A hash that another id has as well makes [`Known`] hold a row in vain.
#[derive(Default)]
pub(super) struct Wanted {
    ids: Hashes,
    numbers: Hashes,
    /// The hash that was added last, because rows of one object tend to come together.
    last: Option<u64>,
}

impl Wanted {
    /// Adds the id of a light curve.
    pub fn add(&mut self, id: &str) {
        let hashed = hash(id);
        if self.last.replace(hashed) != Some(hashed) && self.ids.insert(hashed) {
            self.numbers.extend(number(id).map(hash));
        }
    }

    /// Returns true if `id` is that of a light curve, as it is spelled or as the same number.
    fn has(&self, id: &str) -> bool {
        let hashed = hash(id);
        let is_number = |digits: &str| match digits.len() == id.len() {
            true => self.numbers.contains(&hashed),
            false => self.numbers.contains(&hash(digits)),
        };
        self.ids.contains(&hashed) || number(id).is_some_and(is_number)
    }
}

/// Those objects of a catalogue that are wanted, in file order, with an index by name.
pub(super) struct Known<'w> {
    /// The objects that are usable.
    pub objects: Objects,
    /// What is wanted; all objects if there is no list.
    wanted: Option<&'w Wanted>,
    rows: HashMap<String, Option<usize>>,
    /// The ids that are numbers, by their number. It is built when an id is first not found as it is
    /// spelled.
    by_number: OnceCell<HashMap<String, String>>,
}

impl<'w> Known<'w> {
    /// Returns a list without objects.
    pub fn new(wanted: Option<&'w Wanted>) -> Self {
        Self {
            objects: Objects::default(),
            wanted,
            rows: HashMap::new(),
            by_number: OnceCell::new(),
        }
    }

    /// Takes the next object of the catalogue, or the name of one that was dropped.
    pub fn take(&mut self, id: &str, object: Option<&ListedObject<'_>>) {
        if self.wanted.is_some_and(|wanted| !wanted.has(id)) {
            return;
        }
        let row = object.map(|object| {
            self.push(id, object);
            self.objects.len() - 1
        });
        self.rows.insert(id.to_owned(), row);
    }

    fn push(&mut self, id: &str, object: &ListedObject<'_>) {
        let objects = &mut self.objects;
        let [redshift, redshift_err, ebv] = object.numbers;
        let regrouped = object.label.filter(|_| object.class != object.label);
        let text = |text: Option<&str>| text.map(String::from);
        objects.object_id.push(id.to_owned());
        objects.label.push(text(object.class));
        objects.raw_label.push(text(regrouped));
        objects.redshift.push(redshift);
        objects.redshift_err.push(redshift_err);
        objects.ebv.push(ebv);
        objects.split.push(text(object.split));
        objects.group.push(text(object.group));
    }

    /// Returns the row of object `id`, or the reason why there is none.
    pub fn row(&self, id: &str) -> Result<usize, &'static str> {
        match self.rows.get(id) {
            Some(Some(row)) => Ok(*row),
            Some(None) => Err(DROPPED),
            None if self.other_spelling(id).is_some() => Err(SPELLED),
            None => Err("object that is not in the objects table"),
        }
    }

    /// Returns the object whose id is the same number as `id`, as a data frame may spell it: `1.0` or
    /// `007`. If there are several, it is the first in the order of their bytes.
    pub fn other_spelling(&self, id: &str) -> Option<&str> {
        let by_number = self.by_number.get_or_init(|| {
            let mut by_number: HashMap<String, String> = HashMap::new();
            for id in self.rows.keys() {
                let Some(digits) = number(id) else { continue };
                match by_number.entry(digits.to_owned()) {
                    Entry::Occupied(other) if other.get() <= id => {}
                    Entry::Occupied(mut other) => *other.get_mut() = id.clone(),
                    Entry::Vacant(place) => {
                        place.insert(id.clone());
                    }
                }
            }
            by_number
        });
        by_number.get(number(id)?).map(String::as_str)
    }
}

/// Returns the digits that tell a whole number from others: `7` of `7`, `7.0` and `007`.
fn number(id: &str) -> Option<&str> {
    let whole = match id.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => id,
    };
    let digits = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| whole.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shard_has_is_held() {
        let mut wanted = Wanted::default();
        for id in ["b", "b", "gone", "7.0", "b", "00", "9"] {
            wanted.add(id);
        }
        let mut known = Known::new(Some(&wanted));
        let object = ListedObject {
            label: Some("Ia-x"),
            class: Some("Ia"),
            ..ListedObject::default()
        };
        for id in ["a", "b", "c", "8", "07", "7", "0.0"] {
            known.take(id, Some(&object));
        }
        known.take("9", None);
        known.take("d", None);
        assert_eq!(known.objects.object_id, ["b", "07", "7", "0.0"]);
        assert_eq!(known.objects.raw_label[0].as_deref(), Some("Ia-x"));
        assert_eq!((known.row("b"), known.row("9")), (Ok(0), Err(DROPPED)));
        assert_eq!(known.row("7.0"), Err(SPELLED));
        assert_eq!(known.other_spelling("7.0"), Some("07"));
        assert_eq!(known.other_spelling("00"), Some("0.0"));
        assert_eq!(
            known.row("gone"),
            Err("object that is not in the objects table")
        );
        let mut all = Known::new(None);
        all.take("a", Some(&object));
        assert_eq!(all.row("a"), Ok(0));
    }
}
