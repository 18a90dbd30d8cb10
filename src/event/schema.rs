//! The schema of the events, made from the structs.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value as Json, json};

use super::JsonEvent;

/// The schema of a line: what `flow schema --events` prints.
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with_transform(RecursiveTransform(plain));
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<JsonEvent>();
    schema.insert("title".into(), "Events of flow".into());
    // A line is one event, whatever the derived schema makes of those that are listed as untagged.
    if let Some(events) = schema.remove("anyOf") {
        schema.insert("oneOf".into(), events);
    }
    schema
}

/// Takes out what says something of Rust and nothing of the lines.
fn plain(schema: &mut Schema) {
    schema.remove("format");
    schema.remove("default");
    if let Some(Json::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &String| {
        let names = required.as_array();
        names.is_some_and(|names| names.iter().any(|known| known == name))
    };
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        let optional = properties.iter_mut().filter(|(name, _)| !is_required(name));
        optional.for_each(|(_, property)| never_null(property));
    }
}

/// A field that may be absent is not null where it is there.
fn never_null(property: &mut Json) {
    let Json::Object(property) = property else {
        return;
    };
    if let Some(Json::Array(types)) = property.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            property.insert("type".into(), only);
        }
    }
    if let Some(Json::Array(mut choice)) = property.shift_remove("anyOf") {
        choice.retain(|schema| *schema != json!({"type": "null"}));
        match choice.pop() {
            Some(Json::Object(only)) if choice.is_empty() => property.extend(only),
            last => {
                choice.extend(last);
                property.insert("anyOf".into(), choice.into());
            }
        }
    }
}
