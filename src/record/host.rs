//! The machine that a run took place on. It is for people: no recipe and no artifact knows of it.

use serde::{Deserialize, Serialize};

use crate::wording::bytes;

/// A machine. What its system does not say is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Its name in the network.
    pub name: Option<String>,
    /// The operating system and its version.
    pub os: Option<String>,
    /// The model of its processor.
    pub cpu: Option<String>,
    /// The processors that the run could use.
    pub cores: usize,
    /// Its memory, in bytes.
    pub memory: Option<u64>,
    /// The instruction set that numerical code ran with.
    pub simd: Option<String>,
}

impl Host {
    /// The machine in one line.
    pub fn line(&self) -> String {
        let facts = self.facts().into_iter();
        let words = facts.map(|(name, value)| match name {
            "cores" => format!("{value} cores"),
            _ => value,
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// What is known of the machine: names and values as people read them.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let facts = [
            ("name", self.name.clone()),
            ("os", self.os.clone()),
            ("cpu", self.cpu.clone()),
            ("cores", Some(self.cores.to_string())),
            ("memory", self.memory.map(bytes)),
            ("simd", self.simd.clone()),
        ];
        let known = facts.into_iter();
        known
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}
