//! Recipes: the ordered list of what decides an action's result, built once everything it reads
//! is known.
//!
//! | field | holds | left out where |
//! |---|---|---|
//! | `format` | version of this list | |
//! | `kind`, `version`, `step` | what runs | |
//! | `params` | parameters, defaults included, that can change a result | |
//! | `seed` | seed of the pipeline and of the stage | the step draws no random numbers |
//! | `item` | what tells the shard from others besides its files | the stage makes no shards |
//! | `sources` | role and digest of each source file | not a source step |
//! | `inputs` | by port and reference: digests of parts, of the rows that count, of views | |
//! | `host` | what a kind adds about its surroundings (programs, operating system) | built-in kinds |
//!
//! Never in a recipe: names of stages, paths, fold and shard numbers, times, threads, hosts. The one
//! exception is a gather over folds, whose result names them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_cache::{Digest, Output, Recipe, Record, StatCache, Store, Value};

use crate::plan::{Feed, Plan};
use crate::stage::{Fault, Part, Rows, Scope, SourceFile, Sources, StageError};

/// Version of the list of fields.
const FORMAT: i64 = 1;

/// What is known of an action.
#[derive(Clone, Debug)]
pub enum Slot {
    /// Not settled yet.
    Waiting,
    /// It has no rows.
    Vacant,
    /// Its outputs are known.
    Done(Arc<Record>),
    /// It failed, or something it needs did.
    Blocked,
}

/// An action that is ready to be looked up or run.
pub struct Prepared {
    /// What decides its result.
    pub recipe: Recipe,
    /// What it reads, by port, with the producer of each artifact.
    pub inputs: BTreeMap<String, Vec<Part>>,
    /// The table of folds it reads rows by.
    pub folds: Option<Part>,
    /// Its source files.
    pub sources: Vec<(SourceFile, Digest)>,
    /// Its seed.
    pub seed: u64,
    /// Every artifact it needs, with the action that can make it again.
    pub needs: Vec<(Digest, usize)>,
}

/// Digests of source files, each taken once a run.
pub struct SourceDigests<'a> {
    stat: &'a StatCache,
    known: HashMap<PathBuf, Digest>,
}

impl<'a> SourceDigests<'a> {
    /// An empty memory over a stat cache.
    pub fn new(stat: &'a StatCache) -> Self {
        Self {
            stat,
            known: HashMap::new(),
        }
    }

    /// The digest of a file.
    pub fn get(&mut self, path: &Path) -> Result<Digest, StageError> {
        if let Some(digest) = self.known.get(path) {
            return Ok(*digest);
        }
        let digest = digest_source(self.stat, path)?;
        self.known.insert(path.to_owned(), digest);
        Ok(digest)
    }

    /// Forgets a file that changed.
    pub fn forget(&mut self, path: &Path) {
        self.known.remove(path);
    }
}

/// The digest of a source file as it is now.
pub fn digest_source(stat: &StatCache, path: &Path) -> Result<Digest, StageError> {
    match stat.digest(path) {
        Ok((digest, _)) => Ok(digest),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StageError::data(
            "flow::source::missing",
            format!("the file {} does not exist", path.display()),
        )),
        Err(error) => Err(StageError::environment(format!(
            "failed to read {}: {error}",
            path.display()
        ))),
    }
}

/// Prepares an action whose dependencies are all settled and none of them blocked. None: it has no
/// rows and is vacant.
pub fn prepare(
    plan: &Plan<'_>,
    slots: &[Slot],
    store: &Store,
    sources: &mut SourceDigests<'_>,
    action: usize,
) -> Result<Option<Prepared>, StageError> {
    let at = plan.coords(action);
    let stage = &plan.pipeline.stages[at.stage];
    let step = &stage.steps[at.step];
    let mut needs = Vec::new();

    let folds = match plan.folds_table(at) {
        None => None,
        Some((producer, output)) => match output_of(slots, producer, output)? {
            None => return Ok(None),
            Some(output) => {
                needs.push((output.digest, producer));
                Some(part(store, output, 0, None))
            }
        },
    };
    let fold = plan.fold_name(at).unwrap_or_default();
    let slices = folds.as_ref().map(|table| Slices {
        attrs: &table.attrs,
        fold,
    });

    let mut keyed_inputs: Vec<(String, Vec<Value>)> = Vec::new();
    let mut inputs: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    let mut has_rows = true;
    for feed in plan.feeds(action) {
        let mut keyed = Vec::new();
        let mut parts = Vec::new();
        for &producer in &feed.producers {
            let Some(output) = output_of(slots, producer, feed.output)? else {
                continue;
            };
            let rows = match (feed.rows, &slices) {
                (Some(rows), Some(slices)) => {
                    match slices.find(rows, output, &stage.name, &feed)? {
                        Some(digest) => Some(digest),
                        None => continue,
                    }
                }
                _ => None,
            };
            let label = feed
                .over_folds
                .then(|| plan.fold_name(plan.coords(producer)))
                .flatten();
            let mut entry = vec![("digest".to_owned(), Value::Digest(output.digest))];
            entry.extend(label.map(|fold| ("fold".to_owned(), Value::Str(fold.into()))));
            entry.extend(rows.map(|digest| ("rows".to_owned(), Value::Digest(digest))));
            needs.push((output.digest, producer));
            let mut part = part(store, output, feed.reference, label);
            let mut views = Vec::new();
            for &(view, name) in &feed.views {
                let Some(view_output) = output_of(slots, view, name)? else {
                    return Ok(None);
                };
                needs.push((view_output.digest, view));
                views.push(Value::Digest(view_output.digest));
                part.views.push(store.path(&view_output.digest));
            }
            if !views.is_empty() {
                entry.push(("views".to_owned(), Value::List(views)));
            }
            keyed.push((label, output.digest, Value::Map(entry)));
            parts.push(part);
        }
        if parts.is_empty() && !feed.producers.is_empty() {
            has_rows &= step.scope == Scope::Whole;
        }
        let mut order: Vec<usize> = (0..parts.len()).collect();
        // Items have an order. Other shards have none, so that within a fold their parts are keyed in
        // the order of their bytes.
        if !plan.over_items(&feed) {
            order.sort_by_key(|&i| (fold_position(plan, at.stage, keyed[i].0), keyed[i].1));
        }
        let list = Value::List(order.iter().map(|&i| keyed[i].2.clone()).collect());
        let in_order = order.into_iter().map(|i| parts[i].clone());
        inputs
            .entry(feed.port.to_owned())
            .or_default()
            .extend(in_order);
        match keyed_inputs.iter_mut().find(|(port, _)| port == feed.port) {
            Some((_, references)) => references.push(list),
            None => keyed_inputs.push((feed.port.to_owned(), vec![list])),
        }
    }
    if !has_rows {
        return Ok(None);
    }

    let mut recipe = Recipe::new();
    recipe.push("format", Value::Int(FORMAT));
    recipe.push("kind", Value::Str(stage.spec.name.into()));
    recipe.push("version", Value::Int(i64::from(stage.spec.version)));
    recipe.push("step", Value::Str(step.name.into()));
    let params = stage.params.keyed().map(|(k, v)| (k.to_owned(), v.clone()));
    recipe.push("params", Value::Map(params.collect()));
    let seed = if step.seeded {
        let mut seeds = vec![("pipeline".to_owned(), seed_value(plan.pipeline.seed))];
        seeds.extend(
            stage
                .seed
                .map(|seed| ("stage".to_owned(), seed_value(seed))),
        );
        let seeds = Value::Map(seeds);
        let content = slices.as_ref().and_then(|s| s.content());
        let seed = derive_seed(stage.spec.name, &seeds, content);
        recipe.push("seed", seeds);
        seed
    } else {
        0
    };
    let source_files = source_files(plan, action, sources)?;
    if (step.sources == Sources::Shard || stage.layout.items)
        && let Some(shard) = at.shard
    {
        recipe.push("item", stage.layout.shards[shard].item.clone());
    }
    if step.sources != Sources::None {
        let files = source_files.iter().map(|(file, digest)| {
            Value::Map(vec![
                ("digest".to_owned(), Value::Digest(*digest)),
                ("role".to_owned(), Value::Str(file.role.clone())),
            ])
        });
        recipe.push("sources", Value::List(files.collect()));
    }
    let by_port = keyed_inputs
        .into_iter()
        .map(|(port, references)| (port, Value::List(references)));
    let mut by_port: Vec<_> = by_port.collect();
    by_port.sort_by(|a, b| a.0.cmp(&b.0));
    recipe.push("inputs", Value::Map(by_port));
    if let Some(host) = stage.kind.host(&stage.params).transpose()? {
        recipe.push("host", host);
    }
    Ok(Some(Prepared {
        recipe,
        inputs,
        folds,
        sources: source_files,
        seed,
        needs,
    }))
}

fn seed_value(seed: u64) -> Value {
    Value::Int(seed.cast_signed())
}

/// A seed from the seeds of pipeline and stage, the kind and what a fold trains on. Stage names,
/// shards and other parameters stay out: 2,000 kernels are a prefix of 5,000, and a longer file
/// list changes no random number.
fn derive_seed(kind: &str, seeds: &Value, content: Option<Digest>) -> u64 {
    let mut recipe = Recipe::new();
    recipe.push("kind", Value::Str(kind.into()));
    recipe.push("seeds", seeds.clone());
    recipe.push("content", content.map_or(Value::Null, Value::Digest));
    let key = recipe.key();
    let bytes = key.0.as_bytes();
    u64::from_le_bytes([
        bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
    ])
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

fn source_files(
    plan: &Plan<'_>,
    action: usize,
    digests: &mut SourceDigests<'_>,
) -> Result<Vec<(SourceFile, Digest)>, StageError> {
    let at = plan.coords(action);
    let stage = &plan.pipeline.stages[at.stage];
    let own = match (stage.steps[at.step].sources, at.shard) {
        (Sources::None, _) => return Ok(Vec::new()),
        (Sources::Shard, Some(shard)) => stage.layout.shards[shard].files.as_slice(),
        _ => &[],
    };
    stage
        .layout
        .common
        .iter()
        .chain(own)
        .map(|file| Ok((file.clone(), digests.get(&file.path)?)))
        .collect()
}

fn part(store: &Store, output: &Output, reference: usize, fold: Option<&str>) -> Part {
    Part {
        path: store.path(&output.digest),
        digest: output.digest,
        attrs: output.attrs.clone(),
        reference,
        fold: fold.map(str::to_owned),
        views: Vec::new(),
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
                    format!("the record of `{}` has no output `{name}`", record.stage),
                )
            }),
        _ => Ok(None),
    }
}

/// An attribute of an output.
pub fn attr<'v>(attrs: &'v Value, name: &str) -> Option<&'v Value> {
    match attrs {
        Value::Map(entries) => entries
            .binary_search_by(|(key, _)| key.as_str().cmp(name))
            .ok()
            .map(|at| &entries[at].1),
        _ => None,
    }
}

/// The rows of a fold, as the folds artifact's attributes give them: `slices` maps `train/FOLD` and
/// `apply/FOLD` to a map from a shard's `ids` (and `*` for all rows together) to the digest of the
/// rows and labels that count there; `shards` lists the `ids` of every shard there is.
struct Slices<'a> {
    attrs: &'a Value,
    fold: &'a str,
}

impl Slices<'_> {
    fn of(&self, rows: Rows) -> Option<&Value> {
        let slices = attr(self.attrs, "slices")?;
        attr(slices, &format!("{}/{}", rows.name(), self.fold))
    }

    /// The digest of all training rows together.
    fn content(&self) -> Option<Digest> {
        match attr(self.of(Rows::Train)?, "*") {
            Some(Value::Digest(digest)) => Some(*digest),
            _ => None,
        }
    }

    /// The digest of those rows of an artifact that count; none if none do.
    fn find(
        &self,
        rows: Rows,
        output: &Output,
        stage: &str,
        feed: &Feed<'_>,
    ) -> Result<Option<Digest>, StageError> {
        let Some(slices) = self.of(rows) else {
            return Ok(None);
        };
        let shards = attr(self.attrs, "shards");
        let key = match attr(&output.attrs, "ids") {
            Some(Value::Str(ids))
                if feed.producers.len() > 1 || shards.is_some_and(|s| attr(s, ids).is_some()) =>
            {
                if shards.is_none_or(|s| attr(s, ids).is_none()) {
                    return Err(StageError::data(
                        "flow::data::objects_differ",
                        format!(
                            "the rows that reach port `{}` of stage `{stage}` are not the objects that the folds were made of",
                            feed.port
                        ),
                    )
                    .help("make the folds from the `objects` of the same `ingest` stage"));
                }
                ids.as_str()
            }
            _ => "*",
        };
        Ok(match attr(slices, key) {
            Some(Value::Digest(digest)) => Some(*digest),
            _ => None,
        })
    }
}
