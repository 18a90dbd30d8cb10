//! Turns what happens in a run into events for programs.

use flow_cache::Record;
use flow_engine::kind::Progress;
use flow_engine::plan::Plan;
use flow_engine::run::event::{Event, Outcome, SubmittedBatch};

use crate::event::{
    ActionFinished, ActionOutcome, ActionProgress, ActionResult, ActionStarted, BatchSubmitted,
    JsonEvent, RemoteProgress, RunStarted, RunStopping, WarningEvent,
};
use crate::record::ByName;

/// The JSON of an event, or `None` if it is for people only.
pub fn event(plan: &Plan<'_>, run: &str, event: &Event) -> Option<JsonEvent> {
    let name = |stage: usize| plan.pipeline.stages[stage].name.clone();
    Some(match event {
        Event::Started { actions } => {
            let stages = actions.iter().enumerate();
            JsonEvent::from(RunStarted {
                run: run.to_owned(),
                pipeline: plan.pipeline.name.clone(),
                stages: stages.map(|(stage, &n)| (name(stage), n)).collect(),
            })
        }
        Event::ActionStarted {
            action,
            stage,
            reason,
        } => JsonEvent::from(ActionStarted {
            stage: name(*stage),
            action: plan.label(*action),
            reason: reason.into(),
        }),
        Event::Progress {
            action,
            stage,
            progress,
        } => JsonEvent::from(ActionProgress {
            stage: name(*stage),
            action: plan.label(*action),
            done: progress.done,
            total: progress.total,
            figures: figures(progress),
        }),
        Event::ActionFinished {
            action,
            stage,
            outcome,
            record,
        } => JsonEvent::from(ActionFinished {
            stage: name(*stage),
            action: plan.label(*action),
            outcome: match outcome {
                Outcome::Hit => ActionOutcome::Hit,
                Outcome::Ran => ActionOutcome::Ran,
                Outcome::Failed(_) => ActionOutcome::Failed,
                Outcome::Skipped => ActionOutcome::Skipped,
                Outcome::Vacant => return None,
            },
            record: record.as_deref().map(recorded),
        }),
        Event::Traffic(traffic) => JsonEvent::from(RemoteProgress {
            fetched_bytes: traffic.fetched_bytes,
            wanted_bytes: traffic.wanted_bytes,
            written_bytes: traffic.written_bytes,
            waiting: traffic.waiting,
        }),
        Event::BatchSubmitted(batch) => JsonEvent::from(submitted(batch)),
        Event::Stopping { running } => JsonEvent::from(RunStopping { running: *running }),
        Event::Warning { message } => JsonEvent::from(WarningEvent {
            message: message.clone(),
        }),
    })
}

fn submitted(batch: &SubmittedBatch) -> BatchSubmitted {
    BatchSubmitted {
        batch: batch.batch.clone(),
        scheduler: batch.scheduler.to_owned(),
        id: batch.id.clone(),
        tasks: batch.tasks,
        actions: batch.actions,
        attached: batch.attached,
    }
}

/// The figures by name, if there are any. The last one of a name counts.
fn figures(progress: &Progress) -> Option<ByName<Option<f64>>> {
    let mut named = ByName::default();
    for (name, value) in &progress.figures {
        let value = value.is_finite().then_some(*value);
        match named.get_mut(name) {
            Some(earlier) => *earlier = value,
            None => named.push(name.clone(), value),
        }
    }
    (!progress.figures.is_empty()).then_some(named)
}

fn recorded(record: &Record) -> ActionResult {
    let outputs = record.outputs.iter();
    ActionResult {
        key: record.key.to_string(),
        wall_s: record.wall_s,
        cpu_s: record.cpu_s,
        peak_rss: record.peak_rss,
        read_bytes: record.read_bytes,
        outputs: outputs
            .map(|o| (o.name.clone(), o.digest.to_string()))
            .collect(),
        log: record.log.as_ref().map(|log| log.digest.to_string()),
    }
}
