//! The graph of a pipeline: order, cycles, folds and shards. Nothing here recurses, so a chain may have any
//! length.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::base::code::Code;
use crate::base::diag::{Diag, Diags, Span};
use crate::base::suggest::did_you_mean;
use crate::kind::spec::{From, Of, Scope};
use crate::pipeline::{Dims, OutputSource, Pipeline, PortRef, StageDecl};

/// The kind of external programs. They have no use for a matrix of folds unless they ask for it.
pub(crate) const COMMAND: &str = "command";

/// Orders stages `0..reads.len()` so that each comes after those that it reads. If several could come next,
/// the first in the file does.
///
/// # Errors
///
/// Returns one diagnostic for each cycle.
pub fn order(reads: &[Vec<(usize, Span)>], names: &[&str]) -> Result<Vec<usize>, Diags> {
    let mut graph: DiGraph<(), Span> = DiGraph::with_capacity(reads.len(), reads.len());
    for _ in reads {
        graph.add_node(());
    }
    for (reader, from) in reads.iter().enumerate() {
        for &(stage, span) in from {
            graph.add_edge(NodeIndex::new(stage), NodeIndex::new(reader), span);
        }
    }
    let mut waiting: Vec<usize> = reads.iter().map(Vec::len).collect();
    let ready = waiting.iter().enumerate().filter(|(_, n)| **n == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(|(i, _)| Reverse(i)).collect();
    let mut order = Vec::with_capacity(reads.len());
    while let Some(Reverse(stage)) = ready.pop() {
        order.push(stage);
        for reader in graph.neighbors(NodeIndex::new(stage)) {
            let left = &mut waiting[reader.index()];
            *left -= 1;
            if *left == 0 {
                ready.push(Reverse(reader.index()));
            }
        }
    }
    if order.len() == reads.len() {
        return Ok(order);
    }
    let mut groups: Vec<Vec<usize>> = kosaraju_scc(&graph)
        .into_iter()
        .map(|group| group.into_iter().map(NodeIndex::index).collect())
        .collect();
    for group in &mut groups {
        group.sort_unstable();
    }
    groups.sort_unstable();
    let cyclic = |group: &Vec<usize>| {
        let first = NodeIndex::new(group[0]);
        group.len() > 1 || graph.contains_edge(first, first)
    };
    let cycles = groups.iter().filter(|group| cyclic(group));
    Err(cycles.map(|group| cycle(&graph, group, names)).collect())
}

/// Finds the shortest cycle through the first stage of a strongly connected group.
fn cycle(graph: &DiGraph<(), Span>, group: &[usize], names: &[&str]) -> Diag {
    let start = NodeIndex::new(group[0]);
    let members: BTreeSet<usize> = group.iter().copied().collect();
    let mut before: Vec<Option<(NodeIndex, Span)>> = vec![None; graph.node_count()];
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        if before[start.index()].is_some() {
            break;
        }
        for edge in graph.edges_directed(node, Direction::Outgoing) {
            let next = edge.target();
            if members.contains(&next.index()) && before[next.index()].is_none() {
                before[next.index()] = Some((node, *edge.weight()));
                queue.push_back(next);
            }
        }
    }
    let mut path = vec![names[start.index()]];
    let mut places = Vec::new();
    let mut node = start;
    while let Some((previous, span)) = before[node.index()] {
        path.push(names[previous.index()]);
        places.push((
            span,
            format!(
                "`{}` reads `{}`",
                names[node.index()],
                names[previous.index()]
            ),
        ));
        node = previous;
        if node == start {
            break;
        }
    }
    path.reverse();
    places.reverse();
    if path.len() > 12 {
        let more = path.len() - 11;
        path.splice(6..path.len() - 5, ["..."]);
        places.truncate(1);
        places[0]
            .1
            .push_str(&format!(" ({more} more stages in between)"));
    }
    let diag = Diag::new(
        "flow::pipeline::cycle",
        format!("stages read each other in a circle: {}", path.join(" -> ")),
    );
    let diag = places
        .into_iter()
        .fold(diag, |diag, (span, text)| diag.label(span, text));
    diag.help("remove one of these inputs")
}

/// Derives for which folds and shards every step and port has one action or part, and checks that this
/// makes sense.
///
/// Stages must be in order.
pub fn scopes(pipeline: &mut Pipeline) -> Diags {
    let mut diags = Vec::new();
    for index in 0..pipeline.stages.len() {
        let (before, rest) = pipeline.stages.split_at_mut(index);
        let stage = &mut rest[0];
        let roots = Roots { before, index };
        roots.dimensions(stage);
        roots.folds(stage, &mut diags);
        roots.shards(stage, &mut diags);
    }
    diags
}

/// The stages before the one in question.
struct Roots<'a> {
    before: &'a [StageDecl],
    index: usize,
}

impl Roots<'_> {
    fn port<'s>(&self, stage: &'s StageDecl, port: &str) -> &'s [PortRef] {
        let binding = stage.inputs.iter().find(|binding| binding.port == port);
        binding.map_or(&[], |binding| &binding.from)
    }

    fn dims_of(&self, reference: PortRef) -> Dims {
        self.before[reference.stage].dims[reference.port]
    }

    fn dims_of_port(&self, stage: &StageDecl, port: &str) -> Dims {
        let dims = self.port(stage, port).iter().map(|r| self.dims_of(*r));
        dims.fold(Dims::default(), union)
    }

    fn dimensions(&self, stage: &mut StageDecl) {
        let mut steps: Vec<Dims> = Vec::with_capacity(stage.steps.len());
        for step in &stage.steps {
            let reads = step.reads.iter().map(|read| match &read.from {
                From::Port(port) => self.dims_of_port(stage, port),
                From::Step(earlier, _) => steps[*earlier],
            });
            let read = reads.fold(Dims::default(), union);
            let own = !stage.layout.shards.is_empty();
            steps.push(match step.scope {
                Scope::Whole => Dims::default(),
                Scope::Shard => Dims {
                    shard: own || read.shard,
                    fold: read.fold,
                },
                Scope::Fold => Dims {
                    fold: true,
                    shard: false,
                },
                Scope::FoldShard => Dims {
                    fold: true,
                    shard: read.shard,
                },
            });
        }
        let ports = stage.ports.outputs.iter().map(|output| match &output.of {
            Of::Step { step, .. } => steps[*step],
            Of::View { port, step, .. } => union(self.dims_of_port(stage, port), steps[*step]),
        });
        stage.dims = ports.collect();
        stage.step_dims = steps;
    }

    /// Finds the fold root: the folds stage that an input comes from, or whose folds it has parts for.
    fn folds(&self, stage: &mut StageDecl, diags: &mut Diags) {
        let mut roots: Vec<(usize, Span)> = Vec::new();
        if !stage.layout.folds.is_empty() {
            roots.push((self.index, stage.span));
        }
        let mut fed: Option<Span> = None;
        for reference in stage.inputs.iter().flat_map(|binding| &binding.from) {
            let from = &self.before[reference.stage];
            let over_folds = self.dims_of(*reference).fold;
            if over_folds {
                fed = fed.or(Some(reference.span));
                roots.extend(from.fold_root.map(|root| (root, reference.span)));
            } else if !from.layout.folds.is_empty() {
                roots.push((reference.stage, reference.span));
            }
        }
        let needs = stage
            .step_dims
            .iter()
            .chain(&stage.dims)
            .any(|dims| dims.fold);
        let scopes = stage.steps.iter().map(|step| step.scope);
        let asks = scopes
            .into_iter()
            .any(|s| matches!(s, Scope::Fold | Scope::FoldShard));
        if let (COMMAND, Some(span), false) = (stage.spec.name, fed, asks) {
            diags.push(
                Diag::new(
                    "flow::pipeline::fold_scope",
                    format!(
                        "`{}` reads something that is different in every fold",
                        stage.name
                    ),
                )
                .label(span, "one for each fold")
                .help("let it run once a fold: scope = \"fold\""),
            );
        }
        stage.fold_root = roots.first().map(|(root, _)| *root);
        if needs || fed.is_some() {
            diags.extend(self.no_scheme(stage, &roots, needs));
        }
    }

    /// The diagnostic for a stage whose folds are not those of one scheme.
    fn no_scheme(&self, stage: &StageDecl, roots: &[(usize, Span)], needs: bool) -> Option<Diag> {
        let Some(&first) = roots.first() else {
            let message = format!(
                "`{}` works fold by fold, but no `folds` stage reaches it",
                stage.name
            );
            return needs.then(|| {
                Diag::new("flow::pipeline::no_folds", message)
                    .label(stage.span, "needs folds")
                    .help(self.with_folds())
            });
        };
        let other = roots.iter().find(|(root, _)| *root != first.0)?;
        Some(two_folds(
            &stage.name,
            (first.1, self.name(stage, first.0)),
            (other.1, self.name(stage, other.0)),
        ))
    }

    /// Finds the shard root: the stage whose shards a step has one action each for.
    fn shards(&self, stage: &mut StageDecl, diags: &mut Diags) {
        let mut roots: Vec<(usize, Span)> = Vec::new();
        if !stage.layout.shards.is_empty() {
            let paired = stage.paired.and_then(|with| self.before[with].shard_root);
            roots.push((paired.unwrap_or(self.index), stage.span));
        }
        // A stage with items of its own gathers inputs that are divided in another way.
        if stage.layout.items {
            stage.shard_root = roots.first().map(|(root, _)| *root);
            return;
        }
        let stepwise = stage
            .steps
            .iter()
            .zip(&stage.step_dims)
            .filter(|(_, dims)| dims.shard);
        let read = stepwise
            .flat_map(|(step, _)| &step.reads)
            .filter_map(|read| match &read.from {
                From::Port(port) => Some(port.as_str()),
                From::Step(..) => None,
            });
        let viewed = stage
            .ports
            .outputs
            .iter()
            .filter_map(|output| match &output.of {
                Of::View { port, .. } => Some(*port),
                Of::Step { .. } => None,
            });
        for reference in read.chain(viewed).flat_map(|port| self.port(stage, port)) {
            if self.dims_of(*reference).shard {
                let root = self.before[reference.stage].shard_root;
                roots.extend(root.map(|root| (root, reference.span)));
            }
        }
        let Some(&first) = roots.first() else { return };
        if let Some(&other) = roots.iter().find(|(root, _)| *root != first.0) {
            let names = [self.name(stage, first.0), self.name(stage, other.0)];
            diags.push(
                Diag::new(
                    "flow::pipeline::two_sources",
                    format!(
                        "`{}` works shard by shard, but its inputs are cut up by `{}` and by `{}`",
                        stage.name, names[0], names[1]
                    ),
                )
                .label(other.1, format!("shards of `{}`", names[1]))
                .label(first.1, format!("shards of `{}`", names[0]))
                .help("read all files through one stage, or pass one of the inputs through a stage that gathers it"),
            );
        }
        stage.shard_root = Some(first.0);
    }

    /// Says how folds can come to a stage.
    fn with_folds(&self) -> String {
        let folds = self.before.iter().find(|s| !s.layout.folds.is_empty());
        let from = folds.map_or_else(|| "a `folds` stage".to_owned(), |s| format!("`{}`", s.name));
        format!("add an input that comes from {from}")
    }

    fn name<'s>(&'s self, stage: &'s StageDecl, index: usize) -> &'s str {
        self.before.get(index).map_or(&stage.name, |s| &s.name)
    }
}

/// The diagnostic for a stage whose inputs come from two folds stages, with the places and names of both.
pub(crate) fn two_folds(stage: &str, a: (Span, &str), b: (Span, &str)) -> Diag {
    let message = format!(
        "inputs of `{stage}` come from two folds stages, `{}` and `{}`",
        a.1, b.1
    );
    Diag::new(Code::TwoFolds, message)
        .label(b.0, format!("folds of `{}`", b.1))
        .label(a.0, format!("folds of `{}`", a.1))
        .help("rows that one scheme holds out are trained on in the other: use one folds stage for all of them")
}

fn union(a: Dims, b: Dims) -> Dims {
    Dims {
        fold: a.fold || b.fold,
        shard: a.shard || b.shard,
    }
}

impl Pipeline {
    /// Returns the index of a stage.
    ///
    /// # Errors
    /// There is no stage of this name.
    pub fn stage_index(&self, name: &str) -> Result<usize, Diag> {
        let found = self.stages.iter().position(|stage| stage.name == name);
        found.ok_or_else(|| {
            let diag = Diag::new(
                "flow::pipeline::unknown_stage",
                format!("there is no stage `{name}`"),
            );
            let names = self.stages.iter().map(|stage| stage.name.as_str());
            did_you_mean(diag, name, names, "stages")
        })
    }

    /// Keeps only the stage called `name` and what it needs.
    ///
    /// # Errors
    ///
    /// No stage has that name.
    pub fn restrict(&mut self, name: &str) -> Result<(), Diag> {
        let last = self.stage_index(name)?;
        self.keep(&[last]);
        Ok(())
    }

    /// Returns the stage whose folds the inputs of `stage` stem from, gathered or not. For a stage that
    /// makes folds, this is `stage` itself.
    pub fn folds_above(&self, stage: usize) -> Option<usize> {
        let mut left = vec![stage];
        let mut seen = vec![false; stage + 1];
        while let Some(stage) = left.pop() {
            if std::mem::replace(&mut seen[stage], true) {
                continue;
            }
            let decl = &self.stages[stage];
            if !decl.layout.folds.is_empty() {
                return Some(stage);
            }
            let inputs = decl.inputs.iter().flat_map(|binding| &binding.from);
            left.extend(inputs.map(|from| from.stage));
        }
        None
    }

    /// Keeps only these stages, by index, and what they need.
    pub fn keep(&mut self, last: &[usize]) {
        let mut keep = vec![false; self.stages.len()];
        last.iter().for_each(|&stage| keep[stage] = true);
        for index in (0..keep.len()).rev() {
            if keep[index] {
                for reference in self.stages[index]
                    .inputs
                    .iter()
                    .flat_map(|binding| &binding.from)
                {
                    keep[reference.stage] = true;
                }
            }
        }
        let mut renumbered = Vec::with_capacity(keep.len());
        let mut next = 0;
        for &kept in &keep {
            renumbered.push(next);
            next += usize::from(kept);
        }
        let mut index = 0;
        self.stages.retain_mut(|stage| {
            let kept = keep[index];
            index += 1;
            if kept {
                for reference in stage
                    .inputs
                    .iter_mut()
                    .flat_map(|binding| &mut binding.from)
                {
                    reference.stage = renumbered[reference.stage];
                }
                stage.fold_root = stage.fold_root.map(|root| renumbered[root]);
                stage.shard_root = stage.shard_root.map(|root| renumbered[root]);
                stage.paired = stage.paired.map(|with| renumbered[with]);
            }
            kept
        });
        self.outputs.retain_mut(|output| {
            let OutputSource::Port(from) = &mut output.from else {
                // A report of some of the stages would replace that of all.
                return keep.iter().all(|kept| *kept);
            };
            let kept = keep[from.stage];
            from.stage = renumbered[from.stage];
            kept
        });
        self.headline = self.headline.take().filter(|(stage, _)| keep[*stage]);
        if let Some((stage, _)) = &mut self.headline {
            *stage = renumbered[*stage];
        }
    }
}
