//! The reference of a kind as Markdown, made from the kind's own description. `flow stages KIND` shows it,
//! and `docs/reference.md` holds that of all kinds.

use std::fmt::Write;

use flow_cache::Value;

use crate::kind::describe::describe;
use crate::kind::params::{Default, ParamSpec};
use crate::kind::spec::{ANY, KindSpec, PortType, Ports, Scope};
use crate::kind::stage::Registry;

/// Returns the reference of all kinds, in the order of their names.
pub fn all(registry: &Registry) -> String {
    let kinds: Vec<String> = registry.iter().map(|(_, kind)| of(&kind.spec())).collect();
    kinds.join("\n")
}

/// Returns the reference of one kind.
pub fn of(spec: &KindSpec) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_kind(spec, &mut out);
    out
}

fn write_kind(spec: &KindSpec, out: &mut String) -> std::fmt::Result {
    writeln!(out, "## {}\n\n{}\n", spec.name, spec.about)?;
    write_ports(&spec.ports, out)?;
    write_params(&spec.params, out)?;
    if spec.steps.iter().any(|step| step.seeded) {
        writeln!(
            out,
            "Draws random numbers: `seed = N` gives the stage numbers of its own.\n"
        )?;
    }
    let steps: Vec<String> = spec
        .steps
        .iter()
        .map(|step| format!("`{}` {}", step.name, scope(step.scope)))
        .collect();
    if !steps.is_empty() {
        writeln!(out, "Steps: {}.", steps.join(", "))?;
    }
    Ok(())
}

fn write_ports(ports: &Ports, out: &mut String) -> std::fmt::Result {
    if !ports.inputs.is_empty() {
        writeln!(out, "| input | takes |\n|---|---|")?;
        for port in &ports.inputs {
            let list = if port.many { "a list of " } else { "" };
            let optional = if port.optional { ", optional" } else { "" };
            writeln!(
                out,
                "| `{}` | {list}{}{optional} |",
                port.name,
                type_name(port.ty)
            )?;
        }
        writeln!(out)?;
    }
    if !ports.outputs.is_empty() {
        writeln!(out, "| output | gives | |\n|---|---|---|")?;
        for port in &ports.outputs {
            writeln!(
                out,
                "| `{}` | {} | {} |",
                port.name,
                type_name(port.ty),
                cell(port.about)
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_params(params: &[ParamSpec], out: &mut String) -> std::fmt::Result {
    if !params.is_empty() {
        writeln!(
            out,
            "| parameter | takes | default | meaning |\n|---|---|---|---|"
        )?;
        for param in params {
            let (takes, default) = (cell(&describe(&param.ty)), cell(&default_of(param)));
            writeln!(
                out,
                "| `{}` | {takes} | {default} | {} |",
                param.name,
                cell(&meaning(param))
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn type_name(ty: PortType) -> &'static str {
    if ty == ANY { "anything" } else { ty }
}

fn meaning(param: &ParamSpec) -> String {
    match param.only {
        Some((on, words)) => format!("{} Only with `{on}` = {}.", param.about, words.join(" or ")),
        None => param.about.into(),
    }
}

fn default_of(param: &ParamSpec) -> String {
    let usual = match &param.default {
        Default::Required => "required".into(),
        Default::Absent => "none".into(),
        Default::Is(value) => format!("`{}`", toml(value)),
    };
    let presets = param.presets.iter();
    presets.fold(usual, |text, preset| {
        let value = toml(&preset.value);
        format!("{text}, `{value}` with `{}` = {}", preset.on, preset.word)
    })
}

/// Returns a value as it would be written in TOML.
pub fn toml(value: &Value) -> String {
    match value {
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => format!("{v:?}"),
        Value::Str(v) => format!("{v:?}"),
        Value::List(items) => format!(
            "[{}]",
            items.iter().map(toml).collect::<Vec<_>>().join(", ")
        ),
        Value::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(k, v)| format!("{k} = {}", toml(v)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Null | Value::Digest(_) => String::new(),
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Whole => "once",
        Scope::Shard => "once a shard",
        Scope::Fold => "once a fold",
        Scope::FoldShard => "once a fold and shard",
    }
}

/// Escapes a text so that it does not end the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
