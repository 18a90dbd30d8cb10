//! The columns of a kind that measures objects, as one table: names and documentation come from it.

use std::fmt::Write as _;

/// A feature. In `name`, `{}` stands for a band: the feature is there once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its unit, empty for a number without one.
    pub unit: &'static str,
    /// What it is.
    pub definition: &'static str,
}

/// Returns a column.
pub const fn column(name: &'static str, unit: &'static str, definition: &'static str) -> Column {
    Column {
        name,
        unit,
        definition,
    }
}

/// Returns the names of the features of a survey with these bands: a column after the other, and within it a band
/// after the other.
pub fn names(columns: &[Column], bands: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for Column { name, .. } in columns {
        if name.contains("{}") {
            names.extend(bands.iter().map(|band| name.replace("{}", band)));
        } else {
            names.push((*name).to_owned());
        }
    }
    names
}

/// Returns the columns as a table in Markdown.
pub fn markdown(columns: &[Column]) -> String {
    let mut page = "| name | unit | definition |\n|---|---|---|\n".to_owned();
    for column in columns {
        let Column {
            name,
            unit,
            definition,
        } = column;
        let _ = writeln!(page, "| `{name}` | {unit} | {definition} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_bands_is_there_for_each() {
        let columns = [column("a", "d", "one"), column("b_{}_c", "", "many")];
        assert_eq!(names(&columns, &["g", "r"]), ["a", "b_g_c", "b_r_c"]);
        assert_eq!(names(&columns, &[]), ["a"]);
        assert!(markdown(&columns).ends_with("| `a` | d | one |\n| `b_{}_c` |  | many |\n"));
    }
}
