//! What stands behind an output: the folds that it stems from, and the steps on the way that saw rows
//! together.
//!
//! Every row of a prediction with a fold must come from fits that did not see it. Below folds, that follows
//! from the plan: an action of a fold fits on the training rows of that fold, applies to the others, and
//! reads the part of its own fold from other steps. Four things could break this, and the pipeline shows
//! all of them:
//!
//! - a step below folds reads rows past its fold;
//! - results that a step made of all rows together come back below folds, or among predictions that are
//!   scored;
//! - a fit learns from out-of-fold values of the same folds, although the models behind them were fitted on
//!   rows that it holds out;
//! - copies of rows count as rows of their own, on another side of a fold than what they were made of.
//!
//! Steps declare how they treat rows that they see together ([`Together`]), and [`trace`] follows that from
//! stage to stage.

use crate::kind::lineage::Lineage;
use std::collections::BTreeSet;

use crate::base::code::Code;
use crate::base::diag::{Diag, Diags, Span};
use crate::kind::spec::FOLDS;
use crate::kind::spec::{ANY, From, Of, Rows, Scope, Step, Together};
use crate::kind::stage::Stage;
use crate::pipeline::graph::{COMMAND, two_folds};
use crate::pipeline::{Dims, Pipeline, StageDecl};

/// Reports a headline that the kind says may not be quoted.
pub(crate) fn headline(kind: &dyn Stage, stage: &str, metric: &str, span: Span) -> Option<Diag> {
    let (cause, instead) = kind.unquotable(metric)?;
    let diag = Diag::new(
        "flow::leakage::headline",
        format!("`{metric}` cannot be the headline: {cause}"),
    );
    Some(
        diag.label(span, "the figure to quote")
            .help(format!("headline = \"{stage}.{instead}\"")),
    )
}

/// The facts about an output.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// The folds stages that it stems from.
    roots: BTreeSet<usize>,
    /// It holds a table of folds.
    table: bool,
    /// The stage that made it, or something that it stems from, out of rows seen together.
    together: Option<usize>,
    /// The stage that joined the results of the folds.
    joined: Option<usize>,
    /// The stage that made it, or something that it stems from, as copies of rows.
    copies: Option<usize>,
    crossed: bool,
    foreign: BTreeSet<&'static str>,
    outside: bool,
}

impl Facts {
    fn add(&mut self, other: &Facts) {
        self.roots.extend(&other.roots);
        self.together = self.together.or(other.together);
        self.joined = self.joined.or(other.joined);
        self.copies = self.copies.or(other.copies);
        self.crossed |= other.crossed;
        self.foreign.extend(&other.foreign);
        self.outside |= other.outside;
    }
}

/// Follows rows through the pipeline, whose scopes are known. Reports where they would leak, and notes the
/// lineage of everything that is scored or combined.
pub(crate) fn trace(pipeline: &mut Pipeline, diags: &mut Diags) {
    let mut known: Vec<Vec<Facts>> = Vec::with_capacity(pipeline.stages.len());
    for index in 0..pipeline.stages.len() {
        let view = View {
            stages: &pipeline.stages[..=index],
            stage: &pipeline.stages[index],
            index,
            known: &known,
        };
        let one_scheme = view.one_scheme(diags);
        let steps = view.steps(diags);
        let ports = view.ports(&steps);
        let is_checked = |step: &&Step| step.together.is_checked();
        let scores = view.stage.steps.iter().any(|step| is_checked(&step));
        let mut behind = Facts::default();
        for (step, facts) in view.stage.steps.iter().zip(&steps) {
            if !scores || is_checked(&step) {
                behind.add(facts);
            }
        }
        let outside = view.reads_outside();
        let stage = &mut pipeline.stages[index];
        if scores && one_scheme {
            stage.fold_root = stage.fold_root.or(behind.roots.first().copied());
        }
        stage.lineage = Lineage {
            crossed: behind.crossed,
            foreign: behind.foreign.iter().map(|kind| (*kind).into()).collect(),
            outside,
        };
        known.push(ports);
    }
}

/// Reports each mistake once: a step may read one thing twice, as training rows and as others.
fn report(found: impl Iterator<Item = Diag>, diags: &mut Diags) {
    for diag in found {
        let mut there = diags.iter();
        if !there.any(|d| d.code == diag.code && d.labels == diag.labels) {
            diags.push(diag);
        }
    }
}

/// One stage, and what is known of those before it.
struct View<'a> {
    stages: &'a [StageDecl],
    stage: &'a StageDecl,
    index: usize,
    /// By stage and output port.
    known: &'a [Vec<Facts>],
}

/// One thing that a step reads.
struct Seen<'a> {
    name: &'a str,
    facts: &'a Facts,
    dims: Dims,
    /// The stage that gives its values a form of their own in each fold.
    fitted: Option<usize>,
    rows: Option<Rows>,
    span: Span,
}

impl<'a> View<'a> {
    /// Reports inputs that stem from several folds stages, even after they were joined, since figures over
    /// different folds must not meet either. A program may read such inputs, but must not give them back.
    fn one_scheme(&self, diags: &mut Diags) -> bool {
        let mut roots: Vec<(usize, Span)> = Vec::new();
        for binding in &self.stage.inputs {
            let mut ports = self.stage.ports.inputs.iter();
            if ports.any(|port| port.name == binding.port && port.ty == ANY) {
                continue;
            }
            for from in &binding.from {
                let behind = &self.known[from.stage][from.port].roots;
                roots.extend(behind.iter().map(|&root| (root, from.span)));
            }
        }
        let Some(&first) = roots.first() else {
            return true;
        };
        let Some(&other) = roots.iter().find(|(root, _)| *root != first.0) else {
            return true;
        };
        let here = |diag: &Diag| {
            let mut labels = diag.labels.iter();
            diag.code == Code::TwoFolds
                && labels.any(|(span, _)| roots.iter().any(|(_, s)| s == span))
        };
        if !diags.iter().any(here) {
            let named = |(root, span)| (span, self.name(root));
            diags.push(two_folds(&self.stage.name, named(first), named(other)));
        }
        false
    }

    /// Returns whether something that the stage reads was made by a program, or elsewhere.
    fn reads_outside(&self) -> bool {
        let inputs = self.stage.inputs.iter().flat_map(|binding| &binding.from);
        inputs
            .into_iter()
            .any(|from| self.known[from.stage][from.port].outside)
    }

    fn name(&self, stage: usize) -> &'a str {
        &self.stages[stage].name
    }

    /// Finds the facts about what each step of the stage makes.
    fn steps(&self, diags: &mut Diags) -> Vec<Facts> {
        let mut steps: Vec<Facts> = Vec::with_capacity(self.stage.steps.len());
        for (at, step) in self.stage.steps.iter().enumerate() {
            let seen = self.seen(step, &steps);
            let mut facts = Facts::default();
            seen.iter().for_each(|seen| facts.add(seen.facts));
            report(
                seen.iter().filter_map(|seen| self.astray(step, seen)),
                diags,
            );
            report(self.unlike_copies(&seen).into_iter(), diags);
            // A fit on copies makes no copies.
            let mut passed_on = seen.iter().filter(|seen| seen.rows != Some(Rows::Copies));
            facts.copies = passed_on.find_map(|seen| seen.facts.copies);
            if step.together == Together::Copied {
                facts.copies = Some(self.index);
            }
            match step.scope {
                _ if !self.stage.layout.folds.is_empty() => {
                    facts = Facts::default();
                    facts.roots.insert(self.index);
                }
                Scope::Fold | Scope::FoldShard => {
                    let wrong = seen.iter().filter_map(|seen| self.past_its_fold(seen));
                    report(wrong, diags);
                    // A mistake that is reported here is not reported again below.
                    (facts.together, facts.joined) = (None, None);
                    facts.roots.extend(self.stage.fold_root);
                }
                Scope::Whole | Scope::Shard => {
                    if step.together.is_checked() {
                        report(seen.iter().filter_map(|seen| self.in_sample(seen)), diags);
                        facts.together = None;
                    }
                    self.mix(step, &seen, self.stage.step_dims[at], &mut facts);
                }
            }
            facts.outside |= self.stage.spec.name == COMMAND || step.together == Together::Foreign;
            steps.push(facts);
        }
        steps
    }

    fn seen<'s>(&'s self, step: &'s Step, steps: &'s [Facts]) -> Vec<Seen<'s>> {
        let mut seen = Vec::new();
        for read in &step.reads {
            match &read.from {
                From::Port(port) => {
                    let binding = self.stage.inputs.iter().find(|b| b.port == *port);
                    for from in binding.into_iter().flat_map(|binding| &binding.from) {
                        seen.push(Seen {
                            name: port,
                            facts: &self.known[from.stage][from.port],
                            dims: self.stages[from.stage].dims[from.port],
                            fitted: self.fitted(from.stage, from.port),
                            rows: read.rows,
                            span: from.span,
                        });
                    }
                }
                From::Step(earlier, output) => seen.push(Seen {
                    name: output,
                    facts: &steps[*earlier],
                    dims: self.stage.step_dims[*earlier],
                    fitted: None,
                    rows: read.rows,
                    span: self.stage.span,
                }),
            }
        }
        seen
    }

    /// Finds what a step that is not below folds makes of what it reads.
    fn mix(&self, step: &Step, seen: &[Seen<'_>], dims: Dims, facts: &mut Facts) {
        let joins = !dims.fold && seen.iter().any(|seen| seen.dims.fold);
        // Other rows come in beside the results of folds: a model could be applied to rows that it was
        // fitted on.
        let beside = seen.iter().any(|seen| !seen.dims.fold && !seen.facts.table);
        let table = seen.iter().any(|seen| seen.facts.table);
        if joins {
            facts.joined = Some(self.index);
        }
        let mixed = match (step.together, step.scope) {
            (Together::Foreign, _) => {
                facts.foreign.insert(self.stage.spec.name);
                facts.joined.is_some()
            }
            (Together::Crossed, _) => {
                facts.joined = Some(self.index);
                facts.crossed = true;
                false
            }
            (Together::Scored, _) => true,
            (Together::Apart | Together::Copied, _) => joins && beside,
            // A step that treats rows one by one has no use for all labels.
            (Together::Mixed, Scope::Shard) => table,
            (Together::Mixed, _) => !seen.is_empty() && (!joins || beside),
        };
        if mixed {
            facts.together = facts.together.or(Some(self.index));
        }
    }

    /// Finds the facts about each output port.
    fn ports(&self, steps: &[Facts]) -> Vec<Facts> {
        let outputs = self.stage.ports.outputs.iter().map(|output| {
            let mut facts = Facts::default();
            match &output.of {
                Of::Step { step, .. } => facts.add(&steps[*step]),
                Of::View { port, step, .. } => {
                    facts.add(&steps[*step]);
                    let binding = self.stage.inputs.iter().find(|b| b.port == *port);
                    for from in binding.into_iter().flat_map(|binding| &binding.from) {
                        facts.add(&self.known[from.stage][from.port]);
                    }
                }
            }
            facts.table = output.ty == FOLDS && !self.stage.layout.folds.is_empty();
            facts
        });
        outputs.collect()
    }

    /// Reports inputs of an action of a fold that hold more than the rows of that fold.
    fn past_its_fold(&self, seen: &Seen<'_>) -> Option<Diag> {
        let facts = seen.facts;
        if facts.table || self.stage.fold_root.is_none() {
            return None;
        }
        let stage = &self.stage.name;
        if let Some(by) = facts.joined {
            let by = self.name(by);
            let message = format!("`{stage}` would learn from out-of-fold values of `{by}`");
            return Some(
                Diag::new("flow::leakage::joined", message)
                    .label(seen.span, format!("`{by}` joined what all folds gave"))
                    .help(
                        "the models behind these values were fitted on rows that this fold holds \
                         out: combine predictions with a cross-fitted stage, such as `stack`",
                    ),
            );
        }
        if let Some(by) = facts.together {
            let by = self.name(by);
            let message =
                format!("below its folds, `{stage}` would use what `{by}` made of all rows");
            return Some(
                Diag::new("flow::leakage::whole_fit", message)
                    .label(seen.span, format!("`{by}` saw all rows together"))
                    .help(
                        "what is fitted belongs inside the folds: a kind has a step over \
                         `Scope::Fold` for it; a step that treats each row by itself declares `apart`",
                    ),
            );
        }
        if seen.dims.fold || seen.rows.is_some() {
            return None;
        }
        let name = seen.name;
        let message =
            format!("`{stage}` reads all rows of `{name}` in every fold, those it holds out too");
        Some(
            Diag::new("flow::leakage::all_rows", message)
                .label(seen.span, "not cut down to the rows of a fold")
                .help(format!(
                    "its kind must read the rows of the fold: rows(\"{name}\", Rows::Train) to fit, \
                     Rows::Apply to predict"
                )),
        )
    }

    /// Returns the stage that writes an output anew in each fold. A view does not, and shows copies as it shows rows.
    fn fitted(&self, stage: usize, port: usize) -> Option<usize> {
        let decl = &self.stages[stage];
        match &decl.ports.outputs[port].of {
            Of::Step { .. } => decl.dims[port].fold.then_some(stage),
            Of::View { port, .. } => {
                let binding = decl.inputs.iter().find(|binding| binding.port == *port)?;
                let mut from = binding.from.iter();
                from.find_map(|from| self.fitted(from.stage, from.port))
            }
        }
    }

    /// Reports copies of rows where rows are expected, and rows where copies are.
    fn astray(&self, step: &Step, seen: &Seen<'_>) -> Option<Diag> {
        let (stage, name) = (&self.stage.name, seen.name);
        let Some(by) = seen.facts.copies else {
            // What a program made is looked at when its rows are there.
            let objects = seen.rows == Some(Rows::Copies) && !seen.facts.outside;
            return objects.then(|| {
                let message = format!("`{stage}` would take objects themselves for copies of objects");
                Diag::new("flow::leakage::no_copies", message)
                    .label(seen.span, format!("no copies come in through `{name}`"))
                    .help("copies are made by a stage `augment`: measure them with a stage like the one that measures the objects")
            });
        };
        let as_rows = match seen.rows {
            Some(rows) => rows != Rows::Copies,
            None => {
                let deals = !self.stage.layout.folds.is_empty();
                deals || step.together.is_checked() || step.together == Together::Copied
            }
        };
        as_rows.then(|| {
            let by = self.name(by);
            let message = format!("`{stage}` would take the copies that `{by}` made for objects");
            Diag::new("flow::leakage::copies", message)
                .label(seen.span, format!("copies of objects, made by `{by}`"))
                .help(
                    "a copy belongs to its object and cannot cross folds: give copies to the input `augmented` of \
                     a `model`, which fits on those of its training rows alone",
                )
        })
    }

    /// Reports copies whose values do not have the form that a fit gives the rows beside them.
    fn unlike_copies(&self, seen: &[Seen<'_>]) -> Option<Diag> {
        let is = |rows| move |seen: &&Seen<'_>| seen.rows == Some(rows);
        let copies = seen.iter().find(is(Rows::Copies))?;
        let mut rows = seen.iter().filter(is(Rows::Train));
        let by = self.name(rows.find_map(|seen| seen.fitted)?);
        let message = format!(
            "`{by}` changes the features of objects in every fold, but not those of their copies"
        );
        Some(
            Diag::new("flow::pipeline::copies", message)
                .label(copies.span, format!("did not pass through `{by}`"))
                .help(format!(
                    "give `{}` the features from before `{by}`, or leave the copies out",
                    self.stage.name
                )),
        )
    }

    /// Reports predictions of rows that were seen when they were made.
    fn in_sample(&self, seen: &Seen<'_>) -> Option<Diag> {
        let by = &self.stages[seen.facts.together?];
        let stage = &self.stage.name;
        let message = format!(
            "`{stage}` would take predictions for out-of-fold that `{}` made with all rows in sight",
            by.name
        );
        let help = if by.spec.name == COMMAND {
            "a program that fits or corrects predictions runs below folds: scope = \"fold\""
        } else {
            "fit inside the folds (steps over `Scope::Fold`), or cross-fit: the step declares `crossed`"
        };
        Some(
            Diag::new("flow::leakage::in_sample", message)
                .label(
                    seen.span,
                    format!("`{}` saw these rows and their labels", by.name),
                )
                .help(help),
        )
    }
}
