//! `flow errors`: the objects that an evaluation has wrong, the worst first.
//!
//! [`text`] shows them to people and [`event`] passes them to programs. Where a run has its objects is
//! found by `report/objects`; who is wrong is decided by `flow_stages::inspection`.
//!
//! Begin with [`run`].

mod event;
mod text;

use std::collections::BTreeSet;

use clap::Args;
use flow_engine::Diag;
use flow_stages::inspection::{Judged, Judgement, ListKind, ObjectList, ObservedObjects};
use flow_stages::table::Predictions;

use crate::args::StoreArgs;
use crate::error::CliError;
use crate::history::find;
use crate::project::ProjectState;
use crate::report::Recorded;
use crate::report::objects::found::Evaluated;
use crate::ui::Ui;

/// `flow errors`
#[derive(Debug, Args)]
#[command(after_help = "\
False positives come with the highest score first, false negatives with the lowest. Without a positive
class, they are the objects that are taken for another class. Below each object are its light curves: the
mean flux in each part of the time around its peak.

Examples:
  flow errors
  flow errors last~1 evaluate --top 3
  flow errors last --message-format json")]
pub struct ErrorsArgs {
    /// The run: its id, the start of it, a tag, `last`, or `last~1` for the one before
    #[arg(default_value = "last")]
    pub run: String,
    /// The stage that evaluates [default: the one that the pipeline quotes, or the only one]
    pub evaluation: Option<String>,
    /// The most objects of each list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The objects that an evaluation has wrong.
struct WrongObjects<'r> {
    evaluated: Evaluated<'r>,
    judgement: Judgement,
    lists: Vec<ObjectList>,
    /// The stage that the light curves come from.
    curves: Option<&'r str>,
    observed: ObservedObjects,
}

/// Runs the command.
pub fn run(args: &ErrorsArgs, ui: &Ui) -> Result<(), CliError> {
    let state = ProjectState::of_working_dir(&args.store)?;
    let runs = state.runs();
    let recorded = Recorded::open(find(&runs, &args.run)?, &runs, &state.store)?;
    let evaluated = evaluation(&recorded, args.evaluation.as_deref())?;
    let wrong = WrongObjects::read(evaluated, args.top)?;
    ui.event(|| event::event(&wrong));
    ui.answer_in_colors(&text::text(&wrong));
    Ok(())
}

/// The evaluation that is asked for by name, or else the one that is meant.
fn evaluation<'r>(run: &'r Recorded<'r>, asked: Option<&str>) -> Result<Evaluated<'r>, CliError> {
    const CODE: &str = "flow::cli::evaluation";
    let all = Evaluated::all(run);
    let found = match asked {
        Some(asked) => all.iter().find(|found| found.stage == asked).copied(),
        None => Evaluated::meant(run),
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let names: Vec<&str> = all.iter().map(|found| found.stage).collect();
    let (id, names) = (&run.id, names.join(", "));
    let is_old = (run.record.stages.iter()).all(|(_, stage)| stage.kind.is_none());
    Err(CliError::usage(match (asked, all.as_slice()) {
        (_, []) if is_old => {
            let message =
                format!("an earlier version recorded run {id}, without what its stages read");
            Diag::new(CODE, message)
                .help("`flow run` records it anew; the store answers what has not changed")
        }
        (_, []) => Diag::new(CODE, format!("run {id} has no evaluation")).help(
            "add a stage with `use = \"evaluate\"` and `inputs = { predictions = \"MODEL\" }`",
        ),
        (Some(asked), _) => Diag::new(CODE, format!("`{asked}` is no evaluation of run {id}"))
            .help(format!("its evaluations are {names}")),
        (None, _) => {
            let message = format!("run {id} has several evaluations, and quotes none of them");
            Diag::new(CODE, message)
                .help(format!("name one of {names}"))
                .help("`headline` under `[metrics]` says which one is meant if nobody names one")
        }
    }))
}

impl<'r> WrongObjects<'r> {
    fn read(evaluated: Evaluated<'r>, top: usize) -> Result<Self, CliError> {
        let lost = |stage, port| CliError::usage(evaluated.lost(stage, port));
        let (model, port) = evaluated.predictions;
        let predictions = evaluated.predictions_file()?;
        let predictions = predictions.ok_or_else(|| lost(model, port))?;
        // Nobody can say of other rows whether they are wrong.
        let rows = Predictions::read_where(&predictions, |rows, row| {
            rows.fold[row].is_some() || rows.label[row].is_some()
        })?;
        let judgement = Judgement::of(&rows)?;
        let is_wrong = |kind: &ListKind| {
            matches!(
                kind,
                ListKind::FalsePositives | ListKind::FalseNegatives | ListKind::WrongClass
            )
        };
        let kinds = judgement.kinds().into_iter().filter(is_wrong);
        let lists: Vec<ObjectList> = kinds.map(|kind| judgement.list(kind, top)).collect();
        let listed = lists.iter().flat_map(|list| &list.objects);
        let wanted: BTreeSet<&str> = listed
            .map(|&at| judgement.objects[at].id.as_str())
            .collect();
        let found = evaluated.curves()?;
        let observed = match &found {
            None => ObservedObjects::default(),
            Some(curves) => {
                let files = curves.files.as_ref();
                let files = files.ok_or_else(|| lost(curves.stage, curves.port))?;
                ObservedObjects::read(files, &wanted, None)?
            }
        };
        let curves = found.map(|curves| curves.stage);
        Ok(Self {
            evaluated,
            lists,
            curves,
            observed,
            judgement,
        })
    }

    /// The objects of a list.
    fn of<'w>(&'w self, list: &'w ObjectList) -> impl Iterator<Item = &'w Judged> {
        list.objects.iter().map(|&at| &self.judgement.objects[at])
    }

    /// The number of objects that can be right or wrong.
    fn judged(&self) -> usize {
        let known = self
            .judgement
            .objects
            .iter()
            .filter(|object| object.right.is_some());
        known.count()
    }
}
