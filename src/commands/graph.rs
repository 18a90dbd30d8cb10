//! `flow graph`: the graph of a pipeline as text, Mermaid or Graphviz.

use clap::{Args, ValueEnum};
use flow_engine::pipeline::drawing::{self, render_graph};

use crate::args::TargetArgs;
use crate::error::CliError;
use crate::project::load_pipeline;
use crate::ui::Ui;

/// `flow graph`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flow graph pipelines/stack.toml
  flow graph pipelines/stack.toml --format dot | dot -Tsvg -o stack.svg")]
pub struct GraphArgs {
    /// The pipeline.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How to draw it
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphChoice,
}

/// How to draw a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphChoice {
    // One line a stage.
    #[default]
    Text,
    // For Markdown.
    Mermaid,
    // For Graphviz.
    Dot,
}

/// Runs the command.
pub fn run(args: &GraphArgs, ui: &Ui) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.target.pipeline, args.target.to.as_deref())?;
    let format = match args.format {
        GraphChoice::Text => drawing::GraphFormat::Text,
        GraphChoice::Mermaid => drawing::GraphFormat::Mermaid,
        GraphChoice::Dot => drawing::GraphFormat::Dot,
    };
    ui.raw(&render_graph(&pipeline, format));
    Ok(())
}
