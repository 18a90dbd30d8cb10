//! Machines on which tasks fail again and again. Further tasks are kept away from them: a machine that fails every task
//! at once is free at once, and would get the next task as well.

use std::collections::{BTreeMap, BTreeSet};

/// After so many failures in a row, a machine is left out.
const FAILURES: u32 = 2;

/// What a run has seen of machines.
#[derive(Default)]
pub(super) struct Machines {
    /// By name, how many tasks failed there since one did well.
    failures: BTreeMap<String, u32>,
    /// The machines that a user was told of.
    told: BTreeSet<String>,
    /// None is left out any more.
    trusted: bool,
}

impl Machines {
    /// An action ran on a machine.
    pub(super) fn did_well(&mut self, machine: &str) {
        self.failures.insert(machine.to_owned(), 0);
    }

    /// A task failed on a machine.
    pub(super) fn failed(&mut self, machine: &str) {
        *self.failures.entry(machine.to_owned()).or_default() += 1;
    }

    /// From now on, no machine counts as failing: the others do not have what tasks ask for.
    pub(super) fn trust_all(&mut self) {
        self.trusted = true;
    }

    /// The machines to leave out if others are left then. It is none if there are no such machines.
    pub(super) fn failing(&self) -> Option<Vec<String>> {
        let failing = self
            .failures
            .iter()
            .filter(|(_, count)| **count >= FAILURES);
        let names: Vec<String> = failing.map(|(name, _)| name.clone()).collect();
        (!self.trusted && !names.is_empty()).then_some(names)
    }

    /// Returns true if the run has seen a machine that does not fail.
    pub(super) fn has_others(&self) -> bool {
        self.failures.values().any(|count| *count < FAILURES)
    }

    /// Those of `failing` that a user was not told of. They count as told from now on.
    pub(super) fn not_told(&mut self, failing: &[String]) -> Vec<String> {
        let new = failing
            .iter()
            .filter(|name| self.told.insert((*name).clone()));
        new.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_fails_after_failures_in_a_row() {
        let mut machines = Machines::default();
        machines.failed("n1");
        assert_eq!(machines.failing(), None);
        machines.did_well("n1");
        machines.failed("n1");
        assert_eq!(machines.failing(), None, "it did well in between");
        assert!(machines.has_others());
        machines.failed("n1");
        let failing = vec!["n1".to_owned()];
        assert_eq!(machines.failing(), Some(failing.clone()));
        assert!(!machines.has_others(), "no other was seen");
        assert_eq!(machines.not_told(&failing), failing);
        assert!(machines.not_told(&failing).is_empty(), "told once");
        machines.failed("n2");
        assert!(machines.has_others());
        machines.did_well("n1");
        assert_eq!(machines.failing(), None, "it is trusted again");
    }

    #[test]
    fn no_machine_is_left_out_once_the_others_do_not_do() {
        let mut machines = Machines::default();
        machines.failed("n1");
        machines.failed("n1");
        machines.trust_all();
        assert_eq!(machines.failing(), None);
    }
}
