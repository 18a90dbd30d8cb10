//! Draws the graph as text, as a Mermaid flowchart, and as a Graphviz digraph.

use std::collections::HashSet;
use std::fmt::Write;

use crate::pipeline::{Dims, OutputDecl, OutputSource, Pipeline, PortRef, StageDecl};

/// A way to draw a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphFormat {
    /// One line per stage.
    Text,
    /// <https://mermaid.js.org>
    Mermaid,
    /// <https://graphviz.org>
    Dot,
}

/// Draws a pipeline: its stages in the order in which they run, what each reads, and its outputs.
pub fn render_graph(pipeline: &Pipeline, format: GraphFormat) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match format {
        GraphFormat::Text => text(pipeline, &mut out),
        GraphFormat::Mermaid => mermaid(pipeline, &mut out),
        GraphFormat::Dot => dot(pipeline, &mut out),
    };
    out
}

fn reference(pipeline: &Pipeline, reference: PortRef) -> (&str, &str) {
    let stage = &pipeline.stages[reference.stage];
    (&stage.name, &stage.ports.outputs[reference.port].name)
}

/// The stages that an output is made from, each with its port. A report is made from all stages, and is
/// drawn below those that nothing else reads.
fn feeds<'p>(pipeline: &'p Pipeline, output: &OutputDecl) -> Vec<(usize, Option<&'p str>)> {
    if let OutputSource::Port(from) = output.from {
        return vec![(from.stage, Some(reference(pipeline, from).1))];
    }
    let inputs = pipeline.stages.iter().flat_map(|stage| &stage.inputs);
    let read: HashSet<usize> = inputs
        .flat_map(|binding| &binding.from)
        .map(|from| from.stage)
        .collect();
    let stages = 0..pipeline.stages.len();
    let last = stages.filter(|stage| !read.contains(stage));
    last.map(|stage| (stage, None)).collect()
}

/// Returns the path of an output as the user knows it: relative to the project root if it lies below it.
fn shown(pipeline: &Pipeline, path: &std::path::Path) -> String {
    path.strip_prefix(&pipeline.root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Returns what the steps of a stage have one action for, such as `folds x shards`.
fn multiplicity(stage: &StageDecl) -> Option<&'static str> {
    let all = stage
        .step_dims
        .iter()
        .fold(Dims::default(), |all, dims| Dims {
            fold: all.fold || dims.fold,
            shard: all.shard || dims.shard,
        });
    match (all.fold, all.shard) {
        (true, true) => Some("folds x shards"),
        (true, false) => Some("folds"),
        (false, true) => Some("shards"),
        (false, false) => None,
    }
}

fn text(pipeline: &Pipeline, out: &mut String) -> std::fmt::Result {
    let width = pipeline
        .stages
        .iter()
        .map(|stage| stage.name.chars().count())
        .max()
        .unwrap_or(0);
    for stage in &pipeline.stages {
        write!(out, "{:width$}  {}", stage.name, stage.spec.name)?;
        if let Some(over) = multiplicity(stage) {
            write!(out, " ({over})")?;
        }
        for (i, from) in stage
            .inputs
            .iter()
            .flat_map(|binding| &binding.from)
            .enumerate()
        {
            let (name, port) = reference(pipeline, *from);
            write!(out, "{} {name}.{port}", if i == 0 { "  <-" } else { "," })?;
        }
        writeln!(out)?;
    }
    for output in &pipeline.outputs {
        let path = shown(pipeline, &output.path);
        match output.from {
            OutputSource::Port(from) => {
                let (name, port) = reference(pipeline, from);
                writeln!(out, "{path}  <- {name}.{port}")?;
            }
            OutputSource::Report(_) => writeln!(out, "{path}  <- all stages")?,
        }
    }
    Ok(())
}

fn mermaid(pipeline: &Pipeline, out: &mut String) -> std::fmt::Result {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('"', "&quot;")
            .replace('<', "&lt;")
    };
    writeln!(out, "flowchart LR")?;
    for (i, stage) in pipeline.stages.iter().enumerate() {
        writeln!(
            out,
            "  s{i}[\"{}<br/>{}\"]",
            escape(&stage.name),
            escape(stage.spec.name)
        )?;
    }
    for (i, stage) in pipeline.stages.iter().enumerate() {
        for from in stage.inputs.iter().flat_map(|binding| &binding.from) {
            let port = escape(reference(pipeline, *from).1);
            writeln!(out, "  s{} -->|{port}| s{i}", from.stage)?;
        }
    }
    for (i, output) in pipeline.outputs.iter().enumerate() {
        let path = escape(&shown(pipeline, &output.path));
        writeln!(out, "  o{i}([\"{path}\"])")?;
        for (stage, port) in feeds(pipeline, output) {
            match port.map(escape) {
                Some(port) => writeln!(out, "  s{stage} -->|{port}| o{i}")?,
                None => writeln!(out, "  s{stage} --> o{i}")?,
            }
        }
    }
    Ok(())
}

fn dot(pipeline: &Pipeline, out: &mut String) -> std::fmt::Result {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    writeln!(out, "digraph \"{}\" {{", quote(&pipeline.name))?;
    writeln!(out, "  rankdir=LR;\n  node [shape=box];")?;
    for (i, stage) in pipeline.stages.iter().enumerate() {
        writeln!(
            out,
            "  s{i} [label=\"{}\\n{}\"];",
            quote(&stage.name),
            quote(stage.spec.name)
        )?;
    }
    for (i, stage) in pipeline.stages.iter().enumerate() {
        for from in stage.inputs.iter().flat_map(|binding| &binding.from) {
            let port = quote(reference(pipeline, *from).1);
            writeln!(out, "  s{} -> s{i} [label=\"{port}\"];", from.stage)?;
        }
    }
    for (i, output) in pipeline.outputs.iter().enumerate() {
        let path = quote(&shown(pipeline, &output.path));
        writeln!(out, "  o{i} [shape=note, label=\"{path}\"];")?;
        for (stage, port) in feeds(pipeline, output) {
            match port.map(quote) {
                Some(port) => writeln!(out, "  s{stage} -> o{i} [label=\"{port}\"];")?,
                None => writeln!(out, "  s{stage} -> o{i};")?,
            }
        }
    }
    writeln!(out, "}}")
}
