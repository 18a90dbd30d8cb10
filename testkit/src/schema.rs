//! JSON held against a schema, by the few keywords that `docs/events.schema.json` uses. A field that the schema
//! does not name is a mistake here, although readers of events must expect new ones.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Map, Value as Json};

use crate::files::{read, repository};

/// The schema of the events of `flow`.
pub fn events() -> &'static Json {
    static SCHEMA: OnceLock<Json> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = read(&repository().join("docs/events.schema.json"));
        serde_json::from_str(&text).expect("a schema")
    })
}

/// Checks an event, unless it is one of those by which `flow stage-exec` speaks to the run that started it.
#[track_caller]
pub fn assert_event(event: &Json) {
    if ["progress", "stage-exec-finished"].contains(&event["event"].as_str().unwrap_or_default()) {
        return;
    }
    if let Err(wrong) = check(events(), event) {
        panic!("{wrong}\nin {event}");
    }
}

/// What of a value is not as a schema has it.
pub fn check(schema: &Json, value: &Json) -> Result<(), String> {
    Checker { root: schema }.value(schema, value)
}

/// So many characters of a value are shown where it is wrong.
const SHOWN: usize = 200;

struct Checker<'s> {
    root: &'s Json,
}

impl<'s> Checker<'s> {
    /// A value, each of whose fields has to be named by some part of the schema.
    fn value(&self, schema: &'s Json, value: &Json) -> Result<(), String> {
        let mut named = BTreeSet::new();
        self.part(schema, value, &mut named)?;
        let mut fields = value.as_object().into_iter().flat_map(Map::keys);
        match fields.find(|field| !named.contains(field.as_str())) {
            Some(field) => Err(format!("the schema has no field `{field}`")),
            None => Ok(()),
        }
    }

    /// One part of the schema of a value; takes down the fields that it names.
    fn part<'v>(
        &self,
        schema: &'s Json,
        value: &'v Json,
        named: &mut BTreeSet<&'v str>,
    ) -> Result<(), String> {
        let Json::Object(schema) = schema else {
            // `true`
            let fields = value.as_object().into_iter().flat_map(Map::keys);
            named.extend(fields.map(String::as_str));
            return Ok(());
        };
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "$ref" => {
                    let path = rule.as_str().expect("a reference").trim_start_matches('#');
                    let target = self.root.pointer(path).expect("what it refers to");
                    self.part(target, value, named)?;
                }
                "anyOf" => self.choice(rule, value, named, 1..)?,
                "oneOf" => self.choice(rule, value, named, 1..=1)?,
                "items" => {
                    let mut items = value.as_array().into_iter().flatten();
                    items.try_for_each(|item| self.value(rule, item))?;
                }
                _ if holds(keyword, rule, value) => {}
                _ => {
                    let shown: String = value.to_string().chars().take(SHOWN).collect();
                    return Err(format!("{shown} is not as \"{keyword}\": {rule} has it"));
                }
            }
        }
        let own = schema.get("properties").and_then(Json::as_object);
        for (name, field) in value.as_object().into_iter().flatten() {
            let own = own.and_then(|own| own.get(name));
            if let Some(schema) = own.or(schema.get("additionalProperties")) {
                named.insert(name);
                let checked = self.value(schema, field);
                checked.map_err(|why| format!("{name}: {why}"))?;
            }
        }
        // A part without a rule lets everything through.
        if schema.keys().all(|keyword| keyword == "description") {
            self.part(&Json::Bool(true), value, named)?;
        }
        Ok(())
    }

    fn choice<'v>(
        &self,
        parts: &'s Json,
        value: &'v Json,
        named: &mut BTreeSet<&'v str>,
        wanted: impl std::ops::RangeBounds<usize>,
    ) -> Result<(), String> {
        let (mut fitting, mut wrong) = (0, Vec::new());
        for part in parts.as_array().expect("a list of schemas") {
            let mut more = BTreeSet::new();
            match self.part(part, value, &mut more) {
                Ok(()) => {
                    fitting += 1;
                    named.extend(more);
                }
                Err(why) => wrong.push(why),
            }
        }
        match wanted.contains(&fitting) {
            true => Ok(()),
            false => {
                // Most alternatives are out of the question, by a word or by fields that are not there.
                let other = ["\"const\"", "\"enum\"", "\"required\""];
                let is_near = |why: &&String| !other.iter().any(|keyword| why.contains(keyword));
                let near: Vec<&str> = wrong.iter().filter(is_near).map(String::as_str).collect();
                let near = near.join("; ");
                Err(format!(
                    "{fitting} of {} alternatives fit: {near}",
                    wrong.len()
                ))
            }
        }
    }
}

/// Whether a value is as one keyword has it.
fn holds(keyword: &str, rule: &Json, value: &Json) -> bool {
    let is = |name: &Json| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => panic!("an unknown type {name}"),
    };
    let length = || value.as_array().map(|items| items.len() as u64);
    match (keyword, rule) {
        ("type", Json::Array(names)) => names.iter().any(is),
        ("type", name) => is(name),
        ("const", only) => value == only,
        ("enum", Json::Array(all)) => all.contains(value),
        ("minimum", least) => value
            .as_f64()
            .is_none_or(|v| v >= least.as_f64().expect("a number")),
        ("$schema" | "$defs" | "title" | "description", _) => true,
        ("properties" | "additionalProperties", _) => true,
        ("minItems", least) => length().is_none_or(|n| n >= least.as_u64().expect("a number")),
        ("maxItems", most) => length().is_none_or(|n| n <= most.as_u64().expect("a number")),
        ("required", Json::Array(names)) => names.iter().all(|name| {
            let fields = value.as_object();
            fields.is_none_or(|fields| fields.contains_key(name.as_str().expect("a name")))
        }),
        _ => panic!("this check does not know \"{keyword}\": {rule}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_schema_does_not_have_is_found() {
        let schema = json!({
            "oneOf": [
                {"$ref": "#/$defs/a", "properties": {"event": {"const": "a"}}, "required": ["event"]},
                {"properties": {"event": {"const": "b"}, "n": {"type": ["integer", "null"]}}},
            ],
            "$defs": {"a": {
                "properties": {
                    "all": {"type": "array", "items": {"type": "string"}},
                    "by_name": {"type": "object", "additionalProperties": {"type": "boolean"}},
                },
            }},
        });
        let good = [
            json!({"event": "a", "all": ["x"], "by_name": {"more": true}}),
            json!({"event": "b", "n": null}),
        ];
        for value in good {
            assert_eq!(check(&schema, &value), Ok(()), "{value}");
        }
        let bad = [
            json!({"all": []}),
            json!({"event": "a", "all": [1]}),
            json!({"event": "a", "by_name": {"more": 1}}),
            json!({"event": "a", "more": true}),
            json!({"event": "b", "n": 0.5}),
            json!({"event": "b", "unknown": 0}),
        ];
        for value in bad {
            assert!(check(&schema, &value).is_err(), "{value}");
        }
    }
}
