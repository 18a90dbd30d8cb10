//! `flow stages`: the reference of kinds, made from the code.

use clap::Args;
use flow_engine::Diag;
use flow_engine::kind::reference;

use crate::error::CliError;
use crate::event::KindEvent;
use crate::render::table;
use crate::ui::Ui;

/// `flow stages`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow stages
  flow stages rocket")]
pub struct StagesArgs {
    /// One kind in full, as Markdown
    pub kind: Option<String>,
}

/// The columns that are reserved for the names of kinds and the gap behind them.
const NAMES: usize = 16;

/// Runs the command.
pub fn run(args: &StagesArgs, ui: &Ui) -> Result<(), CliError> {
    let registry = flow_neural::kinds::registry();
    if let Some(name) = &args.kind {
        let Some(kind) = registry.get(name) else {
            let names: Vec<&str> = registry.iter().map(|(name, _)| name).collect();
            let message = format!("there is no kind `{name}`");
            return Err(CliError::usage(
                Diag::new("flow::pipeline::unknown_kind", message)
                    .help(format!("the kinds are {}", names.join(", "))),
            ));
        };
        let text = reference::of(&kind.spec());
        ui.event(|| KindEvent {
            name: name.clone(),
            reference: Some(text.clone()),
            about: None,
            version: None,
        });
        ui.answer(&text);
        return Ok(());
    }
    let mut rows = Vec::new();
    for (name, kind) in registry.iter() {
        let spec = kind.spec();
        ui.event(|| KindEvent {
            name: name.to_owned(),
            reference: None,
            about: Some(spec.about.to_owned()),
            version: Some(spec.version),
        });
        // The description of a kind is never cut. It continues on further lines if it must.
        let mut name = name;
        for line in table::lines(spec.about, table::width().saturating_sub(NAMES)) {
            rows.push(vec![name.to_owned(), line]);
            name = "";
        }
    }
    ui.answer(&format!(
        "{}\n",
        table::plain(&["kind", "what it does"], 2, rows)
    ));
    Ok(())
}
