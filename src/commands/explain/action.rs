//! One action in full: what a run would do with it and why, its recipe, and the proof of a hit.

use std::sync::Arc;

use flow_cache::{Health, Recipe, Record, Store, Value, utc};
use flow_engine::StageError;
use flow_engine::explain::preview::Verdict;
use flow_engine::explain::{Changed, Explanation, Group, Reason};
use flow_engine::plan::Plan;

use crate::event::{
    ActionExplained, ActionExplainedWord, ActionName, HitProof, JsonEvent, ProvenOutput,
};
use crate::project::shown;
use crate::render::{reason, verdict};
use crate::wording::{bytes, count, seconds};

/// An action of the stage, explained.
pub struct ExplainedAction<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// Where its record is.
    pub store: &'a Store,
    /// Its index in the plan.
    pub action: usize,
    /// What a run would do with it.
    pub verdict: Verdict,
    /// Why a run would do so.
    pub explanation: Explanation,
    /// Its recipe, as far as that is known.
    pub recipe: Option<Recipe>,
    /// For a hit, its record.
    pub record: Option<Arc<Record>>,
}

impl ExplainedAction<'_> {
    /// Sums it up in a line.
    pub fn summary(&self) -> String {
        let lines = verdict::why(self.plan, self.action, self.verdict, &self.explanation);
        match lines.as_slice() {
            [] => verdict::word(self.verdict).to_owned(),
            lines => format!("{}: {}", verdict::word(self.verdict), lines.join("; ")),
        }
    }

    /// The event for programs. `proof` adds the proof of a hit.
    pub fn event(&self, groups: &[Group], proof: bool) -> Result<JsonEvent, StageError> {
        let record = self.record.as_ref().filter(|_| proof);
        Ok(JsonEvent::from(ActionExplained {
            at: ActionName::of(self.plan, self.action),
            event: ActionExplainedWord::ActionExplained,
            decision: verdict::decision(self.plan, self.verdict, &self.explanation, groups),
            key: self.recipe.as_ref().map(|r| r.key().to_string()),
            recipe: self.recipe.as_ref().map(Recipe::to_json),
            record: record.map(|record| self.hit_proof(record)).transpose()?,
        }))
    }

    /// The text for people. `proof` adds the proof of a hit.
    pub fn text(&self, proof: bool) -> Result<String, StageError> {
        let mut text = format!("{}\n", reason::action(self.plan, self.action));
        let mut lines = self.decision();
        match &self.record {
            Some(record) if proof => lines.extend(self.proof(record)?),
            None if proof => lines.push("no hit: there is nothing to prove".to_owned()),
            _ => {}
        }
        for line in lines {
            text.push_str(&format!("  {line}\n"));
        }
        if let Some(recipe) = &self.recipe {
            text.push_str(&format!("  key = {}\n", recipe.key()));
            for (name, value) in recipe.fields() {
                field(&mut text, &name, &value);
            }
        }
        text.push('\n');
        Ok(text)
    }

    /// What a run would do, and why.
    fn decision(&self) -> Vec<String> {
        match (self.verdict, &self.explanation.reason) {
            (Verdict::Run, Some(Reason::Changed(changed))) => self.changed(changed),
            (Verdict::Run, Some(why)) => vec![format!("would run: {}", reason::text(why))],
            (Verdict::Hit, _) => vec![match &self.record {
                None => "hit".to_owned(),
                Some(record) => format!(
                    "hit: made by `{}: {}` of pipeline `{}`, {}",
                    record.stage(),
                    record.action(),
                    record.pipeline(),
                    utc(record.finished_unix)
                ),
            }],
            (Verdict::Vacant, _) => vec!["has no rows".to_owned()],
            _ => vec![self.summary()],
        }
    }

    /// What differs from an earlier record, and what that goes back to.
    fn changed(&self, changed: &Changed) -> Vec<String> {
        let changes = changed.changes.iter().map(reason::change);
        let changes: Vec<String> = changes.collect();
        // A cause that one of the action's own changes already states is not repeated.
        let causes = self.explanation.causes.iter();
        let causes = causes.map(|cause| reason::cause(self.plan, cause, self.action));
        let upstream: Vec<String> = causes.filter(|said| !changes.contains(said)).collect();
        let indented = |line: &String| format!("  {line}");
        let mut lines = vec![format!(
            "would run; against {}, {}, these changed:",
            reason::nearness(changed.earlier.nearness),
            reason::earlier(&changed.earlier)
        )];
        lines.extend(changes.iter().map(indented));
        if !upstream.is_empty() {
            lines.push("which goes back to:".to_owned());
            lines.extend(upstream.iter().map(indented));
        }
        if self.explanation.more {
            lines.push("  and more".to_owned());
        }
        lines
    }

    /// Where the record is, what it took to make it, and the state of its bytes.
    fn proof(&self, record: &Record) -> Result<Vec<String>, StageError> {
        let mut lines = Vec::new();
        if let Some(place) = self.store.place(&record.key) {
            let replaced = match place.generation {
                0 => String::new(),
                n => format!(", replaced {}", count(n as usize, "time")),
            };
            lines.push(format!(
                "record: byte {} of {}, written {}{replaced}",
                place.offset,
                shown(&place.segment),
                utc(place.stamp / 1_000_000_000)
            ));
        }
        lines.push(format!(
            "it took {}, {} of processors",
            seconds(record.wall_s),
            seconds(record.cpu_s)
        ));
        for output in record.artifacts() {
            let name = match record.output(&output.name) {
                Some(known) if known == output => format!("output {}", output.name),
                _ => "log".to_owned(),
            };
            let health = match self.store.check(&output.digest)? {
                Health::Ok => "there, and the digest is right",
                Health::Missing if self.store.has_tier() => {
                    "not here: fetched or made again where it is needed"
                }
                Health::Missing => "not there: made again where it is needed",
                Health::Corrupt => "there and CORRUPT: set aside and made again where it is needed",
            };
            lines.push(format!(
                "{name}: {}, {}, {health}",
                output.digest,
                bytes(output.size)
            ));
        }
        Ok(lines)
    }

    fn hit_proof(&self, record: &Record) -> Result<HitProof, StageError> {
        let mut outputs = Vec::new();
        for output in &record.outputs {
            let health = match self.store.check(&output.digest)? {
                Health::Ok => "ok",
                Health::Missing => "missing",
                Health::Corrupt => "corrupt",
            };
            let proven = ProvenOutput {
                digest: output.digest.to_string(),
                bytes: output.size,
                health: health.to_owned(),
            };
            outputs.push((output.name.clone(), proven));
        }
        let place = self.store.place(&record.key);
        Ok(HitProof {
            segment: place.as_ref().map(|p| p.segment.display().to_string()),
            offset: place.as_ref().map(|place| place.offset),
            generation: place.as_ref().map(|place| place.generation),
            pipeline: record.pipeline().to_owned(),
            stage: record.stage().to_owned(),
            action: record.action().to_owned(),
            finished: record.finished_unix,
            wall_s: record.wall_s,
            cpu_s: record.cpu_s,
            outputs: outputs.into_iter().collect(),
        })
    }
}

/// One field of a recipe. A map gets a line for each entry.
fn field(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (inner, value) in entries {
                text.push_str(&format!("  {name}.{inner} = {value}\n"));
            }
        }
        Value::List(items) if items.len() > 1 => {
            for (i, value) in items.iter().enumerate() {
                text.push_str(&format!("  {name}[{i}] = {value}\n"));
            }
        }
        _ => text.push_str(&format!("  {name} = {value}\n")),
    }
}
