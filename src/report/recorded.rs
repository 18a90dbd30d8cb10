//! A recorded run with the artifacts that the store still has.

use std::collections::BTreeMap;

use flow_cache::{ActionKey, Health, Recipe, Runs, Store, StoreError, Value};
use flow_engine::StageError;
use flow_engine::kind::Part;

use super::findings::Findings;
use crate::record::{ActionRecord, PartRecord, PortRecord, RunRecord, RunTimes};

/// The ports of a stage by name.
pub type Ports = BTreeMap<String, PortRecord>;

/// A recorded run with the artifacts that the store still has.
pub struct Recorded<'s> {
    /// Its id.
    pub id: String,
    /// Its record.
    pub record: RunRecord,
    /// When its actions ran.
    pub times: RunTimes,
    /// The ports of each stage.
    ports: BTreeMap<String, Ports>,
    /// The actions of each stage.
    actions: BTreeMap<String, Vec<ActionRecord>>,
    /// True if the page is to show results alone, and nothing of how a run went: then equal results give
    /// equal pages.
    pub only_results: bool,
    /// What an ablation, a study or a check found.
    pub findings: Option<Findings>,
    store: &'s Store,
}

impl<'s> Recorded<'s> {
    /// A run that was found among `runs`, with its artifacts in `store`.
    ///
    /// # Errors
    /// The long part of its record, or what was found, cannot be read.
    pub fn open(
        (id, record): (String, RunRecord),
        runs: &Runs,
        store: &'s Store,
    ) -> Result<Self, StoreError> {
        let mut ports: BTreeMap<String, Ports> = BTreeMap::new();
        let mut actions = BTreeMap::new();
        for stage in record.long(runs)?.unwrap_or_default().stages {
            ports.insert(stage.name.clone(), stage.ports);
            actions.insert(stage.name, stage.actions);
        }
        for (name, stage) in record.stages.iter() {
            if let Some(artifacts) = &stage.artifacts {
                ports
                    .entry(name.clone())
                    .or_insert_with(|| artifacts.clone());
            }
        }
        let findings = Findings::of(&id, &record, runs)?;
        Ok(Self {
            findings,
            times: runs.times(&id)?.unwrap_or_default(),
            actions,
            ..Self::new(id, record, ports, store)
        })
    }

    /// A run that is at hand.
    pub fn new(
        id: String,
        record: RunRecord,
        ports: BTreeMap<String, Ports>,
        store: &'s Store,
    ) -> Self {
        Self {
            id,
            record,
            times: RunTimes::default(),
            ports,
            actions: BTreeMap::new(),
            only_results: false,
            findings: None,
            store,
        }
    }

    /// The kind of a stage, or nothing if the record is from before this was kept.
    pub fn kind(&self, stage: &str) -> Option<&str> {
        self.record.stages.get(stage)?.kind.as_deref()
    }

    /// The stages of a kind, in the order of the pipeline.
    pub fn of_kind(&self, kind: &str) -> Vec<&str> {
        let stages = self.record.stages.iter();
        let stages = stages.filter(|(_, stage)| stage.kind.as_deref() == Some(kind));
        stages.map(|(name, _)| name.as_str()).collect()
    }

    /// What feeds an input port: pairs of stage and port.
    pub fn inputs(&self, stage: &str, port: &str) -> Vec<(&str, &str)> {
        let stage = self.record.stages.get(stage);
        let from = stage.and_then(|stage| stage.inputs.get(port));
        let from = from.into_iter().flatten();
        from.filter_map(|name| name.rsplit_once('.')).collect()
    }

    /// The stages that a stage stems from, the nearest first.
    pub fn upstream(&self, stage: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let mut next = 0;
        let mut at = Some(stage);
        while let Some(name) = at {
            let stage = self.record.stages.get(name);
            let inputs = stage.into_iter().flat_map(|stage| stage.inputs.values());
            for (above, _) in inputs.flatten().filter_map(|name| name.rsplit_once('.')) {
                if !found.contains(&above) {
                    found.push(above);
                }
            }
            at = found.get(next).copied();
            next += 1;
        }
        found
    }

    /// What the record says of a port.
    pub fn port(&self, stage: &str, port: &str) -> Option<&PortRecord> {
        self.ports.get(stage)?.get(port)
    }

    /// The ports of a stage by name.
    pub fn ports(&self, stage: &str) -> impl Iterator<Item = (&str, &PortRecord)> {
        let ports = self.ports.get(stage).into_iter().flatten();
        ports.map(|(name, port)| (name.as_str(), port))
    }

    /// The actions of a stage, as far as the record has them.
    pub fn actions(&self, stage: &str) -> &[ActionRecord] {
        self.actions.get(stage).map_or(&[], Vec::as_slice)
    }

    /// The recipe of an action, if the store still has its record.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn recipe(&self, key: &ActionKey) -> Result<Option<Recipe>, StoreError> {
        let record = self.store.lookup(key)?;
        Ok(record.map(|record| record.recipe().clone()))
    }

    /// The artifacts of a port, or nothing if the run has none or the store no longer has sound bytes of
    /// all of them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn parts(&self, stage: &str, port: &str) -> Result<Option<Vec<Part>>, StoreError> {
        let Some(port) = self.port(stage, port) else {
            return Ok(None);
        };
        port.parts.iter().map(|part| self.sound(part)).collect()
    }

    /// The first artifact of a port, for what all of them say alike: the others are not read, not even to
    /// see whether they are sound.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn first_part(&self, stage: &str, port: &str) -> Result<Option<Part>, StoreError> {
        let port = self.port(stage, port);
        match port.and_then(|port| port.parts.first()) {
            Some(part) => self.sound(part),
            None => Ok(None),
        }
    }

    /// An artifact, or nothing if the store has no sound bytes of it.
    fn sound(&self, part: &PartRecord) -> Result<Option<Part>, StoreError> {
        self.store.fetch([&part.digest].into_iter())?;
        if self.store.check(&part.digest)? != Health::Ok {
            return Ok(None);
        }
        Ok(Some(Part {
            path: self.store.path(&part.digest),
            digest: part.digest,
            attrs: Value::Null,
            reference: part.reference,
            fold: part.fold.clone(),
            views: Vec::new(),
        }))
    }

    /// The bytes of a port that has one artifact.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn bytes(&self, stage: &str, port: &str) -> Result<Option<Vec<u8>>, StageError> {
        match self.parts(stage, port)?.as_deref() {
            Some([part]) => Ok(Some(std::fs::read(&part.path)?)),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_stage_stems_from_comes_nearest_first() {
        let dir = flow_testkit::files::folder();
        let store = Store::open(dir.path()).expect("a store");
        let record = json!({"stages": {
            "a": {"kind": "x"},
            "b": {"kind": "y", "inputs": {"in": ["a.out"]}},
            "c": {"kind": "y", "inputs": {"in": ["a.out", "b.out"], "more": ["b.rest"]}},
            "d": {"kind": "z", "inputs": {"in": ["c.out"]}},
        }});
        let record = serde_json::from_value(record).expect("a record");
        let run = Recorded::new("id".into(), record, BTreeMap::new(), &store);
        assert_eq!(run.upstream("d"), ["c", "a", "b"]);
        assert_eq!(run.upstream("a"), [""; 0]);
        assert_eq!(run.of_kind("y"), ["b", "c"]);
        assert_eq!(run.inputs("c", "in"), [("a", "out"), ("b", "out")]);
        assert!(run.parts("d", "out").expect("a store").is_none());
    }
}
