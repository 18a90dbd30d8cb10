//! `flow run --audit`: runs actions again although the store has their results, and says how far apart
//! the results are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use flow_cache::{Health, Output, Record, Store, Value};
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run::event::{Event, Outcome};
use flow_engine::{Diag, StageError};
use flow_stages::artifacts::difference::{ArtifactDifference, compare};

use super::{Run, outputs};
use crate::error::Exit;
use crate::event::{AuditFinished, AuditedStage};
use crate::render::table;
use crate::wording::count;

/// How close two results are, from the best to the worst.
#[derive(Clone, Debug, PartialEq)]
enum AuditVerdict {
    /// The same bytes.
    Bitwise,
    /// Tables that differ in floating-point numbers only.
    Ulp { ulps: u64, place: String },
    /// JSON that differs in numbers only.
    Metric { largest: f64, place: String },
    /// Anything else.
    Different(String),
}

impl AuditVerdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Bitwise => "bitwise",
            Self::Ulp { .. } => "ULP",
            Self::Metric { .. } => "metric",
            Self::Different(_) => "different",
        }
    }

    /// The order in which later verdicts are worse.
    fn rank(&self) -> (u8, f64) {
        match self {
            Self::Bitwise => (0, 0.0),
            Self::Ulp { ulps, .. } => (1, *ulps as f64),
            Self::Metric { largest, .. } => (2, *largest),
            Self::Different(_) => (3, 0.0),
        }
    }

    fn details(&self) -> String {
        match self {
            Self::Bitwise => String::new(),
            Self::Ulp { ulps: 0, .. } => "equal values, encoded differently".to_owned(),
            Self::Ulp { ulps, place } => format!("{ulps} ULP in {place}"),
            Self::Metric { largest, place } if *largest > 0.0 => format!("{largest:e} in {place}"),
            Self::Metric { .. } => "equal numbers, written differently".to_owned(),
            Self::Different(how) => how.clone(),
        }
    }
}

/// What the audit found of one stage.
struct StageAudit {
    stage: String,
    /// Actions that were compared.
    actions: usize,
    worst: AuditVerdict,
    /// The action and the output with the worst verdict.
    place: String,
    /// What it computes with, if that is a part of its recipe.
    arithmetic: Option<String>,
}

/// Runs up to `number` of the actions again, one of every stage before a second one of any. The run
/// fails unless all give the same bytes. Where some do not, the new bytes count, and what lies below is
/// brought up to date with them.
pub fn audit(run: &mut Run<'_>, number: NonZeroUsize) {
    let chosen = choose(run.plan, &run.slots, number.get());
    let warned = run.warnings.len();
    run.options.audit = true;
    if let Err(error) = set_corrupt_aside(run, &chosen) {
        return run.fail(error.into());
    }
    let mut again: HashMap<usize, Arc<Record>> = HashMap::new();
    let forced: HashSet<usize> = chosen.keys().copied().collect();
    let finished = run.execute(forced, false, &mut |event| {
        if let Event::ActionFinished {
            action,
            outcome: Outcome::Ran,
            record: Some(record),
            ..
        } = event
            && chosen.get(action).is_some_and(|old| old.key == record.key)
        {
            again.insert(*action, Arc::clone(record));
        }
    });
    run.options.audit = false;
    // Failed actions have been reported by now. The others are compared.
    if run.settle(finished) {
        return;
    }
    let found = match verdicts(run, &chosen, &again) {
        Ok(found) => found,
        Err(error) => return run.fail(error.into()),
    };
    let problems = run.warnings[warned..].to_vec();
    let actions = found.iter().map(|found| found.actions).sum();
    run.ui.event(|| event(&found, actions, problems.clone()));
    run.ui
        .result(&format!("\n{}\n\n{}", shown(&found), machines(&found)));
    let good = found
        .iter()
        .all(|found| found.worst == AuditVerdict::Bitwise)
        && problems.is_empty();
    if good && run.exit == Exit::Ok {
        let actions = count(actions, "action");
        let text = format!("audit: {actions} ran again and gave the same bytes\n\n");
        run.ui.result(&text);
    }
    if good {
        return;
    }
    // The actions that ran again have other outputs.
    outputs::deliver(run);
    let message = format!("the audit found {}", count(problems.len(), "problem"));
    let diag = Diag::new("flow::run::audit", message);
    run.fail_with(Exit::Stage, problems.into_iter().fold(diag, Diag::help));
}

/// The chosen actions with their records: one of each stage in turn, those of one stage spread evenly.
fn choose(plan: &Plan<'_>, slots: &[Slot], number: usize) -> BTreeMap<usize, Arc<Record>> {
    let mut keys = HashSet::new();
    let mut stages: Vec<Vec<(usize, &Arc<Record>)>> = Vec::new();
    for stage in 0..plan.pipeline.stages.len() {
        let known = plan
            .of_stage(stage)
            .filter_map(|action| match &slots[action] {
                // Equal actions count as one.
                Slot::Done(record) if keys.insert(record.key) => Some((action, record)),
                _ => None,
            });
        stages.push(known.collect());
    }
    let sizes: Vec<usize> = stages.iter().map(Vec::len).collect();
    let mut chosen = BTreeMap::new();
    for (known, share) in stages.iter().zip(shares(&sizes, number)) {
        for i in 0..share {
            let (action, record) = known[i * known.len() / share];
            chosen.insert(action, Arc::clone(record));
        }
    }
    chosen
}

/// Returns how many of each size to take: one each in turn until there are `number`, or all are taken.
/// If `number` is less than the number of sizes, they are spread evenly.
fn shares(sizes: &[usize], number: usize) -> Vec<usize> {
    let mut shares = vec![0; sizes.len()];
    let mut left = number.min(sizes.iter().sum());
    while left > 0 {
        let open: Vec<usize> = (0..sizes.len()).filter(|&i| shares[i] < sizes[i]).collect();
        let turn = left.min(open.len());
        for i in 0..turn {
            shares[open[i * open.len() / turn]] += 1;
        }
        left -= turn;
    }
    shares
}

/// Sets corrupt artifacts aside before the audit, because equal bytes say nothing of what the store has
/// in their place.
fn set_corrupt_aside(
    run: &mut Run<'_>,
    chosen: &BTreeMap<usize, Arc<Record>>,
) -> Result<(), StageError> {
    let store = &run.state.store;
    for (action, record) in chosen {
        for output in &record.outputs {
            if store.check(&output.digest)? == Health::Corrupt {
                store.quarantine(&output.digest)?;
                let stage = run.plan.coords(*action).stage;
                run.warn(format!(
                    "artifact {} of stage `{}` is corrupt: set aside, made again",
                    output.digest.short(),
                    run.plan.pipeline.stages[stage].name
                ));
            }
        }
    }
    Ok(())
}

/// The findings by stage, in the order of the plan. An action whose inputs the audit itself has changed
/// is left out, because it did not run on the same inputs.
fn verdicts(
    run: &Run<'_>,
    chosen: &BTreeMap<usize, Arc<Record>>,
    again: &HashMap<usize, Arc<Record>>,
) -> Result<Vec<StageAudit>, StageError> {
    let mut stages: Vec<StageAudit> = Vec::new();
    for (action, old) in chosen {
        let Some(new) = again.get(action) else {
            continue;
        };
        let stage = &run.plan.pipeline.stages[run.plan.coords(*action).stage].name;
        if stages.last().is_none_or(|last| last.stage != *stage) {
            stages.push(StageAudit {
                stage: stage.clone(),
                actions: 0,
                worst: AuditVerdict::Bitwise,
                place: String::new(),
                arithmetic: arithmetic(&run.state.store, old)?,
            });
        }
        let Some(found) = stages.last_mut() else {
            continue;
        };
        found.actions += 1;
        for output in &old.outputs {
            let verdict = verdict(&run.state.store, output, new.output(&output.name))?;
            if verdict.rank() > found.worst.rank() {
                found.worst = verdict;
                found.place = format!("{} {}", run.plan.label(*action), output.name);
            }
        }
    }
    Ok(stages)
}

fn verdict(store: &Store, old: &Output, new: Option<&Output>) -> Result<AuditVerdict, StageError> {
    let gone = "its earlier bytes are gone";
    if new.is_some_and(|new| new.digest != old.digest) {
        store.fetch([&old.digest].into_iter())?;
    }
    Ok(match new {
        Some(new) if new.digest == old.digest => AuditVerdict::Bitwise,
        Some(new) if store.has(&old.digest) => {
            match compare(&store.path(&old.digest), &store.path(&new.digest))? {
                ArtifactDifference::Floats { ulps, place } => AuditVerdict::Ulp { ulps, place },
                ArtifactDifference::Numbers { largest, place } => {
                    AuditVerdict::Metric { largest, place }
                }
                ArtifactDifference::Other(how) => AuditVerdict::Different(how),
            }
        }
        _ => AuditVerdict::Different(gone.to_owned()),
    })
}

fn shown(found: &[StageAudit]) -> String {
    let rows = found.iter().map(|found| {
        let worst = match found.worst {
            AuditVerdict::Bitwise => String::new(),
            ref worst => format!("{}: {}", found.place, worst.details()),
        };
        vec![
            found.stage.clone(),
            found.actions.to_string(),
            found.worst.word().to_owned(),
            worst,
        ]
    });
    let header = ["stage", "audited", "verdict", "worst"];
    table::plain(&header, header.len(), rows.collect())
}

/// Says which verdicts hold for one sort of machine only, and for which.
fn machines(found: &[StageAudit]) -> String {
    let of_one = found.iter().filter_map(|found| {
        let arithmetic = found.arithmetic.as_ref()?;
        let stage = &found.stage;
        Some(format!(
            "the verdict on `{stage}` holds for {arithmetic}: other machines have results of their own\n\n"
        ))
    });
    of_one.collect()
}

/// Returns what an action computes with, if that is a part of its recipe.
fn arithmetic(store: &Store, record: &Record) -> Result<Option<String>, StageError> {
    // Records of runs have no recipes.
    let Some(record) = store.lookup(&record.key)? else {
        return Ok(None);
    };
    let host = record.recipe().get("host");
    let arithmetic = host.as_ref().and_then(|host| host.get("arithmetic"));
    Ok(arithmetic.and_then(Value::as_str).map(str::to_owned))
}

fn event(found: &[StageAudit], actions: usize, problems: Vec<String>) -> AuditFinished {
    let stages = found.iter().map(|found| {
        let worst = &found.worst;
        let differs = *worst != AuditVerdict::Bitwise;
        let stage = AuditedStage {
            actions: found.actions,
            verdict: worst.word().to_lowercase(),
            ulps: match worst {
                AuditVerdict::Ulp { ulps, .. } => Some(*ulps),
                _ => None,
            },
            largest: match worst {
                AuditVerdict::Metric { largest, .. } => Some(*largest),
                _ => None,
            },
            worst: differs.then(|| found.place.clone()),
            details: differs.then(|| worst.details()),
            arithmetic: found.arithmetic.clone(),
        };
        (found.stage.clone(), stage)
    });
    AuditFinished {
        actions,
        stages: stages.collect(),
        problems,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_comes_before_a_second_action_of_any() {
        assert_eq!(shares(&[1, 40, 0, 3], 3), [1, 1, 0, 1]);
        assert_eq!(shares(&[1, 40, 0, 3], 7), [1, 3, 0, 3]);
        assert_eq!(shares(&[1, 40, 0, 3], 1_000), [1, 40, 0, 3]);
        assert_eq!(shares(&[5, 5, 5, 5], 2), [1, 0, 1, 0]);
        assert_eq!(shares(&[0, 0], 4), [0, 0]);
        assert!(shares(&[], 4).is_empty());
    }

    #[test]
    fn verdicts_are_ranked() {
        let ulp = |ulps| AuditVerdict::Ulp {
            ulps,
            place: String::new(),
        };
        let metric = |largest| AuditVerdict::Metric {
            largest,
            place: String::new(),
        };
        let ranks = [
            AuditVerdict::Bitwise,
            ulp(0),
            ulp(7),
            metric(0.0),
            metric(0.25),
            AuditVerdict::Different(String::new()),
        ];
        assert!(ranks.windows(2).all(|pair| pair[0].rank() < pair[1].rank()));
    }
}
