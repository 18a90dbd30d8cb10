//! The long part of a run record: what became of every action, and every part of each port.

use std::collections::BTreeMap;

use flow_cache::{ActionKey, Digest, Digester};
use flow_engine::outputs::ports::Shown;
use flow_engine::plan::keys::Slot;
use serde::{Deserialize, Serialize, Serializer};

use crate::evaluation::Artifacts;

/// The long part as it is read. [`Long`] writes the same without holding all of it at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LongRecord<S = Vec<StageActions>> {
    /// The stages in the order of the plan.
    pub stages: S,
}

/// The actions and ports of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageActions<A = Vec<ActionRecord>, P = Vec<PartRecord>> {
    /// The name of the stage.
    pub name: String,
    /// What became of those of its actions that are done.
    pub actions: A,
    /// Those of its ports of which everything is known.
    #[serde(default = "BTreeMap::new")]
    pub ports: BTreeMap<String, PortRecord<P>>,
}

/// What became of an action. It is written as a list of these three.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ActionRecord {
    /// The action within its stage.
    pub label: String,
    /// Its key.
    pub key: ActionKey,
    /// The digests of its outputs.
    pub outputs: BTreeMap<String, Digest>,
}

/// The artifacts of a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortRecord<P = Vec<PartRecord>> {
    /// The type of the port.
    #[serde(rename = "type")]
    pub ty: String,
    /// True if the port shows only a part of its artifacts.
    pub view: bool,
    /// Its parts.
    pub parts: P,
}

/// A part of a port. It is written as a list of these three; the first version of flow wrote their
/// names too.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct PartRecord {
    /// The digest of the artifact.
    pub digest: Digest,
    /// The number of the stage that it belongs to, among those that the port shows.
    pub reference: usize,
    /// The fold that it belongs to.
    #[serde(default)]
    pub fold: Option<String>,
}

impl Serialize for ActionRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.label, &self.key, &self.outputs).serialize(serializer)
    }
}

impl Serialize for PartRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.digest, &self.reference, &self.fold).serialize(serializer)
    }
}

/// The long part as it is written. Equal runs share one. So its digest comes first, made from what
/// decides the long part; the JSON is written only if it does not exist yet, one action and one part at
/// a time.
pub struct Long<'a>(pub Artifacts<'a>);

impl<'a> Long<'a> {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        let Artifacts { plan, slots, .. } = self.0;
        let mut out = Account::default();
        out.text("flow run actions 2");
        for (stage, decl) in plan.pipeline.stages.iter().enumerate() {
            out.text(&decl.name);
            // The labels of actions are made of these.
            decl.steps.iter().for_each(|step| out.text(step.name));
            let layout = &decl.layout;
            layout.folds.iter().for_each(|fold| out.text(fold));
            layout.shards.iter().for_each(|s| out.text(s.label()));
            for action in plan.of_stage(stage) {
                if let Slot::Done(record) = &slots[action] {
                    out.number(action);
                    out.digest(&record.key.0);
                    out.number(record.outputs.len());
                    for output in &record.outputs {
                        out.text(&output.name);
                        out.digest(&output.digest);
                    }
                }
            }
            for (output, port) in self.0.outputs(stage) {
                let Some(port) = port else { continue };
                out.text(&output.name);
                out.text(port.ty);
                out.number(usize::from(port.is_a_view()));
                out.number(port.parts().count());
                for (reference, part) in port.parts() {
                    out.digest(&part.output.digest);
                    out.number(reference);
                    out.text(part.fold.unwrap_or(""));
                }
            }
        }
        out.0.finish()
    }

    fn stage(&self, stage: usize) -> StageActions<impl Serialize, PortParts<'a>> {
        let Artifacts { plan, slots, .. } = self.0;
        let action = move |action| {
            let Slot::Done(record) = &slots[action] else {
                return None;
            };
            let outputs = record.outputs.iter();
            Some(ActionRecord {
                label: plan.label(action),
                key: record.key,
                outputs: outputs.map(|o| (o.name.to_string(), o.digest)).collect(),
            })
        };
        StageActions {
            name: plan.pipeline.stages[stage].name.clone(),
            actions: Each(move || plan.of_stage(stage).filter_map(action)),
            ports: self.known(stage, PortParts),
        }
    }

    /// What is known of the ports of a stage, by name.
    pub fn ports(&self, stage: usize) -> BTreeMap<String, PortRecord> {
        self.known(stage, |port| {
            let parts = port.parts().map(|(reference, part)| PartRecord {
                digest: part.output.digest,
                reference,
                fold: part.fold.map(str::to_owned),
            });
            parts.collect()
        })
    }

    fn known<P>(
        &self,
        stage: usize,
        parts: impl Fn(Shown<'a>) -> P,
    ) -> BTreeMap<String, PortRecord<P>> {
        let known = self.0.outputs(stage).filter_map(|(output, port)| {
            let port = port?;
            let record = PortRecord {
                ty: port.ty.to_owned(),
                view: port.is_a_view(),
                parts: parts(port),
            };
            Some((output.name.clone(), record))
        });
        known.collect()
    }
}

/// The parts of a port as they are written, like [`PartRecord`]s.
struct PortParts<'a>(Shown<'a>);

impl Serialize for PortParts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.0.parts();
        serializer.collect_seq(parts.map(|(n, part)| (part.output.digest, n, part.fold)))
    }
}

impl Serialize for Long<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = 0..self.0.plan.pipeline.stages.len();
        let stages = Each(|| stages.clone().map(|stage| self.stage(stage)));
        LongRecord { stages }.serialize(serializer)
    }
}

/// A list whose items are made as they are written, because there may be very many.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// What is digested, in a form that shows where each part ends.
#[derive(Default)]
struct Account(Digester);

impl Account {
    fn number(&mut self, number: usize) {
        self.0.put(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.put(text.as_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        self.0.put(digest.as_bytes());
    }
}
