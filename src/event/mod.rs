//! What `--message-format json` says: events, one JSON object a line.
//!
//! [`JsonEvent`] lists them; a file holds the fields of those that belong together. Commands fill in the
//! structs and hand them to `Ui::event`; nothing else makes a line that has a field `event`.
//!
//! The structs are the reference, too: [`schema()`] is what `flow schema --events` prints, and
//! `docs/events.md` is made from that. So the comment on a struct says when its event is sent, that on a
//! field what it means and in which unit, both for people who have never seen the code.
//!
//! These fields are a public interface. New ones are welcome; a name, a type or the order of what is there
//! does not change. Begin with [`run`], which has what every run sends.

mod check;
mod cluster;
mod history;
mod plan;
mod reason;
mod run;
mod schema;
mod self_check;
mod store;
mod study;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CliError;

pub use check::*;
pub use cluster::*;
pub use history::*;
pub use plan::*;
pub use reason::*;
pub use run::*;
pub use schema::schema;
pub use self_check::*;
pub use store::*;
pub use study::*;

/// Defines the list, and how the fields of an event become one.
macro_rules! events {
    ($($(#[$attribute:meta])* $name:ident($fields:ident),)*) => {
        /// A line of JSON. Its field `event` says which event it is, and with that which fields it has.
        #[derive(Serialize, JsonSchema)]
        #[serde(tag = "event", rename_all = "kebab-case")]
        #[allow(clippy::large_enum_variant)] // an event is gone once its line is written
        pub enum JsonEvent {
            $($(#[$attribute])* $name($fields),)*
        }
        $(impl From<$fields> for JsonEvent {
            fn from(fields: $fields) -> Self {
                Self::$name(fields)
            }
        })*
    };
}

events! {
    RunStarted(RunStarted),
    ActionStarted(ActionStarted),
    ActionProgress(ActionProgress),
    ActionFinished(ActionFinished),
    RemoteProgress(RemoteProgress),
    BatchSubmitted(BatchSubmitted),
    RunStopping(RunStopping),
    ClusterUsed(ClusterUsed),
    RunFinished(RunFinished),
    AuditFinished(AuditFinished),
    OutputWritten(OutputWritten),
    StagePlanned(StagePlanned),
    PlanFinished(PlanFinished),
    CheckFinished(CheckFinished),
    BaselineUpdated(BaselineUpdated),
    AblationFinished(AblationFinished),
    StudyStarted(StudyStarted),
    BaseFinished(BaseFinished),
    OuterFoldFinished(OuterFoldFinished),
    #[serde(rename = "study-finished")]
    StudyStopped(StudyStopped),
    RunListed(RunListed),
    RunShown(RunShown),
    RunChanged(RunChanged),
    RunsCompared(RunsCompared),
    BatchListed(BatchListed),
    BatchCancelled(BatchCancelled),
    ErrorsListed(ErrorsListed),
    Exported(Exported),
    ReportWritten(ReportWritten),
    CacheStat(CacheStat),
    CacheVerified(CacheVerified),
    CacheCollecting(CacheCollecting),
    CacheCollected(CacheCollected),
    RemoteStat(RemoteStatEvent),
    RemoteCollected(RemoteCollected),
    RemotePushed(RemotePushed),
    RemotePulled(RemotePulled),
    KeyMade(KeyMade),
    Kind(KindEvent),
    SelfCheckFinished(SelfCheckFinished),
    ProjectCreated(ProjectCreated),
    Warning(WarningEvent),
    Diagnostic(DiagnosticEvent),
    // Those whose field `event` is not the first say it themselves.
    #[serde(untagged)]
    ActionPlanned(ActionPlanned),
    #[serde(untagged)]
    ActionExplained(ActionExplained),
    #[serde(untagged)]
    TrialFinished(TrialFinished),
    #[serde(untagged)]
    StudyFinished(StudyFinished),
}

/// Figures as the text of a file.
pub fn pretty(figures: &impl Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(figures);
    text.map(|text| text + "\n")
        .map_err(|error| CliError::environment("these figures are no JSON", error))
}

/// An action by its name.
#[derive(Serialize, JsonSchema)]
pub struct ActionName {
    /// Name of the stage.
    pub stage: String,
    /// The action within the stage, as `flow explain` takes it: step, fold, shard and item, as far as it has them.
    pub action: String,
}
