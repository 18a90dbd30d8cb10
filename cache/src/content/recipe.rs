//! The recipe of an action: everything that decides its result, in one ordered list.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value as Json;

use crate::content::codec::{Cursor, DecodeError, put_bytes, put_varint};
use crate::content::value::{self, Value};
use crate::content::{ActionKey, Digest};

/// Separates the keys of recipes from every other use of BLAKE3, and is the version of the
/// encoding.
const KEY_CONTEXT: &str = "flow recipe v1";

/// The ordered fields that decide the result of an action. The key, the explanation of a miss and
/// the JSON all come from this one list.
///
/// It is kept in its canonical encoding, because a run makes a recipe for every action and needs
/// only the key of most of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    count: u64,
    /// The fields one after the other, each as its name and its value.
    fields: Vec<u8>,
}

/// Writes the one value of a field without making a [`Value`] first.
///
/// After [`map`](Self::map) and [`list`](Self::list), the caller writes as many entries as it
/// announced, those of a map in ascending order of their names.
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

/// One difference between two recipes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The place, such as `params.kernels` or `inputs.features[2]`.
    pub path: String,
    /// The value before, or `None` if there was none.
    pub old: Option<Value>,
    /// The value now, or `None` if there is none.
    pub new: Option<Value>,
}

impl Recipe {
    /// A recipe without fields.
    pub const fn new() -> Self {
        Self {
            count: 0,
            fields: Vec::new(),
        }
    }

    /// Adds a field at the end. No other field may have its name.
    pub fn push(&mut self, name: &str, value: impl Into<Value>) {
        self.field(name).value(&value.into());
    }

    /// Adds the fields of another recipe at the end. None of their names may be there yet.
    pub fn append(&mut self, other: &Self) {
        self.count += other.count;
        self.fields.extend_from_slice(&other.fields);
    }

    /// Adds a field at the end and lets `value` write its value. No other field may have its name.
    pub fn field(&mut self, name: &str) -> Encoder<'_> {
        debug_assert!(self.get(name).is_none(), "field `{name}` comes twice");
        self.count += 1;
        put_bytes(&mut self.fields, name.as_bytes());
        Encoder {
            out: &mut self.fields,
        }
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<Value> {
        let mut cursor = Cursor::new(&self.fields);
        for _ in 0..self.count {
            let found = cursor.text().ok()? == name;
            let value = Value::decode_from(&mut cursor, 0).ok()?;
            if found {
                return Some(value);
            }
        }
        None
    }

    /// All fields in order. Of a damaged recipe, these are the fields before the damage.
    pub fn fields(&self) -> Vec<(String, Value)> {
        let mut cursor = Cursor::new(&self.fields);
        let mut field = || -> Option<(String, Value)> {
            let name = cursor.text().ok()?.to_owned();
            Some((name, Value::decode_from(&mut cursor, 0).ok()?))
        };
        (0..self.count).map_while(|_| field()).collect()
    }

    /// The key of the action: BLAKE3 in key-derivation mode over [`Recipe::encode`].
    pub fn key(&self) -> ActionKey {
        let mut hasher = key_hasher(self.count);
        hasher.update(&self.fields);
        ActionKey(Digest::finish(&hasher))
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.fields.len() + 1);
        self.encode_to(&mut out);
        out
    }

    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        put_varint(out, self.count);
        out.extend_from_slice(&self.fields);
    }

    /// Decodes a recipe. Bytes that are not its canonical encoding are an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.varint()?;
        let fields = cursor.rest();
        let mut names: Vec<&str> = Vec::new();
        for _ in 0..count {
            let name = cursor.text()?;
            if names.contains(&name) {
                return Err(DecodeError("a recipe's field comes twice"));
            }
            names.push(name);
            Value::decode_from(&mut cursor, 0)?;
        }
        cursor.end()?;
        Ok(Self {
            count,
            fields: fields.to_vec(),
        })
    }

    /// The recipe as a JSON object, with its fields in order.
    pub fn to_json(&self) -> Json {
        let fields = self.fields().into_iter();
        Json::Object(fields.map(|(n, v)| (n, v.to_json())).collect())
    }

    /// What changed from `old` to this recipe: first the fields of this recipe in order, then those
    /// that are gone. It looks into maps and lists, so that a changed entry is one change. A list
    /// with the same entries in another order gives a change of the path `(order)`.
    ///
    /// The result is empty exactly if the keys are equal, with one exception: recipes that differ
    /// only in the order of their fields give one change of the path `(order)`.
    pub fn diff(&self, old: &Recipe) -> Vec<Change> {
        self.diff_where(old, |_| true)
    }

    /// Does the same for the fields that are listed.
    pub fn diff_where(&self, old: &Recipe, wanted: impl Fn(&str) -> bool) -> Vec<Change> {
        let wanted = |recipe: &Recipe| {
            let mut fields = recipe.fields();
            fields.retain(|(name, _)| wanted(name));
            fields
        };
        let (before, now) = (wanted(old), wanted(self));
        let mut changes = Vec::new();
        diff_entries("", &before, &now, &mut changes);
        if changes.is_empty() && before != now {
            let order = |fields: &Entries| {
                let names = fields.iter().map(|(n, _)| n.as_str());
                Some(Value::from(names.collect::<Vec<_>>()))
            };
            changes.push(Change {
                path: "(order)".to_owned(),
                old: order(&before),
                new: order(&now),
            });
        }
        changes
    }
}

/// A hasher for a key that has taken in the number of fields.
fn key_hasher(count: u64) -> blake3::Hasher {
    // Setting up a hasher costs as much as hashing a recipe does.
    static KEYED: OnceLock<blake3::Hasher> = OnceLock::new();
    let keyed = KEYED.get_or_init(|| blake3::Hasher::new_derive_key(KEY_CONTEXT));
    let mut hasher = keyed.clone();
    let mut bytes = Vec::with_capacity(1);
    put_varint(&mut bytes, count);
    hasher.update(&bytes);
    hasher
}

/// The fields that many recipes have in common at their start. They are encoded and hashed once.
pub struct Head {
    recipe: Recipe,
    /// Hashers by the number of fields of the whole recipe, which is hashed first.
    hashed: Option<(u64, blake3::Hasher)>,
}

impl Head {
    /// Bytes to reserve for the other fields, so that few recipes are moved while they grow.
    const ROOM: usize = 320;

    /// Makes a head of these fields.
    pub fn new(recipe: Recipe) -> Self {
        let hashed = None;
        Self { recipe, hashed }
    }

    /// Makes a recipe that starts with the head.
    pub fn recipe(&self) -> Recipe {
        let mut fields = Vec::with_capacity(self.recipe.fields.len() + Self::ROOM);
        fields.extend_from_slice(&self.recipe.fields);
        let count = self.recipe.count;
        Recipe { count, fields }
    }

    /// The result of [`Recipe::key`] for a recipe that [starts](Self::recipe) with the head.
    pub fn key(&mut self, recipe: &Recipe) -> ActionKey {
        let own = &self.recipe.fields;
        let Some(rest) = recipe.fields.strip_prefix(own.as_slice()) else {
            return recipe.key();
        };
        let mut hasher = match &self.hashed {
            Some((count, hasher)) if *count == recipe.count => hasher.clone(),
            _ => {
                let mut hasher = key_hasher(recipe.count);
                hasher.update(own);
                self.hashed = Some((recipe.count, hasher.clone()));
                hasher
            }
        };
        hasher.update(rest);
        ActionKey(Digest::finish(&hasher))
    }
}

impl Change {
    /// What changed at one place from one value to another. Equal values give nothing.
    pub fn between(path: &str, old: &Value, new: &Value) -> Vec<Self> {
        let mut changes = Vec::new();
        diff_values(path.to_owned(), old, new, &mut changes);
        changes
    }
}

impl Encoder<'_> {
    /// A value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        value.encode_to(self.out);
        self
    }

    /// A value in the canonical encoding of [`Value::encode`].
    pub fn encoded(&mut self, value: &[u8]) -> &mut Self {
        debug_assert!(Value::decode(value).is_ok());
        self.out.extend_from_slice(value);
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        value::put_text(self.out, text);
        self
    }

    /// The digest of an artifact.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        value::put_digest(self.out, digest);
        self
    }

    /// The start of a list of this many values.
    pub fn list(&mut self, count: usize) -> &mut Self {
        value::put_list(self.out, count);
        self
    }

    /// The start of a map of this many entries, each a [`name`](Self::name) and a value.
    pub fn map(&mut self, count: usize) -> &mut Self {
        value::put_map(self.out, count);
        self
    }

    /// The name of a map's entry.
    pub fn name(&mut self, name: &str) -> &mut Self {
        put_bytes(self.out, name.as_bytes());
        self
    }
}

type Entries = [(String, Value)];

fn diff_entries(prefix: &str, old: &Entries, new: &Entries, changes: &mut Vec<Change>) {
    let path = |name: &str| match prefix {
        "" => name.to_owned(),
        _ => format!("{prefix}.{name}"),
    };
    let find = |entries: &Entries, name: &str| -> Option<Value> {
        let found = entries.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    };
    for (name, value) in new {
        match find(old, name) {
            Some(before) => diff_values(path(name), &before, value, changes),
            None => changes.push(Change {
                path: path(name),
                old: None,
                new: Some(value.clone()),
            }),
        }
    }
    for (name, value) in old {
        if find(new, name).is_none() {
            changes.push(Change {
                path: path(name),
                old: Some(value.clone()),
                new: None,
            });
        }
    }
}

fn diff_values(path: String, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Map(a), Value::Map(b)) => diff_entries(&path, a, b, changes),
        (Value::List(a), Value::List(b)) => diff_lists(&path, a, b, changes),
        _ => changes.push(Change {
            path,
            old: Some(old.clone()),
            new: Some(new.clone()),
        }),
    }
}

/// The entries that only one of two lists has, in pairs as far as possible. An entry that is added
/// or removed is therefore one change and does not shift the others. Lists of the same entries
/// differ in their order.
fn diff_lists(path: &str, old: &[Value], new: &[Value], changes: &mut Vec<Change>) {
    let (gone, come) = unmatched(&Vec::from_iter(old), &Vec::from_iter(new));
    if gone.is_empty() && come.is_empty() {
        changes.push(Change {
            path: format!("{path} (order)"),
            old: Some(Value::List(old.to_vec())),
            new: Some(Value::List(new.to_vec())),
        });
    }
    for i in 0..gone.len().max(come.len()) {
        match (gone.get(i), come.get(i)) {
            (Some(&x), Some(&y)) => diff_values(format!("{path}[{y}]"), &old[x], &new[y], changes),
            (Some(&x), None) => changes.push(Change {
                path: format!("{path}[{x}]"),
                old: Some(old[x].clone()),
                new: None,
            }),
            (None, y) => changes.extend(y.map(|&y| Change {
                path: format!("{path}[{y}]"),
                old: None,
                new: Some(new[y].clone()),
            })),
        }
    }
}

/// The places of the entries that only one of two lists has, those of the old list first. Equal
/// entries are matched one to one, wherever they are.
pub fn unmatched(old: &[&Value], new: &[&Value]) -> (Vec<usize>, Vec<usize>) {
    // Most lists are equal or have equal beginnings, which need no hashing.
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let mut there: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    for (at, value) in old.iter().enumerate().skip(same).rev() {
        there.entry(value.encode()).or_default().push(at);
    }
    let mut come = Vec::new();
    for (at, value) in new.iter().enumerate().skip(same) {
        if there.get_mut(&value.encode()).and_then(Vec::pop).is_none() {
            come.push(at);
        }
    }
    let mut gone: Vec<usize> = there.into_values().flatten().collect();
    gone.sort_unstable();
    (gone, come)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::content::value::tests::any_value;
    use proptest::prelude::*;

    pub(crate) fn any_recipe() -> impl Strategy<Value = Recipe> {
        prop::collection::vec(("[a-e]", any_value()), 0..6).prop_map(|fields| {
            let mut recipe = Recipe::new();
            let mut names = Vec::new();
            for (name, value) in fields {
                if !names.contains(&name) {
                    recipe.push(&name, value);
                    names.push(name);
                }
            }
            recipe
        })
    }

    proptest! {
        #[test]
        fn a_head_gives_the_same_keys(
            head in any_recipe(),
            rest in prop::collection::vec(any_recipe(), 0..4),
        ) {
            let mut shared = Head::new(head.clone());
            for rest in rest {
                let mut recipe = shared.recipe();
                prop_assert_eq!(&recipe, &head);
                recipe.append(&rest);
                prop_assert_eq!(shared.key(&recipe), recipe.key());
                prop_assert_eq!(shared.key(&rest), rest.key());
            }
        }

        #[test]
        fn encoding_round_trips(recipe in any_recipe()) {
            let back = Recipe::decode(&recipe.encode()).unwrap();
            prop_assert_eq!(back.key(), recipe.key());
            prop_assert_eq!(back, recipe);
        }

        #[test]
        fn a_difference_is_told_exactly_where_keys_differ(a in any_recipe(), b in any_recipe()) {
            prop_assert_eq!(a.diff(&b).is_empty(), a.key() == b.key());
            prop_assert!(a.diff(&a.clone()).is_empty());
            for change in a.diff(&b) {
                prop_assert!(change.old != change.new);
            }
        }
    }

    fn example(kernels: i64, inputs: &[&str]) -> Recipe {
        let mut recipe = Recipe::new();
        recipe.push("kind", "rocket");
        recipe.push("params", Value::map([("kernels", kernels), ("seed", 1)]));
        recipe.push("inputs", inputs.to_vec());
        recipe
    }

    #[test]
    fn diff_descends_into_maps_and_lists() {
        let changes = example(2000, &["a", "b", "c"]).diff(&example(5000, &["a", "x"]));
        let told: Vec<_> = changes
            .iter()
            .map(|c| (c.path.as_str(), c.old.clone(), c.new.clone()))
            .collect();
        assert_eq!(
            told,
            [
                ("params.kernels", Some(5000.into()), Some(2000.into())),
                ("inputs[1]", Some("x".into()), Some("b".into())),
                ("inputs[2]", None, Some("c".into())),
            ]
        );
    }

    #[test]
    fn an_entry_that_comes_in_front_shifts_nothing() {
        let paths = |new: &[&str], old: &[&str]| -> Vec<String> {
            let changes = example(1, new).diff(&example(1, old));
            changes.into_iter().map(|change| change.path).collect()
        };
        assert_eq!(paths(&["x", "a", "b"], &["a", "b"]), ["inputs[0]"]);
        assert_eq!(paths(&["b"], &["a", "b"]), ["inputs[0]"]);
        assert_eq!(paths(&["b", "a"], &["a", "b"]), ["inputs (order)"]);
        assert_eq!(paths(&["a", "a"], &["a"]), ["inputs[1]"]);
    }

    #[test]
    fn the_key_is_pinned() {
        // A change here makes the stores of all users cold, so change KEY_CONTEXT only on purpose.
        assert_eq!(
            example(1, &["a"]).key().to_string(),
            "a461ff97125b4eb0f6868e45ad90f0cab5fc71804db0334b318e5e3e7b90300a"
        );
    }
}
