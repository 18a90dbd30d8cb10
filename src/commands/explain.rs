//! `flow explain`: what decides the result of a stage, and what changed since it last ran.

use flow_cache::Value;
use flow_engine::keys::Prepared;
use flow_engine::plan::{Plan, Reason, Verdict};
use flow_engine::preview::preview;
use serde_json::{Value as Json, json};

use crate::cli::ExplainArgs;
use crate::error::CliError;
use crate::project::{State, load_pipeline};
use crate::render::reason;
use crate::ui::Ui;

/// Runs the command.
pub fn run(args: &ExplainArgs, ui: &Ui) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.pipeline, Some(&args.stage))?;
    let state = State::open(&pipeline.root, &args.store)?;
    let stat = state.stat();
    let plan = Plan::new(&pipeline);
    let verdicts = preview(&plan, &state.store, &stat)?;
    stat.save()?;
    for (action, (verdict, prepared)) in verdicts.into_iter().enumerate() {
        let stage = &pipeline.stages[plan.coords(action).stage].name;
        if *stage != args.stage {
            continue;
        }
        let verdict = match verdict {
            // With its labels.
            Verdict::Hit(record) => {
                Verdict::Hit(state.store.lookup(&record.key)?.unwrap_or(record))
            }
            other => other,
        };
        let label = plan.label(action);
        let waits_for = match verdict {
            Verdict::Pending(on) => Some(&pipeline.stages[plan.coords(on).stage].name),
            _ => None,
        };
        ui.event(|| event(stage, &label, &verdict, prepared.as_ref(), waits_for));
        ui.answer(&text(stage, &label, &verdict, prepared.as_ref(), waits_for));
    }
    Ok(())
}

fn event(
    stage: &str,
    label: &str,
    verdict: &Verdict,
    prepared: Option<&Prepared>,
    waits_for: Option<&String>,
) -> Json {
    let (word, why) = match verdict {
        Verdict::Hit(_) => ("hit", Json::Null),
        Verdict::Run(reason) => ("run", reason::json(reason)),
        Verdict::Pending(_) => ("pending", Json::Null),
        Verdict::Vacant => ("vacant", Json::Null),
    };
    json!({
        "event": "action-explained",
        "stage": stage,
        "action": label,
        "verdict": word,
        "reason": why,
        "waits_for": waits_for,
        "key": prepared.map(|p| p.recipe.key().to_string()),
        "recipe": prepared.map(|p| p.recipe.to_json()),
    })
}

fn text(
    stage: &str,
    label: &str,
    verdict: &Verdict,
    prepared: Option<&Prepared>,
    waits_for: Option<&String>,
) -> String {
    let mut text = format!("{stage}: {label}\n");
    match verdict {
        Verdict::Hit(record) => {
            let by = (record.stage != stage).then(|| format!(", made by `{}`", record.stage));
            text.push_str(&format!("  hit{}\n", by.unwrap_or_default()));
        }
        Verdict::Run(Reason::Changed(changes)) => {
            text.push_str("  would run; since the nearest earlier run these changed:\n");
            for change in changes {
                text.push_str(&format!("    {}\n", reason::change(change)));
            }
        }
        Verdict::Run(why) => text.push_str(&format!("  would run: {}\n", reason::text(why))),
        Verdict::Pending(_) => {
            let on = waits_for.map_or("an earlier stage", String::as_str);
            text.push_str(&format!("  not known before `{on}` has run\n"));
        }
        Verdict::Vacant => text.push_str("  has no rows\n"),
    }
    if let Some(prepared) = prepared {
        text.push_str(&format!("  key = {}\n", prepared.recipe.key()));
        for (name, value) in prepared.recipe.fields() {
            field(&mut text, &name, &value);
        }
    }
    text.push('\n');
    text
}

/// One field of a recipe, maps with a line for each entry.
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
