//! The report: a run as one HTML file that people look at.
//!
//! - [`recorded`]: a recorded run with the artifacts that the store still has;
//! - [`section`]: a part of a page, readable without JavaScript, with the data that its script draws;
//! - [`page`]: sections as one file without network access;
//! - [`summary`]: the first screen of a run; [`objects`]: the objects that are worth looking at;
//! - [`results`]: the report as a file under `[outputs]`.
//!
//! A section is a file here, which turns what a run left into HTML and data, and a file of the same name
//! in `assets/`, which draws. How a number is computed belongs to `flow_stages`. The same record and
//! the same bytes in the store give the same page.

pub mod objects;
mod page;
#[allow(dead_code)]
mod recorded;
mod results;
#[allow(dead_code)]
mod section;
mod summary;

pub use page::Page;
pub use recorded::Recorded;
pub use results::ResultsReport;

use flow_engine::StageError;

/// The report of a run. `objects` names those that it must have besides those that are worth looking at.
///
/// # Errors
/// The store cannot be read.
pub fn of_run(recorded: &Recorded<'_>, objects: &[String]) -> Result<Page, StageError> {
    let mut sections = vec![summary::section(recorded)?];
    sections.extend(objects::section(recorded, objects)?);
    let name = recorded.record.pipeline.as_deref().unwrap_or("run");
    Ok(Page {
        title: match recorded.only_results {
            true => name.to_owned(),
            false => format!("{name}, run {}", recorded.id),
        },
        sections,
    })
}
