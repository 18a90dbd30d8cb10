//! Kind `folds`: which object is held out when.
//!
//! - this file: the kind and its parameters;
//! - `deal`: labelled objects dealt to folds, in the order of `object_id`'s bytes, so that neither file
//!   names nor the number of shards change a fold;
//! - `slices`: facts for the engine, which keys a fold's actions by the rows they see, so that a new shard
//!   of unlabelled objects refits nothing.
//!
//! `only` names the folds that are fitted. The table is the same, so that what is fitted for a part is a hit
//! for the whole. `within = f` deals the objects that train in fold f of the first repeat anew. Those that
//! fold f holds out keep no label in the table, so that no fit, threshold or selection below it can see one:
//! they are new objects, and the final fit predicts them.

mod deal;
mod slices;

use std::path::Path;

use flow_cache::Value;
use flow_engine::base::diag::Diag;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, OutputPort, Ports, Project, Scope, Shards, Stage,
    StageError, Step,
};
use flow_engine::{ParamSpec, ParamType, Params};

use crate::rows;
use crate::table::Objects;

use deal::assign;
use slices::{shard_rows, slices};

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
        if let Some((message, help)) = wrong_choice(params) {
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

/// What is wrong with `only`, and what helps.
fn wrong_choice(params: &Params) -> Option<(String, String)> {
    params.get("only")?;
    let all = names(params);
    let asked = params.strs("only");
    let mut unknown = asked
        .iter()
        .filter(|name| !all.iter().any(|known| known == *name));
    let message = match unknown.next() {
        Some(name) => format!("there is no fold `{name}`"),
        None if asked.is_empty() => "no fold is left".into(),
        None => return None,
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
    Some((message, help))
}

/// The names of all folds, the final fit last.
fn names(params: &Params) -> Vec<String> {
    let (k, repeats) = (params.usize("k"), params.usize("repeats"));
    let crossed = (0..repeats).flat_map(|r| (0..k).map(move |f| rows::name(r, f)));
    crossed.chain([rows::FINAL.to_owned()]).collect()
}
