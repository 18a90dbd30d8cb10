//! What a run would do with an action, in words and as JSON.

use flow_engine::explain::preview::{Need, Verdict, Wait};
use flow_engine::explain::{Explanation, Group};
use flow_engine::plan::Plan;
use serde_json::{Value as Json, json};

use super::reason;
use crate::project::shown;

/// Who needs bytes: the name of a stage, or of a file.
pub fn need(plan: &Plan<'_>, need: Need) -> String {
    match need {
        Need::Action(action) => {
            let stage = plan.coords(action).stage;
            plan.pipeline.stages[stage].name.clone()
        }
        Need::File(file) => shown(&plan.pipeline.outputs[file].path),
    }
}

/// The word for a verdict.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Hit => "hit",
        Verdict::Run => "run",
        Verdict::Restore(_) => "restore",
        Verdict::Pending(_) => "pending",
        Verdict::Vacant => "vacant",
    }
}

/// What is to be said of an action besides its verdict's word: why it runs, what it waits for.
pub fn why(plan: &Plan<'_>, action: usize, verdict: Verdict, told: &Explanation) -> Vec<String> {
    match verdict {
        Verdict::Run => {
            let causes = told.causes.iter();
            let mut lines: Vec<String> = causes
                .map(|cause| reason::cause(plan, cause, action))
                .collect();
            if told.more {
                lines.push("and more".to_owned());
            }
            lines
        }
        Verdict::Restore(by) => vec![format!(
            "its bytes are gone, and `{}` needs them",
            need(plan, by)
        )],
        Verdict::Pending(Wait::Inputs(on)) => {
            vec![format!(
                "not known before `{}` has run",
                reason::action(plan, on)
            )]
        }
        Verdict::Pending(Wait::Equal(first)) => vec![format!(
            "equal to `{}`, which runs: its result is taken",
            reason::action(plan, first)
        )],
        Verdict::Pending(Wait::Bytes(by)) => vec![format!(
            "its bytes are gone: it runs if `{}` turns out to need them",
            need(plan, by)
        )],
        Verdict::Pending(Wait::Surroundings) => vec![format!(
            "not known before a run asks its `version`: `{}`",
            version(plan, plan.coords(action).stage)
        )],
        Verdict::Hit | Verdict::Vacant => Vec::new(),
    }
}

/// The command that tells the version of what a stage runs.
pub fn version(plan: &Plan<'_>, stage: usize) -> String {
    plan.pipeline.stages[stage].params.strs("version").join(" ")
}

/// An action as JSON.
pub fn json(
    plan: &Plan<'_>,
    action: usize,
    verdict: Verdict,
    told: &Explanation,
    groups: &[Group],
) -> Json {
    let at = |action: usize| {
        let stage = &plan.pipeline.stages[plan.coords(action).stage].name;
        json!({"stage": stage, "action": plan.label(action)})
    };
    let mut event = at(action);
    event["event"] = "action-planned".into();
    event["verdict"] = word(verdict).into();
    if let Some(why) = &told.reason {
        event["reason"] = reason::json(why);
    }
    let causes: Vec<Json> = match verdict {
        Verdict::Run => {
            let causes = told.causes.iter();
            causes
                .map(|cause| reason::cause_json(plan, cause))
                .collect()
        }
        _ => {
            let groups = told.groups.iter().map(|&group| &groups[group as usize]);
            let causes = groups.map(|group| reason::cause_json(plan, &group.cause));
            causes.collect()
        }
    };
    if !causes.is_empty() {
        event["causes"] = causes.into();
        event["more_causes"] = told.more.into();
    }
    match verdict {
        Verdict::Restore(Need::Action(by)) => event["needed_by"] = at(by),
        Verdict::Restore(by) => event["needed_by"] = json!({"file": need(plan, by)}),
        Verdict::Pending(Wait::Inputs(on)) => event["waits_for"] = at(on),
        Verdict::Pending(Wait::Equal(first)) => event["equal_to"] = at(first),
        Verdict::Pending(Wait::Bytes(Need::Action(by))) => event["wanted_if"] = at(by),
        Verdict::Pending(Wait::Bytes(by)) => event["wanted_if"] = json!({"file": need(plan, by)}),
        Verdict::Pending(Wait::Surroundings) => event["asks"] = "version".into(),
        Verdict::Run | Verdict::Hit | Verdict::Vacant => {}
    }
    event
}
