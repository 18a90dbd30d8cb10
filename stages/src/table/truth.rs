//! The classes of objects that a survey gives without labels.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;

use super::parquet_io::{self, TableReader, properties};
use super::{check_order, schema_error};

/// The class of each object whose label is hidden, by name. It has a type of its own, so that no stage can take it for
/// labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// The class of each object.
    pub class: BTreeMap<String, String>,
}

impl Truth {
    /// Writes Parquet `object_id: utf8, class: utf8`.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, writer: impl Write + Send) -> Result<(), StageError> {
        let schema = Schema::new(vec![
            Field::new("object_id", DataType::Utf8, false),
            Field::new("class", DataType::Utf8, false),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.class.keys())),
            Arc::new(StringArray::from_iter_values(self.class.values())),
        ];
        parquet_io::write(
            writer,
            Arc::new(schema),
            columns,
            properties(&[], &["class"]),
        )
    }

    /// Reads [`Truth::write`]'s file, or one like it.
    ///
    /// # Errors
    /// If the file is unreadable or does not fit, or an object has no class.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let mut source = TableReader::open(path, "the table of true classes")?;
        let (mut ids, mut classes) = (Vec::new(), Vec::new());
        while let Some(batch) = source.next_batch()? {
            ids.extend(batch.ids("object_id", ids.len())?);
            classes.extend(parquet_io::options(&batch.texts("class")?));
        }
        check_order(&ids, "the table of true classes")?;
        let pairs = ids.into_iter().zip(classes).map(|(id, class)| match class {
            Some(class) => Ok((id, class)),
            None => Err(schema_error(format!(
                "object `{id}` of the table of true classes has none"
            ))),
        });
        Ok(Self {
            class: pairs.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::file_of;

    #[test]
    fn classes_come_back_and_other_tables_are_refused() {
        let pair = |id: &str, class: &str| (id.to_owned(), class.to_owned());
        let truth = Truth {
            class: BTreeMap::from([pair("b", "99"), pair("a", "42")]),
        };
        let mut bytes = Vec::new();
        truth.write(&mut bytes).unwrap();
        assert_eq!(Truth::read(file_of(&bytes).path()).unwrap(), truth);
        let mut other = Vec::new();
        super::super::write_importance(&mut other, &[("x".into(), 1.0)]).unwrap();
        assert!(Truth::read(file_of(&other).path()).is_err());
    }
}
