//! Says what a run would do with an action, in words and for programs.

use flow_engine::explain::preview::{Need, Verdict, Wait};
use flow_engine::explain::{Explanation, Group};
use flow_engine::plan::Plan;

use super::reason;
use crate::event::{ActionName, ByteReader, Decision, FirstCause};
use crate::project::shown;

/// The stage or the file that needs bytes, by name.
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

/// What can be said of an action besides the word for its verdict: why it runs, what it waits for.
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

/// The command that prints the version of what a stage runs, or the interpreter that flow asks for the versions
/// of its packages.
pub fn version(plan: &Plan<'_>, stage: usize) -> String {
    let params = &plan.pipeline.stages[stage].params;
    let command: Vec<&str> = params.read("version");
    match command.is_empty() {
        true => params.read::<&str>("python").to_owned(),
        false => command.join(" "),
    }
}

/// What a run would do with an action, for programs.
pub fn decision(
    plan: &Plan<'_>,
    verdict: Verdict,
    told: &Explanation,
    groups: &[Group],
) -> Decision {
    let causes: Vec<FirstCause> = match verdict {
        Verdict::Run => {
            let causes = told.causes.iter();
            causes.map(|cause| FirstCause::new(plan, cause)).collect()
        }
        _ => {
            let groups = told.groups.iter().map(|&group| &groups[group as usize]);
            groups.map(|g| FirstCause::new(plan, &g.cause)).collect()
        }
    };
    let more_causes = (!causes.is_empty()).then_some(told.more);
    let mut decision = Decision {
        verdict: word(verdict).to_owned(),
        reason: told.reason.as_ref().map(Into::into),
        causes: (!causes.is_empty()).then_some(causes),
        more_causes,
        needed_by: None,
        waits_for: None,
        equal_to: None,
        wanted_if: None,
        asks: None,
    };
    let reader = |by: Need| match by {
        Need::Action(by) => ByteReader::Action(ActionName::of(plan, by)),
        Need::File(_) => ByteReader::File {
            file: need(plan, by),
        },
    };
    match verdict {
        Verdict::Restore(by) => decision.needed_by = Some(reader(by)),
        Verdict::Pending(Wait::Inputs(on)) => decision.waits_for = Some(ActionName::of(plan, on)),
        Verdict::Pending(Wait::Equal(first)) => {
            decision.equal_to = Some(ActionName::of(plan, first));
        }
        Verdict::Pending(Wait::Bytes(by)) => decision.wanted_if = Some(reader(by)),
        Verdict::Pending(Wait::Surroundings) => decision.asks = Some("version".to_owned()),
        Verdict::Run | Verdict::Hit | Verdict::Vacant => {}
    }
    decision
}
