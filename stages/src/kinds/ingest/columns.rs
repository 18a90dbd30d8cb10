//! What each column of a file means, and which class a label belongs to.

use std::collections::BTreeMap;

use flow_engine::StageError;

use super::params::IngestParams;
use crate::table::{column_twice, columns_help};

/// What a file can hold: flow's name of it, and the name of its column unless the pipeline names
/// another.
const DEFAULTS: [(&str, &str); 13] = [
    ("object_id", "object_id"),
    ("time", "mjd"),
    ("band", "band"),
    ("flux", "flux"),
    ("flux_err", "flux_err"),
    ("lightcurve", "lightcurve"),
    ("label", "label"),
    ("redshift", "redshift"),
    ("redshift_err", "redshift_err"),
    ("ebv", "ebv"),
    ("split", "split"),
    ("group", "group"),
    (TRUTH, TRUTH),
];

/// The column with the class of objects whose label is hidden.
pub(super) const TRUTH: &str = "truth";

/// The names of the columns of an objects table, besides `object_id`.
pub(super) const OBJECT_COLUMNS: [&str; 6] =
    ["label", "redshift", "redshift_err", "ebv", "split", "group"];

/// The names that `columns` may give.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    DEFAULTS.iter().map(|(key, _)| *key)
}

/// The column names of one survey.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    names: Vec<(String, String)>,
}

impl Mapping {
    /// Takes names as given: what a column holds, and its name.
    pub fn of(names: &[(&str, &str)]) -> Self {
        Self {
            names: names
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
        }
    }

    /// The name of the column that holds `key`.
    pub fn name<'a>(&'a self, key: &'a str) -> &'a str {
        let given = self
            .names
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str());
        let default = || DEFAULTS.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        given.or_else(default).unwrap_or(key)
    }

    /// Returns true if the pipeline names the column, which must then be there.
    pub fn given(&self, key: &str) -> bool {
        self.names.iter().any(|(k, _)| k == key)
    }

    /// Returns the place in `header` of the column that holds `key`.
    ///
    /// # Errors
    /// If the file lacks it; the message has the closest name and all names.
    pub fn place(&self, key: &str, header: &[String], file: &str) -> Result<usize, StageError> {
        let name = self.name(key);
        let mut places = (0..header.len()).filter(|&i| header[i] == name);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (None, _) => Err(missing(key, name, header, file)),
            (Some(_), Some(_)) => Err(column_twice(name, file)),
        }
    }

    /// Returns the place of a column that may be missing, unless the pipeline names it.
    pub fn place_if_any(
        &self,
        key: &str,
        header: &[String],
        file: &str,
    ) -> Result<Option<usize>, StageError> {
        if !self.given(key) && !header.iter().any(|column| column == self.name(key)) {
            return Ok(None);
        }
        self.place(key, header, file).map(Some)
    }
}

fn missing(key: &str, name: &str, header: &[String], file: &str) -> StageError {
    let error = StageError::data(
        "flow::data::column",
        format!("{file} has no column `{name}` ({key})"),
    );
    let lower = name.to_lowercase();
    let near = header
        .iter()
        .map(|column| (strsim::osa_distance(&lower, &column.to_lowercase()), column))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= (name.chars().count() / 3).max(1));
    let error = match near {
        Some((_, column)) => error.help(format!(
            "did you mean `{column}`?\n[stages.NAME.columns]\n{key} = \"{column}\""
        )),
        None => error.help(format!("name it:\n[stages.NAME.columns]\n{key} = \"...\"")),
    };
    let error = error.help(columns_help(header));
    match header {
        [_] => error.help("columns are separated by commas, or by semicolons or tabs where the header has no comma"),
        _ => error,
    }
}

/// Rules that regroup labels.
///
/// The first pattern that matches wins, in the order of the pipeline. A label that matches none stays a
/// class of its own.
#[derive(Clone, Debug)]
pub(super) struct Regroup {
    rules: Vec<(glob::Pattern, String)>,
}

impl Regroup {
    /// Takes the rules from the parameter `classes`.
    ///
    /// # Errors
    /// If a text is not a pattern.
    pub fn of(params: &IngestParams<'_>) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (class, patterns) in params.classes.iter().flatten() {
            for text in patterns {
                let pattern = glob::Pattern::new(text)
                    .map_err(|error| format!("`{text}` of class `{class}`: {error}"))?;
                rules.push((pattern, (*class).to_owned()));
            }
        }
        Ok(Self { rules })
    }

    /// Returns the class of `label`.
    pub fn class<'a>(&'a self, label: &'a str) -> &'a str {
        self.rules
            .iter()
            .find(|(pattern, _)| pattern.matches(label))
            .map_or(label, |(_, class)| class)
    }

    /// Returns true if a rule other than one for everything matches `label`.
    pub fn names(&self, label: &str) -> bool {
        let mut rules = self.rules.iter().map(|(pattern, _)| pattern);
        rules.any(|pattern| pattern.as_str() != "*" && pattern.matches(label))
    }

    /// Returns the patterns of each class.
    pub fn by_class(&self) -> BTreeMap<&str, Vec<&glob::Pattern>> {
        let mut classes: BTreeMap<&str, Vec<&glob::Pattern>> = BTreeMap::new();
        for (pattern, class) in &self.rules {
            classes.entry(class).or_default().push(pattern);
        }
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::ingest::tests::{ordered, params};

    #[test]
    fn the_first_rule_wins() {
        let classes = ordered(&[
            ("Ia", &["Ia", "Ia-*"]),
            ("odd", &["Ia-91bg"]),
            ("A other", &["*"]),
        ]);
        let given = params("csv", &[("classes", classes)]);
        let regroup = Regroup::of(&IngestParams::read(&given)).unwrap();
        for (label, class) in [
            ("Ia", "Ia"),
            ("Ia-02cx", "Ia"),
            ("Ia-91bg", "Ia"),
            ("II", "A other"),
        ] {
            assert_eq!(regroup.class(label), class);
        }
        let given = params("csv", &[]);
        let none = Regroup::of(&IngestParams::read(&given)).unwrap();
        assert_eq!(none.class("SN II"), "SN II");
    }

    #[test]
    fn a_missing_column_is_guessed() {
        let header = ["object_id", "Time", "fluxcal"].map(String::from);
        let mapping = Mapping::of(&[("flux", "fluxcall"), ("time", "days")]);
        let error = mapping.place("flux", &header, "lc.csv").unwrap_err();
        assert_eq!(error.message, "lc.csv has no column `fluxcall` (flux)");
        assert!(error.help[0].contains("did you mean `fluxcal`?"));
        assert!(error.help[1].ends_with("object_id, Time, fluxcal"));
        let error = mapping.place("time", &header, "lc.csv").unwrap_err();
        assert!(error.help[0].starts_with("name it"));
        assert_eq!(
            mapping.place_if_any("ebv", &header, "lc.csv").unwrap(),
            None
        );
    }
}
