//! Checks that a manifest asks for what its recipe says. The recipe gives the key, but the other entries
//! are what is run. If one of those is changed, its result must not be stored under that key.

use flow_cache::{Digest, Value};

use super::digest_at;
use crate::kind::action::Part;
use crate::kind::shards::SourceFile;
use crate::kind::spec::Rows;
use crate::plan::keys::Prepared;
use crate::plan::keys::derive_seed;
use crate::plan::keys::slices::{Slices, attr};
use crate::run::work::Work;

/// Returns the first thing in which a manifest differs from its recipe.
pub(super) fn differs(work: &Work<'_>) -> Option<&'static str> {
    let prepared = &*work.prepared;
    let recipe = &prepared.recipe;
    let says = |field: &str, value: Value| recipe.get(field) == Some(value);
    if !says("kind", work.kind.spec().name.into()) {
        return Some("kind");
    }
    if !says("version", Value::Int(i64::from(work.version))) {
        return Some("version");
    }
    let params = work.params.keyed().map(|(k, v)| (k.to_owned(), v.clone()));
    if !says("params", Value::Map(params.collect())) {
        return Some("params");
    }
    let (_, steps) = work.kind.shape(&work.params, &[]);
    match steps.get(work.step) {
        Some(step) if says("step", step.name.into()) && *step.writes == *work.writes => {}
        _ => return Some("step"),
    }
    let item = work.shard.as_ref().map(|shard| &shard.item);
    if recipe.get("item").is_some_and(|told| Some(&told) != item) {
        return Some("item");
    }
    let file = |file: &SourceFile, digest: &Digest| {
        Value::map([
            ("digest", Value::Digest(*digest)),
            ("role", Value::from(file.role.as_str())),
        ])
    };
    let sources = prepared.sources.iter().map(|(f, digest)| file(f, digest));
    let sources = Value::List(sources.collect());
    if recipe.get("sources").unwrap_or(Value::List(Vec::new())) != sources {
        return Some("sources");
    }
    let mut files = work.shard.iter().flat_map(|shard| &shard.files);
    let known = |file| prepared.sources.iter().any(|(source, _)| source == file);
    // A step without sources reads none of them.
    if !prepared.sources.is_empty() && !files.all(known) {
        return Some("shard");
    }
    if recipe.get("lineage").is_some_and(|told| {
        told != work
            .lineage
            .recipe(prepared.folds.as_ref().map(|folds| folds.digest))
    }) {
        return Some("lineage");
    }
    let slices = prepared.folds.as_ref().map(|folds| Slices {
        attrs: &folds.attrs,
        fold: work.fold.as_deref().unwrap_or_default(),
        stage: &work.stage,
    });
    if let Some(seeds) = recipe.get("seed") {
        let content = slices.as_ref().and_then(Slices::content);
        if derive_seed(work.kind.spec().name, &seeds, content) != prepared.seed {
            return Some("seed");
        }
    }
    (!same_inputs(prepared, slices.as_ref())).then_some("inputs")
}

/// Returns whether the parts of all ports are those of the recipe, in its order.
fn same_inputs(prepared: &Prepared, slices: Option<&Slices<'_>>) -> bool {
    let Some(Value::Map(ports)) = prepared.recipe.get("inputs") else {
        return false;
    };
    let used = prepared
        .inputs
        .iter()
        .filter(|(_, parts)| !parts.is_empty());
    let named = |port: &String| ports.iter().any(|(known, _)| known == port);
    let all = used.map(|(port, _)| port).all(named);
    all && ports.iter().all(|(port, references)| {
        let told = flat(references);
        let parts = prepared.inputs.get(port).map_or(&[][..], Vec::as_slice);
        told.len() == parts.len()
            && told
                .iter()
                .zip(parts)
                .all(|(told, part)| same(told, part, slices))
    })
}

/// Returns the sources of all references of a port.
fn flat(references: &Value) -> Vec<&Value> {
    fn list(value: &Value) -> &[Value] {
        match value {
            Value::List(items) => items,
            _ => &[],
        }
    }
    list(references).iter().flat_map(list).collect()
}

fn same(told: &Value, part: &Part, slices: Option<&Slices<'_>>) -> bool {
    let digest = attr(told, "digest") == Some(&Value::Digest(part.digest));
    let fold = attr(told, "fold") == part.fold.clone().map(Value::Str).as_ref();
    let views = part.views.iter().filter_map(|view| digest_at(view));
    let views: Vec<Value> = views.map(Value::Digest).collect();
    let views = match attr(told, "views") {
        Some(told) => *told == Value::List(views),
        None => views.is_empty(),
    };
    // The rows that count depend on the fold.
    let rows = attr(told, "rows").is_none_or(|rows| {
        let of = |role| slices.and_then(|slices| slices.of(role));
        let mut sets = [Rows::Train, Rows::Apply, Rows::Unlabelled]
            .into_iter()
            .filter_map(of);
        sets.any(|set| matches!(set, Value::Map(all) if all.iter().any(|(_, d)| d == rows)))
    });
    digest && fold && views && rows
}
