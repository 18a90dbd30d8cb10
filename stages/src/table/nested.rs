//! The nested column of light curves, which several tables have.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, StringArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{Field, Fields};
use flow_engine::StageError;

use super::schema_error;

/// The name of the column.
pub(super) const COLUMN: &str = "lightcurve";

/// A column `lightcurve: struct<mjd: list<..>, band: list<utf8>, ..>` that is being built. All of its
/// lists have the same bounds.
pub(super) struct Nested {
    bounds: OffsetBuffer<i32>,
    parts: Vec<(Field, ArrayRef)>,
}

impl Nested {
    /// Returns a column without lists, for rows of these bounds: one more than there are rows.
    ///
    /// # Errors
    /// If there are more than 2^31 values.
    pub fn new(bounds: &[usize]) -> Result<Self, StageError> {
        let bounds: Result<Vec<i32>, _> = bounds.iter().map(|&o| i32::try_from(o)).collect();
        let bounds = bounds.map_err(|_| {
            schema_error("a shard holds more than 2^31 observations")
                .help("split the file into several")
        })?;
        Ok(Self {
            bounds: OffsetBuffer::new(ScalarBuffer::from(bounds)),
            parts: Vec::new(),
        })
    }

    /// Adds a list of the values of all rows, none of which is null.
    ///
    /// # Errors
    /// If the values do not fit the bounds.
    pub fn push(&mut self, name: &str, values: ArrayRef) -> Result<(), StageError> {
        self.push_list(name, values, false)
    }

    /// Adds a list of the values of all rows, which may be null.
    ///
    /// # Errors
    /// If the values do not fit the bounds.
    pub fn push_nullable(&mut self, name: &str, values: ArrayRef) -> Result<(), StageError> {
        self.push_list(name, values, true)
    }

    fn push_list(
        &mut self,
        name: &str,
        values: ArrayRef,
        nullable: bool,
    ) -> Result<(), StageError> {
        let item = Arc::new(Field::new("element", values.data_type().clone(), nullable));
        let list = ListArray::try_new(item, self.bounds.clone(), values, None)
            .map_err(|error| schema_error("a light curve").because(error))?;
        let field = Field::new(name, list.data_type().clone(), false);
        self.parts.push((field, Arc::new(list)));
        Ok(())
    }

    /// Adds the names of bands, from their places in `names`.
    ///
    /// # Errors
    /// If they do not fit the bounds.
    pub fn push_bands(&mut self, band: &[u16], names: &[String]) -> Result<(), StageError> {
        let values = band.iter().map(|&b| names[usize::from(b)].as_str());
        self.push("band", Arc::new(StringArray::from_iter_values(values)))
    }

    /// Returns the column with its field.
    ///
    /// # Errors
    /// Never, unless there is no list.
    pub fn finish(self) -> Result<(Field, ArrayRef), StageError> {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = self.parts.into_iter().unzip();
        let column = StructArray::try_new(Fields::from(fields), arrays, None)
            .map_err(|error| schema_error("a light curve").because(error))?;
        let field = Field::new(COLUMN, column.data_type().clone(), false);
        Ok((field, Arc::new(column)))
    }
}
