//! Kind `folds`: decides which fold holds out which object.
//!
//! - this file: the kind and its parameters;
//! - `deal`: deals labelled objects to folds, in the order of `object_id`'s bytes, so that neither file
//!   names nor the number of shards change a fold;
//! - `survey`: what is needed of all objects, of which there may be millions;
//! - `slices`: facts for the engine, which keys a fold's actions by the rows that they see, so that a
//!   new shard of unlabelled objects refits nothing.
//!
//! `only` names the folds that are fitted. The table stays the same, so that what is fitted for a part
//! is a hit for the whole. `within = f` deals the objects that train in fold f of the first repeat
//! anew. Objects that fold f holds out have no label in the table, so that no fit, threshold or
//! selection after it can see one: they are new objects, and the final fit predicts them.

mod deal;
mod slices;
mod survey;

use flow_cache::Value;
use flow_engine::base::diag::Diag;
use flow_engine::kind::ParamWord;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Layout, OutputPort, Ports, Project, Scope, Shards, Stage,
    StageError, Step,
};
use flow_engine::{ParamType, Params, params, words};

use crate::rows;

use deal::{assign, deal_digest};
use slices::{shard_rows, slices};
use survey::SurveyRows;

/// The most folds in all repeats together, because each is fitted.
const MOST: usize = 10_000;
/// Lists of up to this many folds are shown in full.
const FEW: usize = 24;

/// The kind.
pub struct FoldsKind;

/// What every fold gets the same share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stratify {
    /// Each class.
    Class,
    /// Each label of the survey, whatever class it is in.
    Label,
}

words!(Stratify { Class = "class", Label = "label" });

params! {
    struct FoldsParams<'a> {
        k: usize = int(5, 2, 1000, "Number of folds.");
        repeats: usize = int(1, 1, 1000, "How often the objects are dealt anew, with 10,000 folds at most in all. Repeat r does not depend on how many there are.");
        group_by: Option<&'a str> = new(ParamType::Choice(&["split", "group"]), "Objects that share this column stay in one fold.").optional();
        stratify: Option<Stratify> = new(ParamType::Choice(Stratify::WORDS), "What every fold gets the same share of: each `class`, or each `label` as the survey writes it, so that another grouping in `ingest.classes` leaves the folds as they are; `class` unless given.").optional();
        shuffle: bool = bool(true, "Deal at random; otherwise in the order of object_id, and there can be one repeat only.");
        only: Option<Vec<&'a str>> = new(ParamType::List(Box::new(ParamType::Str)), "Fit these folds only, by their names REPEAT.FOLD, such as \"0.1\"; \"final\" is the fit on all labelled rows. Without it, all.").optional();
        within: Option<usize> = new(ParamType::Int { min: 0, max: 999 }, "Deal only the objects that train in this fold of repeat 0, in folds of their own; those that it holds out count as unlabelled. An inner cross-validation.").optional();
    }
}

impl Stage for FoldsKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "folds",
            version: 3,
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
            params: FoldsParams::specs(),
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
        let folds = FoldsParams::read(params);
        if !folds.shuffle && folds.repeats > 1 {
            wrong(
                "repeats",
                "flow::params::combination",
                "repeats without shuffling would all be the same folds".into(),
                "more than one",
                "set `shuffle = true` or `repeats = 1`".into(),
            );
        }
        let (k, repeats) = (folds.k, folds.repeats);
        if k * repeats > MOST {
            wrong(
                "repeats",
                "flow::params::folds",
                format!("{k} folds in each of {repeats} repeats are more than {MOST}"),
                "too many",
                format!("repeats = {}", MOST / k),
            );
            return diags;
        }
        if let Some(within) = folds.within.filter(|&within| within >= k) {
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
        if let Some((message, help)) = folds.wrong_choice() {
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
        let folds = FoldsParams::read(params).fitted();
        Ok(Layout {
            folds,
            ..Layout::default()
        })
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let params = FoldsParams::read(action.params);
        let parts = action.input("objects").iter();
        let survey = SurveyRows::read(parts.map(|part| part.path.as_path()), params.group_by)?;
        let deal = assign(&survey, &params, action.seed)?;
        let attrs = vec![
            ("deal".to_owned(), deal_digest(&deal.folds)),
            ("notes".to_owned(), Value::List(deal.notes.clone())),
            ("rows".to_owned(), Value::Int(survey.len() as i64)),
            ("shards".to_owned(), shard_rows(&survey)),
            (
                "slices".to_owned(),
                slices(&survey, &deal, &params.fitted())?,
            ),
        ];
        let mut writer = action.create()?;
        deal.write(&survey, &mut writer)?;
        action.finish("folds", writer, attrs)
    }
}

impl FoldsParams<'_> {
    /// The error for a wrong `only`, with a hint.
    fn wrong_choice(&self) -> Option<(String, String)> {
        let asked = self.only.as_ref()?;
        let all = self.names();
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

    /// The names of the folds that are fitted.
    fn fitted(&self) -> Vec<String> {
        let mut names = self.names();
        if let Some(only) = &self.only {
            names.retain(|name| only.contains(&name.as_str()));
        }
        names
    }

    /// The names of all folds, the final fit last.
    fn names(&self) -> Vec<String> {
        let (k, repeats) = (self.k, self.repeats);
        let crossed = (0..repeats).flat_map(|r| (0..k).map(move |f| rows::name(r, f)));
        crossed.chain([rows::FINAL.to_owned()]).collect()
    }
}
