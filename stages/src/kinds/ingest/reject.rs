//! Wrong rows: reasons, counts and a few examples.
//!
//! | row | what happens |
//! |---|---|
//! | observation: empty or impossible time, flux or error; error <= 0; unknown band; not UTF-8; wrong number of fields; unknown object; exact repeat | dropped and counted |
//! | object: a number that is not one; wrong number of fields; empty name | dropped and counted |
//! | object: empty redshift, E(B-V) or label, or a sentinel such as -9 | kept without it, unless
//! `nulls` says otherwise |
//! | object: without light curve, or without a usable observation | left out and counted |
//! | object listed twice, or in two files; no such column; empty file; open quote | error |
//! | more than `max_rejected` of a file's rows dropped | error |

use std::collections::BTreeMap;

use flow_engine::StageError;
use serde::{Deserialize, Serialize};

use crate::table::is_no_value;

/// The number of examples that are kept of each reason.
const EXAMPLES: usize = 3;
/// The longest text of an example, in characters.
const EXAMPLE_CHARS: usize = 40;

/// The reason why an observation has no band.
pub(super) const UNKNOWN_BAND: &str = "unknown band";
/// The end of the reason for a text that is not a number.
const NO_NUMBER: &str = "that is no number";

/// Counts of rows that were read, kept and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// The number of rows in the file, without the header.
    pub read: u64,
    /// The number of rows that are in the output.
    pub kept: u64,
    /// The reasons why the other rows are not.
    pub dropped: BTreeMap<String, Count>,
    /// The reasons why rows that were kept look odd.
    pub odd: BTreeMap<String, Count>,
    /// Values in kept rows that stand for "no value", such as -9, by column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, Count>,
}

/// How often something occurred, with a few places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    /// The number of times.
    pub count: u64,
    /// The first few places.
    pub examples: Vec<Example>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Example {
    /// The name of the file.
    pub file: String,
    /// The line of the file, or in Parquet the row, from 1.
    pub line: u64,
    /// The text at that place.
    pub value: String,
}

impl Tally {
    /// Counts a dropped row.
    pub fn drop(&mut self, reason: &str, file: &str, line: u64, value: &str) {
        count(&mut self.dropped, reason, file, line, value);
    }

    /// Counts an odd row that is kept.
    pub fn odd(&mut self, reason: &str, file: &str, line: u64, value: &str) {
        count(&mut self.odd, reason, file, line, value);
    }

    /// Counts a value that stands for "no value".
    pub fn missing(&mut self, column: &str, file: &str, line: u64, value: &str) {
        count(&mut self.missing, column, file, line, value);
    }

    /// Returns true if a row was dropped, looks odd, or has a value that stands for "no value".
    pub fn is_notable(&self) -> bool {
        let all = [&self.dropped, &self.odd, &self.missing];
        all.iter().any(|counts| !counts.is_empty())
    }

    /// The number of rows dropped for any reason.
    pub fn lost(&self) -> u64 {
        self.dropped.values().map(|c| c.count).sum()
    }

    /// Adds the counts of another file.
    pub fn add(&mut self, other: &Tally) {
        self.read += other.read;
        self.kept += other.kept;
        for (mine, theirs) in [
            (&mut self.dropped, &other.dropped),
            (&mut self.odd, &other.odd),
            (&mut self.missing, &other.missing),
        ] {
            for (reason, more) in theirs {
                let all = mine.entry(reason.clone()).or_default();
                all.count += more.count;
                let room = EXAMPLES.saturating_sub(all.examples.len());
                all.examples
                    .extend(more.examples.iter().take(room).cloned());
            }
        }
    }

    /// Returns a line such as `dropped 891 of 479,384 observations: 891 empty flux`; `None` without
    /// losses.
    pub fn note(&self, what: &str) -> Option<String> {
        if self.dropped.is_empty() {
            return None;
        }
        Some(format!(
            "dropped {} of {} {what}: {}",
            grouped(self.lost()),
            grouped(self.read),
            list(&self.dropped)
        ))
    }

    /// Returns a line on odd rows that were kept.
    pub fn odd_note(&self, what: &str) -> Option<String> {
        (!self.odd.is_empty()).then(|| format!("kept {what} with {}", list(&self.odd)))
    }

    /// Returns a line on values that stand for "no value", with the first one of each column.
    pub fn missing_note(&self) -> Option<String> {
        let columns = self.missing.iter().map(|(column, count)| {
            let first = count.examples.first().map_or("", |e| e.value.as_str());
            format!(
                "{} of {column} ({first}{})",
                grouped(count.count),
                if count.count > 1 { ", ..." } else { "" }
            )
        });
        let columns: Vec<String> = columns.collect();
        (!columns.is_empty()).then(|| {
            format!(
                "impossible values were read as missing: {}",
                columns.join(", ")
            )
        })
    }

    /// Returns an error if more than the share `limit` was dropped.
    pub fn check(&self, what: &str, file: &str, limit: f64) -> Result<(), StageError> {
        if self.lost() as f64 <= limit * self.read as f64 {
            return Ok(());
        }
        let mut error = StageError::data(
            "flow::data::rejected",
            format!(
                "{file}: {} of {} {what} are unusable, more than `max_rejected = {limit}` allows: {}",
                grouped(self.lost()),
                grouped(self.read),
                list(&self.dropped)
            ),
        );
        error.help = self.places();
        Err(error)
    }

    /// The first place of each reason for which rows were dropped.
    pub fn places(&self) -> Vec<String> {
        let mut places = Vec::new();
        for (reason, count) in &self.dropped {
            if let Some(e) = count.examples.first() {
                let mut place = format!("{reason}: {}:{}: `{}`", e.file, e.line, e.value);
                let number = e.value.replace(',', ".").parse::<f64>();
                if reason.ends_with(NO_NUMBER) && number.is_ok() {
                    place += " (a decimal point is needed, not a comma)";
                }
                places.push(place);
            }
        }
        places
    }
}

fn count(counts: &mut BTreeMap<String, Count>, reason: &str, file: &str, line: u64, value: &str) {
    if !counts.contains_key(reason) {
        counts.insert(reason.into(), Count::default());
    }
    let Some(entry) = counts.get_mut(reason) else {
        return;
    };
    entry.count += 1;
    if entry.examples.len() < EXAMPLES {
        let value = value.chars().take(EXAMPLE_CHARS).collect();
        entry.examples.push(Example {
            file: file.into(),
            line,
            value,
        });
    }
}

fn list(counts: &BTreeMap<String, Count>) -> String {
    let items: Vec<String> = counts
        .iter()
        .map(|(reason, c)| format!("{} {reason}", grouped(c.count)))
        .collect();
    items.join(", ")
}

/// Formats a count with commas: `479,384`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value of a row, as its file holds it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// The row has no value.
    Missing,
    /// The bytes of a text file.
    Text(&'a [u8]),
    /// A number.
    Number(f64),
}

/// The reason why a cell gives no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// The cell is empty.
    Empty,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text is no number.
    NotNumber,
    /// The number is infinite.
    NotFinite,
    /// The text is NaN, which many tools write for "no value".
    Nan,
    /// The number stands for "no value", such as -9.
    Impossible,
}

impl Bad {
    /// Returns the reason for a column called `name`.
    pub fn reason(self, name: &str) -> String {
        match self {
            Bad::Empty => format!("empty {name}"),
            Bad::NotUtf8 => "not UTF-8".into(),
            Bad::NotNumber => format!("{name} {NO_NUMBER}"),
            Bad::NotFinite | Bad::Nan => format!("{name} that is not finite"),
            Bad::Impossible => format!("impossible {name}"),
        }
    }
}

impl<'a> Cell<'a> {
    /// Returns the text, for messages.
    pub fn show(&self) -> String {
        match self {
            Cell::Missing => String::new(),
            Cell::Text(bytes) => String::from_utf8_lossy(bytes).trim().into(),
            Cell::Number(value) => value.to_string(),
        }
    }

    /// Returns a finite number.
    pub fn number(&self) -> Result<f64, Bad> {
        let value = match self {
            Cell::Missing => return Err(Bad::Empty),
            Cell::Number(value) => *value,
            Cell::Text(_) => {
                let text = self.bare()?;
                let bad = if is_no_value(text) {
                    Bad::Empty
                } else {
                    Bad::NotNumber
                };
                text.parse().map_err(|_| bad)?
            }
        };
        match value {
            value if value.is_nan() => Err(Bad::Nan),
            value if value.is_infinite() => Err(Bad::NotFinite),
            value => Ok(value),
        }
    }

    /// Returns a text that is a value, without surrounding blanks.
    pub fn text(&self) -> Result<&'a str, Bad> {
        match self.bare()? {
            text if is_no_value(text) => Err(Bad::Empty),
            text => Ok(text),
        }
    }

    fn bare(&self) -> Result<&'a str, Bad> {
        match *self {
            Cell::Text(bytes) => Ok(std::str::from_utf8(bytes).map_err(|_| Bad::NotUtf8)?.trim()),
            Cell::Missing | Cell::Number(_) => Ok(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbers_or_say_why_not() {
        let number = |text: &str| Cell::Text(text.as_bytes()).number();
        assert_eq!(number(" -1.5e3 "), Ok(-1500.0));
        assert_eq!(number("  "), Err(Bad::Empty));
        assert_eq!(number("NULL"), Err(Bad::Empty));
        assert_eq!(number("1,5"), Err(Bad::NotNumber));
        assert_eq!(number("NaN"), Err(Bad::Nan));
        assert_eq!(Cell::Text(b" N/A").text(), Err(Bad::Empty));
        assert_eq!(number("-inf"), Err(Bad::NotFinite));
        assert_eq!(Cell::Text(b"\xff1").number(), Err(Bad::NotUtf8));
        assert_eq!(Cell::Number(f64::INFINITY).number(), Err(Bad::NotFinite));
    }

    #[test]
    fn notes_count_and_limits_hold() {
        let mut tally = Tally {
            read: 479_384,
            kept: 478_493,
            ..Tally::default()
        };
        assert_eq!(tally.note("observations"), None);
        for line in 0..891 {
            tally.drop("empty flux", "a.csv", line + 2, "");
        }
        assert_eq!(
            tally.note("observations").unwrap(),
            "dropped 891 of 479,384 observations: 891 empty flux"
        );
        assert_eq!(tally.dropped["empty flux"].examples.len(), 3);
        assert!(tally.check("observations", "a.csv", 0.1).is_ok());
        let error = tally.check("observations", "a.csv", 0.001).unwrap_err();
        assert!(error.message.contains("max_rejected = 0.001"), "{error}");
        assert_eq!(error.help, ["empty flux: a.csv:2: ``"]);
    }
}
