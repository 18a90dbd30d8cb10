//! Kind `folds`: which object is held out when.
//!
//! Rows are taken in the order of `object_id`'s bytes, so neither file names nor the number of
//! shards change a fold. Besides the table there are facts for the engine: for every fold and shard
//! the digest of the rows that train there and of those the model is applied to. A fold's actions
//! are keyed by these, so a new shard of unlabelled objects refits nothing.
//!
//! Two parameters serve the search for hyper-parameters (`flow tune`), and whoever wants to look at a
//! part:
//!
//! - `only` names the folds that are fitted. The table is the same, so that what is fitted for a part
//!   is a hit for the whole.
//! - `within = f` deals the objects that train in fold f of the first repeat anew: an inner
//!   cross-validation. Those that fold f holds out keep no label in the table, so that no fit,
//!   threshold or selection below it can see one, whatever it does. To everything below they are new
//!   objects, and the final fit predicts them: exactly what a model that was chosen without them says
//!   of them.

use std::collections::BTreeMap;
use std::path::Path;

use flow_cache::{Digest, Value};
use flow_engine::base::diag::Diag;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, OutputPort, Ports, Project, Rows, Scope, Shards, Stage,
    StageError, Step,
};
use flow_engine::{ParamSpec, ParamType, Params};

use crate::numeric::kfold;
use crate::numeric::rng::Stream;
use crate::rows;
use crate::table::{Folds, Objects, Survey, ids_digest};

/// So many folds at most, of all repeats together: each is fitted.
const MOST: i64 = 10_000;
/// Lists of so many folds are shown in full.
const FEW: usize = 24;

/// The kind.
pub struct FoldsKind;

impl Stage for FoldsKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "folds",
            version: 1,
            about: "Assigns labelled objects to cross-validation folds",
            ports: Ports {
                inputs: vec![InputPort::one("objects", "objects")],
                outputs: vec![OutputPort::of(
                    "folds",
                    "folds",
                    0,
                    "object_id, label, group and the fold that holds the object out, by repeat",
                )],
            },
            params: vec![
                ParamSpec::int("k", 5, 2, 1000, "Number of folds."),
                ParamSpec::int(
                    "repeats",
                    1,
                    1,
                    1000,
                    "How often the objects are dealt anew, with 10,000 folds at most in all. Repeat r does not depend on how many there are.",
                ),
                ParamSpec::new(
                    "group_by",
                    ParamType::Choice(&["split", "group"]),
                    "Objects that share this column stay in one fold.",
                )
                .optional(),
                ParamSpec::bool(
                    "shuffle",
                    true,
                    "Deal at random; otherwise in the order of object_id, and there can be one repeat only.",
                ),
                ParamSpec::new(
                    "only",
                    ParamType::List(Box::new(ParamType::Str)),
                    "Fit these folds only, by their names REPEAT.FOLD, such as \"0.1\"; \"final\" is the fit on all labelled rows. Without it, all.",
                )
                .optional(),
                ParamSpec::new(
                    "within",
                    ParamType::Int { min: 0, max: 999 },
                    "Deal only the objects that train in this fold of repeat 0, in folds of their own; those that it holds out count as unlabelled. An inner cross-validation.",
                )
                .optional(),
            ],
            steps: vec![
                Step::new("assign", Scope::Whole)
                    .port("objects")
                    .writes("folds")
                    .seeded(),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let mut diags = Vec::new();
        let mut wrong = |param: &str, code, message: String, place: &str, help: String| {
            let diag = Diag::new(code, message).help(help);
            diags.push(match params.span(param) {
                Some(span) => diag.label(span, place),
                None => diag,
            });
        };
        if !params.bool("shuffle") && params.int("repeats") > 1 {
            wrong(
                "repeats",
                "flow::params::combination",
                "repeats without shuffling would all be the same folds".into(),
                "more than one",
                "set `shuffle = true` or `repeats = 1`".into(),
            );
        }
        let k = params.int("k");
        if k * params.int("repeats") > MOST {
            wrong(
                "repeats",
                "flow::params::folds",
                format!(
                    "{k} folds in each of {} repeats are more than {MOST}",
                    params.int("repeats")
                ),
                "too many",
                format!("repeats = {}", MOST / k),
            );
            return diags;
        }
        if let Some(Value::Int(within)) = params.get("within")
            && *within >= k
        {
            wrong(
                "within",
                "flow::params::folds",
                format!(
                    "there is no fold {within}: the folds are numbered from 0 to {}",
                    k - 1
                ),
                "too large",
                format!("within = {}", k - 1),
            );
        }
        let all = names(params);
        let asked = params.strs("only");
        let unknown: Vec<&str> = asked
            .iter()
            .copied()
            .filter(|name| !all.iter().any(|known| known == name))
            .collect();
        if params.get("only").is_some() && (asked.is_empty() || !unknown.is_empty()) {
            let message = match unknown.first() {
                Some(name) => format!("there is no fold `{name}`"),
                None => "no fold is left".into(),
            };
            let help = match all.len() {
                0..=FEW => format!("the folds are {}", all.join(", ")),
                _ => format!(
                    "the folds are {} to {}, and {}",
                    all[0],
                    all[all.len() - 2],
                    rows::FINAL
                ),
            };
            wrong("only", "flow::params::folds", message, "this list", help);
        }
        diags
    }

    fn layout(
        &self,
        params: &Params,
        _project: &Project<'_>,
        _paired: &Shards,
    ) -> Result<Layout, Vec<Diag>> {
        let mut folds = names(params);
        if params.get("only").is_some() {
            let only = params.strs("only");
            folds.retain(|name| only.contains(&name.as_str()));
        }
        Ok(Layout {
            folds,
            ..Layout::default()
        })
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let mut shards = Vec::new();
        for part in action.input("objects") {
            shards.push(Objects::read(&part.path)?);
        }
        let (folds, notes) = assign(&shards, action)?;
        let names: Vec<String> = self
            .layout(
                action.params,
                &Project::at(Path::new("")),
                &Shards::default(),
            )
            .map(|layout| layout.folds)
            .unwrap_or_default();
        let attrs = vec![
            ("notes".to_owned(), Value::List(notes)),
            ("rows".to_owned(), Value::Int(folds.object_id.len() as i64)),
            ("shards".to_owned(), shard_rows(&shards)),
            ("slices".to_owned(), slices(&folds, &shards, &names)?),
        ];
        let mut writer = action.create()?;
        folds.write(&mut writer)?;
        action.finish("folds", writer, attrs)
    }
}

/// The names of all folds, the final fit last.
fn names(params: &Params) -> Vec<String> {
    let (k, repeats) = (params.usize("k"), params.usize("repeats"));
    let crossed = (0..repeats).flat_map(|r| (0..k).map(move |f| rows::name(r, f)));
    crossed.chain([rows::FINAL.to_owned()]).collect()
}

fn assign(shards: &[Objects], action: &Action<'_>) -> Result<(Folds, Vec<Value>), StageError> {
    let survey = Survey::join(shards.iter().map(|s| &s.survey))?;
    Objects::classes(shards.iter().flat_map(|s| &s.label), "label")?;
    let mut rows: Vec<(&Objects, usize)> = shards
        .iter()
        .flat_map(|s| (0..s.len()).map(move |i| (s, i)))
        .collect();
    rows.sort_by(|a, b| a.0.object_id[a.1].cmp(&b.0.object_id[b.1]));
    if let Some(pair) = rows
        .windows(2)
        .find(|p| p[0].0.object_id[p[0].1] == p[1].0.object_id[p[1].1])
    {
        return Err(StageError::data(
            "flow::data::object_twice",
            format!(
                "object `{}` is in two shards",
                pair[0].0.object_id[pair[0].1]
            ),
        )
        .help("put all observations of an object into one file"));
    }
    let column = action.params.opt_str("group_by");
    let group_of = |&(shard, i): &(&Objects, usize)| match column {
        Some("split") => shard.split[i].clone(),
        Some(_) => shard.group[i].clone(),
        None => None,
    };
    let mut labelled: Vec<usize> = (0..rows.len())
        .filter(|&i| rows[i].0.label[rows[i].1].is_some())
        .collect();
    if labelled.is_empty() {
        return Err(StageError::data(
            "flow::data::folds",
            format!("none of the {} objects has a label: there is nothing to deal into folds", rows.len()),
        )
        .help("name the column that holds the classes: `label` in the `columns` of the `ingest` stage"));
    }
    let classes: Vec<usize> = labelled
        .iter()
        .filter_map(|&i| rows[i].0.label[rows[i].1].as_ref())
        .map(|class| {
            survey.classes.binary_search(class).map_err(|_| {
                StageError::data(
                    "flow::data::schema",
                    format!("class `{class}` is not in the survey's list"),
                )
            })
        })
        .collect::<Result<_, _>>()?;
    let groups = match column {
        None => None,
        Some(column) => Some(group_numbers(&labelled, &rows, group_of, column)?),
    };
    let mut dealer = Dealer {
        classes,
        groups,
        k: action.params.usize("k"),
        seed: action.params.bool("shuffle").then_some(action.seed),
    };
    if let Some(Value::Int(within)) = action.params.get("within") {
        let inside = dealer.narrow(*within as u32)?;
        let mut inside = inside.iter();
        labelled.retain(|_| inside.next().is_some_and(|&inside| inside));
    }
    let (mut label, mut raw_label) = (vec![None; rows.len()], vec![None; rows.len()]);
    for &row in &labelled {
        let (shard, i) = rows[row];
        label[row].clone_from(&shard.label[i]);
        raw_label[row].clone_from(&shard.raw_label[i]);
    }
    if raw_label.iter().all(Option::is_none) {
        raw_label.clear();
    }
    let mut repeats = Vec::new();
    let mut notes = Vec::new();
    for repeat in 0..action.params.usize("repeats") {
        let assignment = dealer.deal(repeat as u64)?;
        if repeat == 0 && assignment.smallest_class < dealer.k {
            notes.push(Value::Str(format!(
                "the rarest class, `{}`, has {} labelled objects for {} folds: some folds have none",
                survey.classes[dealer.rarest()],
                assignment.smallest_class,
                dealer.k
            )));
        }
        let mut of_row = vec![None; rows.len()];
        for (&row, &fold) in labelled.iter().zip(&assignment.folds) {
            of_row[row] = Some(fold as i32);
        }
        repeats.push(of_row);
    }
    let folds = Folds {
        classes: survey.classes,
        positive: survey.positive,
        object_id: rows.iter().map(|(s, i)| s.object_id[*i].clone()).collect(),
        label,
        raw_label,
        group: rows.iter().map(group_of).collect(),
        repeats,
    };
    Ok((folds, notes))
}

/// Deals labelled objects to folds.
struct Dealer {
    /// By object.
    classes: Vec<usize>,
    /// By object, where some stay together.
    groups: Option<Vec<usize>>,
    k: usize,
    /// None: in the order of the objects.
    seed: Option<u64>,
}

impl Dealer {
    fn deal(&self, repeat: u64) -> Result<kfold::Assignment, StageError> {
        let shuffle = self.seed.map(|seed| (seed, repeat));
        kfold::assign(&self.classes, self.groups.as_deref(), self.k, shuffle)
            .map_err(|e| StageError::data("flow::data::folds", e.to_string()))
    }

    /// The class of fewest objects, of equals the first.
    fn rarest(&self) -> usize {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for &class in &self.classes {
            *counts.entry(class).or_default() += 1;
        }
        let rarest = counts.into_iter().min_by_key(|(class, n)| (*n, *class));
        rarest.map_or(0, |(class, _)| class)
    }

    /// Goes on with the objects that train in fold `fold` of repeat 0 only. Says of each object
    /// whether it does.
    fn narrow(&mut self, fold: u32) -> Result<Vec<bool>, StageError> {
        let inside: Vec<bool> = self.deal(0)?.folds.iter().map(|&f| f != fold).collect();
        self.classes = kept(&self.classes, &inside);
        self.groups = self.groups.as_ref().map(|groups| kept(groups, &inside));
        // Other draws than those that dealt the outer folds.
        let path = [INNER, u64::from(fold)];
        self.seed = self.seed.map(|seed| Stream::new(seed, &path).next_u64());
        Ok(inside)
    }
}

fn kept(values: &[usize], inside: &[bool]) -> Vec<usize> {
    let both = values.iter().zip(inside);
    both.filter(|(_, inside)| **inside)
        .map(|(value, _)| *value)
        .collect()
}

/// Sets the random numbers of inner folds apart from those of repeats.
const INNER: u64 = u64::MAX;

fn group_numbers(
    labelled: &[usize],
    rows: &[(&Objects, usize)],
    group_of: impl Fn(&(&Objects, usize)) -> Option<String>,
    column: &str,
) -> Result<Vec<usize>, StageError> {
    let mut numbers = BTreeMap::new();
    let mut names = Vec::with_capacity(labelled.len());
    for &i in labelled {
        let name = group_of(&rows[i]).ok_or_else(|| {
            StageError::data(
                "flow::data::no_group",
                format!(
                    "object `{}` has no `{column}` to group by",
                    rows[i].0.object_id[rows[i].1]
                ),
            )
            .help("leave `group_by` out, or map the column in the `ingest` stage")
        })?;
        numbers.insert(name.clone(), 0);
        names.push(name);
    }
    for (number, value) in numbers.values_mut().enumerate() {
        *value = number;
    }
    Ok(names.iter().map(|name| numbers[name]).collect())
}

fn ids_of(shard: &Objects) -> String {
    match ids_digest(&shard.object_id) {
        Value::Str(ids) => ids,
        other => format!("{other:?}"),
    }
}

fn shard_rows(shards: &[Objects]) -> Value {
    let rows: BTreeMap<String, Value> = shards
        .iter()
        .map(|s| (ids_of(s), Value::Int(s.len() as i64)))
        .collect();
    Value::Map(rows.into_iter().collect())
}

/// For every role, fold and shard: the digest of the rows that count, with their labels where a fit
/// sees them. Shards without such rows are left out.
fn slices(folds: &Folds, shards: &[Objects], names: &[String]) -> Result<Value, StageError> {
    let mut slices = BTreeMap::new();
    let shard_ids: Vec<String> = shards.iter().map(ids_of).collect();
    let mut shard_of = vec![0; folds.object_id.len()];
    for (index, shard) in shards.iter().enumerate() {
        for id in &shard.object_id {
            if let Ok(row) = folds.object_id.binary_search(id) {
                shard_of[row] = index;
            }
        }
    }
    for name in names {
        for role in [Rows::Train, Rows::Apply] {
            let rows = rows::rows_of(folds, rows::parse(name)?, role);
            if rows.is_empty() {
                continue;
            }
            let mut all = Slice::new(folds, role);
            let mut by_shard: BTreeMap<usize, Slice> = BTreeMap::new();
            for row in rows {
                all.push(folds, row);
                by_shard
                    .entry(shard_of[row])
                    .or_insert_with(|| Slice::new(folds, role))
                    .push(folds, row);
            }
            let mut entries: BTreeMap<String, Value> = by_shard
                .into_iter()
                .map(|(shard, slice)| (shard_ids[shard].clone(), slice.digest()))
                .collect();
            entries.insert("*".into(), all.digest());
            let entries = Value::Map(entries.into_iter().collect());
            slices.insert(format!("{}/{name}", role.name()), entries);
        }
    }
    Ok(Value::Map(slices.into_iter().collect()))
}

/// The canonical bytes of a set of rows.
struct Slice {
    bytes: Vec<u8>,
    labels: bool,
}

impl Slice {
    fn new(folds: &Folds, role: Rows) -> Self {
        let mut slice = Self {
            bytes: Vec::new(),
            labels: role == Rows::Train,
        };
        if slice.labels {
            slice.text(folds.positive.as_deref().unwrap_or_default());
            for class in &folds.classes {
                slice.text(class);
            }
        }
        slice
    }

    fn text(&mut self, text: &str) {
        self.bytes
            .extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn push(&mut self, folds: &Folds, row: usize) {
        self.text(&folds.object_id[row]);
        if self.labels {
            self.text(folds.label[row].as_deref().unwrap_or_default());
            // A fit holds its features against these, too.
            if let Some(raw) = folds.raw_label.get(row) {
                self.text(raw.as_deref().unwrap_or_default());
            }
        }
    }

    fn digest(&self) -> Value {
        Value::Digest(Digest::of(&self.bytes))
    }
}
