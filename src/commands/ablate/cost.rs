//! What variants cost, in CPU seconds, and how much of that they share.

use std::collections::{HashMap, HashSet};

use flow_cache::ActionKey;
use flow_engine::plan::Plan;
use flow_engine::plan::keys::Slot;
use flow_engine::run::summary::Summary;

use super::study::Study;
use crate::event::VariantCost;

/// What one variant cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// The number of actions. Equal ones count once.
    pub actions: usize,
    /// The number of actions that an earlier variant has too.
    pub shared: usize,
    /// CPU seconds of a run of this variant alone with an empty store, by the records of its actions.
    pub cold_s: f64,
    /// CPU seconds that this run spent on what no earlier variant has.
    pub now_s: f64,
}

impl Cost {
    /// The part of the cold cost that the store and earlier variants saved, 0 to 1.
    pub fn saved(&self) -> f64 {
        if self.cold_s > 0.0 {
            (1.0 - self.now_s / self.cold_s).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// The cost for programs.
    pub fn figures(&self) -> VariantCost {
        VariantCost {
            actions: self.actions,
            shared_actions: self.shared,
            cpu_cold_s: self.cold_s,
            cpu_now_s: self.now_s,
            saved: self.saved(),
        }
    }
}

/// What a study cost.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// The cost of each variant.
    pub variants: Vec<Cost>,
    /// The cost of all actions together. Equal ones count once.
    pub together: Cost,
}

impl Costs {
    /// Takes stock after a run.
    pub fn new(study: &Study, plan: &Plan<'_>, slots: &[Slot], summary: &Summary) -> Self {
        let mut costs = Costs::default();
        // The actions that ran here, by key. Of several equal actions only one did.
        let mut ran: HashSet<ActionKey> = HashSet::new();
        let mut cpu_s: HashMap<ActionKey, f64> = HashMap::new();
        for (action, slot) in slots.iter().enumerate() {
            if let Slot::Done(record) = slot {
                cpu_s.insert(record.key, record.cpu_s);
                if summary.ran(action) {
                    ran.insert(record.key);
                }
            }
        }
        let mut known: HashSet<ActionKey> = HashSet::new();
        for places in &study.union.places {
            let mut own: HashSet<ActionKey> = HashSet::new();
            let mut cost = Cost::default();
            for action in places.iter().flat_map(|&stage| plan.of_stage(stage)) {
                let Slot::Done(record) = &slots[action] else {
                    continue;
                };
                if !own.insert(record.key) {
                    continue;
                }
                let cpu_s = cpu_s[&record.key];
                cost.actions += 1;
                cost.cold_s += cpu_s;
                if known.contains(&record.key) {
                    cost.shared += 1;
                    continue;
                }
                costs.together.cold_s += cpu_s;
                costs.together.actions += 1;
                if ran.contains(&record.key) {
                    cost.now_s += cpu_s;
                }
            }
            costs.together.now_s += cost.now_s;
            known.extend(own);
            costs.variants.push(cost);
        }
        costs.together.shared = costs.separate_actions() - costs.together.actions;
        costs
    }

    /// CPU seconds of cold runs of all variants, each by itself.
    pub fn separate_s(&self) -> f64 {
        self.variants.iter().map(|cost| cost.cold_s).sum()
    }

    /// The number of actions of runs of all variants, each by itself.
    pub fn separate_actions(&self) -> usize {
        self.variants.iter().map(|cost| cost.actions).sum()
    }

    /// The cost of the study with an empty store, as a fraction of that of separate cold runs.
    pub fn ratio(&self) -> Option<f64> {
        let separate = self.separate_s();
        (separate > 0.0).then(|| self.together.cold_s / separate)
    }
}
