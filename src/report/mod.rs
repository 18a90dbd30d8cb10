//! The report: a run as one HTML file that people look at.
//!
//! - [`recorded`]: a recorded run with the artifacts that the store still has;
//! - [`section`]: a part of a page, readable without JavaScript, with the data that its script draws;
//! - [`page`]: sections as one file without network access;
//! - [`summary`]: the first screen of a run; [`evaluation`]: its evaluations in plots and tables;
//!   [`objects`]: the objects that are worth looking at;
//!   [`provenance`]: where the numbers of a run come from;
//! - [`findings`]: what an ablation, a study or a check found, which [`ablation`], [`study`] and [`check`]
//!   show; [`pair`]: two runs side by side; [`training`]: training curves;
//! - [`results`]: the report as a file under `[outputs]`.
//!
//! A section is a file here, which turns what a run left into HTML and data, and a file of the same name
//! in `assets/`, which draws. How a number is computed belongs to `flow_stages`. The same record and
//! the same bytes in the store give the same page.

mod ablation;
mod check;
mod evaluation;
mod findings;
mod numbers;
pub mod objects;
mod page;
mod pair;
mod provenance;
mod recorded;
mod results;
mod section;
mod study;
mod summary;
mod training;

pub use findings::{CheckFindings, Findings, StudyFindings};
pub use page::Page;
pub use recorded::Recorded;
pub use results::ResultsReport;
pub use study::stage_tables;

use flow_cache::{Runs, Store};
use flow_engine::StageError;

use self::section::Section;
use crate::error::CliError;
use crate::event::RunsCompared;

/// The report of a run. `objects` names those that it must have besides those that are worth looking at.
/// Of the many evaluations of an ablation or a study, it shows what was found from them.
///
/// # Errors
/// The store cannot be read.
pub fn of_run(recorded: &Recorded<'_>, objects: &[String]) -> Result<Page, StageError> {
    let name = recorded.record.pipeline.as_deref().unwrap_or("run");
    let mut sections: Vec<Section> = recorded.findings.iter().map(found).collect();
    sections.push(summary::section(recorded)?);
    let findings = recorded.findings.as_ref();
    if findings.is_none_or(Findings::are_of_one_pipeline) {
        sections.extend(evaluation::section(recorded)?);
        sections.extend(objects::section(recorded, objects)?);
        sections.extend(training::section(recorded)?);
    }
    sections.push(provenance::section(recorded)?);
    Ok(Page {
        title: match recorded.only_results {
            true => name.to_owned(),
            false => format!("{name}, run {}", recorded.id),
        },
        sections,
    })
}

/// The report that a command leaves after its run: that of the run, or of the findings alone if the
/// project keeps no record of it.
///
/// # Errors
/// The records or the store cannot be read.
pub fn of_command(state: (&Runs, &Store), id: &str, findings: &Findings) -> Result<Page, CliError> {
    let (runs, store) = state;
    Ok(match runs.load(id)? {
        Some(found) => of_run(&Recorded::open(found, runs, store)?, &[])?,
        None => of_findings(findings),
    })
}

/// The report of findings alone, such as those of a folder.
pub fn of_findings(findings: &Findings) -> Page {
    Page {
        title: format!("{}, {}", findings.pipeline(), findings.what()),
        sections: vec![found(findings)],
    }
}

/// The report of two runs side by side. `compared` has what `flow compare` finds.
///
/// # Errors
/// The store cannot be read.
pub fn of_pair(
    first: &Recorded<'_>,
    second: &Recorded<'_>,
    compared: &RunsCompared,
) -> Result<Page, StageError> {
    Ok(Page {
        title: format!("{} (A) and {} (B)", first.id, second.id),
        sections: vec![pair::section(first, second, compared)?],
    })
}

/// The section of what a command found.
fn found(findings: &Findings) -> Section {
    match findings {
        Findings::Ablation(found) => ablation::section(found),
        Findings::Study(study) => study::section(study),
        Findings::Check(check) => check::section(check),
    }
}
