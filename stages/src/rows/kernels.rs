//! Kernels that are fitted on the series of a fold's training rows.

use flow_engine::StageError;
use flow_engine::kind::{Action, Rows};

use super::fitted::FittedView;
use super::grid::GridRows;
use super::read::of_action;
use crate::features::minirocket::{GridKernels, GridLayout, Series};

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
    let grid = rows.first().filter(|_| !objects.is_empty());
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
    FittedView::Kernels { kernels: fit }.write(action, of, None)
}
