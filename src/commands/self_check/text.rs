//! The findings of a self-check for people.

use flow_engine::Pipeline;

use crate::event::SelfCheckFinished;
use crate::render::table;
use crate::wording::{count, names, seconds};

/// A table of stages and levels, and what it comes to.
pub fn text(pipeline: &Pipeline, finished: &SelfCheckFinished) -> String {
    let mut header = vec!["stage", "kind"];
    header.extend(finished.levels.iter().map(|level| level.level.as_str()));
    let rows = pipeline.stages.iter().map(|stage| {
        let verdicts = finished.levels.iter().map(|level| {
            let differs = finished
                .differing
                .iter()
                .any(|other| other.stage == stage.name && other.level == level.level);
            match (level.tried, differs) {
                (false, _) => "not tried",
                (true, false) => "ok",
                (true, true) => "differs",
            }
        });
        let names = [stage.name.as_str(), stage.spec.name].into_iter();
        names.chain(verdicts).map(str::to_owned).collect()
    });
    let table = table::plain(&header, header.len(), rows.collect());
    format!("\n{table}\n\n{}", sentences(finished))
}

fn sentences(finished: &SelfCheckFinished) -> String {
    let of = |tried: bool| {
        let levels = finished
            .levels
            .iter()
            .filter(move |level| level.tried == tried);
        names(levels.map(|level| level.level.as_str()))
    };
    let jobs: Vec<String> = finished.jobs.iter().map(usize::to_string).collect();
    let outputs = finished.levels.iter().map(|level| level.outputs).sum();
    let mut text = format!(
        "{} at {} on {} threads, in {}: ",
        count(outputs, "output"),
        of(true),
        jobs.join(" and "),
        seconds(finished.wall_s)
    );
    text.push_str(&match finished.differing.len() {
        0 => "all have the published digests\n".to_owned(),
        n => format!("{n} have other digests than those published\n"),
    });
    if finished.levels.iter().any(|level| !level.tried) {
        let untried = of(false);
        text.push_str(&format!(
            "not tried: {untried}, which the processor lacks or FLOW_SIMD rules out\n"
        ));
    }
    if !finished.ok {
        text.push_str(
            "results of this machine are not those of others, bit by bit; please report what \
             `flow self-check --message-format json` prints\n",
        );
    }
    text
}
