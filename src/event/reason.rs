//! Why an action runs and what that goes back to, for programs. `render/reason.rs` says the same in words.

use std::path::Path;

use flow_cache::{Change, Digest, Nearness, Value};
use flow_engine::explain::{self, Earlier, Group, Novelty, Reason, What};
use flow_engine::plan::Plan;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::ActionName;

/// Why the store could not answer an action.
#[derive(Serialize, JsonSchema)]
pub struct RunReason {
    /// The reason.
    pub why: ReasonWord,
    /// More of it.
    #[serde(flatten)]
    pub details: ReasonDetails,
}

/// A reason in a word.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonWord {
    /// There is nothing to compare it with.
    New,
    /// Its recipe differs from that of the nearest earlier action.
    Changed,
    /// Its record is damaged.
    Damaged,
    /// `flow cache gc` removed its record.
    Pruned,
    /// Its bytes are gone, and something needs them.
    Lost,
    /// An audit compares its bytes.
    Audit,
    /// A source file changed while it ran.
    SourceChanged,
}

/// What there is to say of a reason.
#[derive(Default, Serialize, JsonSchema)]
pub struct ReasonDetails {
    /// For `new`: what is new. `store` (it has no records), `kind` (it has none of this kind) or `damaged` (those
    /// that it has of this kind cannot be read).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["store", "kind", "damaged"]))]
    pub of: Option<String>,
    /// For `changed`: what differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<FieldChange>>,
    /// For `changed`: what it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<EarlierRecord>,
    /// For `pruned`: when, in seconds since 1970 (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<u64>,
}

/// A field of a recipe that differs.
#[derive(Serialize, JsonSchema)]
pub struct FieldChange {
    /// Which field, such as `params.kernels` or `inputs.features[2]`.
    pub path: String,
    /// What was there; null if nothing.
    pub old: Json,
    /// What is there now; null if nothing.
    pub new: Json,
}

/// An earlier action that the store has a record of.
#[derive(Serialize, JsonSchema)]
pub struct EarlierRecord {
    /// In what way it is near: `action` (the same action before), `kind-and-action` (the same action of another
    /// stage of its kind) or `kind` (the nearest of its kind).
    #[schemars(extend("enum" = ["action", "kind-and-action", "kind"]))]
    pub near: String,
    /// Its key.
    pub key: String,
    /// Its stage.
    pub stage: String,
    /// The action within the stage.
    pub action: String,
    /// The pipeline that made it.
    pub pipeline: String,
    /// When it was made, in seconds since 1970 (UTC).
    pub finished: u64,
}

/// A first cause, and the action at which it comes in.
#[derive(Serialize, JsonSchema)]
pub struct FirstCause {
    /// What it is.
    #[serde(flatten)]
    pub what: CauseKind,
    /// The action at which it comes in.
    pub at: ActionName,
}

/// A first cause. The field `what` says which it is.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum CauseKind {
    /// A source file is other than before.
    Source {
        /// What the action reads it as.
        role: String,
        /// The file, relative to the project. Null if the action no longer reads it.
        file: Option<String>,
        /// Its old digest. Null for a file that is new.
        old: Option<String>,
        /// Its new digest. Null for a file that is gone.
        new: Option<String>,
    },
    /// It reads one part more than before.
    More {
        /// The action that makes that part.
        producer: ActionName,
        /// The source files that the part goes back to, relative to the project.
        files: Vec<String>,
    },
    /// It reads one part less than before.
    Less {
        /// The digest of that part.
        old: Option<String>,
        /// The action that made it. Null if no record is left.
        then: Option<EarlierRecord>,
    },
    /// It reads the output of another action than before.
    Rewired {
        /// The action that makes it now.
        producer: ActionName,
        /// The action that made it then.
        then: EarlierRecord,
    },
    /// What it reads was made again by the same recipe and came out with other bytes.
    Remade {
        /// The action that is not deterministic.
        producer: ActionName,
        /// The digest before.
        old: String,
        /// The digest now.
        new: String,
    },
    /// What it reads has other bytes than before, and no record of the old ones is left to compare with.
    NoRecord {
        /// The action that makes it.
        producer: ActionName,
        /// The digest before.
        old: String,
        /// The digest now. Null if that is not known yet.
        new: Option<String>,
    },
    /// A field that no other action decides: a parameter, the seed, a version, a fact about the machine.
    #[serde(untagged)]
    Field {
        /// What changed in it.
        #[serde(flatten)]
        change: FieldChange,
        /// `field`.
        what: FieldWord,
    },
    /// A reason of the action's own.
    #[serde(untagged)]
    Reason {
        /// The reason.
        what: ReasonWord,
        /// More of it.
        #[serde(flatten)]
        details: ReasonDetails,
    },
}

/// The field `what` of a field that differs.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum FieldWord {
    Field,
}

/// Equal causes together, and what they reach.
#[derive(Serialize, JsonSchema)]
pub struct CauseGroup {
    /// The first of them.
    #[serde(flatten)]
    pub cause: FirstCause,
    /// Actions that run because of it.
    pub run: usize,
    /// Actions that wait for those.
    pub pending: usize,
    /// The stages of the actions that run.
    pub stages: Vec<String>,
    /// The source files that they name, relative to the project. For `more`, this list takes the place of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
}

/// A file by its path in the project, as JSON has it.
pub fn in_project(plan: &Plan<'_>, path: &Path) -> String {
    let path = path.strip_prefix(&plan.pipeline.root).unwrap_or(path);
    path.display().to_string()
}

impl ActionName {
    /// Of an action of a plan.
    pub fn of(plan: &Plan<'_>, action: usize) -> Self {
        Self {
            stage: plan.pipeline.stages[plan.coords(action).stage].name.clone(),
            action: plan.label(action),
        }
    }
}

impl From<&Reason> for RunReason {
    fn from(reason: &Reason) -> Self {
        let (why, details) = split(reason);
        Self { why, details }
    }
}

fn split(reason: &Reason) -> (ReasonWord, ReasonDetails) {
    let mut details = ReasonDetails::default();
    let word = match reason {
        Reason::New(novelty) => {
            let of = match novelty {
                Novelty::Store => "store",
                Novelty::Kind => "kind",
                Novelty::Unreadable => "damaged",
            };
            details.of = Some(of.to_owned());
            ReasonWord::New
        }
        Reason::Changed(changed) => {
            details.changes = Some(changes(&changed.changes));
            details.earlier = Some((&changed.earlier).into());
            ReasonWord::Changed
        }
        Reason::Damaged => ReasonWord::Damaged,
        Reason::Pruned(when) => {
            details.when = Some(*when);
            ReasonWord::Pruned
        }
        Reason::Lost => ReasonWord::Lost,
        Reason::Audit => ReasonWord::Audit,
        Reason::Tainted => ReasonWord::SourceChanged,
    };
    (word, details)
}

/// Changes of a recipe.
pub fn changes(changes: &[Change]) -> Vec<FieldChange> {
    changes.iter().map(FieldChange::from).collect()
}

impl From<&Change> for FieldChange {
    fn from(change: &Change) -> Self {
        let side = |value: &Option<Value>| value.as_ref().map_or(Json::Null, Value::to_json);
        Self {
            path: change.path.clone(),
            old: side(&change.old),
            new: side(&change.new),
        }
    }
}

impl From<&Earlier> for EarlierRecord {
    fn from(earlier: &Earlier) -> Self {
        let near = match earlier.nearness {
            Nearness::SameAction => "action",
            Nearness::SameKindAndAction => "kind-and-action",
            Nearness::SameKind => "kind",
        };
        Self {
            near: near.to_owned(),
            key: earlier.key.to_string(),
            stage: earlier.stage.clone(),
            action: earlier.action.clone(),
            pipeline: earlier.pipeline.clone(),
            finished: earlier.finished_unix,
        }
    }
}

impl FirstCause {
    /// Of a cause in a plan.
    pub fn new(plan: &Plan<'_>, cause: &explain::Cause) -> Self {
        Self {
            what: CauseKind::new(plan, &cause.what),
            at: ActionName::of(plan, cause.action),
        }
    }
}

impl CauseKind {
    fn new(plan: &Plan<'_>, what: &What) -> Self {
        let producer = |action: &usize| ActionName::of(plan, *action);
        let digest = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
        match what {
            What::Field(change) => Self::Field {
                change: change.into(),
                what: FieldWord::Field,
            },
            What::Source {
                role,
                path,
                old,
                new,
            } => Self::Source {
                role: role.clone(),
                file: path.as_ref().map(|path| in_project(plan, path)),
                old: digest(old),
                new: digest(new),
            },
            What::More {
                producer: by,
                files,
            } => Self::More {
                producer: producer(by),
                files: files.iter().map(|path| in_project(plan, path)).collect(),
            },
            What::Less { digest: gone, then } => Self::Less {
                old: digest(gone),
                then: then.as_ref().map(EarlierRecord::from),
            },
            What::Rewired { producer: by, then } => Self::Rewired {
                producer: producer(by),
                then: then.into(),
            },
            What::Remade {
                producer: by,
                old,
                new,
            } => Self::Remade {
                producer: producer(by),
                old: old.to_string(),
                new: new.to_string(),
            },
            What::Cold {
                producer: by,
                old,
                new,
            } => Self::NoRecord {
                producer: producer(by),
                old: old.to_string(),
                new: digest(new),
            },
            What::Action(reason) => {
                let (what, details) = split(reason);
                Self::Reason { what, details }
            }
        }
    }
}

impl CauseGroup {
    /// Of a group of causes in a plan.
    pub fn new(plan: &Plan<'_>, group: &Group) -> Self {
        let mut cause = FirstCause::new(plan, &group.cause);
        let all = group.files.iter().map(|path| in_project(plan, path));
        let mut all = Some(all.collect());
        if let CauseKind::More { files, .. } = &mut cause.what {
            *files = all.take().unwrap_or_default();
        }
        let name = |stage: &usize| plan.pipeline.stages[*stage].name.clone();
        Self {
            cause,
            run: group.run,
            pending: group.pending,
            stages: group.stages.iter().map(name).collect(),
            files: all,
        }
    }
}
