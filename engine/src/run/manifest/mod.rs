//! An action in writing: all that is needed to run it, in this process or in another.
//!
//! In the store it is the canonical encoding of one [`Value`], after a line that names the format and the
//! digest of what follows. Artifacts are in it by digest, so that each process finds them where it sees the
//! store.
//!
//! This file encodes and decodes, in one list for both directions. `verify` checks that a manifest asks for
//! no more than its recipe says. Nothing here runs an action. Begin with `put` and `get`.

mod verify;

use crate::plan::keys::Prepared;
use crate::run::work::Work;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use flow_cache::{ActionKey, Digest, Recipe, Store, Value};

use crate::kind::action::Part;
use crate::kind::error::{Fault, StageError};
use crate::kind::lineage::Lineage;
use crate::kind::params::Params;
use crate::kind::shards::{Shard, SourceFile};
use crate::kind::stage::{Registry, Stage};
use verify::differs;

const FORMAT: &[u8] = b"flow-manifest 1\n";

/// Leaves the manifest of an action in the store.
pub(crate) fn put(work: &Work<'_>, store: &Store) -> Result<(), StageError> {
    let body = to_value(work).encode();
    let mut bytes = FORMAT.to_vec();
    bytes.extend_from_slice(Digest::of(&body).as_bytes());
    bytes.extend_from_slice(&body);
    Ok(store.put_manifest(&work.prepared.key, &bytes)?)
}

/// Reads the manifest of `key`.
///
/// # Errors
/// There is no manifest, or it is not what this program writes for this key.
pub(crate) fn get<'r>(
    store: &Store,
    key: &ActionKey,
    registry: &'r Registry,
) -> Result<Work<'r>, StageError> {
    let bytes = store
        .manifest(key)?
        .ok_or_else(|| bad(format!("the store has no manifest of {key}")))?;
    let value = decode(&bytes).ok_or_else(|| bad(format!("the manifest of {key} is damaged")))?;
    let fields = Fields(&value);
    let name = fields.text("kind").unwrap_or_default();
    let kind = registry
        .get(name)
        .ok_or_else(|| bad(format!("this program has no kind `{name}`")))?;
    let work = from_value(fields, store, &**kind).ok_or_else(|| {
        bad(format!(
            "the manifest of {key} is of another version of flow"
        ))
    })?;
    if work.prepared.key != *key {
        return Err(bad(format!(
            "the manifest of {key} is that of another action"
        )));
    }
    let version = kind.spec().version;
    if work.version != version {
        return Err(bad(format!(
            "the manifest asks for version {} of `{name}`, and this program has {version}",
            work.version
        )));
    }
    if let Some(field) = differs(&work) {
        return Err(bad(format!(
            "the manifest of {key} was changed: its {field} are not those that give this key"
        )));
    }
    Ok(work)
}

fn to_value(work: &Work<'_>) -> Value {
    let prepared = &work.prepared;
    let spec = work.kind.spec();
    let params = spec.params.into_iter().filter_map(|spec| {
        let value = work.params.get(spec.name)?;
        Some((spec.name, value.clone()))
    });
    let sources = prepared
        .sources
        .iter()
        .map(|(file, digest)| Value::List(vec![of_file(file), Value::Digest(*digest)]));
    let inputs = prepared.inputs.iter().map(|(port, parts)| {
        (
            port.clone(),
            Value::List(parts.iter().map(of_part).collect()),
        )
    });
    Value::map([
        ("recipe", of_bytes(&prepared.recipe.encode())),
        ("kind", Value::from(spec.name)),
        ("version", work.version.into()),
        ("step", of_count(work.step)),
        ("writes", work.writes.to_vec().into()),
        ("params", Value::map(params)),
        ("fold", work.fold.as_deref().map(str::to_owned).into()),
        ("shard", work.shard.as_ref().map(of_shard).into()),
        ("folds", prepared.folds.as_ref().map(of_part).into()),
        ("lineage", work.lineage.to_value()),
        ("seed", Value::Int(prepared.seed.cast_signed())),
        ("threads", of_count(work.threads)),
        (
            "gpus",
            Value::List(work.gpus.iter().map(|&n| of_count(n)).collect()),
        ),
        ("inputs", Value::map(inputs)),
        ("sources", Value::List(sources.collect())),
        ("needs", prepared.needs.clone().into()),
        ("forced", work.forced.into()),
        ("stage", Value::from(&*work.stage)),
        ("action", work.action.as_str().into()),
        ("pipeline", Value::from(&*work.pipeline)),
        ("root", of_path(&work.root)),
        ("scratch", of_path(&work.scratch)),
        ("logs", of_path(&work.logs)),
    ])
}

fn from_value<'r>(fields: Fields<'_>, store: &Store, kind: &'r dyn Stage) -> Option<Work<'r>> {
    let given = fields.get("params")?;
    let mut params = Params::default();
    for spec in &kind.spec().params {
        if let Some(value) = given.get(spec.name) {
            params.insert(spec, value.clone(), None);
        }
    }
    let mut inputs = BTreeMap::new();
    for (port, parts) in map(fields.get("inputs")?)? {
        let parts = list(parts)?.iter().map(|part| to_part(part, store));
        inputs.insert(port.clone(), parts.collect::<Option<_>>()?);
    }
    let source = |value: &Value| match list(value)? {
        [file, Value::Digest(digest)] => Some((to_file(file)?, *digest)),
        _ => None,
    };
    let text = |name| Some(Cow::Owned(fields.text(name)?.to_owned()));
    let path = |name| Some(Cow::Owned(to_path(fields.get(name)?)?));
    let recipe = Recipe::decode(&to_bytes(fields.get("recipe")?)?).ok()?;
    let prepared = Prepared {
        key: recipe.key(),
        recipe,
        inputs,
        folds: fields.option("folds", |v| to_part(v, store))?,
        sources: fields.each("sources", source)?,
        seed: fields.int("seed")?.cast_unsigned(),
        needs: fields.each("needs", to_digest)?,
        makers: Vec::new(),
    };
    let writes = fields.each("writes", |v| v.as_str().map(str::to_owned))?;
    Some(Work {
        kind,
        version: u32::try_from(fields.int("version")?).ok()?,
        step: fields.count("step")?,
        writes: Cow::Owned(writes),
        params: Cow::Owned(params),
        fold: fields.option("fold", |v| Some(Cow::Owned(v.as_str()?.to_owned())))?,
        shard: fields.option("shard", to_shard)?,
        lineage: Cow::Owned(Lineage::of_value(fields.get("lineage")?)?),
        prepared: Cow::Owned(prepared),
        threads: fields.count("threads")?,
        gpus: Cow::Owned(fields.each("gpus", to_count)?),
        forced: matches!(fields.get("forced")?, Value::Bool(true)),
        stage: text("stage")?,
        action: fields.text("action")?.to_owned(),
        pipeline: text("pipeline")?,
        root: path("root")?,
        scratch: path("scratch")?,
        logs: path("logs")?,
    })
}

fn bad(message: String) -> StageError {
    StageError::new(Fault::Environment, "flow::executor::manifest", message).help(
        "`flow run` leaves it while the action runs, and is of the same version as this program",
    )
}

fn decode(bytes: &[u8]) -> Option<Value> {
    let (digest, body) = bytes.strip_prefix(FORMAT)?.split_first_chunk::<32>()?;
    if Digest::of(body).as_bytes() != digest {
        return None;
    }
    Value::decode(body).ok()
}

/// The entries of a map, each of which must be there and of its type.
#[derive(Clone, Copy)]
struct Fields<'v>(&'v Value);

impl<'v> Fields<'v> {
    fn get(self, name: &str) -> Option<&'v Value> {
        self.0.get(name)
    }

    fn text(self, name: &str) -> Option<&'v str> {
        self.get(name)?.as_str()
    }

    fn int(self, name: &str) -> Option<i64> {
        self.get(name)?.as_int()
    }

    fn count(self, name: &str) -> Option<usize> {
        to_count(self.get(name)?)
    }

    fn each<T>(self, name: &str, read: impl FnMut(&'v Value) -> Option<T>) -> Option<Vec<T>> {
        list(self.get(name)?)?.iter().map(read).collect()
    }

    /// Returns `Some(None)` for a null, and none for a value that cannot be read.
    fn option<T>(self, name: &str, read: impl FnOnce(&'v Value) -> Option<T>) -> Option<Option<T>> {
        match self.get(name)? {
            Value::Null => Some(None),
            value => read(value).map(Some),
        }
    }
}

fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(items) => Some(items),
        _ => None,
    }
}

fn map(value: &Value) -> Option<&[(String, Value)]> {
    match value {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}

fn of_count(count: usize) -> Value {
    Value::Int(count as i64)
}

fn to_count(value: &Value) -> Option<usize> {
    usize::try_from(value.as_int()?).ok()
}

fn to_digest(value: &Value) -> Option<Digest> {
    match value {
        Value::Digest(digest) => Some(*digest),
        _ => None,
    }
}

/// Bytes as text, two hexadecimal digits each.
fn of_bytes(bytes: &[u8]) -> Value {
    Value::Str(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn to_bytes(value: &Value) -> Option<Vec<u8>> {
    let digits = value.as_str()?.as_bytes();
    let bytes = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect()
}

/// Encodes a path as text. A path that is not valid text becomes a list of one text with its bytes.
fn of_path(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Str(text.to_owned()),
        None => Value::List(vec![of_bytes(path.as_os_str().as_bytes())]),
    }
}

fn to_path(value: &Value) -> Option<PathBuf> {
    match value {
        Value::Str(text) => Some(text.into()),
        Value::List(items) => Some(OsString::from_vec(to_bytes(items.first()?)?).into()),
        _ => None,
    }
}

fn of_file(file: &SourceFile) -> Value {
    Value::map([
        ("role", Value::from(file.role.as_str())),
        ("path", of_path(&file.path)),
    ])
}

fn to_file(value: &Value) -> Option<SourceFile> {
    Some(SourceFile {
        role: value.get("role")?.as_str()?.to_owned(),
        path: to_path(value.get("path")?)?,
    })
}

fn of_shard(shard: &Shard) -> Value {
    Value::map([
        ("label", Value::from(shard.label.as_str())),
        ("item", shard.item.clone()),
        (
            "files",
            Value::List(shard.files.iter().map(of_file).collect()),
        ),
    ])
}

fn to_shard(value: &Value) -> Option<Shard> {
    Some(Shard {
        label: value.get("label")?.as_str()?.to_owned(),
        item: value.get("item")?.clone(),
        files: Fields(value).each("files", to_file)?,
    })
}

fn of_part(part: &Part) -> Value {
    Value::map([
        ("digest", Value::Digest(part.digest)),
        ("attrs", part.attrs.clone()),
        ("reference", of_count(part.reference)),
        ("fold", part.fold.clone().into()),
        (
            "views",
            Value::List(
                part.views
                    .iter()
                    .map(|path| digest_at(path).into())
                    .collect(),
            ),
        ),
    ])
}

/// Returns the digest of the artifact at a path, which is its file name.
pub(crate) fn digest_at(path: &Path) -> Option<Digest> {
    let (folder, file) = (path.parent()?.file_name()?, path.file_name()?);
    Digest::from_hex(&format!("{}{}", folder.to_str()?, file.to_str()?)).ok()
}

fn to_part(value: &Value, store: &Store) -> Option<Part> {
    let fields = Fields(value);
    let digest = to_digest(fields.get("digest")?)?;
    Some(Part {
        path: store.path(&digest),
        digest,
        attrs: fields.get("attrs")?.clone(),
        reference: fields.count("reference")?,
        fold: fields.option("fold", |v| v.as_str().map(str::to_owned))?,
        views: fields.each("views", |view| Some(store.path(&to_digest(view)?)))?,
    })
}
