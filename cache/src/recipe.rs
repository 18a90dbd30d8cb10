//! The recipe of an action: everything that decides its result, in one ordered list.

use serde_json::Value as Json;

use crate::codec::{Cursor, DecodeError, put_bytes, put_varint};
use crate::digest::{ActionKey, Digest};
use crate::value::Value;

/// Separates recipe keys from every other use of BLAKE3, and versions the encoding.
const KEY_CONTEXT: &str = "flow recipe v1";

/// The ordered fields that decide an action's result. The one list gives the key, the explanation
/// of a miss and the JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    fields: Vec<(String, Value)>,
}

/// One difference between two recipes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where: `params.kernels`, `inputs.features[2]`.
    pub path: String,
    /// What was there; `None` if nothing.
    pub old: Option<Value>,
    /// What is there now; `None` if nothing.
    pub new: Option<Value>,
}

impl Recipe {
    /// A recipe without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end; a field that is there already gets the new value in its old place.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.fields.iter_mut().find(|(n, _)| *n == name) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// All fields in order.
    pub fn fields(&self) -> &[(String, Value)] {
        &self.fields
    }

    /// The key of the action: BLAKE3 in key-derivation mode over [`Recipe::encode`].
    pub fn key(&self) -> ActionKey {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
        hasher.update(&self.encode());
        ActionKey(Digest::finish(&hasher))
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.encode_to(&mut out);
        out
    }

    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        put_varint(out, self.fields.len() as u64);
        for (name, value) in &self.fields {
            put_bytes(out, name.as_bytes());
            value.encode_to(out);
        }
    }

    /// The recipe with this encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let recipe = Self::decode_from(&mut cursor)?;
        cursor.end()?;
        Ok(recipe)
    }

    pub(crate) fn decode_from(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let count = cursor.count()?;
        let mut fields: Vec<(String, Value)> = Vec::new();
        for _ in 0..count {
            let name = cursor.text()?;
            if fields.iter().any(|(n, _)| n == name) {
                return Err(DecodeError("a recipe's field comes twice"));
            }
            fields.push((name.to_owned(), Value::decode_from(cursor, 0)?));
        }
        Ok(Self { fields })
    }

    /// The recipe as a JSON object, fields in order.
    pub fn to_json(&self) -> Json {
        let fields = self.fields.iter().map(|(n, v)| (n.clone(), v.to_json()));
        Json::Object(fields.collect())
    }

    /// What changed from `old` to this recipe, in this recipe's order and then what is gone.
    /// Maps and lists are descended into, so that a change of one entry is one change.
    ///
    /// Empty exactly where the keys are equal, except for recipes that differ in nothing but the
    /// order of their fields: those give one change of the path `(order)`.
    pub fn diff(&self, old: &Recipe) -> Vec<Change> {
        let mut changes = Vec::new();
        diff_entries("", &old.fields, &self.fields, &mut changes);
        if changes.is_empty() && self.fields != old.fields {
            let order = |recipe: &Recipe| {
                let names = recipe.fields.iter().map(|(n, _)| n.as_str());
                Some(Value::from(names.collect::<Vec<_>>()))
            };
            changes.push(Change {
                path: "(order)".to_owned(),
                old: order(old),
                new: order(self),
            });
        }
        changes
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
        (Value::List(a), Value::List(b)) => {
            for i in 0..a.len().max(b.len()) {
                let at = format!("{path}[{i}]");
                match (a.get(i), b.get(i)) {
                    (Some(x), Some(y)) => diff_values(at, x, y, changes),
                    (x, y) => changes.push(Change {
                        path: at,
                        old: x.cloned(),
                        new: y.cloned(),
                    }),
                }
            }
        }
        _ => changes.push(Change {
            path,
            old: Some(old.clone()),
            new: Some(new.clone()),
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::value::tests::any_value;
    use proptest::prelude::*;

    pub(crate) fn any_recipe() -> impl Strategy<Value = Recipe> {
        prop::collection::vec(("[a-e]", any_value()), 0..6).prop_map(|fields| {
            let mut recipe = Recipe::new();
            for (name, value) in fields {
                recipe.push(name, value);
            }
            recipe
        })
    }

    proptest! {
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
    fn the_key_is_pinned() {
        // A change here makes every store of every user cold: bump KEY_CONTEXT on purpose only.
        assert_eq!(
            example(1, &["a"]).key().to_string(),
            "a461ff97125b4eb0f6868e45ad90f0cab5fc71804db0334b318e5e3e7b90300a"
        );
    }
}
