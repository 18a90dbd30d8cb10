//! References between stages: from the words in a pipeline to indices of stages and ports.

use std::collections::HashMap;

use crate::base::diag::{Diag, Diags, Span};
use crate::base::suggest::{closest, did_you_mean};
use crate::kind::spec::{ANY, InputPort, Of, OutputPort, PortType};
use crate::pipeline::{Binding, PortRef};
use crate::text::node::{Item, Table};

/// A reference as written: `STAGE` or `STAGE.PORT`.
#[derive(Clone, Debug)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// One entry of `inputs`, as written.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The port.
    pub port: String,
    /// Its place.
    pub port_span: Span,
    /// The references.
    pub from: Vec<Word>,
    /// It is written as a list.
    pub list: bool,
    /// Every reference is a text; otherwise the mistake has been reported and `from` is empty.
    pub sound: bool,
    /// Place of the value.
    pub span: Span,
}

/// The stage whose inputs are bound.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Where it is declared.
    pub at: Span,
    /// Its ports, or none if a mistake elsewhere hides them. Then only the stages are looked up.
    pub ports: Option<&'a [InputPort]>,
}

/// What a reference can name: the stages, and their outputs if these are known.
pub struct Targets<'a> {
    names: Vec<&'a str>,
    outputs: Vec<Option<&'a [OutputPort]>>,
    index: HashMap<&'a str, usize>,
}

impl<'a> Targets<'a> {
    /// Makes targets from names and outputs. The outputs are none if a mistake elsewhere hides them.
    pub fn new(stages: impl IntoIterator<Item = (&'a str, Option<&'a [OutputPort]>)>) -> Self {
        let (names, outputs): (Vec<_>, Vec<_>) = stages.into_iter().unzip();
        let index = names
            .iter()
            .enumerate()
            .map(|(i, name)| (*name, i))
            .collect();
        Self {
            names,
            outputs,
            index,
        }
    }

    /// The stages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().copied()
    }

    /// Returns true for an output that shows other tables through a choice, and holds no bytes itself.
    pub fn is_view(&self, reference: PortRef) -> bool {
        self.outputs[reference.stage]
            .is_some_and(|outputs| matches!(outputs[reference.port].of, Of::View { .. }))
    }

    /// Returns the stage called `name`.
    pub fn stage(&self, name: &str, span: Span, diags: &mut Diags) -> Option<usize> {
        let found = self.index.get(name).copied();
        if found.is_none() {
            let diag = Diag::new(
                "flow::pipeline::unknown_stage",
                format!("there is no stage `{name}`"),
            )
            .label(span, "unknown stage");
            diags.push(did_you_mean(
                diag,
                name,
                self.names.iter().copied(),
                "stages",
            ));
        }
        found
    }

    /// Returns what could be written for an input of the stage `reader`: the last stage before it that
    /// fits, or else the first one after it.
    fn example(&self, reader: &str, port: &InputPort) -> Option<String> {
        let here = self.index.get(reader).copied().unwrap_or_default();
        let before = (0..here).rev();
        let reference = before.chain(here + 1..self.names.len()).find_map(|stage| {
            let outputs = self.outputs[stage]?;
            let of_type = |o: &&OutputPort| o.ty == port.ty || port.ty == ANY;
            let output = outputs.iter().find(of_type)?;
            let name = self.names[stage];
            Some(match outputs.iter().filter(of_type).count() {
                1 => format!("{name:?}"),
                _ => format!("\"{name}.{}\"", output.name),
            })
        })?;
        Some(match port.many {
            true => format!("[{reference}]"),
            false => reference,
        })
    }

    /// Finds what `word` means for a port of type `ty`. The stage is returned even if the port is not
    /// known, so that cycles are found whatever else is wrong.
    pub fn find(
        &self,
        word: &Word,
        ty: PortType,
        diags: &mut Diags,
    ) -> (Option<usize>, Option<PortRef>) {
        let (name, port) = match word.text.split_once('.') {
            Some((name, port)) => (name, Some(port)),
            None => (word.text.as_str(), None),
        };
        let Some(stage) = self.stage(name, word.span, diags) else {
            return (None, None);
        };
        let Some(outputs) = self.outputs[stage] else {
            return (Some(stage), None);
        };
        let found = match port {
            Some(port) => self.named(name, port, outputs, ty, word.span),
            None => self.fitting(name, outputs, ty, word.span),
        };
        match found {
            Ok(port) => {
                let span = word.span;
                (Some(stage), Some(PortRef { stage, port, span }))
            }
            Err(diag) => {
                diags.push(diag);
                (Some(stage), None)
            }
        }
    }

    fn named(
        &self,
        stage: &str,
        port: &str,
        outputs: &[OutputPort],
        ty: PortType,
        span: Span,
    ) -> Result<usize, Diag> {
        let Some(index) = outputs.iter().position(|o| o.name == port) else {
            let diag = Diag::new(
                "flow::pipeline::unknown_port",
                format!("`{stage}` has no output `{port}`"),
            )
            .label(span, "unknown output");
            let known = outputs.iter().map(|o| o.name.as_str());
            return Err(did_you_mean(diag, port, known, "outputs"));
        };
        if fits(outputs[index].ty, ty) {
            return Ok(index);
        }
        let given = outputs[index].ty;
        Err(self.mismatch(
            format!("`{stage}.{port}` gives {given} where {ty} is needed"),
            ty,
            span,
        ))
    }

    fn fitting(
        &self,
        stage: &str,
        outputs: &[OutputPort],
        ty: PortType,
        span: Span,
    ) -> Result<usize, Diag> {
        let with = |wanted: PortType| -> Vec<usize> {
            let all = wanted == ANY && ty == ANY;
            (0..outputs.len())
                .filter(|&i| all || outputs[i].ty == wanted)
                .collect()
        };
        // An output of exactly this type is preferred to one that fits everything.
        let mut candidates = with(ty);
        if candidates.is_empty() {
            candidates = with(ANY);
        }
        match candidates.as_slice() {
            [one] => Ok(*one),
            [] => {
                let given: Vec<&str> = outputs.iter().map(|o| o.ty).collect();
                let given = if given.is_empty() {
                    "nothing".into()
                } else {
                    given.join(", ")
                };
                Err(self.mismatch(
                    format!("`{stage}` gives {given} where {ty} is needed"),
                    ty,
                    span,
                ))
            }
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|&i| format!("\"{stage}.{}\"", outputs[i].name))
                    .collect();
                Err(Diag::new(
                    "flow::pipeline::ambiguous",
                    format!("several outputs of `{stage}` fit here"),
                )
                .label(span, "which one?")
                .help(format!("write one of {}", names.join(", "))))
            }
        }
    }

    fn mismatch(&self, message: String, ty: PortType, span: Span) -> Diag {
        let diag = Diag::new("flow::pipeline::port_type", message).label(span, format!("not {ty}"));
        let mut fitting = Vec::new();
        for (name, outputs) in self.names.iter().zip(&self.outputs) {
            for output in outputs.iter().flat_map(|o| o.iter()).filter(|o| o.ty == ty) {
                fitting.push(format!("{name}.{}", output.name));
            }
        }
        match fitting.len() {
            0 => diag.help(none_gives(ty)),
            1..=12 => diag.help(format!("{ty} come from: {}", fitting.join(", "))),
            _ => diag,
        }
    }
}

fn fits(given: PortType, wanted: PortType) -> bool {
    given == wanted || given == ANY || wanted == ANY
}

/// Reads an `inputs` table.
pub fn read_inputs(table: &Table, diags: &mut Diags) -> Vec<Wanted> {
    let mut wanted = Vec::with_capacity(table.len());
    for entry in table.iter() {
        let mut from = Vec::new();
        let (items, list) = match &entry.node.item {
            Item::List(items) => (items.as_slice(), true),
            _ => (std::slice::from_ref(&entry.node), false),
        };
        let mut sound = true;
        for node in items {
            match &node.item {
                Item::Str(text) => from.push(Word {
                    text: text.clone(),
                    span: node.span,
                }),
                other => {
                    sound = false;
                    diags.push(
                        Diag::new(
                            "flow::params::type",
                            format!(
                                "an input must be \"STAGE\" or \"STAGE.PORT\", not {}",
                                other.describe()
                            ),
                        )
                        .label(node.span, "not a reference"),
                    );
                }
            }
        }
        // An entry with mistakes stays, so that its port does not count as missing.
        let from = if sound { from } else { Vec::new() };
        wanted.push(Wanted {
            port: entry.key.clone(),
            port_span: entry.key_span,
            from,
            list,
            sound,
            span: entry.node.span,
        });
    }
    wanted
}

/// Binds what a stage wants to its ports. Stages that it refers to are added to `reads`.
pub fn bind(
    reader: Reader<'_>,
    wanted: &[Wanted],
    targets: &Targets<'_>,
    reads: &mut Vec<(usize, Span)>,
    diags: &mut Diags,
) -> Vec<Binding> {
    let ports = reader.ports;
    let mut bindings = Vec::with_capacity(wanted.len());
    for want in wanted {
        let port = ports.and_then(|ports| ports.iter().find(|p| p.name == want.port));
        if let (Some(ports), None) = (ports, port) {
            let diag = Diag::new(
                "flow::pipeline::unknown_port",
                format!("`{}` has no input `{}`", reader.kind, want.port),
            )
            .label(want.port_span, "unknown input");
            let known = ports.iter().map(|p| p.name.as_str());
            diags.push(did_you_mean(diag, &want.port, known, "inputs"));
        }
        let mut from = Vec::with_capacity(want.from.len());
        for word in &want.from {
            let (stage, found) = match port {
                Some(port) => targets.find(word, port.ty, diags),
                None => {
                    let name = word.text.split('.').next().unwrap_or_default();
                    (targets.stage(name, word.span, diags), None)
                }
            };
            reads.extend(stage.map(|s| (s, word.span)));
            from.extend(found);
        }
        if let Some(port) = port {
            check_count(port, want, targets.example(reader.name, port), diags);
            bindings.push(Binding {
                port: want.port.clone(),
                from,
            });
        }
    }
    diags.extend(missing(reader, wanted, targets));
    bindings
}

/// Reports the ports that must be given and are not.
fn missing(reader: Reader<'_>, wanted: &[Wanted], targets: &Targets<'_>) -> Diags {
    let ports = reader.ports.unwrap_or_default();
    let is_missed = |port: &&InputPort| {
        let missing = !port.optional && wanted.iter().all(|want| want.port != port.name);
        // A misspelt port has been reported.
        let misspelt = wanted.iter().any(|want| {
            closest(&want.port, [port.name.as_str()]).is_some()
                && ports.iter().all(|p| p.name != want.port)
        });
        missing && !misspelt
    };
    let missed: Vec<&InputPort> = ports.iter().filter(is_missed).collect();
    // The user pastes this line over the old one, so it repeats all that is there.
    let more = missed
        .iter()
        .filter_map(|port| Some((port.name.as_str(), targets.example(reader.name, port)?)));
    let whole = inputs_with(wanted, more);
    let diags = missed.iter().map(|port| {
        let (name, ty) = (&port.name, port.ty);
        Diag::new(
            "flow::pipeline::missing_input",
            format!("`{}` needs the input `{name}` ({ty})", reader.kind),
        )
        .label(reader.at, "missing here")
        .help(match targets.example(reader.name, port) {
            Some(_) => whole.clone(),
            None => none_gives(ty),
        })
    });
    diags.collect()
}

fn check_count(port: &InputPort, want: &Wanted, example: Option<String>, diags: &mut Diags) {
    if !want.sound {
        return;
    }
    if want.list && !port.many && want.from.len() != 1 {
        diags.push(
            Diag::new(
                "flow::pipeline::input_count",
                format!(
                    "input `{}` takes one stage, not {}",
                    port.name,
                    want.from.len()
                ),
            )
            .label(want.span, "a list here")
            .help(match want.from.first() {
                Some(first) => format!("{} = {:?}", port.name, first.text),
                None => for_input(port, example),
            }),
        );
    } else if want.from.is_empty() && !port.optional {
        diags.push(
            Diag::new(
                "flow::pipeline::missing_input",
                format!("input `{}` is an empty list", port.name),
            )
            .label(want.span, "needs at least one stage")
            .help(for_input(port, example)),
        );
    }
}

fn for_input(port: &InputPort, example: Option<String>) -> String {
    match example {
        Some(example) => format!("{} = {example}", port.name),
        None => none_gives(port.ty),
    }
}

fn none_gives(ty: PortType) -> String {
    format!("no stage of this pipeline gives {ty}")
}

/// Writes the line `inputs` with all that is there already, and more.
pub fn inputs_with<'m>(
    wanted: &[Wanted],
    more: impl IntoIterator<Item = (&'m str, String)>,
) -> String {
    let written = wanted.iter().map(|want| {
        let words: Vec<String> = want.from.iter().map(|w| format!("{:?}", w.text)).collect();
        let words = words.join(", ");
        match want.list {
            true => format!("{} = [{words}]", want.port),
            false => format!("{} = {words}", want.port),
        }
    });
    let more = more
        .into_iter()
        .map(|(port, value)| format!("{port} = {value}"));
    let all: Vec<String> = written.chain(more).collect();
    format!("inputs = {{ {} }}", all.join(", "))
}
