//! What an action reads, found among what is known of other actions.

use flow_cache::{Digest, Encoder, Output};

use super::Slot;
use super::slices::Slices;
use crate::kind::error::{Fault, StageError};
use crate::kind::spec::{Rows, Scope};
use crate::plan::{Coords, Feed, Plan};

/// One artifact that an action reads.
pub(crate) struct Source<'s> {
    pub(crate) producer: usize,
    pub(crate) output: &'s Output,
    /// In a box, since there may be very many sources and most are whole artifacts.
    part: Option<Box<SourcePart<'s>>>,
}

/// What makes a source something other than a whole artifact.
struct SourcePart<'s> {
    /// The fold in which it was made, if parts of several folds meet.
    fold: Option<&'s str>,
    /// The digest of the rows that count, if only some do.
    rows: Option<Digest>,
    views: Vec<(usize, &'s Output)>,
}

/// All that an action reads, by reference, in the order of its recipe.
pub(crate) struct Reads<'s> {
    pub(crate) folds: Option<(usize, &'s Output)>,
    pub(crate) feeds: Vec<(Feed<'s>, Vec<Source<'s>>)>,
}

impl Reads<'_> {
    /// Calls `need` with every artifact and the action that makes it.
    pub(crate) fn needs(&self, mut need: impl FnMut(Digest, usize)) {
        if let Some((producer, output)) = &self.folds {
            need(output.digest, *producer);
        }
        for source in self.feeds.iter().flat_map(|(_, sources)| sources) {
            need(source.output.digest, source.producer);
            for (view, output) in source.views() {
                need(output.digest, *view);
            }
        }
    }
}

/// Finds what an action reads. Returns none if it has no rows, or if something that it reads is not known
/// (`settled` is then false).
pub(crate) fn reads<'s>(
    plan: &'s Plan<'s>,
    slots: &'s [Slot],
    action: usize,
    settled: &mut bool,
) -> Result<Option<Reads<'s>>, StageError> {
    let unsettled = |action: usize| matches!(slots[action], Slot::Waiting | Slot::Blocked);
    let at = plan.coords(action);
    let stage = &plan.pipeline.stages[at.stage];
    let folds = match plan.folds_table(at) {
        None => None,
        Some((producer, output)) => match output_of(slots, producer, output)? {
            None => {
                *settled = !unsettled(producer);
                return Ok(None);
            }
            Some(output) => Some((producer, output)),
        },
    };
    let slices = slices(plan, at, folds);
    let mut feeds = Vec::new();
    let mut has_rows = true;
    for feed in plan.feeds(action) {
        let Some(mut sources) = sources(plan, slots, &feed, slices.as_ref(), settled)? else {
            return Ok(None);
        };
        if sources.is_empty() && !feed.producers.is_empty() {
            let may_lack = feed.rows.is_some_and(Rows::may_lack);
            has_rows &= may_lack || stage.steps[at.step].scope == Scope::Whole;
        }
        // Items have an order. Other shards have none, so within a fold their parts are keyed in the order
        // of their bytes.
        if !plan.over_items(&feed) {
            sources.sort_by_key(|s| (fold_position(plan, at.stage, s.fold()), s.output.digest));
        }
        feeds.push((feed, sources));
    }
    Ok(has_rows.then_some(Reads { folds, feeds }))
}

/// Finds what comes in through one feed. Returns none if a view has no rows, or if something in it is not
/// known (`settled` is then false).
fn sources<'s>(
    plan: &'s Plan<'s>,
    slots: &'s [Slot],
    feed: &Feed<'s>,
    slices: Option<&Slices<'_>>,
    settled: &mut bool,
) -> Result<Option<Vec<Source<'s>>>, StageError> {
    let unsettled = |action: usize| matches!(slots[action], Slot::Waiting | Slot::Blocked);
    let mut sources = Vec::with_capacity(feed.producers.len());
    for &producer in &feed.producers {
        let Some(output) = output_of(slots, producer, feed.output)? else {
            if unsettled(producer) {
                *settled = false;
                return Ok(None);
            }
            continue;
        };
        let rows = match (feed.rows, slices) {
            (Some(rows), Some(slices)) => match slices.find(rows, output, feed)? {
                Some(digest) => Some(digest),
                None => continue,
            },
            _ => None,
        };
        let mut views = Vec::with_capacity(feed.views.len());
        for &(view, name) in &feed.views {
            match output_of(slots, view, name)? {
                Some(output) => views.push((view, output)),
                None => {
                    *settled = !unsettled(view);
                    return Ok(None);
                }
            }
        }
        let fold = feed
            .over_folds
            .then(|| plan.fold_name(plan.coords(producer)))
            .flatten();
        let whole = fold.is_none() && rows.is_none() && views.is_empty();
        sources.push(Source {
            producer,
            output,
            part: (!whole).then(|| Box::new(SourcePart { fold, rows, views })),
        });
    }
    Ok(Some(sources))
}

pub(super) fn slices<'s>(
    plan: &'s Plan<'s>,
    at: Coords,
    folds: Option<(usize, &'s Output)>,
) -> Option<Slices<'s>> {
    folds.map(|(_, table)| Slices {
        attrs: &table.attrs,
        fold: plan.fold_name(at).unwrap_or_default(),
        stage: &plan.pipeline.stages[at.stage].name,
    })
}

impl<'s> Source<'s> {
    pub(super) fn fold(&self) -> Option<&'s str> {
        self.part.as_ref()?.fold
    }

    /// Returns the views through which it is seen, each with the action that made it.
    pub(crate) fn views(&self) -> &[(usize, &'s Output)] {
        self.part.as_ref().map_or(&[], |part| &part.views)
    }

    /// Writes it as a map, which needs its names in order.
    pub(super) fn encode(&self, field: &mut Encoder<'_>) {
        let (fold, views) = (self.fold(), self.views());
        let rows = self.part.as_ref().and_then(|part| part.rows);
        let optional = [fold.is_some(), rows.is_some(), !views.is_empty()];
        field.map(1 + optional.into_iter().filter(|there| *there).count());
        field.name("digest").digest(&self.output.digest);
        if let Some(fold) = fold {
            field.name("fold").text(fold);
        }
        if let Some(rows) = &rows {
            field.name("rows").digest(rows);
        }
        if !views.is_empty() {
            field.name("views").list(views.len());
            for (_, output) in views {
                field.digest(&output.digest);
            }
        }
    }
}

fn fold_position(plan: &Plan<'_>, stage: usize, fold: Option<&str>) -> usize {
    let root = plan.pipeline.stages[stage].fold_root;
    match (fold, root) {
        (Some(fold), Some(root)) => plan.pipeline.stages[root]
            .layout
            .folds
            .iter()
            .position(|name| name == fold)
            .unwrap_or(0),
        _ => 0,
    }
}

fn output_of<'s>(
    slots: &'s [Slot],
    action: usize,
    name: &str,
) -> Result<Option<&'s Output>, StageError> {
    match &slots[action] {
        Slot::Done(record) => record
            .outputs
            .iter()
            .find(|output| output.name == name)
            .map(Some)
            .ok_or_else(|| {
                StageError::new(
                    Fault::Bug,
                    "flow::bug::output",
                    format!("the record {} has no output `{name}`", record.key),
                )
            }),
        _ => Ok(None),
    }
}
