//! Says in words why an action runs and what that goes back to. `event/reason.rs` does so for programs.

use std::path::Path;

use flow_cache::{Change, Digest, Value, utc};
use flow_engine::explain::{Cause, Earlier, Group, Nearness, Novelty, Reason, What};
use flow_engine::plan::Plan;

use crate::event::in_project;
use crate::project::shown;
use crate::wording::{count, names};

/// Longer values are cut for people, to this many characters; JSON has them whole.
const LONG: usize = 60;

/// A reason in a few words.
pub fn text(reason: &Reason) -> String {
    match reason {
        Reason::New(Novelty::Store) => "first run: the store has no records".into(),
        Reason::New(Novelty::Kind) => "nothing of this kind was run before".into(),
        Reason::New(Novelty::Unreadable) => "the records of its kind are damaged".into(),
        Reason::Changed(changed) => match changed.changes.as_slice() {
            // At least one field differs, so this does not occur.
            [] => String::new(),
            [only] => change(only),
            [first, rest @ ..] => format!("{} and {} more", change(first), rest.len()),
        },
        Reason::Damaged => "its record is damaged".into(),
        Reason::Pruned(when) => format!("gc removed its record, {}", utc(*when)),
        Reason::Lost => "its bytes are gone and needed".into(),
        Reason::Audit => "an audit compares its bytes".into(),
        Reason::Tainted => "a source file changed while it ran".into(),
    }
}

/// An earlier record, as `stage: action` of a pipeline, and when it was made.
pub fn earlier(earlier: &Earlier) -> String {
    format!(
        "`{}: {}` of pipeline `{}`, made {}",
        earlier.stage,
        earlier.action,
        earlier.pipeline,
        utc(earlier.finished_unix)
    )
}

/// Says in what way an earlier record is near, if it is not that of the same action before.
pub fn nearness(nearness: Nearness) -> &'static str {
    match nearness {
        Nearness::SameAction => "the same action before",
        Nearness::SameKindAndAction => "the same action of another stage of its kind",
        Nearness::SameKind => "the nearest of its kind",
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

/// A value in at most [`LONG`] characters. Digests get twelve.
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

/// An action as `stage: label`.
pub fn action(plan: &Plan<'_>, action: usize) -> String {
    let stage = &plan.pipeline.stages[plan.coords(action).stage].name;
    format!("{stage}: {}", plan.label(action))
}

fn bytes(old: &Digest, new: Option<&Digest>) -> String {
    match new {
        Some(new) => format!("{} -> {}", old.short(), new.short()),
        None => format!("before {}", old.short()),
    }
}

/// A source file as its path, if that is known, and its role, unless the role is the path.
fn source(plan: &Plan<'_>, role: &str, path: Option<&Path>) -> String {
    match path {
        None => format!("a source file ({role})"),
        Some(path) if in_project(plan, path) == role => format!("source file {}", shown(path)),
        Some(path) => format!("source file {} ({role})", shown(path)),
    }
}

/// A cause, without the action at which it comes in.
pub fn what(plan: &Plan<'_>, what: &What) -> String {
    match what {
        What::Field(changed) => change(changed),
        What::Source {
            role,
            path,
            old,
            new,
        } => {
            let file = source(plan, role, path.as_deref());
            match (old, new) {
                (Some(old), Some(new)) => format!("{file} changed: {}", bytes(old, Some(new))),
                (None, _) => format!("{file} is new"),
                (Some(old), None) => format!("{file} is gone, was {}", old.short()),
            }
        }
        What::More { producer, files } => {
            let files: Vec<String> = files.iter().map(|path| shown(path)).collect();
            let from = match files.as_slice() {
                [] => String::new(),
                files => format!(" ({})", names(files.iter().map(String::as_str))),
            };
            format!(
                "it reads one part more, of `{}`{from}",
                action(plan, *producer)
            )
        }
        What::Less { digest, then } => match (then, digest) {
            (Some(then), _) => format!("it reads one part less, that of {}", earlier(then)),
            (None, Some(digest)) => format!("it reads one part less, {}", digest.short()),
            (None, None) => "it reads one part less".to_owned(),
        },
        What::Rewired { producer, then } => format!(
            "it reads an output of `{}` where it read one of {}",
            action(plan, *producer),
            earlier(then)
        ),
        What::Remade { producer, old, new } => format!(
            "`{}` was made again by the same recipe and gave other bytes, {}: it is not deterministic",
            action(plan, *producer),
            bytes(old, Some(new))
        ),
        What::Cold { producer, old, new } => format!(
            "`{}` gives other bytes than before, {}; no record of the old ones is left to compare with",
            action(plan, *producer),
            bytes(old, new.as_ref())
        ),
        What::Action(reason) => text(reason),
    }
}

/// A cause, preceded by the action at which it comes in unless that is `here`.
pub fn cause(plan: &Plan<'_>, cause: &Cause, here: usize) -> String {
    let text = what(plan, &cause.what);
    match cause.action == here {
        true => text,
        false => format!("`{}`: {text}", action(plan, cause.action)),
    }
}

/// Equal causes in one phrase, preceded by the stages at which they come in unless those are the stages
/// that run.
pub fn group(plan: &Plan<'_>, group: &Group) -> String {
    let stage = |index: &usize| plan.pipeline.stages[*index].name.as_str();
    let files: Vec<String> = group.files.iter().map(|path| shown(path)).collect();
    let files = || names(files.iter().map(String::as_str));
    let text = match &group.cause.what {
        What::Source { role, old, new, .. } if group.files.len() > 1 => {
            let happened = match (old, new) {
                (Some(_), Some(_)) => "changed",
                (None, _) => "are new",
                (_, None) => "are gone",
            };
            format!("source files ({role}) {happened}: {}", files())
        }
        What::More { .. } if group.files.len() > 1 => {
            format!("more parts than before, of {}", files())
        }
        What::Field(changed) if changed.path.starts_with("item") && group.run > 1 => {
            format!(
                "other items than before, the first of them {}",
                change(changed)
            )
        }
        _ => what(plan, &group.cause.what),
    };
    if group.at.iter().all(|at| group.stages.contains(at)) {
        return text;
    }
    format!("{}: {text}", names(group.at.iter().map(stage)))
}

/// Equal causes in one line, with the actions that they reach.
pub fn group_line(plan: &Plan<'_>, told: &Group) -> String {
    let stages = told.stages.iter();
    let stages = names(stages.map(|stage| plan.pipeline.stages[*stage].name.as_str()));
    let run = match told.run {
        1 => "runs",
        _ => "run",
    };
    let mut line = format!(
        "{} of {stages} {run}: {}",
        count(told.run, "action"),
        group(plan, told)
    );
    if let Some(record) = &told.earlier {
        line.push_str(&format!(
            " (against {}: {})",
            nearness(record.nearness),
            earlier(record)
        ));
    }
    if told.pending > 0 {
        let wait = match told.pending {
            1 => "waits",
            _ => "wait",
        };
        line.push_str(&format!(
            "; {} {wait} for that",
            count(told.pending, "action")
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_cache::{ActionKey, Recipe};
    use flow_engine::explain::Changed;

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
        let key: ActionKey = Recipe::new().key();
        let changed = Changed {
            earlier: Earlier {
                nearness: Nearness::SameAction,
                key,
                stage: "s".into(),
                action: "a".into(),
                pipeline: "p".into(),
                finished_unix: 0,
                wall_s: 0.0,
            },
            changes: vec![one(number(), Some(long)), one(number(), None)],
        };
        assert_eq!(
            earlier(&changed.earlier),
            "`s: a` of pipeline `p`, made 1970-01-01 00:00:00 UTC"
        );
        let text = text(&Reason::Changed(Box::new(changed)));
        assert!(text.starts_with("params.k: 5 -> \"xxx"), "{text}");
        assert!(text.ends_with(" and 1 more"), "{text}");
    }
}
