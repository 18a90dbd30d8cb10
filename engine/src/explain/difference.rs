//! Compares the recipe of an action with an earlier one, and finds what stands behind each difference.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use flow_cache::{Change, Digest, Recipe, Store, Value, unmatched};

use crate::kind::error::StageError;
use crate::plan::Plan;
use crate::plan::keys::{Slot, reads, source_files};

/// One difference. It has several changes if an input came with other rows and other bytes.
pub(super) struct Difference {
    pub(super) changes: Vec<Change>,
    pub(super) of: Subject,
}

/// What differs.
pub(super) enum Subject {
    /// A field that follows from the pipeline, the kind or the machine.
    Field,
    /// A source file.
    Source {
        role: String,
        /// Where it lies, if it is still there.
        path: Option<PathBuf>,
        old: Option<Digest>,
        new: Option<Digest>,
    },
    /// An output of earlier actions.
    Input(Input),
}

/// An artifact that an action reads, and what it read before.
pub(super) struct Input {
    /// The action that makes it now.
    pub(super) producer: Option<usize>,
    pub(super) old: Option<Digest>,
    pub(super) new: Option<Digest>,
    /// The actions that make the views that differ, each with the old digest.
    pub(super) views: Vec<(usize, Digest)>,
    /// Set if other rows of it count than before. The old ones were those of a table of folds with this
    /// digest of rows.
    pub(super) rows: Option<Digest>,
}

/// An entry of a port's list as it is now.
struct PortEntry {
    value: Value,
    place: (usize, usize),
    producer: usize,
    views: Vec<usize>,
}

/// An action with its recipe, to be compared with an earlier one.
#[derive(Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) slots: &'a [Slot],
    pub(super) store: &'a Store,
    pub(super) action: usize,
    pub(super) recipe: &'a Recipe,
}

/// Finds all that differs between an action's recipe and an earlier one. There is no difference exactly if
/// their keys are equal.
pub(super) fn differences(now: Now<'_>, old: &Recipe) -> Result<Vec<Difference>, StageError> {
    let recipe = now.recipe;
    let followed = |name: &str| ["sources", "inputs", "lineage"].contains(&name);
    let fields = recipe.diff_where(old, |name| !followed(name));
    let mut found: Vec<Difference> = fields.into_iter().map(field).collect();
    sources(now, old, &mut found);
    inputs(now, old, &mut found)?;
    lineage(now, old, &mut found);
    if found.is_empty() {
        // Only the order of fields differs, or the recipe has a shape that this program never writes.
        found.extend(recipe.diff(old).into_iter().map(field));
    }
    Ok(found)
}

fn field(change: Change) -> Difference {
    Difference {
        changes: vec![change],
        of: Subject::Field,
    }
}

fn list(recipe: &Recipe, name: &str) -> Vec<Value> {
    match recipe.get(name) {
        Some(Value::List(items)) => items,
        _ => Vec::new(),
    }
}

/// Compares source files, matched by role.
fn sources(of: Now<'_>, old: &Recipe, found: &mut Vec<Difference>) {
    let (before, now) = (list(old, "sources"), list(of.recipe, "sources"));
    if before == now {
        return;
    }
    let (gone, come) = unmatched(&Vec::from_iter(&before), &Vec::from_iter(&now));
    let paths: Vec<PathBuf> = source_files(of.plan, of.action)
        .map(|file| file.path.to_owned())
        .collect();
    let role = |value: &Value| value.get("role").and_then(Value::as_str).map(str::to_owned);
    let mut gone_by_role: HashMap<String, Vec<usize>> = HashMap::new();
    for &at in gone.iter().rev() {
        gone_by_role
            .entry(role(&before[at]).unwrap_or_default())
            .or_default()
            .push(at);
    }
    let mut pairs: Vec<(String, Option<usize>, Option<usize>)> = Vec::new();
    for at in come {
        let role = role(&now[at]).unwrap_or_default();
        let was = gone_by_role.get_mut(&role).and_then(Vec::pop);
        pairs.push((role, was, Some(at)));
    }
    let mut left: Vec<_> = gone_by_role.into_iter().collect();
    left.sort_unstable();
    for (role, gone) in left {
        pairs.extend(gone.into_iter().map(|at| (role.clone(), Some(at), None)));
    }
    if pairs.is_empty() {
        found.push(field(Change {
            path: "sources (order)".to_owned(),
            old: Some(Value::List(before)),
            new: Some(Value::List(now)),
        }));
        return;
    }
    for (role, was, is) in pairs {
        let old = was.and_then(|at| digest(&before[at]));
        let new = is.and_then(|at| digest(&now[at]));
        found.push(Difference {
            changes: vec![Change {
                path: format!("sources.{role}"),
                old: old.map(Value::Digest),
                new: new.map(Value::Digest),
            }],
            of: Subject::Source {
                role,
                path: is.and_then(|at| paths.get(at).cloned()),
                old,
                new,
            },
        });
    }
}

fn digest(value: &Value) -> Option<Digest> {
    digest_at(value, "digest")
}

fn digest_at(value: &Value, name: &str) -> Option<Digest> {
    match value.get(name) {
        Some(Value::Digest(digest)) => Some(*digest),
        _ => None,
    }
}

/// Compares what predictions stem from. An action makes the table of folds in it, like any input.
fn lineage(of: Now<'_>, old: &Recipe, found: &mut Vec<Difference>) {
    let table = of.plan.folds_table(of.plan.coords(of.action));
    for change in of.recipe.diff_where(old, |name| name == "lineage") {
        let of = match (&change.old, &change.new, table) {
            (Some(Value::Digest(old)), Some(Value::Digest(new)), Some((producer, _))) => {
                Subject::Input(Input {
                    producer: Some(producer),
                    old: Some(*old),
                    new: Some(*new),
                    views: Vec::new(),
                    rows: None,
                })
            }
            _ => Subject::Field,
        };
        found.push(Difference {
            changes: vec![change],
            of,
        });
    }
}

/// Compares what the ports read, matched by bytes and then by the actions that make them.
fn inputs(of: Now<'_>, old: &Recipe, found: &mut Vec<Difference>) -> Result<(), StageError> {
    let (before, now) = (old.get("inputs"), of.recipe.get("inputs"));
    if before == now {
        return Ok(());
    }
    let (before, now) = (before.unwrap_or(Value::Null), now.unwrap_or(Value::Null));
    let entries = entries(of, &now)?;
    let mut ports: Vec<&str> = entries.iter().map(|(port, _)| port.as_str()).collect();
    if let Value::Map(before) = &before {
        ports.extend(before.iter().map(|(port, _)| port.as_str()));
    }
    ports.sort_unstable();
    ports.dedup();
    for port in ports {
        let was = before.get(port).map(parts).unwrap_or_default();
        let is = entries.iter().find(|(name, _)| name == port);
        let is = is.map_or(&[][..], |(_, entries)| entries.as_slice());
        let (whole_before, whole_now) = (before.get(port), now.get(port));
        if whole_before == whole_now {
            continue;
        }
        let differing = port_differences(of, port, &was, is)?;
        if !differing.is_empty() {
            found.extend(differing);
        } else {
            // The parts are the same, but in another order or divided among other references.
            found.push(field(Change {
                path: format!("inputs.{port} (order)"),
                old: whole_before.cloned(),
                new: whole_now.cloned(),
            }));
        }
    }
    Ok(())
}

/// Returns the entries of a port's value with their reference and place.
fn parts(port: &Value) -> Vec<((usize, usize), &Value)> {
    let Value::List(references) = port else {
        return Vec::new();
    };
    let mut parts = Vec::new();
    for (reference, list) in references.iter().enumerate() {
        if let Value::List(list) = list {
            let places = list.iter().enumerate();
            parts.extend(places.map(|(at, value)| ((reference, at), value)));
        }
    }
    parts
}

/// Returns the entries of the recipe's ports with the actions that make them.
fn entries(of: Now<'_>, inputs: &Value) -> Result<Vec<(String, Vec<PortEntry>)>, StageError> {
    let Some(reads) = reads(of.plan, of.slots, of.action, &mut true)? else {
        return Ok(Vec::new());
    };
    let mut ports: Vec<(String, Vec<PortEntry>)> = Vec::new();
    let mut references: HashMap<&str, usize> = HashMap::new();
    for (feed, sources) in &reads.feeds {
        let reference = references.entry(feed.port).or_insert(0);
        let values = match inputs.get(feed.port) {
            Some(Value::List(references)) => references.get(*reference),
            _ => None,
        };
        let values = match values {
            Some(Value::List(values)) => values.as_slice(),
            _ => &[],
        };
        let at = ports.iter().position(|(port, _)| port == feed.port);
        let at = at.unwrap_or_else(|| {
            ports.push((feed.port.to_owned(), Vec::new()));
            ports.len() - 1
        });
        for (place, (source, value)) in sources.iter().zip(values).enumerate() {
            ports[at].1.push(PortEntry {
                value: value.clone(),
                place: (*reference, place),
                producer: source.producer,
                views: source.views().iter().map(|(view, _)| *view).collect(),
            });
        }
        *reference += 1;
    }
    Ok(ports)
}

/// Finds what differs in a port: replaced entries, new ones, and those that are gone.
fn port_differences(
    of: Now<'_>,
    port: &str,
    was: &[((usize, usize), &Value)],
    is: &[PortEntry],
) -> Result<Vec<Difference>, StageError> {
    let mut found = Vec::new();
    let old: Vec<&Value> = was.iter().map(|(_, value)| *value).collect();
    let new: Vec<&Value> = is.iter().map(|entry| &entry.value).collect();
    let (gone, come) = unmatched(&old, &new);
    let partner = partners(of, (&old, &gone), (is, &come))?;
    let mut left: HashSet<usize> = gone.iter().copied().collect();
    for at in come {
        let entry = &is[at];
        let path = format!("inputs.{port}[{}][{}]", entry.place.0, entry.place.1);
        let was = partner.get(&at).map(|&at| old[at]);
        left.retain(|gone| partner.get(&at) != Some(gone));
        found.push(match was {
            Some(was) => changed(&path, was, entry),
            None => Difference {
                changes: vec![Change {
                    path,
                    old: None,
                    new: Some(entry.value.clone()),
                }],
                of: Subject::Input(Input {
                    producer: Some(entry.producer),
                    old: None,
                    new: digest(&entry.value),
                    views: Vec::new(),
                    rows: None,
                }),
            },
        });
    }
    for at in gone.into_iter().filter(|at| left.contains(at)) {
        let ((reference, place), value) = was[at];
        found.push(Difference {
            changes: vec![Change {
                path: format!("inputs.{port}[{reference}][{place}]"),
                old: Some(value.clone()),
                new: None,
            }],
            of: Subject::Input(Input {
                producer: None,
                old: digest(value),
                new: None,
                views: Vec::new(),
                rows: None,
            }),
        });
    }
    Ok(found)
}

/// Finds which entry that is gone each new one replaces: the one with the same bytes (of which other rows
/// count); the only one; the one whose bytes the same action made before; or else the next one, if there
/// are as many.
fn partners(
    of: Now<'_>,
    (old, gone): (&[&Value], &[usize]),
    (is, come): (&[PortEntry], &[usize]),
) -> Result<HashMap<usize, usize>, StageError> {
    let mut partner = HashMap::new();
    if let ([gone], [come]) = (gone, come) {
        partner.insert(*come, *gone);
        return Ok(partner);
    }
    let mut by_digest: HashMap<Digest, Vec<usize>> = HashMap::new();
    for &at in gone.iter().rev() {
        if let Some(digest) = digest(old[at]) {
            by_digest.entry(digest).or_default().push(at);
        }
    }
    let mut take = |digest: &Digest| by_digest.get_mut(digest).and_then(Vec::pop);
    let mut open = Vec::new();
    for &at in come {
        match digest(&is[at].value).and_then(|digest| take(&digest)) {
            Some(was) => drop(partner.insert(at, was)),
            None => open.push(at),
        }
    }
    by_digest.retain(|_, places| !places.is_empty());
    let mut unknown = Vec::new();
    for at in open {
        let (plan, producer) = (of.plan, is[at].producer);
        let stage = &plan.pipeline.stages[plan.coords(producer).stage];
        let labels = [&stage.name, stage.spec.name, &plan.label(producer)];
        let made = match by_digest.is_empty() {
            true => None,
            false => of
                .store
                .maker(labels, |digest| by_digest.contains_key(digest))?,
        };
        let was = made.and_then(|(digest, _)| {
            let places = by_digest.get_mut(&digest)?;
            let at = places.pop();
            if places.is_empty() {
                by_digest.remove(&digest);
            }
            at
        });
        match was {
            Some(was) => drop(partner.insert(at, was)),
            None => unknown.push(at),
        }
    }
    let mut left: Vec<usize> = by_digest.into_values().flatten().collect();
    left.sort_unstable();
    if left.len() == unknown.len() {
        partner.extend(unknown.into_iter().zip(left));
    }
    Ok(partner)
}

/// Describes an entry in the place of another one.
fn changed(path: &str, was: &Value, entry: &PortEntry) -> Difference {
    let now = &entry.value;
    let (old, new) = (digest(was), digest(now));
    let rows = digest_at(was, "rows");
    let views = |value: &Value| match value.get("views") {
        Some(Value::List(views)) => views.clone(),
        _ => Vec::new(),
    };
    let before = views(was);
    let pairs = before.iter().zip(views(now)).zip(&entry.views);
    let views = pairs.filter_map(|((was, is), view)| match was {
        Value::Digest(digest) if *was != is => Some((*view, *digest)),
        _ => None,
    });
    Difference {
        changes: Change::between(path, was, now),
        of: Subject::Input(Input {
            producer: Some(entry.producer),
            old,
            new,
            views: views.collect(),
            rows: rows.filter(|_| rows != digest_at(now, "rows")),
        }),
    }
}
