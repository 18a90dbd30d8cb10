//! Recipes: the ordered list of what decides an action's result. A recipe is built as soon as
//! everything that its action reads is known.
//!
//! | field | holds | left out where |
//! |---|---|---|
//! | `format` | the version of this list | |
//! | `kind`, `version`, `step` | what runs | |
//! | `params` | the parameters that can change a result, defaults included | |
//! | `seed` | the seeds of the pipeline and of the stage | the step draws no random numbers |
//! | `item` | what tells a shard from others besides its files, such as an item of `each` | the step reads no files shard by shard and the stage has no items |
//! | `sources` | for each source file, its role and digest | the step reads no source files |
//! | `inputs` | by port and reference, the digests of parts, of the rows that count and of views | |
//! | `lineage` | what stands behind predictions: the digest of the table of folds, whether they are cross-fitted, and the kinds taken on trust | the step neither scores nor combines predictions, as only `evaluate` and `stack` do |
//! | `host` | what the kind adds about its surroundings, such as the version that a program prints and the operating system | the kind is not `command` |
//!
//! A recipe never holds names of stages, paths, numbers of folds or shards, times, threads or hosts.
//! There is one exception: if an action gathers the results of several folds, its result names the
//! folds, and so does its recipe.

mod reads;
mod shared;
pub(crate) mod slices;

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_cache::{ActionKey, Digest, Output, Recipe, Record, Store, Value};

use crate::kind::action::Part;
use crate::kind::error::StageError;
use crate::kind::shards::{FileRef, SourceFile};
use crate::kind::spec::Sources;
use crate::plan::{Coords, Plan};

pub(crate) use reads::{Reads, reads};
pub use shared::{Keys, digest_source};
pub use slices::attr;

use reads::{Source, slices};

/// Version of the list of fields.
const FORMAT: i64 = 1;

/// What is known of an action.
#[derive(Clone, Debug)]
pub enum Slot {
    /// It is not settled yet.
    Waiting,
    /// It has no rows.
    Vacant,
    /// Its outputs are known.
    Done(Arc<Record>),
    /// It failed, or something that it needs failed.
    Blocked,
}

/// An action that is ready to run: what it reads, and what decides its result.
#[derive(Clone)]
pub struct Prepared {
    /// What decides its result.
    pub recipe: Recipe,
    /// The key that it gives.
    pub key: ActionKey,
    /// What it reads, by port, with the producer of each artifact.
    pub inputs: BTreeMap<String, Vec<Part>>,
    /// The table of folds that says which rows it reads.
    pub folds: Option<Part>,
    /// Its source files.
    pub sources: Vec<(SourceFile, Digest)>,
    /// Its seed.
    pub seed: u64,
    /// Every artifact that it needs.
    pub needs: Vec<Digest>,
    /// For each of them, the action that can make it again. Another process does not know these.
    pub makers: Vec<usize>,
}

/// At most this many recipes are kept for a second use, some 400 kB: more would show in the memory of a
/// plan of many actions, and a pipeline on one survey has fewer.
pub(crate) const KEPT: usize = 256;

/// What is known of an action's recipe.
pub enum Known<'s> {
    /// The whole recipe.
    Recipe(Lookup<'s>),
    /// The action has no rows.
    Vacant,
    /// Something that the action reads is blocked or not settled yet.
    Unsettled,
    /// Part of what decides the result can only be found out by a run.
    Unasked,
}

/// An action that can be looked up.
pub struct Lookup<'s> {
    /// What decides its result.
    pub recipe: Recipe,
    /// The key that it gives.
    pub key: ActionKey,
    seed: u64,
    sources: Vec<Digest>,
    reads: Reads<'s>,
}

/// Finds the recipe of an action, and with it the key.
///
/// # Errors
/// A source file cannot be read, or a program does not print its version.
pub fn look<'s, 'p: 's>(
    plan: &'p Plan<'p>,
    slots: &'s [Slot],
    keys: &mut Keys<'p>,
    action: usize,
) -> Result<Known<'s>, StageError> {
    let mut settled = true;
    let reads = reads(plan, slots, action, &mut settled)?;
    Ok(match reads {
        _ if !settled => Known::Unsettled,
        Some(reads) => match encode(plan, keys, action, reads)? {
            Some(lookup) => Known::Recipe(lookup),
            None => Known::Unasked,
        },
        None => Known::Vacant,
    })
}

impl Lookup<'_> {
    /// Returns the action with all that it needs to run.
    pub fn prepare(self, plan: &Plan<'_>, store: &Store, action: usize) -> Prepared {
        let reads = &self.reads;
        let (mut needs, mut makers) = (Vec::new(), Vec::new());
        reads.needs(|digest, producer| {
            needs.push(digest);
            makers.push(producer);
        });
        let folds = reads.folds.map(|(_, output)| part(store, output, 0, None));
        let mut inputs: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        for (feed, sources) in &reads.feeds {
            let parts = inputs.entry(feed.port.to_owned()).or_default();
            for source in sources {
                let mut part = part(store, source.output, feed.reference, source.fold());
                let views = source.views().iter();
                part.views
                    .extend(views.map(|(_, output)| store.path(&output.digest)));
                parts.push(part);
            }
        }
        let files = source_files(plan, action).map(FileRef::to_file);
        Prepared {
            recipe: self.recipe,
            key: self.key,
            inputs,
            folds,
            sources: files.zip(self.sources).collect(),
            seed: self.seed,
            needs,
            makers,
        }
    }
}

/// Builds the fields of a recipe that all actions of a step share.
fn head_of(plan: &Plan<'_>, at: Coords) -> Recipe {
    let stage = &plan.pipeline.stages[at.stage];
    let step = &stage.steps[at.step];
    let mut recipe = Recipe::new();
    recipe.push("format", Value::Int(FORMAT));
    recipe.push("kind", stage.spec.name);
    recipe.push("version", Value::Int(i64::from(stage.spec.version)));
    recipe.push("step", step.name);
    let params = stage.params.keyed().map(|(k, v)| (k.to_owned(), v.clone()));
    recipe.push("params", Value::Map(params.collect()));
    if step.seeded {
        recipe.push("seed", seeds(plan, at.stage));
    }
    recipe
}

fn seeds(plan: &Plan<'_>, stage: usize) -> Value {
    let stage = &plan.pipeline.stages[stage];
    let own = stage
        .seed
        .map(|seed| ("stage".to_owned(), seed_value(seed)));
    let pipeline = ("pipeline".to_owned(), seed_value(stage.pipeline_seed));
    Value::Map(std::iter::once(pipeline).chain(own).collect())
}

/// Builds the recipe of an action, or returns none if only a run can find it out.
fn encode<'s, 'p>(
    plan: &'p Plan<'p>,
    keys: &mut Keys<'p>,
    action: usize,
    reads: Reads<'s>,
) -> Result<Option<Lookup<'s>>, StageError> {
    let at = plan.coords(action);
    let stage = &plan.pipeline.stages[at.stage];
    let step = &stage.steps[at.step];
    let mut recipe = keys.head(plan, at).recipe();
    let seed = if step.seeded {
        let content = slices(plan, at, reads.folds).and_then(|s| s.content());
        derive_seed(stage.spec.name, &seeds(plan, at.stage), content)
    } else {
        0
    };
    if (step.sources == Sources::Shard || stage.layout.items)
        && let Some(shard) = at.shard.and_then(|shard| stage.layout.shards.get(shard))
    {
        recipe.field("item").encoded(shard.encoded_item());
    }
    let mut digests = Vec::new();
    if step.sources != Sources::None {
        digests = keys.sources(plan, action)?;
        let mut field = recipe.field("sources");
        field.list(digests.len());
        for (file, digest) in source_files(plan, action).zip(&digests) {
            field.map(2).name("digest").digest(digest);
            field.name("role").text(file.role);
        }
    }
    encode_inputs(&reads, &mut recipe);
    if step.together.is_checked() {
        let table = reads.folds.map(|(_, output)| output.digest);
        recipe.push("lineage", stage.lineage.recipe(table));
    }
    let Some(host) = keys.host(plan, at.stage)? else {
        return Ok(None);
    };
    recipe.append(host);
    let key = keys.head(plan, at).key(&recipe);
    Ok(Some(Lookup {
        recipe,
        key,
        seed,
        sources: digests,
        reads,
    }))
}

/// Adds what an action reads to its recipe, by port and reference.
fn encode_inputs(reads: &Reads<'_>, recipe: &mut Recipe) {
    let mut by_port: Vec<(&str, Vec<&[Source<'_>]>)> = Vec::new();
    for (feed, sources) in &reads.feeds {
        match by_port.iter_mut().find(|(port, _)| *port == feed.port) {
            Some((_, references)) => references.push(sources),
            None => by_port.push((feed.port, vec![sources])),
        }
    }
    by_port.sort_by_key(|(port, _)| *port);
    let mut field = recipe.field("inputs");
    field.map(by_port.len());
    for (port, references) in by_port {
        field.name(port).list(references.len());
        for sources in references {
            field.list(sources.len());
            sources.iter().for_each(|source| source.encode(&mut field));
        }
    }
}

fn seed_value(seed: u64) -> Value {
    Value::Int(seed.cast_signed())
}

/// Derives a seed from the seeds of pipeline and stage, the kind and what a fold trains on. Stage names,
/// shards and other parameters have no influence: 2,000 kernels are a prefix of 5,000, and a longer list of
/// files changes no random number.
pub(crate) fn derive_seed(kind: &str, seeds: &Value, content: Option<Digest>) -> u64 {
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

/// Returns the source files of an action. Those that all actions of its stage share come first.
pub(crate) fn source_files<'p>(
    plan: &Plan<'p>,
    action: usize,
) -> impl Iterator<Item = FileRef<'p>> {
    let at = plan.coords(action);
    let stage = &plan.pipeline.stages[at.stage];
    let own = match (stage.steps[at.step].sources, at.shard) {
        (Sources::Shard, Some(shard)) => stage.layout.shards.get(shard),
        _ => None,
    };
    let common = match stage.steps[at.step].sources {
        Sources::None => &[],
        _ => stage.layout.common.as_slice(),
    };
    let common = common.iter().map(FileRef::from);
    common.chain(own.into_iter().flat_map(|shard| shard.files()))
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
