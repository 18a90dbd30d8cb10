//! Converts the numbers of a file to the 32-bit floats of features, without a silent loss.

use flow_engine::StageError;

use super::IMPOSSIBLE;

/// A column that keeps fewer distinct values than this between its least and greatest gets a note.
const STEPS: f64 = 4096.0;
/// The number of columns that a note names.
const NAMED: usize = 3;

/// The columns of a table while it is being read.
pub(crate) struct Narrow {
    columns: Vec<NarrowedColumn>,
}

#[derive(Clone)]
struct NarrowedColumn {
    least: f64,
    greatest: f64,
    /// True if a value changed when it became a 32-bit float.
    changed: bool,
    /// The number of values that became 0.
    vanished: u64,
}

impl Narrow {
    /// Returns a state in which nothing is read yet.
    pub fn new(columns: usize) -> Self {
        let seen = NarrowedColumn {
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            changed: false,
            vanished: 0,
        };
        Self {
            columns: vec![seen; columns],
        }
    }

    /// Adds a column and returns its number.
    pub fn add(&mut self) -> usize {
        self.columns.extend(Self::new(1).columns);
        self.columns.len() - 1
    }

    /// Returns the value of `column` as a feature; NaN stays NaN. `place` says where it is: the table,
    /// row and object, and the column's name.
    ///
    /// # Errors
    /// If the value is infinite, or too large for a 32-bit float.
    pub fn take(
        &mut self,
        column: usize,
        value: f64,
        place: impl FnOnce() -> (String, String),
    ) -> Result<f32, StageError> {
        let narrow = value as f32;
        if narrow.is_infinite() {
            let (place, name) = place();
            return Err(too_large(&place, &name, value));
        }
        let seen = &mut self.columns[column];
        if !value.is_nan() {
            seen.least = seen.least.min(value);
            seen.greatest = seen.greatest.max(value);
            seen.changed |= f64::from(narrow) != value;
            seen.vanished += u64::from(narrow == 0.0 && value != 0.0);
        }
        Ok(narrow)
    }

    /// What was lost, one line per column; `names` are the names of the columns.
    pub fn notes(&self, names: &[String]) -> Vec<String> {
        let lossy = names.iter().zip(&self.columns).filter_map(|(name, seen)| {
            let reach = seen.least.abs().max(seen.greatest.abs()) as f32;
            let step = f64::from(reach.next_up()) - f64::from(reach);
            let span = seen.greatest - seen.least;
            if seen.vanished > 0 {
                let (count, s) = (seen.vanished, if seen.vanished == 1 { "" } else { "s" });
                return Some(format!("column `{name}`: {count} value{s} too small for a 32-bit float became 0"));
            }
            (seen.changed && span > 0.0 && span < STEPS * step).then(|| {
                format!(
                    "column `{name}`: values between {} and {} are {step} apart as 32-bit floats; subtract \
                     an offset to tell closer ones apart",
                    seen.least, seen.greatest
                )
            })
        });
        let mut notes: Vec<String> = lossy.collect();
        let more = notes.len().saturating_sub(NAMED);
        if more > 0 {
            notes.truncate(NAMED);
            notes.push(format!("{more} more columns lose values as 32-bit floats"));
        }
        notes
    }
}

/// The error for a value that no feature can have.
pub(super) fn too_large(place: &str, column: &str, value: f64) -> StageError {
    let error = |what: String| {
        StageError::data(
            IMPOSSIBLE,
            format!("{place}: the value in column `{column}` is {what}"),
        )
    };
    match value.is_infinite() {
        true => error("infinite".into()).help("a missing value is an empty cell or NaN"),
        false => error(format!(
            "{value:e}, beyond the 32-bit floats that features are"
        ))
        .help("they reach 3.4e38: rescale the column, or take its logarithm"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(columns: &[&[f64]]) -> Vec<String> {
        let mut narrow = Narrow::new(columns.len());
        for (j, column) in columns.iter().enumerate() {
            for &value in *column {
                narrow.take(j, value, || unreachable!()).unwrap();
            }
        }
        let names: Vec<String> = (0..columns.len()).map(|j| format!("c{j}")).collect();
        narrow.notes(&names)
    }

    #[test]
    fn ordinary_columns_are_no_news() {
        let ordinary: [&[f64]; 6] = [
            &[0.1, 0.7, -3.3],
            &[59_000.1, 60_500.2],
            &[1.0, 16_777_216.0],
            &[0.3, 0.3],
            &[f64::NAN, 2.0],
            &[],
        ];
        assert_eq!(notes(&ordinary), Vec::<String>::new());
    }

    #[test]
    fn columns_that_lose_values_are_named() {
        let dates = notes(&[&[2_459_000.1, 2_459_000.2]]);
        assert!(
            dates[0].contains("`c0`") && dates[0].contains("are 0.25 apart"),
            "{dates:?}"
        );
        assert!(notes(&[&[16_777_217.0, 16_777_216.0]])[0].contains("are 2 apart"));
        assert!(notes(&[&[1e-300, 0.5, -1e-60, 0.0]])[0].contains("2 values too small"));
        let many: Vec<&[f64]> = vec![&[1e-300]; 5];
        assert_eq!(notes(&many).len(), 4);
        assert!(notes(&many)[3].starts_with("2 more columns"));
    }

    #[test]
    fn what_no_feature_can_hold_is_refused() {
        for (value, text) in [
            (3.5e38, "line 2: the value in column `x` is 3.5e38, beyond"),
            (-1e300, "beyond"),
            (f64::INFINITY, "line 2: the value in column `x` is infinite"),
        ] {
            let error = Narrow::new(1).take(0, value, || ("line 2".into(), "x".into()));
            let error = error.unwrap_err();
            assert!(error.message.contains(text), "{error}");
        }
        let greatest = f64::from(f32::MAX);
        assert_eq!(
            Narrow::new(1).take(0, greatest, || unreachable!()).unwrap(),
            f32::MAX
        );
    }
}
