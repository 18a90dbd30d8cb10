//! Lowering: from stages to actions, and in [`keys`] from actions to recipes and keys.
//!
//! The actions of one step form a block, laid out fold by fold and, within a fold, shard by shard. So an
//! action is a number, its coordinates follow by division, and the producers of an input follow from the
//! blocks alone. No edges need to be stored.
//!
//! Nothing here decides whether an action runs, and nothing here runs one. [`keys`] looks at source files for
//! their digests and asks kinds for surroundings; the plan itself reads nothing. Begin with [`Plan`] and
//! [`Plan::feeds`], then read [`keys`], which documents every field of a recipe.

pub mod keys;

use crate::kind::spec::FOLDS;
use std::ops::Range;

use crate::kind::spec::{From, Of, Rows};
use crate::pipeline::{Dims, Pipeline, PortRef};

/// The actions of one step.
#[derive(Clone, Copy, Debug)]
struct Block {
    base: usize,
    folds: usize,
    shards: usize,
}

impl Block {
    fn len(&self) -> usize {
        self.folds * self.shards
    }
}

/// The coordinates of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coords {
    /// Index of the stage.
    pub stage: usize,
    /// Index of its step.
    pub step: usize,
    /// Index of the fold, if the step has folds.
    pub fold: Option<usize>,
    /// Index of the shard, if the step has shards.
    pub shard: Option<usize>,
}

/// One reference of a read, resolved to the artifacts that it stands for.
pub struct Feed<'p> {
    /// The port, or for an earlier step the name of the output.
    pub port: &'p str,
    /// Index of the reference within the port's list.
    pub reference: usize,
    /// Which rows count.
    pub rows: Option<Rows>,
    /// The producing actions.
    pub producers: Vec<usize>,
    /// The output of each producer.
    pub output: &'p str,
    /// Views through which it is seen, innermost first.
    pub views: Vec<(usize, &'p str)>,
    /// The producers stand for different folds, so that the fold distinguishes them.
    pub over_folds: bool,
}

/// All actions of a pipeline.
pub struct Plan<'p> {
    /// The pipeline.
    pub pipeline: &'p Pipeline,
    blocks: Vec<Vec<Block>>,
    /// Start of each block with its stage and step, for finding an action's block.
    starts: Vec<(usize, usize, usize)>,
    /// By stage, the number of stages in the longest chain below it.
    heights: Vec<usize>,
    total: usize,
}

impl<'p> Plan<'p> {
    /// Lowers a pipeline.
    pub fn new(pipeline: &'p Pipeline) -> Self {
        let mut blocks = Vec::with_capacity(pipeline.stages.len());
        let mut starts = Vec::new();
        let mut total = 0;
        for (index, stage) in pipeline.stages.iter().enumerate() {
            let mut steps = Vec::with_capacity(stage.steps.len());
            for (step, dims) in stage.step_dims.iter().enumerate() {
                let block = Block {
                    base: total,
                    folds: match (dims.fold, stage.fold_root) {
                        (true, Some(root)) => pipeline.stages[root].layout.folds.len(),
                        _ => 1,
                    },
                    shards: match (dims.shard, stage.shard_root) {
                        (true, Some(root)) => pipeline.stages[root].layout.shards.len(),
                        _ => 1,
                    },
                };
                if block.len() > 0 {
                    starts.push((total, index, step));
                }
                total += block.len();
                steps.push(block);
            }
            blocks.push(steps);
        }
        Self {
            pipeline,
            blocks,
            starts,
            heights: heights(pipeline),
            total,
        }
    }

    /// Returns the number of stages in the longest chain below a stage.
    pub fn height(&self, stage: usize) -> usize {
        self.heights[stage]
    }

    /// Number of actions.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Returns true for a pipeline without actions.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The actions of a stage.
    pub fn of_stage(&self, stage: usize) -> Range<usize> {
        let steps = &self.blocks[stage];
        match (steps.first(), steps.last()) {
            (Some(first), Some(last)) => first.base..last.base + last.len(),
            _ => 0..0,
        }
    }

    /// Returns the actions of the step that an action belongs to. They do not depend on each other.
    pub fn block_of(&self, action: usize) -> Range<usize> {
        let next = self.starts.partition_point(|&(start, ..)| start <= action);
        let end = self
            .starts
            .get(next)
            .map_or(self.total, |&(start, ..)| start);
        self.starts[next - 1].0..end
    }

    /// Returns the coordinates of an action.
    pub fn coords(&self, action: usize) -> Coords {
        let at = self.starts.partition_point(|&(start, ..)| start <= action) - 1;
        let (base, stage, step) = self.starts[at];
        let block = self.blocks[stage][step];
        let dims = self.pipeline.stages[stage].step_dims[step];
        let offset = action - base;
        Coords {
            stage,
            step,
            fold: dims.fold.then_some(offset / block.shards),
            shard: dims.shard.then_some(offset % block.shards),
        }
    }

    /// The names of what an action writes.
    pub(crate) fn writes(&self, action: usize) -> &[String] {
        let at = self.coords(action);
        &self.pipeline.stages[at.stage].steps[at.step].writes
    }

    /// Returns a label such as `fit 0.3` or `read split_01/train`, for people. It is in no recipe.
    pub fn label(&self, action: usize) -> String {
        let at = self.coords(action);
        let stage = &self.pipeline.stages[at.stage];
        let mut label = stage.steps[at.step].name.to_owned();
        for part in [self.fold_name(at), self.shard_label(at)]
            .into_iter()
            .flatten()
        {
            label.push(' ');
            label.push_str(part);
        }
        label
    }

    /// Returns the name of the fold at some coordinates.
    pub fn fold_name(&self, at: Coords) -> Option<&'p str> {
        let root = self.pipeline.stages[at.stage].fold_root?;
        Some(self.pipeline.stages[root].layout.folds[at.fold?].as_str())
    }

    /// Returns the label of the shard at some coordinates.
    pub fn shard_label(&self, at: Coords) -> Option<&'p str> {
        let root = self.pipeline.stages[at.stage].shard_root?;
        let shard = self.pipeline.stages[root].layout.shards.get(at.shard?)?;
        Some(shard.label())
    }

    /// Returns the actions behind an output as seen from some coordinates, with the name of their output
    /// and the views on the way.
    pub fn producers(&self, reference: PortRef, at: Coords) -> Vec<Feed<'p>> {
        let mut feeds = Vec::new();
        let mut stack = vec![(reference, Vec::new())];
        while let Some((reference, views)) = stack.pop() {
            let stage = &self.pipeline.stages[reference.stage];
            match &stage.ports.outputs[reference.port].of {
                Of::Step { step, output } => {
                    let dims = stage.step_dims[*step];
                    let mut views: Vec<(usize, &str)> = views;
                    views.reverse();
                    feeds.push(Feed {
                        port: "",
                        reference: 0,
                        rows: None,
                        producers: self.block_part(reference.stage, *step, at),
                        output,
                        views,
                        over_folds: dims.fold && at.fold.is_none(),
                    });
                }
                Of::View { port, step, output } => {
                    let mut views = views;
                    views.extend(
                        self.block_part(reference.stage, *step, at)
                            .into_iter()
                            .map(|action| (action, *output)),
                    );
                    let inputs = stage.inputs.iter().find(|b| b.port == *port);
                    for inner in inputs.into_iter().flat_map(|b| b.from.iter().rev()) {
                        stack.push((*inner, views.clone()));
                    }
                }
            }
        }
        feeds
    }

    /// Returns the actions of a step that an action at coordinates `at` reads: its own part in the
    /// dimensions that they share, all parts in the others.
    fn block_part(&self, stage: usize, step: usize, at: Coords) -> Vec<usize> {
        let block = self.blocks[stage][step];
        let Dims { fold, shard } = self.pipeline.stages[stage].step_dims[step];
        let stages = &self.pipeline.stages;
        let shard = shard && stages[stage].shard_root == stages[at.stage].shard_root;
        let folds = match at.fold {
            Some(f) if fold => f..f + 1,
            _ => 0..block.folds,
        };
        let shards = match at.shard {
            Some(s) if shard => s..s + 1,
            _ => 0..block.shards,
        };
        folds
            .flat_map(|f| {
                shards
                    .clone()
                    .map(move |s| block.base + f * block.shards + s)
            })
            .collect()
    }

    /// Returns true if the producers of a feed stand for the items of a list, in its order.
    pub fn over_items(&self, feed: &Feed<'_>) -> bool {
        feed.producers.first().is_some_and(|&producer| {
            let at = self.coords(producer);
            let root = self.pipeline.stages[at.stage].shard_root;
            at.shard.is_some() && root.is_some_and(|root| self.pipeline.stages[root].layout.items)
        })
    }

    /// Returns all that an action reads, in the order of its step's reads.
    pub fn feeds(&self, action: usize) -> Vec<Feed<'p>> {
        let at = self.coords(action);
        let stage = &self.pipeline.stages[at.stage];
        let mut feeds = Vec::new();
        for read in &stage.steps[at.step].reads {
            match &read.from {
                From::Step(step, output) => feeds.push(Feed {
                    port: output,
                    reference: 0,
                    rows: read.rows,
                    producers: self.block_part(at.stage, *step, at),
                    output,
                    views: Vec::new(),
                    over_folds: stage.step_dims[*step].fold && at.fold.is_none(),
                }),
                From::Port(port) => {
                    let binding = stage.inputs.iter().find(|b| &b.port == port);
                    let from = binding.map_or(&[][..], |b| &b.from);
                    let mut reference = 0;
                    for r in from {
                        for feed in self.producers(*r, at) {
                            feeds.push(Feed {
                                port,
                                reference,
                                rows: read.rows,
                                ..feed
                            });
                            reference += 1;
                        }
                    }
                }
            }
        }
        feeds
    }

    /// Returns the action that made the table of folds for some coordinates, and the name of its output.
    pub fn folds_table(&self, at: Coords) -> Option<(usize, &'p str)> {
        let stage = &self.pipeline.stages[at.stage];
        if at.fold.is_none() && !stage.steps[at.step].together.is_checked() {
            return None;
        }
        let root = stage.fold_root?;
        let stage = &self.pipeline.stages[root];
        stage.ports.outputs.iter().find_map(|port| match &port.of {
            Of::Step { step, output } if port.ty == FOLDS => {
                Some((self.blocks[root][*step].base, output.as_str()))
            }
            _ => None,
        })
    }

    /// Calls `f` with every action that `action` depends on. Some may come twice.
    pub fn dependencies(&self, action: usize, mut f: impl FnMut(usize)) {
        for feed in self.feeds(action) {
            feed.producers.iter().for_each(|&p| f(p));
            feed.views.iter().for_each(|&(p, _)| f(p));
        }
        if let Some((table, _)) = self.folds_table(self.coords(action)) {
            f(table);
        }
    }
}

fn heights(pipeline: &Pipeline) -> Vec<usize> {
    let mut heights = vec![0; pipeline.stages.len()];
    for (index, stage) in pipeline.stages.iter().enumerate().rev() {
        for reference in stage.inputs.iter().flat_map(|binding| &binding.from) {
            heights[reference.stage] = heights[reference.stage].max(heights[index] + 1);
        }
    }
    heights
}
