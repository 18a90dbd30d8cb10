//! The series of some objects, and their features.

use flow_engine::StageError;
use flow_engine::kind::Part;

use super::place::PlacedTables;
use crate::features::minirocket::{GridKernels, Series};
use crate::table::{FeatureTable, Grid};

/// The series of some objects, by reference to the grids that hold them.
pub struct GridRows(PlacedTables<Grid>);

impl GridRows {
    /// Opens the series of `objects` (in the order of their bytes) in the grids behind `parts`.
    ///
    /// # Errors
    /// If a grid is unreadable, the grids differ in shape, or an object is in none.
    pub fn open<'p>(
        parts: impl Iterator<Item = &'p Part>,
        objects: &[String],
    ) -> Result<Self, StageError> {
        let grids: Vec<Grid> = parts
            .map(|part| Grid::open(&part.path))
            .collect::<Result<_, _>>()?;
        let shape = |grid: &Grid| (grid.bands().to_vec(), grid.points());
        if grids.iter().any(|grid| shape(grid) != shape(&grids[0])) {
            return Err(StageError::data(
                "flow::data::schema",
                "parts of one grid differ in their bands or points",
            ));
        }
        PlacedTables::new(grids, Grid::object_ids, objects).map(Self)
    }

    /// One of the grids; all have the same bands and points.
    pub fn first(&self) -> Option<&Grid> {
        self.0.first()
    }

    /// Returns the series of all objects in a band, one after the other.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn series(&self, band: usize) -> Result<Vec<f32>, StageError> {
        let mut series = Vec::new();
        for i in 0..self.0.len() {
            let (grid, row) = self.0.get(i);
            grid.series(row, band, &mut series)?;
        }
        Ok(series)
    }

    /// Returns the features of the objects `objects`, which are those of these rows. `wanted` are the places of
    /// columns among all names, ascending.
    ///
    /// # Errors
    /// If a series has a value that is not finite, or the grid is not like the one of the fit.
    pub fn features(
        &self,
        kernels: &GridKernels,
        wanted: &[usize],
        objects: &[String],
    ) -> Result<FeatureTable, StageError> {
        let names = kernels.names();
        let columns: Vec<String> = wanted.iter().map(|&i| names[i].clone()).collect();
        let mut values = vec![0.0; objects.len() * columns.len()];
        let layout = kernels.layout();
        if let Some(grid) = self.first()
            && (grid.bands() != layout.bands || grid.points() != layout.points)
        {
            return Err(StageError::data(
                "flow::data::schema",
                "a grid has other bands or points than the one that kernels were fitted on",
            ));
        }
        for band in 0..layout.bands.len() {
            if kernels.reads(band, wanted) {
                let series = self.series(band)?;
                kernels.transform(
                    Series {
                        band,
                        values: series,
                    },
                    wanted,
                    &mut values,
                );
            }
        }
        FeatureTable::from_rows(objects.to_vec(), columns, values, "the features of a grid")
    }
}
