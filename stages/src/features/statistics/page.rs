//! The statistics as tables of a page.

use std::fmt::Write as _;

use super::catalogue::FAMILIES;
use super::series::Derived;
use super::sets::{Bands, StatisticSet};
use super::statistic::Statistic;

/// Returns all statistics as tables in Markdown, one for each family, with the sets that have them.
pub fn markdown() -> String {
    let mut page = String::new();
    for (title, family) in FAMILIES {
        let _ = write!(
            page,
            "\n### {title}\n\n| name | unit | formula | points | sets | source |\n|---|---|---|---|---|---|\n"
        );
        for statistic in family {
            let Statistic {
                name,
                unit,
                formula,
                source,
                points,
                errors,
                ..
            } = statistic;
            let needs = if *errors { ", errors" } else { "" };
            let sets = sets_with(name).join(", ");
            let _ = writeln!(
                page,
                "| `{name}` | {unit} | {formula} | {points}{needs} | {sets} | {source} |"
            );
        }
    }
    page.push('\n');
    page
}

/// The names of the sets that have a statistic, as code in Markdown.
fn sets_with(name: &str) -> Vec<String> {
    let has = |set: StatisticSet| {
        let contents = set.contents(&[Derived::Flux], Bands::Each);
        let mut blocks = contents.blocks.iter();
        blocks.any(|block| block.statistics.contains(&name))
    };
    let with = StatisticSet::ALL.into_iter().filter(|(_, set)| has(*set));
    with.map(|(word, _)| format!("`{word}`")).collect()
}
