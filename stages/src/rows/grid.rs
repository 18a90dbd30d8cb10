//! The series of some objects, and the kernels that are fitted on those of a fold.

use flow_engine::StageError;
use flow_engine::kind::{Action, Part, Rows};

use super::fitted::FittedView;
use super::place::places;
use super::read::of_action;
use crate::features::minirocket::{GridKernels, GridLayout, Series};
use crate::table::{FeatureTable, Grid};

/// The series of some objects, by reference to the grids that hold them.
pub struct GridRows {
    grids: Vec<Grid>,
    places: Vec<(usize, usize)>,
}

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
        let ids: Vec<&[String]> = grids.iter().map(Grid::object_ids).collect();
        let places = places(&ids, objects)?;
        Ok(Self { grids, places })
    }

    /// Returns the series of all objects in a band, one after the other.
    fn series(&self, band: usize) -> Result<Vec<f32>, StageError> {
        let mut series = Vec::new();
        for &(grid, row) in &self.places {
            self.grids[grid].series(row, band, &mut series)?;
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
        if let Some(grid) = self.grids.first()
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

/// Fits kernels on the series of the training rows of the action's fold (port `grid`), and writes the view
/// that shows their features. Labels are not read. `layout` gets the bands and the number of points.
///
/// # Errors
/// If the grid cannot be read, or its series are too short.
pub fn fit_kernels(
    action: &mut Action<'_>,
    layout: impl FnOnce(Vec<String>, usize) -> GridLayout,
) -> Result<(), StageError> {
    let (folds, wanted) = of_action(action, Rows::Train)?;
    let objects: Vec<String> = wanted.iter().map(|&i| folds.object_id[i].clone()).collect();
    let rows = GridRows::open(action.input("grid").iter(), &objects)?;
    let grid = rows.grids.first().filter(|_| !objects.is_empty());
    let grid = grid.ok_or_else(|| {
        StageError::data("flow::data::no_rows", "there is nothing to fit kernels on")
    })?;
    let layout = layout(grid.bands().to_vec(), grid.points());
    let least = layout.least_points();
    if layout.points < least {
        return Err(StageError::data(
            "flow::data::schema",
            format!(
                "a series of {} points is too short for a kernel",
                layout.points
            ),
        )
        .help(format!(
            "set `points` of the `interpolate` stage to {least} or more"
        )));
    }
    let mut fit = GridKernels::new(layout);
    for band in 0..grid.bands().len() {
        action.checkpoint()?;
        let values = rows.series(band)?;
        fit.fit(Series { band, values }, action.seed);
    }
    let of = fit.names().len();
    FittedView::Kernels { kernels: fit }.write(action, of)
}
