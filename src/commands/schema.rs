//! `flow schema`: a JSON Schema of the pipeline TOML, or of the events.

use clap::Args;
use flow_engine::pipeline::schema::schema;

use crate::event;
use crate::ui::Ui;

/// `flow schema`
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print that of the events of `--message-format json` instead
    #[arg(long)]
    pub events: bool,
}

/// Runs the command.
pub fn run(args: &SchemaArgs, ui: &Ui) {
    ui.raw(&match args.events {
        true => format!("{:#}\n", event::schema().as_value()),
        false => format!("{:#}\n", schema(&flow_neural::kinds::registry())),
    });
}
