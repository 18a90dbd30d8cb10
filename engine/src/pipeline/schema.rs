//! Makes a JSON Schema (draft 2020-12) of the pipeline TOML, for editors that check and complete.

use serde_json::{Map, Value as Json, json};

use crate::kind::describe::describe;
use crate::kind::params::{Default, ParamSpec, ParamType, Preset};
use crate::kind::reference::toml;
use crate::kind::spec::KindSpec;
use crate::kind::stage::Registry;
use crate::pipeline::outputs;
use crate::pipeline::study;
use crate::text::document::GRID;
use crate::text::variants::EXTENDS;

/// Returns the schema of pipelines whose kinds are those of `registry`.
///
/// What depends on more than one value (conditions between parameters, ports that exist only with
/// some of them) is left to [`super::load`]: the schema accepts every pipeline that it accepts.
pub fn schema(registry: &Registry) -> Json {
    let specs: Vec<KindSpec> = registry.iter().map(|(_, kind)| kind.spec()).collect();
    let definitions = definitions(&specs);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flow pipeline",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "pipeline": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "name": {"type": "string", "description": "default: the file's name without extension"},
                    "seed": {"type": "integer", "minimum": 0, "default": crate::pipeline::DEFAULT_SEED},
                    outputs::OUTSIDE: {"type": "boolean", "default": false, "description": "outputs may lie outside the project"},
                    "extends": {"type": "string", "description": "another pipeline, relative to this file"},
                },
            },
            "stages": {"type": "object", "additionalProperties": {"$ref": "#/$defs/stage"}},
            "outputs": {
                "type": "object",
                "description": "files that a run leaves for the user: \"PATH\" = \"STAGE.PORT\"; false drops one that is inherited",
            },
            "metrics": {
                "type": "object",
                "additionalProperties": false,
                "properties": {"headline": {"type": "string", "pattern": "^[^.]+\\..+$"}},
            },
            "variants": {"type": "object", "additionalProperties": variant()},
            "tune": study(),
        },
        "$defs": definitions,
    })
}

/// Returns the parts that the schema refers to by name: kinds, references, stages, ranges.
fn definitions(specs: &[KindSpec]) -> Map<String, Json> {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
    let mut definitions = Map::new();
    let mut choices = Vec::new();
    for spec in specs {
        choices.push(json!({
            "if": {"properties": {"use": {"const": spec.name}}, "required": ["use"]},
            "then": {"$ref": format!("#/$defs/kind.{}", spec.name)},
        }));
        definitions.insert(format!("kind.{}", spec.name), kind(spec));
    }
    let reference = json!({"type": "string", "minLength": 1});
    definitions.insert(
        "references".into(),
        json!({
            "anyOf": [reference, {"type": "array", "items": reference}],
            "description": "\"STAGE\" or \"STAGE.PORT\", or a list of them",
        }),
    );
    definitions.insert(
        "reference".into(),
        json!({
            "anyOf": [reference, {"type": "array", "items": reference, "minItems": 1, "maxItems": 1}],
            "description": "\"STAGE\" or \"STAGE.PORT\"",
        }),
    );
    definitions.insert(
        "stage".into(),
        json!({
            "type": "object",
            "properties": {"use": {"enum": names, "description": "the kind of the stage"}},
            "allOf": choices,
        }),
    );
    definitions.insert("range".into(), range());
    definitions
}

fn study() -> Json {
    let number = |most: i64, about: &str| json!({"type": "integer", "minimum": 1, "maximum": most, "description": about});
    json!({
        "type": "object",
        "description": "what `flow tune` searches",
        "additionalProperties": false,
        "properties": {
            "trials": number(study::MOST, "trials in all"),
            "parallel": number(study::AT_A_TIME, "trials that are proposed at a time"),
            "sampler": {"enum": ["tpe", "random", "grid"]},
            "objective": {"type": "string", "pattern": "^[^.]+\\..+$", "description": "STAGE.METRIC"},
            "prune": {"type": "boolean", "description": "stop trials that fall behind after some folds"},
            "nested": {"type": "boolean", "description": "measure the optimism in an outer cross-validation"},
            "seed": {"type": "integer", "minimum": 0, "description": "of the proposals"},
            "space": {
                "type": "object",
                "description": "ranges by dotted path, such as \"model.max_depth\" = { int = [2, 8] }",
                "additionalProperties": {"anyOf": [
                    {"$ref": "#/$defs/range"},
                    {"type": "object", "additionalProperties": {"type": "object"}},
                ]},
            },
        },
    })
}

/// Returns the schema of a value in `[tune.space]`.
fn range() -> Json {
    let ends =
        |ty: &str| json!({"type": "array", "items": {"type": ty}, "minItems": 2, "maxItems": 2});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "int": ends("integer"),
            "int_log": ends("integer"),
            "float": ends("number"),
            "log": ends("number"),
            "choice": {"type": "array", "minItems": 2},
            "steps": {"type": "integer", "minimum": 2, "maximum": study::MOST},
        },
    })
}

fn variant() -> Json {
    let name = json!({"type": "string", "minLength": 1});
    json!({
        "type": "object",
        "description": "values replaced, by dotted path",
        "properties": {
            EXTENDS: {
                "anyOf": [name, {"type": "array", "items": name}],
                "description": "variants to start from",
            },
            GRID: {"type": "object", "description": "lists of values, by dotted path: every combination is a variant"},
        },
    })
}

fn kind(spec: &KindSpec) -> Json {
    let mut properties = Map::new();
    properties.insert("use".into(), json!({"const": spec.name}));
    properties.insert("inputs".into(), inputs(spec));
    properties.insert(
        "seed".into(),
        json!({
            "type": "integer", "minimum": 0, "description": "tells otherwise equal stages apart",
        }),
    );
    for param in &spec.params {
        properties.insert(param.name.into(), parameter(param));
    }
    json!({
        "type": "object",
        "description": spec.about,
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Returns the schema of the inputs of a kind. It allows no other ports, unless the kind takes its ports
/// and steps from the pipeline.
fn inputs(spec: &KindSpec) -> Json {
    let ports = spec.ports.inputs.iter().map(|port| {
        let count = if port.many { "references" } else { "reference" };
        let optional = if port.optional { ", optional" } else { "" };
        let about = format!("{}{optional}", port.ty);
        let schema = json!({"$ref": format!("#/$defs/{count}"), "description": about});
        (port.name.clone(), schema)
    });
    let others = match spec.steps.is_empty() {
        true => json!({"$ref": "#/$defs/references"}),
        false => json!(false),
    };
    json!({
        "type": "object",
        "additionalProperties": others,
        "properties": ports.collect::<Map<_, _>>(),
    })
}

fn parameter(param: &ParamSpec) -> Json {
    let mut schema = of_type(&param.ty);
    if let Json::Object(fields) = &mut schema {
        let mut about = format!("{} Takes {}.", param.about, describe(&param.ty));
        if let Some((on, words)) = param.only {
            about.push_str(&format!(" Only with {on} = {}.", words.join(" or ")));
        }
        if let Default::Is(value) = &param.default {
            about.push_str(&format!(" Default: {}.", toml(value)));
        }
        for Preset { on, word, value } in &param.presets {
            about.push_str(&format!(" Default with {on} = {word}: {}.", toml(value)));
        }
        fields.insert("description".into(), about.into());
    }
    schema
}

fn of_type(ty: &ParamType) -> Json {
    match ty {
        ParamType::Bool => json!({"type": "boolean"}),
        ParamType::Int { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        ParamType::Float { min, max } => {
            let mut schema = Map::from_iter([("type".to_owned(), json!("number"))]);
            // An infinite bound does not limit anything, and JSON cannot express it.
            for (key, bound) in [("minimum", *min), ("maximum", *max)] {
                if bound.is_finite() {
                    schema.insert(key.into(), json!(bound));
                }
            }
            Json::Object(schema)
        }
        ParamType::Str | ParamType::Path | ParamType::Glob => json!({"type": "string"}),
        ParamType::Choice(words) => json!({"enum": words}),
        ParamType::List(inner) => json!({"type": "array", "items": of_type(inner)}),
        ParamType::Map(inner) | ParamType::Ordered(inner) => {
            json!({"type": "object", "additionalProperties": of_type(inner)})
        }
        ParamType::OneOf(types) => json!({"anyOf": types.iter().map(of_type).collect::<Vec<_>>()}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_where_they_are_finite() {
        let ty = ParamType::Float {
            min: 0.0,
            max: f64::INFINITY,
        };
        assert_eq!(of_type(&ty), json!({"type": "number", "minimum": 0.0}));
    }
}
