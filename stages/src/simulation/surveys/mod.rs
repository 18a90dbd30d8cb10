//! The surveys that can be simulated, one file each. They are data: a new one needs a file and a line here.

mod mallorn;
mod plasticc;
mod plasticc_15;
mod spcc;
mod ztf;

use super::survey::DemoSurvey;

/// Every survey. The first is the one that is simulated unless another is named.
pub const ALL: [&DemoSurvey; 5] = [
    &mallorn::MALLORN,
    &spcc::SPCC,
    &plasticc::PLASTICC,
    &plasticc_15::PLASTICC_15,
    &ztf::ZTF,
];

/// Their names, in the same order.
pub const NAMES: &[&str] = &[
    ALL[0].name,
    ALL[1].name,
    ALL[2].name,
    ALL[3].name,
    ALL[4].name,
];

/// Returns the survey of a name; without a name, the first.
pub fn named(name: Option<&str>) -> Option<&'static DemoSurvey> {
    let Some(name) = name else {
        return Some(ALL[0]);
    };
    ALL.into_iter().find(|survey| survey.name == name)
}

#[cfg(test)]
mod tests;
