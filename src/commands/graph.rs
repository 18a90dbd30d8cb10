//! `flow graph`: the graph of a pipeline as text, Mermaid or Graphviz.

use flow_engine::render::{self, render_graph};

use crate::cli::{GraphArgs, GraphFormat};
use crate::error::CliError;
use crate::project::load_pipeline;
use crate::ui::Ui;

/// Runs the command.
pub fn run(args: &GraphArgs, ui: &Ui) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.target.pipeline, args.target.to.as_deref())?;
    let format = match args.format {
        GraphFormat::Text => render::GraphFormat::Text,
        GraphFormat::Mermaid => render::GraphFormat::Mermaid,
        GraphFormat::Dot => render::GraphFormat::Dot,
    };
    ui.raw(&render_graph(&pipeline, format));
    Ok(())
}
