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
        let mut places = Places::new(objects);
        for table in &tables {
            places.add(ids(table))?;
        }
        Ok(Self {
            places: places.finish()?,
            tables,
        })
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

/// The places of objects in the parts of a table, which are seen one after the other.
pub struct Places<'a> {
    objects: &'a [String],
    found: Vec<Option<(usize, usize)>>,
    parts: usize,
}

impl<'a> Places<'a> {
    /// Takes the objects, in the order of their bytes.
    pub fn new(objects: &'a [String]) -> Self {
        Self {
            objects,
            found: vec![None; objects.len()],
            parts: 0,
        }
    }

    /// Looks for the objects in the next part, which has those of `ids`, in the order of their bytes.
    ///
    /// # Errors
    /// If another part has one too.
    pub fn add(&mut self, ids: &[String]) -> Result<(), StageError> {
        let mut from = 0;
        for (row, id) in ids.iter().enumerate() {
            from += self.objects[from..].partition_point(|o| o < id);
            if self.objects.get(from) != Some(id) {
                continue;
            }
            if self.found[from].replace((self.parts, row)).is_some() {
                return Err(StageError::data(
                    "flow::data::object_twice",
                    format!("object `{id}` is in two parts of one feature table"),
                ));
            }
        }
        self.parts += 1;
        Ok(())
    }

    /// Returns the part and the row of each object.
    ///
    /// # Errors
    /// If an object is in no part.
    pub fn finish(self) -> Result<Vec<(usize, usize)>, StageError> {
        let missing = self.found.iter().position(Option::is_none);
        if let Some(missing) = missing {
            return Err(StageError::data(
                "flow::data::objects_differ",
                format!(
                    "the feature tables that meet here do not cover the same objects: `{}` is missing from one",
                    self.objects[missing]
                ),
            ));
        }
        Ok(self.found.into_iter().flatten().collect())
    }
}
