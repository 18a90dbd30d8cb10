//! What stands behind an output port after a run, or as far as it is known.

use flow_cache::{Digest, Digester, Output, Store};

use crate::kind::action::Part;
use crate::kind::spec::PortType;
use crate::pipeline::PortRef;
use crate::plan::keys::Slot;
use crate::plan::{Coords, Plan};

/// The artifacts behind an output port, each with the action that makes it.
pub struct Port {
    /// Type of the port.
    pub ty: PortType,
    /// Its parts, without vacant ones.
    pub parts: Vec<Part>,
    /// Every artifact behind them, including views.
    pub needs: Vec<(Digest, usize)>,
}

impl Port {
    /// Returns one digest for the port: that of its artifact, or of the ordered list if there are many.
    pub fn digest(&self) -> Option<Digest> {
        digest_of(self.needs.iter().map(|(digest, _)| *digest))
    }
}

/// Finds what stands behind an output port. Returns none while some of it is not known.
pub fn port(plan: &Plan<'_>, slots: &[Slot], store: &Store, reference: PortRef) -> Option<Port> {
    let shown = shown(plan, slots, reference)?;
    let parts = shown.parts().map(|(reference, part)| Part {
        path: store.path(&part.output.digest),
        digest: part.output.digest,
        attrs: part.output.attrs.clone(),
        reference,
        fold: part.fold.map(str::to_owned),
        views: Vec::new(),
    });
    let needs = shown.needs().map(|part| (part.output.digest, part.action));
    Some(Port {
        ty: shown.ty,
        parts: parts.collect(),
        needs: needs.collect(),
    })
}

/// An output port as the records describe it: what [`port`] is made from, and all that a report needs.
pub struct Shown<'s> {
    /// Type of the port.
    pub ty: PortType,
    /// By stage that it shows, its artifacts and views of them.
    feeds: Vec<(Vec<Made<'s>>, Vec<Made<'s>>)>,
}

/// An artifact with the action that made it.
#[derive(Clone, Copy)]
pub struct Made<'s> {
    /// The action.
    pub action: usize,
    /// The artifact.
    pub output: &'s Output,
    /// The fold in which it was made.
    pub fold: Option<&'s str>,
}

impl<'s> Shown<'s> {
    /// Returns its artifacts, each with the number of the stage that it shows.
    pub fn parts(&self) -> impl Iterator<Item = (usize, Made<'s>)> {
        let feeds = self.feeds.iter().enumerate();
        feeds.flat_map(|(number, (parts, _))| parts.iter().map(move |part| (number, *part)))
    }

    /// Returns every artifact behind it, including views.
    pub fn needs(&self) -> impl Iterator<Item = Made<'s>> {
        let feeds = self.feeds.iter();
        feeds.flat_map(|(parts, views)| parts.iter().chain(views).copied())
    }

    /// Returns true if it shows only a part of its artifacts, for which their bytes alone are not enough.
    pub fn is_a_view(&self) -> bool {
        self.feeds.iter().any(|(_, views)| !views.is_empty())
    }

    /// Returns the same as [`Port::digest`].
    pub fn digest(&self) -> Option<Digest> {
        digest_of(self.needs().map(|part| part.output.digest))
    }
}

/// Returns one digest for a list of artifacts: that of the only one, or of the ordered list.
fn digest_of(mut needs: impl Iterator<Item = Digest>) -> Option<Digest> {
    let first = needs.next()?;
    let Some(second) = needs.next() else {
        return Some(first);
    };
    let mut digester = Digester::default();
    for digest in [first, second].into_iter().chain(needs) {
        digester.put(digest.as_bytes());
    }
    Some(digester.finish())
}

/// Finds what the records say of an output port. Returns none while some of it is not known.
pub fn shown<'s>(plan: &'s Plan<'_>, slots: &'s [Slot], reference: PortRef) -> Option<Shown<'s>> {
    let made = |action: usize, name: &str| match &slots[action] {
        Slot::Done(record) => Some(Made {
            action,
            output: record.output(name)?,
            fold: plan.fold_name(plan.coords(action)),
        }),
        _ => None,
    };
    let feeds = plan.producers(reference, nowhere(reference.stage));
    let feeds = feeds.into_iter().map(|feed| {
        let producers = feed.producers.into_iter();
        let parts = producers.filter(|&action| !matches!(slots[action], Slot::Vacant));
        let parts: Option<Vec<Made<'_>>> = parts.map(|action| made(action, feed.output)).collect();
        let views = feed.views.into_iter();
        let views = views.filter(|&(action, _)| matches!(slots[action], Slot::Done(_)));
        let views: Option<Vec<Made<'_>>> = views.map(|(action, name)| made(action, name)).collect();
        Some((parts?, views?))
    });
    Some(Shown {
        ty: plan.pipeline.stages[reference.stage].ports.outputs[reference.port].ty,
        feeds: feeds.collect::<Option<_>>()?,
    })
}

/// Returns coordinates from which all folds and shards of a stage are read.
pub(super) fn nowhere(stage: usize) -> Coords {
    Coords {
        stage,
        step: 0,
        fold: None,
        shard: None,
    }
}
