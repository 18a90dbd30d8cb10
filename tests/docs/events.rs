//! Makes the reference of the JSON events from the schema that `flow schema --events` prints. It
//! describes the events in the order of `docs/examples/events.jsonl`, which has an example of each.

use std::collections::BTreeSet;

use flow_testkit::Project;
use flow_testkit::files::{read, repository};
use flow_testkit::schema::check;
use serde_json::Value as Json;

/// What `flow schema --events` prints.
pub fn schema_text() -> String {
    let flow = Project::at(repository()).flow(&["schema", "--events"]);
    flow.with(0).stdout
}

/// A section for each event, then one for each object or word that events contain.
pub fn reference() -> String {
    let schema: Json = serde_json::from_str(&schema_text()).expect("JSON");
    let mut page = Page {
        schema: &schema,
        text: String::new(),
        parts: Vec::new(),
        forms: Vec::new(),
    };
    let mut described = BTreeSet::new();
    for line in read(&repository().join("docs/examples/events.jsonl")).lines() {
        let example: Json = serde_json::from_str(line).expect("JSON");
        assert_eq!(check(&schema, &example), Ok(()), "{line}");
        let (name, event) = page.event(&example);
        if described.insert(name) {
            page.say(&format!("### `{name}`"));
        }
        page.describe(name, event);
        page.say(&format!("```json\n{line}\n```"));
    }
    let all: BTreeSet<&str> = page.events().map(|(name, _)| name).collect();
    assert_eq!(described, all, "the events that have an example");
    page.say("## Parts of events");
    let mut next = 0;
    while let Some(&name) = page.parts.get(next) {
        page.say(&format!("### {name}"));
        page.describe(name, &schema["$defs"][name]);
        next += 1;
    }
    page.text
}

/// The page, as far as it is written.
struct Page<'s> {
    schema: &'s Json,
    text: String,
    /// What events refer to, in the order of the page.
    parts: Vec<&'s str>,
    /// The forms that were described, each with the name of what has them.
    forms: Vec<(&'s [Json], &'s str)>,
}

impl<'s> Page<'s> {
    /// Adds a paragraph, a table or a list, unless it is empty.
    fn say(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.push_str(&format!("{}\n\n", text.trim_end()));
        }
    }

    /// What a `$ref` refers to, with its name.
    fn target(&self, schema: &Json) -> Option<(&'s str, &'s Json)> {
        let name = schema["$ref"].as_str()?.strip_prefix("#/$defs/")?;
        let (name, target) = self.schema["$defs"].as_object()?.get_key_value(name)?;
        Some((name, target))
    }

    /// The names of all events, each with the schema of its fields.
    fn events(&self) -> impl Iterator<Item = (&'s str, &'s Json)> {
        let events = self.schema["oneOf"].as_array().expect("the events").iter();
        events.map(|event| {
            let (_, fields) = self.target(event).expect("a struct");
            let mut named = [event, fields].into_iter();
            let name = named.find_map(|schema| constant(&schema["properties"]["event"]));
            (name.expect("a name"), fields)
        })
    }

    /// The name and the schema of an example.
    fn event(&self, example: &Json) -> (&'s str, &'s Json) {
        let is_it = |(name, fields): &(&str, &Json)| {
            let status = fields["properties"]["status"]["enum"].as_array();
            *name == example["event"] && status.is_none_or(|all| all.contains(&example["status"]))
        };
        self.events().find(is_it).expect("an event")
    }

    /// Describes an object or a word, its fields, and the values or forms that it has.
    fn describe(&mut self, name: &'s str, schema: &'s Json) {
        self.say(about(schema));
        self.table(schema);
        let choice = choice(schema);
        let words = choice
            .iter()
            .filter_map(|form| Some((constant(form)?, about(form))));
        let words: Vec<String> = words
            .map(|(word, about)| format!("- `{word}`: {about}\n"))
            .collect();
        let known = self.forms.iter().find(|(forms, _)| *forms == choice);
        if choice.is_empty() || !words.is_empty() {
            self.say(&words.concat());
        } else if let Some((_, name)) = known {
            let same = format!(
                "Besides, it has the fields of one of the forms of {}.",
                link(name)
            );
            self.say(&same);
        } else {
            self.forms.push((choice, name));
            choice.iter().for_each(|form| self.form(form));
        }
    }

    fn form(&mut self, form: &'s Json) {
        let fields = form["properties"].as_object().into_iter().flatten();
        let mut tags = fields.filter_map(|(field, schema)| Some((field, constant(schema)?)));
        self.say(&match (tags.next(), self.target(form)) {
            (Some((field, value)), _) => format!("`\"{field}\": \"{value}\"`: {}", about(form)),
            (None, Some((name, _))) => {
                format!("{} It has the fields of {}.", about(form), link(name))
            }
            (None, None) => about(form).to_owned(),
        });
        self.table(form);
    }

    /// The fields of an object, except for those that can have only one value.
    fn table(&mut self, schema: &'s Json) {
        let mut rows = String::new();
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            if constant(field).is_none() {
                let optional = match required.iter().any(|known| known == name) {
                    true => "",
                    false => ", optional",
                };
                let (of, about) = (self.type_of(field), about(field).replace('|', "\\|"));
                rows.push_str(&format!("| `{name}` | {of}{optional} | {about} |\n"));
            }
        }
        if !rows.is_empty() {
            self.say(&format!(
                "| field | type | meaning |\n|---|---|---|\n{rows}"
            ));
        }
    }

    fn type_of(&mut self, schema: &'s Json) -> String {
        if let Some((name, _)) = self.target(schema) {
            if !self.parts.contains(&name) {
                self.parts.push(name);
            }
            return link(name);
        }
        let all = match (&schema["type"], choice(schema)) {
            (Json::Array(names), _) => names
                .iter()
                .map(|name| self.named_type(name, schema))
                .collect(),
            (Json::Null, []) => return "any value".to_owned(),
            (Json::Null, forms) => forms.iter().map(|form| self.type_of(form)).collect(),
            (name, _) => vec![self.named_type(name, schema)],
        };
        all.join(" or ")
    }

    fn named_type(&mut self, name: &Json, schema: &'s Json) -> String {
        match name.as_str().expect("a type") {
            "array" => format!("list of {}", several(&self.type_of(&schema["items"]))),
            "object" => match schema.get("additionalProperties") {
                Some(Json::Bool(true)) | None => "object".to_owned(),
                Some(values) => format!("{} by name", several(&self.type_of(values))),
            },
            name => name.to_owned(),
        }
    }
}

/// The alternatives of a schema.
fn choice(schema: &Json) -> &[Json] {
    let forms = ["anyOf", "oneOf"]
        .into_iter()
        .find_map(|key| schema.get(key)?.as_array());
    forms.map_or(&[], Vec::as_slice)
}

/// The only value that a schema allows.
fn constant(schema: &Json) -> Option<&str> {
    let only = match schema["enum"].as_array().map(Vec::as_slice) {
        Some([only]) if schema.get("$ref").is_none() => only,
        _ => schema.get("const")?,
    };
    only.as_str()
}

/// The words for several values of a type.
fn several(of: &str) -> String {
    match of {
        "string" | "integer" | "number" => format!("{of}s"),
        "number or null" => "numbers or null".to_owned(),
        _ => of.to_owned(),
    }
}

fn about(schema: &Json) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn link(part: &str) -> String {
    format!("[{part}](#{})", part.to_lowercase())
}
