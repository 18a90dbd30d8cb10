//! Where objects are in the parts of a table.

use flow_engine::StageError;

/// Tables that are parts of one, and where each of some objects is in them.
pub struct PlacedTables<T> {
    tables: Vec<T>,
    places: Vec<(usize, usize)>,
}

impl<T> PlacedTables<T> {
    /// Finds `objects` (in the order of their bytes) in the tables, whose objects `ids` returns.
    ///
    /// # Errors
    /// If an object is in no table, or in two.
    pub fn new(
        tables: Vec<T>,
        ids: impl Fn(&T) -> &[String],
        objects: &[String],
    ) -> Result<Self, StageError> {
        let parts: Vec<&[String]> = tables.iter().map(ids).collect();
        let places = places(&parts, objects)?;
        Ok(Self { tables, places })
    }

    /// One of the tables.
    pub fn first(&self) -> Option<&T> {
        self.tables.first()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The table that has object `i`, and its row there. Panics if there is no such object.
    pub fn get(&self, i: usize) -> (&T, usize) {
        let (table, row) = self.places[i];
        (&self.tables[table], row)
    }
}

/// Returns for each object (in the order of their bytes) the part that has it, and its row there. `parts` are
/// the objects of the parts, each in the order of their bytes.
///
/// # Errors
/// If an object is in no part, or in two.
pub fn places(parts: &[&[String]], objects: &[String]) -> Result<Vec<(usize, usize)>, StageError> {
    let mut places = vec![None; objects.len()];
    for (part, ids) in parts.iter().enumerate() {
        let mut from = 0;
        for (row, id) in ids.iter().enumerate() {
            from += objects[from..].partition_point(|o| o < id);
            if objects.get(from) != Some(id) {
                continue;
            }
            if places[from].replace((part, row)).is_some() {
                return Err(StageError::data(
                    "flow::data::object_twice",
                    format!("object `{id}` is in two parts of one feature table"),
                ));
            }
        }
    }
    let missing = places.iter().position(Option::is_none);
    if let Some(missing) = missing {
        return Err(StageError::data(
            "flow::data::objects_differ",
            format!(
                "the feature tables that meet here do not cover the same objects: `{}` is missing from one",
                objects[missing]
            ),
        ));
    }
    Ok(places.into_iter().flatten().collect())
}
