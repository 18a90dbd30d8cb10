//! Engine events as JSON objects, one a line.

use flow_engine::plan::Plan;
use flow_engine::run::event::{Event, Outcome};
use serde_json::{Map, Value as Json, json};

use super::reason;

/// The JSON of an event. None for those that are for people only.
pub fn event(plan: &Plan<'_>, run: &str, event: &Event) -> Option<Json> {
    let name = |stage: usize| plan.pipeline.stages[stage].name.as_str();
    match event {
        Event::Started { actions } => {
            let stages: Map<String, Json> = actions
                .iter()
                .enumerate()
                .map(|(stage, &n)| (name(stage).to_owned(), n.into()))
                .collect();
            Some(json!({
                "event": "run-started",
                "run": run,
                "pipeline": plan.pipeline.name,
                "stages": stages,
            }))
        }
        Event::ActionStarted {
            action,
            stage,
            reason,
        } => Some(json!({
            "event": "action-started",
            "stage": name(*stage),
            "action": plan.label(*action),
            "reason": reason::json(reason),
        })),
        Event::Progress { .. } => None,
        Event::ActionFinished {
            action,
            stage,
            outcome,
            record,
        } => {
            let outcome = match outcome {
                Outcome::Hit => "hit",
                Outcome::Ran => "ran",
                Outcome::Failed(_) => "failed",
                Outcome::Skipped => "skipped",
                Outcome::Vacant => return None,
            };
            let mut json = json!({
                "event": "action-finished",
                "stage": name(*stage),
                "action": plan.label(*action),
                "outcome": outcome,
            });
            if let (Some(record), Json::Object(fields)) = (record, &mut json) {
                let outputs: Map<String, Json> = record
                    .outputs
                    .iter()
                    .map(|o| (o.name.clone(), o.digest.to_string().into()))
                    .collect();
                fields.insert("key".into(), record.key.to_string().into());
                fields.insert("wall_s".into(), record.wall_s.into());
                fields.insert("cpu_s".into(), record.cpu_s.into());
                fields.insert("peak_rss".into(), record.peak_rss.into());
                fields.insert("read_bytes".into(), record.read_bytes.into());
                fields.insert("outputs".into(), outputs.into());
                if let Some(log) = &record.log {
                    fields.insert("log".into(), log.digest.to_string().into());
                }
            }
            Some(json)
        }
        Event::Stopping { running } => Some(json!({"event": "run-stopping", "running": running})),
        Event::Warning { message } => Some(json!({"event": "warning", "message": message})),
    }
}
