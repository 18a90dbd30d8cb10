//! Why an action runs, in words and as JSON.

use flow_cache::{Change, Value};
use flow_engine::plan::Reason;
use serde_json::{Value as Json, json};

/// Values longer than this are cut for people; JSON has them whole.
const LONG: usize = 60;

/// In a few words.
pub fn text(reason: &Reason) -> String {
    match reason {
        Reason::New => "not run before".into(),
        Reason::Changed(changes) => match changes.as_slice() {
            [] => "changed".into(),
            [only] => change(only),
            [first, rest @ ..] => format!("{} and {} more", change(first), rest.len()),
        },
        Reason::Lost => "its bytes are gone and needed".into(),
        Reason::Audit => "an audit compares its bytes".into(),
        Reason::Tainted => "a source file changed while it ran".into(),
    }
}

/// A change as `params.kernels: 5000 -> 2000`.
pub fn change(change: &Change) -> String {
    let path = &change.path;
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("{path}: {} -> {}", short(old), short(new)),
        (None, Some(new)) => format!("{path}: new, {}", short(new)),
        (Some(old), None) => format!("{path}: gone, was {}", short(old)),
        (None, None) => path.clone(),
    }
}

/// A value in at most [`LONG`] characters, digests in twelve.
pub fn short(value: &Value) -> String {
    if let Value::Digest(digest) = value {
        return digest.short();
    }
    let text = value.to_string();
    if text.chars().count() <= LONG {
        return text;
    }
    let cut: String = text.chars().take(LONG - 3).collect();
    format!("{cut}...")
}

/// As JSON: `{"why": "changed", "changes": [...]}`.
pub fn json(reason: &Reason) -> Json {
    match reason {
        Reason::New => json!({"why": "new"}),
        Reason::Changed(changes) => json!({"why": "changed", "changes": self::changes(changes)}),
        Reason::Lost => json!({"why": "lost"}),
        Reason::Audit => json!({"why": "audit"}),
        Reason::Tainted => json!({"why": "source-changed"}),
    }
}

/// Changes as JSON.
pub fn changes(changes: &[Change]) -> Vec<Json> {
    let side = |value: &Option<Value>| value.as_ref().map_or(Json::Null, Value::to_json);
    changes
        .iter()
        .map(|c| json!({"path": c.path, "old": side(&c.old), "new": side(&c.new)}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_said_in_one_line() {
        let one = |old: Option<Value>, new: Option<Value>| Change {
            path: "params.k".into(),
            old,
            new,
        };
        let number = || Some(Value::Int(5));
        assert_eq!(change(&one(number(), None)), "params.k: gone, was 5");
        assert_eq!(change(&one(None, number())), "params.k: new, 5");
        let long = Value::Str("x".repeat(100));
        assert_eq!(short(&long).chars().count(), LONG);
        let two = vec![one(number(), Some(long)), one(number(), None)];
        let text = text(&Reason::Changed(two));
        assert!(text.starts_with("params.k: 5 -> \"xxx"), "{text}");
        assert!(text.ends_with(" and 1 more"), "{text}");
    }
}
