//! The values that recipes and records hold, with one canonical encoding.

use std::fmt;

use crate::content::Digest;
use crate::content::codec::{Cursor, DecodeError, put_bytes, put_varint};

/// The deepest nesting that is decoded, so that hostile bytes cannot exhaust the stack. TOML
/// parsers stop earlier.
const MAX_DEPTH: usize = 128;

/// A value in a recipe or in the attributes of an output.
///
/// Two values are equal exactly if their encodings are equal: all NaNs are one value, and `-0.0` is
/// not `0.0`.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing. A parameter that is not set has this value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number, compared by its bits.
    Float(f64),
    /// Text.
    Str(String),
    /// The digest of an artifact.
    Digest(Digest),
    /// Values whose order matters.
    List(Vec<Value>),
    /// Named values in ascending order of their names, each name once. [`Value::map`] puts them in
    /// order.
    Map(Vec<(String, Value)>),
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(5);
    put_bytes(out, text.as_bytes());
}

pub(crate) fn put_digest(out: &mut Vec<u8>, digest: &Digest) {
    out.push(6);
    out.extend_from_slice(digest.as_bytes());
}

pub(crate) fn put_list(out: &mut Vec<u8>, count: usize) {
    out.push(7);
    put_varint(out, count as u64);
}

pub(crate) fn put_map(out: &mut Vec<u8>, count: usize) {
    out.push(8);
    put_varint(out, count as u64);
}

impl Value {
    /// A map of these entries in order of their names. Of entries with the same name, the last one
    /// stays.
    pub fn map<K: Into<String>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(k, v)| (k.into(), v.into()));
        Self::Map(normalised(entries.collect()))
    }

    /// The entry `name` of a map, or `None`. Values that are not maps have no entries.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => entries.iter().find(|(k, _)| k == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if the value is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, whole or not, if the value is one.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Appends the canonical encoding: a tag, then the payload. Lengths stand before what they
    /// count, and numbers are little-endian.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Bool(b) => out.push(1 + u8::from(*b)),
            Self::Int(i) => {
                out.push(3);
                out.extend_from_slice(&i.to_le_bytes());
            }
            Self::Float(x) => {
                out.push(4);
                out.extend_from_slice(&canonical_bits(*x).to_le_bytes());
            }
            Self::Str(text) => put_text(out, text),
            Self::Digest(digest) => put_digest(out, digest),
            Self::List(items) => {
                put_list(out, items.len());
                items.iter().for_each(|item| item.encode_to(out));
            }
            Self::Map(entries) => {
                if !is_normalised(entries) {
                    return Self::Map(normalised(entries.clone())).encode_to(out);
                }
                put_map(out, entries.len());
                for (name, value) in entries {
                    put_bytes(out, name.as_bytes());
                    value.encode_to(out);
                }
            }
        }
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    /// Decodes a value. Bytes that are not a canonical encoding are an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let value = Self::decode_from(&mut cursor, 0)?;
        cursor.end()?;
        Ok(value)
    }

    pub(crate) fn decode_from(cursor: &mut Cursor<'_>, depth: usize) -> Result<Self, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError("a value is nested too deeply"));
        }
        Ok(match cursor.byte()? {
            0 => Self::Null,
            1 => Self::Bool(false),
            2 => Self::Bool(true),
            3 => Self::Int(i64::from_le_bytes(cursor.array()?)),
            4 => {
                let x = f64::from_bits(u64::from_le_bytes(cursor.array()?));
                if canonical_bits(x) != x.to_bits() {
                    return Err(DecodeError("a NaN is not the canonical one"));
                }
                Self::Float(x)
            }
            5 => Self::Str(cursor.text()?.to_owned()),
            6 => Self::Digest(Digest::from_bytes(cursor.array()?)),
            7 => {
                let count = cursor.count()?;
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(Self::decode_from(cursor, depth + 1)?);
                }
                Self::List(items)
            }
            8 => {
                let count = cursor.count()?;
                let mut entries: Vec<(String, Value)> = Vec::new();
                for _ in 0..count {
                    let name = cursor.text()?;
                    if entries
                        .last()
                        .is_some_and(|(last, _)| name <= last.as_str())
                    {
                        return Err(DecodeError("the names of a map are out of order"));
                    }
                    entries.push((name.to_owned(), Self::decode_from(cursor, depth + 1)?));
                }
                Self::Map(entries)
            }
            _ => return Err(DecodeError("unknown type of value")),
        })
    }

    /// The value as JSON. Digests become text, and numbers that JSON lacks become `"nan"`, `"inf"`
    /// or `"-inf"`.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(b) => Json::Bool(*b),
            Self::Int(i) => Json::from(*i),
            Self::Float(x) => match serde_json::Number::from_f64(*x) {
                Some(number) => Json::Number(number),
                None => Json::String(self.to_string()),
            },
            Self::Str(text) => Json::String(text.clone()),
            Self::Digest(digest) => Json::String(digest.to_string()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(k, v)| (k.clone(), v.to_json()))
                    .collect(),
            ),
        }
    }

    /// The value of some JSON. Whole numbers beyond `i64` become floats.
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(i), _) => Self::Int(i),
                (None, Some(x)) => Self::Float(x),
                (None, None) => Self::Null,
            },
            Json::String(text) => Self::Str(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(entries) => {
                Self::map(entries.iter().map(|(k, v)| (k.clone(), Self::from_json(v))))
            }
        }
    }
}

/// The bits of a number, with only one NaN.
fn canonical_bits(x: f64) -> u64 {
    if x.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        x.to_bits()
    }
}

fn is_normalised(entries: &[(String, Value)]) -> bool {
    entries.windows(2).all(|pair| pair[0].0 < pair[1].0)
}

fn normalised(mut entries: Vec<(String, Value)>) -> Vec<(String, Value)> {
    if !is_normalised(&entries) {
        // The entries are reversed first, so that the stable sort puts the last of equal names
        // first.
        entries.reverse();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|later, first| later.0 == first.0);
    }
    entries
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => canonical_bits(*a) == canonical_bits(*b),
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Digest(a), Self::Digest(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) if is_normalised(a) && is_normalised(b) => a == b,
            (Self::Map(_), Self::Map(_)) => self.encode() == other.encode(),
            _ => false,
        }
    }
}

impl Eq for Value {}

/// The compact form, as in TOML. A missing value is `null`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Float(x) if x.is_nan() => f.write_str("nan"),
            // `{:?}` keeps the point (`1.0`) and gives the shortest text that reads back as the
            // same number.
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Str(text) => write_quoted(f, text),
            Self::Digest(digest) => write!(f, "\"{digest}\""),
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) if entries.is_empty() => f.write_str("{}"),
            Self::Map(entries) => {
                for (i, (name, value)) in entries.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "{ " })?;
                    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                    if !name.is_empty() && name.bytes().all(bare) {
                        f.write_str(name)?;
                    } else {
                        write_quoted(f, name)?;
                    }
                    write!(f, " = {value}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if c.is_control() => write!(f, "\\u{:04X}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

macro_rules! value_from {
    ($($from:ty => |$x:ident| $to:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($x: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    bool => |x| Value::Bool(x),
    i64 => |x| Value::Int(x),
    i32 => |x| Value::Int(x.into()),
    u32 => |x| Value::Int(x.into()),
    f64 => |x| Value::Float(x),
    &str => |x| Value::Str(x.to_owned()),
    String => |x| Value::Str(x),
    Digest => |x| Value::Digest(x),
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any value, up to three levels deep.
    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
            ".{0,6}".prop_map(Value::Str),
            any::<[u8; 32]>().prop_map(|b| Value::Digest(Digest::from_bytes(b))),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::vec(("[a-d]{1,2}", inner), 0..4).prop_map(Value::map),
            ]
        })
    }

    proptest! {
        #[test]
        fn encoding_round_trips(value in any_value()) {
            let bytes = value.encode();
            let back = Value::decode(&bytes).unwrap();
            prop_assert_eq!(back.encode(), bytes);
            prop_assert_eq!(back, value);
        }

        #[test]
        fn equal_exactly_where_encodings_are(a in any_value(), b in any_value()) {
            prop_assert_eq!(a == b, a.encode() == b.encode());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_have_one_spelling(
            bytes in prop::collection::vec(0u8..12, 0..40)
        ) {
            if let Ok(value) = Value::decode(&bytes) {
                prop_assert_eq!(value.encode(), bytes);
            }
        }
    }

    #[test]
    fn nan_is_one_value_and_zero_has_a_sign() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
        assert_eq!(Value::Float(f64::NAN), Value::Float(-other_nan));
        assert_ne!(Value::Float(0.0), Value::Float(-0.0));
    }

    #[test]
    fn map_order_does_not_matter_and_the_last_name_wins() {
        let map = Value::map([("b", 1), ("a", 2), ("b", 3)]);
        assert_eq!(map, Value::map([("a", 2), ("b", 3)]));
        let raw = Value::Map(vec![("b".into(), 3.into()), ("a".into(), 2.into())]);
        assert_eq!(raw, map);
        assert_eq!(raw.encode(), map.encode());
    }

    #[test]
    fn display_reads_like_toml() {
        let value = Value::map([
            ("list", Value::from(vec![1.0, -0.5])),
            ("odd key", "line\n\"x\"".into()),
            ("none", Value::Null),
        ]);
        let text = r#"{ list = [1.0, -0.5], none = null, "odd key" = "line\n\"x\"" }"#;
        assert_eq!(value.to_string(), text);
        assert_eq!(Value::Map(Vec::new()).to_string(), "{}");
    }

    #[test]
    fn deep_nesting_is_refused_not_overflowed() {
        let mut bytes = [7u8, 1].repeat(100_000);
        bytes.push(0);
        assert!(Value::decode(&bytes).is_err());
    }

    #[test]
    fn json_round_trips_what_json_can_say() {
        let json = serde_json::json!({"a": [1, 2.5, null, true], "b": "x"});
        assert_eq!(Value::from_json(&json).to_json(), json);
        assert_eq!(Value::Float(f64::INFINITY).to_json(), "inf");
    }
}
