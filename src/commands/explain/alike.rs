//! The actions of a stage, summed up.

use std::collections::HashMap;

use flow_cache::{Recipe, Value};

use super::ExplainArgs;
use super::action::ExplainedAction;
use crate::render::reason;
use crate::wording::{count, names, quoted};

/// The most explanations that are told where actions are summed up.
const FEW: usize = 12;

/// A stage of several actions: its different explanations, each with the labels that it applies to, and
/// what the recipes have in common.
#[derive(Default)]
pub struct Alike {
    told: Vec<(String, Vec<String>)>,
    known: HashMap<String, usize>,
    /// The fields of the known recipes, and whether all of them have the same value.
    fields: Vec<(String, Value, bool)>,
    /// The number of recipes that are known.
    recipes: usize,
}

impl Alike {
    /// Adds an action.
    pub fn add(&mut self, told: &ExplainedAction<'_>, label: String) {
        let summary = told.summary();
        let at = *self.known.entry(summary.clone()).or_insert_with(|| {
            self.told.push((summary, Vec::new()));
            self.told.len() - 1
        });
        self.told[at].1.push(label);
        let Some(recipe) = &told.recipe else { return };
        let fields = flat(recipe);
        self.recipes += 1;
        if self.recipes == 1 {
            let shared = fields.into_iter().map(|(name, value)| (name, value, true));
            self.fields = shared.collect();
            return;
        }
        for (name, value, shared) in &mut self.fields {
            let same = fields.iter().find(|(other, _)| other == name);
            *shared &= same.is_some_and(|(_, other)| other == value);
        }
        for (name, value) in fields {
            if !self.fields.iter().any(|(known, ..)| *known == name) {
                self.fields.push((name, value, false));
            }
        }
    }

    /// The text for people.
    pub fn text(&self, args: &ExplainArgs) -> String {
        let labels = || self.told.iter().flat_map(|(_, labels)| labels);
        let mut text = format!("{}: {}\n", args.stage, count(labels().count(), "action"));
        for (why, labels) in self.told.iter().take(FEW) {
            let names = names(labels.iter().map(String::as_str));
            let actions = count(labels.len(), "action");
            text.push_str(&format!("  {actions}: {why}\n    {names}\n"));
        }
        if self.told.len() > FEW {
            let more = count(self.told.len() - FEW, "explanation");
            text.push_str(&format!("  ... and {more} more\n"));
        }
        if self.recipes > 0 {
            text.push_str(&match self.recipes {
                1 => "  the recipe that is known:\n".to_owned(),
                n => format!("  what their {n} recipes have in common:\n"),
            });
        }
        for (name, value, _) in self.fields.iter().filter(|(.., shared)| *shared) {
            text.push_str(&format!("    {name} = {}\n", reason::short(value)));
        }
        let differ = self.fields.iter().filter(|(.., shared)| !shared);
        let differ: Vec<&str> = differ.map(|(name, ..)| name.as_str()).collect();
        if !differ.is_empty() {
            text.push_str(&format!("  and where they differ: {}\n", differ.join(", ")));
        }
        let pipeline = quoted(&args.pipeline.file.pipeline.display().to_string());
        let first = labels().next().map_or("", String::as_str);
        text.push_str(&format!(
            "\n--all shows every action in full; one of them: flow explain {pipeline} {} {}\n",
            quoted(&args.stage),
            quoted(first),
        ));
        text
    }
}

/// The fields of a recipe, with an entry for each value of a map.
fn flat(recipe: &Recipe) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in recipe.fields() {
        match value {
            Value::Map(entries) if !entries.is_empty() => {
                let entries = entries.into_iter();
                flat.extend(entries.map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            value => flat.push((name, value)),
        }
    }
    flat
}
